// Logs: what a gigabyte of them costs the daemon, and whether the last lines of an app that exits are there.
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { median, digits, ratio } from './stats.mjs';
import { benchFile, cpuUs, shell, takeRuns, tool } from './measure.mjs';
import { newPeers, pm2Missing, temporaryFolder } from './peers.mjs';

const LINE = 100;
const FLOOD_LINES = 3e6, FLOOD_ROUNDS = 3;
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
    const bytes = FLOOD_LINES * LINE;
    const started = peer.start([app(name, { script: tool('lines'), args: [String(FLOOD_LINES)], interpreter: 'none' })]);
    const size = await settled(peer.outFile(name), bytes, 10000);
    const wall = (performance.now() - begin) / 1000;
    await started;
    const cpu = (await cpuUs(pid) - before) / 1e6;
    await peer.delete(name);
    return { cpu, wall, missing: bytes - size };
}

// The same by a pipe and cat.
async function floodCat(folder) {
    const file = path.join(folder, 'cat.out');
    const out = await shell('"$0" "$1" | "$2" -o "$3" 1 1 cat', [tool('lines'), String(FLOOD_LINES), tool('timed'), file]);
    const [[run]] = takeRuns(out);
    const missing = FLOOD_LINES * LINE - sizeOf(file);
    fs.rmSync(file);
    return { cpu: run.cpuUs / 1e6, wall: run.wallUs / 1e6, missing };
}

async function floods(peers, folder) {
    const runs = new Map([['`lines | cat > file`', []], ...peers.map(peer => [peer.name, []])]);
    for (let round = 0; round < FLOOD_ROUNDS; round++) {
        runs.get('`lines | cat > file`').push(await floodCat(folder));
        for (const peer of peers)
            runs.get(peer.name).push(await flood(peer, round));
    }
    return runs;
}

async function bursts(peer, what, extra) {
    const lost = [];
    for (let round = 0; round < BURST_RUNS; round++) {
        const name = `burst${round}`;
        await peer.start([app(name, extra)]);
        await settled(peer.outFile(name), BURST_LINES * LINE, 1500);
        lost.push(lostLines(peer.outFile(name), BURST_LINES));
        await peer.delete(name);
    }
    return { what, peer: peer.name, lost };
}

export async function run() {
    const peers = newPeers();
    const folder = temporaryFolder();
    // A daemon is there before the first measurement.
    for (const peer of peers)
        await peer.start([app('first', { script: '/bin/sleep', args: ['100000'], interpreter: 'none', autorestart: true })]);
    const runs = await floods(peers, folder);
    const gigabytes = FLOOD_LINES * LINE / 1e9;
    const perGb = new Map([...runs].map(([what, list]) => [what, median(list.map(run => run.cpu)) / gigabytes]));
    const [floor] = perGb.values();
    const ours = perGb.get('proctor');
    const lost = [];
    for (const peer of peers) {
        lost.push(await bursts(peer, 'Node, console.log, process.exit()', { script: benchFile('burst.js'), env: { LINES: String(BURST_LINES) } }));
        lost.push(await bursts(peer, 'C, one write per line', { script: tool('lines'), args: [String(BURST_LINES)], interpreter: 'none' }));
    }
    const missing = runs.get('proctor').reduce((sum, run) => sum + run.missing, 0);
    const lostOurs = lost.filter(row => row.peer === 'proctor').flatMap(row => row.lost).reduce((a, b) => a + b, missing / LINE);
    return {
        head: [`${FLOOD_LINES / 1e6} million lines of ${LINE} bytes, a write each`, 'CPU s per GB', 'to `cat`', 'MB/s (absolute)', 'bytes missing'],
        lines: [...runs].map(([what, list]) => [what, digits(perGb.get(what)), ratio(perGb.get(what) / floor),
            digits(gigabytes * 1000 / median(list.map(run => run.wall))), list.map(run => run.missing).join(' ')]),
        more: {
            head: [`${BURST_LINES.toLocaleString('en-US')} lines, then exit: lines lost`, 'by', ...Array.from({ length: BURST_RUNS }, (_, i) => `run ${i + 1}`)],
            lines: lost.map(row => [row.what, row.peer, ...row.lost]),
        },
        bars: [
            [`0 lines lost at exit: ${lostOurs}`, lostOurs === 0],
            [`≤ 1 CPU s per GB: ${digits(ours)}`, ours <= 1],
        ],
        notes: [pm2Missing, `Medians of ${FLOOD_ROUNDS} interleaved rounds; CPU of the process that the bytes go through (proctord, PM2's daemon, cat).`,
            'MB/s counts from the command to the last byte in the file, so it holds the start of the app as well.'],
    };
}
