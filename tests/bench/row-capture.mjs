// What a running CPU profile costs an app under load: rounds with and without, in turn.
import http from 'node:http';
import { median, medianUpperBound, digits, spread } from './stats.mjs';
import { benchFile, cpuUs } from './measure.mjs';
import { newProctor } from './peers.mjs';

const ROUNDS = 20, REQUESTS = 2000, CONNECTIONS = 4;
const INTERVAL = '10ms';

export const title = 'A CPU capture at 100 Hz under load';

function get(port, agent, number) {
    return new Promise((resolve, reject) => {
        const request = http.get({ host: '127.0.0.1', port, agent, path: `/item/${number}`, timeout: 10000 }, response => {
            response.resume().on('end', resolve).on('error', reject);
        });
        request.on('timeout', () => request.destroy(new Error('the app did not answer'))).on('error', reject);
    });
}

// A fixed number of requests over kept connections; returns CPU microseconds of the app per request.
async function load(app, count = REQUESTS) {
    const before = await cpuUs(app.pid);
    let left = count;
    const client = async () => {
        while (left-- > 0)
            await get(app.port, app.agent, left);
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, client));
    return (await cpuUs(app.pid) - before) / count;
}

async function loadProfiled(host, app, records) {
    const capture = host.startCapture('cpu', 'server', { duration: '2m', args: ['--interval', INTERVAL] });
    await capture.waitPhase('running');
    const cost = await load(app);
    capture.interrupt();
    const { code, record, stderr } = await capture.finish();
    if (code !== 0 || !record)
        throw new Error(`a capture failed: ${stderr}`);
    records.push(record);
    return cost;
}

// CPU milliseconds of one whole short capture in an app that is at rest and would use none.
async function fixedCost(host, app) {
    const costs = [];
    for (let i = 0; i < 5; i++) {
        const before = await cpuUs(app.pid);
        await host.capture('cpu', 'server', { duration: '300ms', args: ['--interval', INTERVAL] });
        costs.push((await cpuUs(app.pid) - before) / 1000);
    }
    return median(costs);
}

export async function run() {
    const proctor = newProctor();
    const { host } = proctor;
    await proctor.start([{ name: 'server', script: benchFile('server.js') }]);
    const [, port] = await host.waitLog('server', /listening (\d+)/);
    const app = { pid: await host.pid('server'), port: Number(port), agent: new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS }) };
    await load(app, REQUESTS);
    const off = [], on = [], records = [];
    for (let round = 0; round < ROUNDS; round++) {
        // off on, on off, off on, …: what drifts falls on both alike, and two rounds without are neighbours.
        const order = round % 2 ? ['on', 'off'] : ['off', 'on'];
        for (const what of order) {
            if (what === 'on')
                on.push(await loadProfiled(host, app, records));
            else
                off.push(await load(app));
        }
    }
    const fixed = await fixedCost(host, app);
    app.agent.destroy();
    return summary({ off, on, records, fixed });
}

function summary({ off, on, records, fixed }) {
    const ratios = on.map((cost, i) => cost / off[i]);
    const nothing = off.slice(1).flatMap((cost, i) => (i % 2 ? [cost / off[i]] : []));
    const bound = medianUpperBound(ratios);
    const pauses = records.map(record => record.start_pause_us / 1000);
    return {
        head: ['', 'value', 'least … most'],
        lines: [
            ['CPU ms per request, no capture (absolute)', digits(median(off) / 1000), spread(off.map(us => us / 1000))],
            ['CPU ms per request, capture running (absolute)', digits(median(on) / 1000), spread(on.map(us => us / 1000))],
            [`ratio on/off, median of ${ratios.length} pairs`, digits(median(ratios)), spread(ratios)],
            ['upper 95 % bound of that median', digits(bound), ''],
            [`ratio off/off of neighbours, median of ${nothing.length}: what the method itself shows`,
                digits(median(nothing)), spread(nothing)],
            ['start pause in the records, ms (absolute)', digits(median(pauses)), spread(pauses)],
            ['CPU ms of a whole capture of 300 ms in the app at rest (absolute)', digits(fixed), ''],
        ],
        bars: [[`upper 95 % bound ≤ 1.05: ${digits(bound)}`, bound <= 1.05]],
        notes: [
            `${REQUESTS} requests per round over ${CONNECTIONS} kept connections; a round with a capture begins when its phase is "running".`,
            'CPU by the process clock (the sum in /proc/PID/stat, but not in steps of 10 ms).',
            'The bound is an order statistic: no distribution is assumed.',
        ],
    };
}
