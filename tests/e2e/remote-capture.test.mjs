// The main job over a network: choose processes of several hosts at the console, profile them, read what came out.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { startConsole, uuid7 } from '../lib/console.mjs';
import { until } from '../lib/proc.mjs';

const sha256 = data => createHash('sha256').update(data).digest('hex');
const cpuApp = (name, more = {}) => ({ name, script: appFile('cpu.js'), ...more });
const heapApp = (name, more = {}) => ({ name, script: appFile('heap.js'), ...more });
const fakeApp = (name, env) => ({ name, script: appFile('fake-inspector.js'), env });

async function linked(t, console_, apps, options) {
    const host = startHost(t, options);
    await host.startApps(apps);
    await console_.link(host);
    return host;
}

test('two hosts, three apps: cpu and heap at the same time, read as tables and trees', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [cpuApp('api'), heapApp('store')]);
    const b = await linked(t, c, [cpuApp('web')]);
    await c.waitProcess(a.id, 'api');
    await c.waitProcess(a.id, 'store', 'heap');
    await c.waitProcess(b.id, 'web');

    const cpu = await c.capture([{ host: a.id, app: 'api' }, { host: b.id, app: 'web' }], { duration_ms: 1500 });
    const [heap] = await c.capture([{ host: a.id, app: 'store' }], { kind: 'heap', duration_ms: 1500 });
    assert.equal(cpu.length, 2);
    assert.notEqual(cpu[0].id, cpu[1].id);
    const ends = await Promise.all([...cpu, heap].map(one => c.waitEnd(one.id, 'done')));
    for (const end of ends) {
        assert.equal(end.profile, end.id);
        assert.deepEqual(end.phases.map(one => one.phase).slice(0, 3), ['open', 'start', 'running']);
        const raw = await c.raw(end.id);
        assert.equal(raw.status, 200);
        assert.equal(raw.data.length, end.bytes);
        const { body: { profile } } = await c.api('GET', `profiles/${end.id}`, { role: 'viewer' });
        assert.equal(profile.sha256, sha256(raw.data));
        const parsed = JSON.parse(raw.data);
        assert.ok(end.kind === 'cpu' ? parsed.samples.length > 10 : parsed.head);
    }
    // The bytes are the host's own.
    for (const [host, end] of [[a, ends[0]], [b, ends[1]]]) {
        const file = `${host.work}/own-${end.id}`;
        await host.proctor(['captures', 'get', end.id, '-o', file], { expectCode: 0 });
        const { readFileSync } = await import('node:fs');
        assert.equal(sha256(readFileSync(file)), sha256((await c.raw(end.id)).data));
    }

    const top = (await c.api('GET', `profiles/${ends[0].id}/top`, { role: 'viewer' })).body;
    assert.equal(top.kind, 'cpu');
    assert.ok(top.functions.length > 0 && top.functions[0].self >= top.functions.at(-1).self);
    assert.ok(top.functions.some(one => /cpu\.js$/.test(one.url)), 'the app is in its own profile');
    const byTotal = (await c.api('GET', `profiles/${ends[0].id}/top?sort=total`, { role: 'viewer' })).body;
    assert.ok(byTotal.functions[0].total >= byTotal.functions.at(-1).total);
    const tree = (await c.api('GET', `profiles/${ends[0].id}/tree`, { role: 'viewer' })).body;
    assert.equal(tree.nodes[0][0], -1);
    assert.ok(tree.nodes.every(([parent], i) => parent < i));
    assert.equal(tree.nodes[0][3], tree.all - tree.idle);
    const heapTree = (await c.api('GET', `profiles/${heap.id}/tree`, { role: 'viewer' })).body;
    assert.equal(heapTree.unit, 'bytes');
    // Kept: the second time comes from the store, and is the same.
    assert.deepEqual((await c.api('GET', `profiles/${ends[0].id}/tree`, { role: 'viewer' })).body, tree);
});

test('code for which V8 names no file is not taken for native code', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [{ name: 'evaluated', script: appFile('evaluated.js') }]);
    await c.waitProcess(a.id, 'evaluated', 'heap');
    const [heap] = await c.capture([{ host: a.id, app: 'evaluated' }], { kind: 'heap', duration_ms: 1500 });
    await c.waitEnd(heap.id, 'done');
    const { functions } = (await c.api('GET', `profiles/${heap.id}/top`, { role: 'viewer' })).body;
    const [guilty] = functions;
    assert.deepEqual([guilty.function, guilty.url, guilty.role], ['evaluatedAllocator', '', 'no-file']);
    const tree = (await c.api('GET', `profiles/${heap.id}/tree`, { role: 'viewer' })).body;
    assert.equal(tree.functions.find(one => one.function === 'evaluatedAllocator').role, 'no-file');
    // What has a file, or a place of its own in V8, keeps what it had.
    assert.equal(tree.functions[0].role, 'root');
    assert.ok(functions.every(one => one.url === '' || one.role === ''));
});

test('manual stop keeps the result, cancel drops it', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [cpuApp('api', { instances: 2 })]);
    await c.waitProcess(a.id, 'api');
    const [kept] = await c.capture([{ host: a.id, app: 'api', instance: 0 }]);
    const [dropped] = await c.capture([{ host: a.id, app: 'api', instance: 1 }]);
    await c.waitPhase(kept.id, 'running');
    await c.waitPhase(dropped.id, 'running');
    await delay(300);
    await c.api('POST', `captures/${kept.id}/stop`);
    await c.api('POST', `captures/${dropped.id}/cancel`);
    const end = await c.waitEnd(kept.id, 'done');
    assert.equal(end.profile, kept.id);
    const cancelled = await c.waitEnd(dropped.id, 'cancelled');
    assert.equal(cancelled.profile, null);
    await c.api('GET', `profiles/${dropped.id}`, { status: 404 });
});

test('an order of several is stopped whole by its own id, and the same order twice is one', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [cpuApp('api', { instances: 2 })]);
    await c.waitProcess(a.id, 'api');
    const id = uuid7();
    const targets = [{ host: a.id, app: 'api', instance: 0 }, { host: a.id, app: 'api', instance: 1 }];
    const first = await c.capture(targets, { id });
    const again = await c.capture(targets, { id });
    assert.deepEqual(again.map(one => one.id).sort(), first.map(one => one.id).sort());
    for (const one of first)
        await c.waitPhase(one.id, 'running');
    await c.api('POST', `captures/${id}/stop`);
    for (const one of first)
        await c.waitEnd(one.id, 'done');
    const { body } = await c.api('GET', `captures?order=${id}`, { role: 'viewer' });
    assert.equal(body.captures.length, 2);
    await c.api('POST', 'captures', { body: { id, kind: 'heap', targets }, status: 409 });
});

test('an app that ends in the middle gives a partial result, a killed one a failure with its phase', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [cpuApp('api'), cpuApp('victim', { autorestart: false })]);
    await c.waitProcess(a.id, 'api');
    await c.waitProcess(a.id, 'victim');
    const [soft] = await c.capture([{ host: a.id, app: 'api' }], { duration_ms: 30000 });
    const [hard] = await c.capture([{ host: a.id, app: 'victim' }], { duration_ms: 30000 });
    await c.waitPhase(soft.id, 'running');
    await c.waitPhase(hard.id, 'running');
    await delay(300);
    process.kill(await a.pid('victim'), 'SIGKILL');
    await a.proctor(['stop', 'api'], { expectCode: 0 });
    const partial = await c.waitEnd(soft.id, 'partial');
    assert.equal(partial.reason, 'app_stop');
    const failed = await c.waitEnd(hard.id, 'failed');
    assert.equal(failed.error.name, 'APP_GONE');
    assert.equal(failed.phase, 'running');
});

test('what cannot be captured is told before, with the host\'s own sentence', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [cpuApp('api'), cpuApp('closed', { profiling: false })], { policy: { kinds: ['cpu'], roles: ['admin'] } });
    await c.waitProcess(a.id, 'api');
    const { body: { processes } } = await c.api('GET', 'processes', { role: 'viewer' });
    const closed = processes.find(one => one.app === 'closed');
    assert.notEqual(closed.kinds.cpu, '');
    const post = (app, kind, role, status) => c.api('POST', 'captures', {
        role, status, body: { id: uuid7(), kind, targets: [{ host: a.id, app, instance: 0 }], duration_ms: 300 },
    });
    assert.match((await post('closed', 'cpu', 'operator', 409)).body.error.message, /closed|profiling/);
    assert.match((await post('api', 'heap', 'operator', 409)).body.error.message, /heap/);
    await post('nobody', 'cpu', 'operator', 404);
    await post('api', 'cpu', 'viewer', 403);
    // The role is held against the host's policy by the supervisor itself.
    const { body } = await post('api', 'cpu', 'operator', 202);
    const refused = await c.waitEnd(body.captures[0].id, 'failed');
    assert.equal(refused.error.name, 'POLICY');
    assert.match(refused.error.message, /operator/);
    const allowed = await post('api', 'cpu', 'admin', 202);
    await c.waitEnd(allowed.body.captures[0].id, 'done');
});

test('a command for a host that is away expires, or is carried out when it comes back in time', async t => {
    const c = await startConsole(t, { proxy: true });
    const a = await linked(t, c, [cpuApp('api')]);
    await c.waitProcess(a.id, 'api');
    c.proxy.refuse = true;
    c.proxy.cut();
    await c.waitConnected(a.id, false);
    const [late] = await c.capture([{ host: a.id, app: 'api' }], { duration_ms: 300, wait_ms: 1000 });
    assert.match((await c.getCapture(late.id)).waiting, /to be connected/);
    const [patient] = await c.capture([{ host: a.id, app: 'api' }], { duration_ms: 300, wait_ms: 600000 });
    const [unwanted] = await c.capture([{ host: a.id, app: 'api' }], { duration_ms: 300, wait_ms: 600000 });
    await c.api('POST', `captures/${unwanted.id}/cancel`);
    await c.waitEnd(unwanted.id, 'cancelled');
    await c.waitEnd(late.id, 'expired');
    c.proxy.refuse = false;
    await c.waitEnd(patient.id, 'done', 90000);
});

test('processes are told as they change, without arguments or environment', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [cpuApp('api', { args: ['--secret-argument'], env: { SECRET_VALUE: 'secret-environment' } })]);
    const row = await c.waitProcess(a.id, 'api');
    assert.equal(row.pid, await a.pid('api'));
    assert.match(row.node_version, /^\d+\.\d+\.\d+$/);
    assert.ok(row.memory > 1e6 && row.uptime_ms > 0 && row.restarts === 0);
    await a.proctor(['stop', 'api'], { expectCode: 0 });
    await until('the console knows that it is stopped', async () => {
        const { text, body } = await c.api('GET', `processes?host=${a.id}`, { role: 'viewer' });
        assert.doesNotMatch(text, /secret-(argument|environment)/);
        return body.processes[0].status === 'stopped' && body.processes[0].kinds.cpu !== '';
    }, 10000 * slow);
    const { body } = await c.api('GET', 'hosts', { role: 'viewer' });
    assert.equal(body.hosts[0].connected, true);
    assert.equal(body.hosts[0].processes, 1);
});

test('a capture that is held in any phase ends within 30 s of its limit', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [fakeApp('fake', { HOLD: 'Profiler.stop' })]);
    await c.waitProcess(a.id, 'fake');
    const [held] = await c.capture([{ host: a.id, app: 'fake' }], { duration_ms: 500 });
    const began = Date.now();
    const end = await c.waitEnd(held.id, 'failed', 45000);
    assert.ok(Date.now() - began < 31000 * slow, 'in time');
    assert.ok(end.error.name && end.error.message && end.phase, JSON.stringify(end));
});

test('local captures stay local, and the console cannot touch them', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [cpuApp('api')]);
    const { record } = await a.capture('cpu', 'api', { duration: '300ms' });
    assert.equal(record.state, 'done');
    const { body } = await c.api('GET', 'captures', { role: 'viewer' });
    assert.deepEqual(body.captures, []);
    await c.api('POST', `captures/${record.id}/cancel`, { status: 404 });
});
