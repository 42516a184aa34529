// The console's web port as strangers meet it: roles, sessions, tokens, limits, slow clients, live updates.
import test from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { slow } from '../lib/host.mjs';
import { startConsole, uuid7 } from '../lib/console.mjs';
import { connectWebSocket } from '../lib/websocket.mjs';
import { newIdentity, openAgent } from '../lib/stranger.mjs';
import { until } from '../lib/proc.mjs';

const run = promisify(execFile);
const roles = ['viewer', 'operator', 'admin'];

// Every route of the OpenAPI file: {method, url, role, changes}; what stands in braces is an id that nobody has.
async function routes(c) {
    const { body } = await c.request('GET', '/api/v1/openapi.json');
    const list = [];
    for (const [template, methods] of Object.entries(body.paths))
        for (const [method, operation] of Object.entries(methods).filter(([name]) => ['get', 'post', 'delete'].includes(name)))
            list.push({
                method: method.toUpperCase(), role: operation['x-role'], changes: operation['x-changes'] === true, template,
                url: (body.servers?.[0]?.url ?? '').replace(/\/$/, '') + template.replace(/\{name\}/g, 'nobody').replace(/\{[^}]*\}/g, uuid7(1)),
            });
    assert.ok(list.length > 25, `${list.length} routes`);
    return list;
}

test('every route is for those whose role the table names, and for nobody without', async t => {
    const c = await startConsole(t);
    for (const { method, url, role, template } of await routes(c)) {
        if (template.endsWith('/live'))
            continue;
        const body = method === 'POST' ? {} : undefined;
        const anyone = role === 'anyone';
        const bare = await c.request(method, url, { body });
        if (anyone) {
            assert.notEqual(bare.status, 403, `${method} ${url} without a log-in`);
            continue;
        }
        assert.equal(bare.status, 401, `${method} ${url} without a log-in: ${bare.text}`);
        assert.equal(bare.body.error.name, 'LOGIN');
        for (const [i, mine] of roles.entries()) {
            const { status, text } = await c.request(method, url, { body, headers: { authorization: `Bearer ${await c.token(mine)}` } });
            const may = i >= roles.indexOf(role);
            if (may)
                assert.ok(![401, 403].includes(status) || /token/.test(text), `${method} ${url} as ${mine}: ${status} ${text}`);
            else
                assert.equal(status, 403, `${method} ${url} as ${mine}: ${text}`);
            assert.notEqual(status, 500, `${method} ${url} as ${mine}: ${text}`);
        }
    }
});

test('a session changes things only with its own CSRF value and from its own page', async t => {
    const c = await startConsole(t);
    const session = await c.login('admin', c.adminPassword);
    for (const { method, url, changes, role, template } of await routes(c)) {
        if (!changes || role === 'anyone' || template.endsWith('/logout'))
            continue;
        const send = headers => c.request(method, url, { body: method === 'POST' ? {} : undefined, headers });
        const { cookie, csrf } = session;
        assert.equal((await send({ cookie, origin: c.web })).status, 403, `${method} ${url} without CSRF`);
        assert.equal((await send({ cookie, origin: c.web, 'x-csrf-token': `${csrf.slice(0, -1)}0` === csrf ? `${csrf.slice(0, -1)}1` : `${csrf.slice(0, -1)}0` })).status, 403, `${method} ${url} with a wrong CSRF`);
        assert.equal((await send({ cookie, origin: 'https://evil.example', 'x-csrf-token': csrf })).status, 403, `${method} ${url} from elsewhere`);
        const { status } = await send(session.headers);
        assert.notEqual(status, 403, `${method} ${url} as it should be`);
    }
});

test('sessions: the cookie is for browsers only, ends with the log-out and with a new password', async t => {
    const c = await startConsole(t);
    const password = c.adminPassword;
    const login = () => c.request('POST', '/api/v1/login', { body: { name: 'admin', password }, headers: { origin: c.web } });
    const { headers } = await login();
    const cookie = headers['set-cookie'][0];
    for (const part of [/HttpOnly/i, /SameSite=Strict/i, /Secure/i, /Path=\//i])
        assert.match(cookie, part);
    const session = await c.login('admin', password), other = await c.login('admin', password);
    const who = headers => c.request('GET', '/api/v1/session', { headers });
    assert.equal((await who({ cookie: session.cookie })).body.user.role, 'admin');
    assert.equal((await c.request('POST', '/api/v1/logout', { body: {}, headers: session.headers })).status < 300, true);
    assert.equal((await who({ cookie: session.cookie })).status, 401);
    const change = body => c.request('POST', '/api/v1/password', { body, headers: other.headers });
    assert.equal((await change({ old: 'wrong password', new: 'a new long password' })).status >= 400, true);
    assert.equal((await change({ old: password, new: 'short' })).status, 400);
    const third = await c.login('admin', password);
    assert.equal((await change({ old: password, new: 'a new long password' })).status < 300, true);
    assert.equal((await who({ cookie: third.cookie })).status, 401, 'other sessions have ended');
    assert.equal((await c.request('POST', '/api/v1/login', { body: { name: 'admin', password } })).status, 401);
    await c.login('admin', 'a new long password');
    const { existsSync } = await import('node:fs');
    assert.ok(!existsSync(c.ready.password_file), 'the file with the first password is gone');
    assert.doesNotMatch(c.log, /a new long password/);
});

test('brute force slows down, also for names that do not exist', async t => {
    const c = await startConsole(t);
    for (const name of ['admin', 'nobody']) {
        let refused = 0;
        for (let i = 0; i < 8; i++) {
            const { status, headers, body } = await c.request('POST', '/api/v1/login', { body: { name, password: `guess number ${i}` } });
            if (status === 429) {
                refused++;
                assert.ok(Number(headers['retry-after']) >= 1);
            } else {
                assert.equal(status, 401);
                assert.doesNotMatch(body.error.message, /no such|unknown user/i);
            }
        }
        assert.ok(refused >= 2, `${name}: ${refused} of 8 were put off`);
    }
    const { body } = await c.api('GET', 'audit', { role: 'admin' });
    assert.ok(body.audit.some(row => row.what === 'login.refused'));
});

test('wrong tokens, ended tokens and removed users open nothing', async t => {
    const c = await startConsole(t);
    const token = await c.token('operator');
    const get = value => c.request('GET', '/api/v1/hosts', { headers: { authorization: `Bearer ${value}` } });
    assert.equal((await get(token)).status, 200);
    assert.equal((await get(`${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`)).status, 401);
    assert.equal((await get('x')).status, 401);
    assert.equal((await get('')).status, 401);
    const short = (await c.admin(['token', 'create', 'api', '--role', 'viewer', '--ttl', '1s'])).stdout.trim();
    await delay(1500);
    assert.equal((await get(short)).status, 401);
    await c.admin(['token', 'revoke', token.split('.').at(-2)]);
    assert.equal((await get(token)).status, 401);
    delete c.tokens.operator;
    await c.admin(['user', 'add', 'ann', '--role', 'viewer'], { input: 'ann has a password\n' });
    const ann = await c.login('ann', 'ann has a password');
    assert.equal((await c.request('GET', '/api/v1/users', { headers: { cookie: ann.cookie } })).status, 403);
    await c.admin(['user', 'remove', 'ann']);
    assert.equal((await c.request('GET', '/api/v1/hosts', { headers: { cookie: ann.cookie } })).status, 401);
    assert.notEqual((await c.admin(['user', 'remove', 'admin'], { expectCode: 1 })).stderr, '');
});

test('wrong Host and wrong Origin are refused on requests and on upgrades', async t => {
    const c = await startConsole(t, { args: ['--name', 'console.example'] });
    const authorization = `Bearer ${await c.token('viewer')}`;
    const get = headers => c.request('GET', '/api/v1/hosts', { headers: { authorization, ...headers } });
    const port = c.webAddress.split(':')[1];
    assert.equal((await get({})).status, 200);
    assert.equal((await get({ host: `localhost:${port}` })).status, 200);
    assert.equal((await get({ host: 'console.example' })).status, 200);
    for (const host of ['evil.example', `evil.example:${port}`, 'console.example.evil.example', '127.0.0.1.evil.example', '10.0.0.1'])
        assert.ok([400, 403, 421].includes((await get({ host })).status), host);
    assert.equal((await get({ origin: 'https://evil.example' })).status, 403);
    assert.equal((await get({ origin: 'null' })).status, 403);
    const live = headers => connectWebSocket({ port: Number(port), path: '/api/v1/live', tls: { ca: c.ca }, headers: { authorization, ...headers } });
    assert.equal((await live({ Host: 'evil.example' })).status !== 101, true);
    assert.equal((await live({ Origin: 'https://evil.example' })).status !== 101, true);
    const bare = await connectWebSocket({ port: Number(port), path: '/api/v1/live', tls: { ca: c.ca } });
    assert.notEqual(bare.status, 101, 'no upgrade without a log-in');
    const good = await live({});
    assert.equal(good.status, 101);
    assert.equal((await good.json()).type, 'welcome');
    good.close();
});

test('live: hosts, processes and captures are told as they happen; a false token hears nothing', async t => {
    const c = await startConsole(t);
    const port = Number(c.webAddress.split(':')[1]);
    const token = await c.token('viewer');
    const live = await connectWebSocket({ port, path: '/api/v1/live', tls: { ca: c.ca }, headers: { authorization: `Bearer ${token}` } });
    assert.equal((await live.json()).type, 'welcome');
    const identity = await newIdentity(c);
    const peer = await openAgent(c, identity);
    assert.equal((await live.json(event => event.type === 'host' && event.host.connected)).host.id, identity.id);
    const event = await live.json(one => one.type === 'processes');
    assert.equal(event.processes[0].app, 'api');
    const [row] = await c.capture([{ host: identity.id, app: 'api' }], { duration_ms: 500 });
    assert.equal((await live.json(one => one.type === 'capture')).capture.id, row.id);
    peer.close();
    assert.equal((await live.json(one => one.type === 'host' && !one.host.connected)).host.id, identity.id);
    const forged = await connectWebSocket({ port, path: '/api/v1/live', tls: { ca: c.ca }, headers: { authorization: `Bearer ${token.slice(0, -2)}xx` } });
    if (forged.status === 101)
        assert.equal(await forged.json(), null);
    live.send('anything');
    await live.end_();
    assert.ok(live.closed);
});

test('every answer carries the security headers, and says little about us', async t => {
    const c = await startConsole(t);
    for (const url of ['/', '/api/v1/hosts', '/nowhere', '/api/v1/nowhere', '/api/v1/health']) {
        const { headers } = await c.request('GET', url);
        assert.match(headers['content-security-policy'] ?? '', /script-src 'self'/, url);
        assert.doesNotMatch(headers['content-security-policy'], /unsafe/, url);
        assert.equal(headers['x-content-type-options'], 'nosniff', url);
        assert.equal(headers['x-frame-options'], 'DENY', url);
        assert.equal(headers['referrer-policy'], 'no-referrer', url);
        assert.match(headers['strict-transport-security'] ?? '', /max-age/, url);
        assert.doesNotMatch(headers.server ?? '', /lws|libwebsockets/i, url);
    }
    assert.match((await c.request('GET', '/api/v1/hosts')).headers['cache-control'], /no-store/);
    const page = await c.request('GET', '/');
    assert.equal(page.status, 200);
    assert.match(page.headers['content-type'], /text\/html/);
    assert.doesNotMatch(page.text, /<script(?![^>]*src=)[^>]*>[^<]/, 'no inline script');
    const { status } = await c.request('GET', '/', { headers: { 'if-none-match': page.headers.etag } });
    assert.equal(status, 304);
});

test('bodies and heads over the limit, other methods and broken JSON get a clear answer', async t => {
    const c = await startConsole(t);
    const authorization = `Bearer ${await c.token('operator')}`;
    const post = (body, headers = {}) => c.request('POST', '/api/v1/captures', { body, headers: { authorization, ...headers } }).catch(error => error);
    const large = await post('x'.repeat(1 << 20));
    assert.ok(large instanceof Error || large.status === 413, String(large.status));
    const broken = await post('{"id": ');
    assert.equal(broken.status, 400);
    assert.ok(broken.body.error.message);
    assert.equal((await post('[]')).status, 400);
    assert.ok([400, 415].includes((await post('a=b', { 'content-type': 'application/x-www-form-urlencoded' })).status));
    const cases = [
        [{}, /id/], [{ id: 'x' }, /id/], [{ id: uuid7(), kind: 'cpu' }, /targets/], [{ id: uuid7(), kind: 'cpu', targets: [] }, /targets/],
        [{ id: uuid7(), kind: 'cpu', targets: [{ host: 'x', app: 'api', instance: 0 }] }, /host/],
        [{ id: uuid7(), kind: 'cpu', targets: [{ host: uuid7(), app: 'api', instance: -1 }] }, /instance/],
        [{ id: uuid7(), kind: 'cpu', targets: [{ host: uuid7(), app: 'api', instance: 0 }], duration_ms: 'long' }, /duration_ms/],
        [{ id: uuid7(), kind: 'cpu', targets: [{ host: uuid7(), app: 'api', instance: 0 }], duration_ms: -5 }, /duration_ms/],
        [{ id: uuid7(), kind: 'cpu', targets: Array(500).fill({ host: uuid7(), app: 'api', instance: 0 }) }, /targets/],
    ];
    for (const [body, sentence] of cases) {
        const { status, body: answer } = await post(body);
        assert.equal(status, 400, JSON.stringify(body).slice(0, 100));
        assert.match(answer.error.message, sentence);
    }
    assert.equal((await c.request('PUT', '/api/v1/hosts', { headers: { authorization } })).status, 405);
    assert.equal((await c.request('DELETE', '/api/v1/hosts', { headers: { authorization } })).status, 405);
    assert.equal((await c.request('GET', '/api/v1/captures/%00', { headers: { authorization } })).status >= 400, true);
    const head = await c.request('GET', `/api/v1/hosts?x=${'y'.repeat(60000)}`, { headers: { authorization } }).catch(error => error);
    assert.ok(head instanceof Error || head.status >= 400);
    await c.api('GET', 'health', { role: null });
});

test('curl is served, over HTTP/1.1 and TLS 1.2 or later', async t => {
    const c = await startConsole(t);
    const args = ['-sS', '--cacert', c.caFile, '-H', `Authorization: Bearer ${await c.token('viewer')}`];
    const { stdout } = await run('curl', [...args, '-w', '\n%{http_version} %{http_code}', `${c.web}/api/v1/hosts`]);
    assert.match(stdout, /"hosts":/);
    assert.match(stdout, /\n1\.1 200$/);
    const twice = await run('curl', [...args, '-w', '%{num_connects} ', `${c.web}/api/v1/hosts`, '-o', '/dev/null', `${c.web}/api/v1/health`, '-o', '/dev/null']);
    assert.match(twice.stdout, /^1 0/, 'the connection is kept');
    await assert.rejects(run('curl', ['-sS', '--cacert', c.caFile, '--tls-max', '1.1', `${c.web}/api/v1/health`]));
    await assert.rejects(run('curl', ['-sS', `http://${c.webAddress}/api/v1/health`]));
});

// A TLS connection that stays as it is left.
async function idle(address, options = {}) {
    const [host, port] = address.split(':');
    const socket = tls.connect({ host, port: Number(port), rejectUnauthorized: false, ...options });
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    return socket;
}

const ended = socket => new Promise(resolve => socket.once('close', resolve));

test('slow clients are dropped on both ports, and others do not notice', async t => {
    const c = await startConsole(t);
    const identity = await newIdentity(c);
    const silentTcp = await Promise.all([c.webAddress, c.agents].map(async address => {
        const [host, port] = address.split(':');
        const socket = net.connect(Number(port), host);
        socket.on('error', () => {});
        await once(socket, 'connect');
        return socket;
    }));
    const silentTls = [await idle(c.webAddress), await idle(c.agents, { key: identity.key, cert: identity.certificate })];
    const half = await idle(c.webAddress);
    half.write('GET /api/v1/health HTTP/1.1\r\nHost: ');
    const body = await idle(c.webAddress);
    body.write(`POST /api/v1/login HTTP/1.1\r\nHost: ${c.webAddress}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`);
    const trickle = await idle(c.webAddress);
    const timer = setInterval(() => trickle.write('x'), 500);
    t.after(() => clearInterval(timer));
    const all = [...silentTcp, ...silentTls, half, body, trickle];
    const began = Date.now();
    const gone = Promise.all(all.map(ended));
    await c.api('GET', 'hosts', { role: 'viewer' });
    assert.ok(Date.now() - began < 2000 * slow);
    await Promise.race([gone, delay(75000 * slow).then(() => assert.fail(`still open: ${all.map(one => !one.destroyed)}`))]);
    await c.api('GET', 'hosts', { role: 'viewer' });
});

test('one address cannot take all connections', async t => {
    const c = await startConsole(t);
    const sockets = [];
    t.after(() => sockets.forEach(one => one.destroy()));
    const [host, port] = c.webAddress.split(':');
    let refused = 0;
    for (let i = 0; i < 300; i++) {
        const socket = net.connect({ port: Number(port), host, localAddress: '127.0.0.9' });
        socket.on('error', () => { refused++; });
        socket.on('close', () => { refused++; });
        sockets.push(socket);
    }
    await until('some were refused', () => refused > 50, 10000 * slow);
    await c.api('GET', 'hosts', { role: 'viewer' });
});

test('the console starts once per folder, and bad options are told', async t => {
    const c = await startConsole(t);
    const { spawnSync } = await import('node:child_process');
    const { readFileSync } = await import('node:fs');
    const path = await import('node:path');
    const build = process.env.PROCTOR_BUILD ?? 'build/release';
    const start = args => spawnSync(path.join(build, 'proctor-console'), args, { encoding: 'utf8', timeout: 20000 * slow, env: c.env });
    const second = start(['--data', c.data, '--listen', '127.0.0.1:0', '--agent-listen', '127.0.0.1:0']);
    assert.equal(second.status, 1);
    assert.match(second.stderr, /another|already|in use/);
    assert.equal(start(['--listen', '127.0.0.1:0']).status, 2);
    assert.equal(start(['--data', `${c.folder}/other`, '--listen', 'nonsense']).status !== 0, true);
    assert.equal(start(['--data', `${c.folder}/other`, '--no-such']).status, 2);
    const taken = start(['--data', `${c.folder}/other`, '--listen', c.webAddress, '--agent-listen', '127.0.0.1:0']);
    assert.equal(taken.status, 1);
    assert.match(taken.stderr, /address already in use/i);
    const never = await c.admin(['token', 'create', 'enrol', '--ttl', 'soon'], { expectCode: 2 });
    assert.match(never.stderr, /ttl/);
    assert.ok(readFileSync(c.caFile, 'utf8').includes('BEGIN CERTIFICATE'));
});
