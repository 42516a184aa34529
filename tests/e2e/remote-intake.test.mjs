// What comes in from agents: orders that are sent twice, results that come together, hosts that take more than their share, results
// that were removed, hosts that were revoked.  The agents are strangers.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { createHash, randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { slow, underAsan } from '../lib/host.mjs';
import { startConsole, uuid7 } from '../lib/console.mjs';
import { newIdentity, openAgent, process_ } from '../lib/stranger.mjs';
import { until } from '../lib/proc.mjs';

const PIECE = 65536, WINDOW = 1 << 20, MB = 1 << 20;
const sha256 = data => createHash('sha256').update(data).digest('hex');
const zstd = data => execFileSync('zstd', ['-q', '-c', '-3'], { input: data, maxBuffer: 1 << 30 });
const PROFILE = Buffer.from(JSON.stringify({
    nodes: [{ id: 1, callFrame: { functionName: '(root)', url: '', lineNumber: -1, columnNumber: -1 }, children: [] }],
    startTime: 0, endTime: 1000, samples: [1], timeDeltas: [1000],
}));

const record = (id, more = {}) => ({
    id, kind: 'cpu', app: 'api', instance: 0, pid: 4242, state: 'done', phase: 'stored', phases: [{ phase: 'open', at_ms: Date.now() - 2000 }],
    duration_ms: 1000, bytes: PROFILE.length, ...more,
});
const sums = (data, stored) => ({ stored_bytes: stored.length, bytes: data.length, sha256: sha256(data), stored_sha256: sha256(stored) });
const isAnswer = message => ['blob.done', 'blob.refused', 'bye'].includes(message.type);
const body = (id, targets, more = {}) => ({ id, kind: 'cpu', duration_ms: 1000, targets, ...more });
const target = (identity, instance = 0) => ({ host: identity.id, app: 'api', instance });
const sizeOf = folder => fs.readdirSync(folder).reduce((sum, name) => sum + fs.statSync(path.join(folder, name)).size, 0);

async function known(c, identity, count = 1) {
    await until('its processes are known', async () => (await c.api('GET', `processes?host=${identity.id}`, { role: 'viewer' })).body.processes.length >= count, 5000 * slow);
}

// A capture that this peer was asked for.
async function order(c, identity, peer, more = {}) {
    await known(c, identity);
    const [row] = await c.capture([target(identity)], { duration_ms: 1000, ...more });
    await peer.json(message => message.type === 'capture.start' && message.id === row.id);
    return row.id;
}

// … and that it says it has done.
async function owe(c, identity, peer, more) {
    const id = await order(c, identity, peer);
    peer.send({ type: 'capture', record: record(id, more) });
    return id;
}

function begin(peer, blob, id, stored) {
    peer.send({ type: 'blob.begin', blob, id, stored_bytes: stored.length, stored_sha256: sha256(stored) });
    return peer.json(message => message.blob === blob || message.type === 'bye');
}

async function upload(peer, id, data, { stored = zstd(data), blob = 1, announced = data, ms = 20000 } = {}) {
    const go = await begin(peer, blob, id, stored);
    if (go?.type !== 'blob.go')
        return go;
    for (let offset = go.offset; offset < stored.length; offset += PIECE)
        peer.chunk(blob, offset, stored.subarray(offset, offset + PIECE));
    peer.send({ type: 'blob.end', blob, ...sums(announced, stored) });
    return peer.json(message => isAnswer(message) && (message.blob === blob || message.type === 'bye'), ms * slow);
}

function beating(t, ...peers) {
    const timer = setInterval(() => peers.forEach(peer => peer.closed || peer.send({ type: 'ping' })), 5000);
    t.after(() => clearInterval(timer));
}

async function console_(t, options) {
    const c = await startConsole(t, options);
    return { c, identity: await newIdentity(c) };
}

// One request each over connections that are open already, so that they come together.
async function together(c, t, count) {
    const headers = { authorization: `Bearer ${await c.token('operator')}` };
    const agents = Array.from({ length: count }, () => new https.Agent({ keepAlive: true, maxSockets: 1 }));
    t.after(() => agents.forEach(agent => agent.destroy()));
    await Promise.all(agents.map(agent => c.request('GET', '/api/v1/hosts', { headers, agent })));
    return sent => Promise.all(agents.map(agent => c.request('POST', '/api/v1/captures', { body: sent, headers, agent })));
}

test('the same order sent four times at once is carried out once, and each is told the same captures', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    peer.send({ type: 'processes', at_ms: Date.now(), processes: [process_(), process_({ instance: 1 })] });
    await known(c, identity, 2);
    const send = await together(c, t, 4);
    let asked = 0;
    for (let i = 0; i < 10; i++) {
        const id = uuid7(), targets = [0, 1].slice(0, 1 + i % 2).map(instance => target(identity, instance));
        const answers = await send(body(id, targets));
        const ids = answers.map(answer => (assert.equal(answer.status, 202, answer.text), answer.body.captures.map(row => row.id).sort()));
        for (const one of ids)
            assert.deepEqual(one, ids[0]);
        const { body: list } = await c.api('GET', `captures?order=${id}`, { role: 'viewer' });
        assert.deepEqual(list.captures.map(row => row.id).sort(), ids[0]);
        const again = await c.api('POST', 'captures', { body: body(id, targets) });
        assert.deepEqual(again.body.captures.map(row => row.id).sort(), ids[0]);
        asked += targets.length;
    }
    peer.send({ type: 'ping' });
    const starts = [];
    await peer.json(message => { if (message.type === 'capture.start') starts.push(message.id); return message.type === 'pong'; });
    assert.equal(starts.length, asked);
    assert.equal(new Set(starts).size, asked);
    peer.close();
});

test('a cancel that comes while its order is being written waits for it', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    await known(c, identity);
    const headers = { authorization: `Bearer ${await c.token('operator')}` };
    const agents = [0, 1].map(() => new https.Agent({ keepAlive: true, maxSockets: 1 }));
    t.after(() => agents.forEach(agent => agent.destroy()));
    for (let i = 0; i < 40; i++) {
        const id = uuid7();
        let asked = false;
        const start = c.request('POST', '/api/v1/captures', { body: body(id, [target(identity)]), headers, agent: agents[0] }).then(answer => { asked = true; return answer; });
        // The requests may arrive in either order: before its order nothing is known of it.
        for (;;) {
            const early = !asked;
            const { status, text } = await c.request('POST', `/api/v1/captures/${id}/cancel`, { body: {}, headers, agent: agents[1] });
            if (status === 404 && early)
                continue;
            assert.equal(status, 200, text);
            break;
        }
        assert.equal((await start).status, 202);
        await peer.json(message => message.type === 'capture.cancel' && message.id === id);
    }
    peer.close();
});

// A small file system of its own; needs root, as the test's user has in our containers.
function smallDisk(t, bytes) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-small-disk-'));
    try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', folder], { stdio: 'pipe' });
    } catch (error) {
        fs.rmdirSync(folder);
        if (process.getuid() === 0)
            throw error;
        return null;
    }
    t.after(() => {
        execFileSync('umount', ['-l', folder]);
        fs.rmdirSync(folder);
    });
    return folder;
}

test('two results that come in together do not fill the disk, and one after the other gets in', { timeout: 240000 * slow }, async t => {
    const disk = smallDisk(t, 200 * MB);
    if (!disk)
        return t.skip('only root may mount a file system');
    const { c, identity } = await console_(t, { data: path.join(disk, 'data') });
    const peer = await openAgent(c, identity);
    beating(t, peer);
    const free = () => { const fs_ = fs.statfsSync(disk); return fs_.bavail * fs_.bsize; };
    const data = [0, 1].map(() => randomBytes(80 * MB)), stored = data.map(zstd), ids = [];
    for (let i = 0; i < 2; i++)
        ids.push(await owe(c, identity, peer));
    let least = free();
    const send = async (i, blob, offset) => {
        let acked = offset;
        while (acked < stored[i].length) {
            for (; offset < stored[i].length && offset + PIECE <= acked + WINDOW; offset += PIECE)
                peer.chunk(blob, offset, stored[i].subarray(offset, offset + PIECE));
            const message = await peer.json(one => one.blob === blob, 30000 * slow);
            assert.equal(message.type, 'blob.ack', JSON.stringify(message));
            acked = message.offset;
            least = Math.min(least, free());
        }
        peer.send({ type: 'blob.end', blob, ...sums(data[i], stored[i]) });
        return peer.json(one => one.blob === blob, 60000 * slow);
    };
    const first = await begin(peer, 1, ids[0], stored[0]), second = await begin(peer, 2, ids[1], stored[1]);
    assert.equal(first.type, 'blob.go');
    assert.deepEqual([second.type, second.code], ['blob.refused', 'ENOSPC']);
    // Asked again at once: its time has not come.
    const early = await begin(peer, 3, ids[1], stored[1]);
    assert.deepEqual([early.type, early.code], ['blob.refused', 'BUSY']);
    assert.ok(early.retry_ms > 10000 && early.retry_ms < 30000);
    assert.equal((await send(0, 1, 0)).type, 'blob.done');
    await c.waitEnd(ids[0], 'done');
    // The disk is smaller than the limit: the oldest result goes for the newest.
    let blob = 10, go;
    await until('there is room for the second', async () => {
        go = await begin(peer, ++blob, ids[1], stored[1]);
        return go.type === 'blob.go';
    }, 100000 * slow, 3000);
    assert.equal((await send(1, blob, go.offset)).type, 'blob.done');
    await c.waitEnd(ids[1], 'done');
    assert.ok(least >= 60 * MB, `${least} bytes were free`);
    const old = await c.getCapture(ids[0]);
    assert.equal(old.profile, null);
    assert.deepEqual(old.warnings, ['result_removed']);
    assert.ok((await c.raw(ids[1])).data.equals(data[1]));
    peer.close();
});

test('a host has its share of the captures that have not ended, and the others have theirs', async t => {
    const { c, identity } = await console_(t);
    const other = await newIdentity(c, 'other');
    const peer = await openAgent(c, identity), good = await openAgent(c, other);
    peer.send({ type: 'processes', at_ms: Date.now(), processes: Array.from({ length: 100 }, (_, instance) => process_({ instance })) });
    await known(c, identity, 100);
    await known(c, other);
    const all = Array.from({ length: 100 }, (_, instance) => target(identity, instance));
    for (let i = 0; i < 10; i++)
        await c.capture(all);
    const { body: refused } = await c.api('POST', 'captures', { body: body(uuid7(), [target(identity)]), status: 503 });
    assert.match(refused.error.message, /1000 captures of the host .* have not ended/);
    const id = await owe(c, other, good);
    assert.equal((await upload(good, id, PROFILE)).type, 'blob.done');
    // What ends makes room, also when its result has not come.
    const { body: { captures } } = await c.api('GET', `captures?host=${identity.id}&limit=1`, { role: 'viewer' });
    peer.send({ type: 'capture', record: record(captures[0].id, { instance: captures[0].instance }) });
    await until('it has ended', async () => (await c.getCapture(captures[0].id)).state === 'done', 5000 * slow);
    await c.capture([target(identity)]);
    peer.close();
    good.close();
});

test('tiny pieces end the connection, and nobody else notices', async t => {
    const { c, identity } = await console_(t);
    const victim = await newIdentity(c, 'victim');
    const peer = await openAgent(c, identity), other = await openAgent(c, victim);
    const id = await owe(c, identity, peer), stored = zstd(randomBytes(300000));
    assert.equal((await begin(peer, 1, id, stored)).type, 'blob.go');
    for (let offset = 0; offset < 20000; offset++)
        peer.chunk(1, offset, stored.subarray(offset, offset + 1));
    const bye = await peer.json(message => message.type === 'bye');
    assert.equal(bye?.code, 'PROTOCOL');
    assert.match(bye.text, /too short/);
    const began = Date.now();
    await order(c, victim, other);
    assert.ok(Date.now() - began < 3000 * slow);
    other.close();
});

test('results that take long to be looked through do not keep those of other hosts, nor the end of the console', { timeout: 240000 * slow, skip: underAsan && 'sanitizers are slow at it' }, async t => {
    const { c, identity } = await console_(t);
    const honest = await newIdentity(c, 'honest');
    const a = await openAgent(c, identity), b = await openAgent(c, honest);
    beating(t, a, b);
    // Some seconds of zeros each.
    const bomb = execFileSync('sh', ['-c', 'head -c 6G /dev/zero | zstd -q -3 --no-check'], { maxBuffer: 1 << 28 });
    const announced = { stored_bytes: bomb.length, stored_sha256: sha256(bomb), bytes: 6 * 2 ** 30, sha256: '0'.repeat(64) };
    for (let blob = 1; blob <= 4; blob++) {
        const id = await owe(c, identity, a);
        assert.equal((await begin(a, blob, id, bomb)).type, 'blob.go');
        for (let offset = 0; offset < bomb.length; offset += PIECE)
            a.chunk(blob, offset, bomb.subarray(offset, offset + PIECE));
        a.send({ type: 'blob.end', blob, ...announced });
    }
    const id = await owe(c, honest, b), began = Date.now();
    assert.equal((await upload(b, id, PROFILE)).type, 'blob.done');
    assert.ok(Date.now() - began < 1500, `an honest result waited ${Date.now() - began} ms`);
    const ends = Date.now();
    const { code } = await c.stop();
    assert.equal(code, 0);
    assert.ok(Date.now() - ends < 3000, `the end took ${Date.now() - ends} ms`);
});

test('a bomb that expands past its announcement is thrown away, and its capture fails', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    const bomb = execFileSync('sh', ['-c', 'head -c 1G /dev/zero | zstd -q -3'], { maxBuffer: 1 << 28 });
    const id = await owe(c, identity, peer), began = Date.now();
    const answer = await upload(peer, id, PROFILE, { stored: bomb });
    assert.deepEqual([answer.type, answer.code, answer.retry_ms], ['blob.refused', 'MISMATCH', undefined]);
    assert.match(answer.text, /longer than was announced/);
    assert.ok(Date.now() - began < 2000 * slow, 'it was not expanded to its end');
    const end = await c.waitEnd(id, 'failed');
    assert.equal(end.error.name, 'MISMATCH');
    assert.equal(end.profile, null);
    assert.deepEqual(fs.readdirSync(path.join(c.data, 'incoming')), []);
    assert.deepEqual(fs.readdirSync(path.join(c.data, 'segments')), []);
    peer.close();
});

test('a whole result sent again is taken for what it is: nothing grows, nothing changes', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    const data = randomBytes(500000), stored = zstd(data);
    const id = await owe(c, identity, peer);
    assert.equal((await upload(peer, id, data, { stored })).type, 'blob.done');
    await c.waitEnd(id, 'done');
    const segments = path.join(c.data, 'segments'), before = sizeOf(segments), row = await c.getCapture(id);
    for (const bytes of [stored, zstd(randomBytes(500000))]) {
        peer.send({ type: 'capture', record: record(id, { bytes: 1, warnings: ['port_left_open'] }) });
        assert.equal((await begin(peer, bytes === stored ? 2 : 3, id, bytes)).type, 'blob.done');
    }
    await peer.json(message => message.type === 'capture.ack' && message.id === id);
    assert.equal(sizeOf(segments), before);
    assert.deepEqual(fs.readdirSync(path.join(c.data, 'incoming')), []);
    assert.deepEqual(await c.getCapture(id), row);
    assert.ok((await c.raw(id)).data.equals(data));
    peer.close();
});

test('another host\'s capture is the same after a lie about it, before and after its end', async t => {
    const { c, identity } = await console_(t);
    const victim = await newIdentity(c, 'victim');
    const owner = await openAgent(c, victim);
    const id = await order(c, victim, owner);
    const lies = [
        peer => peer.send({ type: 'capture', record: record(id, { state: 'failed' }) }),
        peer => peer.send({ type: 'capture.unknown', id, code: 'NOT_FOUND', text: 'gone' }),
        peer => peer.send({ type: 'blob.begin', blob: 1, id, stored_bytes: 10, stored_sha256: '0'.repeat(64) }),
    ];
    const lieAll = async () => {
        const before = await c.getCapture(id);
        for (const lie of lies) {
            const liar = await openAgent(c, identity);
            lie(liar);
            assert.equal((await liar.json(message => message.type === 'bye'))?.code, 'DENIED');
            await liar.end_();
            await c.waitConnected(identity.id, false);
            assert.deepEqual(await c.getCapture(id), before);
        }
        assert.deepEqual(fs.readdirSync(path.join(c.data, 'incoming')), []);
    };
    await lieAll();
    owner.send({ type: 'capture', record: record(id) });
    await until('it has ended', async () => (await c.getCapture(id)).state === 'done', 5000 * slow);
    await lieAll();
    assert.equal((await upload(owner, id, PROFILE)).type, 'blob.done');
    await c.waitEnd(id, 'done');
    await lieAll();
    owner.close();
});

test('a result that was removed is not waited for, and does not come again', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    const id = await owe(c, identity, peer);
    await upload(peer, id, PROFILE);
    await c.waitEnd(id, 'done');
    await peer.json(message => message.type === 'capture.ack' && message.id === id);
    await c.api('DELETE', `profiles/${id}`, { role: 'admin' });
    const row = await c.getCapture(id);
    assert.equal(row.state, 'done');
    assert.equal(row.profile, null);
    assert.equal(row.waiting, undefined);
    assert.deepEqual(row.warnings, ['result_removed']);
    // The agent has not heard that, and neither has the console that starts anew.
    await c.restart();
    const again = await openAgent(c, identity);
    again.send({ type: 'capture', record: record(id) });
    assert.equal((await again.json(message => message.type === 'capture.ack')).id, id);
    assert.equal((await begin(again, 1, id, zstd(PROFILE))).type, 'blob.done');
    assert.equal((await again.json(message => message.type === 'capture.ack')).id, id);
    assert.deepEqual(await c.getCapture(id), row);
    again.close();
});

test('a host is asked for what it owes, and what it has not any more is lost', async t => {
    const { c, identity } = await console_(t);
    let peer = await openAgent(c, identity);
    const id = await owe(c, identity, peer);
    await until('it has ended', async () => (await c.getCapture(id)).state === 'done', 5000 * slow);
    assert.match((await c.getCapture(id)).waiting, /to bring the result/);
    peer.close();
    await c.waitConnected(identity.id, false);
    await c.restart();
    peer = await openAgent(c, identity);
    await peer.json(message => message.type === 'capture.get' && message.id === id);
    peer.send({ type: 'capture.unknown', id, code: 'NOT_FOUND', text: 'there is no such capture' });
    const end = await c.waitEnd(id, 'failed');
    assert.equal(end.error.name, 'NOT_FOUND');
    assert.match(end.error.message, /does not have the result any more/);
    assert.equal(end.waiting, undefined);
    peer.close();
});

test('a host that brings no results owes none, and one that takes no captures gets none', async t => {
    const { c, identity } = await console_(t);
    const first = await openAgent(c, identity);
    const id = await owe(c, identity, first);
    await until('it has ended', async () => (await c.getCapture(id)).state === 'done', 5000 * slow);
    first.close();
    await c.waitConnected(identity.id, false);
    const [waits] = await c.capture([target(identity)], { wait_ms: 60000 });
    const mute = await openAgent(c, identity, { capabilities: [] });
    const lost = await c.waitEnd(id, 'failed'), refused = await c.waitEnd(waits.id, 'failed');
    assert.deepEqual([lost.error.name, refused.error.name], ['UNSUPPORTED', 'UNSUPPORTED']);
    assert.match(lost.error.message, /brings no results/);
    assert.match(refused.error.message, /takes no captures/);
    mute.close();
});

test('the captures of a revoked host end at once', async t => {
    const { c, identity } = await console_(t);
    const peer = await openAgent(c, identity);
    const owed = await owe(c, identity, peer), running = await order(c, identity, peer), given = await order(c, identity, peer);
    peer.send({ type: 'capture', record: record(running, { state: 'running', phase: 'running' }) });
    await until('it runs', async () => (await c.getCapture(running)).state === 'running', 5000 * slow);
    peer.close();
    await c.waitConnected(identity.id, false);
    const [waits] = await c.capture([target(identity)], { wait_ms: 60000 });
    await c.admin(['host', 'revoke', identity.id]);
    for (const id of [owed, running, given, waits.id]) {
        const end = await c.waitEnd(id, 'failed', 10000);
        assert.equal(end.error.name, 'REVOKED', JSON.stringify(end));
        assert.match(end.error.message, /is revoked/);
        assert.equal(end.waiting, undefined);
    }
});
