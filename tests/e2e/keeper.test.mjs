// proctor-keeper by itself, over a program that stands in for proctord (tests/tools/fake_proctord.c): what it keeps, what it
// tells, and what it starts when that one dies.
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isAlive, memoryOf, pidsOfFolder, processInfo, until } from '../lib/proc.mjs';
import { slow, underAsan } from '../lib/host.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const build = process.env.PROCTOR_BUILD ?? path.join(root, 'build/release');
const flag = { again: 1, safe: 2, rolledBack: 4, upgraded: 8 };
const signal = os.constants.signals;

// A keeper with its stand-in in a folder of their own; the test ends with all of it gone.
class Keeper {
    constructor(t) {
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-e2e-'));
        this.home = path.join(this.folder, 'home');
        fs.mkdirSync(this.home);
        assert.ok(fs.existsSync(path.join(build, 'tools/fake_proctord')),
            `${build}/tools/fake_proctord is not there: \`make check-e2e\` builds it, or \`make ${path.relative(root, build)}/tools/fake_proctord\``);
        for (const [from, to] of [['proctor-keeper', 'proctor-keeper'], ['tools/fake_proctord', 'proctord']])
            fs.copyFileSync(path.join(build, from), path.join(this.folder, to));
        t.after(() => this.close());
    }

    // As `make install` does: a new file in the place of the old one.
    install(label, name = 'proctord', from = 'tools/fake_proctord') {
        const fresh = path.join(this.folder, `${name}.new`);
        fs.copyFileSync(path.join(build, from), fresh);
        fs.appendFileSync(fresh, `label=${label}`);
        fs.renameSync(fresh, path.join(this.folder, name));
    }

    behave(...lines) {
        fs.writeFileSync(path.join(this.home, 'behave.new'), lines.map(line => `${line}\n`).join(''));
        fs.renameSync(path.join(this.home, 'behave.new'), path.join(this.home, 'behave'));
    }

    start({ args = [], before = [], ready = false } = {}) {
        const log = fs.openSync(path.join(this.folder, 'log'), 'a');
        const command = [...before, path.join(this.folder, 'proctor-keeper'), '--home', this.home, ...args];
        this.child = spawn(command[0], command.slice(1), { stdio: ['ignore', log, log, ready ? 'pipe' : 'ignore'] });
        fs.closeSync(log);
        this.exited = new Promise(resolve => this.child.on('exit', (code, how) => resolve({ code, signal: how })));
        return this;
    }

    get log() {
        return fs.readFileSync(path.join(this.folder, 'log'), 'utf8');
    }

    // What the keeper has told each start, in order.
    get journal() {
        try {
            // What stands behind the last newline is being written.
            return fs.readFileSync(path.join(this.home, 'journal'), 'utf8').split('\n').slice(0, -1).map(line => JSON.parse(line));
        } catch (error) {
            if (error.code === 'ENOENT')
                return [];
            throw error;
        }
    }

    // One command to the present stand-in; null when that has ended by it.
    command(text) {
        return new Promise((resolve, reject) => {
            const socket = net.connect(path.join(this.home, 'fake.sock'));
            let answer = '';
            socket.on('connect', () => socket.write(text));
            socket.on('data', data => answer += data);
            socket.on('close', () => resolve(answer ? JSON.parse(answer) : null));
            socket.on('error', error => (error.code === 'ECONNRESET' ? resolve(null) : reject(error)));
        });
    }

    // The facts of the start with this number, once it is up.
    async up(starts) {
        let facts;
        await until(`start ${starts} is up`, async () => {
            facts = await this.command('facts').catch(() => null);
            return facts?.starts === starts;
        }, 10000 * slow);
        return facts;
    }

    // All are stopped before one is killed, since each is followed by another; and one that is just being executed is not
    // seen, so that none must be seen some times.
    async close() {
        const end = Date.now() + 5000;
        for (let none = 0; none < 5 && Date.now() < end; await delay(20)) {
            const left = pidsOfFolder(this.folder);
            none = left.length > 0 ? 0 : none + 1;
            for (const how of ['SIGSTOP', 'SIGKILL'])
                for (const pid of left)
                    try {
                        process.kill(pid, how);
                    } catch { /* gone */ }
        }
        assert.doesNotMatch(fs.existsSync(path.join(this.folder, 'log')) ? this.log : '', /Sanitizer|runtime error/);
        fs.rmSync(this.folder, { recursive: true, force: true });
    }
}

const isZombie = pid => processInfo(pid) === null && fs.existsSync(`/proc/${pid}`);
const kill = (facts, how = 'SIGKILL') => process.kill(facts.pid, how);
const byPid = exits => new Map(exits.map(exit => [exit.pid, exit]));
const fdCount = pid => fs.readdirSync(`/proc/${pid}/fd`).length;

describe('proctor-keeper', { concurrency: 2 }, () => {
    test('is small: under 400 lines, libc only', () => {
        const folder = path.join(root, 'supervisor/keeper');
        const lines = fs.readdirSync(folder).map(name => fs.readFileSync(path.join(folder, name), 'utf8').split('\n').length - 1);
        assert.ok(lines.reduce((a, b) => a + b) < 400, `${lines}`);
        const { stdout } = spawnSync('ldd', [path.join(build, 'proctor-keeper')], { encoding: 'utf8' });
        if (!underAsan)
            assert.doesNotMatch(stdout, /libuv|jansson|ssl|curl/);
    });

    test('starts the supervisor with its five descriptors and with the limits that it was started with', async t => {
        const keeper = new Keeper(t).start({
            before: ['bash', '-c', 'ulimit -Sn 333; exec 9</dev/null; exec "$@"', 'bash'], ready: true });
        let ready = '';
        keeper.child.stdio[3].on('data', data => ready += data);
        const facts = await keeper.up(1);
        assert.equal(ready, 'ready\n');
        assert.deepEqual(facts.names, []);
        assert.deepEqual([facts.flags, facts.status, facts.endedMs], [0, 0, 0]);
        assert.equal(facts.ppid, keeper.child.pid);
        assert.equal(facts.nofile, 333);
        assert.equal(facts.oom, fs.readFileSync('/proc/self/oom_score_adj', 'utf8').trim());
        // 0 to 2, 3 and 4, and the journal itself.
        assert.deepEqual(keeper.journal[0].open, [0, 1, 2, 3, 4, 5]);
        // Root may put itself out of the OOM killer's reach.
        assert.ok(['-1000', facts.oom].includes(fs.readFileSync(`/proc/${keeper.child.pid}/oom_score_adj`, 'utf8').trim()));
        const limits = fs.readFileSync(`/proc/${keeper.child.pid}/limits`, 'utf8');
        assert.match(limits, /Max open files +(\d+) +\1 /);
        assert.ok(!fs.existsSync(`/proc/${keeper.child.pid}/fd/9`), 'what it was started with is closed');
        kill(facts);
        const next = await keeper.up(2);
        assert.deepEqual([next.flags, next.status], [flag.again, signal.SIGKILL]);
        const uptimeMs = Number(fs.readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000;
        assert.ok(next.endedMs > 0 && Math.abs(uptimeMs - next.endedMs) < 60000);
        assert.equal(ready, 'ready\n', 'only the first start has somebody who waits');
        if (!underAsan)
            assert.ok(memoryOf(keeper.child.pid).VmRSS < 2 << 20, `${memoryOf(keeper.child.pid).VmRSS}`);
    });

    test('gives back what was stored, in the order of storing, the last one of a name, without what was dropped', async t => {
        const keeper = new Keeper(t).start();
        await keeper.up(1);
        await keeper.command('pipe i7.out.r first');
        await keeper.command('pipe i7.err.r second');
        await keeper.command('pipe i70.out.r third');
        await keeper.command('pipe lock fourth');
        await keeper.command('pipe i7.out.r fifth');
        kill(await keeper.command('facts'));
        const facts = await keeper.up(2);
        assert.deepEqual(facts.names, ['i7.out.r', 'i7.err.r', 'i70.out.r', 'lock']);
        assert.deepEqual(await keeper.command('take i7.out.r'), { text: 'fifth' });
        assert.deepEqual(await keeper.command('take i70.out.r'), { text: 'third' });
        await keeper.command('drop i7.*');
        // The last thing before its death is done, too.
        await keeper.command('drop lock');
        kill(facts);
        assert.deepEqual((await keeper.up(3)).names, ['i70.out.r']);
        await keeper.command('drop *');
        kill(await keeper.command('facts'));
        assert.deepEqual((await keeper.up(4)).names, []);
    });

    test('what was stored right before a death is kept, also when exits were left unread', async t => {
        const keeper = new Keeper(t).start();
        let facts = await keeper.up(1);
        for (let round = 1; round <= 5; round++) {
            for (let i = 0; i < 3; i++)
                await keeper.command('child exit 1 0');
            await keeper.command(`pipe round${round} x`);
            kill(facts);
            facts = await keeper.up(round + 1);
            assert.equal(facts.names.length, round);
        }
    });

    test('keeps 3000 descriptors, and none of them leaks', async t => {
        const keeper = new Keeper(t).start();
        const before = await keeper.up(1).then(() => fdCount(keeper.child.pid));
        await keeper.command('many 3000');
        kill(await keeper.command('facts'));
        const facts = await keeper.up(2);
        assert.equal(facts.names.length, 3000);
        assert.equal(fdCount(keeper.child.pid), before + 3000);
        await keeper.command('many 3000');
        await keeper.command('drop m*');
        await until('all are closed', () => fdCount(keeper.child.pid) === before, 5000 * slow);
    });

    test('tells the exit statuses of children that ended while no supervisor lived, until they are acknowledged', async t => {
        const keeper = new Keeper(t).start();
        const first = await keeper.up(1);
        const expected = new Map();
        for (let i = 0; i < 30; i++) {
            const how = i % 3 === 0 ? ['kill', [3, 6, 9][i / 3 % 3]] : ['exit', i * 4];
            const { pid } = await keeper.command(`child ${how[0]} ${how[1]} ${300 * slow}`);
            expected.set(pid, how);
        }
        keeper.behave('none kill 9');
        kill(first);
        await delay(600 * slow);
        keeper.behave();
        const check = exits => {
            assert.equal(exits.length, 30);
            for (const [pid, [how, number]] of expected) {
                const exit = byPid(exits).get(pid);
                assert.equal(exit.status, number);
                assert.ok(how === 'exit' ? exit.code === 1 : [2, 3].includes(exit.code), `${exit.code}`);
            }
        };
        await until('a supervisor is up', () => keeper.command('facts').catch(() => null), 10000 * slow);
        const facts = await keeper.command('facts');
        check(facts.exits);
        kill(facts);
        const again = await keeper.up(facts.starts + 1);
        check(again.exits);
        await keeper.command('acknowledge');
        kill(again);
        assert.deepEqual((await keeper.up(facts.starts + 2)).exits, []);
        assert.ok([...expected.keys()].every(pid => !fs.existsSync(`/proc/${pid}`)), 'no zombies');
    });

    test('when its table is full, children wait as zombies, and not one status is lost', async t => {
        const keeper = new Keeper(t).start();
        await keeper.up(1);
        const pids = () => fs.readFileSync(`/proc/${keeper.child.pid}/task/${keeper.child.pid}/children`, 'utf8')
            .trim().split(' ').map(Number);
        await keeper.command('children 1100');
        kill(await keeper.command('facts'));
        await keeper.up(2);
        let seen = 0, codes = 0;
        await until('the table is full', async () => (await keeper.command('facts')).exits.length === 1024, 20000 * slow);
        await until('the others are zombies', () => pids().filter(isZombie).length === 76, 5000 * slow);
        for (let facts; seen < 1100; await delay(20)) {
            facts = await keeper.command('facts');
            seen += facts.exits.length;
            codes += facts.exits.reduce((sum, exit) => sum + exit.status, 0);
            await keeper.command('acknowledge');
        }
        assert.equal(seen, 1100);
        assert.equal(codes, Array.from({ length: 1100 }, (_, i) => i % 256).reduce((a, b) => a + b));
        await until('no zombies', () => !pids().some(isZombie), 5000 * slow);
    });

    test('a supervisor that is killed is started again at once; one that crashes, later and later, then in safe mode', async t => {
        const keeper = new Keeper(t).start();
        const first = await keeper.up(1);
        keeper.behave('* unsafe 11');
        kill(first);
        const safe = await keeper.up(5);
        assert.deepEqual(keeper.journal.map(start => [start.flags, start.status]), [
            [0, 0], [flag.again, 9], [flag.again, 11], [flag.again, 11], [flag.again | flag.safe, 11],
        ]);
        // Safe mode is not left by itself.
        kill(safe);
        assert.equal((await keeper.up(6)).flags, flag.again | flag.safe);
        assert.match(keeper.log, /crashed with signal 11, before it was up\n/);
        assert.match(keeper.log, /Z proctor-keeper\[\d+\] info {2}keeper: started the supervisor, pid \d+, in safe mode\n/);
    });

    test('crashes of every kind right after UP count; an end by SIGKILL does not', async t => {
        const keeper = new Keeper(t).start();
        let starts = 1;
        for (const crash of ['kill 11', 'kill 6']) {
            await keeper.up(starts++);
            await keeper.command(crash);
        }
        for (let i = 0; i < 5; i++)
            kill(await keeper.up(starts++));
        for (const crash of ['exit 3', 'kill 7', 'kill 8'])
            await keeper.up(starts++).then(() => keeper.command(crash));
        const facts = await keeper.up(starts);
        assert.equal(facts.flags, flag.again | flag.safe);
        assert.deepEqual(keeper.journal.slice(0, -1).map(start => start.flags), [0, ...Array(starts - 2).fill(flag.again)]);
    });

    test('a program that does not come up in safe mode either gives way to the previous one', async t => {
        const keeper = new Keeper(t);
        keeper.install('old');
        keeper.start();
        await keeper.up(1);
        await keeper.command('pipe i1.out.r kept');
        keeper.behave('new kill 6');
        keeper.install('new');
        kill(await keeper.command('facts'));
        const facts = await keeper.up(7);
        assert.deepEqual(keeper.journal.map(start => [start.label, start.flags & ~flag.again]), [
            ['old', 0], ['new', 0], ['new', 0], ['new', 0], ['new', flag.safe], ['new', flag.safe], ['old', flag.rolledBack],
        ]);
        assert.deepEqual(facts.names, ['i1.out.r']);
        kill(facts);
        assert.equal((await keeper.up(8)).label, 'old', 'stays with the one that works');
        // A repaired program is taken with the next start.
        keeper.install('newer');
        kill(await keeper.command('facts'));
        const repaired = await keeper.up(9);
        assert.deepEqual([repaired.label, repaired.flags], ['newer', flag.again]);
    });

    test('one that hangs before it is up is replaced', { timeout: 90000 * slow }, async t => {
        const keeper = new Keeper(t);
        keeper.behave('* hang 0');
        keeper.start();
        await until('a start', () => keeper.journal.length === 1, 5000 * slow);
        keeper.behave();
        await until('the next start', () => keeper.journal.length === 2, 45000);
        await keeper.up(2);
        assert.match(keeper.log, /the supervisor does not come up, killing it/);
    });

    test('never gives up while there is something to keep', async t => {
        const keeper = new Keeper(t).start();
        await keeper.up(1);
        await keeper.command('pipe i1.out.r kept');
        const { pid } = await keeper.command('child exit 5 600000');
        keeper.behave('* exit 1');
        kill(await keeper.command('facts'));
        await until('many starts', () => keeper.journal.length >= 9, 20000 * slow);
        assert.ok(isAlive(pid));
        assert.equal(processInfo(pid).ppid, keeper.child.pid);
        keeper.behave();
        await until('it is up', () => keeper.command('take i1.out.r').catch(() => null), 20000 * slow);
    });

    test('UPGRADE: the next keeper runs in the same process, with everything, and starts the new program', async t => {
        const keeper = new Keeper(t);
        keeper.install('old');
        keeper.start();
        await keeper.up(1);
        await keeper.command('pipe i1.out.r kept');
        const { pid } = await keeper.command('child exit 42 0');
        const { pid: living } = await keeper.command('child exit 43 600000');
        keeper.install('new');
        keeper.install('keeper', 'proctor-keeper', 'proctor-keeper');
        const inode = fs.statSync(`/proc/${keeper.child.pid}/exe`).ino;
        await keeper.command('upgrade');
        await keeper.command('exit 0');
        const facts = await keeper.up(2);
        assert.deepEqual([facts.label, facts.flags], ['new', flag.again | flag.upgraded]);
        assert.deepEqual(facts.names, ['i1.out.r']);
        assert.deepEqual(await keeper.command('take i1.out.r'), { text: 'kept' });
        assert.equal(facts.ppid, keeper.child.pid);
        assert.notEqual(fs.statSync(`/proc/${keeper.child.pid}/exe`).ino, inode, 'another program');
        assert.equal(keeper.journal[1].open.length, keeper.journal[0].open.length, 'no descriptor has leaked');
        assert.equal(facts.nofile, keeper.journal[0].nofile);
        assert.equal(facts.oom, keeper.journal[0].oom);
        assert.deepEqual(facts.exits.map(exit => [exit.pid, exit.status]), [[pid, 42]]);
        process.kill(living, 'SIGKILL');
        await until('the exit of a child from before', async () =>
            byPid((await keeper.command('facts')).exits).get(living)?.status === signal.SIGKILL, 5000 * slow);
        kill(facts);
        assert.equal((await keeper.up(3)).flags, flag.again);
        assert.equal(keeper.child.exitCode, null);
    });

    for (const [how, what] of [['kill 11', 'crashes'], ['exit 1', 'refuses'], ['hang 0', 'does not come up in time']]) {
        test(`UPGRADE to a program that ${what}: the previous one runs at once`, async t => {
            const keeper = new Keeper(t);
            keeper.install('old');
            keeper.start();
            await keeper.up(1);
            await keeper.command('pipe i1.out.r kept');
            keeper.install('new');
            keeper.behave(`new ${how}`);
            await keeper.command('upgrade');
            // One that does not end by itself is killed; neither is waited for longer than 15 s.
            if (how === 'hang 0')
                await delay(25000);
            else
                await keeper.command('exit 0');
            const facts = await keeper.up(3);
            assert.deepEqual(keeper.journal.map(start => [start.label, start.flags]), [
                ['old', 0], ['new', flag.again | flag.upgraded], ['old', flag.again | flag.rolledBack],
            ]);
            assert.deepEqual(facts.names, ['i1.out.r']);
            // The next upgrade takes what lies there, once more.
            keeper.behave();
            await keeper.command('upgrade');
            await keeper.command('exit 0');
            assert.deepEqual([(await keeper.up(4)).label, keeper.journal[3].flags], ['new', flag.again | flag.upgraded]);
        });
    }

    test('UPGRADE with a keeper that does not run: the old one goes on', async t => {
        const keeper = new Keeper(t).start();
        await keeper.up(1);
        await keeper.command('pipe i1.out.r kept');
        fs.rmSync(path.join(keeper.folder, 'proctor-keeper'));
        fs.writeFileSync(path.join(keeper.folder, 'proctor-keeper'), '#!/bin/false\n', { mode: 0o755 });
        await keeper.command('upgrade');
        await keeper.command('exit 0');
        const facts = await keeper.up(2);
        assert.deepEqual([facts.names, facts.flags], [['i1.out.r'], flag.again | flag.upgraded]);
        assert.match(keeper.log, /the new keeper does not run, going on with this one/);
        assert.equal(facts.ppid, keeper.child.pid);
    });

    test('a keeper that was killed is followed by its supervisor, with the same pid and all that was kept', async t => {
        const keeper = new Keeper(t);
        keeper.install('old');
        keeper.start();
        await keeper.up(1);
        await keeper.command('pipe i1.out.r kept');
        keeper.behave('* unsafe 11');
        await keeper.command('kill 9');
        const facts = await keeper.up(5);
        const { pid: child } = await keeper.command('child exit 44 0');
        const { pid: living } = await keeper.command('child exit 45 600000');
        await keeper.command('acknowledge');
        process.kill(keeper.child.pid, 'SIGKILL');
        const next = await keeper.up(6);
        assert.equal(next.ppid, facts.pid, 'the supervisor has become the keeper');
        assert.deepEqual([next.names, next.flags], [['i1.out.r'], flag.again | flag.safe]);
        assert.deepEqual(await keeper.command('take i1.out.r'), { text: 'kept' });
        assert.deepEqual(next.exits.map(exit => [exit.pid, exit.status, exit.seq]), [[child, 44, 100]]);
        assert.equal(processInfo(living).ppid, facts.pid);
        assert.equal(next.oom, facts.oom);
        process.kill(living, 'SIGKILL');
        await until('its exit', async () => byPid((await keeper.command('facts')).exits).has(living), 5000 * slow);
        process.kill(next.ppid, 'SIGTERM');
        await until('it ends in order', () => !isAlive(next.ppid), 5000 * slow);
    });

    test('a manifest that cannot be read is no end: what runs is at least reaped, and a supervisor started', async t => {
        const keeper = new Keeper(t);
        const torn = path.join(keeper.folder, 'torn');
        fs.writeFileSync(torn, 'keep, but not a manifest');
        keeper.start({ args: ['--manifest', '9'], before: ['bash', '-c', 'exec 9<"$0"; exec "$@"', torn] });
        const facts = await keeper.up(1);
        assert.deepEqual([facts.names, facts.flags], [[], 0]);
        assert.match(keeper.log, /cannot read what there is to take over: Protocol error/);
        assert.ok(!fs.existsSync(`/proc/${keeper.child.pid}/fd/9`));
    });

    test('wrong arguments are a usage line', t => {
        for (const args of [[], ['--home'], ['--home', '/tmp', 'x'], ['--homes', '/tmp']]) {
            const run = spawnSync(path.join(build, 'proctor-keeper'), args, { encoding: 'utf8' });
            assert.equal(run.status, 2);
            assert.match(run.stderr, /^usage: /);
        }
    });

    test('BYE: it ends with the supervisor, as that one ended', async t => {
        const keeper = new Keeper(t).start();
        await keeper.up(1);
        const { pid } = await keeper.command('child exit 0 600000');
        await keeper.command('bye');
        await keeper.command('exit 5');
        assert.deepEqual(await keeper.exited, { code: 5, signal: null });
        assert.ok(isAlive(pid), 'nothing is killed by the keeper');
        process.kill(pid, 'SIGKILL');
    });

    test('SIGTERM and SIGINT end the supervisor in order; SIGHUP and others do nothing', async t => {
        for (const how of ['SIGTERM', 'SIGINT']) {
            const keeper = new Keeper(t).start();
            const facts = await keeper.up(1);
            for (const ignored of ['SIGHUP', 'SIGUSR1', 'SIGQUIT', 'SIGALRM', 'SIGPIPE'])
                process.kill(keeper.child.pid, ignored);
            assert.equal((await keeper.command('facts')).pid, facts.pid);
            process.kill(keeper.child.pid, how);
            assert.deepEqual(await keeper.exited, { code: 7, signal: null });
        }
    });

    test('SIGTERM while no supervisor is up reaches the next one that is', async t => {
        const keeper = new Keeper(t).start();
        const facts = await keeper.up(1);
        await keeper.command('child exit 0 600000');
        keeper.behave('* kill 11');
        kill(facts);
        await until('some starts', () => keeper.journal.length > 4, 10000 * slow);
        process.kill(keeper.child.pid, 'SIGTERM');
        keeper.behave();
        assert.deepEqual(await keeper.exited, { code: 7, signal: null });
    });

    test('as init it ends by SIGTERM also when no supervisor comes up', async t => {
        const keeper = new Keeper(t);
        keeper.behave('* kill 11');
        keeper.start({ args: ['--init'] });
        await until('some starts', () => keeper.journal.length > 2, 10000 * slow);
        process.kill(keeper.child.pid, 'SIGTERM');
        assert.deepEqual(await keeper.exited, { code: 128 + signal.SIGSEGV, signal: null });
    });

    test('without anything to keep it ends by SIGTERM, too, when no supervisor comes up', async t => {
        const keeper = new Keeper(t);
        keeper.behave('* kill 11');
        keeper.start();
        await until('some starts', () => keeper.journal.length > 2, 10000 * slow);
        process.kill(keeper.child.pid, 'SIGTERM');
        assert.deepEqual(await keeper.exited, { code: 128 + signal.SIGSEGV, signal: null });
    });

    test('`proctor start` says who goes on trying, and how that is ended', async t => {
        const keeper = new Keeper(t);
        keeper.behave('* kill 11');
        fs.chmodSync(keeper.home, 0o700);
        fs.copyFileSync(path.join(build, 'proctor'), path.join(keeper.folder, 'proctor'));
        fs.writeFileSync(path.join(keeper.folder, 'app.js'), '');
        const env = { ...process.env, PROCTOR_HOME: keeper.home };
        const start = spawn(path.join(keeper.folder, 'proctor'), ['start', 'app.js'], { env, cwd: keeper.folder, stdio: ['ignore', 'ignore', 'pipe'] });
        let stderr = '';
        start.stderr.setEncoding('utf8').on('data', text => stderr += text);
        await new Promise(resolve => start.on('close', resolve));
        const [, pid] = /did not get ready within 10 s .*until `kill (\d+)`/.exec(stderr) ?? assert.fail(stderr);
        process.kill(Number(pid), 'SIGTERM');
        await until('it has ended', () => !isAlive(Number(pid)), 15000 * slow);
    });

    test('SIGTERM in the middle of an upgrade is not forgotten', async t => {
        const keeper = new Keeper(t).start();
        const facts = await keeper.up(1);
        process.kill(keeper.child.pid, 'SIGSTOP');
        await keeper.command('upgrade');
        await keeper.command('exit 0');
        await until('it has ended', () => !isAlive(facts.pid), 5000 * slow);
        process.kill(keeper.child.pid, 'SIGTERM');
        process.kill(keeper.child.pid, 'SIGCONT');
        assert.deepEqual(await keeper.exited, { code: 7, signal: null });
    });

    test('a first start that is refused is not tried again, and whoever waits is told by its end', async t => {
        const keeper = new Keeper(t);
        keeper.behave('* exit 1');
        keeper.start({ ready: true });
        let ready = '';
        keeper.child.stdio[3].on('data', data => ready += data);
        assert.deepEqual(await keeper.exited, { code: 1, signal: null });
        assert.equal(keeper.journal.length, 1);
        assert.equal(ready, '');

        fs.rmSync(path.join(keeper.folder, 'proctord'));
        keeper.start({ ready: true });
        keeper.child.stdio[3].on('data', data => ready += data);
        await keeper.exited;
        assert.match(ready, /^cannot run .*proctord: No such file or directory\n$/);
    });

    test('what is no message is ignored', async t => {
        const keeper = new Keeper(t).start();
        await keeper.up(1);
        const before = fdCount(keeper.child.pid);
        await keeper.command('pipe i1.out.r kept');
        await keeper.command('nonsense');
        await keeper.command('nonsense');
        await keeper.command('pipe i2.out.r kept');
        kill(await keeper.command('facts'));
        assert.deepEqual((await keeper.up(2)).names, ['i1.out.r', 'i2.out.r']);
        assert.equal(fdCount(keeper.child.pid), before + 2, 'descriptors that came with it are closed');
        assert.match(keeper.log, /sent what is no message/);
        assert.match(keeper.log, /cannot keep a descriptor/);
    });

    test('a supervisor that is stopped, or that does not read, blocks nothing', async t => {
        const keeper = new Keeper(t).start();
        const facts = await keeper.up(1);
        await keeper.command('many 2000');
        await keeper.command('children 900');
        kill(facts);
        const next = await keeper.up(2);
        kill(next, 'SIGSTOP');
        const own = () => fs.readFileSync(`/proc/${keeper.child.pid}/stat`, 'utf8').split(' ').slice(13, 15).reduce((a, b) => a + Number(b), 0);
        const ticks = own();
        await delay(1000);
        assert.ok(own() - ticks < 20, 'it does not spin');
        process.kill(keeper.child.pid, 'SIGHUP');
        kill(next, 'SIGCONT');
        await until('all exits', async () => (await keeper.command('facts')).exits.length === 900, 10000 * slow);
        assert.equal((await keeper.command('facts')).names.length, 2000);
    });

    test('a keeper that is stopped goes on where it was', async t => {
        const keeper = new Keeper(t).start();
        const facts = await keeper.up(1);
        process.kill(keeper.child.pid, 'SIGSTOP');
        await keeper.command('pipe i1.out.r kept');
        const { pid } = await keeper.command('child exit 9 0');
        kill(facts);
        await delay(300);
        process.kill(keeper.child.pid, 'SIGCONT');
        const next = await keeper.up(2);
        assert.deepEqual(next.names, ['i1.out.r']);
        await until('the exit', async () => byPid((await keeper.command('facts')).exits).get(pid)?.status === 9, 5000 * slow);
    });

    test('a supervisor without its socket is ended and replaced', { timeout: 60000 }, async t => {
        const keeper = new Keeper(t).start();
        await keeper.up(1);
        await keeper.command('hangup');
        await delay(12000);
        assert.equal((await keeper.up(2)).status, signal.SIGKILL);
        assert.match(keeper.log, /does not end, killing it/);
    });

    test('its log may be full and unread', async t => {
        const keeper = new Keeper(t);
        const child = spawn(path.join(keeper.folder, 'proctor-keeper'), ['--home', keeper.home], { stdio: ['ignore', 'ignore', 'pipe'] });
        child.stderr.pause();
        keeper.child = child;
        fs.writeFileSync(path.join(keeper.folder, 'log'), '');
        await keeper.up(1);
        for (let i = 0; i < 300; i++)
            await keeper.command('nonsense');
        kill(await keeper.command('facts'));
        await keeper.up(2);
    });

    const namespaces = spawnSync('unshare', ['-pf', '--mount-proc', 'true']);
    test('as PID 1 it reaps all, forwards signals, and ends as the supervisor does', {
        skip: namespaces.status === 0 ? false : `no PID namespace here: ${namespaces.stderr ?? namespaces.error}`,
    }, async t => {
        const keeper = new Keeper(t).start({ before: ['unshare', '-pf', '--mount-proc', '--kill-child'] });
        const facts = await keeper.up(1);
        assert.equal(facts.ppid, 1);
        for (let i = 0; i < 20; i++)
            await keeper.command('children 5');
        kill({ pid: fs.readFileSync(`/proc/${keeper.child.pid}/task/${keeper.child.pid}/children`, 'utf8').trim() }, 'SIGHUP');
        await keeper.command('kill 9');
        await keeper.up(2);
        await until('all are reaped', async () => (await keeper.command('facts')).exits.length === 100, 10000 * slow);
        const init = Number(fs.readFileSync(`/proc/${keeper.child.pid}/task/${keeper.child.pid}/children`, 'utf8').trim());
        process.kill(init, 'SIGTERM');
        assert.deepEqual(await keeper.exited, { code: 7, signal: null });
    });
});
