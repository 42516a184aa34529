// proctor-agent by itself: the test is its supervisor, at the other end of descriptor 3.  Node cannot receive
// descriptors, so results are written to the spool's .part files by their names, which is where the descriptors point.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const build = process.env.PROCTOR_BUILD ?? path.join(root, 'build/release');
const program = path.join(build, 'proctor-agent');
const WAIT_MS = 15000;
const PHASES = ['open', 'start', 'running', 'stopping', 'sending'];

function uuid() {
    const hex = Date.now().toString(16).padStart(12, '0') + '7' + crypto.randomBytes(2).toString('hex').slice(0, 3) +
        '8' + crypto.randomBytes(8).toString('hex').slice(0, 15);
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

const agentsOf = new Map();

function sha256(bytes) {
    return crypto.createHash('sha256').update(bytes).digest('hex');
}

function makeHome(t) {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-agent-'));
    agentsOf.set(home, []);
    t.after(async () => {
        // An agent that is packing would put files into what is being removed.
        try {
            for (const agent of agentsOf.get(home))
                await agent.end();
        } finally {
            fs.rmSync(home, { recursive: true, force: true });
        }
    });
    return home;
}

// One agent and the supervisor's end of its socket.
class Agent {
    static async start(t, home, { hello = true, command = program, args = ['--home', home] } = {}) {
        const agent = new Agent();
        agent.home = home;
        agent.log = '';
        agent.messages = [];
        agent.input = '';
        agent.wakeups = [];
        agent.next = 1;
        agent.child = spawn(command, args, { stdio: ['ignore', 'inherit', 'pipe', 'pipe'] });
        agent.socket = agent.child.stdio[3];
        agent.exited = new Promise(resolve =>
            agent.child.on('close', (code, signal) => resolve({ code, signal })));
        agent.child.stderr.setEncoding('utf8').on('data', text => { agent.log += text; });
        agent.socket.setEncoding('utf8').on('data', text => agent.#take(text));
        agent.socket.on('error', () => {});
        agentsOf.get(home).push(agent);
        if (hello) {
            const first = await agent.wait(m => m.method === 'hello', 'hello');
            assert.equal(first.params.version, 1);
            assert.equal(first.params.program, 'proctor-agent');
            agent.answer('hello', { version: 1, program: 'proctord', pid: process.pid });
        }
        return agent;
    }

    #take(text) {
        this.input += text;
        const lines = this.input.split('\n');
        this.input = lines.pop();
        for (const line of lines) {
            const message = JSON.parse(line);
            assert.equal(message.jsonrpc, '2.0');
            this.messages.push(message);
        }
        for (const wakeup of this.wakeups.splice(0))
            wakeup();
    }

    send(message) {
        this.socket.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n');
    }

    answer(id, result) {
        this.send({ id, result });
    }

    // Sends a request and returns its id.
    request(method, params) {
        const id = `r${this.next++}`;
        this.send({ id, method, params });
        return id;
    }

    // The first message that fits and was not taken before.
    async wait(fits, what) {
        const deadline = Date.now() + WAIT_MS;
        for (;;) {
            const at = this.messages.findIndex(fits);
            if (at >= 0)
                return this.messages.splice(at, 1)[0];
            const left = deadline - Date.now();
            if (left <= 0)
                throw new Error(`no ${what} came; there are ${JSON.stringify(this.messages)}\n${this.log}`);
            let timer;
            await Promise.race([
                new Promise(resolve => this.wakeups.push(resolve)),
                new Promise(resolve => { timer = setTimeout(resolve, left); }),
            ]);
            clearTimeout(timer);
        }
    }

    reply(id) {
        return this.wait(m => m.id === id && !m.method, `answer to ${id}`);
    }

    asked(method, id) {
        return this.wait(m => m.method === method && m.params.id === id, `${method} for ${id}`);
    }

    async call(method, params) {
        return this.reply(this.request(method, params));
    }

    start(id, more = {}) {
        return this.request('capture.start', {
            id, kind: 'cpu', app: 'web', duration_ms: 1000, not_after_ms: Date.now() + 60000, requester: 'test', ...more,
        });
    }

    enter(id, phase) {
        this.send({ method: 'progress', params: { id: `${id}:start`, phase, at_ms: Date.now(), pid: 42, node_version: 'v20.1.0' } });
    }

    // Enters the phase and waits until it is in the journal.
    async reach(id, phase) {
        this.enter(id, phase);
        await this.wait(m => m.method === 'progress' && m.params.phase === phase, `phase ${phase}`);
    }

    write(id, text) {
        fs.writeFileSync(this.file(id, 'part'), text, { flag: 'r+' });
    }

    finish(id, text = 'a profile', more = {}) {
        this.write(id, text);
        this.answer(`${id}:start`, { state: 'done', phase: 'sending', bytes: text.length, measured_us: 1000000, start_pause_us: 900, ...more });
    }

    file(id, extension) {
        return path.join(this.home, 'spool', `${id}.${extension}`);
    }

    files() {
        return fs.readdirSync(path.join(this.home, 'spool')).sort();
    }

    // The record of a result, once that is packed and nothing else is left.
    async packed(id, text, extension = 'cpuprofile') {
        const wanted = [`${id}.${extension}.zst`, `${id}.json`];
        const deadline = Date.now() + WAIT_MS;
        const mine = () => this.files().filter(name => name.startsWith(id));
        while (mine().join() !== wanted.join()) {
            assert.ok(Date.now() < deadline, `it was not packed; there are ${mine()}\n${this.log}`);
            await new Promise(resolve => setTimeout(resolve, 2));
        }
        const record = JSON.parse(fs.readFileSync(this.file(id, 'json')));
        const stored = fs.readFileSync(this.file(id, `${extension}.zst`));
        assert.equal(record.stored_bytes, stored.length);
        assert.equal(record.stored_sha256, sha256(stored));
        assert.equal(record.bytes, Buffer.byteLength(text));
        assert.equal(record.sha256, sha256(text));
        return record;
    }

    async kill() {
        this.child.kill('SIGKILL');
        await this.exited;
    }

    // Whatever the test did, an agent that still runs ends in order when its supervisor goes.
    async end() {
        const running = this.child.exitCode === null && this.child.signalCode === null;
        this.socket.destroy();
        const timer = setTimeout(() => this.child.kill('SIGKILL'), WAIT_MS);
        const { code, signal } = await this.exited;
        clearTimeout(timer);
        if (running)
            assert.deepEqual({ code, signal }, { code: 0, signal: null }, `it did not end well:\n${this.log}`);
        assert.doesNotMatch(this.log, /Sanitizer|runtime error/);
    }
}

test('runs a capture through all its phases', async t => {
    const agent = await Agent.start(t, makeHome(t));
    const id = uuid();
    const request = agent.start(id, { interval_us: 1000 });
    const asked = await agent.asked('probe.start', id);
    assert.equal(asked.id, `${id}:start`);
    assert.equal(asked.fds, 1);
    assert.deepEqual(asked.params, { id, kind: 'cpu', app: 'web', instance: 0, duration_ms: 1000, interval_us: 1000, requester: 'test' });

    // The journal is there before the supervisor is asked.
    assert.equal(JSON.parse(fs.readFileSync(agent.file(id, 'json'))).state, 'queued');
    assert.equal(fs.statSync(agent.file(id, 'json')).mode & 0o777, 0o600);
    assert.equal(fs.statSync(agent.file(id, 'part')).mode & 0o777, 0o600);
    assert.equal(fs.statSync(path.dirname(agent.file(id, 'part'))).mode & 0o777, 0o700);

    for (const phase of PHASES) {
        agent.enter(id, phase);
        const progress = await agent.wait(m => m.method === 'progress', 'progress');
        assert.equal(progress.params.id, request);
        assert.equal(progress.params.phase, phase);
        assert.ok(progress.params.at_ms > 0);
        const journal = JSON.parse(fs.readFileSync(agent.file(id, 'json')));
        assert.equal(journal.phase, phase);
        assert.equal(journal.state, 'running');
    }
    agent.finish(id, 'a profile', { warnings: ['port_left_open'] });
    assert.equal((await agent.wait(m => m.method === 'progress', 'progress')).params.phase, 'stored');
    const { result, fds } = await agent.reply(request);
    assert.equal(fds, 1);
    const { record } = result;
    assert.equal(record.state, 'done');
    assert.equal(record.phase, 'stored');
    assert.deepEqual(record.phases.map(p => p.phase), [...PHASES, 'stored']);
    assert.equal(record.bytes, 9);
    assert.equal(record.pid, 42);
    assert.equal(record.node_version, 'v20.1.0');
    assert.equal(record.measured_us, 1000000);
    assert.equal(record.start_pause_us, 900);
    assert.deepEqual(record.warnings, ['port_left_open']);
    assert.ok(record.ended_ms >= record.created_ms);
    assert.equal((await agent.asked('probe.ack', id)).id, `${id}:ack`);
    const stored = await agent.packed(id, 'a profile');
    assert.equal(fs.statSync(agent.file(id, 'cpuprofile.zst')).mode & 0o777, 0o600);
    const { stored_bytes, sha256: sum, stored_sha256 } = stored;
    assert.deepEqual(stored, { ...record, stored_bytes, sha256: sum, stored_sha256 });

    const got = await agent.call('capture.get', { id });
    assert.deepEqual(got.result, { record: stored });
    assert.equal(got.fds, 1);
    assert.deepEqual(agent.files(), [`${id}.cpuprofile.zst`, `${id}.json`]);
});

test('answers a repeated id from the record and attaches to one that runs', async t => {
    const agent = await Agent.start(t, makeHome(t));
    const id = uuid();
    const first = agent.start(id, { kind: 'heap' });
    await agent.asked('probe.start', id);
    await agent.reach(id, 'open');
    const second = agent.start(id, { kind: 'heap' });
    const shown = await agent.wait(m => m.method === 'progress', 'progress');
    assert.deepEqual([shown.params.id, shown.params.phase], [second, 'open']);
    agent.enter(id, 'start');
    assert.equal((await agent.wait(m => m.method === 'progress', 'progress')).params.id, second);
    agent.finish(id);
    const answers = [await agent.reply(first), await agent.reply(second)];
    assert.deepEqual(answers[0].result, answers[1].result);
    assert.deepEqual(answers.map(a => a.fds), [1, 1]);
    const record = await agent.packed(id, 'a profile', 'heapprofile');
    const third = await agent.reply(agent.start(id, { kind: 'heap' }));
    assert.deepEqual(third.result, { record });
    assert.equal(third.fds, 1);
    assert.equal(agent.messages.filter(m => m.method === 'probe.start').length, 0);
});

test('stops and cancels', async t => {
    const agent = await Agent.start(t, makeHome(t));
    const [kept, dropped, queued] = [uuid(), uuid(), uuid()];
    const keptRequest = agent.start(kept, { duration_ms: undefined });
    assert.equal((await agent.asked('probe.start', kept)).params.duration_ms, undefined);
    await agent.reach(kept, 'running');
    assert.deepEqual((await agent.call('capture.stop', { id: kept })).result, {});
    assert.equal((await agent.asked('probe.stop', kept)).id, `${kept}:stop`);
    agent.answer(`${kept}:stop`, {});
    agent.finish(kept);
    assert.equal((await agent.reply(keptRequest)).result.record.state, 'done');

    const droppedRequest = agent.start(dropped);
    await agent.asked('probe.start', dropped);
    await agent.reach(dropped, 'running');
    agent.write(dropped, 'half');
    assert.deepEqual((await agent.call('capture.cancel', { id: dropped })).result, {});
    await agent.asked('probe.cancel', dropped);
    agent.answer(`${dropped}:cancel`, {});
    agent.answer(`${dropped}:start`, { state: 'cancelled', phase: 'running' });
    const answer = await agent.reply(droppedRequest);
    assert.equal(answer.result.record.state, 'cancelled');
    assert.equal(answer.fds, undefined);
    assert.ok(!fs.existsSync(agent.file(dropped, 'part')));

    // Before the first phase, too.
    const queuedRequest = agent.start(queued);
    assert.deepEqual((await agent.call('capture.cancel', { id: queued })).result, {});
    await agent.asked('probe.cancel', queued);
    agent.send({ id: `${queued}:start`, error: { code: -5010, message: 'cancelled', data: { name: 'CANCELLED' } } });
    assert.equal((await agent.reply(queuedRequest)).result.record.state, 'cancelled');

    for (const method of ['capture.stop', 'capture.cancel']) {
        const ended = (await agent.call(method, { id: kept })).error;
        assert.equal(ended.data.name, 'NOT_RUNNING');
        assert.equal(ended.message, `capture ${kept} has ended already`);
        const unknown = (await agent.call(method, { id: uuid() })).error;
        assert.equal(unknown.data.name, 'NOT_FOUND');
        assert.match(unknown.message, /^there is no capture /);
    }
});

test('refuses what it cannot do, and keeps no record of it', async t => {
    const agent = await Agent.start(t, makeHome(t));
    const refused = async (more, name, sentence) => {
        const { error, result } = await agent.reply(agent.start(uuid(), more));
        assert.equal(result, undefined);
        assert.equal(error.data.name, name);
        assert.match(error.message, sentence);
    };
    await refused({ kind: 'snapshot' }, 'UNSUPPORTED', /kind "snapshot" is not supported/);
    await refused({ id: 'mine' }, 'INVALID', /"id" must be a UUID/);
    await refused({ id: '01890a5d-ac96-474b-bcce-b302099a8057' }, 'INVALID', /"id" must be a UUID of version 7/);
    await refused({ id: '../../../../etc/passwd/../aaaaaaaaaaa' }, 'INVALID', /"id"/);
    await refused({ app: undefined }, 'INVALID', /"app" is missing/);
    await refused({ app: 'x'.repeat(129) }, 'INVALID', /"app"/);
    await refused({ duration_ms: 0 }, 'INVALID', /"duration_ms"/);
    await refused({ duration_ms: '1s' }, 'INVALID', /"duration_ms"/);
    await refused({ interval_us: 1 }, 'INVALID', /"interval_us"/);
    await refused({ interval_bytes: 4096 }, 'INVALID', /interval_us/);
    await refused({ not_after_ms: undefined }, 'INVALID', /"not_after_ms" is missing/);
    const get = await agent.call('capture.get', { id: uuid() });
    assert.equal(get.error.data.name, 'NOT_FOUND');
    assert.deepEqual(agent.files(), []);
    assert.deepEqual((await agent.call('capture.list', {})).result, { captures: [] });
});

test('keeps a record of what came too late', async t => {
    const agent = await Agent.start(t, makeHome(t));
    const id = uuid();
    const { result } = await agent.reply(agent.start(id, { not_after_ms: Date.now() - 1 }));
    assert.equal(result.record.state, 'expired');
    assert.equal(result.record.error.name, 'EXPIRED');
    assert.deepEqual(result.record.phases, []);
    assert.deepEqual((await agent.reply(agent.start(id))).result, result);
    assert.deepEqual(agent.files(), [`${id}.json`]);
    assert.equal(agent.messages.length, 0);
});

test('makes a failed record of what the supervisor refuses', async t => {
    const agent = await Agent.start(t, makeHome(t));
    for (const [code, name] of [[-5009, 'POLICY'], [-5012, 'BUSY'], [-5006, 'NOT_FOUND'], [-9999, 'OF_A_LATER_VERSION']]) {
        const id = uuid();
        const request = agent.start(id);
        await agent.asked('probe.start', id);
        agent.send({ id: `${id}:start`, error: { code, message: `no: ${name}`, data: { name } } });
        const { result, fds } = await agent.reply(request);
        assert.equal(fds, undefined);
        assert.equal(result.record.state, 'failed');
        assert.equal(result.record.phase, 'open');
        assert.deepEqual(result.record.error, { name, message: `no: ${name}` });
        assert.ok(!fs.existsSync(agent.file(id, 'part')));
    }
});

test('tells failures and partial results as the supervisor does, without inspector addresses', async t => {
    const agent = await Agent.start(t, makeHome(t));
    const [failed, partial, odd] = [uuid(), uuid(), uuid()];
    let request = agent.start(failed);
    await agent.asked('probe.start', failed);
    await agent.reach(failed, 'open');
    agent.answer(`${failed}:start`, {
        state: 'failed', phase: 'start', error: 'INSPECTOR', message: `ws://127.0.0.1:9229/${uuid()} said no`,
        env: { SECRET: 'hunter2' }, uuid: uuid(),
    });
    let { record } = (await agent.reply(request)).result;
    assert.deepEqual(record.error, { name: 'INSPECTOR', message: 'ws://127.0.0.1:9229/(hidden) said no' });
    assert.equal(record.phase, 'start');
    assert.ok(!fs.readFileSync(agent.file(failed, 'json'), 'utf8').includes('hunter2'));
    assert.equal(fs.readFileSync(agent.file(failed, 'json'), 'utf8').match(/[0-9a-f]{8}-[0-9a-f]{4}-/g).length, 1);

    request = agent.start(partial);
    await agent.asked('probe.start', partial);
    agent.finish(partial, 'half', { state: 'partial', reason: 'app_exit' });
    const answer = await agent.reply(request);
    assert.equal(answer.fds, 1);
    assert.equal(answer.result.record.state, 'partial');
    assert.equal(answer.result.record.reason, 'app_exit');

    request = agent.start(odd);
    await agent.asked('probe.start', odd);
    agent.finish(odd, 'short', { bytes: 500 });
    ({ record } = (await agent.reply(request)).result);
    assert.equal(record.bytes, 5);
    assert.deepEqual(record.warnings, ['size_differs']);
});

test('lists the newest first', async t => {
    const home = makeHome(t);
    const agent = await Agent.start(t, home);
    const ids = [];
    for (let i = 0; i < 5; i++) {
        ids.unshift(uuid());
        const request = agent.start(ids[0]);
        await agent.asked('probe.start', ids[0]);
        if (i < 4) {
            agent.finish(ids[0]);
            await agent.reply(request);
        }
    }
    const { captures } = (await agent.call('capture.list', {})).result;
    assert.deepEqual(captures.map(r => r.id), ids);
    assert.deepEqual(captures.map(r => r.state), ['queued', 'done', 'done', 'done', 'done']);
    const running = await agent.call('capture.get', { id: ids[0] });
    assert.equal(running.result.record.state, 'queued');
    assert.equal(running.fds, undefined);
});

for (const phase of ['queued', ...PHASES]) {
    test(`goes on after a kill -9 in phase ${phase}`, async t => {
        const home = makeHome(t);
        const ids = { attached: uuid(), answered: uuid(), gone: uuid(), failed: uuid() };
        const old = await Agent.start(t, home);
        for (const id of Object.values(ids)) {
            old.start(id);
            assert.equal((await old.asked('probe.start', id)).fds, 1);
            for (const entered of PHASES.slice(0, PHASES.indexOf(phase) + 1))
                await old.reach(id, entered);
        }
        await old.kill();

        const agent = await Agent.start(t, home);
        for (const id of Object.values(ids)) {
            const asked = await agent.asked('probe.start', id);
            assert.equal(asked.id, `${id}:start`);
            assert.equal(asked.fds, undefined);
        }
        // The supervisor asks again for its clients; nothing is started twice.
        const requests = {};
        for (const [what, id] of Object.entries(ids))
            requests[what] = agent.start(id);

        agent.finish(ids.answered, 'all of it');
        const answered = await agent.reply(requests.answered);
        assert.equal(answered.result.record.state, 'done');
        assert.equal(answered.fds, 1);
        await agent.packed(ids.answered, 'all of it');

        agent.send({ id: `${ids.gone}:start`, error: { code: -5006, message: 'not found', data: { name: 'NOT_FOUND' } } });
        const { record } = (await agent.reply(requests.gone)).result;
        assert.equal(record.state, 'failed');
        assert.equal(record.error.name, 'AGENT_GONE');
        assert.equal(record.error.message,
            phase === 'queued' ? 'the agent was restarted while the capture was queued' :
                `the agent was restarted while the capture was in phase ${phase}`);
        assert.ok(!fs.existsSync(agent.file(ids.gone, 'part')));

        agent.answer(`${ids.failed}:start`, { state: 'failed', phase: 'sending', error: 'APP_GONE', message: 'it is gone' });
        assert.equal((await agent.reply(requests.failed)).result.record.error.name, 'APP_GONE');

        agent.enter(ids.attached, 'sending');
        agent.finish(ids.attached);
        const attached = await agent.reply(requests.attached);
        assert.equal(attached.result.record.state, 'done');
        assert.equal(attached.result.record.phases.at(-1).phase, 'stored');
        assert.equal(agent.messages.filter(m => m.method === 'probe.start').length, 0);
        assert.equal(agent.files().filter(name => name.endsWith('.part')).length, 0);
        });
}

test('loses no result to a kill -9 while it is being stored', async t => {
    const home = makeHome(t);
    const text = 'x'.repeat(300000);
    const seen = { before: 0, after: 0 };
    const ids = [];
    for (let round = 0; round < 25; round++) {
        const id = uuid();
        const old = await Agent.start(t, home);
        old.start(id);
        await old.asked('probe.start', id);
        await old.reach(id, 'sending');
        old.finish(id, text);
        await new Promise(resolve => setTimeout(resolve, round % 5));
        await old.kill();
        const agent = await Agent.start(t, home);
        const request = agent.start(id);
        // Either it had not got so far and asks, or it had and says so.
        const next = await agent.wait(m => (m.method === 'probe.start' && m.params.id === id) || (m.id === request && !m.method), 'word');
        seen[next.method ? 'before' : 'after']++;
        if (next.method)
            agent.answer(`${id}:start`, { state: 'done', phase: 'sending', bytes: text.length });
        const answer = next.method ? await agent.reply(request) : next;
        assert.equal(answer.result.record.state, 'done');
        assert.equal(answer.fds, 1);
        // What the old one may not have acknowledged is acknowledged now.
        await agent.asked('probe.ack', id);
        ids.push(id);
        // While it is being packed.
        await new Promise(resolve => setTimeout(resolve, round % 4));
        await agent.kill();
    }
    const last = await Agent.start(t, home);
    for (const id of ids) {
        await last.packed(id, text);
        assert.equal((await last.call('capture.get', { id })).fds, 1);
    }
    assert.equal(last.files().length, 2 * ids.length);
    t.diagnostic(`killed before the record was written: ${seen.before}, after: ${seen.after}`);
});

test('survives a spool full of rubbish', async t => {
    const home = makeHome(t);
    const spool = path.join(home, 'spool');
    const [empty, torn, wrong, binary, folder, orphan, lost] = Array.from({ length: 7 }, uuid);
    const good = await Agent.start(t, home);
    const request = good.start(lost);
    await good.asked('probe.start', lost);
    good.finish(lost);
    await good.reply(request);
    await good.kill();

    fs.writeFileSync(path.join(spool, `${empty}.json`), '');
    fs.writeFileSync(path.join(spool, `${torn}.json`), `{"id":"${torn}","kind":"cpu","app":"w`);
    fs.writeFileSync(path.join(spool, `${wrong}.json`), JSON.stringify({ id: wrong, kind: 'cpu', app: ['web'] }));
    fs.writeFileSync(path.join(spool, `${binary}.json`), crypto.randomBytes(100000));
    fs.mkdirSync(path.join(spool, `${folder}.json`));
    fs.writeFileSync(path.join(spool, `${orphan}.part`), 'half');
    fs.writeFileSync(path.join(spool, 'README'), 'not ours');
    for (const name of good.files().filter(file => file.startsWith(`${lost}.cpuprofile`)))
        fs.unlinkSync(path.join(spool, name));

    const agent = await Agent.start(t, home);
    const { captures } = (await agent.call('capture.list', {})).result;
    assert.deepEqual(captures.map(r => [r.id, r.state, r.warnings]), [[lost, 'done', ['result_missing']]]);
    const got = await agent.call('capture.get', { id: lost });
    assert.equal(got.fds, undefined);
    assert.deepEqual(agent.files(), [
        'README', `${lost}.json`, ...[empty, torn, wrong, binary, folder].map(id => `${id}.json.broken`),
    ].sort());
    for (const id of [empty, torn, wrong, binary, folder])
        assert.equal(agent.log.split('\n').filter(line => line.includes(`${id}.json is no record`)).length, 1);

    // A repeat of an id whose record was lost is a new capture.
    const again = agent.start(torn);
    await agent.asked('probe.start', torn);
    agent.finish(torn);
    assert.equal((await agent.reply(again)).result.record.state, 'done');
});

test('packs what the release before it has left', async t => {
    const home = makeHome(t);
    const spool = path.join(home, 'spool');
    fs.mkdirSync(spool, { mode: 0o700 });
    const now = Date.now();
    const ids = Array.from({ length: 20 }, uuid);
    const text = id => `${id} `.repeat(2000);
    for (const id of ids) {
        fs.writeFileSync(path.join(spool, `${id}.cpuprofile`), text(id), { mode: 0o600 });
        fs.writeFileSync(path.join(spool, `${id}.json`), JSON.stringify({
            id, kind: 'cpu', app: 'web', state: 'done', phases: [], created_ms: now, ended_ms: now, not_after_ms: now,
            bytes: text(id).length,
        }), { mode: 0o600 });
    }
    const agent = await Agent.start(t, home);
    assert.equal((await agent.call('capture.get', { id: ids[7] })).fds, 1);
    for (const id of ids) {
        await agent.packed(id, text(id));
        assert.equal((await agent.call('capture.get', { id })).fds, 1);
    }
    const { captures } = (await agent.call('capture.list', {})).result;
    assert.ok(captures.every(record => record.stored_bytes < 1000 && record.bytes === text(ids[0]).length));
});

test('says that a packed result is damaged, or gone', async t => {
    const home = makeHome(t);
    const agent = await Agent.start(t, home);
    const [flipped, cut, gone] = [uuid(), uuid(), uuid()];
    const text = crypto.randomBytes(50000).toString('hex');
    for (const id of [flipped, cut, gone]) {
        const request = agent.start(id);
        await agent.asked('probe.start', id);
        agent.finish(id, text);
        await agent.reply(request);
        await agent.packed(id, text);
    }
    const file = agent.file(flipped, 'cpuprofile.zst');
    const bytes = fs.readFileSync(file);
    bytes[bytes.length >> 1] ^= 1;
    fs.writeFileSync(file, bytes);
    fs.truncateSync(agent.file(cut, 'cpuprofile.zst'), 100);
    fs.unlinkSync(agent.file(gone, 'cpuprofile.zst'));

    const warned = async (id, warning) => {
        // The record is written a moment later.
        for (const deadline = Date.now() + WAIT_MS; ;) {
            const { result, fds } = await agent.call('capture.get', { id });
            assert.equal(fds, undefined);
            if (result)
                return assert.deepEqual(result.record.warnings, [warning]);
            assert.ok(Date.now() < deadline);
        }
    };
    for (const id of [flipped, cut]) {
        const { error } = await agent.call('capture.get', { id });
        assert.match(error.message, new RegExp(`^the stored result of capture ${id} is damaged: `));
        await warned(id, 'result_damaged');
    }
    const { result, fds } = await agent.call('capture.get', { id: gone });
    assert.deepEqual([result.record.warnings, fds], [['result_missing'], undefined]);
    await warned(gone, 'result_missing');
});

// A small disk of its own for the spool, in a mount namespace that a process holds: agents enter it, and the test sees
// it through /proc.  Null where nothing may be mounted.
async function smallDisk(t, home) {
    const script = 'mount -t tmpfs -o size=1m,mode=700 tmpfs "$1" && mkdir -m 700 "$1/spool" && echo ready && exec sleep 1000';
    const holder = spawn('unshare', ['-m', 'sh', '-c', script, 'sh', home], { stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = new Promise(resolve => holder.on('close', resolve).on('error', resolve));
    t.after(async () => {
        holder.kill('SIGKILL');
        await ended;
    });
    const ready = await Promise.race([new Promise(resolve => holder.stdout.once('data', resolve)), ended.then(() => null)]);
    if (ready === null) {
        t.skip('a tmpfs cannot be mounted here');
        return null;
    }
    const root = `/proc/${holder.pid}/root${home}`;
    return {
        file: (id, extension) => `${root}/spool/${id}.${extension}`,
        files: () => fs.readdirSync(`${root}/spool`).sort(),
        record: id => JSON.parse(fs.readFileSync(`${root}/spool/${id}.json`)),
        // Until not a byte more goes in.
        fill() {
            const fd = fs.openSync(`${root}/fill`, 'a');
            try {
                for (const page = Buffer.alloc(4096); ;)
                    fs.writeSync(fd, page);
            } catch (error) {
                assert.equal(error.code, 'ENOSPC');
            } finally {
                fs.closeSync(fd);
            }
        },
        free: () => fs.unlinkSync(`${root}/fill`),
        start: () => Agent.start(t, home, { command: 'nsenter', args: ['-t', `${holder.pid}`, '-m', program, '--home', home] }),
    };
}

test('refuses a capture when the disk is full', async t => {
    const disk = await smallDisk(t, makeHome(t));
    if (!disk)
        return;
    disk.fill();
    const agent = await disk.start();
    const { error } = await agent.reply(agent.start(uuid()));
    assert.equal(error.data.name, 'ENOSPC');
    assert.match(error.message, /^the capture was not started: its record cannot be written in .*: no space left on device$/i);
    assert.deepEqual((await agent.call('capture.list', {})).result, { captures: [] });
    assert.equal(agent.messages.length, 0);
});

test('a result is packed when there is room, and expanded when there is room', async t => {
    const disk = await smallDisk(t, makeHome(t));
    if (!disk)
        return;
    const agent = await disk.start();
    agent.files = () => disk.files();
    agent.file = disk.file;
    const id = uuid();
    const text = crypto.randomBytes(150000).toString('hex');
    const request = agent.start(id);
    await agent.asked('probe.start', id);
    agent.write(id, text);
    disk.fill();
    agent.answer(`${id}:start`, { state: 'done', phase: 'sending', bytes: text.length });
    const answer = await agent.reply(request);
    assert.deepEqual([answer.result.record.state, answer.fds], ['done', 1]);
    assert.equal((await agent.call('capture.get', { id })).fds, 1);
    for (const deadline = Date.now() + WAIT_MS; !/cannot compress the result of capture .*: no space left/i.test(agent.log);) {
        assert.ok(Date.now() < deadline, agent.log);
        await new Promise(resolve => setTimeout(resolve, 5));
    }
    assert.deepEqual(disk.files(), [`${id}.cpuprofile`, `${id}.json`]);
    disk.free();
    await agent.packed(id, text);

    disk.fill();
    const { error } = await agent.call('capture.get', { id });
    assert.equal(error.data.name, 'ENOSPC');
    assert.match(error.message, /^the result of capture .* is stored, but in .* is no room to expand it to its 300000 bytes$/);
    disk.free();
    assert.equal((await agent.call('capture.get', { id })).fds, 1);
    assert.deepEqual(disk.files(), [`${id}.cpuprofile.zst`, `${id}.json`]);
});

test('an end that a full disk does not take is told, kept, and stored when there is room', async t => {
    const disk = await smallDisk(t, makeHome(t));
    if (!disk)
        return;
    const agent = await disk.start();
    const [over, cancelled, failed] = [uuid(), uuid(), uuid()];
    const requests = {};
    for (const id of [over, cancelled, failed]) {
        requests[id] = agent.start(id);
        await agent.asked('probe.start', id);
        await agent.reach(id, 'running');
    }
    // No record to write over, and one that is too small for what comes.
    fs.unlinkSync(disk.file(cancelled, 'json'));
    disk.fill();

    const cancel = async id => {
        assert.deepEqual((await agent.call('capture.cancel', { id })).result, {});
        await agent.asked('probe.cancel', id);
        agent.answer(`${id}:start`, { state: 'cancelled', phase: 'running' });
        return (await agent.reply(requests[id])).result.record;
    };
    // It fits where the old one is.
    assert.equal((await cancel(over)).state, 'cancelled');
    await agent.asked('probe.ack', over);
    assert.equal(disk.record(over).state, 'cancelled');

    assert.equal((await cancel(cancelled)).state, 'cancelled');
    const message = '\u0001'.repeat(1000);
    agent.answer(`${failed}:start`, { state: 'failed', phase: 'running', error: 'INSPECTOR', message });
    assert.equal((await agent.reply(requests[failed])).result.record.state, 'failed');
    const states = async one =>
        Object.fromEntries((await one.call('capture.list', {})).result.captures.map(r => [r.id, r.state]));
    const expected = { [failed]: 'failed', [cancelled]: 'cancelled', [over]: 'cancelled' };
    assert.deepEqual(await states(agent), expected);
    assert.equal((await agent.call('capture.get', { id: failed })).result.record.error.message, message);
    assert.equal((await agent.reply(agent.start(cancelled))).result.record.state, 'cancelled');
    assert.equal((await agent.call('capture.stop', { id: failed })).error.data.name, 'NOT_RUNNING');
    assert.equal(disk.record(failed).state, 'running');
    assert.ok(!fs.existsSync(disk.file(cancelled, 'json')));
    // The supervisor may not forget them yet.
    assert.deepEqual(agent.messages.filter(m => m.method === 'probe.ack'), []);

    disk.free();
    await agent.asked('probe.ack', failed);
    await agent.asked('probe.ack', cancelled);
    assert.equal(disk.record(failed).state, 'failed');
    assert.equal(disk.record(failed).error.message, message);
    assert.equal(disk.record(cancelled).state, 'cancelled');
    await agent.kill();
    const next = await disk.start();
    assert.deepEqual(await states(next), expected);
    assert.equal(next.messages.filter(m => m.method === 'probe.start').length, 0);
});

test('an agent that is killed before it could store an end asks the supervisor again', async t => {
    const disk = await smallDisk(t, makeHome(t));
    if (!disk)
        return;
    const old = await disk.start();
    const id = uuid();
    const message = '\u0001'.repeat(1000);
    const end = { state: 'failed', phase: 'running', error: 'INSPECTOR', message };
    const request = old.start(id);
    await old.asked('probe.start', id);
    await old.reach(id, 'running');
    disk.fill();
    old.answer(`${id}:start`, end);
    assert.equal((await old.reply(request)).result.record.state, 'failed');
    await old.kill();
    disk.free();
    const agent = await disk.start();
    await agent.asked('probe.start', id);
    agent.answer(`${id}:start`, end);
    await agent.asked('probe.ack', id);
    assert.equal(disk.record(id).error.message, message);
});

test('ends with 0 when the supervisor is gone, and on SIGTERM', async t => {
    const home = makeHome(t);
    const [first, second] = [uuid(), uuid()];
    const gone = await Agent.start(t, home);
    gone.start(first);
    await gone.asked('probe.start', first);
    gone.finish(first);
    gone.socket.end();
    assert.deepEqual(await gone.exited, { code: 0, signal: null });
    // What it had been told it has written.
    assert.equal(JSON.parse(fs.readFileSync(gone.file(first, 'json'))).state, 'done');
    const left = gone.files();
    assert.ok(left.includes(`${first}.cpuprofile`) || left.includes(`${first}.cpuprofile.zst`));
    assert.deepEqual(left.filter(name => name.endsWith('.tmp')), []);

    const told = await Agent.start(t, home);
    told.start(second);
    await told.asked('probe.start', second);
    told.child.kill('SIGTERM');
    assert.deepEqual(await told.exited, { code: 0, signal: null });

    const agent = await Agent.start(t, home);
    await agent.asked('probe.start', second);
    assert.equal((await agent.call('capture.get', { id: second })).result.record.state, 'queued');
});

test('starts while the agent before it is still writing', async t => {
    const home = makeHome(t);
    const old = await Agent.start(t, home);
    await old.call('capture.list', {});
    const starting = Agent.start(t, home);
    setTimeout(() => old.socket.end(), 300);
    const agent = await starting;
    assert.deepEqual((await agent.call('capture.list', {})).result, { captures: [] });
});

test('breaks off with whoever breaks the protocol', async t => {
    const home = makeHome(t);
    const id = uuid();
    const breaks = [
        { id: 'x', method: 'app.list', params: {} },
        { id: 'x', method: 'hello', params: { version: 1 } },
        { method: 'phase', params: { phase: 'open' } },
        { method: 'capture.stop', params: { id } },
        { id: 'x' },
    ];
    for (const message of breaks) {
        const agent = await Agent.start(t, home);
        await agent.call('capture.list', {});
        agent.send(message);
        assert.equal((await agent.exited).code, 1, JSON.stringify(message));
    }
    for (const text of ['\n', 'no json\n', '[]\n', '{"jsonrpc":"1.0"}\n', '\0\0\0\n']) {
        const agent = await Agent.start(t, home);
        agent.socket.write(text);
        assert.equal((await agent.exited).code, 1, JSON.stringify(text));
    }
    for (const first of [
        { id: 'hello', error: { code: -5013, message: 'another version', data: { name: 'UNSUPPORTED' } } },
        { id: 'hello', result: { version: 2 } },
        { id: 'r1', method: 'capture.list', params: {} },
    ]) {
        const agent = await Agent.start(t, home, { hello: false });
        await agent.wait(m => m.method === 'hello', 'hello');
        agent.send(first);
        assert.equal((await agent.exited).code, 1, JSON.stringify(first));
        assert.match(agent.log, /refuses us: another version|another version|before the answer to hello/);
    }
});

test('is not put out by answers that fit nothing', async t => {
    const agent = await Agent.start(t, makeHome(t));
    const id = uuid();
    for (const strange of ['', 'x', `${id}:start`, `${id}:`, `${id}start`, `${id}:ack`, 'hello', 'x'.repeat(300)]) {
        agent.answer(strange, {});
        agent.send({ id: strange, error: { code: -1, message: 'no' } });
        agent.send({ method: 'progress', params: { id: strange || 'y', phase: 'open' } });
    }
    agent.send({ method: 'progress', params: {} });
    const request = agent.start(id);
    await agent.asked('probe.start', id);
    agent.send({ method: 'progress', params: { id: `${id}:start`, phase: 'x'.repeat(500), at_ms: -4, pid: 'me', node_version: [] } });
    agent.answer(`${id}:start`, { state: 'splendid' });
    const { record } = (await agent.reply(request)).result;
    assert.equal(record.state, 'failed');
    assert.equal(record.error.name, 'PROTOCOL');
    const long = 'r'.repeat(200);
    agent.send({ id: long, method: 'capture.list', params: {} });
    assert.equal((await agent.reply(long)).error.data.name, 'INVALID');
});

test('turns requests away while too many answers wait', async t => {
    const home = makeHome(t);
    const spool = path.join(home, 'spool');
    fs.mkdirSync(spool, { mode: 0o700 });
    const now = Date.now();
    // 600 records of 6 KB, more than a list may hold: a control character takes six bytes in JSON.
    for (let i = 0; i < 600; i++) {
        const id = uuid();
        fs.writeFileSync(path.join(spool, `${id}.json`), JSON.stringify({
            id, kind: 'cpu', app: 'web', state: 'failed', phases: [], created_ms: now - i, ended_ms: now, not_after_ms: now,
            error: { name: 'FAILED', message: '\u0001'.repeat(1000) },
        }), { mode: 0o600 });
    }
    const agent = await Agent.start(t, home);
    const began = Date.now();
    const all = (await agent.call('capture.list', {})).result;
    t.diagnostic(`a list of ${all.captures.length} records took ${Date.now() - began} ms`);
    assert.equal(all.captures.length + all.left_out, 600);
    assert.ok(all.captures.length > 400);
    assert.equal(all.captures[0].created_ms, now);
    // In one piece, so that the agent has read them all before it can send the first answer.
    agent.socket.cork();
    const requests = Array.from({ length: 6 }, () => agent.request('capture.list', {}));
    agent.socket.uncork();
    const names = [];
    for (const request of requests) {
        const answer = await agent.reply(request);
        names.push(answer.error ? answer.error.data.name : 'list');
    }
    assert.equal(names[0], 'list');
    assert.equal(names.at(-1), 'BUSY');
    assert.equal((await agent.call('capture.list', {})).error, undefined);
});

test('explains how it is to be started', () => {
    const alone = spawnSync(program, ['--home', '/nowhere'], { encoding: 'utf8' });
    assert.equal(alone.status, 2);
    assert.match(alone.stderr, /descriptor 3/);
    assert.equal(spawnSync(program, [], { encoding: 'utf8' }).status, 2);
    assert.match(spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout, /^\d+\.\d+\.\d+\n$/);
});

test('says why its spool cannot be used', async t => {
    const home = makeHome(t);
    fs.writeFileSync(path.join(home, 'spool'), 'a file');
    const agent = await Agent.start(t, home, { hello: false });
    assert.equal((await agent.exited).code, 1);
    assert.match(agent.log, /cannot open the spool in .*: not a directory/i);
});
