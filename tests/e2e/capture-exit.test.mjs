// Apps that end in the middle of a capture: they end as without us, and the capture says what happened.
import test from 'node:test';
import assert from 'node:assert/strict';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { forEachNode, nodes, profilingEnv } from '../lib/nodes.mjs';
import { isAlive, until } from '../lib/proc.mjs';
import { cpuShare } from '../lib/profile.mjs';

const HANG_MS = 2000 * slow;
const ways = [
    { how: 'end', title: 'its natural end', signal: 'SIGUSR2', exitCode: 0 },
    { how: 'call', title: 'process.exit', signal: 'SIGUSR2', exitCode: 7 },
    { how: 'throw', title: 'an uncaught exception', signal: 'SIGUSR2', exitCode: 1 },
    { how: 'sigterm', title: 'a SIGTERM handler', signal: 'SIGTERM', exitCode: 5 },
    { how: 'kill', title: 'SIGKILL', signal: 'SIGKILL', exitCode: null },
];

// How long the same app takes from the signal to its end when nobody profiles it is some milliseconds, so what we see
// here is what we added.
async function exitOnce(host, node, way) {
    await host.startApps([{
        name: node.app, script: appFile('exit.js'), args: [way.how], interpreter: node.path, autorestart: false,
        env: profilingEnv(node.major),
    }]);
    await host.waitLog(node.app, /ready\n$/);
    const pid = await host.pid(node.app);
    const capture = host.startCapture('cpu', node.app, { duration: '60s', args: ['--interval', '1ms'] });
    await capture.gather(300);
    const began = Date.now();
    process.kill(pid, way.signal);
    await until(`Node ${node.major} has ended by ${way.title}`, () => !isAlive(pid), HANG_MS);
    const { record, profile } = await capture.finish(10000);
    const took = Date.now() - began;
    assert.ok(took < HANG_MS + 3000 * slow, `the capture ended after ${took} ms`);
    assert.match(record.state, /^(partial|failed)$/);
    assert.ok(['running', 'stopping', 'sending', 'stored'].includes(record.phase), record.phase);
    if (record.state === 'failed')
        assert.equal(record.error.name, 'APP_GONE');
    else
        assert.ok(cpuShare(profile, 'hotLoop') >= 0.3);
    const row = await host.waitStatus(node.app, 'stopped');
    if (way.exitCode !== null)
        assert.equal(row.pm2_env.exit_code, way.exitCode);
    assert.equal(row.pm2_env.restart_time, 0);
    const err = host.log(node.app, 'err');
    if (way.how === 'throw')
        assert.match(err, /Error: planned/);
    else
        assert.equal(err, '');
    assert.doesNotMatch(err, /[Dd]ebugger|For help/);
    await host.proctor(['delete', node.app], { expectCode: 0 });
    return record.state;
}

for (const way of ways) {
    test(`by ${way.title}, on every Node: right exit code, no hang, and the phase is named`, async t => {
        const host = startHost(t);
        const states = {};
        await forEachNode(nodes, async node => { states[node.major] = await exitOnce(host, node, way); });
        // Only SIGKILL may lose what was there: in all other ways the app waits for us, and the profile is rescued.
        if (way.how !== 'kill')
            assert.deepEqual([...new Set(Object.values(states))], ['partial'], JSON.stringify(states));
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
