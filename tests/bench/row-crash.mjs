// The manager is killed with SIGKILL while ten apps log, serve and talk: what becomes of them, and for how long.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HttpLoad, checkLines, logText, pidsOf } from '../lib/crash.mjs';
import { appFile } from '../lib/host.mjs';
import { isAlive, until } from '../lib/proc.mjs';
import { digits, median } from './stats.mjs';
import { newPm2, newProctor, pm2Missing, temporaryFolder } from './peers.mjs';

const APPS = 10, KILLS = { proctor: 20, PM2: 3 };

export const title = 'kill -9 of the manager: what becomes of ten apps';

const names = Array.from({ length: APPS }, (_, i) => `steady${i}`);

async function startSteady(peer, folder) {
    const portFile = name => path.join(folder, `${peer.name}-${name}.port`);
    await peer.start(names.map(name => ({ name, script: appFile('steady.js'), env: { PORT_FILE: portFile(name) } })));
    return portFile;
}

// Where an app listens, or listened last.
function whereIs(file) {
    const [port, pid] = fs.existsSync(file) ? fs.readFileSync(file, 'latin1').split(' ').map(Number) : [];
    return { port, pid };
}

// {name, port, pid} of each app whose process is alive.
function serving(portFile) {
    return names.map(name => ({ name, ...whereIs(portFile(name)) })).filter(({ pid }) => pid && isAlive(pid));
}

const answers = port => new Promise(resolve => {
    http.get({ host: '127.0.0.1', port, agent: false, timeout: 1000 }, response => response.resume().on('end', () => resolve(true)))
        .on('error', () => resolve(false)).on('timeout', function timedOut() { this.destroy(); });
});

async function allServe(portFile) {
    const apps = serving(portFile);
    return apps.length === APPS && (await Promise.all(apps.map(({ port }) => answers(port)))).every(Boolean);
}

// One kill; what PM2 needs by hand (or from systemd) is done at once.
async function killOnce(peer, portFile, mend) {
    const before = new Map(serving(portFile).map(({ name, pid }) => [name, pid]));
    const [pid] = await peer.daemonPids();
    const begin = performance.now();
    process.kill(pid, 'SIGKILL');
    await mend(pid);
    const back = performance.now() - begin;
    // PM2's apps notice within a second.
    await delay(peer.name === 'PM2' ? 1500 : 100);
    await until('all apps serve', () => allServe(portFile), 30000);
    const served = performance.now() - begin;
    const changed = serving(portFile).filter(({ name, pid: now }) => before.get(name) !== now).length;
    return { back, served, changed };
}

async function storm(peer, folder, mend) {
    const portFile = await startSteady(peer, folder);
    await until('all apps serve', () => allServe(portFile), 30000);
    if (peer.name === 'PM2')
        await peer.run('save');
    const load = new HttpLoad(names.map(name => () => whereIs(portFile(name))), 10);
    const kills = [];
    for (let i = 0; i < KILLS[peer.name]; i++) {
        await delay(200);
        kills.push(await killOnce(peer, portFile, mend));
    }
    await load.stop();
    return { kills, requests: load.requests, failed: load.failed };
}

async function stormProctor(folder) {
    const peer = newProctor();
    const result = await storm(peer, folder, async before => {
        const { Control } = await import('../lib/control.mjs');
        const control = new Control(peer.host.home);
        while ((await control.ping()).pid === before)
            await delay(1);
    });
    await peer.host.proctor(['stop', 'all'], { expectCode: 0 });
    const logs = names.map(name => checkLines(logText(peer.outFile(name))));
    const sum = key => logs.reduce((all, log) => all + log[key], 0);
    return { ...result, lines: sum('lines'), broken: sum('lost') + sum('duplicated') + sum('torn'), keepers: pidsOf(peer.host, 'proctor-keeper').length };
}

async function stormPm2(folder) {
    const peer = newPm2();
    return peer && storm(peer, folder, () => peer.run('resurrect'));
}

export async function run() {
    const folder = temporaryFolder();
    const ours = await stormProctor(folder);
    const pm2 = await stormPm2(folder);
    const line = (name, { kills, requests, failed }, lines) => [name, kills.length,
        kills.map(one => one.changed).reduce((a, b) => a + b, 0), `${failed} of ${requests}`,
        digits(median(kills.map(one => one.back))), digits(Math.max(...kills.map(one => one.back))), lines];
    const back = median(ours.kills.map(one => one.back));
    return {
        head: ['manager', 'kills', 'apps restarted', 'requests failed', 'ms until it answers: median', 'most', 'lines lost, doubled or torn'],
        lines: [line('proctor', ours, `${ours.broken} of ${ours.lines}`), ...pm2 ? [line('PM2, `pm2 resurrect` at once', pm2, 'not counted')] : []],
        bars: [
            [`0 apps restarted: ${ours.kills.reduce((sum, one) => sum + one.changed, 0)}`, ours.kills.every(one => one.changed === 0)],
            [`0 requests failed: ${ours.failed}`, ours.failed === 0],
            [`0 lines lost: ${ours.broken}`, ours.broken === 0],
            [`adopted again in ≤ 50 ms, median: ${digits(back)}`, back <= 50],
        ],
        notes: [pm2Missing, `${APPS} Node apps, 100 lines, 100 messages and up to 100 requests a second each, one keep-alive connection each.`,
            'The time is from the kill to the first answer of the next supervisor, which has adopted everything by then.'],
    };
}
