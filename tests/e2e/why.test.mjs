// `proctor why`: how the last processes ended, who asked for it, what came of it.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { until } from '../lib/proc.mjs';

const steady = (name, more = {}) => ({ name, script: appFile('sleep.sh'), ...more });

async function exitsOf(host, target) {
    const { apps } = (await host.proctor(['why', target, '--json'], { expectCode: 0 })).json();
    return apps[0].exits;
}

// The ends of `target` once there are `count`.
const untilExits = (host, target, count) => until(`${count} ends of ${target}`, async () => {
    const exits = await exitsOf(host, target);
    return exits.length >= count && exits;
}, 10000 * slow);

function writeScript(host, name, text) {
    const file = path.join(host.work, name);
    fs.writeFileSync(file, text, { mode: 0o700 });
    return file;
}

test('an app that fails: code, what it said last, how often; given up in the end', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'crash', script: appFile('crash.js'), max_restarts: 3, min_uptime: 2000 }], { mayFail: true });
    await host.waitStatus('crash', 'errored', 20000);
    const exits = await untilExits(host, 'crash', 3);
    assert.deepEqual(exits.map(e => [e.code, e.cause, e.then, e.asked, e.oom]), [
        [1, 'failure', 'given up', false, 'no'], [1, 'failure', 'started again', false, 'no'], [1, 'failure', 'started again', false, 'no']]);
    for (const e of exits) {
        assert.match(e.stderr, /crash\.js was told to/);
        assert.ok(e.uptime_ms >= 0 && e.at_ms >= e.started_at_ms && e.pid > 0);
    }
    assert.equal(new Set(exits.map(e => e.pid)).size, 3);
    const { stdout } = await host.proctor(['why', 'crash'], { expectCode: 0 });
    assert.match(stdout, /^crash-0 is errored: gave up after 3 quick exits in a row/);
    assert.match(stdout, /exited with code 1 after .*; given up\n {6}\| /);
    assert.match(stdout, /\| .*crash\.js was told to/);
    const ends = text => text.match(/^ {2}\S+ \S+ {2}exited with code 1/gm).length;
    assert.equal(ends(stdout), 3);
    assert.equal(ends((await host.proctor(['why', 'crash', '-n', '1'], { expectCode: 0 })).stdout), 1);
});

test('who asked: a stop, a restart, a kill from outside, an app that would not go', async t => {
    const host = startHost(t);
    const deaf = writeScript(host, 'deaf.sh', '#!/bin/bash\ntrap "" INT TERM\nwhile :; do sleep 0.1; done\n');
    await host.startApps([steady('web'), { name: 'deaf', script: deaf, interpreter: 'none', kill_timeout: 200 }]);
    assert.deepEqual(await exitsOf(host, 'web'), []);
    assert.match((await host.proctor(['why', 'web'], { expectCode: 0 })).stdout, /^web-0 is online, for .*\n {2}no process of it has ended/);
    await host.proctor(['restart', 'web'], { expectCode: 0 });
    process.kill(await host.pid('web'), 'SIGKILL');
    await untilExits(host, 'web', 2);
    await host.waitStatus('web', 'online');
    await host.proctor(['stop', 'web', 'deaf'], { expectCode: 0 });
    const exits = await untilExits(host, 'web', 3);
    assert.deepEqual(exits.map(e => [e.cause, e.asked, e.then]),
        [['stop', true, 'stays down'], ['signal', false, 'started again'], ['restart', true, 'started again']]);
    assert.deepEqual([exits[1].signal, exits[1].signal_name, exits[1].code], [9, 'KILL', undefined]);
    const [end] = await exitsOf(host, 'deaf');
    assert.deepEqual([end.cause, end.forced, end.signal], ['stop', true, 9]);
    assert.match((await host.proctor(['why', 'deaf'], { expectCode: 0 })).stdout, /SIGKILL\) after .*stopped by a command, killed since it did not go; stays down/);
});

test('what is known outlives the supervisor, also an end while there was none; each is there once, the last eight', async t => {
    const host = startHost(t);
    await host.startApps([steady('web', { restart_delay: 50, max_restarts: 100 })]);
    for (let i = 0; i < 10; i++) {
        const pid = await until('it runs', async () => await host.pid('web'));
        if (i % 3 === 2)
            process.kill(await host.supervisorPid(), 'SIGKILL');
        process.kill(pid, 'SIGKILL');
        await until('that end is told', async () => (await exitsOf(host, 'web'))[0]?.pid === pid, 10000 * slow);
    }
    const exits = await exitsOf(host, 'web');
    assert.equal(exits.length, 8);
    assert.deepEqual(exits.map(e => e.seq), [10, 9, 8, 7, 6, 5, 4, 3]);
    assert.ok(exits.every(e => e.signal === 9 && e.cause === 'signal' && e.then === 'started again after a delay'), JSON.stringify(exits));
    await host.proctor(['delete', 'web'], { expectCode: 0 });
    await host.startApps([steady('web')]);
    assert.deepEqual(await exitsOf(host, 'web'), [], 'another app of that name begins anew');
});

test('without a supervisor, and without the app', async t => {
    const host = startHost(t);
    await host.proctor(['why', 'web'], { expectCode: 3 });
    await host.proctor(['why'], { expectCode: 2 });
    await host.startApps([steady('web')]);
    assert.match((await host.proctor(['why', 'wbe'], { expectCode: 1 })).stderr, /did you mean "web"/);
    await host.proctor(['why', 'web', '-n', 'x'], { expectCode: 2 });
});

// A memory cgroup of our own (v1, as root); null where there is none to be had.
function memoryGroup(t) {
    const folder = `/sys/fs/cgroup/memory/proctor-why-${process.pid}`;
    try {
        fs.mkdirSync(folder);
        fs.writeFileSync(path.join(folder, 'memory.limit_in_bytes'), String(64 << 20));
    } catch {
        return null;
    }
    t.after(() => {
        try {
            fs.rmdirSync(folder);
        } catch { /* somebody is in it still */ }
    });
    return folder;
}

test('the kernel kills for lack of memory', async t => {
    const group = memoryGroup(t);
    if (!group) {
        t.skip('no memory cgroup can be made here');
        return;
    }
    const host = startHost(t);
    const hog = writeScript(host, 'hog.sh', `#!/bin/bash\necho $$ > ${group}/cgroup.procs\n` +
        `exec ${process.execPath} -e "const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1));"\n`);
    await host.startApps([{ name: 'hog', script: hog, interpreter: 'none', autorestart: false }], { mayFail: true });
    const [end] = await untilExits(host, 'hog', 1);
    assert.equal(end.signal, 9);
    assert.equal(end.cause, 'memory');
    assert.match(end.oom, fs.existsSync('/dev/kmsg') && process.getuid() === 0 ? /^(yes|likely)$/ : /^likely$/);
    assert.match((await host.proctor(['why', 'hog'], { expectCode: 0 })).stdout, /lack of memory/);
});
