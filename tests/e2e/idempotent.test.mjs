// A command is done once, also when the supervisor is killed at any moment of it: neither twice, nor half, nor not at all.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { chance, newSeed, pick, pidsOf } from '../lib/crash.mjs';
import { slow, startHost } from '../lib/host.mjs';
import { isAlive, processInfo } from '../lib/proc.mjs';

const TRIES = Number(process.env.IDEMPOTENT_TRIES ?? 30);

// Each start is a line with its pid in a file of the app's own.
const script = 'echo "$PROCTOR_INSTANCE $$" >>"$STARTS"\nwhile :; do sleep 1; done\n';

// Not the children that are on their way to become an app, and have its name for a moment.
const supervisors = host => {
    const keepers = pidsOf(host, 'proctor-keeper');
    return pidsOf(host, 'proctord').filter(pid => keepers.includes(processInfo(pid)?.ppid));
};

class World {
    constructor(host, random) {
        this.host = host;
        this.random = random;
        this.apps = new Map(); // name -> how often each instance was started
        this.count = 0;
        fs.writeFileSync(path.join(host.work, 'app.sh'), script);
    }

    starts(name) {
        const text = fs.readFileSync(path.join(this.host.work, `${name}.starts`), 'latin1');
        return text.trim().split('\n').map(line => line.split(' ').map(Number));
    }

    // What a command is, and what it makes of the expected starts.
    choose() {
        const known = [...this.apps.keys()];
        const verb = known.length === 0 ? 'start' : pick(this.random, ['start', 'restart', 'restart', 'stop', 'delete']);
        if (verb !== 'start')
            return { verb, name: pick(this.random, known) };
        const name = `app${this.count++}`;
        this.host.writeConfig([{
            name, script: './app.sh', interpreter: '/bin/sh', instances: 1 + Math.floor(this.random() * 3),
            env: { STARTS: path.join(this.host.work, `${name}.starts`) },
        }], `${name}.json`);
        return { verb, name, file: `${name}.json`, instances: JSON.parse(fs.readFileSync(path.join(this.host.work, `${name}.json`))).apps[0].instances };
    }

    expect({ verb, name, instances }) {
        const app = this.apps.get(name);
        if (verb === 'start')
            this.apps.set(name, { runs: true, starts: Array(instances).fill(1) });
        else if (verb === 'delete')
            this.apps.delete(name);
        else
            this.apps.set(name, { runs: verb === 'restart', starts: app.starts.map(n => n + (verb === 'restart' ? 1 : 0)) });
    }

    async check(told) {
        const rows = await this.host.jlist();
        assert.deepEqual([...new Set(rows.map(row => row.name))].sort(), [...this.apps.keys()].sort(), told);
        for (const [name, { runs, starts }] of this.apps) {
            const mine = rows.filter(row => row.name === name);
            assert.equal(mine.length, starts.length, told);
            for (const row of mine)
                assert.equal(row.pm2_env.status, runs ? 'online' : 'stopped', `${name}: ${told}`);
            const all = this.starts(name);
            const counted = starts.map((_, i) => all.filter(([instance]) => instance === i).length);
            assert.deepEqual(counted, starts, `${name}: ${told}`);
            const alive = all.map(([, pid]) => pid).filter(isAlive).sort();
            assert.deepEqual(alive, runs ? mine.map(row => row.pid).sort() : [], `${name}: ${told}`);
        }
    }
}

test(`start, restart, stop and delete under kill -9 are done exactly once, ${TRIES} times`, async t => {
    const seed = newSeed();
    const random = chance(seed);
    const host = startHost(t);
    const world = new World(host, random);
    await host.proctor(['start', 'true', '--name', 'first', '--interpreter', 'none', '--no-autorestart'], { expectCode: 0 });
    await host.proctor(['delete', 'first'], { expectCode: 0 });
    for (let i = 0; i < TRIES; i++) {
        const command = world.choose();
        // Most is done in the first milliseconds; the rest is waiting.
        const after = random() < 0.7 ? random() * 12 : random() * 250;
        const victim = random() < 0.8 ? 'supervisor' : 'keeper';
        const told = `try ${i} of seed ${seed}: ${command.verb} ${command.name}, ${victim} killed after ${after.toFixed(1)} ms`;
        const run = host.spawnProctor([command.verb, command.file ?? command.name]);
        await delay(after * slow);
        for (const pid of victim === 'keeper' ? pidsOf(host, 'proctor-keeper') : supervisors(host))
            process.kill(pid, 'SIGKILL');
        const { code, stdout, stderr } = await run.ended;
        assert.equal(code, 0, `${told}\n${stdout}${stderr}`);
        world.expect(command);
        await world.check(told);
    }
});
