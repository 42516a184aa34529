// What cannot or must not be profiled is refused with the reason, and what is odd is survived.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import http from 'node:http';
import { once } from 'node:events';
import { appFile, forgedUuid, slow, startHost } from '../lib/host.mjs';
import { attach, listTargets } from '../lib/inspector.mjs';
import { stderrText } from '../lib/lines.mjs';
import { forEachNode, nodePath, nodes, profilingEnv } from '../lib/nodes.mjs';
import { isAlive, listeningPorts, processTree, until } from '../lib/proc.mjs';
import { cpuShare } from '../lib/profile.mjs';

const has = major => nodes.some(node => node.major === major);
const errorOf = ({ record, stderr }) => `${record?.error?.name} ${record?.error?.message} ${stderr}`;

test('an app with its own SIGUSR1 handler gets one signal, and we get a clear answer, on every Node', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('own-sigusr1.js'), interpreter: node.path, env: profilingEnv(node.major),
        }]);
        await host.waitLog(node.app, /ready/);
        const pid = await host.pid(node.app);
        const result = await host.capture('cpu', node.app);
        assert.equal(result.code, 1);
        assert.equal(result.record.state, 'failed');
        assert.equal(result.record.phase, 'open');
        assert.equal(result.record.error.name, 'NO_LISTEN');
        assert.match(result.record.error.message, /SIGUSR1/);
        assert.equal(result.profile, null);
        assert.deepEqual(host.log(node.app).match(/SIGUSR1 \d+/g), ['SIGUSR1 1']);
        assert.equal(await host.pid(node.app), pid);
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('a shell wrapper, Node 9 and a program that is not Node are refused without a signal', async t => {
    const host = startHost(t);
    await host.startApps([
        { name: 'wrapper', script: appFile('wrapper.sh'), interpreter: '/bin/sh', env: { WRAPPED_NODE: nodePath(20) } },
        { name: 'nine', script: appFile('cpu.js'), interpreter: nodePath(9) },
        { name: 'nine-forced', script: appFile('cpu.js'), interpreter: nodePath(9), env: { FORCE_INSPECTOR: '1' } },
        { name: 'plain', script: appFile('sleep.sh'), interpreter: '/bin/sh' },
    ]);
    await host.waitLog('wrapper', /listening/);
    await host.waitLog('nine', /listening/);
    await host.waitLog('nine-forced', /listening/);
    await host.waitLog('plain', /ready/);
    for (const [name, pattern] of [['wrapper', /UNSUPPORTED_VERSION|NO_SIGNAL/], ['nine', /UNSUPPORTED_VERSION.*\b9\b/s],
        ['nine-forced', /UNSUPPORTED_VERSION.*\b9\b/s], ['plain', /UNSUPPORTED_VERSION|NO_SIGNAL/]]) {
        const pid = await host.pid(name);
        const tree = processTree(pid);
        const result = await host.capture('cpu', name);
        assert.equal(result.code, 1, result.stdout);
        assert.match(errorOf(result), pattern);
        // SIGUSR1 would have ended the shells, and opened a port in Node 9.
        assert.ok(isAlive(pid), `${name} lives`);
        assert.ok(tree.filter(one => one === pid || name === 'wrapper').every(isAlive));
        for (const one of processTree(pid))
            assert.ok(listeningPorts(one).length <= 1, `${name} has no port but its own`);
        assert.equal((await host.row(name)).pm2_env.restart_time, 0);
    }
});

test('the node child of a shell wrapper is not ours to signal either', async t => {
    const host = startHost(t);
    await host.startApps([
        { name: 'wrapper', script: appFile('wrapper.sh'), interpreter: '/bin/sh', env: { WRAPPED_NODE: nodePath(20) } },
    ]);
    await host.waitLog('wrapper', /listening/);
    const [shell, child] = processTree(await host.pid('wrapper'));
    const result = await host.capture('cpu', 'wrapper', { args: ['--pid', String(child)] });
    assert.equal(result.code, 1);
    assert.ok(isAlive(shell) && isAlive(child));
    assert.equal(listeningPorts(child).length, 1);
});

test('a pid that is no process of the app is refused', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js') }]);
    await host.waitLog('app', /listening/);
    const result = await host.capture('cpu', 'app', { args: ['--pid', String(process.pid)] });
    assert.equal(result.code, 1);
    assert.match(errorOf(result), new RegExp(String(process.pid)));
});

test('"profiling": false is kept', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js'), profiling: false }]);
    await host.waitLog('app', /listening/);
    const result = await host.capture('cpu', 'app');
    assert.ok(result.code === 1 || result.code === 4);
    assert.match(errorOf(result), /profiling/);
    assert.equal(listeningPorts(await host.pid('app')).length, 1);
});

test('"profiling": "always" has its port open from the start, and a capture leaves it open', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js'), profiling: 'always' }]);
    await host.waitLog('app', /listening/);
    const pid = await host.pid('app');
    const before = await until('both ports', () => listeningPorts(pid).length === 2 && listeningPorts(pid), 5000 * slow);
    for (let i = 0; i < 2; i++) {
        const { code, profile, stderr } = await host.capture('cpu', 'app');
        assert.equal(code, 0, stderr);
        assert.ok(cpuShare(profile, 'hotLoop') >= 0.6);
        assert.deepEqual(listeningPorts(pid), before);
    }
});

const forgedLine = port => `Debugger listening on ws://127.0.0.1:${port}/${forgedUuid}\n`;

// After forge.js has ended: all that it wrote is there, and nothing of the real inspector.
async function checkForgedLog(host, name, port) {
    const [, count] = await host.waitLog(name, /forged (\d+)\n/);
    const rest = host.log(name, 'err').split(forgedLine(port));
    assert.deepEqual(rest.filter(text => text), []);
    assert.equal(rest.length - 1, Number(count), 'no line of the app is lost');
}

test('a forged line for a port of somebody else is not followed, on every Node', async t => {
    const host = startHost(t);
    let connections = 0;
    const server = net.createServer(socket => { connections++; socket.destroy(); }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    await forEachNode(nodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('forge.js'), interpreter: node.path,
            env: { FORGE_PORT: String(server.address().port), ...profilingEnv(node.major) },
        }]);
        await host.waitLog(node.app, /forging/);
        const { code, profile, stderr } = await host.capture('cpu', node.app);
        assert.equal(code, 0, stderr);
        assert.ok(cpuShare(profile, 'hotLoop') >= 0.6);
        assert.deepEqual(listeningPorts(await host.pid(node.app)), []);
        await host.proctor(['stop', node.app], { expectCode: 0 });
        // What the app wrote itself is its own, also where it looks like Node's.
        await checkForgedLog(host, node.app, server.address().port);
    });
    assert.equal(connections, 0, 'nobody connected to the port of the forged line');
});

// What is told to the person is the truth: a good profile, or a failure with a sentence.
function checkGoodOrClear(result) {
    if (result.code === 0) {
        assert.equal(result.record.state, 'done');
        assert.ok(cpuShare(result.profile, 'hotLoop') >= 0.6);
        return;
    }
    assert.equal(result.record.state, 'failed', errorOf(result));
    assert.ok(result.record.error.message.length > 10, errorOf(result));
    assert.equal(result.profile, null);
}

// One of each way in which Node answers a client that it does not want.
const edgeNodes = nodes.filter(node => [8, 12, 20, 26].includes(node.major));
test('a forged line for a port of the app itself ends in a clear answer or in a good profile', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('forge.js') }]);
    const [, port] = await host.waitLog('app', /forging (\d+)/);
    const pid = await host.pid('app');
    checkGoodOrClear(await host.capture('cpu', 'app'));
    assert.ok(isAlive(pid));
    await until('only its own port is open', () => listeningPorts(pid).join() === port, 3000 * slow);
    await host.proctor(['stop', 'app'], { expectCode: 0 });
    await checkForgedLog(host, 'app', port);
});

test('a forged line immediately before Node\'s own, for a port of somebody else, is not followed', async t => {
    const host = startHost(t);
    let connections = 0;
    const server = net.createServer(socket => { connections++; socket.destroy(); }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    await forEachNode(edgeNodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('forge-first.js'), interpreter: node.path,
            env: { FORGE_PORT: String(server.address().port), ...profilingEnv(node.major) },
        }]);
        await host.waitLog(node.app, /ready/);
        const result = await host.capture('cpu', node.app, { duration: '500ms' });
        assert.equal(result.code, 0, errorOf(result));
        assert.ok(cpuShare(result.profile, 'hotLoop') >= 0.6);
        assert.deepEqual(listeningPorts(await host.pid(node.app)), []);
        await host.proctor(['stop', node.app], { expectCode: 0 });
        assert.equal(host.log(node.app, 'err'), forgedLine(server.address().port));
    });
    assert.equal(connections, 0, 'nobody connected to the port of the forged line');
});

test('a forged line immediately before Node\'s own, for the inspector\'s own port, ends well or clearly', async t => {
    const host = startHost(t);
    await forEachNode(edgeNodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('forge-first.js'), interpreter: node.path, env: profilingEnv(node.major),
        }]);
        await host.waitLog(node.app, /ready/);
        const pid = await host.pid(node.app);
        const result = await host.capture('cpu', node.app, { duration: '500ms' });
        checkGoodOrClear(result);
        assert.ok(isAlive(pid));
        if (!result.record.warnings?.includes('port_left_open'))
            await until(`no inspector is open (${errorOf(result)})`, () => listeningPorts(pid).length === 0, 3000 * slow);
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('the user\'s own --inspect stays open after a capture, on every Node', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('cpu.js'), interpreter: node.path, node_args: '--inspect=127.0.0.1:0',
            env: profilingEnv(node.major),
        }]);
        await host.waitLog(node.app, /listening/);
        const pid = await host.pid(node.app);
        const before = await until('both ports', () => listeningPorts(pid).length === 2 && listeningPorts(pid), 5000 * slow);
        const result = await host.capture('cpu', node.app);
        assert.equal(result.code, 0, errorOf(result));
        assert.ok(cpuShare(result.profile, 'hotLoop') >= 0.6);
        assert.deepEqual(listeningPorts(pid), before, 'the user\'s port is the user\'s');
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('a second client on Node 10: it is left alone, the app goes on, and we say that the port is open', { skip: !has(10) }, async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js'), interpreter: nodePath(10) }]);
    const [, port] = await host.waitLog('app', /listening (\d+)/);
    const pid = await host.pid('app');
    const capture = host.startCapture('cpu', 'app', { duration: '2s' });
    await capture.waitPhase('running');
    const inspector = listeningPorts(pid).find(one => one !== Number(port));
    const [target] = (await listTargets(inspector)).list;
    const other = await attach(target.webSocketDebuggerUrl);
    t.after(() => other.destroy());
    assert.equal((await other.call('Runtime.evaluate', { expression: 'process.pid' })).result.value, pid);
    const { code, record, stderr } = await capture.finish();
    assert.equal(code, 0, stderr);
    assert.deepEqual(record.warnings, ['port_left_open']);
    assert.equal((await other.call('Runtime.evaluate', { expression: '6 * 7' })).result.value, 42);
    const answer = await new Promise((resolve, reject) => http.get({ host: '127.0.0.1', port, timeout: 5000 }, response => {
        response.resume();
        resolve(response.statusCode);
    }).on('error', reject));
    assert.equal(answer, 200);
    await other.destroy();
});

test('a client that was there before us on Node 8: we answer that it is busy', { skip: !has(8) }, async t => {
    const host = startHost(t);
    await host.startApps([{
        name: 'app', script: appFile('cpu.js'), interpreter: nodePath(8), node_args: '--inspect=127.0.0.1:0',
        env: { FORCE_INSPECTOR: '1' },
    }]);
    const [, port] = await host.waitLog('app', /listening (\d+)/);
    const pid = await host.pid('app');
    const inspector = await until('the inspector', () => listeningPorts(pid).find(one => one !== Number(port)), 5000 * slow);
    const [target] = (await listTargets(inspector)).list;
    const other = await attach(target.webSocketDebuggerUrl);
    t.after(() => other.destroy());
    const result = await host.capture('cpu', 'app');
    assert.equal(result.code, 1);
    assert.equal(result.record.error.name, 'BUSY');
    assert.equal((await other.call('Runtime.evaluate', { expression: '6 * 7' })).result.value, 42);
    await other.destroy();
});

test('while a capture runs on Node 12 and up, nobody else learns the address', { skip: !has(20) }, async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('heap.js'), interpreter: nodePath(20) }]);
    await host.waitLog('app', /ready/);
    const pid = await host.pid('app');
    const capture = host.startCapture('cpu', 'app', { duration: '1s' });
    await capture.waitPhase('running');
    const [inspector] = listeningPorts(pid);
    assert.equal((await listTargets(inspector)).status, 404);
    host.assertNoUuid();
    assert.equal((await capture.finish()).code, 0);
});

test('the policy refuses kinds, durations, apps and old Nodes with exit code 4, before anything is sent', async t => {
    const cases = [
        { policy: { kinds: ['heap'] }, pattern: /cpu/ },
        { policy: { max_duration: '2s' }, duration: '3s', pattern: /2/ },
        { policy: { apps: ['other'] }, pattern: /app/ },
        { policy: { legacy: false }, node: 10, pattern: /legacy/ },
    ];
    for (const { policy, duration = '1s', node = 20, pattern } of cases) {
        const host = startHost(t, { policy });
        await host.startApps([{ name: 'app', script: appFile('own-sigusr1.js'), interpreter: nodePath(node) }]);
        await host.waitLog('app', /ready/);
        const result = await host.capture('cpu', 'app', { duration });
        assert.equal(result.code, 4, `${JSON.stringify(policy)}: ${result.stdout}${result.stderr}`);
        assert.match(errorOf(result), pattern);
        assert.doesNotMatch(host.log('app'), /SIGUSR1/);
    }
});

test('a policy that cannot be read refuses every capture and says where', async t => {
    const host = startHost(t, { policy: { kinds: 'cpu' } });
    await host.startApps([{ name: 'app', script: appFile('own-sigusr1.js') }]);
    await host.waitLog('app', /ready/);
    const result = await host.capture('cpu', 'app');
    assert.equal(result.code, 4, errorOf(result));
    assert.match(errorOf(result), /policy\.json/);
    assert.doesNotMatch(host.log('app'), /SIGUSR1/);
});

test('stderr of the app is complete and without our lines, on every Node', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        for (const partial of ['0', '1']) {
            await host.startApps([{
                name: node.app, script: appFile('stderr.js'), interpreter: node.path, autorestart: false,
                env: { PARTIAL: partial, ...profilingEnv(node.major) },
            }]);
            await host.waitLog(node.app, /ready\n$/);
            const pid = await host.pid(node.app);
            for (let i = 0; i < 2; i++) {
                const { code, stderr } = await host.capture('cpu', node.app, { duration: '500ms' });
                assert.equal(code, 0, stderr);
            }
            process.kill(pid, 'SIGUSR2');
            await host.waitStatus(node.app, 'stopped');
            const [, count] = await host.waitLog(node.app, /wrote (\d+)\n$/);
            const text = host.log(node.app, 'err');
            const expected = stderrText(Number(count));
            const at = [...expected].findIndex((letter, i) => text[i] !== letter);
            assert.ok(text === expected, `PARTIAL=${partial}: differs at ${at}: ${JSON.stringify(text.slice(Math.max(0, at - 60), at + 120))}`);
            await host.proctor(['delete', node.app], { expectCode: 0 });
            for (const stream of ['out', 'err'])
                fs.rmSync(host.logFile(node.app, stream), { force: true });
        }
    });
});
