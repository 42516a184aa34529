// What stays resident: the daemons at 1, 10 and 50 apps, and what an app weighs by itself and under a manager.
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { memoryOf, processInfo } from '../lib/proc.mjs';
import { median, digits } from './stats.mjs';
import { benchFile, cpuUs, privateDirty } from './measure.mjs';
import { killAtExit, newPeers, onClose, pm2Missing, sleepers } from './peers.mjs';

const STEPS = [1, 10, 50];
const COPIES = 5, IDLE_MS = 5000;
const MB = 1e6;

export const title = 'Resident memory, and what an idle app costs';

// Private dirty bytes of the daemons at each step, and the resident ones at the last.
async function daemons(peer) {
    const dirty = [];
    let before = 0;
    for (const count of STEPS) {
        await peer.start(sleepers(before, count));
        before = count;
        await delay(1500);
        dirty.push((await peer.daemonPids()).map(privateDirty).reduce((a, b) => a + b));
    }
    const pids = await peer.daemonPids();
    const rss = pids.map(pid => memoryOf(pid).VmRSS).reduce((a, b) => a + b);
    const parts = pids.map(pid => `${processInfo(pid).comm} ${digits(privateDirty(pid) / MB)}`).join(', ');
    return { dirty, rss, parts };
}

async function startBare(count) {
    const children = Array.from({ length: count }, () => spawn(process.execPath, [benchFile('idle.js')],
        { stdio: 'ignore', env: { PATH: process.env.PATH } }));
    killAtExit(() => children.filter(child => child.exitCode === null && child.signalCode === null).map(child => child.pid));
    onClose(async () => {
        for (const child of children) {
            child.kill('SIGKILL');
            if (child.exitCode === null && child.signalCode === null)
                await once(child, 'exit');
        }
    });
    return children.map(child => child.pid);
}

async function startManaged(peer, count) {
    const names = Array.from({ length: count }, (_, i) => `idle${i}`);
    await peer.start(names.map(name => ({ name, script: benchFile('idle.js'), cwd: path.dirname(benchFile('idle.js')) })));
    return Promise.all(names.map(name => peer.pid(name)));
}

// Medians over the copies; CPU per app and second of idling.
async function weigh(pids) {
    const before = await cpuUs(...pids);
    const begin = performance.now();
    await delay(IDLE_MS);
    const seconds = (performance.now() - begin) / 1000;
    const cpu = await cpuUs(...pids) - before;
    return {
        rss: median(pids.map(pid => memoryOf(pid).VmRSS)),
        dirty: median(pids.map(privateDirty)),
        idleMs: cpu / 1000 / pids.length / seconds,
    };
}

export async function run() {
    const peers = newPeers();
    const lines = [];
    const result = {};
    for (const peer of peers) {
        const { dirty, rss } = result[peer.name] = await daemons(peer);
        const [one, ten, fifty] = dirty;
        lines.push([peer.name === 'proctor' ? 'keeper + supervisor + agent' : 'PM2 daemon', ...dirty.map(bytes => digits(bytes / MB)),
            digits((fifty - one) / 49 / 1024), digits((fifty - ten) / 40 / 1024), digits(rss / MB)]);
    }
    const pids = [['alone', await startBare(COPIES)]];
    for (const peer of peers)
        pids.push([`under ${peer.name}`, await startManaged(peer, COPIES)]);
    await delay(2500);
    const weights = await Promise.all(pids.map(async ([what, list]) => [what, await weigh(list)]));
    const [, bare] = weights[0];
    const [one, , fifty] = result.proctor.dirty;
    const perApp = (fifty - one) / 49 / 1024;
    const extra = (weights[1][1].rss - bare.rss) / MB;
    const idle = weights[1][1].idleMs;
    return {
        head: ['private dirty, MB', '1 app', '10 apps', '50 apps', 'KB per app, 1 → 50', 'KB per app, 10 → 50', 'RSS at 50 apps, MB'],
        lines,
        more: {
            head: [`a small Node app, median of ${COPIES}`, 'RSS, MB', 'more than alone', 'private dirty, MB', 'more than alone',
                'CPU ms per second of idling'],
            lines: weights.map(([what, w]) => [what, digits(w.rss / MB), digits((w.rss - bare.rss) / MB),
                digits(w.dirty / MB), digits((w.dirty - bare.dirty) / MB), digits(w.idleMs)]),
        },
        bars: [
            [`50 apps ≤ 8 MB private dirty: ${digits(fifty / MB)}`, fifty <= 8 * MB],
            [`≤ 32 KB more per app: ${digits(perApp)} (the history is no memory of ours: at most 4 KB of a memfd per app)`, perApp <= 32],
            [`apps themselves +0: ${digits(extra)} MB of RSS more than alone`, Math.abs(extra) < 1],
            [`idle 0: ${digits(idle)} ms of CPU per second, alone ${digits(bare.idleMs)}`, idle - bare.idleMs < 0.1],
        ],
        notes: [pm2Missing, `At 50 apps: ${result.proctor.parts} MB.`, 'Apps of the first table: `sleep`. /proc/PID/smaps_rollup, one reading 1.5 s after the start.',
            'Met for "+0" means: within 1 MB, which is the spread between copies of one app.'],
    };
}
