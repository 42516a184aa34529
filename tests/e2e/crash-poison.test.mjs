// What a supervisor finds is not what it expects: it comes down again and again, its slots or its kept state are garbage.
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { nodePath } from '../lib/nodes.mjs';
import { chance, newSeed, pidsOf } from '../lib/crash.mjs';
import { isAlive, until } from '../lib/proc.mjs';

const steady = name => ({ name, script: appFile('steady.js'), interpreter: nodePath(20), env: { LINE_MS: '10' } });
const supervisor = host => pidsOf(host, 'proctord')[0];
const nextSupervisor = (host, before) => until('the next supervisor is there', () => {
    const pid = supervisor(host);
    return pid && pid !== before && pid;
}, 10000 * slow);

// Kills it and waits for one that answers.
async function replace(host, signal = 'SIGKILL') {
    const before = supervisor(host);
    process.kill(before, signal);
    await nextSupervisor(host, before);
    await until('it answers', async () => (await host.proctor(['ping'])).code === 0, 10000 * slow);
}

async function assertLogsFlow(host, name) {
    const size = host.log(name).length;
    await until('the log grows', () => host.log(name).length > size, 5000 * slow);
}

describe('poisoned state', { concurrency: 1 }, () => {
    test('a supervisor that crashes after each start ends in safe mode, and upgrade leaves it', async t => {
        const host = startHost(t);
        await host.startApps([steady('one'), steady('two')]);
        const pids = [await host.pid('one'), await host.pid('two')];
        for (let crash = 0; crash < 3; crash++) {
            const before = supervisor(host);
            process.kill(before, 'SIGABRT');
            await nextSupervisor(host, before);
        }
        await until('it answers', async () => (await host.proctor(['ping'])).code === 0, 10000 * slow);
        const list = await host.proctor(['list'], { expectCode: 0 });
        assert.match(list.stdout + list.stderr, /safe mode/);
        assert.deepEqual([await host.pid('one'), await host.pid('two')], pids);
        await assertLogsFlow(host, 'one');
        const refused = await host.proctor(['restart', 'one']);
        assert.notEqual(refused.code, 0);
        assert.match(refused.stderr, /safe mode.*proctor upgrade/);
        // What ends is recorded and waits.
        process.kill(pids[1], 'SIGKILL');
        await until('its end is known', async () => (await host.row('two')).pid === 0, 5000 * slow);
        await delay(500);
        assert.equal((await host.row('two')).pid, 0, 'nothing is spawned');
        await host.proctor(['upgrade'], { expectCode: 0 });
        await host.waitStatus('two', 'online');
        assert.equal(await host.pid('one'), pids[0]);
        assert.doesNotMatch((await host.proctor(['list'], { expectCode: 0 })).stdout, /safe mode/);
        await assertLogsFlow(host, 'one');
    });

    test('one that crashes also in safe mode is followed by the previous program, and so on: apps never notice', async t => {
        const host = startHost(t);
        await host.startApps([steady('one')]);
        const pid = await host.pid('one');
        for (let crash = 0; crash < 9; crash++) {
            const before = supervisor(host);
            process.kill(before, 'SIGABRT');
            await nextSupervisor(host, before);
        }
        await until('it answers', async () => (await host.proctor(['ping'])).code === 0, 15000 * slow);
        assert.equal(await host.pid('one'), pid);
        await assertLogsFlow(host, 'one');
    });

    for (let round = 0; round < 3; round++) {
        test(`garbage in a slot harms at most that instance (${round + 1})`, async t => {
            const host = startHost(t);
            const seed = newSeed();
            const random = chance(seed);
            t.diagnostic(`seed ${seed}`);
            await host.startApps([steady('hurt'), steady('well')]);
            const [hurt, well] = [await host.pid('hurt'), await host.pid('well')];
            const file = path.join(host.home, 'slots');
            const bytes = fs.readFileSync(file);
            // The name stands at 24 of the slot's 1024; pid and start time before it stay.
            const slot = bytes.indexOf(Buffer.from('hurt\0')) - 24;
            assert.ok(slot >= 0);
            const [from, to] = round === 0 ? [160, 1024] : [160 + Math.floor(random() * 400), 600 + Math.floor(random() * 424)];
            const garbage = Buffer.from(Array.from({ length: to - from }, () => Math.floor(random() * 256)));
            const fd = fs.openSync(file, 'r+');
            fs.writeSync(fd, garbage, 0, garbage.length, slot + from);
            fs.closeSync(fd);
            await replace(host);
            const pid = supervisor(host);
            await delay(1000);
            assert.equal(supervisor(host), pid, 'it does not crash');
            assert.equal(await host.pid('well'), well);
            await assertLogsFlow(host, 'well');
            // The pid was not hurt: it is not started a second time.
            assert.equal(await host.pid('hurt'), hurt);
            await replace(host);
            assert.deepEqual([await host.pid('hurt'), await host.pid('well')], [hurt, well]);
            assert.doesNotMatch(host.daemonLog(), /ended with signal (6|11)/);
            await host.proctor(['restart', 'hurt'], { expectCode: 0 });
            assert.ok(isAlive(await host.pid('hurt')));
        });
    }

    test('a kept state that cannot be read: the file of the last write is there', async t => {
        const host = startHost(t);
        await host.startApps([steady('one'), steady('two')]);
        const pids = [await host.pid('one'), await host.pid('two')];
        await until('the state is on the disk', () => fs.existsSync(path.join(host.home, 'state.json')) &&
            /"two"/.test(fs.readFileSync(path.join(host.home, 'state.json'), 'utf8')));
        const [keeper] = pidsOf(host, 'proctor-keeper');
        const fds = fs.readdirSync(`/proc/${keeper}/fd`).map(fd => `/proc/${keeper}/fd/${fd}`);
        const state = fds.find(fd => /^\/memfd:state /.test(fs.readlinkSync(fd)));
        assert.ok(state, 'the keeper holds the state');
        fs.writeFileSync(state, '{"version": 1, "apps": [{"spec": 7}, ', { flag: 'r+' });
        await replace(host);
        assert.deepEqual([await host.pid('one'), await host.pid('two')], pids);
        await assertLogsFlow(host, 'two');
        await host.proctor(['restart', 'two'], { expectCode: 0 });
        assert.doesNotMatch(host.daemonLog(), /ended with signal (6|11)/);
    });
});
