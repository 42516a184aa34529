// Who may be a host of a console: enrolment, certificates, renewal, revocation, and what is refused.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { startConsole } from '../lib/console.mjs';
import { connectAgent, enrol, hello, makeKey, newIdentity, openAgent, splitToken } from '../lib/stranger.mjs';
import { until } from '../lib/proc.mjs';

const app = { name: 'api', script: appFile('cpu.js') };

async function tryLink(host, token) {
    return host.proctor(['link', '-'], { input: `${token}\n`, timeout: 40000 });
}

const status = async host => JSON.parse((await host.proctor(['link', 'status', '--json'], { expectCode: 0 })).stdout);

test('a host is linked with one string, which is good once', async t => {
    const c = await startConsole(t);
    const a = startHost(t), b = startHost(t);
    await a.startApps([app]);
    await b.startApps([app]);
    assert.equal((await status(a)).state, 'unlinked');
    const token = await c.enrolToken();
    assert.match(token, /^pt1\.127\.0\.0\.1:\d+\.[0-9a-f]{64}\.[A-Za-z0-9_-]{43}$/);
    const { code, stdout, stderr } = await tryLink(a, token);
    assert.equal(code, 0, stdout + stderr);
    const linked = await status(a);
    assert.equal(linked.state, 'connected');
    assert.ok(linked.certificate_until_ms > Date.now() + 80 * 24 * 3600e3);
    await c.waitConnected(linked.host);
    for (const file of ['key.pem', 'cert.pem', 'ca.pem'])
        assert.equal(fs.statSync(path.join(a.home, 'agent', file)).mode & 0o777, 0o600, file);

    const used = await tryLink(b, token);
    assert.equal(used.code, 1);
    assert.match(used.stderr, /used/);
    assert.equal((await status(b)).state, 'unlinked');
    const twice = await tryLink(a, await c.enrolToken());
    assert.equal(twice.code, 1);
    assert.match(twice.stderr, /linked/);
    for (const host of [a, b])
        assert.doesNotMatch(host.daemonLog(), new RegExp(splitToken(token).secret), 'the secret is in no log');
    const { body } = await c.api('GET', 'audit', { role: 'admin' });
    assert.ok(body.audit.some(row => /enrol/.test(row.what)));
});

test('a wrong secret, an expired one, a wrong CA and nonsense are refused with a sentence, and nothing is stored', async t => {
    const c = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app]);
    const token = await c.enrolToken();
    const { address, ca, secret } = splitToken(token);
    const swap = text => (text[0] === 'A' ? 'B' : 'A') + text.slice(1);
    const cases = [
        [`pt1.${address}.${ca}.${swap(secret)}`, /unknown|not known|wrong/],
        [`pt1.${address}.${'0'.repeat(64)}.${secret}`, /nothing was sent/],
        [`pt1.127.0.0.1:1.${ca}.${secret}`, /127\.0\.0\.1:1/],
        ['pt1.nonsense', /enrolment string/],
        [`pt2.${address}.${ca}.${secret}`, /enrolment string|pt1/],
    ];
    for (const [text, sentence] of cases) {
        const { code, stderr } = await tryLink(a, text);
        assert.equal(code, 1, text);
        assert.match(stderr, sentence);
        assert.doesNotMatch(stderr, new RegExp(secret));
    }
    const short = await c.enrolToken(['--ttl', '1s']);
    await delay(1500);
    const late = await tryLink(a, short);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /expired|time/);
    assert.equal((await status(a)).state, 'unlinked');
    assert.ok(!fs.existsSync(path.join(a.home, 'agent', 'key.pem')), 'no key is left');
    // The wrong CA got nothing: the secret is still good.
    assert.equal((await tryLink(a, token)).code, 0);
});

test('unlink revokes: the certificate opens nothing any more', async t => {
    const c = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app]);
    await c.link(a);
    const identity = {
        key: fs.readFileSync(path.join(a.home, 'agent', 'key.pem'), 'utf8'),
        certificate: fs.readFileSync(path.join(a.home, 'agent', 'cert.pem'), 'utf8'),
    };
    const { stdout } = await a.proctor(['unlink'], { expectCode: 0 });
    assert.match(stdout, /revoked/);
    assert.equal((await status(a)).state, 'unlinked');
    assert.ok(!fs.existsSync(path.join(a.home, 'agent', 'key.pem')));
    const { body } = await c.api('GET', 'hosts', { role: 'viewer' });
    assert.equal(body.hosts.find(one => one.id === a.id).revoked, true);
    const peer = await openAgent(c, identity);
    assert.equal(peer.welcome?.code ?? 'REVOKED', 'REVOKED');
    await peer.end_();
    // And it may be linked again, as another host.
    const before = a.id;
    await c.link(a);
    assert.notEqual(a.id, before);
});

test('a host that moves to another console tells it nothing of the first one', async t => {
    const first = await startConsole(t, { proxy: true }), second = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app]);
    await first.link(a);
    await first.waitProcess(a.id, 'api');
    const [ended] = await first.capture([{ host: a.id, app: 'api' }], { duration_ms: 1000 });
    await first.waitPhase(ended.id, 'running');
    first.proxy.refuse = true;
    first.proxy.cut();
    const { stdout } = await a.proctor(['unlink'], { expectCode: 0, timeout: 30000 });
    assert.match(stdout, /has not revoked it/);
    await second.link(a);
    await second.waitProcess(a.id, 'api');
    const [own] = await second.capture([{ host: a.id, app: 'api' }], { duration_ms: 300 });
    await second.waitEnd(own.id);
    const { body } = await second.api('GET', 'captures', { role: 'viewer' });
    assert.deepEqual(body.captures.map(one => one.id), [own.id]);
    assert.doesNotMatch(second.log, /DENIED|connection ended/);
});

test('a host that is revoked at the console is cut off at once, and its agent says why', async t => {
    const c = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app]);
    await c.link(a);
    await c.admin(['host', 'revoke', a.id]);
    await c.waitConnected(a.id, false);
    const refused = await until('the agent knows that it is refused', async () => {
        const now = await status(a);
        return now.state === 'refused' && now;
    }, 15000 * slow);
    assert.equal(refused.error.name, 'REVOKED');
    const { code } = await a.proctor(['captures']);
    assert.equal(code, 0, 'the host itself goes on');
    const { hosts } = JSON.parse((await c.admin(['host', 'list', '--json'])).stdout);
    assert.ok(hosts.find(one => one.id === a.id).revoked);
});

test('a certificate renews by itself at two thirds of its life, without a gap', async t => {
    const c = await startConsole(t, { args: ['--agent-cert-life', '15s'] });
    const a = startHost(t);
    await a.startApps([app]);
    await c.link(a);
    const file = path.join(a.home, 'agent', 'cert.pem');
    const first = fs.readFileSync(file, 'utf8'), key = fs.readFileSync(path.join(a.home, 'agent', 'key.pem'), 'utf8');
    await until('the certificate is another', () => fs.readFileSync(file, 'utf8') !== first, 20000 * slow);
    await until('and so is the key', () => fs.readFileSync(path.join(a.home, 'agent', 'key.pem'), 'utf8') !== key, 1000);
    await delay(8000);
    // The first one has expired by now.
    assert.equal(c.log.match(/is connected/g).length, 1, 'it was connected all the time');
    await c.restart();
    await c.waitConnected(a.id, true, 30000);
    const peer = await connectAgent(c, { key, certificate: first }).catch(error => error);
    if (!(peer instanceof Error) && peer.status === 101) {
        peer.send(hello());
        assert.notEqual((await peer.json())?.type, 'hello', 'an expired certificate opens nothing');
        peer.close();
    }
});

test('the agent port speaks to agents only: no certificate, a foreign one, an old TLS, another protocol', async t => {
    const c = await startConsole(t);
    const identity = await newIdentity(c);
    // openssl as the stranger: without a certificate, and with one of another authority.
    const connect = args => spawnSync('openssl', ['s_client', '-connect', c.agents, '-CAfile', c.caFile, '-ign_eof', ...args],
        { input: 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', timeout: 15000, encoding: 'utf8' });
    const none = connect([]);
    assert.doesNotMatch(none.stdout, /HTTP\/1\.1/, 'nothing is served without a certificate');
    assert.match(none.stdout + none.stderr, /alert|handshake failure|certificate required|errno|unexpected eof/i);
    const folder = c.folder;
    const { file } = makeKey(folder, 'foreign');
    execFileSync('openssl', ['req', '-x509', '-new', '-key', file, '-subj', `/CN=${identity.id}`, '-days', '1', '-out', `${folder}/foreign.pem`]);
    const foreign = connect(['-cert', `${folder}/foreign.pem`, '-key', file]);
    assert.doesNotMatch(foreign.stdout, /HTTP\/1\.1/);
    for (const address of [c.agents, c.webAddress]) {
        const old = spawnSync('openssl', ['s_client', '-connect', address, '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'], { input: '', timeout: 15000, encoding: 'utf8' });
        assert.notEqual(old.status, 0, `TLS 1.1 at ${address}`);
        assert.doesNotMatch(old.stdout, /BEGIN CERTIFICATE/);
    }
    // With a good certificate, but not our protocol.
    fs.writeFileSync(`${folder}/good.pem`, identity.certificate);
    const plain = connect(['-cert', `${folder}/good.pem`, '-key', identity.keyFile]);
    assert.doesNotMatch(plain.stdout, /HTTP\/1\.1 200/);
    const wrong = await connectAgent(c, identity, { protocol: 'proctor.v9' });
    assert.notEqual(wrong.status, 101);
    // A server's certificate is none for a host.
    const server = await connectAgent(c, {
        key: fs.readFileSync(path.join(c.data, 'tls', 'server.key'), 'utf8'),
        certificate: fs.readFileSync(path.join(c.data, 'tls', 'server.pem'), 'utf8'),
    }).catch(error => error);
    assert.ok(server instanceof Error || server.status !== 101, 'the server certificate is no agent');
    const peer = await openAgent(c, identity);
    assert.equal(peer.welcome.type, 'hello');
    peer.close();
});

test('two agents with one identity: the second waits for the first, and takes over when that is dead', async t => {
    const c = await startConsole(t);
    const identity = await newIdentity(c);
    const first = await openAgent(c, identity);
    assert.equal(first.welcome.type, 'hello');
    // The first answers pings by itself only as a WebSocket: as an agent it must say something.
    const answering = (async () => {
        for (let message; (message = await first.json(one => one.type === 'ping', 60000).catch(() => null));)
            first.send({ type: 'pong' });
    })();
    const second = await openAgent(c, identity);
    assert.equal(second.welcome.type, 'bye');
    assert.equal(second.welcome.code, 'BUSY');
    assert.match(second.welcome.text, /identity|another agent/);
    await second.end_();
    assert.equal(first.closed, null, 'the first stays');
    // A first one that is silent gives way within some seconds.
    first.send = () => {};
    const third = await until('the newcomer is let in', async () => {
        const peer = await openAgent(c, identity);
        if (peer.welcome?.type === 'hello')
            return peer;
        peer.close();
        await delay(1000);
        return false;
    }, 20000 * slow);
    await first.end_();
    third.close();
    await answering;
});

test('enrolment takes a request only from who holds the key, and limits who guesses', async t => {
    const c = await startConsole(t);
    const { csr } = makeKey(c.folder);
    const token = await c.enrolToken();
    const broken = csr.replace(/[A-Z]{6}/, 'AAAAAA');
    assert.equal((await enrol(c, { token, csr: broken })).status, 400);
    assert.equal((await enrol(c, { token, csr: 'x' })).status, 400);
    execFileSync('openssl', ['genrsa', '-out', `${c.folder}/rsa.key`, '2048'], { stdio: 'ignore' });
    const rsa = execFileSync('openssl', ['req', '-new', '-key', `${c.folder}/rsa.key`, '-subj', '/CN=x']).toString();
    assert.equal((await enrol(c, { token, csr: rsa })).status, 400);
    // The secret was not used up by what was refused for another reason.
    const good = await enrol(c, { token, csr });
    assert.equal(good.status, 201, good.text);
    assert.match(good.body.agents, /:\d+$/);
    // The name in the request counts for nothing.
    const subject = execFileSync('openssl', ['x509', '-noout', '-subject', '-ext', 'extendedKeyUsage'], { input: good.body.certificate }).toString();
    assert.match(subject, new RegExp(good.body.host));
    assert.match(subject, /Client Authentication/);
    fs.writeFileSync(`${c.folder}/host.pem`, good.body.certificate);
    execFileSync('openssl', ['verify', '-CAfile', c.caFile, '-purpose', 'sslclient', `${c.folder}/host.pem`]);
    let limited = false;
    for (let i = 0; i < 40 && !limited; i++) {
        const { status: code } = await enrol(c, { token: `pt1.x:1.${'0'.repeat(64)}.${'A'.repeat(43)}`, csr });
        assert.ok([401, 403, 404, 429].includes(code), String(code));
        limited = code === 429;
    }
    assert.ok(limited, 'guessing is slowed down');
});
