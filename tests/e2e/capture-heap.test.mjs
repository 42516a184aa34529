// Sampled heap profiles of real apps on each Node.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { forEachNode, nodes, profilingEnv } from '../lib/nodes.mjs';
import { isAlive, listeningPorts, processTree, until } from '../lib/proc.mjs';
import { heapTop } from '../lib/profile.mjs';

function checkHeap({ code, record, profile, stderr }) {
    assert.equal(code, 0, stderr);
    assert.equal(record.state, 'done');
    assert.equal(record.kind, 'heap');
    const [[name, bytes]] = heapTop(profile);
    assert.equal(name, 'plantedAllocator', JSON.stringify(heapTop(profile).slice(0, 3)));
    assert.ok(bytes > 500000, `${bytes} bytes`);
}

test('a planted allocator is first, on every Node, with FORCE_INSPECTOR in env', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('heap.js'), interpreter: node.path, env: { FORCE_INSPECTOR: '1' },
        }]);
        await host.waitLog(node.app, /ready/);
        const pid = await host.pid(node.app);
        const result = await host.capture('heap', node.app, { args: ['--interval', '64KB'] });
        assert.deepEqual(listeningPorts(pid), []);
        checkHeap(result);
        assert.equal(result.record.interval_bytes, 65536);
        assert.equal(await host.pid(node.app), pid);
        assert.equal(host.log(node.app, 'err'), '');
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('inside while (1), on every Node', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('heap-blocked.js'), interpreter: node.path, env: profilingEnv(node.major),
        }]);
        await host.waitLog(node.app, /blocked/);
        const pid = await host.pid(node.app);
        const result = await host.capture('heap', node.app, { args: ['--interval', '64KB'] });
        checkHeap(result);
        assert.deepEqual(result.record.warnings ?? [], node.major === 8 ? ['port_left_open'] : []);
        assert.equal(listeningPorts(pid).length, node.major === 8 ? 1 : 0);
        assert.ok(isAlive(pid));
        assert.equal(host.log(node.app, 'err'), '');
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('an app with cluster workers of its own, on every Node', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('cluster.js'), interpreter: node.path, env: profilingEnv(node.major),
        }]);
        await host.waitLog(node.app, /listening[\s\S]*listening/);
        const pid = await host.pid(node.app);
        const before = host.ports(pid);
        assert.equal(processTree(pid).length, 3);
        checkHeap(await host.capture('heap', node.app, { args: ['--interval', '64KB'] }));
        assert.deepEqual(host.ports(pid), before, 'all live, and no port is open that was not open before');
        assert.doesNotMatch(host.log(node.app), /died/);
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('an ES module, on every Node from 12', async t => {
    const host = startHost(t);
    await forEachNode(nodes.filter(node => node.major >= 12), async node => {
        await host.startApps([{ name: node.app, script: appFile('esm.mjs'), interpreter: node.path }]);
        await host.waitLog(node.app, /listening/);
        checkHeap(await host.capture('heap', node.app, { args: ['--interval', '64KB'] }));
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('the file is named after what it is, and top reads it', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('heap.js') }]);
    await host.waitLog('app', /ready/);
    await host.proctor(['profile', 'heap', 'app', '-d', '1s'], { timeout: 30000, expectCode: 0 });
    const file = fs.readdirSync(host.work).find(name => /^app-0-heap-.*\.heapprofile$/.test(name));
    assert.ok(file, fs.readdirSync(host.work).join(' '));
    const { stdout } = await host.proctor(['top', file], { expectCode: 0 });
    assert.match(stdout.split('\n').slice(0, 6).join('\n'), /plantedAllocator/);
});

test('a heap capture can be stopped early', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('heap.js') }]);
    await host.waitLog('app', /ready/);
    const capture = host.startCapture('heap', 'app', { duration: '60s', args: ['--interval', '64KB'] });
    await capture.waitPhase('running');
    capture.interrupt();
    const { code, record } = await capture.finish(10000 * slow);
    assert.equal(code, 0);
    assert.match(record.state, /^(done|partial)$/);
    await until('no port is open', async () => listeningPorts(await host.pid('app')).length === 0, 1000 * slow);
});
