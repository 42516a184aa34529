// Apps that die at the same instant as the supervisor or the keeper: each end is told as it was, and is counted once.
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { nodePath } from '../lib/nodes.mjs';
import { chance, newSeed, pick, pidsOf, zombiesOf } from '../lib/crash.mjs';
import { Control } from '../lib/control.mjs';
import { isAlive, until } from '../lib/proc.mjs';

const APPS = 10, ROUNDS = Number(process.env.CRASH_ROUNDS ?? 4);
const SIGNALS = [1, 2, 3, 6, 9, 11, 15];

const get = (port, url) => new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: url, agent: false }, response => response.resume().on('end', resolve).on('error', resolve)).on('error', reject);
});

class Mortals {
    constructor(host, seed) {
        this.host = host;
        this.control = new Control(host.home);
        this.random = chance(seed);
        this.apps = Array.from({ length: APPS }, (_, i) => ({ name: `mortal${i}`, deaths: 0 }));
        this.nextCode = 1;
    }

    portFile(app) {
        return path.join(this.host.work, `${app.name}.port`);
    }

    async start() {
        await this.host.startApps(this.apps.map(app => ({
            name: app.name, script: appFile('steady.js'), interpreter: nodePath(20), max_restarts: 1000,
            env: { PORT_FILE: this.portFile(app), LINE_MS: '50', SEND_MS: '50' },
        })));
        await this.learn();
    }

    // The process of each app that listens now.
    async learn() {
        for (const app of this.apps) {
            await until(`${app.name} listens`, () => {
                const [port, pid] = fs.existsSync(this.portFile(app)) ? fs.readFileSync(this.portFile(app), 'latin1').split(' ').map(Number) : [];
                if (!pid || pid === app.pid || !isAlive(pid))
                    return false;
                Object.assign(app, { port, pid });
                return true;
            }, 15000 * slow);
        }
    }

    // How each is to die: codes 1 to 120 in turn, and signals.
    fate() {
        if (this.random() < 0.3)
            return { signal: pick(this.random, SIGNALS) };
        const code = this.nextCode;
        this.nextCode = this.nextCode % 120 + 1;
        return { code };
    }

    // All apps die within some milliseconds, and so does one of our programs.
    async round(program) {
        const [victim] = pidsOf(this.host, program);
        for (const app of this.apps) {
            app.fate = this.fate();
            app.deaths++;
        }
        const deaths = this.apps.map(app => {
            const { code, signal } = app.fate;
            return get(app.port, `/die?${signal ? `signal=${signal}` : `code=${code}`}&in=${1 + Math.floor(this.random() * 8)}`).catch(() => {});
        });
        await delay(this.random() * 8);
        process.kill(victim, 'SIGKILL');
        await Promise.all(deaths);
        await this.learn();
        await this.check(program);
    }

    async check(program) {
        for (const app of this.apps) {
            const row = await until(`${app.name} is online again`, async () => {
                const [one] = await this.control.list(app.name);
                return one.pid === app.pid && one.exit && one;
            }, 15000 * slow);
            const { code, signal } = row.exit;
            assert.deepEqual(signal ? { signal } : { code }, app.fate, `the end of ${app.name}, with ${program} killed`);
            assert.equal(row.restart_time, app.deaths, `restarts of ${app.name}, with ${program} killed`);
        }
    }
}

describe('an app that dies together with', { concurrency: 1 }, () => {
    for (const program of ['proctord', 'proctor-keeper']) {
        test(`${program}: ${APPS * ROUNDS} exit statuses are right`, async t => {
            const host = startHost(t);
            const seed = newSeed();
            t.diagnostic(`seed ${seed}`);
            const mortals = new Mortals(host, seed);
            await mortals.start();
            for (let round = 0; round < ROUNDS; round++)
                await mortals.round(program);
            await delay(300);
            const ours = ['proctor-keeper', 'proctord', 'proctor-agent'].flatMap(one => pidsOf(host, one));
            assert.equal(ours.length, 3, 'one of each');
            assert.deepEqual(zombiesOf(ours), []);
            assert.equal(mortals.control.refused, 0);
        });
    }

    test('a supervisor that is away for half a second: the ends in between are told', async t => {
        const host = startHost(t);
        const mortals = new Mortals(host, newSeed());
        await mortals.start();
        // Stopped processes keep their children: what ends now is reaped by whoever comes after the kill.
        const [victim] = pidsOf(host, 'proctord');
        process.kill(victim, 'SIGSTOP');
        for (const app of mortals.apps) {
            app.fate = mortals.fate();
            app.deaths++;
            const { code, signal } = app.fate;
            await get(app.port, `/die?${signal ? `signal=${signal}` : `code=${code}`}`).catch(() => {});
        }
        await delay(500);
        process.kill(victim, 'SIGKILL');
        await mortals.learn();
        await mortals.check('proctord');
    });
});
