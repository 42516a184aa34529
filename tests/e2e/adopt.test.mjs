// The supervisor is killed in the middle of something: the next one goes on with it, and counts nothing twice.
// CRASH_KILLS: how often among apps that crash all the time (15).
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { isAlive, pidsOfFolder, until } from '../lib/proc.mjs';

// Kills the supervisor and waits for the next one.
async function killSupervisor(host) {
    const before = await host.supervisorPid();
    process.kill(before, 'SIGKILL');
    await until('the next supervisor', async () => {
        const { code, stdout } = await host.proctor(['ping', '--json']);
        return code === 0 && JSON.parse(stdout).pid !== before;
    }, 10000 * slow);
    return before;
}

// Does something while no supervisor runs: the keeper is stopped meanwhile.
async function whileAway(host, act) {
    const keeper = await host.keeperPid();
    const supervisor = await host.supervisorPid();
    process.kill(keeper, 'SIGSTOP');
    process.kill(supervisor, 'SIGKILL');
    try {
        await act();
    } finally {
        process.kill(keeper, 'SIGCONT');
    }
    await until('the next supervisor', async () => {
        const { code, stdout } = await host.proctor(['ping', '--json']);
        return code === 0 && JSON.parse(stdout).pid !== supervisor;
    }, 10000 * slow);
}

async function killKeeper(host) {
    const keeper = await host.keeperPid();
    const supervisor = await host.supervisorPid();
    process.kill(keeper, 'SIGKILL');
    await until('the supervisor is the keeper', async () => {
        const { code, stdout } = await host.proctor(['ping', '--json']);
        return code === 0 && JSON.parse(stdout).keeper_pid === supervisor;
    }, 10000 * slow);
}

const pidsOf = async (host, names) => Object.fromEntries(await Promise.all(names.map(async name => [name, await host.pid(name)])));

// All processes that run the app.
const processesOf = (host, name) => pidsOfFolder(host.folder).filter(pid => {
    try {
        return fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`PROCTOR_APP=${name}`);
    } catch {
        return false;
    }
});

const times = (text, pattern) => [...text.matchAll(pattern)].length;

describe('a killed supervisor', { concurrency: 3 }, () => {
    test('ten times: the apps do not notice', async t => {
        const host = startHost(t);
        const names = ['one', 'two', 'three'];
        await host.startApps(names.map(name => ({ name, script: appFile('env.js') })));
        const before = await pidsOf(host, names);
        for (let i = 0; i < 10; i++)
            await killSupervisor(host);
        assert.deepEqual(await pidsOf(host, names), before);
        for (const name of names) {
            const row = await host.row(name);
            assert.equal(row.pm2_env.status, 'online');
            assert.equal(row.pm2_env.restart_time, 0);
        }
        await host.proctor(['restart', 'one'], { expectCode: 0 });
        assert.notEqual(await host.pid('one'), before.one);
        assert.ok(!isAlive(before.one));
    });

    test('what ends while it is away is told as it was, and counted once', async t => {
        const host = startHost(t);
        const apps = { code: 'call', signal: 'call', quiet: 'call', once: 'call' };
        await host.startApps(Object.entries(apps).map(([name, how]) => ({
            name, script: appFile('exit.js'), args: [how], autorestart: name !== 'once',
        })));
        for (const name of Object.keys(apps))
            await host.waitLog(name, /ready/);
        const before = await pidsOf(host, Object.keys(apps));
        await whileAway(host, async () => {
            process.kill(before.code, 'SIGUSR2');
            process.kill(before.once, 'SIGUSR2');
            process.kill(before.signal, 'SIGSEGV');
            await until('they have ended', () => [before.code, before.once, before.signal].every(pid => !isAlive(pid)), 5000 * slow);
        });
        for (const [name, words] of [['code', /exit code 7|code 7/], ['signal', /signal 11|SIGSEGV/]]) {
            const row = await until(`${name} runs again`, async () => {
                const one = await host.row(name);
                return one.pm2_env.status === 'online' && one;
            }, 10000 * slow);
            assert.notEqual(row.pid, before[name]);
            assert.equal(row.pm2_env.restart_time, 1);
            assert.match((await host.proctor(['describe', name], { expectCode: 0 })).stdout, words);
            assert.deepEqual(processesOf(host, name), [row.pid]);
        }
        const row = await host.waitStatus('once', 'stopped');
        assert.equal(row.pm2_env.exit_code, 7);
        assert.equal(await host.pid('quiet'), before.quiet);
        await killSupervisor(host);
        assert.equal((await host.row('code')).pm2_env.restart_time, 1, 'not counted again');
        assert.equal((await host.row('once')).pm2_env.exit_code, 7);
    });

    test('in the middle of a stop: it is not asked twice, and is killed at its time', async t => {
        const host = startHost(t);
        await host.startApps([
            { name: 'polite', script: appFile('sigint-counter.js'), kill_timeout: 20000, env: { EXIT_MS: '1500' } },
            { name: 'stubborn', script: appFile('stubborn.js'), kill_timeout: 2000 },
        ]);
        for (const name of ['polite', 'stubborn'])
            await host.waitLog(name, /ready/);
        const pids = await pidsOf(host, ['polite', 'stubborn']);
        const began = Date.now();
        const commands = ['polite', 'stubborn'].map(name => host.proctor(['stop', name], { timeout: 30000 }));
        await host.waitLog('polite', /SIGINT 1/);
        await host.waitLog('stubborn', /ignored SIGINT/);
        await killSupervisor(host);
        for (const result of await Promise.all(commands))
            assert.equal(result.code, 0, result.stderr);
        assert.ok(Date.now() - began < 6000 * slow, 'the time to kill is not counted anew');
        assert.ok(!isAlive(pids.polite) && !isAlive(pids.stubborn));
        for (const name of ['polite', 'stubborn']) {
            const row = await host.waitStatus(name, 'stopped');
            assert.equal(row.pm2_env.restart_time, 0);
        }
        assert.equal(times(host.log('polite'), /SIGINT/g), 1);
        assert.equal(times(host.log('stubborn'), /ignored SIGINT/g), 1);
    });

    test('in the middle of a restart: it comes back, once', async t => {
        const host = startHost(t);
        await host.startApps([{ name: 'app', script: appFile('sigint-counter.js'), kill_timeout: 20000, env: { EXIT_MS: '800' } }]);
        await host.waitLog('app', /ready/);
        const before = await host.pid('app');
        const command = host.proctor(['restart', 'app'], { timeout: 30000 });
        await host.waitLog('app', /SIGINT 1/);
        await killSupervisor(host);
        assert.equal((await command).code, 0);
        const row = await host.waitStatus('app', 'online');
        assert.notEqual(row.pid, before);
        assert.equal(row.pm2_env.restart_time, 1);
        assert.deepEqual(processesOf(host, 'app'), [row.pid]);
        assert.equal(times(host.log('app'), /ready/g), 2);
        assert.equal(times(host.log('app'), /SIGINT/g), 1);
    });

    test('in the restart delay: the rest of it is waited for', async t => {
        const host = startHost(t);
        await host.startApps([{ name: 'app', script: appFile('exit.js'), args: ['call'], restart_delay: 3000 }]);
        await host.waitLog('app', /ready/);
        process.kill(await host.pid('app'), 'SIGUSR2');
        await host.waitStatus('app', 'waiting restart');
        const began = Date.now();
        for (let i = 0; i < 3; i++) {
            await delay(300);
            await killSupervisor(host);
            const { status } = (await host.row('app')).pm2_env;
            assert.ok(status === 'waiting restart' || Date.now() - began > 2900, `${status}: a busy machine may be that late, otherwise not`);
        }
        const row = await host.waitStatus('app', 'online', 15000);
        assert.ok(Date.now() - began < 4500 * slow, 'the delay is not counted anew');
        assert.equal(row.pm2_env.restart_time, 1);
    });

    test('while apps crash all the time: an app never runs twice, and every start is counted', async t => {
        const host = startHost(t);
        const script = path.join(host.work, 'short.sh');
        fs.writeFileSync(script, '#!/bin/sh\necho "start $$"\nexec sleep 0.0$(($$ % 7 + 2))\n', { mode: 0o755 });
        const names = ['a', 'b', 'c', 'd'];
        await host.startApps(names.map(name => ({ name, script, interpreter: 'none', max_restarts: 100000, min_uptime: 1 })), { mayFail: true });
        for (let i = 0; i < Number(process.env.CRASH_KILLS ?? 15); i++) {
            await delay(Math.random() * 100);
            await killSupervisor(host);
        }
        await host.proctor(['stop', 'all'], { expectCode: 0 });
        for (const name of names) {
            const row = await host.row(name);
            const starts = times(host.log(name), /^start \d+$/gm);
            // The first start is none of the restarts; the last restart may have been stopped before its first line.
            const missing = row.pm2_env.restart_time + 1 - starts;
            assert.ok(missing === 0 || missing === 1, `${name}: ${starts} starts, ${row.pm2_env.restart_time} restarts`);
            assert.deepEqual(processesOf(host, name), []);
        }
    });

    test('while many instances are started: each comes up once', async t => {
        const host = startHost(t);
        await host.startApps([{ name: 'first', script: appFile('env.js') }]);
        const file = host.writeConfig([{ name: 'many', script: appFile('env.js'), instances: 8 }], 'many.json');
        const command = host.proctor(['start', file], { timeout: 60000 });
        for (let i = 0; i < 4; i++) {
            await delay(60);
            await killSupervisor(host);
        }
        assert.equal((await command).code, 0);
        const rows = (await host.jlist()).filter(row => row.name === 'many');
        assert.equal(rows.length, 8);
        for (const row of rows) {
            assert.equal(row.pm2_env.status, 'online');
            assert.equal(row.pm2_env.restart_time, 0);
        }
        assert.deepEqual(processesOf(host, 'many').sort(), rows.map(row => row.pid).sort());
    });
});

test('a supervisor that is killed while it stops what runs without a slot: an app never runs twice', async t => {
    const host = startHost(t);
    const script = path.join(host.work, 'app.sh');
    fs.writeFileSync(script, 'trap "" INT\nwhile :; do sleep 1; done\n');
    await host.startApps([{ name: 'app', script, interpreter: '/bin/sh' }]);
    const before = await host.pid('app');
    const supervisor = await host.supervisorPid();
    fs.truncateSync(path.join(host.home, 'slots'), 5000);
    process.kill(supervisor, 'SIGKILL');
    const stopped = () => times(host.daemonLog(), /still runs from before and is stopped/g);
    await until('it is stopped', () => stopped() === 1);
    const [, , next] = /(.*)proctord\[(\d+)\].* still runs from before/.exec(host.daemonLog());
    process.kill(Number(next), 'SIGKILL');
    await until('the next one stops it', () => stopped() === 2);
    const row = await host.waitStatus('app', 'online');
    assert.notEqual(row.pid, before);
    assert.deepEqual(processesOf(host, 'app').filter(pid => fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('app.sh')), [row.pid]);
});

// Garbage in the header (another version: bytes 4 to 7), a file that was cut off.
for (const [what, harm] of [
    ['of another version', file => {
        const fd = fs.openSync(file, 'r+');
        fs.writeSync(fd, Buffer.from([99]), 0, 1, 4);
        fs.closeSync(fd);
    }],
    ['cut off', file => fs.truncateSync(file, 0)],
]) {
    test(`slots that are ${what} under the supervisor: apps are stopped, said so, and started`, async t => {
        const host = startHost(t);
        await host.startApps([{ name: 'runs', script: appFile('env.js') }, { name: 'rests', script: appFile('env.js') }]);
        await host.proctor(['stop', 'rests'], { expectCode: 0 });
        const before = await host.pid('runs');
        const supervisor = await host.supervisorPid();
        harm(path.join(host.home, 'slots'));
        process.kill(supervisor, 'SIGKILL');
        const row = await until('it runs again', async () => {
            const list = await host.proctor(['jlist']);
            const found = list.code === 0 && list.json().find(one => one.name === 'runs');
            return found && found.pm2_env.status === 'online' && found.pid !== before && found;
        }, 10000 * slow);
        assert.ok(!isAlive(before));
        assert.deepEqual(processesOf(host, 'runs'), [row.pid]);
        assert.match(host.daemonLog(), /slots of the supervisor before are lost/);
        assert.match(host.daemonLog(), new RegExp(`runs-0: .*\\b${before}\\b.*stopped`));
        assert.equal((await host.row('rests')).pm2_env.status, 'stopped');
        // From here on it is as before.
        await killSupervisor(host);
        assert.equal(await host.pid('runs'), row.pid);
        await host.proctor(['restart', 'all'], { expectCode: 0 });
        assert.equal(processesOf(host, 'runs').length, 1);
    });
}

test('an app gets three descriptors, Node its channel, and four variables of ours, whoever starts it', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'plain', script: '/bin/sleep', interpreter: 'none', args: ['1000'] }, { name: 'node', script: appFile('env.js') }]);
    const look = async () => {
        const [plain, node] = [await host.pid('plain'), await host.pid('node')];
        const target = (pid, fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
        assert.deepEqual(fs.readdirSync(`/proc/${plain}/fd`), ['0', '1', '2']);
        assert.equal(target(node, 0), '/dev/null');
        assert.match(target(node, 3), /^socket:/);
        // What Node opens itself are anonymous inodes, pipes and /dev/null.
        const others = fs.readdirSync(`/proc/${node}/fd`).filter(fd => Number(fd) > 3).map(fd => target(node, fd));
        assert.deepEqual(others.filter(one => !/^(anon_inode:|pipe:|\/dev\/null)/.test(one)), []);
        const names = fs.readFileSync(`/proc/${plain}/environ`, 'utf8').split('\0').filter(Boolean).map(one => one.split('=')[0]);
        assert.deepEqual(names.filter(name => !(name in host.env) || name.startsWith('PROCTOR_')).sort(),
            ['NODE_APP_INSTANCE', 'PROCTOR_APP', 'PROCTOR_HOME', 'PROCTOR_INSTANCE']);
    };
    await look();
    for (const kill of [killSupervisor, killKeeper]) {
        await kill(host);
        await look();
        await host.proctor(['restart', 'all'], { expectCode: 0 });
        await look();
    }
});

describe('a killed keeper', { concurrency: 2 }, () => {
    test('is replaced by the supervisor: pids stay, ends are told', async t => {
        const host = startHost(t);
        const names = ['one', 'two', 'three'];
        await host.startApps(names.map(name => ({ name, script: appFile('exit.js'), args: ['call'] })));
        for (const name of names)
            await host.waitLog(name, /ready/);
        const before = await pidsOf(host, names);
        for (let i = 0; i < 3; i++)
            await killKeeper(host);
        assert.deepEqual(await pidsOf(host, names), before);
        // Its parent is a keeper, or an init; the kernel may have to tell.
        process.kill(before.one, 'SIGUSR2');
        const row = await until('one runs again', async () => {
            const one = await host.row('one');
            return one.pm2_env.status === 'online' && one.pid !== before.one && one;
        }, 10000 * slow);
        assert.equal(row.pm2_env.restart_time, 1);
        // Started under a supervisor that is the keeper now.
        await killKeeper(host);
        process.kill(row.pid, 'SIGUSR2');
        await until('one runs again', async () => (await host.row('one')).pm2_env.restart_time === 2, 10000 * slow);
        assert.match((await host.proctor(['describe', 'one'], { expectCode: 0 })).stdout, /code 7/);
        await killSupervisor(host);
        assert.equal(await host.pid('two'), before.two);
    });

    test('an app that ends when it is asked is not said to be killed, however slow its new parent reaps', async t => {
        const host = startHost(t);
        await host.startApps([{ name: 'app', script: appFile('env.js'), kill_timeout: 200 }]);
        await killSupervisor(host); // a child of the keeper
        await killKeeper(host);     // of an init
        await host.proctor(['stop', 'app'], { expectCode: 0 });
        assert.doesNotMatch(host.daemonLog(), /did not end within/);
    });

    test('one that is stopped does not hold the supervisor up, and is replaced when it takes nothing', async t => {
        const host = startHost(t);
        await host.startApps([{ name: 'app', script: appFile('env.js') }]);
        const keeper = await host.keeperPid();
        const before = await host.pid('app');
        process.kill(keeper, 'SIGSTOP');
        const { code } = await host.proctor(['restart', 'app'], { timeout: 60000 });
        assert.equal(code, 0);
        assert.notEqual(await host.pid('app'), before);
        process.kill(keeper, 'SIGCONT');
        const pid = await host.pid('app');
        await killSupervisor(host);
        assert.equal(await host.pid('app'), pid);
    });
});

describe('keeper and supervisor killed together', { concurrency: 2 }, () => {
    test('the next start stops what still runs, and starts it: an app never runs twice', async t => {
        const host = startHost(t);
        const names = ['one', 'two'];
        await host.startApps(names.map(name => ({ name, script: appFile('env.js') })));
        const before = await pidsOf(host, names);
        await host.killBoth();
        for (const name of names)
            assert.ok(isAlive(before[name]), `${name} survives`);
        await host.proctor(['start', 'all'], { expectCode: 0 });
        for (const name of names) {
            assert.ok(!isAlive(before[name]));
            assert.match(host.daemonLog(), new RegExp(`\\b${name}-0: .*\\b${before[name]}\\b.*stopped`));
            const row = await host.waitStatus(name, 'online');
            assert.deepEqual(processesOf(host, name), [row.pid]);
        }
    });

    test('also when the slots were removed meanwhile', async t => {
        const host = startHost(t);
        await host.startApps([{ name: 'app', script: appFile('env.js') }]);
        const before = await host.pid('app');
        fs.unlinkSync(path.join(host.home, 'slots'));
        await host.killBoth();
        await host.proctor(['start', 'all'], { expectCode: 0 });
        assert.ok(!isAlive(before), 'the old one was stopped');
        const row = await host.waitStatus('app', 'online');
        assert.deepEqual(processesOf(host, 'app'), [row.pid]);
    });
});

test('SIGTERM to the supervisor, or to its keeper, ends both and all apps, once and for all', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('env.js') }]);
    for (const which of ['supervisorPid', 'keeperPid']) {
        const [pid, supervisor, keeper] = [await host.pid('app'), await host.supervisorPid(), await host.keeperPid()];
        process.kill(await host[which](), 'SIGTERM');
        await until('all are gone', () => ![pid, supervisor, keeper].some(isAlive), 10000 * slow);
        await delay(300);
        assert.deepEqual(pidsOfFolder(host.folder), []);
        // The desired state stays.
        await host.proctor(['start', 'all'], { expectCode: 0 });
        await host.waitStatus('app', 'online');
    }
});
