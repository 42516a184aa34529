// kill -9 of our own processes in any order while apps log, serve and talk: nothing of theirs may be lost.
// CRASH_KILLS: how many (20; `make soak` 200); CRASH_SEED repeats a run.
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { slow, startHost } from '../lib/host.mjs';
import { nodes } from '../lib/nodes.mjs';
import { until } from '../lib/proc.mjs';
import { Storm, notZero, pick, pidsOf } from '../lib/crash.mjs';

const kills = Number(process.env.CRASH_KILLS ?? 20);
// Supervisors most, since most depends on them.
const TARGETS = ['proctord', 'proctord', 'proctord', 'proctor-keeper', 'proctor-agent', 'proctor-probe'];

async function storm(t, options, rounds, targets, { captures = true } = {}) {
    const host = startHost(t);
    const it = new Storm(host, { nodes: nodes.map(node => node.path), ...options });
    t.diagnostic(`seed ${it.seed}`);
    await it.start();
    if (captures)
        it.startCaptures();
    for (let round = 0; round < rounds; round++) {
        await delay(it.random() * 500);
        const wanted = pick(it.random, targets);
        // Probes are there most of the time.
        if (wanted === 'proctor-probe')
            await until('there is a probe', () => pidsOf(host, wanted).length > 0, 3000 * slow).catch(() => {});
        if (await it.kill(wanted) === null)
            await it.kill('proctord');
        // At most one more while the first is being mended.
        if (it.random() < 0.2)
            await it.kill('proctord');
    }
    await delay(300);
    await it.stop();
    await host.proctor(['stop', 'all'], { expectCode: 0 });
    await it.checkLogs();
    t.diagnostic(it.report());
    assert.deepEqual(notZero(it.counts), {}, `seed ${it.seed}: ${it.examples.join('\n')}`);
    return it;
}

describe('kill -9', { concurrency: 1 }, () => {
    test(`of supervisor, keeper, agent and probe in random order, ${kills} times`, async t => {
        const it = await storm(t, { count: 10 }, kills, TARGETS);
        assert.ok(it.kills.proctord > 0);
    });

    test('while an app floods its log: every byte is there once', async t => {
        const host = startHost(t);
        const count = kills >= 100 ? 20e6 : 6e6;
        const it = new Storm(host, { count: 1, nodes: [nodes.at(-1).path] });
        t.diagnostic(`seed ${it.seed}`);
        await it.start();
        const started = host.startApps([{ name: 'flood', script: '/usr/bin/seq', args: ['1', String(count)], interpreter: 'none', autorestart: false,
            log_max_size: 0 }], { mayFail: true });
        await until('it floods', () => fs.statSync(host.logFile('flood', 'out'), { throwIfNoEntry: false })?.size > 0);
        let done = false;
        for (let round = 0; !done && round < 500; round++) {
            await it.kill(it.random() < 0.8 ? 'proctord' : 'proctor-keeper');
            done = (await host.row('flood')).pm2_env.status === 'stopped';
        }
        await started;
        await host.waitStatus('flood', 'stopped', 60000);
        const { status, stdout } = spawnSync('bash', ['-c', `seq 1 ${count} | cmp - "$1" && wc -c <"$1"`, 'bash', host.logFile('flood', 'out')],
            { encoding: 'utf8' });
        t.diagnostic(`${it.kills.proctord} + ${it.kills['proctor-keeper']} kills in ${stdout.trim()} bytes`);
        assert.equal(status, 0, stdout);
        assert.ok(it.kills.proctord + it.kills['proctor-keeper'] > 1, 'it was killed in the middle');
        await host.proctor(['delete', 'flood'], { expectCode: 0 });
        await it.stop();
        assert.deepEqual(notZero(it.counts), {}, it.examples.join('\n'));
    });

    test('SIGSTOP of the supervisor for 2 s: everything goes on, and nothing is lost', async t => {
        const host = startHost(t);
        const it = new Storm(host, { count: 4, nodes: nodes.map(node => node.path) });
        await it.start();
        const [pid] = pidsOf(host, 'proctord');
        process.kill(pid, 'SIGSTOP');
        await delay(2000);
        const served = it.load.requests;
        process.kill(pid, 'SIGCONT');
        assert.ok(served > 100 / slow, `${served} requests in the meantime`);
        assert.equal((await it.control.ping()).pid, pid, 'it goes on, and is not replaced');
        await delay(300);
        await it.stop();
        await host.proctor(['stop', 'all'], { expectCode: 0 });
        await it.checkLogs();
        t.diagnostic(it.report());
        assert.deepEqual(notZero(it.counts), {}, it.examples.join('\n'));
    });
});
