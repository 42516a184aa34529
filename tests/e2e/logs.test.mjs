// Logs over rotations, ours and others', and over deaths in them: every line once, in its order, whole.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { privateDirtyKb } from '../lib/crash.mjs';
import { appFile, slow, startHost, underAsan } from '../lib/host.mjs';
import { until } from '../lib/proc.mjs';

const noZstd = spawnSync('zstd', ['--version']).status !== 0 && 'needs the zstd command';
const line = n => `line ${n} ${'.'.repeat(n * 7919 % 97)}`;

function app(name, { env = {}, ...fields } = {}) {
    return { name, script: appFile('numbers.js'), env, log_keep: 1000, log_max_size: '64K', ...fields };
}

// Names of a log's archives without ".zst", the oldest first.
function archives(host, name, stream = 'out') {
    const pattern = new RegExp(`^${name}-0\\.${stream}\\.\\d{8}T\\d{6}\\.\\d{3}Z(\\.zst)?$`);
    return [...new Set(fs.readdirSync(path.join(host.home, 'logs')).filter(file => pattern.test(file)).map(file => file.replace(/\.zst$/, '')))].sort();
}

function readArchive(file) {
    try {
        return fs.readFileSync(file, 'latin1');
    } catch {
        return execFileSync('zstd', ['-dcq', `${file}.zst`], { maxBuffer: 1 << 30 }).toString('latin1');
    }
}

const wholeLog = (host, name) => archives(host, name).map(file => readArchive(path.join(host.home, 'logs', file))).join('') + host.log(name);

function assertLines(text, count, first = 0) {
    const lines = text.split('\n');
    assert.equal(lines.pop(), '', 'the last line is whole');
    lines.forEach((one, i) => {
        if (one !== line(first + i))
            assert.fail(`line ${first + i} is ${JSON.stringify(one.slice(0, 150))} (of ${lines.length})`);
    });
    if (count !== undefined)
        assert.equal(lines.length, count);
    return lines.length;
}

// The last line may have been rotated away.
const lastLine = async (host, name) => (await host.proctor(['logs', name, '--raw', '--nostream', '-n', '1'])).stdout.trim();
const isDone = (host, name, count) => until(`all lines of ${name}`, async () => await lastLine(host, name) === line(count - 1).trim(), 30000 * slow);
const allPacked = host => until('all archives are packed', () =>
    fs.readdirSync(path.join(host.home, 'logs')).every(file => !/Z(\.idx)?$|\.tmp$|\.new/.test(file)), 10000 * slow);

test('many rotations by size: archives and file hold every line once', { skip: noZstd }, async t => {
    const host = startHost(t);
    const count = 40000;
    await host.startApps([app('api', { env: { COUNT: `${count}`, HALVES: '1' } })]);
    await isDone(host, 'api', count);
    await allPacked(host);
    assert.ok(archives(host, 'api').length >= 20, `${archives(host, 'api').length} archives`);
    assertLines(wholeLog(host, 'api'), count);
    for (const file of archives(host, 'api'))
        assert.ok(fs.existsSync(path.join(host.home, 'logs', `${file}.idx.zst`)), `${file} has its times`);
    // The command goes back into archives as far as it is asked to.
    for (const lines of [5, 3000, 20000, count, 10 * count]) {
        const { stdout } = await host.proctor(['logs', 'api', '--raw', '--nostream', '-n', `${lines}`], { expectCode: 0 });
        const shown = Math.min(lines, count);
        assertLines(stdout, shown, count - shown);
    }
    const { stdout } = await host.proctor(['logs', 'api', '--json', '--nostream', '-n', `${count}`], { expectCode: 0 });
    const times = stdout.trim().split('\n').map(text => Date.parse(JSON.parse(text).timestamp));
    assert.ok(times.every((at, i) => at > Date.now() - 120000 && (i === 0 || at >= times[i - 1])), 'times of all lines, in their order');
});

test('rotation by time, and none of an empty log', async t => {
    const host = startHost(t);
    await host.startApps([app('slow', { env: { BATCH: '1', EVERY: '100' }, log_max_size: 0, log_rotate_every: '1s' }),
        app('quiet', { env: { COUNT: '0' }, log_max_size: 0, log_rotate_every: '1s' })]);
    await until('three archives', () => archives(host, 'slow').length >= 3, 15000 * slow);
    assert.equal(archives(host, 'quiet').length, 0);
    await host.proctor(['stop', 'slow'], { expectCode: 0 });
    await allPacked(host);
    if (!noZstd)
        assertLines(wholeLog(host, 'slow'));
});

test('following goes over rotations: no line is missing or doubled', async t => {
    const host = startHost(t);
    const count = 30000;
    await host.startApps([app('api', { env: { COUNT: `${count}`, HALVES: '1' }, autorestart: false })]);
    const fast = host.spawnProctor(['logs', 'api', '--raw', '-n', '1000000']);
    await until('all lines are followed', () => fast.stdout.includes(`line ${count - 1} `), 30000 * slow);
    fast.child.kill('SIGINT');
    await fast.ended;
    assertLines(fast.stdout, count);
    assert.ok(archives(host, 'api').length >= 10);
});

test('a reader that is stopped over several rotations misses nothing', async t => {
    const host = startHost(t);
    const count = 30000;
    await host.startApps([app('api', { env: { COUNT: `${count}`, EVERY: '4' } })]);
    const run = host.spawnProctor(['logs', 'api', '--raw', '-n', '1000000']);
    for (let i = 0; i < 3; i++) {
        await until('it reads', () => run.stdout.length > 0, 10000 * slow);
        const before = archives(host, 'api').length;
        run.child.kill('SIGSTOP');
        await until('it was rotated more than once', async () => archives(host, 'api').length > before + 2 ||
            await lastLine(host, 'api') === line(count - 1).trim(), 20000 * slow);
        run.child.kill('SIGCONT');
        await delay(50);
    }
    await until('all lines are followed', () => run.stdout.includes(`line ${count - 1} `), 30000 * slow);
    run.child.kill('SIGINT');
    await run.ended;
    assertLines(run.stdout, count);
});

test('another program rotates: mv with SIGUSR2, and with reloadLogs', async t => {
    const host = startHost(t);
    const count = 20000;
    await host.startApps([app('api', { env: { COUNT: `${count}`, HALVES: '1' }, log_max_size: 0, log_rotate_every: 0 })]);
    const follow = host.spawnProctor(['logs', 'api', '--raw', '-n', '1000000']);
    const moved = [];
    for (let i = 0; i < 6; i++) {
        await delay(150);
        const file = host.logFile('api', 'out');
        moved.push(`${file}.moved-${i}`);
        fs.renameSync(file, moved.at(-1));
        if (i % 3 === 2)
            fs.writeFileSync(file, '', { mode: 0o640 }); // as logrotate's "create" does
        if (i % 2)
            await host.proctor(['reloadLogs'], { expectCode: 0 });
        else
            process.kill(await host.supervisorPid(), 'SIGUSR2');
        await until('there is a new file', () => fs.existsSync(file) && fs.statSync(file).size > 0 || moved.some(one => fs.readFileSync(one, 'latin1').includes(`line ${count - 1} `)), 10000 * slow);
    }
    await until('all lines', () => [...moved, host.logFile('api', 'out')].some(file => fs.readFileSync(file, 'latin1').includes(`line ${count - 1} `)), 20000 * slow);
    const parts = [...moved, host.logFile('api', 'out')].map(file => fs.readFileSync(file, 'latin1'));
    for (const part of parts)
        assert.ok(part === '' || part.endsWith('\n'), 'every file ends with a whole line');
    assertLines(parts.join(''), count);
    await until('all lines are followed', () => follow.stdout.includes(`line ${count - 1} `), 20000 * slow);
    follow.child.kill('SIGINT');
    await follow.ended;
    assertLines(follow.stdout, count);
    // copytruncate
    fs.truncateSync(host.logFile('api', 'out'));
    const { stderr } = await host.proctor(['reload-logs'], { expectCode: 0 });
    assert.equal(stderr, '');
});

test('the quota: the oldest archives go first, and a mistake in settings.json is said', async t => {
    const host = startHost(t);
    const quota = 400 << 10;
    fs.writeFileSync(path.join(host.home, 'settings.json'), '{"log_qouta": "400K"}');
    await host.startApps([app('api', { env: { COUNT: '1' } })]);
    assert.match(host.daemonLog(), /settings\.json: there is no setting "log_qouta"; did you mean "log_quota"\?/);
    const refused = await host.proctor(['reloadLogs'], { expectCode: 1 });
    assert.match(refused.stderr, /cannot reopen the logs: .*did you mean "log_quota"/);
    fs.writeFileSync(path.join(host.home, 'settings.json'), '{"log_quota": "400K"}');
    await host.proctor(['reloadLogs'], { expectCode: 0 });
    const logs = path.join(host.home, 'logs');
    const old = path.join(logs, 'gone-0.out.20200101T000000.000Z.zst');
    fs.writeFileSync(old, Buffer.alloc(300 << 10));
    // Lines that do not shrink.
    const script = path.join(host.work, 'noise.js');
    fs.writeFileSync(script, `let n = 0; const { randomBytes } = require('crypto');
        (function go() { if (n++ < 2000) { console.log(randomBytes(600).toString('base64')); setTimeout(go, 1); } else setTimeout(go, 1000); })();`);
    await host.startApps([{ name: 'noise', script, log_max_size: '64K', log_keep: 1000 }]);
    await until('the oldest archive is gone', () => !fs.existsSync(old), 20000 * slow);
    await until('some of our own too', () => archives(host, 'noise').length > 0 && host.log('noise').length > 0, 20000 * slow);
    await delay(3000 * slow);
    await allPacked(host);
    const total = fs.readdirSync(logs).reduce((sum, file) => sum + fs.statSync(path.join(logs, file)).size, 0);
    assert.ok(total <= quota + (160 << 10), `${total} bytes`);
    assert.ok(archives(host, 'noise').length >= 2);
});

test('the number of archives of a log', async t => {
    const host = startHost(t);
    await host.startApps([app('api', { env: { COUNT: '20000' }, log_keep: 3 })]);
    await isDone(host, 'api', 20000);
    await allPacked(host);
    await until('three archives are left', () => archives(host, 'api').length === 3, 10000 * slow);
});

test('an archive that is damaged is named and left out, and the rest is read', async t => {
    const host = startHost(t);
    await host.startApps([app('api', { env: { COUNT: '8000' } })]);
    await isDone(host, 'api', 8000);
    await allPacked(host);
    const damaged = archives(host, 'api')[1];
    fs.writeFileSync(path.join(host.home, 'logs', `${damaged}.zst`), 'no archive');
    const { stdout, stderr } = await host.proctor(['logs', 'api', '--raw', '--nostream', '-n', '8000'], { expectCode: 0 });
    assert.equal(stderr.split(`${damaged}: `).length, 2, stderr);
    const lines = stdout.trimEnd().split('\n');
    assert.equal(lines[0], line(0));
    assert.equal(lines.at(-1).trim(), line(7999).trim());
    assert.ok(lines.length > 5000 && lines.length < 8000, `${lines.length} lines`);
});

test('packing leaves no memory behind', { skip: underAsan && 'its memory is not ours' }, async t => {
    const host = startHost(t);
    await host.startApps([app('api', { env: { COUNT: '250000', BATCH: '2000', EVERY: '1' }, log_max_size: '2M' })]);
    const { pid } = (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
    await isDone(host, 'api', 250000);
    await allPacked(host);
    const packed = archives(host, 'api').length;
    assert.ok(packed >= 4, `${packed} archives`);
    assert.ok(privateDirtyKb(pid) < 2048, `${privateDirtyKb(pid)} kB after ${packed} archives`);
});

test('rotations with supervisors killed: every line once', { skip: noZstd }, async t => {
    const host = startHost(t);
    const count = 60000;
    await host.startApps([app('api', { env: { COUNT: `${count}`, HALVES: '1' }, log_max_size: '16K' })]);
    const pid = await host.pid('api');
    const follow = host.spawnProctor(['logs', 'api', '--raw', '-n', '1000000']);
    let kills = 0;
    while (kills < 60 && await lastLine(host, 'api') !== line(count - 1).trim()) {
        const supervisor = await host.supervisorPid();
        process.kill(supervisor, 'SIGKILL');
        kills++;
        await delay(Math.random() * 60);
    }
    await isDone(host, 'api', count);
    assert.equal(await host.pid('api'), pid, 'the app has gone on');
    await until('all lines are followed', () => follow.stdout.includes(`line ${count - 1} `), 30000 * slow);
    follow.child.kill('SIGINT');
    await follow.ended;
    await allPacked(host);
    t.diagnostic(`${kills} kills, ${archives(host, 'api').length} archives`);
    assert.ok(kills >= 5, `${kills} kills`);
    assertLines(wholeLog(host, 'api'), count);
    assertLines(follow.stdout, count);
});

// ---- a full disk, with rotations ---------------------------------------------------------------------------------

const mayMount = process.getuid() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0;

test('a full disk in the middle of rotations: what is missing is what the log says', { skip: noZstd || (!mayMount && 'needs root, for a tmpfs') }, async t => {
    const host = startHost(t);
    const logs = path.join(host.home, 'logs');
    fs.mkdirSync(logs, { mode: 0o700 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=700', 'tmpfs', logs]);
    try {
        const count = 30000;
        await host.startApps([app('api', { env: { COUNT: `${count}`, HALVES: '1', EVERY: '4' }, log_max_size: '16K' })]);
        const filler = path.join(logs, 'filler');
        let kills = 0;
        for (let phase = 0; phase < 3; phase++) {
            await delay(300);
            const { bavail, bsize } = fs.statfsSync(logs);
            fs.writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - (20 << 10))));
            await until('output is dropped', () => (host.daemonLog().match(/output of the app is dropped/g) ?? []).length > phase, 10000 * slow);
            for (let i = 0; i < 5; i++) {
                await delay(Math.random() * 80);
                process.kill(await host.supervisorPid(), 'SIGKILL');
                kills++;
            }
            fs.rmSync(filler);
        }
        await isDone(host, 'api', count);
        await host.proctor(['stop', 'api'], { expectCode: 0 });
        await allPacked(host);
        let next = 0, reported = 0, bytes = 0;
        for (const one of wholeLog(host, 'api').split('\n').slice(0, -1)) {
            const told = /^\[proctor: (\d+) lines \((\d+) bytes\) of output were not written here: No space left on device\]$/.exec(one);
            for (let n = 0; told && n < Number(told[1]); n++, reported++)
                bytes -= line(next++).length + 1;
            bytes += Number(told?.[2] ?? 0);
            if (!told)
                assert.equal(one, line(next++), 'whole, and the one that is next');
        }
        assert.equal(next, count);
        assert.equal(bytes, 0, 'the bytes that are told are those of the lines that are missing');
        assert.ok(reported > 0);
        const [described] = (await host.proctor(['describe', 'api', '--json'], { expectCode: 0 })).json().apps;
        assert.equal(described.log_dropped_lines, reported);
        t.diagnostic(`${kills} kills, ${reported} of ${count} lines reported as dropped, ${archives(host, 'api').length} archives`);
    } finally {
        await host.proctor(['kill']);
        spawnSync('umount', ['-l', logs]);
    }
});
