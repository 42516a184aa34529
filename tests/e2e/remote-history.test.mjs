// What was, of a process, as the console tells it: its use of CPU and memory, its ends, the end of its log.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { startConsole } from '../lib/console.mjs';
import { newIdentity, openAgent, process_ } from '../lib/stranger.mjs';
import { until } from '../lib/proc.mjs';

async function linked(t, console_, apps, options) {
    const host = startHost(t, options);
    await host.startApps(apps);
    await console_.link(host);
    return host;
}

const viewer = { role: 'viewer' };
const query = (host, app, more = {}) => new URLSearchParams({ host: host.id ?? host, app, ...more });
const get = async (c, what, host, app, more) => (await c.api('GET', `${what}?${query(host, app, more)}`, viewer)).body;
const refused = async (c, what, host, app, more, status) =>
    (await c.api('GET', `${what}?${query(host, app, more)}`, { ...viewer, status })).body.error;
const known = points => points.filter(([, cpu]) => cpu !== null);

// The known points of the last minutes, once there are so many.
const waitPoints = (c, host, app, count, more = {}) => until(`${count} points of ${app}`, async () => {
    const { points } = await get(c, 'series', host, app, { from_ms: Date.now() - 600000, points: 130, ...more });
    return known(points).length >= count && points;
}, 40000 * slow);

const waitExits = (c, host, app, count) => until(`${count} exits of ${app}`, async () => {
    const { exits } = await get(c, 'exits', host, app);
    return exits.length >= count && exits;
}, 20000 * slow);

test('CPU and memory are there after some seconds, and after the console was away', async t => {
    const c = await startConsole(t);
    const began = Date.now();
    const a = await linked(t, c, [{ name: 'busy', script: appFile('cpu.js') }, { name: 'idle', script: appFile('env.js') }]);
    const points = await waitPoints(c, a, 'busy', 2);
    for (const [at_ms, cpu, memory] of known(points)) {
        assert.ok(at_ms >= began - 5000 && at_ms <= Date.now(), `${at_ms}`);
        assert.ok(cpu >= 0 && cpu < 1000, `${cpu}`);
        assert.ok(memory > 1 << 20 && memory < 1 << 30, `${memory}`);
    }
    assert.ok(known(points).at(-1)[1] > 1, 'it is busy');
    assert.ok(points.every(([at_ms], i) => i === 0 || at_ms - points[i - 1][0] === 5000), 'equal steps');
    const calm = await waitPoints(c, a, 'idle', 2);
    assert.ok(known(calm).at(-1)[1] < known(points).at(-1)[1]);
    // Nothing is known of before, and of others.
    assert.deepEqual(points[0].slice(1), [null, null]);
    assert.deepEqual(known((await get(c, 'series', a, 'nobody')).points), []);
    assert.deepEqual(known((await get(c, 'series', a, 'busy', { instance: 1 })).points), []);

    // What was in memory is on disk: the same times are known afterwards, each once.
    await c.restart();
    const again = (await get(c, 'series', a, 'busy', { from_ms: Date.now() - 600000, points: 130 })).points;
    for (const [at_ms] of known(points))
        assert.ok(again.some(([at, cpu]) => at === at_ms && cpu !== null), `${at_ms} was lost`);
    await c.waitConnected(a.id);
    await waitPoints(c, a, 'busy', known(again).length + 1);
    // One point for all of it: its time, its average, its most.
    const one = await get(c, 'series', a, 'busy', { from_ms: began, to_ms: Date.now(), points: 1 });
    assert.equal(one.points.length, 1);
    assert.ok(one.points[0][1] > 0 && one.points[0][2] >= Math.max(...known(points).map(([, , memory]) => memory)));
    assert.equal(one.step_ms % 5000, 0);
});

test('a process that does not run is a gap', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [{ name: 'idle', script: appFile('env.js') }, { name: 'other', script: appFile('env.js') }]);
    await waitPoints(c, a, 'idle', 1);
    await a.proctor(['stop', 'idle'], { expectCode: 0 });
    const stopped = Date.now();
    await waitPoints(c, a, 'other', 2, { from_ms: stopped + 5000, to_ms: stopped + 60000 });
    const { points } = await get(c, 'series', a, 'idle', { from_ms: stopped - 60000, to_ms: stopped + 60000 });
    assert.ok(known(points).length > 0 && known(points).every(([at_ms]) => at_ms <= stopped));
});

test('ends of processes: how, by whom, newest first, once', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [{ name: 'late', script: appFile('crash-late.js'), restart_delay: 100 }]);
    await c.waitProcess(a.id, 'late');
    assert.deepEqual((await get(c, 'exits', a, 'late')).exits, []);
    await a.waitLog('late', /ready/);
    const first = Date.now();
    process.kill(await a.pid('late'), 'SIGUSR2');
    const [crash] = await waitExits(c, a, 'late', 1);
    assert.deepEqual({ code: crash.code, signal: crash.signal, core: crash.core, asked: crash.asked },
        { code: 1, signal: undefined, core: false, asked: false });
    assert.ok(crash.at_ms >= first - 1000 && crash.at_ms <= Date.now() + 1000);
    assert.ok(crash.uptime_ms > 0 && crash.uptime_ms < 60000);
    // The process itself has it too.
    const { body: { processes: [row] } } = await c.api('GET', `processes?host=${a.id}`, viewer);
    assert.deepEqual(row.exit, crash);

    const pid = await until('it runs again', async () => {
        const one = await a.row('late');
        return one.pm2_env.status === 'online' && one.pid > 0 && one.pid;
    }, 10000 * slow);
    process.kill(pid, 'SIGKILL');
    const [killed] = await waitExits(c, a, 'late', 2);
    assert.equal(killed.signal, 9);
    assert.equal(killed.code, undefined);
    await a.waitStatus('late', 'online');
    await a.proctor(['stop', 'late'], { expectCode: 0 });
    const [asked] = await waitExits(c, a, 'late', 3);
    assert.equal(asked.asked, true);

    // The same ends are told again after each reconnect, and are there once.
    await c.restart();
    await c.waitConnected(a.id);
    await delay(1500);
    const { exits } = await get(c, 'exits', a, 'late');
    assert.deepEqual(exits, [asked, killed, crash]);
    assert.deepEqual((await get(c, 'exits', a, 'late', { limit: 1 })).exits, [asked]);
});

test('the end of a log is read on its host, as the host allows it', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [
        { name: 'talker', script: appFile('lines.js'), autorestart: false, env: { OUT: '3000', ERR: '20' } },
        { name: 'idle', script: appFile('env.js') },
    ]);
    await a.waitLog('talker', /out 2999/);
    const before = Date.now();
    const out = await get(c, 'logs', a, 'talker');
    assert.deepEqual(out.text.split('\n').slice(0, -1), Array.from({ length: 200 }, (_, i) => `out ${2800 + i}`));
    assert.equal(out.cut, false);
    assert.ok(out.at_ms >= before - 2000 && out.at_ms <= Date.now() + 2000);
    assert.equal((await get(c, 'logs', a, 'talker', { lines: 2 })).text, 'out 2998\nout 2999\n');
    const err = await get(c, 'logs', a, 'talker', { stream: 'err' });
    assert.equal(err.text, a.log('talker', 'err'));
    // Any bytes, colours too, and more than fits.
    fs.writeFileSync(a.logFile('idle', 'out'), Buffer.from('caf\xc3\xa9 \x1b[31mred\x1b[0m \xff\x00|\n', 'latin1'));
    assert.equal((await get(c, 'logs', a, 'idle')).text, 'café \x1b[31mred\x1b[0m \ufffd\ufffd|\n');
    fs.writeFileSync(a.logFile('idle', 'out'), 'x'.repeat(999).concat('\n').repeat(1000));
    const much = await get(c, 'logs', a, 'idle', { lines: 1000 });
    assert.equal(much.cut, true);
    assert.ok(much.text.length <= 256 << 10 && much.text.length > 200 << 10);
    assert.match(much.text, /^(x{999}\n)+$/);
    // Six bytes each in JSON.
    fs.writeFileSync(a.logFile('idle', 'out'), '\x1b'.repeat(99).concat('\n').repeat(4000));
    const control = await get(c, 'logs', a, 'idle', { lines: 1000 });
    assert.equal(control.cut, false);
    fs.writeFileSync(a.logFile('idle', 'out'), '\x1b'.repeat(999).concat('\n').repeat(400));
    const inflated = await get(c, 'logs', a, 'idle', { lines: 1000 });
    assert.equal(inflated.cut, true);
    assert.match(inflated.text, /^(\x1b{999}\n)+$/);

    assert.equal((await refused(c, 'logs', a, 'nobody', {}, 404)).name, 'NOT_FOUND');
    fs.writeFileSync(`${a.home}/policy.json`, JSON.stringify({ logs: false }), { mode: 0o600 });
    const no = await refused(c, 'logs', a, 'talker', {}, 403);
    assert.equal(no.name, 'POLICY');
    assert.match(no.message, /the policy of this host lets no console read logs/);
    fs.writeFileSync(`${a.home}/policy.json`, '{"logs": 1}');
    assert.match((await refused(c, 'logs', a, 'talker', {}, 403)).message, /has a mistake/);
    fs.writeFileSync(`${a.home}/policy.json`, '{"logs": true, "kinds": []}');
    await get(c, 'logs', a, 'talker');
    // People on the host are not meant.
    fs.writeFileSync(`${a.home}/policy.json`, '{"logs": false}');
    assert.match((await a.proctor(['logs', 'talker', '--lines', '1', '--nostream'])).stdout, /out 2999/);
});

test('who asks for what: roles, parameters, hosts that are away', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [{ name: 'idle', script: appFile('env.js') }]);
    const nobody = '01890a5d-ac96-774b-bcce-b302099a8057';
    for (const what of ['series', 'exits', 'logs']) {
        assert.equal((await c.request('GET', `/api/v1/${what}?${query(a, 'idle')}`)).status, 401);
        for (const role of ['viewer', 'operator', 'admin'])
            await c.api('GET', `${what}?${query(a, 'idle')}`, { role });
        assert.match((await c.api('GET', `${what}?app=idle`, { ...viewer, status: 400 })).body.error.message, /"host"/);
        assert.match((await c.api('GET', `${what}?host=${a.id}`, { ...viewer, status: 400 })).body.error.message, /"app"/);
        assert.match((await refused(c, what, 'x', 'idle', {}, 400)).message, /"host"/);
        assert.match((await refused(c, what, a, 'idle', { instance: -1 }, 400)).message, /"instance"/);
        assert.match((await refused(c, what, a, 'idle', { instance: 'x' }, 400)).message, /"instance"/);
        assert.match((await refused(c, what, a, 'x'.repeat(129), {}, 400)).message, /"app"/);
        assert.equal((await refused(c, what, nobody, 'idle', {}, 404)).name, 'NOT_FOUND');
    }
    const wrong = [
        ['series', { points: 0 }, 'points'], ['series', { points: 2001 }, 'points'], ['series', { from_ms: 'yesterday' }, 'from_ms'],
        ['series', { to_ms: 0 }, 'to_ms'], ['series', { from_ms: 10000, to_ms: 10000 }, 'from_ms'],
        ['series', { from_ms: 1, to_ms: 32 * 86400000 }, 'from_ms'], ['exits', { limit: 0 }, 'limit'], ['exits', { limit: 501 }, 'limit'],
        ['logs', { stream: 'both' }, 'stream'], ['logs', { lines: 0 }, 'lines'], ['logs', { lines: 1001 }, 'lines'],
    ];
    for (const [what, more, field] of wrong)
        assert.match((await refused(c, what, a, 'idle', more, 400)).message, new RegExp(`"${field}"`), what);

    await waitPoints(c, a, 'idle', 1);
    await a.proctor(['kill'], { expectCode: 0 });
    await c.waitConnected(a.id, false);
    const away = await refused(c, 'logs', a, 'idle', {}, 503);
    assert.equal(away.name, 'UNREACHABLE');
    assert.match(away.message, /is not connected/);
    // What was heard of it stays.
    assert.ok(known((await get(c, 'series', a, 'idle')).points).length > 0);
});

test('an agent that does not answer, that lies, and that answers for another', async t => {
    const c = await startConsole(t);
    const identity = await newIdentity(c, 'mute');
    const other = await newIdentity(c, 'other');
    const capabilities = ['capture', 'blob', 'log'];
    const peer = await openAgent(c, identity, { capabilities, hostname: 'mute' });
    const stranger = await openAgent(c, other, { capabilities: ['capture'] });
    const next = () => peer.json(message => message.type === 'log.get');
    const status = async (more = {}) => {
        const { status: code, body } = await c.request('GET', `/api/v1/logs?${query(identity.id, 'api', more)}`,
            { headers: { authorization: `Bearer ${await c.token('viewer')}` } });
        return { code, body };
    };
    await c.token('viewer');

    // The question is as it was asked; an answer of somebody else, or to another question, is none.
    let waiting = status({ lines: 7, stream: 'err', instance: 3 });
    const question = await next();
    assert.deepEqual({ ...question, id: null }, { type: 'log.get', id: null, app: 'api', instance: 3, stream: 'err', lines: 7 });
    const answer = { type: 'log', id: question.id, text: 'mine\n', at_ms: Date.now(), cut: false };
    stranger.send({ ...answer, text: 'not yours\n' });
    await delay(300);
    peer.send(answer);
    assert.deepEqual((await waiting).body, { text: 'mine\n', at_ms: answer.at_ms, cut: false });
    peer.send(answer);
    // A sentence of the host's; a code that is not its business is not taken over.
    waiting = status();
    peer.send({ type: 'log.refused', id: (await next()).id, code: 'POLICY', text: 'no\u001b[2J' });
    assert.deepEqual(await waiting, { code: 403, body: { error: { name: 'POLICY', message: 'host mute: no?[2J' } } });
    waiting = status();
    peer.send({ type: 'log.refused', id: (await next()).id, code: 'LOGIN', text: 'log in' });
    assert.equal((await waiting).code, 503);
    // Not more than 20 wait; the others get their answers, or a time-out after 5 s.
    const began = Date.now();
    const many = Array.from({ length: 21 }, () => status());
    const results = await Promise.all(many);
    assert.equal(results.filter(one => one.code === 503 && one.body.error.name === 'BUSY').length, 1);
    assert.equal(results.filter(one => one.code === 503 && one.body.error.name === 'ETIMEDOUT').length, 20);
    assert.ok(Date.now() - began >= 4900 && Date.now() - began < 9000 * slow);
    for (let i = 0; i < 20; i++)
        await next();
    // Who asked has left: the answer goes nowhere.
    const asker = https.get(new URL(`/api/v1/logs?${query(identity.id, 'api')}`, c.web),
        { ca: c.ca, headers: { authorization: `Bearer ${await c.token('viewer')}` } });
    asker.on('error', () => {});
    const unheard = await next();
    asker.destroy();
    await delay(200);
    peer.send({ ...answer, id: unheard.id });
    waiting = status();
    peer.send({ ...answer, id: (await next()).id, text: 'x'.repeat(256 << 10) });
    assert.equal((await waiting).body.text.length, 256 << 10);
    // It leaves while somebody waits.
    waiting = status();
    await next();
    peer.close();
    const left = await waiting;
    assert.equal(left.code, 503);
    assert.equal(left.body.error.name, 'UNREACHABLE');
    assert.match(left.body.error.message, /has left before it answered/);

    // An old agent is not asked.
    const old = await c.api('GET', `logs?${query(other.id, 'api')}`, { ...viewer, status: 409 });
    assert.match(old.body.error.message, /shows no logs/);

    // Ends that do not fit are not taken in.
    const liar = await openAgent(c, await newIdentity(c, 'liar'), { capabilities });
    liar.send({ type: 'processes', at_ms: Date.now(), processes: [process_({ exit: { at_ms: 5, code: 1, signal: 9, core: false, asked: false, uptime_ms: 1 } })] });
    const bye = await liar.json(message => message.type === 'bye');
    assert.match(bye.text, /"exit"/);
});
