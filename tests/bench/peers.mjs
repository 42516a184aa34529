// The two process managers with one face: each in a private home in a temp folder, everything ended by pid.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { startHost } from '../lib/host.mjs';
import { pidsOf } from '../lib/crash.mjs';
import { isAlive, pidsOfFolder, until } from '../lib/proc.mjs';
import { build } from './measure.mjs';

const closers = [];
const pm2Program = process.env.BENCH_PM2;
// '' when it can be run, else why not.
export const pm2Missing = pm2Program ? '' : 'PM2 could not be installed';

// Ends what the last row has started, last first; the first failure is thrown after all were tried.
export async function closeAll() {
    let problem = null;
    while (closers.length)
        await Promise.resolve(closers.pop()()).catch(error => { problem ??= error; });
    if (problem)
        throw problem;
}

export const onClose = closer => closers.push(closer);

// When this process is stopped before closeAll(): kills what still runs of pids() and removes the folder.
export function killAtExit(pids, folder) {
    const kill = () => {
        for (const pid of pids().filter(isAlive))
            process.kill(pid, 'SIGKILL');
        if (folder)
            fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    };
    process.on('exit', kill);
    onClose(() => { process.off('exit', kill); });
}

// A folder for a row, removed at its end.
export function temporaryFolder() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-bench-'));
    onClose(() => fs.rmSync(folder, { recursive: true, force: true }));
    return folder;
}

class Proctor {
    constructor() {
        this.name = 'proctor';
        this.host = startHost({ name: 'bench', passed: true, after: closer => onClose(closer) });
        this.env = this.host.env;
    }

    command(...args) {
        return [path.join(build, 'proctor'), ...args];
    }

    async start(apps) {
        await this.host.startApps(apps);
    }

    async pid(name) {
        return this.host.pid(name);
    }

    async delete(name) {
        await this.host.proctor(['delete', name], { expectCode: 0 });
        fs.rmSync(this.outFile(name), { force: true });
    }

    // Of the processes that are there all the time.
    async daemonPids() {
        const { pid, agent_pid: agent } = (await this.host.proctor(['ping', '--json'], { expectCode: 0 })).json();
        return [pid, agent ?? (await this.host.helperPids('proctor-agent'))[0], ...pidsOf(this.host, 'proctor-keeper')];
    }

    // Of the process that the logs go through.
    async logPid() {
        return (await this.daemonPids())[0];
    }

    outFile(name) {
        return this.host.logFile(name, 'out');
    }

    async kill() {
        await this.host.proctor(['kill'], { expectCode: 0, timeout: 30000 });
    }
}

class Pm2 {
    constructor() {
        this.name = 'PM2';
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-bench-pm2-'));
        this.home = path.join(this.folder, 'home');
        this.env = {
            PATH: `${path.dirname(process.execPath)}:${process.env.PATH}`,
            HOME: this.folder,
            LANG: 'C.UTF-8',
            PM2_HOME: this.home,
            PM2_DISABLE_VERSION_CHECK: '1',
            PM2_NO_INTERACTION: 'true',
        };
        killAtExit(() => this.leftovers(), this.folder);
        onClose(() => this.close());
    }

    command(...args) {
        return [process.execPath, pm2Program, ...args];
    }

    async run(...args) {
        const [program, ...rest] = this.command(...args);
        const child = spawn(program, rest, { env: this.env, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
        let stdout = '';
        let all = '';
        child.stdout.setEncoding('utf8').on('data', text => { stdout += text; all += text; });
        child.stderr.setEncoding('utf8').on('data', text => { all += text; });
        const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
        if (code !== 0)
            throw new Error(`pm2 ${args.join(' ')}: exit ${code}\n${all}`);
        return stdout;
    }

    async start(apps) {
        const file = path.join(this.folder, 'apps.json');
        const full = apps.map(app => ({ exec_mode: 'fork', merge_logs: true, out_file: this.outFile(app.name), ...app }));
        fs.writeFileSync(file, JSON.stringify({ apps: full }));
        await this.run('start', file);
    }

    async pid(name) {
        return Number((await this.run('pid', name)).trim());
    }

    async delete(name) {
        await this.run('delete', name);
        fs.rmSync(this.outFile(name), { force: true });
    }

    async daemonPids() {
        return [Number(fs.readFileSync(path.join(this.home, 'pm2.pid'), 'utf8'))];
    }

    async logPid() {
        return (await this.daemonPids())[0];
    }

    outFile(name) {
        return path.join(this.folder, `${name}.out`);
    }

    async kill() {
        await this.run('kill');
    }

    leftovers() {
        return pidsOfFolder(this.folder).filter(isAlive);
    }

    async close() {
        await this.kill().catch(() => {});
        await until('PM2 is gone', () => this.leftovers().length === 0, 5000).catch(() => {});
        for (const pid of this.leftovers())
            process.kill(pid, 'SIGKILL');
        await until('PM2 is dead', () => this.leftovers().length === 0, 5000);
        fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    }
}

export const newProctor = () => new Proctor();
// null when PM2 is missing.
export const newPm2 = () => (pm2Program ? new Pm2() : null);
// Both, or proctor alone.
export const newPeers = () => [newProctor(), newPm2()].filter(Boolean);

// Apps that do nothing: name0, name1, …
export const sleepers = (from, to) => Array.from({ length: to - from }, (_, i) => ({
    name: `sleep${from + i}`, script: '/bin/sleep', args: ['100000'], interpreter: 'none',
}));
