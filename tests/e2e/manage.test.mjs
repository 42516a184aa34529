// The CLI and the supervisor as a process manager: life cycle, restart machine, configuration, environment, logs.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { appFile, slow, startHost, underAsan } from '../lib/host.mjs';
import { isAlive, memoryOf, pidsOfFolder, until } from '../lib/proc.mjs';

const envApp = (more = {}) => ({ name: 'env', script: appFile('env.js'), ...more });
// What env.js printed last.
const lastEnv = host => JSON.parse(host.log('env').trim().split('\n').pop().replace(/^env /, ''));
const envLines = host => host.log('env').trim().split('\n').filter(Boolean).length;
const untilEnvLines = (host, count) =>
    until(`${count} starts of env.js`, () => envLines(host) >= count, 10000 * slow);

test('commands that only read never start the supervisor and answer 3', async t => {
    const host = startHost(t);
    for (const args of [['list'], ['list', '--json'], ['describe', 'api'], ['ping'], ['captures'], ['stop', 'all']])
        await host.proctor(args, { expectCode: 3 });
    // Scripts made for PM2 expect a list in any case.
    assert.deepEqual(await host.jlist(), []);
    assert.deepEqual(pidsOfFolder(host.folder), []);
    assert.ok(!fs.existsSync(path.join(host.home, 'control.sock')));
});

test('wrong use answers 2 with one sentence', async t => {
    const host = startHost(t);
    for (const args of [['frobnicate'], ['list', '--no-such-option'], ['stop'], ['profile', 'cpu'], ['profile', 'nonsense', 'api']]) {
        const { stderr } = await host.proctor(args, { expectCode: 2 });
        assert.match(stderr, /proctor: \S/);
    }
});

test('start makes a private home, the app is online when it returns, and kill stops all', async t => {
    const host = startHost(t);
    fs.rmdirSync(host.home);
    await host.startApps([envApp({ args: ['one', 'two words'] })]);
    assert.equal(fs.statSync(host.home).mode & 0o777, 0o700);
    assert.equal(fs.statSync(path.join(host.home, 'control.sock')).mode & 0o777, 0o600);
    assert.equal(fs.statSync(path.join(host.home, 'state.json')).mode & 0o777, 0o600);
    const row = await host.row('env');
    assert.equal(row.pm2_env.status, 'online');
    await untilEnvLines(host, 1);
    assert.deepEqual(lastEnv(host).argv, ['one', 'two words']);
    assert.equal(lastEnv(host).pid, row.pid);
    const { pid, version, keeper_pid: keeper, starts } = (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.equal(starts, 1);
    await host.proctor(['kill'], { expectCode: 0 });
    assert.deepEqual([row.pid, pid, keeper].filter(isAlive), [], 'all are gone when kill has answered');
    await host.proctor(['ping'], { expectCode: 3 });
});

test('a script is started with a name, node arguments, instances and arguments of its own', async t => {
    const host = startHost(t);
    await host.proctor(['start', appFile('env.js'), '--name', 'env', '--node-args', '--max-old-space-size=64 --no-warnings',
        '-i', '2', '--', '-x', 'last'], { expectCode: 0 });
    const rows = await host.jlist();
    assert.deepEqual(rows.map(row => [row.name, row.pm2_env.status]), [['env', 'online'], ['env', 'online']]);
    await untilEnvLines(host, 1);
    const told = lastEnv(host);
    assert.deepEqual(told.argv, ['-x', 'last']);
    assert.deepEqual(told.execArgv, ['--max-old-space-size=64', '--no-warnings']);
    assert.equal(told.instance, '0');
    assert.equal(told.cwd, host.work);
    const second = await until('the second instance', () => host.log('env', 'out', 1), 10000 * slow);
    assert.match(second, /"instance":"1"/);
});

test('the interpreter may be any program', async t => {
    const host = startHost(t);
    await host.proctor(['start', appFile('sleep.sh'), '--name', 'plain', '--interpreter', '/bin/sh'], { expectCode: 0 });
    await host.waitLog('plain', /ready/);
    assert.equal((await host.row('plain')).pm2_env.status, 'online');
});

test('stop, start, restart, reload and delete do what they say, by name, by number and for all', async t => {
    const host = startHost(t);
    await host.startApps([envApp(), { name: 'other', script: appFile('env.js') }]);
    const first = await host.row('env');

    await host.proctor(['restart', 'env'], { expectCode: 0 });
    const second = await host.row('env');
    assert.notEqual(second.pid, first.pid);
    assert.equal(second.pm2_env.restart_time, 1);
    assert.equal(second.pm_id, first.pm_id);
    assert.ok(!isAlive(first.pid));

    await host.proctor(['reload', String(second.pm_id)], { expectCode: 0 });
    const third = await host.row('env');
    assert.notEqual(third.pid, second.pid);
    assert.equal(third.pm2_env.status, 'online');

    await host.proctor(['stop', 'env'], { expectCode: 0 });
    assert.equal((await host.row('env')).pm2_env.status, 'stopped');
    assert.ok(!isAlive(third.pid));
    assert.equal((await host.row('other')).pm2_env.status, 'online');

    await host.proctor(['start', 'env'], { expectCode: 0 });
    assert.equal((await host.row('env')).pm2_env.status, 'online');

    await host.proctor(['delete', 'env'], { expectCode: 0 });
    assert.equal(await host.row('env'), null);
    await host.proctor(['stop', 'all'], { expectCode: 0 });
    assert.equal((await host.row('other')).pm2_env.status, 'stopped');
    await host.proctor(['delete', 'all'], { expectCode: 0 });
    assert.deepEqual(await host.jlist(), []);
});

test('a name that is not there answers 1 and says which', async t => {
    const host = startHost(t);
    await host.startApps([envApp()]);
    for (const verb of ['stop', 'restart', 'reload', 'delete', 'describe']) {
        const { stderr } = await host.proctor([verb, 'nobody'], { expectCode: 1 });
        assert.match(stderr, /nobody/);
    }
    const { stderr } = await host.proctor(['profile', 'cpu', 'nobody', '-d', '1s'], { expectCode: 1 });
    assert.match(stderr, /nobody/);
});

test('an app that ignores polite signals is killed and stops', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'stubborn', script: appFile('stubborn.js') }]);
    await host.waitLog('stubborn', /ready/);
    const pid = await host.pid('stubborn');
    await host.proctor(['stop', 'stubborn'], { expectCode: 0 });
    assert.ok(!isAlive(pid));
    assert.equal((await host.row('stubborn')).pm2_env.status, 'stopped');
    assert.match(host.log('stubborn'), /ignored SIG/);
});

test('an app that crashes at once runs 16 times and is errored', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'crash', script: appFile('crash.js') }], { mayFail: true });
    const row = await host.waitStatus('crash', 'errored', 30000);
    assert.equal(row.pm2_env.restart_time, 15);
    assert.equal(row.pm2_env.exit_code, 1);
    const runs = host.log('crash', 'err').match(/crash\.js was told to/g);
    assert.equal(runs.length, 16 * 2, 'each run prints the line of the error and the error');
    await host.proctor(['restart', 'crash']);
    await host.waitStatus('crash', 'errored', 30000);
});

test('max_restarts, min_uptime, restart_delay and autorestart are kept', async t => {
    const host = startHost(t);
    const script = appFile('crash.js');
    await host.startApps([
        { name: 'three', script, max_restarts: 3, min_uptime: 2000 },
        { name: 'once', script, autorestart: false },
        { name: 'late', script, restart_delay: 60000 },
    ], { mayFail: true });
    const three = await host.waitStatus('three', 'errored');
    assert.equal(three.pm2_env.restart_time, 2);
    assert.equal(host.log('three', 'err').match(/^Error: crash\.js/gm).length, 3);
    const once = await host.waitStatus('once', 'stopped');
    assert.equal(once.pm2_env.restart_time, 0);
    assert.equal(once.pm2_env.exit_code, 1);
    await host.waitStatus('late', 'waiting restart');
    await host.proctor(['stop', 'late'], { expectCode: 0 });
    await host.waitStatus('late', 'stopped');
});

test('a killed app comes back with the same number', async t => {
    const host = startHost(t);
    await host.startApps([envApp()]);
    const before = await host.row('env');
    process.kill(before.pid, 'SIGKILL');
    const after = await until('a new process', async () => {
        const row = await host.row('env');
        return row.pid && row.pid !== before.pid && row.pm2_env.status === 'online' && row;
    }, 10000 * slow);
    assert.equal(after.pm_id, before.pm_id);
    assert.equal(after.pm2_env.restart_time, 1);
});

test('a script or an interpreter that is not there is named', async t => {
    const host = startHost(t);
    const missing = await host.startApps([{ name: 'gone', script: './no-such-file.js' }], { mayFail: true });
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /no-such-file\.js/);
    const bad = await host.startApps([envApp({ interpreter: '/no/such/node' })], { mayFail: true });
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /\/no\/such\/node/);
});

test('a mistake in a configuration is told with file, line, key and the nearest known key', async t => {
    const host = startHost(t);
    const cases = [
        ['{"apps": [\n  {"name": "a",\n   "script": "x.js",\n   "instances": "many"}\n]}', /bad\.json:4:.*"instances".*"many"/],
        ['{"apps": [\n  {"name": "a",\n   "script": 7}\n]}', /bad\.json:3:.*"script"/],
        ['{"apps": [\n  {"name": "a"\n   "script": "x.js"}\n]}', /bad\.json:3\b/],
        ['{"apps": [\n  {"name": "a"}\n]}', /bad\.json:2:.*script/],
        ['{"apps": [\n  {"name": "a", "script": "x.js", "profiling": "sometimes"}\n]}', /bad\.json:2:.*"profiling".*"sometimes"/],
        ['', /bad\.json/],
        ['{"apps": []}', /bad\.json/],
    ];
    for (const [text, pattern] of cases) {
        const file = host.writeConfig(text, 'bad.json');
        const { stderr, code } = await host.proctor(['start', file]);
        assert.ok(code === 1 || code === 2, `exit code ${code}`);
        assert.match(stderr, pattern);
    }
    assert.deepEqual(pidsOfFolder(host.folder), [], 'no supervisor for a file that cannot be used');
    const { stderr } = await host.startApps([envApp({ instnces: 1 })]);
    assert.match(stderr, /instnces.*"?instances/);
});

test('the environment is that of the shell, then env, then env_<name>', async t => {
    const host = startHost(t);
    const app = envApp({ env: { TEST_A: 'file' }, env_production: { TEST_B: 'production' } });
    await host.startApps([app], { env: { TEST_A: 'shell', TEST_B: 'shell' } });
    await untilEnvLines(host, 1);
    assert.equal(lastEnv(host).a, 'file');
    assert.equal(lastEnv(host).b, 'shell');

    const file = host.writeConfig([app]);
    await host.proctor(['start', file, '--env', 'production'], { expectCode: 0 });
    await untilEnvLines(host, 2);
    assert.equal(lastEnv(host).b, 'production');
});

test('restart keeps the environment, --update-env takes that of the shell', async t => {
    const host = startHost(t);
    await host.startApps([envApp()], { env: { TEST_A: '1' } });
    await untilEnvLines(host, 1);
    await host.proctor(['restart', 'env'], { env: { TEST_A: '2' }, expectCode: 0 });
    await untilEnvLines(host, 2);
    assert.equal(lastEnv(host).a, '1');
    await host.proctor(['restart', 'env', '--update-env'], { env: { TEST_A: '3' }, expectCode: 0 });
    await untilEnvLines(host, 3);
    assert.equal(lastEnv(host).a, '3');
    await host.proctor(['reload', 'env', '--update-env'], { env: { TEST_B: 'b' }, expectCode: 0 });
    await untilEnvLines(host, 4);
    assert.equal(lastEnv(host).b, 'b');
    process.kill(await host.pid('env'), 'SIGKILL');
    await untilEnvLines(host, 5);
    assert.equal(lastEnv(host).b, 'b', 'a crash changes nothing');
});

test('starting a file again applies what has changed in it', async t => {
    const host = startHost(t);
    await host.startApps([envApp({ env: { TEST_A: '1', TEST_B: 'gone later' } })]);
    await untilEnvLines(host, 1);
    const file = host.writeConfig([envApp({ env: { TEST_A: '2' }, args: ['new'] })]);
    await host.proctor(['start', file], { expectCode: 0 });
    await untilEnvLines(host, 2);
    assert.equal(lastEnv(host).a, '2');
    assert.equal(lastEnv(host).b, undefined, 'a key that the file no longer has disappears');
    assert.deepEqual(lastEnv(host).argv, ['new']);
    assert.equal((await host.jlist()).length, 1);
});

test('not one line is lost when an app ends', async t => {
    const host = startHost(t);
    await host.startApps([{
        name: 'lines', script: appFile('lines.js'), autorestart: false, env: { OUT: '20000', ERR: '20000' },
    }]);
    await host.waitStatus('lines', 'stopped', 20000);
    const expected = kind => Array.from({ length: 20000 }, (_, i) => `${kind} ${i}\n`).join('');
    await until('the logs are complete', () => host.log('lines', 'out').length === expected('out').length &&
        host.log('lines', 'err').length === expected('err').length, 5000 * slow).catch(() => {});
    assert.ok(host.log('lines', 'out') === expected('out'), 'stdout is complete');
    assert.ok(host.log('lines', 'err') === expected('err'), 'stderr is complete');
});

test('logs shows the last lines of one stream or both', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'lines', script: appFile('lines.js'), autorestart: false, env: { OUT: '50', ERR: '50' } }]);
    await host.waitStatus('lines', 'stopped');
    await host.waitLog('lines', /out 49\n/);
    await host.waitLog('lines', /err 49\n/, { stream: 'err' });
    const { stdout: both } = await host.proctor(['logs', 'lines', '--nostream', '--lines', '200'], { expectCode: 0 });
    for (const text of ['out 0', 'out 49', 'err 0', 'err 49'])
        assert.match(both, new RegExp(`${text}\\b`));
    const { stdout: out } = await host.proctor(['logs', 'lines', '--nostream', '--lines', '3', '--out'], { expectCode: 0 });
    assert.match(out, /out 47[\s\S]*out 48[\s\S]*out 49/);
    assert.doesNotMatch(out, /err|out 46/);
    const { stdout: err } = await host.proctor(['logs', 'lines', '--nostream', '--lines', '3', '--err'], { expectCode: 0 });
    assert.doesNotMatch(err, /out 4/);
});

test('logs follows an app until Ctrl-C', async t => {
    const host = startHost(t);
    await host.startApps([envApp()]);
    await untilEnvLines(host, 1);
    const run = host.spawnProctor(['logs', 'env']);
    await until('the line that is there', () => /"pid"/.test(run.stdout), 10000 * slow);
    await host.proctor(['restart', 'env'], { expectCode: 0 });
    const pid = await host.pid('env');
    await until('the line of the new process', () => run.stdout.includes(`"pid":${pid}`), 10000 * slow);
    run.child.kill('SIGINT');
    await run.ended;
});

test('jlist has the fields that scripts for PM2 read, and hides secrets', async t => {
    const host = startHost(t);
    await host.startApps([envApp({ env: { API_TOKEN: 'secret value' } })]);
    const row = await host.row('env');
    assert.equal(row.name, 'env');
    assert.equal(typeof row.pm_id, 'number');
    assert.ok(isAlive(row.pid));
    assert.ok(row.monit.memory > 1000000);
    assert.equal(typeof row.monit.cpu, 'number');
    const env = row.pm2_env;
    assert.equal(env.status, 'online');
    assert.equal(env.restart_time, 0);
    assert.equal(env.unstable_restarts, 0);
    assert.equal(env.exec_mode, 'fork_mode');
    assert.ok(Math.abs(Date.now() - env.pm_uptime) < 60000 * slow);
    assert.equal(env.pm_exec_path, appFile('env.js'));
    assert.equal(env.pm_out_log_path, host.logFile('env', 'out'));
    assert.equal(env.pm_err_log_path, host.logFile('env', 'err'));
    assert.equal(env.node_version, process.versions.node);
    for (const args of [['jlist'], ['list', '--json'], ['describe', 'env'], ['describe', 'env', '--json']]) {
        const { stdout } = await host.proctor(args, { expectCode: 0 });
        assert.doesNotMatch(stdout, /secret value/, `proctor ${args.join(' ')}`);
    }
    assert.match((await host.proctor(['jlist', '--show-env'], { expectCode: 0 })).stdout, /secret value/);
});

test('list and describe speak to people, and their --json to programs', async t => {
    const host = startHost(t);
    await host.startApps([envApp()]);
    const { stdout: table } = await host.proctor(['list'], { expectCode: 0 });
    assert.match(table, /env/);
    assert.match(table, /online/);
    const { stdout: page } = await host.proctor(['describe', 'env'], { expectCode: 0 });
    assert.match(page, /env\.js/);
    const pid = await host.pid('env');
    assert.ok(JSON.stringify((await host.proctor(['list', '--json'], { expectCode: 0 })).json()).includes(String(pid)));
    assert.ok(JSON.stringify((await host.proctor(['describe', 'env', '--json'], { expectCode: 0 })).json()).includes(String(pid)));
});

test('the desired state survives keeper and supervisor', async t => {
    const host = startHost(t);
    await host.startApps([envApp({ env: { TEST_A: 'kept' } })]);
    const before = await host.row('env');
    await host.killBoth();
    await host.proctor(['ping'], { expectCode: 3 });
    assert.ok(isAlive(before.pid), 'the app goes on');
    await host.proctor(['start', 'env'], { expectCode: 0 });
    const after = await host.row('env');
    assert.equal(after.pm2_env.status, 'online');
    assert.ok(!isAlive(before.pid), 'an app never runs twice');
    assert.match(host.daemonLog(), new RegExp(`env-0: pid ${before.pid} still runs from before and is stopped`));
    assert.equal(lastEnv(host).a, 'kept');
});

test('a torn state.json falls back to the one before, and the next answers say so', async t => {
    const host = startHost(t);
    const state = path.join(host.home, 'state.json');
    await host.startApps([envApp()]);
    await host.startApps([{ name: 'late', script: appFile('env.js') }]);
    await until('both are in the file', () => (fs.readFileSync(state, 'utf8').match(/"spec"/g) ?? []).length === 2, 5000 * slow);
    assert.equal(fs.statSync(`${state}.previous`).mode & 0o777, 0o600);
    const apps = (await host.jlist()).map(row => row.pid);
    // As after a reboot.
    await host.killBoth();
    for (const pid of apps)
        process.kill(pid, 'SIGKILL');
    fs.truncateSync(state, fs.statSync(state).size - 10);
    const { stderr } = await host.proctor(['start', 'env'], { expectCode: 0 });
    const sentence = /^warning: state\.json could not be used \(it is torn or damaged\) and lies as state\.json\.broken now; the one before it was: /m;
    assert.match(stderr, sentence);
    assert.match(host.daemonLog(), /state\.json could not be used/);
    assert.ok((await host.jlist()).some(row => row.name === 'env' && row.pm2_env.status === 'online'));
    assert.equal((await host.proctor(['list'], { expectCode: 0 })).stderr, '', 'once a change was answered with it');
    assert.ok(fs.existsSync(`${state}.broken`));
});

test('commands do not notice that the supervisor is killed', async t => {
    const host = startHost(t);
    await host.startApps([envApp()]);
    const { pid: app } = await host.row('env');
    for (let i = 0; i < 5; i++) {
        const supervisor = await host.supervisorPid();
        const commands = Array.from({ length: 10 }, (_, n) => host.proctor([['list'], ['ping'], ['jlist'], ['describe', 'env']][n % 4], { expectCode: 0 }));
        process.kill(supervisor, 'SIGKILL');
        commands.push(host.proctor(['list'], { expectCode: 0 }));
        for (const { stderr } of await Promise.all(commands))
            assert.equal(stderr, '');
    }
    const ping = async () => (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
    const { starts, keeper_pid: keeper, last_end: end } = await ping();
    assert.equal(starts, 6);
    assert.equal(end.how, 'killed by signal 9');
    process.kill(keeper, 'SIGKILL');
    const { last_end: how } = await until('the next supervisor', async () => { const p = await ping(); return p.starts === 7 && p; }, 5000 * slow);
    assert.equal(how.how, 'became the keeper when that was killed');
    assert.equal(await host.pid('env'), app);
});

test('a control socket that was removed comes back with the next supervisor', async t => {
    const host = startHost(t);
    const socket = path.join(host.home, 'control.sock');
    await host.startApps([envApp()]);
    const { pid: app } = await host.row('env');
    for (let i = 0; i < 2; i++) {
        const supervisor = await host.supervisorPid();
        fs.rmSync(socket);
        process.kill(supervisor, 'SIGKILL');
        await until('the socket', () => fs.existsSync(socket), 5000 * slow);
        assert.equal(fs.statSync(socket).mode & 0o777, 0o600);
        assert.notEqual(await host.supervisorPid(), supervisor);
        assert.equal(await host.pid('env'), app);
    }
});

// An app that takes its time is what an end waits for.
async function startStubborn(host) {
    await host.startApps([{ name: 'stubborn', script: appFile('stubborn.js'), kill_timeout: 1500 }]);
    await host.waitLog('stubborn', /ready/);
    const { pid, keeper_pid: keeper } = (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
    return { supervisor: pid, keeper, app: await host.pid('stubborn') };
}

test('kill goes on under the next supervisor when this one is killed', async t => {
    const host = startHost(t);
    const { supervisor, keeper, app } = await startStubborn(host);
    const kill = host.spawnProctor(['kill']);
    await host.waitStopping('stubborn');
    process.kill(supervisor, 'SIGKILL');
    const { code, stdout, stderr } = await kill.ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /have stopped/);
    assert.deepEqual([keeper, app].filter(isAlive), []);
    await host.proctor(['ping'], { expectCode: 3 });
    assert.deepEqual(JSON.parse(fs.readFileSync(path.join(host.home, 'state.json'), 'utf8')).apps, []);
});

test('an end by SIGTERM goes on, too, and what shall run stays', async t => {
    const host = startHost(t);
    const { supervisor, keeper, app } = await startStubborn(host);
    process.kill(keeper, 'SIGTERM');
    await host.waitStopping('stubborn');
    process.kill(supervisor, 'SIGKILL');
    await until('all have ended', () => ![keeper, app].some(isAlive), 5000 * slow);
    const [{ spec, instances }] = JSON.parse(fs.readFileSync(path.join(host.home, 'state.json'), 'utf8')).apps;
    assert.equal(spec.name, 'stubborn');
    assert.equal(instances[0].wanted, true);
});

// A supervisor that is killed between our connecting and its answer: its socket stays, and nobody is behind it.
test('a supervisor that dies while it is asked is not running', async t => {
    const host = startHost(t);
    const socket = path.join(host.home, 'control.sock');
    const server = net.createServer(connection => {
        connection.destroy();
        server.close();
    });
    await new Promise(resolve => server.listen(socket, resolve));
    const { stderr } = await host.proctor(['ping'], { expectCode: 3 });
    assert.match(stderr, /no supervisor is running/);
});

// Speaks to the supervisor itself: one line, and the answer.
async function sayHello(host, message) {
    const socket = net.connect(path.join(host.home, 'control.sock'));
    socket.write(`${JSON.stringify({ jsonrpc: '2.0', id: 'h', method: 'hello', ...message })}\n`);
    const [text] = await once(socket.setEncoding('utf8'), 'data');
    socket.destroy();
    return JSON.parse(text);
}

test('hello is answered as docs/PROTOCOL.md says', async t => {
    const host = startHost(t);
    await host.startApps([envApp()]);
    const { pid, version } = (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
    const { result } = await sayHello(host, { params: { version: 1, program: 'test' } });
    assert.deepEqual(result, { version: 1, program: 'proctord', release: version, pid });
    const { error } = await sayHello(host, { params: { version: 2 } });
    assert.equal(error.data.name, 'UNSUPPORTED');
});

test('a supervisor that is stopped is named after ten seconds, and nothing waits for ever', async t => {
    const host = startHost(t);
    await host.startApps([envApp()]);
    const { pid } = (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
    const commands = [['ping'], ['list'], ['jlist'], ['describe', 'env'], ['captures'], ['start', 'env'], ['stop', 'env'],
        ['profile', 'cpu', 'env'], ['kill'], ['captures', 'get', '01890a5d-ac96-774b-bcce-b302099a8057'],
        ['captures', 'cancel', '01890a5d-ac96-774b-bcce-b302099a8057']];
    process.kill(pid, 'SIGSTOP');
    try {
        const began = Date.now();
        await Promise.all(commands.map(async args => {
            const { stderr } = await host.proctor(args, { expectCode: 1, timeout: 16000 });
            assert.ok(stderr.includes(`the supervisor (pid ${pid}) does not answer`), `${args.join(' ')}: ${stderr}`);
        }));
        assert.ok(Date.now() - began >= 9500, `${Date.now() - began} ms`);
    } finally {
        process.kill(pid, 'SIGCONT');
    }
    // It hears what was asked meanwhile, and is well.
    await host.proctor(['ping'], { expectCode: 0 });
    await host.waitStatus('env', 'stopped');
});

test('a large answer leaves no memory behind in the supervisor', async t => {
    const host = startHost(t);
    const env = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`LARGE_${i}`, 'x'.repeat(1000)]));
    await host.startApps([{ name: 'many', script: 'true', interpreter: 'none', autorestart: false, instances: 12, env }]);
    await host.proctor(['list'], { expectCode: 0 });
    const pid = await host.supervisorPid();
    const before = memoryOf(pid).VmRSS;
    const { stdout } = await host.proctor(['describe', 'all', '--json'], { expectCode: 0 });
    assert.ok(stdout.length > 2e6, `${stdout.length} bytes`);
    if (!underAsan)
        await until('its memory is back', async () => memoryOf(pid).VmRSS < before + 2 * 1024 * 1024, 5000);
});
