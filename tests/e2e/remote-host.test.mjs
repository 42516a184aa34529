// The host's side of the link when something is wrong: files, clocks, agents that die or hang, a console that lies, logs that grow.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { startConsole, uuid7 } from '../lib/console.mjs';
import { startLyingConsole } from '../lib/lying-console.mjs';
import { startProxy } from '../lib/proxy.mjs';
import { until } from '../lib/proc.mjs';

const app = { name: 'api', script: appFile('cpu.js') };
const build = process.env.PROCTOR_BUILD ?? fileURLToPath(new URL('../../build/release', import.meta.url));

const status = async host => (await host.proctor(['link', 'status', '--json'], { expectCode: 0 })).json();

const tokenFile = (host, token) => {
    const file = path.join(host.folder, `${randomBytes(4).toString('hex')}.token`);
    fs.writeFileSync(file, `${token}\n`, { mode: 0o600 });
    return file;
};

const agentPid = async host => until('the agent runs', async () => (await host.helperPids('proctor-agent'))[0]);

// Waits until the agent is another one, and serves.
const waitNextAgent = (host, before) => until('there is another agent', async () => {
    const pid = (await host.helperPids('proctor-agent'))[0];
    return pid && pid !== before && (await host.proctor(['captures', '--json'])).code === 0 && pid;
}, 15000 * slow);

const killAgent = async host => {
    const pid = await agentPid(host);
    process.kill(pid, 'SIGKILL');
    return waitNextAgent(host, pid);
};

const count = (text, pattern) => (text.match(pattern) ?? []).length;

// A capture that a console asked for and has not acknowledged, as an agent leaves it.
function putRecord(host, id, more) {
    const at = Date.now() - 600000;
    fs.writeFileSync(path.join(host.home, 'spool', `${id}.json`), `${JSON.stringify({
        id, kind: 'cpu', origin: 'console', app: 'secret-of-the-first', instance: 0, requester: 'alice', role: 'operator',
        state: 'failed', phase: 'open', phases: [{ phase: 'open', at_ms: at }], interval_us: 5000, created_ms: at,
        ended_ms: at + 5, not_after_ms: at + 60000, error: { name: 'FAILED', message: 'x' }, ...more,
    })}\n`, { mode: 0o600 });
}

test('files of the link that cannot be used are told, and not taken for no link', async t => {
    const c = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app]);
    await c.link(a);
    const cert = path.join(a.home, 'agent', 'cert.pem');
    const good = fs.readFileSync(cert);
    fs.writeFileSync(cert, 'rubbish\n');
    await killAgent(a);
    const broken = await until('the agent says so', async () => {
        const now = await status(a);
        return now.state === 'refused' && now;
    }, 10000 * slow);
    assert.match(broken.error.message, /^the files in agent\/ cannot be used: /);
    const { stdout } = await a.proctor(['link', 'status'], { expectCode: 0 });
    assert.match(stdout, /not connected: the files in agent\/ cannot be used/);
    assert.doesNotMatch(stdout, /refused by the console|not linked to a console/);
    const again = await a.proctor(['link', tokenFile(a, await c.enrolToken())], { expectCode: 1 });
    assert.match(again.stderr, /unlink it first/);
    // Mended, it goes on where it was.
    fs.writeFileSync(cert, good);
    await killAgent(a);
    await c.waitConnected(a.id);
    fs.writeFileSync(cert, 'rubbish\n');
    await killAgent(a);
    const unlinked = await a.proctor(['unlink'], { expectCode: 0 });
    assert.match(unlinked.stderr, /the console was not told: revoke this host there/);
    assert.equal((await status(a)).state, 'unlinked');
    assert.deepEqual(fs.readdirSync(path.join(a.home, 'agent')), []);
    await c.link(a);
});

test('a console that says what does not fit is left with a bye, and told of once', async t => {
    const c = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app]);
    await c.link(a);
    await c.stop();
    const before = a.daemonLog().length;
    const liar = await startLyingConsole(t, c, a.id, (message, say) => {
        if (message.type === 'hello')
            for (let i = 0; i < 2000; i++)
                say({ type: 'blob.go', blob: 9, offset: 4000000000 });
    });
    await until('it was left three times', () => liar.byes.length >= 3, 40000 * slow);
    assert.ok(liar.byes.every(bye => bye.code === 'PROTOCOL' && /does not fit/.test(bye.text)), JSON.stringify(liar.byes));
    const log = a.daemonLog().slice(before);
    assert.equal(count(log, /warn .*does not fit/g), 1, log);
    assert.ok(log.length < 8000, `${log.length} bytes in the log`);
});

test('a console that greets and sends away is asked less and less', async t => {
    const c = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app]);
    await c.link(a);
    await c.stop();
    const liar = await startLyingConsole(t, c, a.id, (message, say) => {
        if (message.type === 'hello')
            say({ type: 'bye', code: 'FAILED', text: 'no store' });
    });
    await delay(20000);
    assert.ok(liar.connections >= 2 && liar.connections <= 12, `${liar.connections} connections in 20 s`);
    assert.equal(count(a.daemonLog(), /warn .*no store/g), 1);
});

test('what a lying console asks for pushes out nothing of this host', async t => {
    const c = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app]);
    await c.link(a);
    const { code } = await a.capture('cpu', 'api', { duration: '300ms' });
    assert.equal(code, 0);
    const own = async () => (await a.captures()).filter(one => one.origin !== 'console').length;
    assert.equal(await own(), 1);
    await a.proctor(['kill'], { expectCode: 0 });
    // As many as are kept, acknowledged and not.
    const later = Date.now();
    for (let i = 0; i < 5200; i++)
        putRecord(a, uuid7(later + i), { host: a.id, delivered: i % 2 === 0, created_ms: later + i, ended_ms: later + i + 1 });
    await a.startApps([app]);
    await until('the agent has made room', async () => fs.readdirSync(path.join(a.home, 'spool')).filter(name => name.endsWith('.json')).length <= 5000, 20000 * slow);
    const { stdout } = await a.proctor(['captures', '--json'], { expectCode: 0 });
    assert.ok(stdout.length > 0);
    const names = fs.readdirSync(path.join(a.home, 'spool')).filter(name => name.endsWith('.json'));
    const local = names.filter(name => !JSON.parse(fs.readFileSync(path.join(a.home, 'spool', name))).origin);
    assert.equal(local.length, 1, 'the capture of this host is still there');
});

test('what the first console has not got is not told to the next, however the agent ended', async t => {
    const first = await startConsole(t), second = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app]);
    await first.link(a);
    await a.proctor(['kill'], { expectCode: 0 });
    const ids = Array.from({ length: 1500 }, (_, i) => uuid7(Date.now() - 600000 + i));
    for (const id of ids)
        putRecord(a, id, { host: a.id });
    await first.stop();
    await a.startApps([app]);
    const pid = await agentPid(a);
    await a.proctor(['unlink'], { expectCode: 0, timeout: 30000 });
    process.kill(pid, 'SIGKILL');
    await waitNextAgent(a, pid);
    await second.link(a);
    await second.waitProcess(a.id, 'api');
    const [own] = await second.capture([{ host: a.id, app: 'api' }], { duration_ms: 300 });
    await second.waitEnd(own.id);
    const { body } = await second.api('GET', 'captures', { role: 'viewer' });
    assert.deepEqual(body.captures.map(one => one.id), [own.id]);
    assert.doesNotMatch(second.log, /DENIED|connection ended|secret-of-the-first/);
    assert.equal(a.daemonLog().match(/warn .*console ended the connection/g), null);
});

test('a capture of the console is cancelled by unlink, one of this host is not', async t => {
    const c = await startConsole(t);
    const a = startHost(t);
    await a.startApps([app, { name: 'own', script: appFile('cpu.js') }]);
    await c.link(a);
    await c.waitProcess(a.id, 'api');
    const [remote] = await c.capture([{ host: a.id, app: 'api' }], { duration_ms: 60000 });
    await c.waitPhase(remote.id, 'running');
    const mine = a.startCapture('cpu', 'own', { duration: '5s' });
    await mine.waitPhase('running');
    await a.proctor(['unlink'], { expectCode: 0 });
    await until('it is cancelled', async () => (await a.captures()).find(one => one.id === remote.id)?.state === 'cancelled', 15000 * slow);
    const { code, record } = await mine.finish();
    assert.equal(code, 0);
    assert.equal(record.state, 'done');
});

test('an agent that dies when it has linked the host answers all the same', async t => {
    // The agents' port takes connections and says nothing, so that link.set waits for the first one.
    const mute = net.createServer(socket => socket.on('error', () => {}));
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    t.after(() => mute.close());
    const c = await startConsole(t, { args: ['--public-agents', `127.0.0.1:${mute.address().port}`] });
    const a = startHost(t);
    await a.startApps([app]);
    const pid = await agentPid(a);
    const token = await c.enrolToken();
    const run = a.spawnProctor(['link', tokenFile(a, token)]);
    await until('the identity is stored', () => fs.existsSync(path.join(a.home, 'agent', 'link.json')), 20000 * slow);
    process.kill(pid, 'SIGKILL');
    const { code, stdout, stderr } = await run.ended;
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^linked to /);
    assert.equal((await status(a)).state, 'connecting');
    const other = await a.proctor(['link', tokenFile(a, await c.enrolToken())], { expectCode: 1 });
    assert.match(other.stderr, /linked already/);
});

test('a request whose asker has gone does not cost the agent its life', async t => {
    const a = startHost(t);
    await a.startApps([app]);
    const pid = await agentPid(a);
    process.kill(pid, 'SIGSTOP');
    const run = a.spawnProctor(['captures', 'get', uuid7()]);
    await delay(1000);
    run.child.kill('SIGKILL');
    await run.ended;
    await delay(17000);
    process.kill(pid, 'SIGCONT');
    assert.equal((await a.proctor(['captures', '--json'])).code, 0);
    assert.equal(await agentPid(a), pid);
    assert.doesNotMatch(a.daemonLog(), /does not answer/);
});

// An agent that says hello and nothing more; proctord finds it beside itself.
async function startWithMuteAgent(t) {
    const a = startHost(t);
    const programs = path.join(a.folder, 'programs');
    fs.mkdirSync(programs);
    for (const name of fs.readdirSync(build).filter(one => /^proctor/.test(one) && one !== 'proctor-agent'))
        fs.copyFileSync(path.join(build, name), path.join(programs, name));
    const stub = `#!${process.execPath}
const socket = new (require('node:net').Socket)({ fd: 3, readable: true, writable: true });
socket.on('error', () => process.exit(0)).on('end', () => process.exit(0)).resume();
socket.write('{"jsonrpc":"2.0","id":"hello","method":"hello","params":{"version":1,"program":"proctor-agent"}}\\n');
process.on('SIGTERM', () => process.exit(0));\n`;
    fs.writeFileSync(path.join(programs, 'proctor-agent'), stub, { mode: 0o755 });
    const child = spawn(path.join(programs, 'proctor'), ['start', a.writeConfig([app])], { env: a.env, cwd: a.work, stdio: 'ignore' });
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    return a;
}

test('a request that no agent answers costs one agent, and is answered with an error', async t => {
    const a = await startWithMuteAgent(t);
    const socket = net.connect(path.join(a.home, 'control.sock'));
    const lines = readline.createInterface({ input: socket })[Symbol.asyncIterator]();
    t.after(() => socket.destroy());
    socket.write('{"jsonrpc":"2.0","id":"h","method":"hello","params":{"version":1}}\n');
    assert.equal(JSON.parse((await lines.next()).value).id, 'h');
    socket.write('{"jsonrpc":"2.0","id":"l","method":"capture.list","params":{}}\n');
    const answer = JSON.parse((await lines.next()).value);
    assert.equal(answer.error?.data?.name, 'AGENT_GONE', JSON.stringify(answer));
    assert.match(answer.error.message, /does not answer this request/);
    assert.equal(count(a.daemonLog(), /the agent does not answer and is replaced/g), 1);
});

test('proctor.log is moved aside when it has grown, and agent and supervisor go on in it', async t => {
    const a = startHost(t);
    await a.startApps([app]);
    const log = path.join(a.home, 'proctor.log'), old = `${log}.1`;
    const line = `${'x'.repeat(1023)}\n`;
    fs.appendFileSync(log, line.repeat(17 * 1024));
    await until('it is moved', () => fs.existsSync(old) && fs.statSync(log).size < 4096, 20000 * slow);
    assert.ok(fs.statSync(old).size > 17 * 1024 * 1024);
    assert.equal(fs.statSync(old).mode & 0o777, 0o600);
    assert.match(fs.readFileSync(old, 'utf8').slice(0, 4000), /serves/);
    const { code } = await a.capture('cpu', 'api', { duration: '200ms' });
    assert.equal(code, 0);
    assert.match(a.daemonLog(), /proctord\[/);
    assert.match(a.daemonLog(), /proctor-agent\[/);
    assert.equal(fs.statSync(log).size, fs.readFileSync(log).filter(byte => byte !== 0).length, 'no hole is in it');
});

// Starts the agent itself, as proctord would.
function startAgent(home, env) {
    const child = spawn(path.join(build, 'proctor-agent'), ['--home', home], { env, stdio: ['ignore', 'inherit', 'pipe', 'pipe'] });
    const socket = child.stdio[3];
    const answers = new Map();
    socket.setEncoding('utf8');
    readline.createInterface({ input: socket }).on('line', line => {
        const message = JSON.parse(line);
        if (message.method === 'hello')
            socket.write(`${JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { version: 1, program: 'proctord', pid: 1 } })}\n`);
        else if (!message.method)
            answers.set(message.id, message);
    });
    const ended = once(child, 'close');
    const end = async () => {
        child.kill('SIGTERM');
        assert.equal((await ended)[0], 0);
    };
    const ask = (id, method, params = {}) => {
        socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
        return until(`an answer to ${method}`, () => answers.get(id), 20000 * slow);
    };
    return { ask, end };
}

test('without libcurl the agent runs, and enrolment says what is missing', async t => {
    const a = startHost(t);
    const libraries = path.join(a.folder, 'libraries');
    fs.mkdirSync(libraries);
    fs.writeFileSync(path.join(libraries, 'libcurl.so.4'), 'no library');
    const agent = startAgent(a.home, { ...a.env, LD_LIBRARY_PATH: libraries });
    await delay(300);
    const token = `pt1.127.0.0.1:1.${'a'.repeat(64)}.${randomBytes(32).toString('base64url')}`;
    const { error } = await agent.ask('set', 'link.set', { token });
    assert.match(error.message, /libcurl\.so\.4, which enrolment needs, cannot be loaded/);
    assert.equal((await agent.ask('status', 'link.status')).result.state, 'unlinked');
    await agent.end();
});

test('a proxy of the environment is used for enrolment, and never for this machine', async t => {
    const proxy = await startProxy(t, '127.0.0.1:9');
    const c = await startConsole(t);
    const a = startHost(t, { env: { https_proxy: `http://${proxy.address}` } });
    await a.startApps([app]);
    await c.link(a);
    assert.equal(proxy.connections, 0, 'loopback goes direct');
    await a.proctor(['unlink'], { expectCode: 0 });
    const token = `pt1.console.invalid:7443.${'a'.repeat(64)}.${randomBytes(32).toString('base64url')}`;
    await a.proctor(['link', tokenFile(a, token)], { expectCode: 1, timeout: 40000 });
    assert.equal(proxy.connections, 1, 'everything else goes there');
    const list = await a.proctor(['captures', '--console', c.web, '--token-file', await c.tokenFile()], { timeout: 20000 });
    assert.equal(list.code, 0, list.stderr);
    assert.equal(proxy.connections, 1);
});
