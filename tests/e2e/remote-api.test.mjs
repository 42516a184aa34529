// The console's web port as strangers meet it: roles, sessions, tokens, limits, slow clients, live updates.
import test from 'node:test';
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { slow } from '../lib/host.mjs';
import { startConsole, uuid7 } from '../lib/console.mjs';
import { connectWebSocket } from '../lib/websocket.mjs';
import { Schemas } from '../lib/schema.mjs';
import { newIdentity, openAgent, process_ } from '../lib/stranger.mjs';
import { until } from '../lib/proc.mjs';

const run = promisify(execFile);
const roles = ['viewer', 'operator', 'admin'];

// What who may gets for an empty body and ids that nobody has, where it is not 200 (GET) or 404 (the rest, and GET of one thing).
const answers = {
    'GET /api/v1/series': 400, 'GET /api/v1/exits': 400, 'GET /api/v1/logs': 400, // nothing says of which process
    'POST /api/v1/enrol': 400, 'POST /api/v1/login': 400, 'POST /api/v1/password': 400, 'POST /api/v1/captures': 400,
    'POST /api/v1/profiles/{id}/keep': 400, 'POST /api/v1/users': 400, 'POST /api/v1/users/{name}/role': 400,
    'POST /api/v1/users/{name}/password': 400, 'POST /api/v1/tokens': 400, 'POST /api/v1/enrolments': 201,
};

// Every route of the OpenAPI file: {method, url, role, changes, status}; what stands in braces is an id that nobody has.
async function routes(c) {
    const { body: doc } = await c.request('GET', '/api/v1/openapi.json');
    const list = [];
    for (const [template, methods] of Object.entries(doc.paths))
        for (const [word, operation] of Object.entries(methods)) {
            const method = word.toUpperCase();
            list.push({
                method, template, role: operation['x-role'], changes: operation['x-changes'],
                url: template.replace(/\{name\}/g, 'nobody').replace(/\{[^}]*\}/g, uuid7(1)),
                status: answers[`${method} ${template}`] ?? (method === 'GET' && !template.includes('{') ? 200 : 404),
            });
        }
    assert.ok(list.length > 25, `${list.length} routes`);
    return { list, schemas: new Schemas(doc) };
}

// A session of each role.
async function sessions(c) {
    const all = { admin: await c.login('admin', c.adminPassword) };
    for (const role of ['viewer', 'operator']) {
        await c.admin(['user', 'add', role, '--role', role], { input: `${role} has a password\n` });
        all[role] = await c.login(role, `${role} has a password`);
    }
    return all;
}

test('every route is for those whose role the table names, and for nobody without', async t => {
    const c = await startConsole(t);
    const all = await sessions(c);
    const { list, schemas } = await routes(c);
    for (const { method, url, role, template, changes, status } of list) {
        // It ends the session; a token has none.
        if (template.endsWith('/logout'))
            continue;
        const ask = async (headers, expected, who) => {
            const reply = await c.request(method, url, { body: method === 'POST' ? {} : undefined, headers });
            assert.equal(reply.status, expected, `${method} ${url} ${who}: ${reply.text}`);
            if (!template.endsWith('openapi.json'))
                schemas.assertReply(method, template, reply);
            return reply;
        };
        const anyone = role === 'anyone';
        const bare = await ask({}, anyone ? status : 401, 'without a log-in');
        if (!anyone)
            assert.equal(bare.body.error.name, 'LOGIN');
        for (const [i, mine] of roles.entries()) {
            const expected = anyone || i >= roles.indexOf(role) ? status : 403;
            await ask({ authorization: `Bearer ${await c.token(mine)}` }, expected, `with a token of ${mine}`);
            if (changes)
                await ask(all[mine].headers, expected, `in a session of ${mine}`);
            else
                await ask({ cookie: all[mine].cookie }, expected, `in a session of ${mine}`);
        }
    }
    for (const mine of roles) {
        const bye = headers => c.request('POST', '/api/v1/logout', { body: {}, headers });
        assert.equal((await bye({ authorization: `Bearer ${await c.token(mine)}` })).status, 400);
        assert.equal((await bye(all[mine].headers)).status, 204);
        assert.equal((await bye(all[mine].headers)).status, 401);
    }
});

test('a session changes things only with its own CSRF value and from its own page', async t => {
    const c = await startConsole(t);
    const all = await sessions(c);
    const { list } = await routes(c);
    for (const { method, url, changes, role, template, status } of list) {
        if (!changes || role === 'anyone' || template.endsWith('/logout'))
            continue;
        for (const [i, mine] of roles.entries()) {
            const send = headers => c.request(method, url, { body: method === 'POST' ? {} : undefined, headers });
            const { cookie, csrf, headers } = all[mine];
            const wrong = csrf.slice(0, -1) + (csrf.endsWith('0') ? '1' : '0');
            const others = all[roles[(i + 1) % roles.length]].csrf;
            const lies = {
                'without CSRF': { cookie, origin: c.web }, 'with a wrong CSRF': { cookie, origin: c.web, 'x-csrf-token': wrong },
                'with another one\'s CSRF': { cookie, origin: c.web, 'x-csrf-token': others },
                'from elsewhere': { cookie, origin: 'https://evil.example', 'x-csrf-token': csrf },
            };
            for (const [what, lie] of Object.entries(lies))
                assert.equal((await send(lie)).status, 403, `${method} ${url} as ${mine} ${what}`);
            const may = i >= roles.indexOf(role);
            assert.equal((await send(headers)).status, may ? status : 403, `${method} ${url} as ${mine}`);
        }
    }
});

test('what is answered is what openapi.json describes', async t => {
    const c = await startConsole(t);
    const identity = await newIdentity(c);
    const peer = await openAgent(c, identity);
    await until('its process is known', async () => (await c.api('GET', 'processes', { role: 'viewer' })).body.processes.length > 0, 5000 * slow);
    const { schemas } = await routes(c);
    const authorization = `Bearer ${await c.token('admin')}`;
    const ask = async (method, path, status, body, template = path) => {
        const reply = await c.request(method, `/api/v1/${path}`, { body, headers: { authorization } });
        assert.equal(reply.status, status, `${method} ${path}: ${reply.text}`);
        schemas.assertReply(method, `/api/v1/${template.split('?')[0]}`, reply);
        return reply.body;
    };
    const target = { host: identity.id, app: 'api' };
    const { captures: [capture] } = await ask('POST', 'captures', 202, { id: uuid7(), kind: 'cpu', targets: [target] });
    await ask('POST', 'captures', 409, { id: uuid7(), kind: 'telepathy', targets: [target] });
    await ask('POST', 'captures', 404, { id: uuid7(), kind: 'cpu', targets: [{ ...target, app: 'nope' }] });
    await ask('POST', 'users', 201, { name: 'ann', role: 'viewer', password: 'a long password' });
    await ask('POST', 'users', 409, { name: 'ann', role: 'viewer', password: 'a long password' });
    const { token } = await ask('POST', 'tokens', 201, { name: 'x', role: 'viewer' });
    assert.ok(token);
    await ask('POST', 'enrolments', 201, {});
    for (const path of ['health', 'session', 'hosts', 'processes', 'captures', 'profiles', 'users', 'tokens', 'audit', 'audit?limit=2'])
        await ask('GET', path, 200);
    await ask('GET', `processes?host=${identity.id}`, 200);
    await ask('GET', 'captures?limit=0', 400);
    await ask('GET', `hosts/${identity.id}`, 200, undefined, 'hosts/{id}');
    await ask('GET', `captures/${capture.id}`, 200, undefined, 'captures/{id}');
    await ask('POST', `captures/${capture.id}/cancel`, 200, {}, 'captures/{id}/cancel');
    await ask('POST', 'users/ann/role', 200, { role: 'operator' }, 'users/{name}/role');
    await ask('POST', 'users/ann/password', 204, { password: 'another long one' }, 'users/{name}/password');
    await ask('DELETE', 'users/ann', 204, undefined, 'users/{name}');
    await ask('POST', `hosts/${identity.id}/revoke`, 200, {}, 'hosts/{id}/revoke');
    peer.close();
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
    assert.equal((await c.request('POST', '/api/v1/logout', { body: {}, headers: session.headers })).status, 204);
    assert.equal((await who({ cookie: session.cookie })).status, 401);
    const change = body => c.request('POST', '/api/v1/password', { body, headers: other.headers });
    assert.equal((await change({ old: 'wrong password', new: 'a new long password' })).status, 403);
    assert.equal((await change({ old: password, new: 'short' })).status, 400);
    const third = await c.login('admin', password);
    assert.equal((await change({ old: password, new: 'a new long password' })).status, 204);
    assert.equal((await who({ cookie: third.cookie })).status, 401, 'other sessions have ended');
    assert.equal((await c.request('POST', '/api/v1/login', { body: { name: 'admin', password } })).status, 401);
    await c.login('admin', 'a new long password');
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
        assert.equal((await get({ host })).status, 421, host);
    assert.equal((await get({ origin: 'https://evil.example' })).status, 403);
    assert.equal((await get({ origin: 'null' })).status, 403);
    const live = headers => connectWebSocket({ port: Number(port), path: '/api/v1/live', tls: { ca: c.ca }, headers: { authorization, ...headers } });
    assert.equal((await live({ Host: 'evil.example' })).status, 421);
    assert.equal((await live({ Origin: 'https://evil.example' })).status, 403);
    const bare = await connectWebSocket({ port: Number(port), path: '/api/v1/live', tls: { ca: c.ca } });
    assert.equal(bare.status, 401, 'no upgrade without a log-in');
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
    // Strict-Transport-Security is for all ports of a name, so only the one that is meant by https:// alone may ask for it.
    const c = await startConsole(t, { args: ['--public-web', 'console.example:443'] }), plain = await startConsole(t);
    assert.equal((await plain.request('GET', '/')).headers['strict-transport-security'], undefined);
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
    const post = (body, headers = {}) => c.request('POST', '/api/v1/captures', { body, headers: { authorization, ...headers } });
    for (const bytes of [(256 << 10) + 1, 1 << 20]) {
        const { status, body } = await post('x'.repeat(bytes));
        assert.equal(status, 413, `${bytes} bytes`);
        assert.equal(body.error.name, 'TOO_BIG');
    }
    const broken = await post('{"id": ');
    assert.equal(broken.status, 400);
    assert.ok(broken.body.error.message);
    assert.equal((await post('[]')).status, 400);
    assert.equal((await post('a=b', { 'content-type': 'application/x-www-form-urlencoded' })).status, 415);
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
    assert.equal((await c.request('GET', '/api/v1/captures/%00', { headers: { authorization } })).status, 400);
    for (const bytes of [16 << 10, 60000])
        assert.equal((await c.request('GET', `/api/v1/hosts?x=${'y'.repeat(bytes)}`, { headers: { authorization } })).status, 431);
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

// Between a client and the console: whole until `little`, then some bytes of each second.
async function startTap(t, port) {
    const tap = { little: false };
    const server = net.createServer(down => {
        const take = (n, bytes) => {
            down.write(Buffer.from(bytes.subarray(0, n)));
            return !tap.little;
        };
        const up = net.connect({ host: '127.0.0.1', port, onread: { buffer: Buffer.alloc(200), callback: take } });
        up.once('connect', () => { tap.from = up.localPort; });
        const timer = setInterval(() => up.resume(), 1000);
        for (const socket of [up, down]) {
            socket.on('error', () => {});
            socket.on('close', () => { clearInterval(timer); up.destroy(); down.destroy(); });
        }
        down.pipe(up);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    return Object.assign(tap, { port: server.address().port });
}

// Is the connection between the two ports open, on the side of the first?  The client itself would hear of its end only behind all
// that is under way.
function isOpen(port, from) {
    const hex = number => `:${number.toString(16).toUpperCase().padStart(4, '0')}`;
    return readFileSync('/proc/net/tcp', 'utf8').split('\n').map(line => line.trim().split(/\s+/))
        .some(([, local, remote, state]) => local?.endsWith(hex(port)) && remote.endsWith(hex(from)) && state === '01');
}

test('a client that takes a little of large replies, and then a little, is dropped', async t => {
    const c = await startConsole(t);
    const peer = await openAgent(c, await newIdentity(c));
    const processes = Array.from({ length: 2000 }, (_, i) => process_({ instance: i, pid: 5000 + i, kinds: { cpu: 'n'.repeat(150), heap: '' } }));
    peer.send({ type: 'processes', at_ms: Date.now(), processes });
    await until('the list is known', async () => (await c.api('GET', 'processes', { role: 'viewer' })).body.processes.length === 2000, 10000 * slow);
    const port = Number(c.webAddress.split(':')[1]);
    const tap = await startTap(t, port);
    const socket = await idle(`127.0.0.1:${tap.port}`);
    t.after(() => socket.destroy());
    socket.resume();
    tap.little = true;
    // Some 600 KB each: more than all buffers between us hold.
    socket.write(`GET /api/v1/processes HTTP/1.1\r\nHost: ${c.webAddress}\r\nAuthorization: Bearer ${await c.token('viewer')}\r\n\r\n`.repeat(20));
    await delay(3000);
    assert.ok(isOpen(port, tap.from), 'it is not dropped at once');
    await until('it was dropped', () => !isOpen(port, tap.from), 75000 * slow);
    await c.api('GET', 'hosts', { role: 'viewer' });
    peer.close();
});

test('scrypt and downloads have threads of their own beside the checks of results', async t => {
    const c = await startConsole(t, { env: { UV_THREADPOOL_SIZE: '1' } });
    await c.login('admin', c.adminPassword);
    // The loop, the store's reader and writer, and libuv's eight.
    assert.equal(readdirSync(`/proc/${c.pid}/task`).length, 11);
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
    const path = await import('node:path');
    const build = process.env.PROCTOR_BUILD ?? 'build/release';
    const start = args => spawnSync(path.join(build, 'proctor-console'), args, { encoding: 'utf8', timeout: 20000 * slow, env: c.env });
    const second = start(['--data', c.data, '--listen', '127.0.0.1:0', '--agent-listen', '127.0.0.1:0']);
    assert.equal(second.status, 1);
    assert.match(second.stderr, /another|already|in use/);
    assert.equal(start(['--listen', '127.0.0.1:0']).status, 2);
    assert.equal(start(['--data', `${c.folder}/other`, '--listen', 'nonsense']).status, 1);
    const unnamed = start(['--data', '', '--listen', '127.0.0.1:0']);
    assert.equal(unnamed.status, 2);
    assert.match(unnamed.stderr, /--data '': expected a folder/);
    mkdirSync(`${c.folder}/home`);
    writeFileSync(`${c.folder}/home/notes`, '');
    chmodSync(`${c.folder}/home`, 0o755);
    const home = start(['--data', `${c.folder}/home`, '--listen', '127.0.0.1:0', '--agent-listen', '127.0.0.1:0']);
    assert.equal(home.status, 1);
    assert.match(home.stderr, /is not empty and no console's/);
    assert.equal(statSync(`${c.folder}/home`).mode & 0o7777, 0o755);
    assert.deepEqual(readdirSync(`${c.folder}/home`), ['notes']);
    assert.equal(start(['--data', `${c.folder}/other`, '--no-such']).status, 2);
    const taken = start(['--data', `${c.folder}/other`, '--listen', c.webAddress, '--agent-listen', '127.0.0.1:0']);
    assert.equal(taken.status, 1);
    assert.match(taken.stderr, /address already in use/i);
    const never = await c.admin(['token', 'create', 'enrol', '--ttl', 'soon'], { expectCode: 2 });
    assert.match(never.stderr, /ttl/);
    assert.ok(readFileSync(c.caFile, 'utf8').includes('BEGIN CERTIFICATE'));
});
