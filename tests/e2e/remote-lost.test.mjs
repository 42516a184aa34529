// Nothing is lost: cut connections, killed programs, a console that is away, a full disk.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost, underAsan } from '../lib/host.mjs';
import { startConsole } from '../lib/console.mjs';
import { until } from '../lib/proc.mjs';

const sha256 = data => createHash('sha256').update(data).digest('hex');
const fakeApp = env => ({ name: 'fake', script: appFile('fake-inspector.js'), env });
const cpuApp = { name: 'api', script: appFile('cpu.js') };

const filesIn = folder => (fs.existsSync(folder) ? fs.readdirSync(folder) : []).map(name => path.join(folder, name));
const sizeOf = folder => filesIn(folder).reduce((sum, file) => sum + fs.statSync(file).size, 0);

async function linked(t, c, apps) {
    const host = startHost(t);
    await host.startApps(apps);
    await c.link(host);
    await c.waitProcess(host.id, apps[0].name);
    return host;
}

const announced = async host => JSON.parse((await host.waitLog('fake', /^profile (.*)$/m, { ms: 30000 }))[1]);

test('a channel that is cut 50 times during a result of 50 MB: the same bytes, each of them once', async t => {
    const c = await startConsole(t, { proxy: true });
    const a = await linked(t, c, [fakeApp({ NOISE_MB: '66' })]);
    const { sha256: hash, bytes } = await announced(a);
    // Mostly in the middle of the pieces, sometimes at once after the hello.
    for (let i = 0; i < 50; i++)
        c.proxy.cutAfter(i % 7 === 6 ? 3000 : 20000 + Math.floor(Math.random() * 1900000));
    const [row] = await c.capture([{ host: a.id, app: 'fake' }], { duration_ms: 300 });
    const end = await c.waitEnd(row.id, 'done', 400000);
    assert.equal(c.proxy.cuts, 50);
    assert.equal(end.bytes, bytes);
    assert.equal(sha256((await c.raw(row.id)).data), hash);
    const { body: { profile } } = await c.api('GET', `profiles/${row.id}`, { role: 'viewer' });
    assert.ok(profile.stored_bytes > 45e6, `${profile.stored_bytes} bytes went over the channel`);
    assert.equal(sizeOf(path.join(c.data, 'segments')), profile.stored_bytes, 'no byte twice in the store');
    assert.deepEqual(filesIn(path.join(c.data, 'incoming')), []);
    // What was committed was not sent again: at most a window for each cut.
    assert.ok(c.proxy.toTarget < profile.stored_bytes + 55 * 1.2e6, `${c.proxy.toTarget} bytes were sent`);
});

test('a console that is away for a minute while a capture ends gets it afterwards', async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [cpuApp]);
    const [row] = await c.capture([{ host: a.id, app: 'api' }], { duration_ms: 3000 });
    await c.waitPhase(row.id, 'running');
    await c.stop('SIGKILL');
    await delay(60000);
    await c.start();
    const end = await c.waitEnd(row.id, 'done', 90000);
    assert.equal(end.profile, row.id);
    assert.ok(JSON.parse((await c.raw(row.id)).data).samples.length > 10);
});

// Kills at the worst moments; each time the capture ends, and a result that is told is there.
const PHASES = ['queued', 'open', 'start', 'running', 'stopping', 'sending', 'stored', 'commit'];
// A kill that came too late proves nothing: it is done again.
const TRIES = 25;

for (const who of ['console', 'agent']) {
    test(`kill -9 of the ${who} in each phase`, { timeout: 900000 * slow }, async t => {
        const c = await startConsole(t);
        const a = await linked(t, c, [fakeApp({ NOISE_MB: '20' })]);
        const { sha256: hash } = await announced(a);
        let captures = 0;
        for (const phase of PHASES) {
            let hit = false;
            for (let tries = 0; !hit && tries < TRIES; tries++, captures++)
                hit = await killIn(c, a, who, phase, hash);
            assert.ok(hit, `the ${who} was not killed in ${phase} in ${TRIES} tries`);
        }
        // All of these results are the same bytes: they lie there once.
        const { body: { profiles } } = await c.api('GET', 'profiles', { role: 'viewer' });
        assert.equal(profiles.length, captures);
        await until('nothing is left of what was on its way', () => filesIn(path.join(c.data, 'incoming')).length === 0, 5000 * slow);
        assert.equal(sizeOf(path.join(c.data, 'segments')), profiles[0].stored_bytes);
    });
}

// Kills, and waits for the end and the result; whether it was killed in that phase.
async function killIn(c, a, who, phase, hash) {
    const { agent_pid: agent } = (await a.proctor(['ping', '--json'], { expectCode: 0 })).json();
    const [row] = await c.capture([{ host: a.id, app: 'fake' }], { duration_ms: 300 });
    await reach(c, row.id, phase);
    const coming = isComing(c, row.id), killed = Date.now();
    process.kill(who === 'console' ? c.pid : agent, 'SIGKILL');
    if (who === 'console')
        await c.restart('SIGKILL');
    const end = await c.waitEnd(row.id, 'done', 90000);
    assert.equal(sha256((await c.raw(row.id)).data), hash, `${who} killed in ${phase}`);
    assert.equal(end.profile, row.id);
    await c.waitConnected(a.id);
    await c.waitProcess(a.id, 'fake');
    if (phase !== 'commit')
        return true;
    // Some bytes of it were at the console, and it became a profile only afterwards.
    const { body: { profile } } = await c.api('GET', `profiles/${row.id}`, { role: 'viewer' });
    return coming && profile.stored_ms > killed;
}

const partsOf = (c, id) => filesIn(path.join(c.data, 'incoming')).filter(file => path.basename(file).startsWith(`${id}.`) && file.endsWith('.part'));
const bytesOf = file => { try { return fs.statSync(file).size; } catch { return 0; } };
const isComing = (c, id) => partsOf(c, id).some(file => bytesOf(file) > 0);

// queued: it was asked for; commit: some of its bytes are at the console, and it is not yet a profile.
async function reach(c, id, phase) {
    if (phase === 'queued')
        return;
    if (phase === 'commit') {
        // Looked at as often as possible: the time from the first byte to the profile is short.
        const deadline = Date.now() + 30000 * slow;
        while (!isComing(c, id) && Date.now() < deadline)
            await new Promise(resolve => setImmediate(resolve));
        return;
    }
    await until(`capture ${id} is in ${phase}`, async () => {
        const row = await c.getCapture(id);
        return row.phases?.some(one => one.phase === phase) || row.profile;
    }, 30000 * slow, 5);
}

test('kill -9 of the probe in each phase ends the capture with the phase and the cause', async t => {
    const c = await startConsole(t);
    // What is held is what the phase waits for, so that the probe is in it when it is killed.
    const held = { open: 'upgrade', start: 'Profiler.start', running: 'Profiler.stop', stopping: 'Profiler.stop', sending: 'frame' };
    const a = await linked(t, c, Object.entries(held).map(([phase, hold]) => ({ ...fakeApp({ HOLD: hold, NOISE_MB: phase === 'sending' ? '20' : '0' }), name: phase })));
    for (const phase of Object.keys(held)) {
        await c.waitProcess(a.id, phase);
        const [row] = await c.capture([{ host: a.id, app: phase }], { duration_ms: phase === 'running' ? 20000 : 300 });
        await c.waitPhase(row.id, phase);
        const [probe] = await until('the probe runs', async () => { const pids = await a.helperPids('proctor-probe'); return pids.length > 0 && pids; }, 5000 * slow);
        process.kill(probe, 'SIGKILL');
        const end = await c.waitEnd(row.id, 'failed');
        assert.equal(end.error.name, 'PROBE_GONE');
        assert.equal(end.phase, phase);
        await until('the probes have gone', async () => (await a.helperPids('proctor-probe')).length === 0, 15000 * slow);
    }
});

test('a result of 200 MB from probe to segment: no program grows by more than 16 MB', { skip: underAsan && 'sanitizers have memory of their own' }, async t => {
    const c = await startConsole(t);
    const a = await linked(t, c, [fakeApp({ NOISE_MB: '200' })]);
    const { sha256: hash } = await announced(a);
    const { agent_pid: agent, pid: supervisor } = (await a.proctor(['ping', '--json'], { expectCode: 0 })).json();
    const watched = { console: c.pid, agent, supervisor };
    const rss = pid => Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
    const peak = pid => Number(/^VmHWM:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
    // A small one before, so that what a program needs at all is there.
    const [warm] = await c.capture([{ host: a.id, app: 'fake' }], { duration_ms: 100 });
    await c.api('POST', `captures/${warm.id}/cancel`);
    await c.waitEnd(warm.id);
    // The peak is counted from here on: making the first password took 32 MB.
    for (const pid of Object.values(watched))
        fs.writeFileSync(`/proc/${pid}/clear_refs`, '5');
    const before = Object.fromEntries(Object.entries(watched).map(([name, pid]) => [name, rss(pid)]));
    const [row] = await c.capture([{ host: a.id, app: 'fake' }], { duration_ms: 100 });
    let probePeak = 0;
    const end = await until('the capture has ended', async () => {
        for (const pid of await a.helperPids('proctor-probe')) {
            try {
                probePeak = Math.max(probePeak, peak(pid));
            } catch { /* gone in between */ }
        }
        const capture = await c.getCapture(row.id);
        return capture.profile && capture;
    }, 180000 * slow);
    assert.equal(end.state, 'done');
    const grown = Object.fromEntries(Object.entries(watched).map(([name, pid]) => [name, Math.round((peak(pid) - before[name]) / 1024)]));
    t.diagnostic(`grown by (MB): ${JSON.stringify({ ...grown, probe: Math.round(probePeak / 1024) })}`);
    for (const [name, mb] of Object.entries(grown))
        assert.ok(mb <= 16, `${name} grew by ${mb} MB`);
    assert.ok(probePeak / 1024 < 24, `the probe had ${probePeak / 1024} MB`);
    assert.equal(sha256((await c.raw(row.id)).data), hash);
});

// A small file system of its own for the console's data; null: only root may mount one.
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
        fs.rmSync(folder, { recursive: true });
    });
    return folder;
}

test('a full disk: the console says so and goes on, and both results come when there is room', { timeout: 600000 * slow }, async t => {
    const disk = smallDisk(t, 150 << 20);
    if (!disk) {
        t.skip('only root may mount a file system');
        return;
    }
    const c = await startConsole(t, { data: path.join(disk, 'data') });
    const a = await linked(t, c, ['one', 'two'].map(name => ({ ...fakeApp({ NOISE_MB: '20' }), name })));
    await c.waitProcess(a.id, 'two');
    const hashes = {};
    for (const name of ['one', 'two'])
        hashes[name] = JSON.parse((await a.waitLog(name, /^profile (.*)$/m, { ms: 30000 }))[1]).sha256;
    const filler = path.join(disk, 'filler');
    const rows = await c.capture(['one', 'two'].map(app => ({ host: a.id, app })), { duration_ms: 2000 });
    for (const row of rows)
        await c.waitPhase(row.id, 'running');
    fs.writeFileSync(filler, Buffer.alloc(80 << 20));
    for (const row of rows)
        await until('the console tells of the disk', () => new RegExp(`capture ${row.id} is refused.*ENOSPC`).test(c.log), 60000 * slow);
    await c.api('GET', 'hosts', { role: 'viewer' });
    for (const row of rows) {
        const waits = await c.getCapture(row.id);
        assert.deepEqual([waits.state, waits.profile], ['done', null]);
        assert.match(waits.waiting, /to bring the result/);
    }
    // It was never full to the last byte.
    const { bavail, bsize } = fs.statfsSync(disk);
    assert.ok(bavail * bsize > 15 << 20, `${bavail * bsize} bytes are left`);
    fs.rmSync(filler);
    for (const row of rows) {
        const end = await c.waitEnd(row.id, 'done', 180000);
        assert.equal(end.profile, row.id);
        assert.equal(sha256((await c.raw(row.id)).data), hashes[row.app]);
    }
});
