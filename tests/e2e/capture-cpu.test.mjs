// CPU profiles of real apps on each Node: what is in them, and that nothing stays behind.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { privateDirtyKb } from '../lib/crash.mjs';
import { appFile, slow, startHost, underAsan } from '../lib/host.mjs';
import { forEachNode, nodes, profilingEnv } from '../lib/nodes.mjs';
import { isAlive, listeningPorts, processTree, until } from '../lib/proc.mjs';
import { cpuShare, loadProfile } from '../lib/profile.mjs';

const PHASES = ['open', 'start', 'running', 'stopping', 'sending', 'stored'];

function checkRecord(record, node, app) {
    assert.equal(record.state, 'done');
    assert.equal(record.kind, 'cpu');
    assert.equal(record.app, app);
    assert.ok(record.node_version.replace('v', '').startsWith(`${node.major}.`), record.node_version);
    assert.match(record.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.deepEqual(record.phases.map(entry => entry.phase), PHASES);
    const times = record.phases.map(entry => entry.at_ms);
    assert.deepEqual(times, [...times].sort((a, b) => a - b), 'phases come in order');
    assert.ok(record.start_pause_us > 0, 'the pause was measured');
    assert.equal(record.error ?? null, null);
}

// What `node --cpu-prof` says about the same app: the share of its hot function once it has started.
async function cpuProfShare(node, host) {
    const folder = path.join(host.work, `cpu-prof-${node.major}`);
    const child = spawn(node.path, ['--cpu-prof', '--cpu-prof-interval', '1000', '--cpu-prof-dir', folder, appFile('cpu.js')], {
        env: { PATH: process.env.PATH, EXIT_MS: '2500', PROCTOR_HOME: host.home }, stdio: 'ignore',
    });
    await once(child, 'exit');
    return cpuShare(loadProfile(path.join(folder, fs.readdirSync(folder)[0])), 'hotLoop', 1000000);
}

test('a hot function has its share, on every Node, by FORCE_INSPECTOR with reload --update-env', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        await host.startApps([{ name: node.app, script: appFile('cpu.js'), interpreter: node.path }]);
        if (node.major === 8) {
            const refused = await host.capture('cpu', node.app);
            assert.equal(refused.code, 1);
            assert.match(refused.stderr + refused.stdout, /FORCE_INSPECTOR/);
        }
        await host.proctor(['reload', node.app, '--update-env'], { env: { FORCE_INSPECTOR: '1' }, expectCode: 0 });
        await host.waitLog(node.app, /listening[\s\S]*listening/);
        const pid = await host.pid(node.app);
        const before = host.ports(pid);
        const { code, record, profile, stderr } = await host.capture('cpu', node.app, { args: ['--interval', '1ms'] });
        const after = host.ports(pid);
        assert.equal(code, 0, stderr);
        checkRecord(record, node, node.app);
        assert.equal(record.pid, pid);
        assert.equal(record.interval_us, 1000);
        assert.deepEqual(record.warnings ?? [], []);
        assert.deepEqual(after, before, 'no port is open that was not open before');
        const share = cpuShare(profile, 'hotLoop');
        assert.ok(share >= 0.6, `hotLoop has ${share}`);
        if (node.major >= 12) {
            const other = await cpuProfShare(node, host);
            assert.ok(Math.abs(other - share) <= 0.1, `${share} by us, ${other} by --cpu-prof`);
        }
        assert.equal(await host.pid(node.app), pid, 'the app has not been restarted');
        assert.equal(host.log(node.app, 'err'), '', 'stderr holds nothing of ours');
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
    host.assertNoUuid();
});

test('inside while (1), on every Node', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('blocked.js'), interpreter: node.path, env: profilingEnv(node.major),
        }]);
        await host.waitLog(node.app, /blocked/);
        const pid = await host.pid(node.app);
        const { code, record, profile, stderr } = await host.capture('cpu', node.app);
        const ports = listeningPorts(pid);
        assert.equal(code, 0, stderr);
        checkRecord(record, node, node.app);
        const share = cpuShare(profile, 'hotLoop');
        assert.ok(share >= 0.6, `hotLoop has ${share}`);
        // Node 8 cannot close its port while the loop does not turn.
        assert.deepEqual(record.warnings ?? [], node.major === 8 ? ['port_left_open'] : []);
        assert.equal(ports.length, node.major === 8 ? 1 : 0);
        assert.equal(await host.pid(node.app), pid);
        assert.equal(host.log(node.app, 'err'), '');
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

// Node notes the signal twice: for the blocked thread, and for the loop when it turns.  Then the inspector opens again,
// on another port.
test('when a loop that was blocked turns, the port of Node 8 is closed and none stays open, on every Node', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('blocked.js'), interpreter: node.path,
            env: { BLOCK_MS: String(4000 * slow), ...profilingEnv(node.major) },
        }]);
        await host.waitLog(node.app, /blocked/);
        const pid = await host.pid(node.app);
        const { code, record, stderr } = await host.capture('cpu', node.app, { duration: '300ms' });
        assert.equal(code, 0, stderr);
        assert.deepEqual(record.warnings ?? [], node.major === 8 ? ['port_left_open'] : []);
        assert.doesNotMatch(host.log(node.app), /turning/, 'the loop was still blocked');
        await host.waitLog(node.app, /turning/);
        // The app is idle now; what opens again does so within milliseconds, and is to be closed soon.
        const quietSince = { at: Date.now() };
        await until('no port for a second', () => {
            if (listeningPorts(pid).length > 0)
                quietSince.at = Date.now();
            return Date.now() - quietSince.at > 1000;
        }, 10000 * slow);
        assert.equal(await host.pid(node.app), pid);
        assert.equal(host.log(node.app, 'err'), '');
        const again = await host.capture('cpu', node.app, { duration: '300ms' });
        assert.equal(again.code, 0, again.stderr);
        assert.deepEqual(listeningPorts(pid), []);
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('an app with cluster workers of its own: workers live, primary and worker are profiled, on every Node', async t => {
    const host = startHost(t);
    await forEachNode(nodes, async node => {
        await host.startApps([{
            name: node.app, script: appFile('cluster.js'), interpreter: node.path, env: profilingEnv(node.major),
        }]);
        await host.waitLog(node.app, /listening[\s\S]*listening/);
        const pid = await host.pid(node.app);
        const worker = Number(/worker (\d+) listening/.exec(host.log(node.app))[1]);
        assert.equal(processTree(pid).length, 3);
        const before = host.ports(pid);
        const primary = await host.capture('cpu', node.app);
        assert.equal(primary.code, 0, primary.stderr);
        assert.ok(cpuShare(primary.profile, 'hotLoop') >= 0.6, `hotLoop has ${cpuShare(primary.profile, 'hotLoop')}`);
        const child = await host.capture('cpu', node.app, { args: ['--pid', String(worker)] });
        assert.equal(child.code, 0, child.stderr);
        assert.equal(child.record.pid, worker);
        const share = cpuShare(child.profile, 'workerLoop');
        assert.ok(share >= 0.6, `workerLoop has ${share}`);
        assert.deepEqual(host.ports(pid), before, 'all live, and no port is open that was not open before');
        assert.doesNotMatch(host.log(node.app), /died/);
        assert.equal(host.log(node.app, 'err'), '');
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('an ES module, on every Node from 12, with FORCE_INSPECTOR in env', async t => {
    const host = startHost(t);
    await forEachNode(nodes.filter(node => node.major >= 12), async node => {
        await host.startApps([{
            name: node.app, script: appFile('esm.mjs'), interpreter: node.path, env: { FORCE_INSPECTOR: '1' },
        }]);
        await host.waitLog(node.app, /listening/);
        const { code, record, profile, stderr } = await host.capture('cpu', node.app);
        assert.equal(code, 0, stderr);
        checkRecord(record, node, node.app);
        const share = cpuShare(profile, 'hotLoop');
        assert.ok(share >= 0.6, `hotLoop has ${share}`);
        assert.equal(host.log(node.app, 'err'), '');
        await host.proctor(['delete', node.app], { expectCode: 0 });
    });
});

test('Ctrl-C stops a capture and keeps it', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js') }]);
    await host.waitLog('app', /listening/);
    const kept = host.startCapture('cpu', 'app', { duration: '60s' });
    await kept.gather();
    kept.interrupt();
    const one = await kept.finish();
    assert.equal(one.code, 0, one.stderr);
    assert.equal(one.record.state, 'done');
    assert.ok(cpuShare(one.profile, 'hotLoop') > 0.3);
});

test('a capture without a duration runs until it is stopped, and can be stopped or cancelled from elsewhere', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js') }]);
    await host.waitLog('app', /listening/);
    const pid = await host.pid('app');
    const before = host.ports(pid);
    const running = async () => (await host.captures()).find(record => record.phase === 'running');

    const first = host.startCapture('cpu', 'app', { duration: null });
    await first.gather();
    await host.proctor(['captures', 'stop', (await running()).id], { expectCode: 0 });
    const stopped = await first.finish();
    assert.equal(stopped.code, 0, stopped.stderr);
    assert.ok(cpuShare(stopped.profile, 'hotLoop') > 0.3);

    const second = host.startCapture('cpu', 'app', { duration: null });
    await second.waitPhase('running');
    await host.proctor(['captures', 'cancel', (await running()).id], { expectCode: 0 });
    const cancelled = await second.finish();
    assert.equal(cancelled.code, 1);
    assert.equal(cancelled.record.state, 'cancelled');
    assert.equal(cancelled.profile, null);
    assert.deepEqual(host.ports(pid), before);

    const all = await host.captures();
    assert.equal(all.length, 2);
    const { stdout } = await host.proctor(['captures'], { expectCode: 0 });
    assert.match(stdout, /cancelled/);
});

test('two captures of one process at a time: the second is told that it is busy', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js') }]);
    await host.waitLog('app', /listening/);
    const first = host.startCapture('cpu', 'app', { duration: '3s' });
    await first.waitPhase('running');
    const second = await host.capture('cpu', 'app');
    assert.equal(second.code, 1);
    assert.match(second.stdout + second.stderr, /BUSY|busy/);
    assert.equal((await first.finish()).record.state, 'done');
});

test('without -o the file is named after app, instance, kind and time; top reads it', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js') }]);
    await host.waitLog('app', /listening/);
    const { stderr } = await host.proctor(['profile', 'cpu', 'app', '-d', '1s'], { timeout: 30000, expectCode: 0 });
    for (const phase of ['running', 'stored'])
        assert.match(stderr, new RegExp(phase));
    const files = fs.readdirSync(host.work).filter(name => /^app-0-cpu-.*\.cpuprofile$/.test(name));
    assert.equal(files.length, 1, fs.readdirSync(host.work).join(' '));
    const { stdout } = await host.proctor(['top', files[0]], { expectCode: 0 });
    assert.match(stdout.split('\n').slice(0, 6).join('\n'), /hotLoop/);
});

test('captures leave no memory behind in the agent', { skip: underAsan && 'its memory is not ours' }, async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js') }]);
    await host.waitLog('app', /listening/);
    const agent = (await host.proctor(['ping', '--json'], { expectCode: 0 })).json().agent_pid;
    for (let i = 0; i < 8; i++)
        assert.equal((await host.capture('cpu', 'app', { duration: '300ms' })).record.state, 'done');
    assert.ok(privateDirtyKb(agent) < 3000, `${privateDirtyKb(agent)} kB`);
});

test('restart and stop in the middle of a capture are not held up by it', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js') }]);
    for (const verb of ['restart', 'stop']) {
        await host.waitLog('app', /listening/);
        const pid = await host.pid('app');
        const capture = host.startCapture('cpu', 'app', { duration: '60s' });
        await capture.waitPhase('running');
        const began = Date.now();
        await host.proctor([verb, 'app'], { expectCode: 0 });
        assert.ok(!isAlive(pid));
        assert.ok(Date.now() - began < 6000 * slow, `${verb} took ${Date.now() - began} ms`);
        const { record, profile } = await capture.finish();
        assert.equal(record.state, 'partial', JSON.stringify(record));
        assert.equal(record.reason, 'app_stop');
        assert.ok(profile.nodes.length > 0);
    }
});
