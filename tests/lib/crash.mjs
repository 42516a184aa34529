// A host under load whose own processes are killed, and the count of everything that must not suffer from it.
//
//     const storm = new Storm(host, { apps: 10, seed });   await storm.start();
//     await storm.kill('proctord');  …                      await storm.stop();   storm.counts, storm.times
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Control } from './control.mjs';
import { appFile, slow } from './host.mjs';
import { listeningPorts, pidsOfFolder, processInfo, until } from './proc.mjs';

// ---- chance that can be repeated ----

export const newSeed = () => Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));

// mulberry32: a function that returns numbers from 0 to 1.
export function chance(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = state;
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
}

export const pick = (random, list) => list[Math.floor(random() * list.length)];

// ---- looking ----

const PROGRAMS = ['proctor-keeper', 'proctord', 'proctor-agent', 'proctor-probe'];

// Pids of our programs that serve this home.  Not their children on the way to become another program, which have their name
// for a moment.
export function pidsOf(host, program) {
    const comm = program.slice(0, 15);
    return pidsOfFolder(host.folder).filter(pid => {
        const info = processInfo(pid);
        return info?.comm === comm && processInfo(info.ppid)?.comm !== comm;
    });
}

export const fdCount = pid => {
    try {
        return fs.readdirSync(`/proc/${pid}/fd`).length;
    } catch {
        return 0;
    }
};

// What each descriptor of a process is, with how many there are of each; numbers of sockets and pipes are left out.
export function fdKinds(pid) {
    const kinds = {};
    for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
        try {
            const kind = fs.readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\[\d+\]/, '');
            kinds[kind] = (kinds[kind] ?? 0) + 1;
        } catch { /* closed in between */ }
    }
    return kinds;
}

export const zombiesOf = parents => fs.readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number).filter(pid => {
    try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return state === 'Z' && parents.includes(Number(parent));
    } catch {
        return false;
    }
});

export function privateDirtyKb(pid) {
    const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Private_Dirty:\s+(\d+) kB$/m.exec(text)[1]);
}

const hasZstd = spawnSync('zstd', ['--version']).status === 0;

// An archive is packed beside the plain one, which goes then.
function readLog(file) {
    if (fs.existsSync(file))
        return fs.readFileSync(file, 'latin1');
    return fs.existsSync(`${file}.zst`) ? execFileSync('zstd', ['-dcq', `${file}.zst`], { maxBuffer: 1 << 30 }).toString('latin1') : '';
}

// All bytes of a log: what was rotated away first.
export function logText(file) {
    const folder = path.dirname(file), base = path.basename(file);
    const older = fs.readdirSync(folder).filter(name => name.startsWith(`${base}.2`) && /Z(\.zst)?$/.test(name)).map(name => name.replace(/\.zst$/, ''));
    return [...[...new Set(older)].sort().map(name => path.join(folder, name)), file].map(readLog).join('');
}

// Numbered lines of steady.js: {lines, lost, duplicated, torn, reported, examples}.  Numbers begin anew with each process.
// Where proctor says in the file that N lines are missing, exactly N must be: others are lost, or reported and not lost.
export function checkLines(text) {
    const result = { lines: 0, lost: 0, duplicated: 0, torn: 0, reported: 0, examples: [] };
    const next = new Map();
    let told = 0;
    const note = (kind, line, n = 1) => {
        result[kind] += n;
        if (result.examples.length < 5)
            result.examples.push(`${kind} ${n}: ${line}`);
    };
    const all = text.split('\n');
    const last = all.pop();
    if (last !== '')
        note('torn', last);
    for (const line of all) {
        const report = /^\[proctor: (\d+) lines \(\d+ bytes\) of output were not written here: /.exec(line);
        if (report) {
            told += Number(report[1]);
            result.reported += Number(report[1]);
            continue;
        }
        const match = /^(\d{8}) (\d+) x{60}$/.exec(line);
        if (!match) {
            note('torn', line.slice(0, 120));
            continue;
        }
        const number = Number(match[1]), expected = next.get(match[2]) ?? 0;
        result.lines++;
        if (number < expected)
            note('duplicated', line.slice(0, 20));
        else if (number - expected !== told)
            note('lost', `${number - expected} missing and ${told} reported before ${line.slice(0, 20)}`, Math.abs(number - expected - told));
        told = 0;
        next.set(match[2], Math.max(expected, number + 1));
    }
    return result;
}

export function summary(times) {
    const sorted = [...times].sort((a, b) => a - b);
    const round = value => Math.round(value * 10) / 10;
    return sorted.length ? { n: sorted.length, median: round(sorted[sorted.length >> 1]), max: round(sorted.at(-1)) } : { n: 0, median: 0, max: 0 };
}

// ---- load ----

// Requests one after another on one connection per app, for as long as it runs.  targets: functions that tell {port, pid}.
export class HttpLoad {
    constructor(targets, pauseMs) {
        this.requests = 0;
        this.failed = 0;
        this.examples = [];
        this.running = true;
        this.loops = targets.map(target => this.loop(target, pauseMs));
    }

    async loop(target, pauseMs) {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        while (this.running) {
            const { port, pid } = target();
            this.requests++;
            try {
                const answer = await this.get(agent, port);
                if (answer.trim() !== String(pid))
                    throw new Error(`answered by ${answer.trim()}, not ${pid}`);
            } catch (error) {
                this.failed++;
                this.examples.push(`${port}: ${error.message}`);
                await delay(50);
            }
            await delay(pauseMs);
        }
        agent.destroy();
    }

    get(agent, port) {
        return new Promise((resolve, reject) => {
            const request = http.get({ host: '127.0.0.1', port, agent, timeout: 10000 * slow }, response => {
                let text = '';
                response.setEncoding('latin1').on('data', chunk => { text += chunk; }).on('end', () => resolve(text)).on('error', reject);
            });
            request.on('error', reject).on('timeout', () => request.destroy(new Error('no answer in time')));
        });
    }

    async stop() {
        this.running = false;
        await Promise.all(this.loops);
    }
}

// ---- the storm ----

export class Storm {
    // majors: Node versions, taken in turn.
    constructor(host, { count = 10, nodes, seed = newSeed(), lineMs = 10, sendMs = 10, requestMs = 10 } = {}) {
        this.host = host;
        this.control = new Control(host.home);
        this.seed = seed;
        this.random = chance(seed);
        this.apps = Array.from({ length: count }, (_, i) => ({ name: `steady${i}`, node: nodes[i % nodes.length] }));
        this.options = { lineMs, sendMs, requestMs };
        this.kills = Object.fromEntries(PROGRAMS.map(program => [program, 0]));
        this.times = Object.fromEntries(PROGRAMS.map(program => [program, []]));
        this.noted = this.apps.map(() => 0);
        this.captures = {};
        this.running = false;
    }

    portFile(app) {
        return path.join(this.host.work, `${app.name}.port`);
    }

    spec(app) {
        return {
            name: app.name, script: appFile('steady.js'), interpreter: app.node,
            // Rotated again and again.
            log_max_size: hasZstd ? '32K' : 0, log_keep: 10000,
            env: { PORT_FILE: this.portFile(app), LINE_MS: String(this.options.lineMs), SEND_MS: String(this.options.sendMs) },
        };
    }

    async start() {
        await this.host.startApps(this.apps.map(app => this.spec(app)));
        for (const app of this.apps) {
            const [port, pid] = await until(`${app.name} listens`, () => {
                try {
                    return fs.readFileSync(this.portFile(app), 'latin1').split(' ').map(Number);
                } catch {
                    return null;
                }
            }, 15000 * slow);
            Object.assign(app, { port, pid });
        }
        await until('all have told their actions', async () => (await this.control.list()).every(one => one.ipc?.ready), 10000 * slow);
        // Makes what is made when it is first needed.
        await this.control.trigger(`${this.apps[0].name}-0`, 'got');
        await delay(300);
        this.before = this.fds();
        this.load = new HttpLoad(this.apps.map(app => () => app), this.options.requestMs);
        this.running = true;
        this.loops = [this.noteLoop()];
    }

    fds() {
        const count = {};
        for (const program of ['proctor-keeper', 'proctord', 'proctor-agent'])
            count[program] = pidsOf(this.host, program).map(pid => fdKinds(pid));
        return count;
    }

    // Numbered messages to the apps, one after another.
    async noteLoop() {
        this.noteErrors = [];
        for (let i = 0; this.running; i = (i + 1) % this.apps.length) {
            try {
                await this.control.trigger(`${this.apps[i].name}-0`, 'note', this.noted[i]);
            } catch (error) {
                this.noteErrors.push(error.message);
            }
            this.noted[i]++;
            await delay(10);
        }
    }

    // Captures one after another, so that probes are there to be killed.
    async captureLoop(duration = '1s') {
        while (this.running) {
            const app = pick(this.random, this.apps.filter(one => !/node-(8|9)\//.test(one.node)));
            const { record, stderr } = await this.host.capture(this.random() < 0.7 ? 'cpu' : 'heap', app.name, { duration });
            const state = record?.state ?? `no record: ${stderr.trim().split('\n').at(-1)}`;
            this.captures[state] = (this.captures[state] ?? 0) + 1;
        }
    }

    startCaptures(duration) {
        this.loops.push(this.captureLoop(duration));
    }

    // Kills one process of the program and waits until a supervisor answers; remembers how long that took.
    // null: there was none to kill.
    async kill(program, signal = 'SIGKILL') {
        const [pid] = pidsOf(this.host, program);
        if (!pid)
            return null;
        const begin = performance.now();
        process.kill(pid, signal);
        this.kills[program]++;
        if (program === 'proctor-agent' || program === 'proctor-probe')
            return 0;
        let answer;
        do
            answer = await this.control.ping();
        while (program === 'proctord' && answer.pid === pid && performance.now() - begin < 15000);
        const ms = performance.now() - begin;
        this.times[program].push(ms);
        // The keeper's place is taken by the supervisor, whose place a new one takes.
        await until('keeper and supervisor are there', () => pidsOf(this.host, 'proctor-keeper').length === 1 && pidsOf(this.host, 'proctord').length === 1,
            10000 * slow);
        return ms;
    }

    // Everything that must be 0, at a moment when nothing is under way.
    async stop() {
        this.running = false;
        await Promise.all(this.loops);
        await this.load.stop();
        await until('the agent is there', () => pidsOf(this.host, 'proctor-agent').length === 1, 15000 * slow);
        await until('no probe is left', () => pidsOf(this.host, 'proctor-probe').length === 0, 15000 * slow);
        this.counts = {
            restarted: 0, linesLost: 0, linesDuplicated: 0, linesTorn: 0, requestsFailed: this.load.failed,
            messagesLost: 0, messagesDuplicated: 0, disconnects: 0, actionsFailed: this.noteErrors.length,
            refused: this.control.refused, zombies: 0, portsLeft: 0, fdsLeaked: 0,
        };
        this.examples = [...this.load.examples.slice(0, 5), ...this.noteErrors.slice(0, 5)];
        this.lines = 0;
        this.messages = 0;
        for (const [i, app] of this.apps.entries())
            await this.checkApp(app, i);
        await this.checkProcesses();
        return this.counts;
    }

    async checkApp(app, i) {
        const counts = this.counts, target = `${app.name}-0`;
        const [row] = await this.control.list(app.name);
        if (row.pid !== app.pid || row.restart_time !== 0)
            counts.restarted++;
        const got = await this.control.trigger(target, 'got');
        const seen = new Set(got);
        counts.messagesDuplicated += got.length - seen.size;
        counts.messagesLost += Array.from({ length: this.noted[i] }, (_, n) => n).filter(n => !seen.has(n)).length;
        app.written = await this.control.trigger(target, 'lines');
        const sent = await this.control.trigger(target, 'pause');
        const { messages } = (await this.control.list(app.name))[0].ipc;
        counts.messagesLost += Math.max(0, sent - messages);
        counts.messagesDuplicated += Math.max(0, messages - sent);
        this.messages += messages + got.length;
        if (/disconnect/.test(this.host.log(app.name, 'err')))
            counts.disconnects++;
        const ports = listeningPorts(app.pid);
        counts.portsLeft += ports.filter(port => port !== app.port).length;
    }

    // Lines are counted when the apps are down, so that none is under way.
    async checkLogs() {
        for (const app of this.apps) {
            const found = checkLines(logText(this.host.logFile(app.name, 'out')));
            const missing = Math.max(0, app.written - found.lines - found.lost - found.reported);
            if (missing > 0)
                found.examples.push(`lost: the last ${missing}`);
            this.lines += found.lines;
            this.counts.linesLost += found.lost + missing;
            this.counts.linesDuplicated += found.duplicated;
            this.counts.linesTorn += found.torn;
            this.examples.push(...found.examples.map(text => `${app.name}: ${text}`));
        }
    }

    // [[program, kind, how many more than before]] of descriptors that were not there before and are not there on purpose.
    leaks() {
        // A stream that was ever looked at for the inspector's lines keeps what that needs; the list of captures is made with
        // the first; a keeper that was a supervisor has its standard input, too.
        const allowed = {
            'proctord pipe:': 2 * this.apps.length, 'proctord /dev/null': this.apps.length, 'proctor-keeper /dev/null': 1,
            'proctord /memfd:c.local (deleted)': 1, 'proctor-keeper /memfd:c.local (deleted)': 1,
        };
        const leaks = [];
        for (const [program, [kinds]] of Object.entries(this.fds())) {
            const [before] = this.before[program];
            for (const [kind, n] of Object.entries(kinds ?? {})) {
                const more = n - (before?.[kind] ?? 0) - (allowed[`${program} ${kind}`] ?? 0);
                if (more > 0)
                    leaks.push([program, kind, more]);
            }
        }
        return leaks;
    }

    async checkProcesses() {
        // What a capture needs goes some seconds after it.
        await until('no descriptor is left', () => this.leaks().length === 0, 6000).catch(() => {});
        for (const [program, kind, more] of this.leaks()) {
            this.counts.fdsLeaked += more;
            this.examples.push(`${program} has ${more} more descriptors of ${kind}`);
        }
        const parents = ['proctor-keeper', 'proctord', 'proctor-agent'].flatMap(program => pidsOf(this.host, program));
        this.counts.zombies = zombiesOf(parents).length;
    }

    report() {
        const kills = Object.entries(this.kills).map(([program, n]) => `${program} ${n}`).join(', ');
        const times = ['proctord', 'proctor-keeper'].map(program => {
            const { n, median, max } = summary(this.times[program]);
            return n ? `${program} killed -> an answer: median ${median} ms, max ${max} ms (${n})` : '';
        }).filter(Boolean).join('; ');
        return `seed ${this.seed}; kills: ${kills}; ${this.lines} lines, ${this.load.requests} requests, ${this.messages} messages, `
            + `${this.control.answered} calls, ${this.control.broken} repeated; captures ${JSON.stringify(this.captures)}; ${times}; `
            + `counts ${JSON.stringify(this.counts)}`;
    }
}

// The counts that are not 0.
export const notZero = counts => Object.fromEntries(Object.entries(counts).filter(([, n]) => n !== 0));
