// Stopping, restarting and scaling at the worst moments: a group that does not go, an open capture, a stuck probe.
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { isAlive, until } from '../lib/proc.mjs';

const KILL_TIMEOUT = 1500;
const END_MS = (KILL_TIMEOUT + 2000) * slow;

async function timed(job) {
    const began = Date.now();
    const value = await job();
    return { value, took: Date.now() - began };
}

// An app whose process crashed 0.2 s ago and left a child in its group that ignores polite signals: the child's pid.
async function crashed(host, name) {
    await host.startApps([{ name, script: appFile('crash-late.js'), kill_timeout: KILL_TIMEOUT, env: { CHILD: '1' } }]);
    const child = Number((await host.waitLog(name, /child (\d+)\n/))[1]);
    const pid = await host.pid(name);
    process.kill(pid, 'SIGUSR2');
    await until(`${name} has crashed`, () => !isAlive(pid), 3000 * slow);
    await delay(200);
    assert.ok(isAlive(child), 'the child outlives the crash');
    return { pid, child };
}

// Waiting is most of what these tests do.
describe('at the worst moment', { concurrency: 3 }, () => {
    test('stop ends in time when the crashed app left a child that ignores SIGINT', async t => {
        const host = startHost(t);
        const { child } = await crashed(host, 'litter');
        const { took } = await timed(() => host.proctor(['stop', 'litter'], { expectCode: 0 }));
        assert.ok(took < END_MS, `stop took ${took} ms`);
        assert.ok(!isAlive(child), 'the child is dead');
        const row = await host.row('litter');
        assert.equal(row.pm2_env.status, 'stopped');
        assert.equal(host.log('litter').match(/^ready/gm).length, 1, 'it was not started again');
    });

    test('restart ends in time with a new pid when the crashed app left a child that ignores SIGINT', async t => {
        const host = startHost(t);
        const { pid, child } = await crashed(host, 'litter');
        const { took } = await timed(() => host.proctor(['restart', 'litter'], { expectCode: 0 }));
        assert.ok(took < END_MS, `restart took ${took} ms`);
        assert.ok(!isAlive(child), 'the child is dead');
        const row = await host.row('litter');
        assert.equal(row.pm2_env.status, 'online');
        assert.ok(isAlive(row.pid));
        assert.notEqual(row.pid, pid);
        await host.waitLog('litter', new RegExp(`ready ${row.pid}\n`));
        assert.equal(host.log('litter').match(/^ready/gm).length, 2, 'it was started again once');
    });

    test('kill ends in time when the crashed app left a child that ignores SIGINT', async t => {
        const host = startHost(t);
        const { child } = await crashed(host, 'litter');
        const supervisor = await host.supervisorPid();
        const { took } = await timed(() => host.proctor(['kill'], { expectCode: 0 }));
        assert.ok(took < END_MS, `kill took ${took} ms`);
        assert.ok(!isAlive(child), 'the child is dead');
        await until('the supervisor is gone', () => !isAlive(supervisor), 2000 * slow);
        await host.proctor(['ping'], { expectCode: 3 });
    });

    test('a file changed from 3 instances to 1 leaves one online, which was restarted at most once', async t => {
        const host = startHost(t);
        const app = instances => [{ name: 'env', script: appFile('env.js'), instances }];
        await host.startApps(app(3));
        const before = (await host.jlist()).map(row => row.pid);
        assert.equal(new Set(before).size, 3);
        await until('the first has printed', () => /^env/m.test(host.log('env')), 5000 * slow);
        await host.startApps(app(1));
        const rows = await host.jlist();
        assert.deepEqual(rows.map(row => [row.name, row.pm2_env.status]), [['env', 'online']]);
        assert.ok(isAlive(rows[0].pid));
        assert.deepEqual(before.slice(1).filter(isAlive), [], 'the other two are gone');
        assert.ok(rows[0].pm2_env.restart_time <= 1, `restarted ${rows[0].pm2_env.restart_time} times`);
        await until('the one that runs has printed', () => host.log('env').includes(`"pid":${rows[0].pid},`), 5000 * slow);
        // Whatever would start it once more is seen until here.
        await delay(300);
        assert.ok(host.log('env').match(/^env/gm).length <= 2, host.log('env'));
        assert.equal(await host.pid('env'), rows[0].pid);
    });

    test('a stop while a capture waits for the inspector sends one SIGINT', async t => {
        const host = startHost(t);
        // Longer than a capture waits for the listening line, so that its end falls into the stop.
        await host.startApps([{
            name: 'app', script: appFile('sigint-counter.js'), kill_timeout: 9000, env: { EXIT_MS: '3600' },
        }]);
        await host.waitLog('app', /ready/);
        const pid = await host.pid('app');
        const capture = host.startCapture('cpu', 'app', { duration: '30s' });
        await host.waitLog('app', /SIGUSR1/);
        await host.proctor(['stop', 'app'], { expectCode: 0 });
        assert.ok(!isAlive(pid));
        const { code, record } = await capture.finish(5000);
        assert.equal(code, 1);
        assert.equal(record.state, 'failed');
        assert.equal(record.phase, 'open');
        assert.match(record.error.name, /^(APP_GONE|NO_LISTEN)$/);
        assert.deepEqual(host.log('app').match(/^SIG.*$/gm), ['SIGUSR1', 'SIGINT 1']);
        const row = await host.row('app');
        assert.equal(row.pm2_env.status, 'stopped');
        assert.equal(row.pm2_env.exit_code, 0, 'it ended by itself');
    });

    test('a probe that is stuck holds an exiting app for less than 3.5 s, whoever cancels meanwhile', async t => {
        const host = startHost(t);
        await host.startApps([{ name: 'app', script: appFile('exit.js'), args: ['call'], autorestart: false }]);
        await host.waitLog('app', /ready\n$/);
        const pid = await host.pid('app');
        const capture = host.startCapture('cpu', 'app', { duration: '60s' });
        await capture.gather(300);
        const [{ id }] = await host.captures();
        const [probe] = await host.helperPids('proctor-probe');
        process.kill(probe, 'SIGSTOP');
        const began = Date.now();
        process.kill(pid, 'SIGUSR2');
        const cancelling = delay(1000).then(() => host.proctor(['captures', 'cancel', id]));
        await until('the app has ended', () => !isAlive(pid), 10000 * slow);
        const took = Date.now() - began;
        await cancelling;
        assert.ok(took < 3500 * slow, `the app's exit took ${took} ms`);
        assert.equal((await host.waitStatus('app', 'stopped')).pm2_env.exit_code, 7);
        const { record } = await capture.finish(10000);
        assert.match(record.state, /^(cancelled|failed)$/, JSON.stringify(record));
        assert.ok(!isAlive(probe), 'the probe is gone');
        assert.doesNotMatch(host.log('app', 'err'), /[Dd]ebugger/);
    });
});
