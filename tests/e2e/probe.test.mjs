// proctor-probe alone: the real program, driven over its control socketpair as proctord does it, against real Node
// processes of every version and against inspectors that misbehave.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { attach, listTargets } from '../lib/inspector.mjs';
import { forEachNode, nodes } from '../lib/nodes.mjs';
import { isAlive, listeningPorts, memoryOf, until } from '../lib/proc.mjs';
import { checkCpuProfile, heapTop } from '../lib/profile.mjs';
import { SMALL_PROFILE, startFake } from '../tools/fake-inspector.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const build = process.env.PROCTOR_BUILD ?? path.join(root, 'build/release');
const program = path.join(build, 'proctor-probe');
const slow = build.endsWith('/asan') ? 4 : 1;
const skipNodes = nodes.length > 0 ? false : 'no NODE_<major> in the environment: run the tests through tests/tools/e2e.sh';
const newest = nodes.at(-1);
const PHASES = ['start', 'running', 'stopping', 'sending'];

// ---- the probe ----

class Probe {
    constructor(t, { file, env = {} } = {}) {
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-probe-'));
        this.file = file ?? path.join(this.folder, 'result');
        this.phases = [];
        this.stderr = '';
        this.waiting = [];
        const fd = fs.openSync(this.file, file ? 'w' : 'wx');
        this.child = spawn(program, [], {
            env: { ...process.env, PROCTOR_LOG: 'trace', ...env }, stdio: ['ignore', 'ignore', 'pipe', 'pipe', fd],
        });
        fs.closeSync(fd);
        this.control = this.child.stdio[3];
        this.control.on('error', () => {});
        this.control.setEncoding('utf8');
        this.child.stderr.setEncoding('utf8');
        this.child.stderr.on('data', text => { this.stderr += text; });
        this.exited = once(this.child, 'exit');
        this.ended = new Promise(resolve => { this.onEnd = resolve; });
        let text = '';
        this.control.on('data', part => {
            text += part;
            const lines = text.split('\n');
            text = lines.pop();
            lines.forEach(line => this.#take(JSON.parse(line)));
        });
        t.after(async () => {
            this.child.kill('SIGKILL');
            await this.exited;
            fs.rmSync(this.folder, { recursive: true });
        });
    }

    notify(method, params = {}) {
        this.control.write(JSON.stringify({ jsonrpc: '2.0', method, params }) + '\n');
    }

    // Resolves when the phase is entered.
    async phase(name) {
        await until(`phase ${name}; the end was ${JSON.stringify(this.end)}`, () => this.phases.includes(name) || this.end, 10000 * slow);
        assert.ok(this.phases.includes(name), `no phase ${name}: ${JSON.stringify(this.end)}\n${this.stderr}`);
    }

    // Waits for `end` and the exit, checks what is always true, and returns the end.
    async finish(ms = 10000) {
        const timer = setTimeout(() => this.onEnd(null), ms * slow);
        const end = await this.ended;
        const endAt = performance.now();
        clearTimeout(timer);
        assert.ok(end, `no end within ${ms * slow} ms\n${this.stderr}`);
        const [code, signal] = await this.exited;
        const exitMs = performance.now() - endAt;
        assert.deepEqual({ code, signal }, { code: 0, signal: null }, this.stderr);
        assert.ok(exitMs < (slow === 1 ? 500 : 5000), `the exit took ${Math.round(exitMs)} ms after the end`);
        this.#checkLog();
        assert.ok(['done', 'partial', 'failed', 'cancelled'].includes(end.state), JSON.stringify(end));
        if (end.state === 'failed')
            assert.ok(end.error && end.message.length > 20, JSON.stringify(end));
        if (this.file !== '/dev/full')
            assert.equal(fs.statSync(this.file).size, end.bytes, 'bytes is the size of the file');
        if (end.state === 'failed' || end.state === 'cancelled')
            assert.equal(end.bytes, 0, 'nothing is kept');
        return end;
    }

    profile() {
        return JSON.parse(fs.readFileSync(this.file, 'utf8'));
    }

    #checkLog() {
        assert.ok(!/Sanitizer|runtime error/.test(this.stderr), this.stderr);
        assert.match(this.stderr, /everything is closed \(0\)/);
        assert.ok(!this.secret || !this.stderr.includes(this.secret), `the UUID is in the log\n${this.stderr}`);
    }

    #take(message) {
        if (message.method === 'hello') {
            assert.deepEqual(message.params, { version: 1, program: 'proctor-probe' });
            this.control.write(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { version: 1, program: 'proctord', pid: process.pid } }) + '\n');
            if (this.order)
                this.notify('begin', this.order);
        } else if (message.method === 'phase') {
            this.phases.push(message.params.phase);
        } else if (message.method === 'end') {
            this.end = message.params;
            this.onEnd(message.params);
        } else {
            assert.fail(`unexpected ${JSON.stringify(message)}`);
        }
    }
}

// Starts a probe on an open inspector ({pid, port, path, major}).
function startProbe(t, at, order = {}, options = {}) {
    const probe = new Probe(t, options);
    probe.secret = at.path.replace('/', '');
    probe.order = { kind: 'cpu', pid: at.pid, port: at.port, path: at.path, node_major: at.major ?? 20, duration_ms: 300, close: true, ...order };
    return probe;
}

// ---- apps ----

// How an app must be started so that SIGUSR1 opens a random port (facts: RECIPE R0).
const nodeOptions = major => major === 8 ? '--inspect-port=127.0.0.1:0' :
    major === 10 ? '--debug_port=127.0.0.1:0' : '--debug_port=127.0.0.1:0 "--in\\spect-publish-uid=stderr"';

class App {
    constructor(t, node, script, { args = [], env = {} } = {}) {
        this.major = node.major;
        this.stdout = '';
        this.stderr = '';
        this.seen = 0;
        this.child = spawn(node.path, [path.join(root, 'tests/fixtures/apps', script), ...args], {
            env: { PATH: process.env.PATH, NODE_OPTIONS: nodeOptions(node.major), ...env }, stdio: ['ignore', 'pipe', 'pipe'],
        });
        this.pid = this.child.pid;
        this.child.stdout.on('data', part => { this.stdout += part; });
        this.child.stderr.on('data', part => { this.stderr += part; });
        this.exited = once(this.child, 'exit');
        t.after(async () => {
            this.child.kill('SIGKILL');
            await this.exited;
        });
    }

    waitOut(pattern) {
        return until(`${pattern} of the app: ${this.stdout} ${this.stderr}`, () => pattern.test(this.stdout), 10000 * slow);
    }

    // Opens the inspector, as proctord does: SIGUSR1 once the process catches it, then its line on stderr.
    async open() {
        await until('SigCgt of the app', () => {
            const status = fs.readFileSync(`/proc/${this.pid}/status`, 'utf8');
            return BigInt('0x' + /^SigCgt:\s+(\w+)$/m.exec(status)[1]) & 0x200n;
        });
        const from = this.stderr.length;
        this.child.kill('SIGUSR1');
        const line = await until('the listening line', () => /Debugger listening on ws:\/\/127\.0\.0\.1:(\d+)(\/\S+)\n/.exec(this.stderr.slice(from)));
        return { pid: this.pid, major: this.major, port: Number(line[1]), path: line[2] };
    }

    isOpen(port) {
        return listeningPorts(this.pid).includes(port);
    }

    async checkClosed(port, ms = 500) {
        await until(`port closed on Node ${this.major}`, () => !this.isOpen(port), ms * slow);
        assert.ok(isAlive(this.pid), 'the app lives');
    }
}

async function startApp(t, node, script, options) {
    const app = new App(t, node, script, options);
    await app.waitOut(/listening|ready|blocked/);
    return app;
}

// The share of a file's functions in all samples but idle time and native code: which function of it a sample belongs to
// is up to V8's inlining.
function fileShare(profile, file) {
    const nodes = new Map(checkCpuProfile(profile).nodes.map(n => [n.id, n.callFrame]));
    const frames = profile.samples.map(id => nodes.get(id)).filter(frame => !/^\((idle|program|root)\)$/.test(frame.functionName));
    return frames.filter(frame => frame.url.endsWith('/' + file)).length / frames.length;
}

// ---- real processes ----

test('cpu, then heap, on every Node: the profile, the port closed, opened again by the next SIGUSR1', { skip: skipNodes }, async t => {
    await forEachNode(nodes, async node => {
        const app = await startApp(t, node, 'cpu.js');
        const first = await app.open();
        const cpu = startProbe(t, first, { interval_us: 1000 });
        const end = await cpu.finish();
        assert.equal(end.state, 'done', JSON.stringify(end));
        assert.deepEqual(cpu.phases, PHASES);
        assert.equal(end.phase, 'sending');
        assert.ok(end.start_pause_us > 0 && end.measured_us >= 290000 && end.measured_us < 1500000 * slow, JSON.stringify(end));
        assert.ok(!('reason' in end) && !('error' in end), JSON.stringify(end));
        assert.ok(fileShare(cpu.profile(), 'cpu.js') > 0.5);
        await app.checkClosed(first.port);

        const second = await app.open();
        const heap = startProbe(t, second, { kind: 'heap', interval_bytes: 16384, duration_ms: 200 });
        assert.equal((await heap.finish()).state, 'done');
        assert.deepEqual(heap.phases, PHASES);
        heapTop(heap.profile());
        await app.checkClosed(second.port);
        assert.equal(app.stderr.match(/Debugger attached\./g).length, 2);
    });
});

test('in while(1), on every Node: cpu and heap; Node 8 closes its port when the loop turns again', { skip: skipNodes }, async t => {
    await forEachNode(nodes, async node => {
        const blocked = new App(t, node, 'blocked.js', { env: { BLOCK_MS: node.major === 8 ? '4000' : '0' } });
        await blocked.waitOut(/blocked/);
        const at = await blocked.open();
        const cpu = startProbe(t, at);
        assert.equal((await cpu.finish()).state, 'done');
        assert.ok(fileShare(cpu.profile(), 'blocked.js') > 0.5);
        if (node.major === 8) {
            assert.ok(blocked.isOpen(at.port), 'nothing can close it yet');
            await blocked.checkClosed(at.port, 6000);
        } else {
            await blocked.checkClosed(at.port);
            assert.notEqual((await blocked.open()).path, null);
        }
        blocked.child.kill('SIGKILL');

        const heapBlocked = new App(t, node, 'heap-blocked.js');
        await heapBlocked.waitOut(/blocked/);
        const heap = startProbe(t, await heapBlocked.open(), { kind: 'heap', interval_bytes: 16384 });
        assert.equal((await heap.finish()).state, 'done');
        assert.equal(heapTop(heap.profile())[0][0], 'plantedAllocator');
        heapBlocked.child.kill('SIGKILL');
    });
});

test('an idle app on every Node has idle time, not native code', { skip: skipNodes }, async t => {
    await forEachNode(nodes, async node => {
        const app = await startApp(t, node, 'stubborn.js');
        const at = await app.open();
        const probe = startProbe(t, at, { duration_ms: 400 });
        assert.equal((await probe.finish()).state, 'done');
        const profile = checkCpuProfile(probe.profile());
        const id = profile.nodes.find(n => n.callFrame.functionName === '(idle)')?.id;
        const idle = profile.samples.filter(sample => sample === id).length;
        assert.ok(idle > profile.samples.length * 0.7, `${idle} of ${profile.samples.length} samples are idle on ${node.major}`);
        await app.checkClosed(at.port);
    });
});

// How exit.js ends, and its exit code.
const ENDINGS = { end: 0, call: 7, throw: 1, sigterm: 5 };

test('an app that ends in the middle gives a partial result and its own exit code, on every Node', { skip: skipNodes }, async t => {
    await forEachNode(nodes, async node => {
        await Promise.all(Object.entries(ENDINGS).map(async ([how, code]) => {
            const app = await startApp(t, node, 'exit.js', { args: [how] });
            const probe = startProbe(t, await app.open(), { duration_ms: 60000 });
            await probe.phase('running');
            await delay(150);
            const killedAt = performance.now();
            app.child.kill(how === 'sigterm' ? 'SIGTERM' : 'SIGUSR2');
            // From Node 12 on the process tells the probe itself; before, proctord reads it on stderr.
            if (node.major < 12) {
                await until('waiting', () => /Waiting for the debugger to disconnect/.test(app.stderr));
                probe.notify('stop', { reason: 'app_exit' });
            }
            const end = await probe.finish();
            const [exit] = await app.exited;
            assert.ok(performance.now() - killedAt < 2500 * slow, 'all is over within 2 s');
            assert.equal(exit, code, `${how}: ${app.stderr}`);
            assert.equal(end.state, 'partial', `${how}: ${JSON.stringify(end)}`);
            assert.equal(end.reason, 'app_exit');
            const names = checkCpuProfile(probe.profile()).nodes.map(n => n.callFrame.functionName);
            assert.ok(names.includes('hotLoop') || names.includes('turn'), `${how} on Node ${node.major}: ${names}`);
        }));
    });
});

test('an app that is killed takes its data with it', { skip: skipNodes }, async t => {
    await forEachNode(nodes, async node => {
        const app = await startApp(t, node, 'cpu.js');
        const probe = startProbe(t, await app.open(), { duration_ms: 60000 });
        await probe.phase('running');
        app.child.kill('SIGKILL');
        const end = await probe.finish(3000);
        assert.equal(end.state, 'failed');
        assert.equal(end.error, 'APP_GONE');
        assert.equal(end.phase, 'running');
        assert.match(end.message, /its data went with it/);
    });
});

test('stop keeps the result, before and while the profiler runs; cancel keeps nothing; the port is closed each time', { skip: skipNodes }, async t => {
    await forEachNode(nodes, async node => {
        const app = await startApp(t, node, 'cpu.js');
        const wait = { duration_ms: 60000 };
        const runs = [
            ['stop while it runs', async probe => { await probe.phase('running'); await delay(150); probe.notify('stop'); }, 'done'],
            ['stop before it runs', async probe => { await delay(1); probe.notify('stop', { reason: 'requested' }); }, 'done'],
            ['app_stop while it runs', async probe => { await probe.phase('running'); await delay(150); probe.notify('stop', { reason: 'app_stop' }); }, 'partial'],
            ['cancel while it runs', async probe => { await probe.phase('running'); probe.notify('cancel'); }, 'cancelled'],
            ['cancel at once', async probe => probe.notify('cancel'), 'cancelled'],
            ['a profile afterwards', async probe => { await probe.phase('running'); await delay(150); probe.notify('stop'); }, 'done'],
        ];
        let at = await app.open();
        for (const [what, act, state] of runs) {
            const probe = startProbe(t, at, wait);
            // `stop` and `cancel` may come right behind `begin`.
            await until('hello', () => probe.control.bytesWritten > 0);
            await act(probe);
            const end = await probe.finish();
            assert.equal(end.state, state, `${what}: ${JSON.stringify(end)}`);
            if (state === 'partial') {
                assert.equal(end.reason, 'app_stop');
                assert.ok(app.isOpen(at.port), 'an app that is being stopped is not asked to close its port');
                continue;
            }
            await app.checkClosed(at.port);
            at = await app.open();
        }
        assert.ok(isAlive(app.pid));
    });
});

test('leave_open and a port of the user keep the port open; the other client goes on', { skip: skipNodes }, async t => {
    await forEachNode(nodes, async node => {
        const app = await startApp(t, node, 'cpu.js');
        const at = await app.open();
        const other = await attach(`ws://127.0.0.1:${at.port}${at.path}`);
        const probe = startProbe(t, at);
        if (node.major === 8) {
            const end = await probe.finish();
            assert.equal(end.error, 'BUSY', JSON.stringify(end));
            assert.equal(end.phase, 'open');
        } else {
            probe.child.stdio[3].once('data', () => setImmediate(() => probe.notify('leave_open')));
            assert.equal((await probe.finish()).state, 'done');
        }
        assert.ok(app.isOpen(at.port));
        const { result } = await other.call('Runtime.evaluate', { expression: 'process.pid' });
        assert.equal(result.value, app.pid);
        await other.destroy();

        const users = startProbe(t, at, { close: false });
        assert.equal((await users.finish()).state, 'done');
        await delay(300);
        assert.ok(app.isOpen(at.port), 'a port that is not ours is not closed');
    });
});

test("a user's own --inspect answers 200 to /json/list and is profiled all the same", { skip: skipNodes }, async t => {
    const app = new App(t, newest, 'cpu.js', { env: { NODE_OPTIONS: '--inspect=127.0.0.1:0' } });
    const line = await until('the listening line', () => /ws:\/\/127\.0\.0\.1:(\d+)(\/\S+)\n/.exec(app.stderr));
    const at = { pid: app.pid, major: app.major, port: Number(line[1]), path: line[2] };
    assert.equal((await listTargets(at.port)).status, 200);
    assert.equal((await startProbe(t, at, { close: false }).finish()).state, 'done');
    const end = await startProbe(t, at).finish();
    assert.equal(end.error, 'WRONG_PROCESS', JSON.stringify(end));
});

test('an app without setImmediate and with a sealed process is profiled and closed all the same, on every Node', { skip: skipNodes }, async t => {
    await forEachNode(nodes, async node => {
        const app = await startApp(t, node, 'sealed.js');
        for (let i = 0; i < 2; i++) {
            const at = await app.open();
            const end = await startProbe(t, at).finish();
            assert.equal(end.state, 'done', JSON.stringify(end));
            await app.checkClosed(at.port);
        }
        assert.ok(isAlive(app.pid));
    });
});

test('another pid than that of the order: refused, the process and its port are left alone', { skip: skipNodes }, async t => {
    await forEachNode(nodes, async node => {
        const app = await startApp(t, node, 'cpu.js');
        const at = await app.open();
        const end = await startProbe(t, { ...at, pid: process.pid }).finish();
        assert.equal(end.state, 'failed');
        assert.equal(end.error, 'WRONG_PROCESS');
        assert.equal(end.phase, 'open');
        assert.ok(app.isOpen(at.port) && isAlive(app.pid));
    });
});

test('a second heap sampler takes the data: BUSY', { skip: skipNodes }, async t => {
    const app = await startApp(t, newest, 'heap.js');
    const at = await app.open();
    const other = await attach(`ws://127.0.0.1:${at.port}${at.path}`);
    const probe = startProbe(t, at, { kind: 'heap', duration_ms: 60000, close: false });
    await probe.phase('running');
    await other.call('HeapProfiler.enable');
    await other.call('HeapProfiler.startSampling');
    await other.call('HeapProfiler.stopSampling');
    probe.notify('stop');
    const end = await probe.finish();
    assert.equal(end.error, 'BUSY', JSON.stringify(end));
    await other.destroy();
});

test('when the supervisor goes, the port is closed at once and nothing is kept', { skip: skipNodes }, async t => {
    const app = await startApp(t, newest, 'cpu.js');
    const at = await app.open();
    const probe = startProbe(t, at, { duration_ms: 60000 });
    await probe.phase('running');
    const from = performance.now();
    probe.control.destroy();
    const [code] = await probe.exited;
    assert.equal(code, 1);
    assert.ok(performance.now() - from < 1000 * slow);
    assert.equal(fs.statSync(probe.file).size, 0);
    assert.ok(!/Sanitizer/.test(probe.stderr), probe.stderr);
    await app.checkClosed(at.port);
});

// ---- inspectors that misbehave ----

async function withFake(t, options, order, probeOptions) {
    const fake = await startFake(options);
    t.after(() => fake.close());
    return { fake, probe: startProbe(t, { pid: fake.pid, port: fake.port, path: fake.path }, { duration_ms: 50, ...order }, probeOptions) };
}

test('what is sent: loopback Host, no Origin, no extensions, masked single text frames, valid ids', async t => {
    const { fake, probe } = await withFake(t, {}, { interval_us: 1234 }, { env: { http_proxy: '127.0.0.1:9', socks_proxy: '127.0.0.1:9' } });
    const end = await probe.finish();
    assert.equal(end.state, 'done', JSON.stringify(end));
    assert.deepEqual(probe.profile(), SMALL_PROFILE);
    const [list, upgrade] = fake.http;
    assert.equal(list.url, '/json/list');
    assert.equal(list.headers.host, `127.0.0.1:${fake.port}`);
    assert.equal(upgrade.url, fake.path);
    assert.equal(upgrade.headers.host, `127.0.0.1:${fake.port}`);
    for (const header of ['origin', 'sec-websocket-extensions', 'sec-websocket-protocol'])
        assert.ok(!(header in upgrade.headers), header);
    for (const frame of fake.peers[0].frames)
        assert.ok(frame.masked && [0x81, 0x88].includes(frame.first) && frame.size < 4096, JSON.stringify(frame));
    assert.deepEqual(fake.requests.map(request => request.method), [
        'Runtime.evaluate', 'Runtime.evaluate', 'NodeRuntime.notifyWhenWaitingForDisconnect', 'Profiler.enable',
        'Profiler.setSamplingInterval', 'Profiler.start', 'Profiler.stop', 'Profiler.disable', 'Runtime.evaluate', 'Runtime.evaluate', 'Runtime.evaluate']);
    assert.ok(fake.requests.every((request, i) => request.id === i + 1));
    assert.equal(fake.requests[0].params.expression, 'process.pid');
    assert.deepEqual(fake.requests[4].params, { interval: 1234 });
    assert.equal(fake.requests[10].params.expression, 'process._debugEnd()');
    assert.equal(fake.requests[10].params.silent, true);
});

test('Node 8 is closed by a timer, Node 10 and below get the idle notifier', async t => {
    const old = await withFake(t, {}, { node_major: 8 });
    assert.equal((await old.probe.finish()).state, 'done');
    const expressions = old.fake.requests.filter(r => r.method === 'Runtime.evaluate').map(r => r.params.expression);
    assert.equal(expressions.length, 6);
    assert.match(expressions[2], /_startProfilerIdleNotifier/);
    assert.match(expressions[3], /_stopProfilerIdleNotifier/);
    assert.match(expressions[5], /_debugEnd.*setTimeout.*250/);
    assert.ok(!old.fake.http.some(request => request.url === '/json/list'));
    const heap = await withFake(t, {}, { kind: 'heap', node_major: 20 });
    assert.equal((await heap.probe.finish()).state, 'done');
    assert.deepEqual(heap.fake.requests.find(r => r.method === 'HeapProfiler.startSampling').params,
        { samplingInterval: 524288, includeObjectsCollectedByMajorGC: false, includeObjectsCollectedByMinorGC: false });
});

test('a frame of 150 MB is written as it comes, in small memory', async t => {
    const filler = '1234567890,'.repeat(5958) + '\n';
    const times = Math.ceil(150e6 / filler.length);
    let before, peak, length;
    const { probe } = await withFake(t, {
        handlers: {
            'Profiler.start': (peer, message) => {
                before = memoryOf(probe.child.pid).VmRSS;
                peer.reply(message);
            },
            'Profiler.stop': async (peer, message) => {
                length = await peer.sendLarge(`{"id":${message.id},"result":{"profile":{"nodes":[],"samples":[`, filler, times, '0]}}}');
            },
            'Profiler.disable': (peer, message) => {
                peak = memoryOf(probe.child.pid).VmHWM;
                peer.reply(message);
            },
        },
    });
    const end = await probe.finish(30000);
    assert.equal(end.state, 'done', JSON.stringify(end));
    assert.equal(end.bytes, length - `{"id":6,"result":{"profile":`.length - 2);
    t.diagnostic(`RSS ${(before / 1e6).toFixed(1)} MB, at most ${(peak / 1e6).toFixed(1)} MB`);
    if (slow === 1)
        assert.ok(peak - before < 16e6, `${peak - before} bytes more`);
    const fd = fs.openSync(probe.file);
    const edge = Buffer.alloc(24);
    fs.readSync(fd, edge, 0, 24, 0);
    assert.equal(edge.toString(), '{"nodes":[],"samples":[1');
    fs.readSync(fd, edge, 0, 24, end.bytes - 24);
    assert.equal(edge.toString(), '567890,1234567890,\n0]}'.padStart(24, '234'.slice(-2)).slice(-24));
    fs.closeSync(fd);
});

test('a result in frames of one byte, with text that looks like its end', async t => {
    const profile = { title: 'a "quote" \\ } ] \u2028 \ud83d\ude00', nodes: [{ deep: [[[]], {}] }], samples: [1, -2.5e3, true, null] };
    const { probe } = await withFake(t, {
        handlers: {
            'Profiler.stop': (peer, message) => {
                peer.send({ method: 'Profiler.consoleProfileFinished', params: { profile: { not: 'ours' } } });
                peer.sendInPieces(` { "id" : ${message.id} , "result" : { "other" : {"profile":1}, "profile" : ${JSON.stringify(profile)} } } `, 1);
            },
        },
    });
    assert.equal((await probe.finish()).state, 'done');
    assert.deepEqual(probe.profile(), profile);
});

test('a large event in between is skipped', async t => {
    const { probe } = await withFake(t, {
        handlers: {
            'Profiler.start': async (peer, message) => {
                await peer.sendLarge('{"method":"Some.event","params":{"id":4,"result":{"profile":[', '1,', 100000, '1]}}}');
                peer.reply(message);
            },
        },
    });
    assert.equal((await probe.finish()).state, 'done');
    assert.match(probe.stderr, /skipped a message of 2000\d\d bytes \(Some\.event\)/);
});

const stopWith = act => ({ handlers: { 'Profiler.stop': act } });
const BROKEN = [
    ['garbage instead of the result', stopWith(peer => peer.sendText('not json')), 'PROTOCOL', 'stopping'],
    ['an unfinished result', stopWith((peer, m) => peer.sendText(`{"id":${m.id},"result":{"profile":{"a":[1,2`)), 'PROTOCOL', 'sending'],
    ['brackets that do not match', stopWith((peer, m) => peer.sendText(`{"id":${m.id},"result":{"profile":{"a":[1,2}]}}`)), 'PROTOCOL', 'stopping'],
    ['a result without a profile', stopWith((peer, m) => peer.reply(m, {})), 'PROTOCOL', 'stopping'],
    ['an error', stopWith((peer, m) => peer.fail(m, 'No recording profiles found')), 'INSPECTOR', 'stopping'],
    ['a refused start', { handlers: { 'Profiler.start': (peer, m) => peer.fail(m, 'no') } }, 'INSPECTOR', 'start'],
    ['an end in the middle of the result', stopWith((peer, m) => {
        peer.sendUnfinished(`{"id":${m.id},"result":{"profile":[${'1,'.repeat(50000)}`, 200000);
        setTimeout(() => peer.socket.destroy(), 50);
    }), 'APP_GONE', 'sending'],
    ['an end while it runs', { handlers: { 'Profiler.start': (peer, m) => { peer.reply(m); setTimeout(() => peer.socket.destroy(), 20); } } }, 'APP_GONE', 'running'],
    ['an end at the first question', { handlers: { 'Runtime.evaluate': peer => peer.socket.destroy() } }, 'APP_GONE', 'open'],
    ['garbage at the first question', { handlers: { 'Runtime.evaluate': peer => peer.sendText('{"id":1,') } }, 'PROTOCOL', 'open'],
    ['another pid', { handlers: { 'Runtime.evaluate': (peer, m) => peer.reply(m, { result: { value: 1 } }) } }, 'WRONG_PROCESS', 'open'],
    ['an exception at the first question', { handlers: { 'Runtime.evaluate': (peer, m) => peer.reply(m, { result: { type: 'object' }, exceptionDetails: {} }) } }, 'WRONG_PROCESS', 'open'],
    ['no answer to the first question', { handlers: { 'Runtime.evaluate': () => {} } }, 'ETIMEDOUT', 'open'],
    ['no answer to the upgrade', { upgrade: () => {} }, 'ETIMEDOUT', 'open'],
    ['400 to the upgrade', { upgrade: socket => socket.end('HTTP/1.0 400 Bad Request\r\nContent-Type: text/html; charset=UTF-8\r\n\r\nWebSockets request was expected\r\n') }, 'INSPECTOR', 'open'],
    ['no HTTP at all', { upgrade: socket => socket.end('SSH-2.0-OpenSSH_9.2\r\n') }, null, 'open'],
    ['a list that is published', { list: 200 }, 'WRONG_PROCESS', 'open'],
];

test('inspectors that misbehave: each gives its error, in its phase, with a sentence', async t => {
    await Promise.all(BROKEN.map(async ([what, options, error, phase]) => {
        const { probe } = await withFake(t, options);
        const end = await probe.finish();
        assert.equal(end.state, 'failed', `${what}: ${JSON.stringify(end)}`);
        assert.equal(end.phase, phase, `${what}: ${JSON.stringify(end)}`);
        if (error)
            assert.equal(end.error, error, `${what}: ${JSON.stringify(end)}`);
    }));
});

test('nothing is sent to a port that does not answer 404, and redirects are not followed', async t => {
    const lists = await withFake(t, { list: 200 });
    await lists.probe.finish();
    assert.deepEqual(lists.fake.http.map(request => request.url), ['/json/list']);
    const elsewhere = await startFake();
    t.after(() => elsewhere.close());
    const { probe } = await withFake(t, {
        upgrade: socket => socket.end(`HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:${elsewhere.port}/x\r\nContent-Length: 0\r\n\r\n`),
    });
    assert.equal((await probe.finish()).state, 'failed');
    assert.equal(elsewhere.http.length, 0);
});

test('a port on which nobody listens any more', async t => {
    const server = http.createServer();
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    await new Promise(resolve => server.close(resolve));
    for (const major of [8, 20]) {
        const end = await startProbe(t, { pid: 1, port, path: '/x', major }).finish();
        assert.equal(end.error, 'APP_GONE', JSON.stringify(end));
    }
});

test('a disk without room: the error has its name, and the port is closed all the same', async t => {
    for (const size of [10, 100000]) {
        const { fake, probe } = await withFake(t, stopWith((peer, m) => peer.reply(m, { profile: 'x'.repeat(size) })), {}, { file: '/dev/full' });
        const end = await probe.finish();
        assert.equal(end.error, 'ENOSPC', JSON.stringify(end));
        assert.match(end.message, /cannot write the result: no space left on device/i);
        assert.equal(fake.requests.at(-1).params.expression, 'process._debugEnd()');
    }
});

test('an app that waits for us and does not answer is let go within 2 s', async t => {
    const { probe } = await withFake(t, stopWith(() => {}), { duration_ms: 60000 });
    await probe.phase('running');
    const from = performance.now();
    probe.notify('stop', { reason: 'app_exit' });
    const end = await probe.finish();
    assert.ok(performance.now() - from < 2400 * slow);
    assert.equal(end.error, 'APP_GONE');
    assert.equal(end.reason, 'app_exit');
    const early = await withFake(t, { handlers: { 'Profiler.start': () => {} } });
    await early.probe.phase('start');
    early.probe.notify('stop', { reason: 'app_stop' });
    const earlyEnd = await early.probe.finish();
    assert.equal(earlyEnd.error, 'APP_GONE');
    assert.equal(earlyEnd.phase, 'start');
});

test('cancel in every phase; a result on its way is dropped', async t => {
    const never = () => {};
    const cases = [
        [{ handlers: { 'Profiler.enable': never } }, probe => delay(200), 'open'],
        [{ handlers: { 'Profiler.start': never } }, probe => probe.phase('start'), 'start'],
        [stopWith(never), probe => probe.phase('stopping'), 'stopping'],
        [stopWith((peer, m) => peer.sendLarge(`{"id":${m.id},"result":{"profile":[`, '1,'.repeat(1000), 20000, '1]}}')), probe => probe.phase('sending'), 'sending'],
    ];
    await Promise.all(cases.map(async ([options, wait, phase]) => {
        const { fake, probe } = await withFake(t, options);
        await wait(probe);
        probe.notify('cancel');
        const end = await probe.finish();
        assert.equal(end.state, 'cancelled', JSON.stringify(end));
        assert.equal(end.phase, phase);
        assert.equal(fake.requests.at(-1).params?.expression, 'process._debugEnd()', `${phase}: the port was closed`);
    }));
});

test('orders that cannot be served, and a supervisor that talks nonsense', async t => {
    const kind = await withFake(t, {}, { kind: 'snapshot' });
    const end = await kind.probe.finish();
    assert.equal(end.error, 'UNSUPPORTED', JSON.stringify(end));
    const badPath = await withFake(t, {}, { path: '/x y\r\nEvil: 1' });
    badPath.probe.secret = null;
    assert.equal((await badPath.probe.finish()).error, 'INVALID');
    const refusals = {
        'begin without a pid': probe => probe.notify('begin', { kind: 'cpu' }),
        'stop before begin': probe => probe.notify('stop'),
        'an unknown message': probe => probe.notify('probe.start'),
        'no JSON': probe => probe.control.write('hello\n'),
    };
    for (const [what, act] of Object.entries(refusals)) {
        const probe = new Probe(t);
        await until('hello', () => probe.control.bytesWritten > 0);
        act(probe);
        const [code] = await probe.exited;
        assert.equal(code, 1, what);
        assert.ok(!/Sanitizer/.test(probe.stderr), probe.stderr);
    }
});

test('started by hand it says who starts it', async () => {
    const starts = [[['--help'], []], [[], []], [[], ['ignore', 'ignore']]];
    for (const [args, more] of starts) {
        const stdio = ['ignore', 'ignore', 'pipe', ...more];
        const child = spawn(program, args, { stdio });
        let text = '';
        child.stderr.on('data', part => { text += part; });
        const [code] = await once(child, 'close');
        assert.ok(code === 1 || code === 2);
        assert.match(text, /proctord/);
    }
});
