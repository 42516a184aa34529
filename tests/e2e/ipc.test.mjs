// The IPC channel of Node apps: it is there, it is Node's, and what goes over it is neither lost nor doubled.
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { nodes, nodePath } from '../lib/nodes.mjs';
import { until } from '../lib/proc.mjs';

const talker = (name, { major = 20, ...env } = {}) => ({ name, script: appFile('talker.js'), interpreter: nodePath(major), env });

async function ipcOf(host, name) {
    const { stdout } = await host.proctor(['describe', name, '--json'], { expectCode: 0 });
    return JSON.parse(stdout).apps[0].ipc ?? null;
}

async function trigger(host, ...args) {
    const { stdout } = await host.proctor(['trigger', ...args, '--json'], { expectCode: 0 });
    return JSON.parse(stdout).answers[0].return;
}

const hello = { Users: { value: 42, unit: 'people' }, 'Heap Size': { value: '5.73', unit: 'MiB' } };

describe('the IPC channel', { concurrency: 2 }, () => {
    test('every Node has process.send, and its children do not', async t => {
        const host = startHost(t);
        const tell = major => path.join(host.work, `tell-${major}.json`);
        await host.startApps(nodes.map(({ major }) => talker(`n${major}`, { major, TELL: tell(major) })));
        for (const { major } of nodes) {
            await host.waitLog(`n${major}`, /^ready$/m);
            assert.deepEqual(JSON.parse(fs.readFileSync(tell(major))),
                { send: 'function', connected: true, fd: null, mode: null, child: 'undefined' }, `Node ${major}`);
            const ipc = await until('the actions are there', async () => {
                const told = await ipcOf(host, `n${major}`);
                return told?.ready && told;
            });
            assert.deepEqual(ipc.metrics, hello);
            assert.equal(await trigger(host, `n${major}`, 'echo', 'a "b"\nc'), 'a "b"\nc');
            assert.equal((await ipcOf(host, `n${major}`)).messages, await trigger(host, `n${major}`, 'count') - 1);
        }
    });

    test('an app that does not listen ends as without it, and a program that is no Node has none', async t => {
        const host = startHost(t);
        await host.startApps([
            { ...talker('ends', { LISTEN: '0' }), autorestart: false },
            { name: 'shell', script: appFile('sleep.sh') },
        ]);
        assert.equal((await host.waitStatus('ends', 'stopped')).pm2_env.exit_code, 0);
        assert.equal(await ipcOf(host, 'shell'), null);
        const environ = fs.readFileSync(`/proc/${await host.pid('shell')}/environ`, 'latin1');
        assert.doesNotMatch(environ, /NODE_CHANNEL/);
        const { code, stderr } = await host.proctor(['trigger', 'shell', 'echo']);
        assert.equal(code, 1);
        assert.match(stderr, /shell-0: it has no IPC channel: actions are for Node apps/);
    });

    test('trigger: answers, unknown actions, silence, an end in the middle', async t => {
        const host = startHost(t);
        await host.startApps([{ ...talker('talk'), instances: 2 }]);
        await until('both are ready', async () => (await ipcOf(host, 'talk-0'))?.ready && (await ipcOf(host, 'talk-1'))?.ready);
        const { stdout } = await host.proctor(['trigger', 'talk', 'echo', '7'], { expectCode: 0 });
        assert.equal(stdout, 'talk-0: "7"\ntalk-1: "7"\n');
        const unknown = await host.proctor(['trigger', 'talk-0', 'fly']);
        assert.equal(unknown.code, 1);
        assert.match(unknown.stderr, /talk-0: it has no action 'fly'; it has: count, echo, /);
        const silent = await host.proctor(['trigger', 'talk-0', 'silent', '--timeout', '300ms']);
        assert.equal(silent.code, 1);
        assert.match(silent.stderr, /talk-0: no answer in time/);
        const before = await host.pid('talk', 1);
        const dying = host.proctor(['trigger', 'talk-1', 'silent', '--timeout', '20s']);
        await until('it waits', async () => (await host.proctor(['ping'])).code === 0);
        setTimeout(() => process.kill(before, 'SIGKILL'), 200);
        assert.match((await dying).stderr, /talk-1: its process ended before it answered/);
        assert.equal((await host.proctor(['trigger', 'nobody', 'echo'])).code, 1);
        assert.equal((await host.proctor(['trigger', 'talk', 'echo', '--timeout', 'soon'])).code, 2);
        await until('the next process has told its actions', async () => (await ipcOf(host, 'talk-1'))?.ready);
        assert.equal((await trigger(host, 'talk-1', 'big', '600')).length, 600);
        const big = await host.proctor(['trigger', 'talk-1', 'big', String(300 * 1024)]);
        assert.match(big.stderr, /talk-1: its answer is longer than 256 KiB/);
        const long = await host.proctor(['trigger', 'talk-1', 'big', String((1 << 20) + 1), '--timeout', '2s']);
        assert.match(long.stderr, /talk-1: no answer in time/);
        await until('it is said', () => /talk-1: a line on its IPC channel is longer than 1048576 bytes/.test(host.daemonLog()));
        assert.match((await host.proctor(['describe', 'talk-0'], { expectCode: 0 })).stdout, /metric +Heap Size: 5\.73 MiB/);
    });

    test('an app may close its end', async t => {
        const host = startHost(t);
        await host.startApps([talker('leaves')]);
        await until('it is ready', async () => (await ipcOf(host, 'leaves'))?.ready);
        const pid = await host.pid('leaves');
        await trigger(host, 'leaves', 'disconnect');
        // Nothing else holds it.
        await until('it has ended and begun again', async () => {
            const now = await host.pid('leaves');
            return now !== 0 && now !== pid;
        });
    });

    test('an app that floods does not keep the others waiting', async t => {
        const host = startHost(t);
        fs.writeFileSync(path.join(host.work, 'flood.js'), `
            const burst = () => { for (let i = 0; i < 2000; i++) process.send({ type: 'process:msg', data: { i } }); setImmediate(burst); };
            console.log('ready'); burst();`);
        fs.writeFileSync(path.join(host.work, 'deaf.js'), `
            process.on('message', () => {}); console.log('ready');
            process.send({ type: 'axm:action', data: { action_name: 'echo' } }, () => { for (;;); });`);
        await host.startApps([
            { name: 'flood', script: path.join(host.work, 'flood.js'), interpreter: nodePath(20), node_args: ['--max-old-space-size=200'], autorestart: false },
            talker('talk'),
            { name: 'deaf', script: path.join(host.work, 'deaf.js'), interpreter: nodePath(20) },
        ]);
        await until('it is ready', async () => (await ipcOf(host, 'talk'))?.ready);
        for (let i = 0; i < 5; i++) {
            const begin = performance.now();
            await trigger(host, 'talk', 'echo', String(i));
            assert.ok(performance.now() - begin < 3000 * slow, 'an answer within 3 s');
        }
        await host.proctor(['stop', 'flood'], { expectCode: 0 });
        // What does not fit into the socket and our queue is refused, with the reason.
        await until('the action is known', async () => (await ipcOf(host, 'deaf'))?.actions);
        const filler = 'x'.repeat(11000);
        const sent = Array.from({ length: 60 }, () => host.proctor(['trigger', 'deaf', 'echo', filler, '--timeout', '2s']));
        const errors = (await Promise.all(sent)).map(run => run.stderr);
        assert.ok(errors.some(text => /deaf-0: it does not read its messages/.test(text)), errors.join(''));
    });

    // An answer too many ends the app (an assertion of Node's), one too few is waited for for ever.
    test('sockets that an app sends along are each answered once, also over kill -9', async t => {
        const host = startHost(t);
        const script = path.join(host.work, 'handles.js');
        fs.writeFileSync(script, `
            process.on('message', () => {});
            let n = 0;
            (function next() {
                const server = require('net').createServer();
                server.listen(0, '127.0.0.1', () => process.send({ n: n++ }, server, () => {
                    server.close();
                    n < 200 ? setTimeout(next, 5) : console.log('all');
                }));
            })();`);
        await host.startApps([{ name: 'handles', script, interpreter: nodePath(20) }]);
        for (let i = 0; i < 5; i++) {
            const before = await host.supervisorPid();
            process.kill(before, 'SIGKILL');
            await until('a supervisor answers', async () => (await host.proctor(['ping'])).code === 0);
        }
        await host.waitLog('handles', /all/);
        assert.equal((await host.row('handles')).pm2_env.restart_time, 0);
    });

    test('kill -9 of the supervisor: no disconnect, nothing lost, nothing doubled, an action asked once', async t => {
        const host = startHost(t);
        await host.startApps([talker('talk', { EVERY_MS: '1' }), talker('old', { major: 8, EVERY_MS: '1' })]);
        for (const name of ['talk', 'old'])
            await until('it is ready', async () => (await ipcOf(host, name))?.ready);
        const pids = [await host.pid('talk'), await host.pid('old')];
        const asked = [];
        for (let round = 0; round < 8; round++) {
            const note = host.proctor(['trigger', 'talk', 'note', String(round), '--json']);
            asked.push(note);
            if (round % 2)
                await note;
            process.kill(await host.supervisorPid(), 'SIGKILL');
            await until('a supervisor answers', async () => (await host.proctor(['ping'])).code === 0);
        }
        for (const run of await Promise.all(asked))
            assert.equal(run.code, 0, run.stderr);
        assert.deepEqual([await host.pid('talk'), await host.pid('old')], pids);
        assert.deepEqual((await trigger(host, 'talk', 'got')).sort(), Array.from({ length: 8 }, (_, i) => String(i)));
        for (const name of ['talk', 'old']) {
            const sent = await trigger(host, name, 'pause');
            assert.equal((await ipcOf(host, name)).messages, sent, name);
            assert.deepEqual((await ipcOf(host, name)).actions.includes('echo'), true);
            assert.doesNotMatch(host.log(name), /disconnect/);
        }
    });
});
