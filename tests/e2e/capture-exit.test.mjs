// Apps that end in the middle of a capture: they end as without us, and the capture says what happened.
import test from 'node:test';
import assert from 'node:assert/strict';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { forEachNode, nodes, profilingEnv } from '../lib/nodes.mjs';
import { isAlive, until } from '../lib/proc.mjs';
import { cpuShare } from '../lib/profile.mjs';

const HANG_MS = 2000 * slow;
// What a capture may add to the end of an app: in the middle of all Nodes, and on the slowest of them.
const ADDED_MS = 300 * slow;
const MOST_ADDED_MS = 1000 * slow;
const ways = [
    { how: 'end', title: 'its natural end', signal: 'SIGUSR2', exitCode: 0 },
    { how: 'call', title: 'process.exit', signal: 'SIGUSR2', exitCode: 7 },
    { how: 'throw', title: 'an uncaught exception', signal: 'SIGUSR2', exitCode: 1 },
    { how: 'sigterm', title: 'a SIGTERM handler', signal: 'SIGTERM', exitCode: 5 },
    { how: 'kill', title: 'SIGKILL', signal: 'SIGKILL', exitCode: 128 + 9 },
];

// How the process of an app ended, as the supervisor saw it.
async function exitOf(host, name) {
    const { apps } = (await host.proctor(['list', '--json'], { expectCode: 0 })).json();
    return apps.find(app => app.name === name).exit;
}

// Makes the app end and returns the milliseconds from the moment in which it began to end (it says so itself; for
// SIGKILL: was sent) to the end of its process.
async function endApp(host, name, pid, way) {
    let began = Date.now();
    process.kill(pid, way.signal);
    await until(`${name} has ended by ${way.title}`, () => !isAlive(pid), HANG_MS);
    await host.waitStatus(name, 'stopped');
    if (way.how !== 'kill')
        began = Number((await host.waitLog(name, /ending (\d+)\n/))[1]);
    return (await exitOf(host, name)).at_ms - began;
}

async function checkRow(host, name, way) {
    const { pm2_env: row } = await host.row(name);
    assert.equal(row.exit_code, way.exitCode);
    assert.equal(row.restart_time, 0);
    const { code, signal } = await exitOf(host, name);
    assert.deepEqual({ code, signal },
        way.how === 'kill' ? { code: undefined, signal: 9 } : { code: way.exitCode, signal: undefined });
    const err = host.log(name, 'err');
    if (way.how === 'throw')
        assert.match(err, /Error: planned/);
    else
        assert.equal(err, '');
    assert.doesNotMatch(err, /[Dd]ebugger|For help/);
}

// The same app twice: one ends unobserved, the other in the middle of a capture.  Returns the state of the capture and
// both times.
async function exitOnce(host, node, way) {
    const alone = `${node.app}-alone`;
    await host.startApps([node.app, alone].map(name => ({
        name, script: appFile('exit.js'), args: [way.how], interpreter: node.path, autorestart: false,
        env: profilingEnv(node.major),
    })));
    await host.waitLog(alone, /ready\n$/);
    const aloneMs = await endApp(host, alone, await host.pid(alone), way);
    await host.waitLog(node.app, /ready\n$/);
    const pid = await host.pid(node.app);
    const capture = host.startCapture('cpu', node.app, { duration: '60s', args: ['--interval', '1ms'] });
    await capture.gather(300);
    const began = Date.now();
    const tookMs = await endApp(host, node.app, pid, way);
    const { record, profile } = await capture.finish(10000);
    const captureMs = Date.now() - began;
    assert.ok(captureMs < HANG_MS + 3000 * slow, `the capture ended after ${captureMs} ms`);
    assert.match(record.state, /^(partial|failed)$/);
    assert.ok(['running', 'stopping', 'sending', 'stored'].includes(record.phase), record.phase);
    if (record.state === 'failed')
        assert.equal(record.error.name, 'APP_GONE');
    else
        assert.ok(cpuShare(profile, 'hotLoop') >= 0.3);
    for (const name of [alone, node.app])
        await checkRow(host, name, way);
    await host.proctor(['delete', node.app, alone], { expectCode: 0 });
    return { major: node.major, state: record.state, aloneMs, tookMs };
}

const median = numbers => numbers.sort((a, b) => a - b)[numbers.length >> 1];

for (const way of ways) {
    test(`by ${way.title}, on every Node: right exit code, as fast as without us, and the phase is named`, async t => {
        const host = startHost(t);
        const runs = [];
        await forEachNode(nodes, async node => { runs.push(await exitOnce(host, node, way)); });
        const told = JSON.stringify(runs);
        // Only SIGKILL may lose what was there: in all other ways the app waits for us, and the profile is rescued.
        assert.deepEqual([...new Set(runs.map(run => run.state))], [way.how === 'kill' ? 'failed' : 'partial'], told);
        const [alone, took] = ['aloneMs', 'tookMs'].map(key => median(runs.map(run => run[key])));
        assert.ok(took <= alone + ADDED_MS, `the end took ${took} ms, without a capture ${alone} ms: ${told}`);
        for (const run of runs)
            assert.ok(run.tookMs <= alone + MOST_ADDED_MS, `Node ${run.major}: the end took ${run.tookMs} ms: ${told}`);
    });
}

test('a capture of an app that is stopped already, or waits for its restart, is refused', async t => {
    const host = startHost(t);
    await host.startApps([
        { name: 'down', script: appFile('crash.js'), autorestart: false },
        { name: 'late', script: appFile('crash.js'), restart_delay: 60000 },
    ], { mayFail: true });
    await host.waitStatus('down', 'stopped');
    await host.waitStatus('late', 'waiting restart');
    for (const name of ['down', 'late']) {
        const { code, stderr } = await host.capture('cpu', name);
        assert.equal(code, 1);
        assert.match(stderr, new RegExp(name));
    }
});
