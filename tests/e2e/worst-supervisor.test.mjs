// The supervisor itself at the worst moments: started with a bad inheritance, killed, stopped, its files shortened.
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { nodePath, profilingEnv } from '../lib/nodes.mjs';
import { isAlive, listeningPorts, pidsOfFolder, until } from '../lib/proc.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const program = path.join(process.env.PROCTOR_BUILD ?? path.join(root, 'build/release'), 'proctord');
const light = { HOT_MS: '5', REST_MS: '20' };

// Pids of processes of the host that run the app with this name.
const processesOf = (host, name) => pidsOfFolder(host.folder).filter(pid => {
    try {
        return fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`PROCTOR_APP=${name}`);
    } catch {
        return false; /* gone in between */
    }
});

describe('the supervisor', { concurrency: 3 }, () => {
    test('notices the end of an app also when it was started with SIGCHLD ignored', async t => {
        const script = `trap '' CHLD; exec "$@"`;
        // The bash of the host must really hand it down.
        const { stdout } = spawnSync('bash', ['-c', script, 'bash', 'cat', '/proc/self/status'], { encoding: 'utf8' });
        const ignored = BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)$/m.exec(stdout)[1]}`);
        assert.equal(ignored >> 16n & 1n, 1n, 'SIGCHLD is ignored');

        const host = startHost(t);
        const log = fs.openSync(path.join(host.home, 'proctor.log'), 'a', 0o600);
        const child = spawn('bash', ['-c', script, 'bash', program, '--home', host.home], {
            env: host.env, cwd: host.work, stdio: ['ignore', log, log],
        });
        fs.closeSync(log);
        await until('the supervisor answers', async () => (await host.proctor(['ping'])).code === 0, 10000 * slow);
        assert.equal(await host.supervisorPid(), child.pid);
        await host.startApps([
            { name: 'once', script: appFile('exit.js'), args: ['call'], autorestart: false },
            { name: 'again', script: appFile('env.js') },
        ]);
        await host.waitLog('once', /ready\n$/);
        process.kill(await host.pid('once'), 'SIGUSR2');
        assert.equal((await host.waitStatus('once', 'stopped', 5000)).pm2_env.exit_code, 7);
        const before = await host.pid('again');
        process.kill(before, 'SIGKILL');
        await until('a new process', async () => {
            const row = await host.row('again');
            return row.pm2_env.status === 'online' && row.pid !== before;
        }, 5000 * slow);
        const exited = new Promise(resolve => child.on('exit', (code, signal) => resolve({ code, signal })));
        await host.proctor(['kill'], { expectCode: 0 });
        assert.deepEqual(await exited, { code: 0, signal: null });
    });

    test('kill -9 of it and its keeper during captures leaves no inspector port open, and the next start runs each app exactly once', async t => {
        const host = startHost(t);
        const names = [8, 20].map(major => `n${major}`);
        await host.startApps([8, 20].map(major => ({
            name: `n${major}`, script: appFile('cpu.js'), interpreter: nodePath(major), env: { ...light, ...profilingEnv(major) },
        })));
        const apps = {};
        for (const name of names) {
            const [, port] = await host.waitLog(name, /listening (\d+)/);
            apps[name] = { pid: await host.pid(name), own: [Number(port)] };
        }
        const captures = names.map(name => host.startCapture('cpu', name, { duration: '60s' }));
        for (const capture of captures)
            await capture.waitPhase('running');
        for (const name of names)
            assert.equal(listeningPorts(apps[name].pid).length, 2, `${name} is being profiled`);
        const helpers = [...await host.helperPids('proctor-probe'), ...await host.helperPids('proctor-agent')];
        await host.killBoth();
        await until('only the ports of the apps are open', () =>
            names.every(name => listeningPorts(apps[name].pid).join() === apps[name].own.join()), 3000 * slow);
        for (const name of names)
            assert.ok(isAlive(apps[name].pid), `${name} survives`);
        await until('probes and agent are gone', () => !helpers.some(isAlive), 5000 * slow);
        for (const capture of captures)
            assert.notEqual((await capture.finish(10000)).code, 0);

        await host.proctor(['start', 'all'], { expectCode: 0 });
        const log = host.daemonLog();
        for (const name of names) {
            const { pid } = apps[name];
            assert.ok(!isAlive(pid), `the old ${name} was stopped`);
            assert.match(log, new RegExp(`\\b${name}-0: .*\\b${pid}\\b.*stopped`), 'a sentence tells it');
            const row = await host.row(name);
            assert.equal(row.pm2_env.status, 'online');
            assert.deepEqual(processesOf(host, name), [row.pid]);
        }
        // What was under way has an end, too.
        const records = await host.captures();
        assert.deepEqual(records.map(record => record.app).sort(), ['n20', 'n8']);
        for (const record of records)
            assert.match(record.state, /^(failed|partial|cancelled|expired)$/);
        const { code, stderr } = await host.capture('cpu', 'n20', { duration: '300ms' });
        assert.equal(code, 0, stderr);
    });

    test('a log that is shortened from outside before a crash does no harm', async t => {
        const host = startHost(t);
        const apps = ['throws', 'killed'];
        await host.startApps(apps.map(name => ({ name, script: appFile('crash-late.js'), autorestart: false, env: { LINES: '300' } })));
        // The second run begins far behind the file's beginning, and ends before that place.
        for (const name of apps) {
            await host.waitLog(name, /ready/);
            await host.waitLog(name, /old line 299/, { stream: 'err' });
            await host.proctor(['restart', name], { expectCode: 0 });
            await host.waitLog(name, /ready[^]*ready/);
            await host.waitLog(name, /old line 299[^]*old line 299/, { stream: 'err' });
            fs.truncateSync(host.logFile(name, 'err'), 0);
        }
        const supervisor = await host.supervisorPid();
        process.kill(await host.pid('throws'), 'SIGUSR2');
        process.kill(await host.pid('killed'), 'SIGKILL');
        for (const name of apps) {
            await host.waitStatus(name, 'stopped', 5000);
            for (const args of [['describe', name], ['describe', name, '--json'], ['logs', name, '--nostream']])
                await host.proctor(args, { expectCode: 0 });
        }
        assert.equal(await host.supervisorPid(), supervisor);
        assert.match((await host.proctor(['describe', 'throws'], { expectCode: 0 })).stdout, /planned crash/);
        // What came after the cut stands at the file's beginning, not behind a hole.
        const text = host.log('throws', 'err');
        assert.match(text, /Error: planned crash/);
        assert.doesNotMatch(text, /old line|\0/);
        assert.equal(host.log('killed', 'err'), '');
        const { stdout, stderr } = await host.proctor(['restart', 'throws'], { expectCode: 0 });
        assert.doesNotMatch(stdout + stderr, /\0/);
        assert.equal(await host.supervisorPid(), supervisor);
    });

    test('one that is stopped makes ping end with a sentence within 15 s', async t => {
        const host = startHost(t);
        await host.startApps([{ name: 'app', script: appFile('env.js') }]);
        const supervisor = await host.supervisorPid();
        process.kill(supervisor, 'SIGSTOP');
        // The host's end needs it.
        try {
            const began = Date.now();
            const { stdout, stderr } = await host.proctor(['ping'], { timeout: 20000, expectCode: 1 });
            assert.ok(Date.now() - began < 15000 * slow);
            assert.equal(stdout, '');
            assert.match(stderr, /^proctor: \S.*\n$/);
            assert.match(stderr, /answer/);
        } finally {
            process.kill(supervisor, 'SIGCONT');
        }
        await host.proctor(['ping'], { expectCode: 0 });
    });
});
