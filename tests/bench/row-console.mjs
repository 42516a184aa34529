// What a connected agent costs the console: its memory, and the CPU that a message takes from TLS to the row on disk.
// Strangers of tests/lib stand for the agents: each with its own certificate, 3 processes, 1.2 KB every 5 s.
import https from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { startConsole } from '../lib/console.mjs';
import { connectAgent, enrol, hello, makeKey, process_ } from '../lib/stranger.mjs';
import { memoryOf } from '../lib/proc.mjs';
import { digits } from './stats.mjs';
import { cpuUs } from './measure.mjs';
import { onClose } from './peers.mjs';

const AGENTS = 500, PROCESSES = 3, EACH_MS = 5000, WINDOW_MS = 60000, BUSY_MS = 10000, MESSAGE_BYTES = 1200, AT_ONCE = 20;
const BAR_AGENTS = 10000, BAR_KB = 24 + PROCESSES, BAR_CPU = 15;

export const title = `Console with ${AGENTS} agents`;

// Runs `work` for 0 … count - 1, some at a time.
async function each(count, work) {
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        while (next < count)
            await work(next++);
    }));
}

// One key is enough for all: a host is who its certificate says.
async function identities(c) {
    const { key, csr } = makeKey(c.folder);
    const agent = new https.Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const found = [];
    await each(AGENTS, async i => {
        const { body } = await c.api('POST', 'enrolments', { role: 'admin', body: {}, agent });
        const { body: host } = await enrol(c, { token: body.token, csr, hostname: `host${i}` });
        found.push({ id: host.host, key, certificate: host.certificate });
    });
    agent.destroy();
    return found;
}

// A message of the size of the bar's: long sentences fill it up.
function message(round) {
    const processes = Array.from({ length: PROCESSES }, (_, i) => process_({
        app: `service-${i}`, pid: 4000 + i, cpu: (round * 7 + i * 13) % 90 / 3, memory: 80e6 + (round * 37 + i) % 50 * 4096,
        uptime_ms: 60000 + round * EACH_MS,
    }));
    const text = () => JSON.stringify({ type: 'processes', at_ms: Date.now(), processes });
    processes[0].kinds.heap = 'x'.repeat(Math.max(0, MESSAGE_BYTES - text().length));
    return text();
}

async function connectAll(c, hosts, peers) {
    await each(hosts.length, async i => {
        const peer = await connectAgent(c, hosts[i]);
        peer.send(hello({ hostname: `host${i}` }));
        await peer.json(one => one.type === 'hello');
        peer.messages.length = 0;
        peers.push(peer);
    });
}

// Each of them every so often, spread over the time; the console's pings are answered by that.  Returns how many were sent.
async function talk(peers, ms, eachMs) {
    const begin = performance.now();
    let sent = 0;
    for (;;) {
        const now = performance.now() - begin;
        const due = Math.min(now, ms) / eachMs * peers.length;
        for (; sent < due; sent++)
            peers[sent % peers.length].send(message(Math.floor(sent / peers.length)));
        if (now >= ms)
            return sent;
        await delay(5);
    }
}

// What that costs the console: CPU as a share of a core, and per message in microseconds.
async function measure(c, peers, ms, eachMs) {
    const cpu0 = await cpuUs(c.pid), begin = performance.now();
    const sent = await talk(peers, ms, eachMs);
    const cpu = await cpuUs(c.pid) - cpu0, us = (performance.now() - begin) * 1000;
    return { sent, share: cpu / us * 100, each: cpu / sent, rate: sent / us * 1e6 };
}

export async function run() {
    const t = { name: 'bench', passed: true, after: onClose };
    const c = await startConsole(t);
    const peers = [];
    onClose(async () => peers.forEach(peer => peer.close()));
    const hosts = await identities(c);
    await delay(500);
    const rss0 = memoryOf(c.pid).VmRSS;
    await connectAll(c, hosts, peers);
    await talk(peers, EACH_MS, EACH_MS);
    const rssNew = memoryOf(c.pid).VmRSS;
    // As long as a minute, so that what was gathered is stored once.
    const own = await measure(c, peers, WINDOW_MS, EACH_MS);
    const rss = memoryOf(c.pid).VmRSS;
    const many = await measure(c, peers, BUSY_MS, EACH_MS * AGENTS / BAR_AGENTS);
    const { body } = await c.api('GET', 'hosts', { role: 'viewer' });
    const connected = body.hosts.filter(host => host.connected).length;
    const perAgent = (rss - rss0) / AGENTS / 1024;
    const line = (what, m) => [what, digits(m.rate), digits(m.share), digits(m.each)];
    return {
        head: ['agents', 'RSS without, MB', 'just connected, MB', 'a minute later, MB', 'KB per agent'],
        lines: [[connected, digits(rss0 / 1e6), digits(rssNew / 1e6), digits(rss / 1e6), digits(perAgent)]],
        more: {
            head: ['CPU of the console', 'messages per second', '% of a core', 'µs per message'],
            lines: [line(`${AGENTS} agents, every 5 s, for a minute`, own), line(`as many messages as of ${BAR_AGENTS} agents`, many)],
        },
        bars: [
            [`≤ 24 KB per agent and 1 KB per process, ${BAR_KB} KB here: ${digits(perAgent)}`, perAgent <= BAR_KB],
            [`≤ ${BAR_CPU} % of a core for ${BAR_AGENTS} agents: ${digits(many.share)} % for their messages over ${AGENTS} connections`,
                many.share <= BAR_CPU],
        ],
        notes: [`Messages of ${message(1).length} bytes with ${PROCESSES} processes, mutual TLS; CPU of all threads: TLS, JSON, the history, the store.`,
            `Not in the second line: timers of libwebsockets, which grow with the connections, and ${BAR_AGENTS * PROCESSES} rows a minute instead of ${AGENTS * PROCESSES}.`],
    };
}
