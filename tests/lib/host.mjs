// A private supervisor for a test: its own PROCTOR_HOME in a temp folder, the proctor command, and an end that proves
// that nothing was left behind.  All that is started is found again by that folder's name in its environment.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isAlive, listeningPorts, pidsOfFolder, processInfo, processTree, until } from './proc.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const build = process.env.PROCTOR_BUILD ?? path.join(root, 'build/release');
export const underAsan = build.endsWith('/asan');
// Instrumented programs need longer; every limit of the tests is stretched by this.
export const slow = underAsan ? 3 : 1;
export const appFile = name => path.join(root, 'tests/fixtures/apps', name);
export const forgedUuid = '0f0f0f0f-f0f0-4f0f-8f0f-f0f0f0f0f0f0';

// '' for a file that is not there, or not any more: state.json's temporary file comes and goes.
function readIfThere(file) {
    try {
        return fs.readFileSync(file, 'utf8');
    } catch (error) {
        if (error.code !== 'ENOENT')
            throw error;
        return '';
    }
}

const openHosts = new Set();
// The runner's own end (a limit, Ctrl-C) must not leave daemons behind.
for (const signal of ['SIGTERM', 'SIGINT']) {
    process.once(signal, () => {
        for (const host of openHosts)
            host.killAll();
        process.exit(1);
    });
}

// Starts no daemon by itself: the first `proctor start` does.  The host closes itself when the test ends and fails the
// test when processes, ports, inspector addresses or complaints of a sanitizer are left.
export function startHost(t, options = {}) {
    const host = new Host(t, options);
    openHosts.add(host);
    t.after(() => host.close());
    return host;
}

export class Host {
    // programs: the folder of other programs than those of the build.
    constructor(t, { env = {}, policy, programs = build } = {}) {
        this.t = t;
        this.programs = programs;
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-e2e-'));
        this.home = path.join(this.folder, 'home');
        this.work = path.join(this.folder, 'work');
        fs.mkdirSync(this.work);
        fs.mkdirSync(this.home, { mode: 0o700 });
        if (policy)
            fs.writeFileSync(path.join(this.home, 'policy.json'), JSON.stringify(policy), { mode: 0o600 });
        this.env = {
            PATH: `${path.dirname(process.execPath)}:${process.env.PATH}`,
            HOME: this.folder,
            LANG: 'C.UTF-8',
            PROCTOR_HOME: this.home,
            ...Object.fromEntries(['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS', 'PROCTOR_LOG']
                .filter(key => process.env[key]).map(key => [key, process.env[key]])),
            ...env,
        };
        this.failed = false;
        this.seen = new Map();
    }

    // ---- the command ----

    // Runs `proctor ARGS` to its end.  expectCode: fails when the exit code is another; undefined accepts all.
    async proctor(args, { env, cwd, input, timeout = 20000, expectCode } = {}) {
        const run = this.spawnProctor(args, { env, cwd, input });
        const limit = timeout * slow;
        const timer = setTimeout(() => { run.timedOut = true; run.child.kill('SIGKILL'); }, limit);
        const result = await run.ended;
        clearTimeout(timer);
        const told = `proctor ${args.join(' ')}\n--- stdout\n${result.stdout}--- stderr\n${result.stderr}`;
        assert.ok(!run.timedOut, `no end within ${limit} ms: ${told}`);
        if (expectCode !== undefined)
            assert.equal(result.code, expectCode, `exit code ${result.code} (${result.signal}), not ${expectCode}: ${told}`);
        return result;
    }

    // Starts `proctor ARGS` and returns {child, stdout, stderr, ended}; the texts grow.
    spawnProctor(args, { env = {}, cwd = this.work, input } = {}) {
        const child = spawn(path.join(this.programs, 'proctor'), args, {
            env: { ...this.env, ...env }, cwd, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
        });
        const run = { child, stdout: '', stderr: '', timedOut: false };
        child.stdout.setEncoding('utf8').on('data', text => { run.stdout += text; });
        child.stderr.setEncoding('utf8').on('data', text => { run.stderr += text; });
        if (input !== undefined)
            child.stdin.end(input);
        run.ended = new Promise((resolve, reject) => {
            child.on('error', reject);
            child.on('close', (code, signal) => resolve({
                code, signal, stdout: run.stdout, stderr: run.stderr, json: () => JSON.parse(run.stdout),
            }));
        });
        return run;
    }

    // ---- apps ----

    // Writes an ecosystem file into the working folder and returns its path.  A string is written as it is.
    writeConfig(apps, name = 'app.json') {
        const file = path.join(this.work, name);
        fs.writeFileSync(file, typeof apps === 'string' ? apps : JSON.stringify({ apps }, null, 2));
        return file;
    }

    // Fails when an app is not online in the end, unless mayFail.
    async startApps(apps, { env, mayFail = false } = {}) {
        const file = this.writeConfig(apps, `start-${apps.map(app => app.name).join('-').slice(0, 60)}.json`);
        const result = await this.proctor(['start', file], { env, expectCode: mayFail ? undefined : 0 });
        this.remember();
        return result;
    }

    async jlist() {
        return (await this.proctor(['jlist'], { expectCode: 0 })).json();
    }

    // The row of one instance in jlist; null when there is none.
    async row(name, instance = 0) {
        return (await this.jlist()).filter(row => row.name === name)[instance] ?? null;
    }

    async pid(name, instance = 0) {
        return (await this.row(name, instance)).pid;
    }

    // Waits until the instance has the status and returns its row.
    waitStatus(name, status, ms = 10000) {
        return until(`${name} is ${status}`, async () => {
            const row = await this.row(name);
            return row?.pm2_env.status === status && row;
        }, ms * slow);
    }

    // The same also while the supervisor ends, and answers nobody.
    waitStopping(name, instance = 0, ms = 5000) {
        return until(`${name} is being stopped`, () => new RegExp(`${name}-${instance}: \\w+ -> stopping`).test(this.daemonLog()), ms * slow);
    }

    logFile(name, stream, instance = 0) {
        return path.join(this.home, 'logs', `${name}-${instance}.${stream}`);
    }

    log(name, stream = 'out', instance = 0) {
        return readIfThere(this.logFile(name, stream, instance));
    }

    // Waits until the app's log matches and returns the match.
    async waitLog(name, pattern, { stream = 'out', ms = 10000 } = {}) {
        return until(`${pattern} in the ${stream} log of ${name}`, () => pattern.exec(this.log(name, stream)), ms * slow);
    }

    async supervisorPid() {
        return (await this.proctor(['ping', '--json'], { expectCode: 0 })).json().pid;
    }

    async keeperPid() {
        return (await this.proctor(['ping', '--json'], { expectCode: 0 })).json().keeper_pid;
    }

    // Keeper and supervisor at once, so that neither can act on the other's death.
    async killBoth() {
        const { pid, keeper_pid: keeper } = (await this.proctor(['ping', '--json'], { expectCode: 0 })).json();
        for (const [one, signal] of [[keeper, 'SIGSTOP'], [pid, 'SIGKILL'], [keeper, 'SIGKILL']])
            process.kill(one, signal);
        await until('keeper and supervisor are gone', () => !isAlive(pid) && !isAlive(keeper), 5000 * slow);
    }

    // Pids of our helpers by program name: 'proctor-probe', 'proctor-agent'.  comm holds 15 characters.  Those that
    // outlived a supervisor are the keeper's children.
    async helperPids(program) {
        const comm = program.slice(0, 15);
        return processTree(await this.keeperPid() || await this.supervisorPid()).filter(pid => processInfo(pid)?.comm === comm);
    }

    // ---- captures ----

    // Takes a capture to its end.  Resolves to {code, record, file, profile, stderr}; profile is null without a file.
    async capture(kind, target, options = {}) {
        return this.startCapture(kind, target, options).finish();
    }

    // Starts a capture.  waitPhase(word) waits for a phase, gather() for some samples; interrupt() is
    // Ctrl-C; finish() waits for the end.
    startCapture(kind, target, { duration = '1s', args = [], out, env } = {}) {
        const file = out ?? path.join(this.work, `${target}-${kind}-${this.nextFile = (this.nextFile ?? 0) + 1}.json`);
        const run = this.spawnProctor(['profile', kind, target, ...(duration ? ['-d', duration] : []), '-o', file,
            '--json', ...args], { env });
        let ended = false;
        run.ended.then(() => { ended = true; }, () => { ended = true; });
        const waitPhase = word => until(`phase ${word} of ${kind} ${target}: ${run.stderr}`, () => {
            if (new RegExp(`\\b${word}\\b`).test(run.stderr))
                return true;
            assert.ok(!ended, `the capture ended before the phase "${word}":\n${run.stdout}${run.stderr}`);
            return false;
        }, 20000 * slow);
        // Lets it gather samples for a while.
        const gather = async (ms = 400) => {
            await waitPhase('running');
            await delay(ms);
        };
        const finish = async (limit = 60000) => {
            const timer = setTimeout(() => { run.timedOut = true; run.child.kill('SIGKILL'); }, limit * slow);
            const { code, stdout, stderr } = await run.ended;
            clearTimeout(timer);
            assert.ok(!run.timedOut, `proctor profile ${kind} ${target} has no end within ${limit * slow} ms:\n${stdout}${stderr}`);
            let record = null;
            try {
                [record] = JSON.parse(stdout).captures;
            } catch { /* a refusal need not have a record */ }
            const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null;
            return { code, record, file, stdout, stderr, profile: text === null ? null : JSON.parse(text) };
        };
        return { run, file, waitPhase, gather, finish, interrupt: () => run.child.kill('SIGINT') };
    }

    // All records, as `proctor captures --json` tells them; [] while the agent is away.
    async captures() {
        const { code, stdout } = await this.proctor(['captures', '--json']);
        return code === 0 ? JSON.parse(stdout).captures : [];
    }

    // ---- checks ----

    // Ports per process of a tree, to be compared before and after a capture.
    ports(pid) {
        return Object.fromEntries(processTree(pid).map(one => [one, listeningPorts(one)]));
    }

    // No file of ours holds the address of an inspector.  Its UUIDs are of version 4 and ours of version 7, so that a
    // bare one is found too.
    assertNoUuid() {
        const address = /ws:\/\/[^\s"]*\/[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;
        const visit = folder => {
            for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
                const file = path.join(folder, entry.name);
                if (entry.isDirectory())
                    visit(file);
                if (!entry.isFile())
                    continue;
                const found = (readIfThere(file).match(address) ?? []).filter(text => !text.includes(forgedUuid));
                assert.deepEqual(found, [], `${file} holds the address of an inspector`);
            }
        };
        visit(this.home);
    }

    daemonLog() {
        return readIfThere(path.join(this.home, 'proctor.log'));
    }

    assertNoComplaint() {
        const complaint = /^.*(ERROR: AddressSanitizer|ERROR: LeakSanitizer|LeakSanitizer:|runtime error:|[Aa]ssertion .*failed).*$/m
            .exec(this.daemonLog());
        assert.equal(complaint, null, `proctor.log: ${complaint?.[0]}`);
    }

    // ---- the end ----

    // Notes what runs now, so that what has no mark of ours in its environment is found again at the end.
    remember() {
        for (const pid of pidsOfFolder(this.folder))
            for (const one of processTree(pid))
                this.seen.set(one, processInfo(one)?.startTime);
    }

    leftovers() {
        const seen = [...this.seen].filter(([pid, startTime]) => processInfo(pid)?.startTime === startTime);
        return [...new Set([...pidsOfFolder(this.folder), ...seen.map(([pid]) => pid)])].filter(isAlive);
    }

    killAll() {
        for (const pid of this.leftovers()) {
            try {
                process.kill(pid, 'SIGKILL');
            } catch { /* gone in between */ }
        }
    }

    async close() {
        let problem = null;
        this.remember();
        try {
            await this.proctor(['kill'], { timeout: 30000 });
            await until('all processes of the host are gone', () => this.leftovers().length === 0, 5000 * slow);
        } catch (error) {
            const rest = this.leftovers().map(pid => `${pid} ${processInfo(pid)?.comm}`).join(', ');
            problem = new Error(`${error.message}; left: ${rest || 'none'}`);
        }
        this.killAll();
        try {
            this.assertNoUuid();
            this.assertNoComplaint();
        } catch (error) {
            problem ??= error;
        }
        openHosts.delete(this);
        if (problem || this.failed || this.t.passed === false)
            console.error(`--- proctor.log of "${this.t.name}"\n${this.daemonLog().slice(-16000)}---`);
        if (process.env.E2E_KEEP)
            console.error(`kept: ${this.folder}`);
        else
            fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
        if (problem)
            throw problem;
    }
}
