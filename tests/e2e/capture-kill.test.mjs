// Our own helpers die, or the inspector stops answering, in every phase: the capture ends with its phase named, the app
// goes on.  tests/fixtures/apps/fake-inspector.js makes a phase last.
import test from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { appFile, slow, startHost, underAsan } from '../lib/host.mjs';
import { isAlive, listeningPorts, memoryOf, until } from '../lib/proc.mjs';
import { cpuShare } from '../lib/profile.mjs';

const MB = 1024 * 1024;
// What is never answered → the phase in which the capture then stands.
const holds = [
    { hold: 'listen', phase: 'open', held: /SIGUSR1/ },
    { hold: 'upgrade', phase: 'open', held: /holding/ },
    { hold: 'Profiler.start', phase: 'start', held: /holding/ },
    { hold: '', phase: 'running', held: null },
    { hold: 'Profiler.stop', phase: 'stopping', held: /holding/ },
    { hold: 'frame', phase: 'sending', held: /holding/ },
];

// Starts a capture of the fake and waits until it stands in its phase.
async function holdPhase(host, name, { hold, phase, held }, duration = null) {
    await host.startApps([{
        name, script: appFile('fake-inspector.js'), env: { HOLD: hold, FRAME_MB: hold === 'frame' ? '20' : '0' },
    }]);
    await host.waitLog(name, /ready\n$/);
    const longer = phase === 'running' || phase === 'start' || phase === 'open';
    const capture = host.startCapture('cpu', name, { duration: duration ?? (longer ? '60s' : '500ms') });
    if (held)
        await host.waitLog(name, held);
    else
        await capture.waitPhase(phase);
    return capture;
}

function checkEnd({ code, record }, names, phase) {
    assert.equal(code, 1, JSON.stringify(record));
    assert.equal(record.state, 'failed', JSON.stringify(record));
    assert.equal(record.phase, phase, JSON.stringify(record));
    assert.ok(names.includes(record.error.name), JSON.stringify(record));
    assert.ok(record.error.message.length > 10);
}

function checkCancelled({ code, record }, phase) {
    assert.equal(code, 1, JSON.stringify(record));
    assert.equal(record.state, 'cancelled', JSON.stringify(record));
    assert.equal(record.phase, phase, JSON.stringify(record));
    // That the capture was lost would be another end.
    assert.notEqual(record.error?.name, 'AGENT_GONE');
}

// The app's inspector is closed.  Where it takes no connection nobody can close it, and the record must say so.
function checkPort(pid, way, record) {
    const open = way.hold === 'upgrade';
    assert.equal(listeningPorts(pid).length, open ? 1 : 0, `ports in phase ${way.phase}: ${JSON.stringify(record)}`);
    assert.deepEqual(record.warnings ?? [], open ? ['port_left_open'] : [], JSON.stringify(record));
}

test('kill -9 of the probe, in every phase', async t => {
    const host = startHost(t);
    // Before the probe is started there is none to kill.
    for (const [i, way] of holds.filter(one => one.hold !== 'listen').entries()) {
        const name = `app${i}`;
        const capture = await holdPhase(host, name, way);
        const pid = await host.pid(name);
        const [probe] = await until('the probe', async () => {
            const pids = await host.helperPids('proctor-probe');
            return pids.length > 0 && pids;
        }, 5000 * slow);
        process.kill(probe, 'SIGKILL');
        const began = Date.now();
        const result = await capture.finish(30000);
        assert.ok(Date.now() - began < 30000);
        checkEnd(result, ['PROBE_GONE'], way.phase);
        checkPort(pid, way, result.record);
        assert.ok(isAlive(pid));
        assert.equal(await host.pid(name), pid);
        await host.proctor(['delete', name], { expectCode: 0 });
    }
});

test('kill -9 of the agent, in every phase: the new one finds the capture in its phase and can end it', async t => {
    const host = startHost(t);
    for (const [i, way] of holds.entries()) {
        const name = `app${i}`;
        const capture = await holdPhase(host, name, way);
        const pid = await host.pid(name);
        const [agent] = await host.helperPids('proctor-agent');
        process.kill(agent, 'SIGKILL');
        const { id } = await until('the record', async () =>
            (await host.helperPids('proctor-agent'))[0] !== agent &&
            (await host.captures()).find(record => record.app === name), 10000 * slow);
        await host.proctor(['captures', 'cancel', id], { expectCode: 0 });
        const result = await capture.finish(30000);
        checkCancelled(result, way.phase);
        checkPort(pid, way, result.record);
        assert.ok(isAlive(pid));
        assert.equal(await host.pid(name), pid);
        assert.deepEqual(await host.helperPids('proctor-probe'), [], 'no probe is left');
        await host.proctor(['delete', name], { expectCode: 0 });
    }
});

test('kill -9 of the agent in a phase that never ends: the capture ends by its own limits', async t => {
    const host = startHost(t);
    const ways = holds.filter(way => ['upgrade', 'Profiler.start', 'Profiler.stop', 'frame'].includes(way.hold));
    // Side by side: they only wait, and one kill is enough for all.
    const captures = await Promise.all(ways.map((way, i) => holdPhase(host, `app${i}`, way, '500ms')));
    const pids = await Promise.all(ways.map((way, i) => host.pid(`app${i}`)));
    const [agent] = await host.helperPids('proctor-agent');
    process.kill(agent, 'SIGKILL');
    await Promise.all(ways.map(async (way, i) => {
        const result = await captures[i].finish(30000);
        checkEnd(result, ['ETIMEDOUT'], way.phase);
        const took = result.record.ended_ms - result.record.created_ms;
        assert.ok(took < 30000 * slow, `${way.hold}: the capture ended after ${took} ms`);
        checkPort(pids[i], way, result.record);
        assert.ok(isAlive(pids[i]));
    }));
    assert.deepEqual(await host.helperPids('proctor-probe'), [], 'no probe is left');
});

test('kill -9 of the agent while a real app is profiled: the capture is done', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'real', script: appFile('cpu.js') }]);
    await host.waitLog('real', /listening/);
    const pid = await host.pid('real');
    for (const phase of ['open', 'running']) {
        const capture = host.startCapture('cpu', 'real', { duration: '1s' });
        await capture.waitPhase(phase);
        const [agent] = await host.helperPids('proctor-agent');
        process.kill(agent, 'SIGKILL');
        const { code, record, profile, stderr } = await capture.finish(30000);
        assert.equal(code, 0, stderr);
        assert.equal(record.state, 'done');
        assert.ok(cpuShare(profile, 'hotLoop') >= 0.6);
        assert.equal(listeningPorts(pid).length, 1);
        assert.equal(await host.pid('real'), pid);
    }
});

test('kill -9 of the agent after the result is stored changes nothing', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'real', script: appFile('cpu.js') }]);
    await host.waitLog('real', /listening/);
    const { record } = await host.capture('cpu', 'real');
    const [agent] = await host.helperPids('proctor-agent');
    process.kill(agent, 'SIGKILL');
    const again = await until('the agent is back',
        async () => (await host.captures()).find(one => one.id === record.id), 10000 * slow);
    assert.equal(again.state, 'done');
    assert.equal(again.bytes, record.bytes);
});

test('kill -9 of the probe while a real app is profiled: its port is closed, and the next capture works', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'real', script: appFile('cpu.js') }]);
    await host.waitLog('real', /listening/);
    const pid = await host.pid('real');
    const capture = host.startCapture('cpu', 'real', { duration: '60s' });
    await capture.waitPhase('running');
    const [probe] = await host.helperPids('proctor-probe');
    process.kill(probe, 'SIGKILL');
    const { record } = await capture.finish(30000);
    checkEnd({ code: 1, record }, ['PROBE_GONE'], 'running');
    assert.equal(listeningPorts(pid).length, 1, 'the inspector port is closed');
    assert.deepEqual(record.warnings ?? [], []);
    assert.equal(await host.pid('real'), pid);
    assert.equal(host.log('real', 'err'), '');
    assert.equal((await host.capture('cpu', 'real')).code, 0);
});

test('an inspector that never answers the upgrade ends the capture', async t => {
    const host = startHost(t);
    const capture = await holdPhase(host, 'app', holds.find(way => way.hold === 'upgrade'));
    const result = await capture.finish(15000);
    assert.equal(result.code, 1);
    assert.equal(result.record.state, 'failed');
    assert.equal(result.record.phase, 'open');
    assert.ok(result.record.error.message.length > 10);
});

test('a capture that hangs can be cancelled in every phase', async t => {
    const host = startHost(t);
    for (const [i, way] of holds.entries()) {
        const name = `app${i}`;
        const capture = await holdPhase(host, name, way);
        const { id } = (await host.captures()).find(record => record.app === name);
        await host.proctor(['captures', 'cancel', id], { expectCode: 0 });
        const result = await capture.finish(15000);
        checkCancelled(result, way.phase);
        const pid = await host.pid(name);
        checkPort(pid, way, result.record);
        assert.ok(isAlive(pid));
        await host.proctor(['delete', name], { expectCode: 0 });
    }
});

test('one frame of 150 MB goes through probe and agent, which stay within 16 MB more', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'huge', script: appFile('fake-inspector.js'), env: { FRAME_MB: '150' } }]);
    const [, text] = await host.waitLog('huge', /profile (\{.*\})\nready/, { ms: 30000 });
    const expected = JSON.parse(text);
    assert.ok(expected.bytes > 149e6);
    // Takes the parsing out of the way: the file is compared by its hash.
    const file = `${host.work}/huge.cpuprofile`;
    const capture = host.startCapture('cpu', 'huge', { duration: '1s', out: file });
    await capture.waitPhase('running');
    const pids = {};
    const before = {};
    for (const program of ['proctor-probe', 'proctor-agent']) {
        [pids[program]] = await host.helperPids(program);
        before[program] = memoryOf(pids[program]).VmRSS;
    }
    const peak = { ...before };
    let ended = false;
    capture.run.ended.then(() => { ended = true; });
    await until('the end of the capture', () => {
        for (const program of Object.keys(pids))
            peak[program] = Math.max(peak[program], memoryOf(pids[program]).VmHWM ?? 0);
        return ended;
    }, 120000 * slow);
    const { code, stderr } = await capture.run.ended;
    assert.equal(code, 0, stderr);
    const hash = crypto.createHash('sha256');
    for await (const part of fs.createReadStream(file))
        hash.update(part);
    assert.equal(fs.statSync(file).size, expected.bytes);
    assert.equal(hash.digest('hex'), expected.sha256);
    if (underAsan)
        return;
    for (const program of Object.keys(pids))
        assert.ok(peak[program] - before[program] <= 16 * MB,
            `${program} grew from ${before[program]} to ${peak[program]}`);
});
