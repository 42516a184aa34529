// `proctor upgrade`: other programs take over from those that run, and the apps do not notice; those that fail are taken back.
import test, { before, describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chance, newSeed, pidsOf } from '../lib/crash.mjs';
import { appFile, slow, startHost, underAsan } from '../lib/host.mjs';
import { isAlive, processInfo, until } from '../lib/proc.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const build = process.env.PROCTOR_BUILD ?? path.join(root, 'build/release');
const names = ['proctor', 'proctord', 'proctor-keeper', 'proctor-agent', 'proctor-probe', 'proctor-top'];
const plain = { script: appFile('sleep.sh'), interpreter: '/bin/sh' };

// As `make install` does it: what runs is not written to.
function install(file, to) {
    fs.copyFileSync(file, `${to}.new`);
    fs.chmodSync(`${to}.new`, 0o755);
    fs.renameSync(`${to}.new`, to);
}

// A host with an installation of its own, of this build.
function startInstalled(t, options = {}) {
    const programs = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-programs-'));
    const host = startHost(t, { ...options, programs });
    t.after(() => fs.rmSync(programs, { recursive: true, force: true }));
    for (const name of names)
        install(path.join(build, name), path.join(programs, name));
    return host;
}

function installNext(host) {
    for (const name of ['proctord', 'proctor-keeper'])
        install(path.join(build, 'next', name), path.join(host.programs, name));
}

const installText = (host, name, text) => {
    const file = path.join(host.folder, 'program');
    fs.writeFileSync(file, text);
    install(file, path.join(host.programs, name));
};

const ping = async host => (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
const pids = async host => (await host.jlist()).map(row => row.pid);
const restarts = async host => (await host.jlist()).map(row => row.pm2_env.restart_time);

describe('upgrade', { concurrency: 3 }, () => {
    before(() => {
        if (!fs.existsSync(path.join(build, 'next/proctord')))
            execFileSync('make', ['-s', `MODE=${path.basename(build)}`, 'next'], { cwd: root, stdio: 'inherit' });
    });

    test('takes over with the new version, 30 processes go on', async t => {
        const host = startInstalled(t);
        await host.startApps([{ name: 'many', ...plain, instances: 30 }]);
        const [one, apps] = [await ping(host), await pids(host)];
        installNext(host);
        const { stdout } = await host.proctor(['upgrade'], { expectCode: 0 });
        assert.match(stdout, new RegExp(`^upgraded from ${one.version} to ${one.version}-next in \\d+ ms; 30 apps, 0 restarted\\n$`));
        const two = await ping(host);
        assert.equal(two.version, `${one.version}-next`);
        assert.notEqual(two.pid, one.pid);
        assert.equal(two.keeper_pid, one.keeper_pid, 'the keeper has replaced itself in its process');
        assert.equal(fs.readlinkSync(`/proc/${two.keeper_pid}/exe`), path.join(host.programs, 'proctor-keeper'));
        assert.equal(two.starts, one.starts + 1);
        assert.equal(two.safe_mode, false);
        assert.equal(two.rolled_back, false);
        assert.deepEqual(await pids(host), apps);
        assert.deepEqual(new Set(await restarts(host)), new Set([0]));
        // And again, with the same programs.
        const again = (await host.proctor(['upgrade', '--json'], { expectCode: 0 })).json();
        assert.equal(again.from, two.version);
        assert.equal(again.to, two.version);
        assert.equal(again.apps, 30);
        assert.equal(again.restarted, 0);
        assert.deepEqual(await pids(host), apps);
        await host.proctor(['restart', 'many-7'], { expectCode: 0 });
        const later = await pids(host);
        assert.deepEqual(apps.filter((pid, i) => later[i] !== pid), [apps[7]]);
    });

    test('one that fails after it has adopted everything is taken back', async t => {
        const host = startInstalled(t, { env: { PROCTOR_NEXT_FAILS: '1' } });
        await host.startApps([{ name: 'app', ...plain, instances: 3 }]);
        const [one, apps] = [await ping(host), await pids(host)];
        installNext(host);
        const { stdout, stderr } = await host.proctor(['upgrade'], { expectCode: 1 });
        assert.equal(stdout, '');
        assert.match(stderr, new RegExp(`^proctor: not upgraded: the new supervisor did not come up \\(killed by signal 6; .*proctor\\.log.*\\), ` +
            `and the one before it, version ${one.version}, was started again; 3 apps, 0 restarted\\n$`));
        const two = await ping(host);
        assert.equal(two.version, one.version);
        assert.equal(two.rolled_back, true);
        assert.equal(two.safe_mode, false);
        assert.deepEqual(await pids(host), apps);
        // It is a whole supervisor, and survives as one.
        await host.proctor(['restart', 'app-1'], { expectCode: 0 });
        process.kill(two.pid, 'SIGKILL');
        const three = await until('another one', async () => { const p = await ping(host); return p.pid !== two.pid && p; }, 5000 * slow);
        assert.equal(three.version, one.version);
        const later = await pids(host);
        assert.deepEqual([later[0], later[2]], [apps[0], apps[2]]);
        // A mended one is taken.
        for (const name of ['proctord', 'proctor-keeper'])
            install(path.join(build, name), path.join(host.programs, name));
        assert.equal((await host.proctor(['upgrade', '--json'], { expectCode: 0 })).json().rolled_back, false);
        assert.deepEqual(await pids(host), later);
    });

    test('one that does not even run is taken back', async t => {
        const host = startInstalled(t);
        await host.startApps([{ name: 'app', ...plain }]);
        const [one, apps] = [await ping(host), await pids(host)];
        installText(host, 'proctord', '#!/bin/sh\necho this one is broken >&2\nexit 3\n');
        installText(host, 'proctor-keeper', 'no program\n');
        const result = await host.proctor(['upgrade', '--json'], { expectCode: 1 });
        assert.match(result.stderr, /exited with code 3/);
        assert.match(host.daemonLog(), /this one is broken/);
        const told = result.json();
        assert.equal(told.from, one.version);
        assert.equal(told.to, one.version);
        assert.equal(told.rolled_back, true);
        assert.equal(told.restarted, 0);
        assert.match(told.error, /did not come up/);
        assert.deepEqual(await pids(host), apps);
    });

    // A wrapper that shows it slots of another version while it runs.
    test('one that cannot read what is there is taken back, and nothing is stopped', { skip: underAsan && 'a start that fails frees nothing' }, async t => {
        const host = startInstalled(t);
        await host.startApps([{ name: 'app', ...plain, instances: 2 }]);
        const apps = await pids(host);
        const major = n => `printf '\\${n}' | dd of=${host.home}/slots bs=1 seek=4 conv=notrunc 2>/dev/null`;
        const present = fs.readFileSync(path.join(host.home, 'slots'))[4];
        installText(host, 'proctord', `#!/bin/sh\n${major(143)}\n${build}/proctord "$@"\ncode=$?\n${major(present)}\nexit $code\n`);
        const { stderr } = await host.proctor(['upgrade'], { expectCode: 1 });
        assert.match(stderr, /not upgraded: the new supervisor did not come up \(exited with code 1; .*; 2 apps, 0 restarted\n$/);
        assert.match(host.daemonLog(), /this version cannot read what the one before has left/);
        assert.deepEqual(await pids(host), apps);
    });

    test('one that is not there, and a keeper that does not run, are not called upgraded', async t => {
        const host = startInstalled(t);
        await host.startApps([{ name: 'app', ...plain }]);
        const [one, apps] = [await ping(host), await pids(host)];
        fs.unlinkSync(path.join(host.programs, 'proctord'));
        const gone = await host.proctor(['upgrade'], { expectCode: 1 });
        assert.equal(gone.stdout, '');
        assert.match(gone.stderr, new RegExp(`^proctor: not upgraded: the installed supervisor cannot be run \\(.*proctor\\.log says more\\), ` +
            `and the one before it, version ${one.version}, was started again; 1 app, 0 restarted\\n$`));
        assert.match(host.daemonLog(), new RegExp(`cannot run ${host.programs}/proctord, running the one before: No such file`));
        // It is found again, also without another upgrade.
        install(path.join(build, 'next/proctord'), path.join(host.programs, 'proctord'));
        process.kill((await ping(host)).pid, 'SIGKILL');
        await until('the installed one', async () => (await ping(host)).version === `${one.version}-next`, 5000 * slow);
        installText(host, 'proctor-keeper', 'no program\n');
        const half = await host.proctor(['upgrade'], { expectCode: 0 });
        assert.match(half.stdout, /^upgraded from /);
        assert.equal(half.stderr, 'warning: the installed proctor-keeper does not run, the one before it goes on\n');
        assert.ok(!host.daemonLog().includes('the supervisor crashed'), 'an upgrade is no crash');
        assert.deepEqual(await pids(host), apps);
    });

    test('back and forth while supervisors are killed at any moment', async t => {
        const seed = newSeed();
        const random = chance(seed);
        const host = startInstalled(t);
        await host.startApps([{ name: 'app', ...plain, instances: 4 }]);
        const apps = await pids(host);
        for (let i = 0; i < 12; i++) {
            const from = i % 2 ? build : path.join(build, 'next');
            for (const name of ['proctord', 'proctor-keeper'])
                install(path.join(from, name), path.join(host.programs, name));
            const after = random() * 60;
            const told = `try ${i} of seed ${seed}, killed after ${after.toFixed(1)} ms`;
            const upgrade = host.spawnProctor(['upgrade', '--json']);
            await delay(after * slow);
            for (const pid of pidsOf(host, 'proctord'))
                process.kill(pid, 'SIGKILL');
            const result = await upgrade.ended;
            // The only try of a new program may be the one that was killed.
            assert.ok(result.code === 0 || result.json().rolled_back, `${told}: ${result.stderr}`);
            assert.equal(result.json().restarted, 0, told);
            assert.equal(result.json().old_keeper, false, told);
            assert.deepEqual(await pids(host), apps, told);
            assert.equal((await ping(host)).safe_mode, false, told);
        }
    });

    test('the keeper is killed at any moment of it', async t => {
        const seed = newSeed();
        const random = chance(seed);
        const host = startInstalled(t);
        await host.startApps([{ name: 'app', ...plain, instances: 3 }]);
        const apps = await pids(host);
        for (let i = 0; i < 30; i++) {
            const after = random() * 25;
            const told = `try ${i} of seed ${seed}, killed after ${after.toFixed(1)} ms`;
            const { keeper_pid: keeper } = await ping(host);
            for (const name of ['proctord', 'proctor-keeper'])
                install(path.join(build, i % 2 ? '' : 'next', name), path.join(host.programs, name));
            const upgrade = host.spawnProctor(['upgrade', '--json']);
            await delay(after * slow);
            process.kill(keeper, 'SIGKILL');
            const result = await upgrade.ended;
            assert.equal(result.code, 0, `${told}: ${result.stderr}`);
            assert.equal(result.json().restarted, 0, told);
            await until('another keeper', async () => (await ping(host)).keeper_pid !== keeper, 5000 * slow);
            assert.deepEqual(await pids(host), apps, told);
        }
        const { keeper_pid: keeper, pid: supervisor } = await ping(host);
        await until('one of each is left', () => pidsOf(host, 'proctord').concat(pidsOf(host, 'proctor-keeper')).sort().join() ===
            [keeper, supervisor].sort().join(), 5000 * slow);
        await host.proctor(['restart', 'app'], { expectCode: 0 });
    });

    test('commands that wait, and logs that are followed, go on over it', async t => {
        const host = startInstalled(t);
        fs.writeFileSync(path.join(host.work, 'stubborn.sh'), 'trap "" INT\nn=0\nwhile :; do n=$((n + 1)); echo "line $n"; sleep 0.02; done\n');
        await host.startApps([{ name: 'slow', script: './stubborn.sh', interpreter: '/bin/sh', kill_timeout: 3000 }]);
        const before = await host.pid('slow');
        const follow = host.spawnProctor(['logs', 'slow', '--raw', '-n', '0']);
        const restart = host.spawnProctor(['restart', 'slow']);
        await host.waitStatus('slow', 'stopping');
        installNext(host);
        await host.proctor(['upgrade'], { expectCode: 0 });
        assert.equal(await host.pid('slow'), before, 'it has its time');
        const told = await restart.ended;
        assert.equal(told.code, 0, told.stderr);
        assert.match(told.stdout, /^slow-0: online$/m);
        const row = await host.row('slow');
        assert.notEqual(row.pid, before);
        assert.ok(!isAlive(before));
        await until('lines of the new process', () => /line 1\n/.test(follow.stdout), 5000 * slow);
        follow.child.kill('SIGINT');
        assert.equal((await follow.ended).code, 0);
        const lines = host.log('slow').trim().split('\n').map(line => Number(line.slice(5)));
        assert.ok(lines.every((n, i) => n === (i > 0 && n !== 1 ? lines[i - 1] + 1 : 1)), 'no line is missing');
    });

    test('a capture goes on over it, and the agent is of the new version', { skip: underAsan && 'the inspector needs its time' }, async t => {
        const host = startInstalled(t);
        await host.startApps([{ name: 'hot', script: appFile('cpu.js') }]);
        const capture = host.startCapture('cpu', 'hot', { duration: '3s' });
        await capture.gather();
        const [before] = await host.helperPids('proctor-agent');
        installNext(host);
        install(path.join(build, 'proctor-agent'), path.join(host.programs, 'proctor-agent'));
        assert.match(fs.readlinkSync(`/proc/${before}/exe`), /deleted/);
        await host.proctor(['upgrade'], { expectCode: 0 });
        const now = await until('another agent alone', async () => {
            const agents = await host.helperPids('proctor-agent');
            return agents.length === 1 && agents[0] !== before && agents[0];
        }, 10000 * slow);
        assert.equal(fs.readlinkSync(`/proc/${now}/exe`), path.join(host.programs, 'proctor-agent'));
        const { code, record, profile, stderr } = await capture.finish();
        assert.equal(code, 0, stderr);
        assert.equal(record.state, 'done');
        assert.ok(profile.nodes.length > 0);
        assert.deepEqual(await host.helperPids('proctor-agent'), [now]);
        assert.doesNotMatch(host.daemonLog(), /agent: .*, starting another/);
    });

    test('ends safe mode, in which nothing is changed and questions are answered', async t => {
        const host = startInstalled(t);
        await host.startApps([{ name: 'app', ...plain, instances: 2 }]);
        const apps = await pids(host);
        // Crashes that are the supervisor's own.
        await until('safe mode', async () => {
            const { pid, safe_mode: safe } = await ping(host);
            if (!safe)
                process.kill(pid, 'SIGABRT');
            return safe;
        }, 20000 * slow);
        const sentence = /safe mode: .* \(the last time: killed by signal 6\) .*'proctor upgrade' starts it anew/;
        for (const args of [['restart', 'app'], ['stop', 'app-0'], ['delete', 'all'], ['start', 'app'], ['start', appFile('sleep.sh')],
            ['profile', 'cpu', 'app-0', '-d', '1s']])
            assert.match((await host.proctor(args, { expectCode: 1 })).stderr, sentence);
        const list = await host.proctor(['list'], { expectCode: 0 });
        assert.match(list.stderr, /^warning: safe mode: /);
        assert.match(list.stdout, /app/);
        assert.match((await host.proctor(['ping'], { expectCode: 0 })).stdout, /in safe mode/);
        assert.match((await host.proctor(['logs', 'app', '--nostream'], { expectCode: 0 })).stdout, /ready/);
        assert.deepEqual(await pids(host), apps);
        // One that ends meanwhile is recorded, and waits.
        process.kill(apps[1], 'SIGKILL');
        await until('its end is known', async () => (await host.jlist())[1].pid === 0, 5000 * slow);
        const told = (await host.proctor(['upgrade', '--json'], { expectCode: 0 })).json();
        assert.equal(told.safe_mode, false);
        assert.equal((await host.proctor(['list'], { expectCode: 0 })).stderr, '');
        await until('both are online', async () => (await host.jlist()).every(row => row.pm2_env.status === 'online'), 5000 * slow);
        assert.equal((await pids(host))[0], apps[0]);
        await host.proctor(['restart', 'app'], { expectCode: 0 });
    });

    test('is refused where nobody would start the next one, and says when nothing runs', async t => {
        const host = startHost(t);
        assert.match((await host.proctor(['upgrade'], { expectCode: 3 })).stderr, /no supervisor is running/);
        const run = host.spawnProctor(['ping']);
        await run.ended;
        const { spawn } = await import('node:child_process');
        const log = fs.openSync(path.join(host.home, 'proctor.log'), 'a', 0o600);
        const child = spawn(path.join(build, 'proctord'), ['--home', host.home], { env: host.env, stdio: ['ignore', log, log] });
        fs.closeSync(log);
        await until('it answers', async () => (await host.proctor(['ping'])).code === 0, 10000 * slow);
        const { stderr } = await host.proctor(['upgrade'], { expectCode: 1 });
        assert.match(stderr, /started by hand, without proctor-keeper/);
        assert.ok(processInfo(child.pid), 'it goes on');
        await host.proctor(['kill'], { expectCode: 0 });
    });
});
