// The command line at its edges: closed descriptors, homes of others, an ending supervisor, terminals, and what it says.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { isAlive, until } from '../lib/proc.mjs';

const envApp = (more = {}) => ({ name: 'env', script: appFile('env.js'), ...more });
const lastEnv = host => JSON.parse(host.log('env').trim().split('\n').pop().replace(/^env /, ''));
const untilEnvLines = (host, count) => until(`${count} starts of env.js`,
    () => host.log('env').trim().split('\n').filter(Boolean).length >= count, 10000 * slow);
const build = process.env.PROCTOR_BUILD ?? 'build/release';

// Runs a line of the shell in which $proctor is the command.
async function shell(host, line) {
    const child = spawn('/bin/sh', ['-c', line], {
        env: { ...host.env, TERM: 'xterm', proctor: path.join(path.resolve(build), 'proctor') }, cwd: host.work,
        stdio: ['ignore', 'pipe', 'pipe'],
    });
    const run = { child, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', text => { run.stdout += text; });
    child.stderr.setEncoding('utf8').on('data', text => { run.stderr += text; });
    const timer = setTimeout(() => child.kill('SIGKILL'), 30000 * slow);
    run.code = await new Promise(resolve => child.on('close', resolve));
    clearTimeout(timer);
    return run;
}

const startCpu = async host => {
    await host.startApps([{ name: 'cpu', script: appFile('cpu.js') }]);
    await host.waitLog('cpu', /listening/);
};

test('closed standard descriptors do not let our texts into the control socket', async t => {
    const host = startHost(t);
    await startCpu(host);
    for (const closed of ['2>&-', '<&- 2>&-', '<&- >&- 2>&-']) {
        const out = `${closed.length}.cpuprofile`;
        const { code } = await shell(host, `"$proctor" profile cpu cpu -d 200ms -o ${out} ${closed}`);
        // What cannot be printed is a failure, but the profile is there.
        assert.equal(code, closed.includes('>&- 2') ? 1 : 0, closed);
        assert.ok(JSON.parse(fs.readFileSync(path.join(host.work, out))).nodes.length > 0);
    }
    for (const command of ['list', 'top 4.cpuprofile']) {
        const { code, stderr } = await shell(host, `"$proctor" ${command} >&-`);
        assert.equal(code, 1);
        assert.match(stderr, /output: .*[Bb]ad file descriptor/);
    }
    assert.doesNotMatch(host.daemonLog(), /control: message|control connection ended/);
});

test('a home of another user, or one that others can write, is left as it is', async t => {
    const host = startHost(t);
    const refused = async pattern => {
        const { stderr } = await host.proctor(['start', appFile('env.js')], { expectCode: 1 });
        assert.match(stderr, pattern);
        assert.deepEqual(fs.readdirSync(host.home), [], 'nothing was made there');
    };
    fs.chmodSync(host.home, 0o770);
    await refused(/can be written by others: chmod 700 it/);
    fs.chmodSync(host.home, 0o700);
    if (process.getuid() === 0) {
        fs.chownSync(host.home, 12345, 12345);
        await refused(/belongs to another user/);
        fs.chownSync(host.home, 0, 0);
    }
    const PROCTOR_HOME = path.join(host.folder, 'no', 'such', 'home');
    const { stderr } = await host.proctor(['start', appFile('env.js')], { env: { PROCTOR_HOME }, expectCode: 1 });
    assert.ok(stderr.includes(`there is no folder ${path.dirname(PROCTOR_HOME)}`), stderr);
});

test('start --update-env gives a running app the new environment', async t => {
    const host = startHost(t);
    await host.startApps([envApp({ instances: 2 })], { env: { TEST_A: '1' } });
    await untilEnvLines(host, 1);
    const pids = async () => (await host.jlist()).map(row => row.pid);
    const before = await pids();
    await host.proctor(['start', 'env', '--update-env'], { env: { TEST_A: '1' }, expectCode: 0 });
    assert.deepEqual(await pids(), before, 'the same environment restarts nothing');
    await host.proctor(['start', 'env', '--update-env'], { env: { TEST_A: '2' }, expectCode: 0 });
    await untilEnvLines(host, 2);
    assert.equal(lastEnv(host).a, '2');
    assert.ok((await pids()).every((pid, i) => pid !== before[i]), 'both instances');
    const file = host.writeConfig([envApp({ instances: 2 })]);
    await host.proctor(['start', file], { env: { TEST_A: '3' }, expectCode: 0 });
    await host.proctor(['start', file, '--update-env'], { env: { TEST_A: '4' }, expectCode: 0 });
    await untilEnvLines(host, 3);
    assert.equal(lastEnv(host).a, '4');
});

test('kill and start beside a kill wait for its end', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'stubborn', script: appFile('stubborn.js'), kill_timeout: 1500 }]);
    await host.waitLog('stubborn', /ready/);
    const first = await host.supervisorPid();
    const run = host.spawnProctor(['kill']);
    await host.waitLog('stubborn', /ignored SIG/);
    const file = host.writeConfig([envApp()]);
    const [killed, started] = await Promise.all([
        host.proctor(['kill'], { expectCode: 0 }),
        host.proctor(['start', file], { expectCode: 0 }),
        // This one asks first whether such an app is known.
        host.proctor(['start', appFile('sleep.sh'), '--name', 'plain'], { expectCode: 0 }),
    ]);
    assert.match(killed.stdout, /have stopped/);
    assert.match(started.stdout, /env .*online/);
    assert.equal((await run.ended).code, 0);
    assert.ok(!isAlive(first));
    assert.deepEqual((await host.jlist()).map(row => `${row.name} ${row.pm2_env.status}`).sort(), ['env online', 'plain online']);
    host.remember();
});

test('a state that cannot be written is told with the answers', async t => {
    const host = startHost(t);
    await host.startApps([envApp()]);
    const state = path.join(host.home, 'state.json');
    fs.rmSync(state);
    fs.mkdirSync(state);
    const pattern = /^warning: state\.json cannot be written: .*; a reboot would bring back an older state$/m;
    await host.proctor(['restart', 'env'], { expectCode: 0 });
    await until('the warning', async () => pattern.test((await host.proctor(['list'], { expectCode: 0 })).stderr), 5000 * slow);
    assert.match((await host.proctor(['restart', 'env'], { expectCode: 0 })).stderr, pattern);
    fs.rmdirSync(state);
    await host.proctor(['restart', 'env'], { expectCode: 0 });
    await until('no warning', async () => (await host.proctor(['list'], { expectCode: 0 })).stderr === '', 5000 * slow);
    // What was to be forgotten is still there for the next start.
    fs.rmSync(state);
    fs.mkdirSync(state);
    const killed = await host.proctor(['kill'], { expectCode: 0 });
    assert.match(killed.stderr, pattern);
    assert.match(killed.stdout, /have stopped/);
});

test('a home that cannot be used is told with the file', async t => {
    const host = startHost(t);
    fs.mkdirSync(path.join(host.home, 'lock'));
    const { stderr } = await host.proctor(['start', appFile('sleep.sh')], { expectCode: 1 });
    assert.match(stderr, /^proctor: the supervisor could not start: .*\/lock: .*directory$/im);
});

test('a misspelt key is named, whatever else is wrong with the file', async t => {
    const host = startHost(t);
    const cases = [
        ['{"apps": [\n{"name": "a", "scirpt": "x.js"}]}',
            [/bad\.json:2: .*key "script": missing.*did you mean "script" for "scirpt" \(line 2\)\?/,
                /warning: .*unknown key "scirpt"/]],
        ['{"app": [{"script": "x.js"}]}', [/did you mean "apps" for "app" \(line 1\)\?/]],
        ['{"apps": [{"instnces": 1, "script": 7}]}', [/warning: .*"instnces".*"instances"/, /"script": expected/]],
    ];
    for (const [text, patterns] of cases) {
        const { stderr } = await host.proctor(['start', host.writeConfig(text, 'bad.json')], { expectCode: 1 });
        for (const pattern of patterns)
            assert.match(stderr, pattern);
    }
});

test('start says what is wrong in few words', async t => {
    const host = startHost(t);
    const refused = async (args, code, pattern) => {
        const { stderr } = await host.proctor(args, { expectCode: code });
        assert.match(stderr, pattern);
        assert.ok(!stderr.includes(host.env.PATH), 'the whole PATH is of no use');
    };
    await refused(['start', 'x.json'], 1, /^proctor: there is no file x\.json$/m);
    await refused(['start', 'no-such-thing'], 1, /no such program in PATH$/m);
    await refused(['start', appFile('sleep.sh'), '--interpreter', 'no-such'], 1, /no program "no-such" in PATH$/m);
    await refused(['start', appFile('env.js'), '--env', 'production'], 2, /--env production.*of a file of apps/);
    const { stdout } = await host.proctor(['help', 'profile'], { expectCode: 0 });
    assert.match(stdout, /^usage: proctor profile .*\[-d TIME\][\s\S]*cpu\|heap TARGET\n\n/);
});

test('start of a file and a known app prints one table', async t => {
    const host = startHost(t);
    await host.startApps([envApp(), { name: 'other', script: appFile('env.js') }]);
    const { stdout } = await host.proctor(['start', host.writeConfig([envApp()]), 'other'], { expectCode: 0 });
    assert.equal(stdout.match(/\bstatus\b/g).length, 1, stdout);
    assert.match(stdout, /env .*online[\s\S]*other .*online/);
});

test('captures of which some are refused answer 1, and 4 only when all are', async t => {
    const host = startHost(t, { policy: { apps: ['cpu'] } });
    await host.startApps([{ name: 'cpu', script: appFile('cpu.js') }, { name: 'shut', script: appFile('cpu.js') }]);
    await host.waitLog('cpu', /listening/);
    await host.waitLog('shut', /listening/);
    const { stdout } = await host.proctor(['profile', 'cpu', 'all', '-d', '200ms'], { expectCode: 1 });
    assert.match(stdout, /^cpu-0: cpu profile in /m);
    await host.proctor(['profile', 'cpu', 'shut', '-d', '200ms'], { expectCode: 4 });
    await host.proctor(['profile', 'cpu', 'cpu', '-d', '200ms'], { expectCode: 0 });
});

test('a second Ctrl-C drops the result', async t => {
    const host = startHost(t);
    await startCpu(host);
    const pid = await host.pid('cpu');
    const capture = host.startCapture('cpu', 'cpu', { duration: null });
    await capture.gather();
    // Who is held does not answer the first at once.
    process.kill(pid, 'SIGSTOP');
    try {
        capture.interrupt();
        await until('the first is obeyed', () => /ending the capture/.test(capture.run.stderr), 5000 * slow);
        capture.interrupt();
        await until('the second is obeyed', () => /cancelling the capture/.test(capture.run.stderr), 5000 * slow);
    } finally {
        process.kill(pid, 'SIGCONT');
    }
    const { code, record, profile } = await capture.finish();
    assert.equal(code, 1);
    assert.equal(record.state, 'cancelled');
    assert.equal(profile, null);
    assert.equal((await host.captures())[0].state, 'cancelled');
});

test('on a terminal the progress of a capture is one line', async t => {
    const host = startHost(t);
    await startCpu(host);
    const { code, stdout } = await shell(host, 'script -qec "$proctor profile cpu cpu -d 1s -o t.cpuprofile" /dev/null');
    assert.equal(code, 0, stdout);
    assert.match(stdout, /\rcpu-0: running, [0-9.]+ s of 1\.0 s\x1b\[K\r/);
    assert.match(stdout, /\r\x1b\[Kcpu-0: cpu profile in t\.cpuprofile/);
});

test('captures get brings a result where it is wanted', async t => {
    const host = startHost(t);
    await startCpu(host);
    const { record } = await host.capture('cpu', 'cpu', { duration: '200ms' });
    const short = record.id.slice(0, 20);
    const { stdout } = await host.proctor(['captures', 'get', short, '-o', '-'], { expectCode: 0 });
    assert.equal(stdout.length, record.bytes);
    assert.ok(JSON.parse(stdout).nodes.length > 0);
    const folder = path.join(host.work, 'folder');
    fs.mkdirSync(folder);
    for (let i = 0; i < 2; i++)
        await host.proctor(['captures', 'get', short, '-o', folder], { expectCode: 0 });
    const names = fs.readdirSync(folder);
    assert.equal(names.length, 2, 'the second does not replace the first');
    for (const name of names) {
        assert.match(name, /^cpu-0-cpu-\d{8}-\d{6}(-2)?\.cpuprofile$/);
        assert.equal(fs.readFileSync(path.join(folder, name), 'utf8'), stdout);
    }
    const full = await host.proctor(['captures', 'get', short, '-o', '/dev/full'], { expectCode: 1 });
    assert.match(full.stderr, /cannot write \/dev\/full: No space left on device; the result is kept/i);
    const piped = await shell(host, `"$proctor" captures get ${short} -o - >/dev/full`);
    assert.equal(piped.code, 1);
    assert.match(piped.stderr, /cannot write -: No space left on device/i);
    const { stderr } = await host.proctor(['captures', 'get', 'ffff'], { expectCode: 1 });
    assert.match(stderr, /there is no capture 'ffff'/);
});
