// An agent that lies, and one of another version: the console believes nothing, and says what is wrong.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { createHash, randomBytes } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { slow } from '../lib/host.mjs';
import { startConsole, uuid7 } from '../lib/console.mjs';
import { connectAgent, hello, newIdentity, openAgent, process_ } from '../lib/stranger.mjs';
import { until } from '../lib/proc.mjs';

const sha256 = data => createHash('sha256').update(data).digest('hex');
const zstd = data => execFileSync('zstd', ['-q', '-c', '-3'], { input: data, maxBuffer: 1 << 28 });
const PROFILE = Buffer.from(JSON.stringify({
    nodes: [{ id: 1, callFrame: { functionName: '(root)', url: '', lineNumber: -1, columnNumber: -1 }, children: [2] },
        { id: 2, callFrame: { functionName: 'lie', url: 'file:///lie.js', lineNumber: 1, columnNumber: 1 } }],
    startTime: 0, endTime: 1000, samples: [2], timeDeltas: [1000],
}));

async function console_(t) {
    const c = await startConsole(t);
    return { c, identity: await newIdentity(c) };
}

// A capture that the console has sent to this peer.
async function order(c, identity, peer, more = {}) {
    await until('the process is known', async () => (await c.api('GET', `processes?host=${identity.id}`, { role: 'viewer' })).body.processes.length > 0, 5000 * slow);
    const [row] = await c.capture([{ host: identity.id, app: 'api' }], { duration_ms: 1000, ...more });
    await peer.json(message => message.type === 'capture.start' && message.id === row.id);
    return row.id;
}

const record = (id, more = {}) => ({
    id, kind: 'cpu', app: 'api', instance: 0, pid: 4242, state: 'done', phase: 'stored', created_ms: Date.now() - 2000, ended_ms: Date.now(),
    phases: ['open', 'start', 'running', 'stopping', 'sending', 'stored'].map((phase, i) => ({ phase, at_ms: Date.now() - 2000 + i })),
    duration_ms: 1000, measured_us: 1000000, bytes: PROFILE.length, ...more,
});

const sums = (data, stored) => ({ stored_bytes: stored.length, bytes: data.length, sha256: sha256(data), stored_sha256: sha256(stored) });

// What may be under way, as docs/PROTOCOL.md says.
const WINDOW = 1 << 20;

async function upload(peer, id, data, { stored = zstd(data), blob = 1, end = {} } = {}) {
    peer.send({ type: 'blob.begin', blob, id, stored_bytes: stored.length, stored_sha256: sha256(stored) });
    const go = await peer.json(message => message.type.startsWith('blob.') || message.type === 'bye');
    if (go?.type !== 'blob.go')
        return go;
    let acked = go.offset;
    for (let offset = go.offset; offset < stored.length; offset += 65536) {
        while (offset + 65536 > acked + WINDOW)
            acked = (await peer.json(message => message.type === 'blob.ack' && message.blob === blob)).offset;
        peer.chunk(blob, offset, stored.subarray(offset, offset + 65536));
    }
    peer.send({ type: 'blob.end', blob, ...sums(data, stored), ...end });
    return peer.json(message => ['blob.done', 'blob.refused', 'bye'].includes(message.type));
}

test('a stranger that keeps to the protocol is an agent like ours', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    const id = await order(c, identity, peer);
    peer.send({ type: 'capture', record: record(id) });
    assert.equal((await upload(peer, id, PROFILE)).type, 'blob.done');
    assert.equal((await peer.json(message => message.type === 'capture.ack')).id, id);
    await c.waitEnd(id, 'done');
    assert.deepEqual((await c.raw(id)).data, PROFILE);
    // The same bytes for another capture lie there once.
    const other = await order(c, identity, peer);
    peer.send({ type: 'capture', record: record(other) });
    await upload(peer, other, PROFILE, { blob: 2 });
    await c.waitEnd(other, 'done');
    await peer.json(message => message.type === 'capture.ack' && message.id === other);
    const stored = fs.readdirSync(path.join(c.data, 'segments')).reduce((sum, name) => sum + fs.statSync(path.join(c.data, 'segments', name)).size, 0);
    assert.ok(stored < 2 * zstd(PROFILE).length, `${stored} bytes for one result`);
    // Told again (the ack was lost): acknowledged again, nothing is doubled.
    peer.send({ type: 'capture', record: record(id) });
    assert.equal((await peer.json(message => message.type === 'capture.ack')).id, id);
    peer.close();
});

test('another host\'s capture is none of its business', async t => {
    const { c, identity } = await console_(t);
    const victim = await newIdentity(c, 'victim');
    const owner = await openAgent(c, victim);
    const id = await order(c, victim, owner);
    for (const lie of [peer => peer.send({ type: 'capture', record: record(id) }),
        peer => peer.send({ type: 'blob.begin', blob: 1, id, stored_bytes: 10, stored_sha256: '0'.repeat(64) })]) {
        const liar = await openAgent(c, identity);
        lie(liar);
        const bye = await liar.json(message => message.type === 'bye');
        assert.equal(bye?.code, 'DENIED');
        await liar.end_();
    }
    assert.equal((await c.getCapture(id)).state, 'running' === (await c.getCapture(id)).state ? 'running' : 'queued');
    owner.close();
});

test('wrong sums, wrong sizes and damaged bytes are thrown away, and the capture says so', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    const noise = randomBytes(300000);
    const cases = [
        [{ end: { sha256: '0'.repeat(64) } }, 'MISMATCH'],
        [{ end: { bytes: PROFILE.length + 1 } }, 'MISMATCH'],
        [{ stored: noise }, 'MISMATCH'],
        [{ stored: Buffer.concat([zstd(PROFILE), Buffer.from('more')]) }, 'MISMATCH'],
    ];
    let blob = 10;
    for (const [lie, code] of cases) {
        const id = await order(c, identity, peer);
        peer.send({ type: 'capture', record: record(id) });
        const answer = await upload(peer, id, PROFILE, { blob: blob++, ...lie });
        assert.equal(answer.type, 'blob.refused', JSON.stringify(answer));
        assert.equal(answer.code, code);
        assert.equal(answer.retry_ms, undefined);
        const end = await c.waitEnd(id, 'failed');
        assert.equal(end.error.name, code);
        await c.api('GET', `profiles/${id}`, { role: 'viewer', status: 404 });
    }
    assert.deepEqual(fs.readdirSync(path.join(c.data, 'incoming')), []);
    peer.close();
});

// One more result of the peer, stored; resolves to its id.
let blobs = 100;
async function bring(c, identity, peer, data, options) {
    const id = await order(c, identity, peer);
    peer.send({ type: 'capture', record: record(id) });
    const answer = await upload(peer, id, data, { blob: blobs++, ...options });
    assert.equal(answer.type, 'blob.done', JSON.stringify(answer));
    await c.waitEnd(id, 'done');
    return id;
}

test('a result that is no profile is kept but not analysed, and what is wrong is told', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    const results = {
        '{"nodes": "no profile"}': '"nodes" is no array (at byte 11)',
        '{"nodes": [': 'the text ends too early (at byte 11)',
        'no JSON': 'unexpected character \'o\' (at byte 1)',
        '{"snapshot": {}}': 'this is a heap snapshot, not a profile (at byte 2)',
    };
    for (const [text, sentence] of Object.entries(results)) {
        const id = await bring(c, identity, peer, Buffer.from(text));
        for (const view of ['top', 'top?sort=total', 'tree', 'top']) {
            const { body } = await c.api('GET', `profiles/${id}/${view}`, { role: 'viewer', status: 422 });
            assert.equal(body.error.message, sentence, text);
        }
        assert.equal(c.log.split(`profile ${id} cannot be analysed`).length, 2, 'it was tried once');
        assert.deepEqual((await c.raw(id)).data, Buffer.from(text));
    }
    for (const view of ['top', 'tree']) {
        const { body } = await c.api('GET', `profiles/${uuid7()}/${view}`, { role: 'viewer', status: 404 });
        assert.equal(body.error.message, 'there is no such profile');
    }
    // The same over a restart: it is kept in the database.
    const id = await bring(c, identity, peer, Buffer.from('{"nodes": ['));
    peer.close();
    await c.restart();
    const { body } = await c.api('GET', `profiles/${id}/top`, { role: 'viewer', status: 422 });
    assert.equal(body.error.message, 'the text ends too early (at byte 11)');
    assert.doesNotMatch(c.log, new RegExp(`profile ${id} cannot be analysed`));
});

// A frame and its sums, made of pieces that are never held together.
async function pack(pieces) {
    const child = spawn('zstd', ['-q', '-c', '-1'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const hash = createHash('sha256'), stored = [];
    child.stdout.on('data', piece => stored.push(piece));
    const ended = once(child, 'close');
    let bytes = 0;
    for (const piece of pieces) {
        hash.update(piece);
        bytes += piece.length;
        if (!child.stdin.write(piece))
            await once(child.stdin, 'drain');
    }
    child.stdin.end();
    await ended;
    return { stored: Buffer.concat(stored), end: { bytes, sha256: hash.digest('hex') } };
}

const statusOf = (pid, name) => {
    try {
        return 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
    } catch {
        return 0;
    }
};

// The most memory that a child of the console had while `work` went on, and how many there were.
async function watchChildren(c, work) {
    const seen = new Set();
    let most = 0;
    const look = () => {
        for (const pid of fs.readFileSync(`/proc/${c.pid}/task/${c.pid}/children`, 'utf8').split(' ').filter(Boolean)) {
            seen.add(pid);
            most = Math.max(most, statusOf(pid, 'VmHWM'));
        }
    };
    const timer = setInterval(look, 5);
    try {
        await work();
    } finally {
        clearInterval(timer);
    }
    return { most, count: seen.size };
}

function* spaces(count) {
    const mega = Buffer.alloc(1 << 20, ' ');
    for (; count > 0; count--)
        yield mega;
}

// A function per node, each with a name of its own: more memory than text.
function* functions(count) {
    yield Buffer.from('{"nodes":[{"id":0,"callFrame":{"functionName":"","url":"","lineNumber":0,"columnNumber":0}}');
    for (let i = 1; i < count;) {
        let text = '';
        for (const end = Math.min(count, i + 20000); i < end; i++)
            text += `,{"id":${i},"callFrame":{"functionName":"${i}","url":"","lineNumber":0,"columnNumber":0}}`;
        yield Buffer.from(text);
    }
}

const GIB = 1 << 30, sanitized = /asan/.test(process.env.PROCTOR_BUILD ?? '');

test('a bomb takes no more memory than an analysis may have', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    const over = await pack(function* () { yield Buffer.from('{"nodes":['); yield* spaces(1280); }());
    assert.ok(over.stored.length < 1 << 20, `${over.stored.length} bytes`);
    const large = await bring(c, identity, peer, Buffer.alloc(0), over);
    const nothing = await watchChildren(c, async () => {
        for (const view of ['top', 'tree']) {
            const { body } = await c.api('GET', `profiles/${large}/${view}`, { role: 'viewer', status: 422 });
            assert.equal(body.error.message, 'the result of 1.25 GiB is larger than what is analysed (1 GiB): download it');
        }
    });
    assert.equal(nothing.count, 0, 'no child was started');
    assert.ok(sanitized || statusOf(c.pid, 'VmHWM') < GIB / 4, `the console had ${statusOf(c.pid, 'VmHWM')} bytes`);
    // Within the limit for the text, past it with what is made of it.
    const many = await bring(c, identity, peer, Buffer.alloc(0), await pack(functions(sanitized ? 100000 : 9000000)));
    const watched = await watchChildren(c, async () => {
        const { body } = await c.api('GET', `profiles/${many}/top`, { role: 'viewer', status: 422, timeout: 100000 });
        assert.match(body.error.message, sanitized ? /^the text ends too early/ : /^it takes more memory than an analysis may have: download it$/);
    });
    assert.equal(watched.count, 1);
    assert.ok(watched.most > GIB / 100 && watched.most <= 1.5 * GIB, `the child had ${watched.most} bytes`);
    peer.close();
});

test('analyses go on when whoever started the console ignored SIGCHLD and blocked signals', async t => {
    const c = await startConsole(t, { wrapper: ['env', '--ignore-signal=CHLD', '--block-signal=TERM', '--block-signal=CHLD'] });
    const identity = await newIdentity(c);
    const peer = await openAgent(c, identity);
    const id = await bring(c, identity, peer, PROFILE);
    const { body } = await c.api('GET', `profiles/${id}/top`, { role: 'viewer' });
    assert.equal(body.functions[0].function, 'lie');
    // The end of the test proves that SIGTERM ends it.
    peer.close();
});

test('pieces at the wrong place, of the wrong blob, too long or too many end the connection', async t => {
    const { c, identity } = await console_(t);
    const stored = zstd(randomBytes(200000));
    const lies = {
        'a hole': peer => peer.chunk(1, 65536, stored.subarray(0, 1000)),
        'past the end': peer => { for (let i = 0; i < 5; i++) peer.chunk(1, i * 65536, randomBytes(65536)); },
        'an unknown blob': peer => peer.chunk(7, 0, stored.subarray(0, 1000)),
        'too long': peer => peer.chunk(1, 0, randomBytes(65537)),
        'no header': peer => peer.sendBinary(Buffer.from('short')),
        'an end before its time': peer => peer.send({ type: 'blob.end', blob: 1, ...sums(PROFILE, stored) }),
        'an end of another size': peer => {
            for (let offset = 0; offset < stored.length; offset += 65536)
                peer.chunk(1, offset, stored.subarray(offset, offset + 65536));
            peer.send({ type: 'blob.end', blob: 1, ...sums(PROFILE, stored), stored_bytes: stored.length - 1 });
        },
    };
    for (const [name, lie] of Object.entries(lies)) {
        const peer = await openAgent(c, identity);
        const id = await order(c, identity, peer);
        peer.send({ type: 'capture', record: record(id) });
        peer.send({ type: 'blob.begin', blob: 1, id, stored_bytes: stored.length, stored_sha256: sha256(stored) });
        assert.equal((await peer.json(message => message.type === 'blob.go')).offset, 0, name);
        lie(peer);
        const answer = await peer.json(message => message.type === 'bye' || message.type === 'blob.refused' || message.type === 'blob.done');
        assert.ok(answer && answer.type !== 'blob.done', `${name}: ${JSON.stringify(answer)}`);
        peer.close();
        await c.waitConnected(identity.id, false);
    }
});

test('messages that are unknown, too early, too long or broken end the connection with a sentence', async t => {
    const { c, identity } = await console_(t);
    const lies = [
        [peer => peer.send({ type: 'evaluate', code: '1' }), 'PROTOCOL'],
        [peer => peer.send(hello()), 'PROTOCOL'],
        [peer => peer.send('{'), 'SYNTAX'],
        [peer => peer.send({ type: 'processes', at_ms: 1, processes: 'none' }), 'INVALID'],
        [peer => peer.send({ type: 'ping', padding: 'x'.repeat(1 << 20) }), 'TOO_BIG'],
        [peer => peer.send({ type: 'capture', record: { id: '../../etc/passwd' } }), 'INVALID'],
    ];
    for (const [lie, code] of lies) {
        const peer = await openAgent(c, identity);
        lie(peer);
        const bye = await peer.json(message => message.type === 'bye');
        assert.equal(bye?.code, code, JSON.stringify(bye));
        assert.ok(bye.text.length > 5);
        await peer.end_();
        await c.waitConnected(identity.id, false);
    }
    const early = await connectAgent(c, identity);
    early.send({ type: 'ping' });
    assert.equal((await early.json(message => message.type === 'bye'))?.code, 'PROTOCOL');
    await c.api('GET', 'health', { role: null });
});

test('an agent of a newer version: a common version is found, or the reason is told', async t => {
    const { c, identity } = await console_(t);
    const newer = await openAgent(c, identity, { min_version: 1, max_version: 9, capabilities: ['capture', 'blob', 'telepathy'], later_field: [1, { a: 2 }] });
    assert.equal(newer.welcome.type, 'hello');
    assert.equal(newer.welcome.version, 1);
    newer.close();
    await c.waitConnected(identity.id, false);
    const alien = await openAgent(c, identity, { min_version: 5, max_version: 9 });
    assert.equal(alien.welcome.code, 'UNSUPPORTED');
    assert.match(alien.welcome.text, /version/);
    await alien.end_();
    // One without captures is asked for none.
    const mute = await openAgent(c, identity, { capabilities: [] });
    assert.equal(mute.welcome.type, 'hello');
    await until('its process is known', async () => (await c.api('GET', `processes?host=${identity.id}`, { role: 'viewer' })).body.processes.length > 0, 5000 * slow);
    const { body } = await c.api('POST', 'captures', { status: 409, body: { id: uuid7(), kind: 'cpu', targets: [{ host: identity.id, app: 'api', instance: 0 }] } });
    assert.match(body.error.message, /takes no captures/);
    mute.close();
});

test('lists of processes are looked at field by field', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    const text = '<script>alert(1)</script>';
    peer.send({ type: 'processes', at_ms: Date.now(), processes: [process_({ app: text, env: { SECRET: 'x' }, kinds: { cpu: '', heap: '', evil: text } })] });
    const row = await until('the process is known', async () => (await c.api('GET', `processes?host=${identity.id}`, { role: 'viewer' })).body.processes.find(one => one.app === text), 5000 * slow);
    assert.equal(row.env, undefined);
    peer.send({ type: 'processes', at_ms: Date.now(), processes: [process_({ pid: 'many' })] });
    assert.equal((await peer.json(message => message.type === 'bye'))?.code, 'INVALID');
});
