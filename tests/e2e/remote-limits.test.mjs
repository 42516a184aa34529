// What many, slow, and guessing clients may take from the others: memory, time, accounts.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import tls from 'node:tls';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { slow, underAsan } from '../lib/host.mjs';
import { startConsole } from '../lib/console.mjs';
import { connectWebSocket } from '../lib/websocket.mjs';
import { newIdentity, openAgent, process_ } from '../lib/stranger.mjs';
import { memoryOf, until } from '../lib/proc.mjs';

const run = promisify(execFile);
const HOSTS = 10, PROCESSES = 3000, READERS = 60;
const MEMORY = (underAsan ? 1000 : 120) << 20;

const many = (count, more = {}) => Array.from({ length: count }, (_, instance) => process_({
    instance, pid: 1000 + instance, kinds: { cpu: '', heap: 'this runtime version cannot be profiled: it is too old, so that its heap stays what it is' }, ...more,
}));

const tell = (peer, processes) => peer.send({ type: 'processes', at_ms: Date.now(), processes });

// Ten hosts of 3000 processes each, told once.
async function bigFleet(t, c) {
    const peers = [];
    for (let i = 0; i < HOSTS; i++) {
        const identity = await newIdentity(c, `big${i}`);
        const peer = await openAgent(c, identity, { hostname: `big${i}` });
        t.after(() => peer.close());
        tell(peer, many(PROCESSES));
        peers.push({ identity, peer });
    }
    await until('all processes are known', async () => {
        const { body } = await c.api('GET', 'hosts', { role: 'viewer' });
        return body.hosts.filter(host => host.processes === PROCESSES).length === HOSTS;
    }, 20000 * slow);
    return peers;
}

// Asks for the list over TLS, and never reads.
async function askAndStopReading(t, c, token) {
    const [host, port] = c.webAddress.split(':');
    const socket = tls.connect({ host, port: Number(port), ca: c.ca });
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    socket.pause();
    socket.write(`GET /api/v1/processes HTTP/1.1\r\nHost: ${c.webAddress}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    return socket;
}

// How long each health check took while the job ran.
async function healthWhile(c, job) {
    const times = [];
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    let over = false;
    const end = job().finally(() => { over = true; });
    do {
        const begin = performance.now();
        assert.equal((await c.request('GET', '/api/v1/health', { agent })).status, 200);
        times.push(performance.now() - begin);
    } while (!over);
    agent.destroy();
    await end;
    return times.sort((a, b) => a - b);
}

test('a list of everything takes little memory and stops nobody, however slowly it is read', async t => {
    const c = await startConsole(t);
    const token = await c.token('viewer');
    await bigFleet(t, c);
    // By curl: this process is to measure, not to decrypt.
    const file = path.join(c.folder, 'list.json');
    const list = () => run('curl', ['-sS', '--cacert', c.caFile, '-H', `Authorization: Bearer ${token}`, '-o', file, `${c.web}/api/v1/processes`]);
    const idle = await healthWhile(c, () => new Promise(resolve => { setTimeout(resolve, 500); }));
    const busy = await healthWhile(c, list);
    const result = fs.readFileSync(file);
    assert.ok(result.length > 10 << 20, `${result.length} bytes`);
    const body = JSON.parse(result);
    assert.deepEqual(Object.keys(body), ['processes']);
    assert.equal(body.processes.length, HOSTS * PROCESSES);
    assert.deepEqual(new Set(body.processes.map(one => one.host_name)).size, HOSTS);
    assert.ok(body.processes.every(one => one.stale === false && one.at_ms > 0 && one.kinds.cpu === ''));
    const middle = times => times[times.length >> 1], worst = busy.at(-1);
    t.diagnostic(`health while the list is made: median ${middle(busy).toFixed(1)} ms, worst ${worst.toFixed(1)} ms of ${busy.length}; before: ${middle(idle).toFixed(1)} ms`);
    assert.ok(middle(busy) < 5 * middle(idle) + 20 * slow && worst < 20 * middle(idle) + 100 * slow, `median ${middle(busy)} ms, worst ${worst} ms`);

    const before = memoryOf(c.pid).VmRSS;
    const sockets = await Promise.all(Array.from({ length: READERS }, () => askAndStopReading(t, c, token)));
    let most = 0;
    const end = Date.now() + 3000;
    await until('they have stood still for a while', async () => {
        assert.equal((await c.request('GET', '/api/v1/health')).status, 200);
        most = Math.max(most, memoryOf(c.pid).VmRSS);
        return Date.now() > end;
    }, 20000 * slow);
    t.diagnostic(`memory with ${READERS} readers that stand still: ${before >> 20} MB before, ${most >> 20} MB at most`);
    assert.ok(most < MEMORY, `${most >> 20} MB with ${READERS} readers that stand still`);
    // They had begun, and wait with all that the kernel does not hold.
    sockets[0].resume();
    const [first] = await once(sockets[0], 'data');
    assert.match(first.toString('latin1'), /^HTTP\/1\.1 200 OK/);
    for (const socket of sockets)
        socket.destroy();
    assert.equal((await c.api('GET', 'hosts', { role: 'viewer' })).body.hosts.length, HOSTS);
});

test('live: the processes of a large host are told whole, once a second, and the latest last', async t => {
    const c = await startConsole(t);
    const identity = await newIdentity(c, 'big');
    const peer = await openAgent(c, identity, { hostname: 'big' });
    t.after(() => peer.close());
    const live = await connectWebSocket({
        port: Number(c.webAddress.split(':')[1]), path: '/api/v1/live', tls: { ca: c.ca }, headers: { authorization: `Bearer ${await c.token('viewer')}` },
    });
    t.after(() => live.close());
    assert.equal((await live.json()).type, 'welcome');
    for (let i = 1; i <= 20; i++)
        tell(peer, many(4000, { restarts: i, node_version: undefined }));
    let told = 0;
    const seen = await live.json(event => {
        assert.notEqual(event.type, 'resync');
        told += event.type === 'processes';
        return event.type === 'processes' && event.processes[0]?.restarts === 20;
    }, 20000 * slow);
    assert.equal(seen.processes.length, 4000);
    assert.equal(seen.processes[3999].host_name, 'big');
    assert.ok(JSON.stringify(seen).length > 1 << 20);
    t.diagnostic(`20 lists were told in ${told} events`);
    assert.ok(told < 10 * slow, `${told} events`);
});

test('who guesses shuts nobody else out: not by tokens, not by passwords', async t => {
    const c = await startConsole(t);
    const token = await c.token('viewer');
    const hosts = authorization => c.request('GET', '/api/v1/hosts', { headers: { authorization } });
    const wrong = `Bearer ${token.slice(0, -2)}xx`;
    let slowed;
    for (let i = 0; i < 25; i++)
        slowed = await hosts(wrong);
    assert.equal(slowed.status, 429);
    assert.ok(Number(slowed.headers['retry-after']) >= 1);
    assert.equal((await hosts(`Bearer ${token}`)).status, 200);
    const live = await connectWebSocket({
        port: Number(c.webAddress.split(':')[1]), path: '/api/v1/live', tls: { ca: c.ca }, headers: { authorization: `Bearer ${token}` },
    });
    assert.equal((await live.json()).type, 'welcome');
    live.close();

    const elsewhere = new https.Agent({ localAddress: '127.0.0.2' });
    const login = (password, agent) => c.request('POST', '/api/v1/login', { body: { name: 'admin', password }, agent });
    for (let i = 0; i < 8; i++)
        slowed = await login('guess', elsewhere);
    assert.equal(slowed.status, 429);
    assert.ok(Number(slowed.headers['retry-after']) >= 1);
    const good = await login(c.adminPassword);
    assert.equal(good.status, 200, good.text);
    assert.match(good.headers['set-cookie'][0], /^__Host-proctor_session=[\w-]{43}; HttpOnly; Secure; SameSite=Strict; Path=\/;/);
    assert.equal(good.headers['strict-transport-security'], undefined);

    await c.api('GET', 'users', { role: 'viewer', status: 403 });
    await c.api('GET', 'tokens', { role: 'viewer', status: 403 });
    await c.request('POST', '/api/v1/enrol', { body: { secret: 'A'.repeat(43), csr: 'x', hostname: 'h' } });
    // What is written after them is there when they are.
    await c.api('POST', 'enrolments', { role: 'admin', body: {} });
    const { body } = await c.api('GET', 'audit?limit=500', { role: 'admin' });
    const count = (what, address) => body.audit.filter(row => row.what === what && row.address === address).length;
    assert.equal(count('token.refused', '127.0.0.1'), 1);
    assert.equal(count('request.refused', '127.0.0.1'), 1);
    assert.equal(count('request.slowed', '127.0.0.1'), 1);
    assert.equal(count('request.slowed', '127.0.0.2'), 1);
    assert.equal(count('enrol.refused', '127.0.0.1'), 1);
    assert.equal(body.audit.find(row => row.what === 'token.refused').who, 'somebody');
});

test('bodies of strangers are small, and a request that is too much says so', async t => {
    const c = await startConsole(t);
    const body = { name: 'admin', password: 'x'.repeat(20000) };
    const big = await c.request('POST', '/api/v1/login', { body });
    assert.equal(big.status, 413, big.text);
    assert.equal(big.body.error.name, 'TOO_BIG');
    // Who he is decides, not what he asks for.
    assert.equal((await c.request('POST', '/api/v1/captures', { body })).status, 413);
    assert.equal((await c.api('POST', 'captures', { body, status: 400 })).body.error.name, 'INVALID');
});
