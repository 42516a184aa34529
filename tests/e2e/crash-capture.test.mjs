// kill -9 and SIGSTOP of our programs in every phase of a capture: it goes on and is done, or ends with its phase named;
// afterwards no port is open, the app has lost nothing, and nothing is left behind in supervisor and keeper.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { isAlive, listeningPorts, processInfo, until } from '../lib/proc.mjs';
import { checkCpuProfile, cpuShare } from '../lib/profile.mjs';

const phases = ['open', 'start', 'running', 'stopping', 'sending'];
// Those that made a capture end with an error, and may.
const mayFail = ['PROBE_GONE', 'AGENT_GONE', 'NOT_READY', 'ETIMEDOUT'];

// The app of most tests: a hot loop, and numbered lines on stderr that must all be there in the end.
async function startTalking(host, name = 'real') {
    const script = path.join(host.work, `${name}.js`);
    fs.writeFileSync(script, `let n = 0;
setInterval(() => process.stderr.write('line ' + n++ + '\\n'), 5);
require(${JSON.stringify(appFile('cpu.js'))});
`);
    await host.startApps([{ name, script }]);
    await host.waitLog(name, /listening/);
    await host.waitLog(name, /line 5\n/, { stream: 'err' });
    return host.pid(name);
}

// Nothing is torn, missing, twice, or of the inspector.
function checkLines(host, name = 'real') {
    const lines = host.log(name, 'err').split('\n');
    lines.pop();
    const wrong = lines.findIndex((line, i) => line !== `line ${i}`);
    assert.equal(wrong, -1, `stderr at line ${wrong}: ${JSON.stringify(lines.slice(wrong - 1, wrong + 2))}`);
    return lines.length;
}

async function daemons(host) {
    const { pid, keeper_pid: keeper } = (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
    return { proctord: pid, keeper };
}

const targets = pid => fs.readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
    try {
        return [fs.readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\d+/g, 'N')];
    } catch {
        return [];
    }
});

const zombies = parents => fs.readdirSync('/proc').filter(name => /^\d+$/.test(name)).filter(pid => {
    try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return state === 'Z' && parents.includes(Number(ppid));
    } catch {
        return false;
    }
});

// How many descriptors both daemons have; the captures of before are forgotten by then.
async function descriptors(host) {
    const { proctord, keeper } = await daemons(host);
    return { proctord: targets(proctord).length, keeper: targets(keeper).length };
}

async function checkNothingLeft(host, before, pid, ownPorts = 1) {
    await until('the ports are closed', () => listeningPorts(pid).length === ownPorts, 8000 * slow);
    assert.deepEqual(await host.helperPids('proctor-probe'), []);
    let now;
    try {
        await until('no descriptor is left', async () => {
            now = await descriptors(host);
            return now.proctord <= before.proctord && now.keeper <= before.keeper;
        }, 8000 * slow);
    } catch {
        const { proctord, keeper } = await daemons(host);
        assert.fail(`descriptors ${JSON.stringify(before)} → ${JSON.stringify(now)}: ${targets(proctord).sort()} | ${targets(keeper).sort()}`);
    }
    const { proctord, keeper } = await daemons(host);
    await until('no zombie is left', () => zombies([proctord, keeper]).length === 0, 3000 * slow);
}

// Done, or failed in a phase that it names.
function checkEnd({ code, record, profile, stdout, stderr }, context) {
    assert.ok(record, `${context}: no record: ${stdout}${stderr}`);
    if (record.state === 'done') {
        assert.equal(code, 0, `${context}: ${stderr}`);
        checkCpuProfile(profile);
        assert.ok(cpuShare(profile, 'hotLoop') >= 0.5, `${context}: hotLoop has ${cpuShare(profile, 'hotLoop')}`);
        return true;
    }
    assert.equal(record.state, 'failed', `${context}: ${JSON.stringify(record)}`);
    assert.ok(phases.includes(record.phase), `${context}: ${JSON.stringify(record)}`);
    assert.ok(mayFail.includes(record.error.name), `${context}: ${JSON.stringify(record)}`);
    return false;
}

async function killAt(host, phase, kill) {
    const capture = host.startCapture('cpu', 'real', { duration: '1s' });
    await capture.waitPhase(phase);
    await kill();
    return capture.finish(30000);
}

test('kill -9 of the supervisor in every phase: the capture is done', async t => {
    const host = startHost(t);
    const pid = await startTalking(host);
    assert.ok(checkEnd(await host.capture('cpu', 'real'), 'before'));
    const before = await descriptors(host);
    for (const phase of phases) {
        const { proctord } = await daemons(host);
        const end = await killAt(host, phase, () => process.kill(proctord, 'SIGKILL'));
        // Only in the moment of the signal something may be lost.
        const done = checkEnd(end, phase);
        assert.ok(done || phase === 'open', `${phase}: ${JSON.stringify(end.record)}`);
        await checkNothingLeft(host, before, pid);
        checkLines(host);
    }
    assert.equal(await host.pid('real'), pid);
    assert.equal((await host.row('real')).pm2_env.restart_time, 0);
});

test('kill -9 of the supervisor again and again while a capture runs', async t => {
    const host = startHost(t);
    const pid = await startTalking(host);
    assert.ok(checkEnd(await host.capture('cpu', 'real'), 'before'));
    const before = await descriptors(host);
    const capture = host.startCapture('cpu', 'real', { duration: '3s' });
    await capture.waitPhase('running');
    for (let i = 0; i < 8; i++) {
        const { proctord } = await daemons(host);
        process.kill(proctord, 'SIGKILL');
        await until('the next supervisor', async () => (await daemons(host)).proctord !== proctord, 5000 * slow);
        await delay(100 + 37 * i);
    }
    const end = await capture.finish(30000);
    assert.ok(checkEnd(end, 'again and again'), JSON.stringify(end.record));
    assert.ok(end.record.measured_us < 3.5e6 * slow, `it ran for ${end.record.measured_us} us`);
    await checkNothingLeft(host, before, pid);
    checkLines(host);
});

test('kill -9 of supervisor and agent, of supervisor and probe, of all three', async t => {
    const host = startHost(t);
    const pid = await startTalking(host);
    assert.ok(checkEnd(await host.capture('cpu', 'real'), 'before'));
    const before = await descriptors(host);
    for (const which of [['agent'], ['probe'], ['agent', 'probe']]) {
        const capture = host.startCapture('cpu', 'real', { duration: '2s' });
        await capture.waitPhase('running');
        const { proctord } = await daemons(host);
        const pids = [];
        for (const one of which)
            pids.push(...await host.helperPids(`proctor-${one}`));
        for (const one of [proctord, ...pids])
            process.kill(one, 'SIGKILL');
        const end = await capture.finish(30000);
        const done = checkEnd(end, which.join());
        assert.equal(done, !which.includes('probe'), JSON.stringify(end.record));
        if (!done)
            assert.deepEqual([end.record.error.name, end.record.phase], ['PROBE_GONE', 'running']);
        await checkNothingLeft(host, before, pid);
        checkLines(host);
    }
    assert.equal(await host.pid('real'), pid);
});

test('kill -9 of the keeper while a capture runs: it is done', async t => {
    const host = startHost(t);
    const pid = await startTalking(host);
    assert.ok(checkEnd(await host.capture('cpu', 'real'), 'before'));
    const before = await descriptors(host);
    const capture = host.startCapture('cpu', 'real', { duration: '2s' });
    await capture.waitPhase('running');
    const { keeper } = await daemons(host);
    process.kill(keeper, 'SIGKILL');
    assert.ok(checkEnd(await capture.finish(30000), 'keeper'));
    await checkNothingLeft(host, before, pid);
    checkLines(host);
    assert.equal(await host.pid('real'), pid);
});

// What is never answered → the phase in which the capture then stands.
const holds = [
    { hold: 'listen', phase: 'open', held: /SIGUSR1/ },
    { hold: 'upgrade', phase: 'open', held: /holding/ },
    { hold: 'Profiler.start', phase: 'start', held: /holding/ },
    { hold: '', phase: 'running', held: null },
    { hold: 'Profiler.stop', phase: 'stopping', held: /holding/ },
    { hold: 'frame', phase: 'sending', held: /holding/ },
];

test('kill -9 of the supervisor in a phase that lasts: the next one knows it, and can end it', async t => {
    const host = startHost(t);
    for (const [i, { hold, phase, held }] of holds.entries()) {
        const name = `app${i}`;
        await host.startApps([{
            name, script: appFile('fake-inspector.js'), env: { HOLD: hold, FRAME_MB: hold === 'frame' ? '20' : '0' },
        }]);
        await host.waitLog(name, /ready\n$/);
        const pid = await host.pid(name);
        const capture = host.startCapture('cpu', name, { duration: ['stopping', 'sending'].includes(phase) ? '500ms' : '60s' });
        if (held)
            await host.waitLog(name, held);
        else
            await capture.waitPhase(phase);
        const { proctord } = await daemons(host);
        process.kill(proctord, 'SIGKILL');
        const { id } = await until('the record', async () =>
            (await host.captures()).find(record => record.app === name), 10000 * slow);
        if (hold === 'listen') {
            const { code, record } = await capture.finish(30000);
            assert.equal(code, 1);
            assert.ok(['NO_LISTEN', 'NOT_READY'].includes(record.error.name), JSON.stringify(record));
        } else {
            await host.proctor(['captures', 'cancel', id], { expectCode: 0 });
            const { code, record } = await capture.finish(30000);
            assert.equal(code, 1, JSON.stringify(record));
            assert.deepEqual([record.state, record.phase], ['cancelled', phase], JSON.stringify(record));
        }
        // Where the inspector takes no connection nobody can close it.
        const open = hold === 'upgrade';
        assert.equal(listeningPorts(pid).length, open ? 1 : 0, `ports in phase ${phase}`);
        assert.deepEqual(await host.helperPids('proctor-probe'), [], 'no probe is left');
        assert.equal(await host.pid(name), pid);
        await host.proctor(['delete', name], { expectCode: 0 });
    }
});

test('SIGSTOP of the probe: the capture ends by its limit and names its phase, the port is closed', async t => {
    const host = startHost(t);
    const pid = await startTalking(host);
    assert.ok(checkEnd(await host.capture('cpu', 'real'), 'before'));
    const before = await descriptors(host);
    const capture = host.startCapture('cpu', 'real', { duration: '60s' });
    await capture.waitPhase('running');
    const [probe] = await host.helperPids('proctor-probe');
    process.kill(probe, 'SIGSTOP');
    const { proctord } = await daemons(host);
    const { id } = (await host.captures()).find(record => record.state === 'running');
    await host.proctor(['captures', 'cancel', id], { expectCode: 0 });
    process.kill(proctord, 'SIGKILL');
    const { code, record } = await capture.finish(30000);
    assert.equal(code, 1);
    assert.deepEqual([record.state, record.phase], ['cancelled', 'running'], JSON.stringify(record));
    await checkNothingLeft(host, before, pid);
    checkLines(host);
});

test('SIGSTOP of the agent: it is replaced, and the capture is done', async t => {
    const host = startHost(t);
    const pid = await startTalking(host);
    assert.ok(checkEnd(await host.capture('cpu', 'real'), 'before'));
    const before = await descriptors(host);
    const capture = host.startCapture('cpu', 'real', { duration: '2s' });
    await capture.waitPhase('running');
    const [agent] = await host.helperPids('proctor-agent');
    const { proctord } = await daemons(host);
    process.kill(agent, 'SIGSTOP');
    process.kill(proctord, 'SIGKILL');
    assert.ok(checkEnd(await capture.finish(60000), 'agent stopped'));
    assert.ok(!isAlive(agent));
    await checkNothingLeft(host, before, pid);
    checkLines(host);
});

// The app is stopped, or ends by itself, while the probe that is attached to it is stopped, killed, or well; the supervisor
// is killed in the moment in which the app wants to end.
test('an app that ends is not held longer than 2 s, also when supervisor and probe are killed or stopped just then', async t => {
    const host = startHost(t);
    // What starting a supervisor, or `stop` and the app's own end, may take on a machine that has much to do.
    const most = 2000 + 500 * slow;
    const ways = ['SIGSTOP', 'SIGKILL', null].flatMap(signal => [{ signal, byItself: false }, { signal, byItself: true }]);
    for (const [i, { signal, byItself }] of ways.entries()) {
        const name = `exit${i}`;
        const wish = path.join(host.work, `${name}.wish`);
        const script = path.join(host.work, `${name}.js`);
        fs.writeFileSync(script, `require(${JSON.stringify(appFile('cpu.js'))});
process.on('SIGUSR2', () => {
    require('fs').writeFileSync(${JSON.stringify(wish)}, String(Date.now()));
    process.exit(0);
});
`);
        await host.startApps([{ name, script, autorestart: false }]);
        await host.waitLog(name, /listening/);
        const pid = await host.pid(name);
        const capture = host.startCapture('cpu', name, { duration: '60s' });
        await capture.waitPhase('running');
        const [probe] = await host.helperPids('proctor-probe');
        const { proctord } = await daemons(host);
        if (signal === 'SIGSTOP')
            process.kill(probe, signal);
        let stop = null;
        let began = Date.now();
        if (byItself) {
            process.kill(pid, 'SIGUSR2');
            while (!fs.existsSync(wish) || !fs.readFileSync(wish, 'utf8'))
                await delay(1);
            began = Number(fs.readFileSync(wish, 'utf8'));
        } else {
            stop = host.spawnProctor(['stop', name]);
            await delay(10 * i);
        }
        // One that is well may have ended by now.
        if (signal === 'SIGKILL' && isAlive(probe))
            process.kill(probe, signal);
        process.kill(proctord, 'SIGKILL');
        while (isAlive(pid) && Date.now() - began < 20000 * slow)
            await delay(5);
        const took = Date.now() - began;
        t.diagnostic(`probe ${signal ?? 'well'}, ${byItself ? 'exit' : 'stop'}: ${took} ms`);
        assert.ok(took < most, `${signal} ${byItself}: it was held for ${took} ms`);
        const { code, record } = await capture.finish(30000);
        assert.ok(record.state === 'partial' || (code === 1 && phases.includes(record.phase)), JSON.stringify(record));
        if (stop)
            assert.equal((await stop.ended).code, 0, stop.stderr);
        assert.equal(host.log(name, 'err'), '');
    }
});

test('safe mode begins while a capture runs: its probe goes on, and when it dies its port is closed all the same', async t => {
    const host = startHost(t);
    const pid = await startTalking(host);
    const capture = host.startCapture('cpu', 'real', { duration: '60s' });
    await capture.waitPhase('running');
    const [probe] = await host.helperPids('proctor-probe');
    await until('safe mode', async () => {
        const { pid: proctord, safe_mode: safe } = (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
        if (!safe)
            process.kill(proctord, 'SIGABRT');
        return safe;
    }, 20000 * slow);
    assert.deepEqual(await host.helperPids('proctor-probe'), [probe]);
    assert.equal(listeningPorts(pid).length, 2);
    process.kill(probe, 'SIGKILL');
    const { code, record, stdout, stderr } = await capture.finish(30000);
    assert.ok(record, `${code} ${stdout} ${stderr}`);
    assert.deepEqual([record.error.name, record.phase], ['PROBE_GONE', 'running'], JSON.stringify(record));
    assert.equal(listeningPorts(pid).length, 1, 'no port is left open');
    assert.match((await host.proctor(['profile', 'cpu', 'real', '-d', '1s'], { expectCode: 1 })).stderr, /safe mode/);
    assert.equal(await host.pid('real'), pid);
    checkLines(host);
});
