// Logs: what a gigabyte of them costs the daemon, and whether the last lines of an app that exits are there.
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { median, digits, ratio, spread } from './stats.mjs';
import { benchFile, cpuUs, shell, takeRuns, tool } from './measure.mjs';
import { newPeers, pm2Missing, temporaryFolder } from './peers.mjs';

const LINE = 100;
// PM2 gets fewer: at its price per line the row would take minutes.
const FLOOD_LINES = 3e6, PM2_LINES = 3e5, FLOOD_ROUNDS = 5;
const BURST_LINES = 20000, BURST_RUNS = 5;

export const title = 'Logs: CPU per GB, and lines lost at exit';

const sizeOf = file => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;

// Waits until the file has all its bytes, or has not grown for `quiet_ms`.  No question is put to the daemon meanwhile.
async function settled(file, bytes, quietMs) {
    let size = sizeOf(file);
    let grown = performance.now();
    while (size < bytes && performance.now() - grown < quietMs) {
        await delay(20);
        const now = sizeOf(file);
        if (now !== size)
            grown = performance.now();
        size = now;
    }
    return size;
}

// How many of the lines 0, 1, … are not in the file.
function lostLines(file, count) {
    const seen = new Uint8Array(count);
    const text = sizeOf(file) ? fs.readFileSync(file, 'latin1') : '';
    for (const line of text.split('\n')) {
        const number = /^\d{9} x{89}$/.test(line) ? Number(line.slice(0, 9)) : count;
        if (number < count)
            seen[number] = 1;
    }
    return count - seen.reduce((sum, one) => sum + one, 0);
}

const app = (name, extra) => ({ name, autorestart: false, ...extra });

// One flood through a daemon: its CPU, the time until the file was whole, the bytes that are missing.
async function flood(peer, round) {
    const name = `flood${round}`;
    const pid = await peer.logPid();
    const before = await cpuUs(pid);
    const begin = performance.now();
    const count = peer.name === 'PM2' ? PM2_LINES : FLOOD_LINES;
    const bytes = count * LINE;
    const started = peer.start([app(name, { script: tool('lines'), args: [String(count)], interpreter: 'none', log_max_size: 0 })]);
    const size = await settled(peer.outFile(name), bytes, 10000);
    const wall = (performance.now() - begin) / 1000;
    await started;
    const cpu = (await cpuUs(pid) - before) / 1e6;
    await peer.delete(name);
    return { cpu, wall, gigabytes: bytes / 1e9, missing: bytes - size };
}

// The same by a pipe and cat.
async function floodCat(folder) {
    const file = path.join(folder, 'cat.out');
    const out = await shell('"$0" "$1" | "$2" -o "$3" 1 1 cat', [tool('lines'), String(FLOOD_LINES), tool('timed'), file]);
    const [[run]] = takeRuns(out);
    const missing = FLOOD_LINES * LINE - sizeOf(file);
    fs.rmSync(file);
    return { cpu: run.cpuUs / 1e6, wall: run.wallUs / 1e6, gigabytes: FLOOD_LINES * LINE / 1e9, missing };
}

async function floods(peers, folder) {
    const runs = new Map([['`cat > file`', []], ...peers.map(peer => [peer.name, []])]);
    for (let round = 0; round < FLOOD_ROUNDS; round++) {
        runs.get('`cat > file`').push(await floodCat(folder));
        for (const peer of peers)
            runs.get(peer.name).push(await flood(peer, round));
    }
    return runs;
}

const BURSTS = [
    { what: 'C, one write per line', script: tool('lines'), args: [String(BURST_LINES)], interpreter: 'none' },
    { what: 'Node, ends by itself', script: benchFile('burst.js'), env: { LINES: String(BURST_LINES) } },
    { what: 'Node, process.exit() at once', script: benchFile('burst.js'), env: { LINES: String(BURST_LINES), EXIT: '1' } },
];

// Lines that the app has got rid of and that are not in the file, and lines that Node itself threw away.
function countBurst(file, takenFile) {
    const taken = sizeOf(takenFile) ? Number(fs.readFileSync(takenFile, 'utf8')) / LINE : BURST_LINES;
    const missing = lostLines(file, BURST_LINES);
    fs.rmSync(takenFile, { force: true });
    return { lost: missing - (BURST_LINES - Math.floor(taken)), thrown: BURST_LINES - Math.floor(taken) };
}

async function burst(peer, { what, ...extra }, name, taken) {
    await peer.start([app(name, { ...extra, env: { ...extra.env, TAKEN: taken } })]);
    await settled(peer.outFile(name), BURST_LINES * LINE, 1500);
    const count = countBurst(peer.outFile(name), taken);
    await peer.delete(name);
    return count;
}

async function burstCat({ script, args = [], interpreter, env }, folder, taken) {
    const file = path.join(folder, 'cat.out');
    const argv = interpreter === 'none' ? [script, ...args] : [process.execPath, script];
    await shell('out=$0; "$@" | cat >"$out"', [file, ...argv], { env: { PATH: process.env.PATH, ...env, TAKEN: taken } });
    return countBurst(file, taken);
}

async function bursts(peers, folder) {
    const rows = [];
    const taken = path.join(folder, 'taken');
    for (const kind of BURSTS) {
        const all = [['`| cat`', () => burstCat(kind, folder, taken)],
            ...peers.map(peer => [peer.name, round => burst(peer, kind, `burst${round}`, taken)])];
        for (const [by, once] of all) {
            const counts = [];
            for (let round = 0; round < BURST_RUNS; round++)
                counts.push(await once(round));
            rows.push({ what: kind.what, by, lost: counts.map(count => count.lost), thrown: counts.map(count => count.thrown) });
        }
    }
    return rows;
}

export async function run() {
    const peers = newPeers();
    const folder = temporaryFolder();
    // A daemon is there before the first measurement.
    for (const peer of peers)
        await peer.start([app('first', { script: '/bin/sleep', args: ['100000'], interpreter: 'none', autorestart: true })]);
    return summary(await floods(peers, folder), await bursts(peers, folder));
}

function summary(runs, lost) {
    const perGb = new Map([...runs].map(([what, list]) => [what, median(list.map(run => run.cpu / run.gigabytes))]));
    const [floor] = perGb.values();
    const ours = perGb.get('proctor');
    const missing = runs.get('proctor').reduce((sum, run) => sum + run.missing / LINE, 0);
    const lostOurs = lost.filter(row => row.by === 'proctor').flatMap(row => row.lost).reduce((a, b) => a + b, missing);
    return {
        head: [`lines of ${LINE} bytes, a write each`, 'million lines', 'CPU s per GB', 'least … most', 'to `cat`', 'MB/s (absolute)',
            'bytes missing, per round'],
        lines: [...runs].map(([what, list]) => [
            what, list[0].gigabytes * 1000 / LINE, digits(perGb.get(what)), spread(list.map(run => run.cpu / run.gigabytes)),
            ratio(perGb.get(what) / floor),
            digits(median(list.map(run => run.gigabytes * 1000 / run.wall))), list.map(run => run.missing).join(' '),
        ]),
        more: {
            head: [`${BURST_LINES.toLocaleString('en-US')} lines, then exit`, 'read by', 'lines lost, per run', 'thrown away by Node itself, per run'],
            lines: lost.map(row => [row.what, row.by, row.lost.join(' '), row.thrown.join(' ')]),
        },
        bars: [
            [`0 lines lost at exit: ${lostOurs}`, lostOurs === 0],
            [`≤ 1 CPU s per GB: ${digits(ours)}`, ours <= 1],
        ],
        notes: [
            pm2Missing,
            `Medians of ${FLOOD_ROUNDS} interleaved rounds; CPU of the process that the bytes go through (proctord, PM2's daemon, cat).`,
            'MB/s counts from the command to the last byte in the file, so it holds the start of the app as well.',
            'Lost: what the app had written to its pipe and is not in the file.',
            'Node keeps what a full pipe does not take and drops it at process.exit(); that is counted apart.',
        ],
    };
}
