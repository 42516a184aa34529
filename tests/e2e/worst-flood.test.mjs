// Apps that print lines like those of Node's inspector, a thousand per second.
import test from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { isAlive, listeningPorts, until } from '../lib/proc.mjs';

const errorOf = ({ record, stderr }) => `${record?.error?.name} ${record?.error?.message} ${stderr}`;

async function startFlood(host, env = {}) {
    await host.startApps([{ name: 'app', script: appFile('forge-flood.js'), env }]);
    const [, port] = await host.waitLog('app', /forging (\d+)/);
    return { pid: await host.pid('app'), own: [Number(port)] };
}

for (const [whose, env] of [['its own port', {}], ['a port of nobody', { FORGE_PORT: '9' }]]) {
    test(`a flood of forged lines for ${whose} keeps nobody from ping and kill, and no inspector stays open`, async t => {
        const host = startHost(t);
        const { pid, own } = await startFlood(host, env);
        const began = Date.now();
        let slowestPing = 0;
        let ended = false;
        const capture = host.startCapture('cpu', 'app', { duration: '1s' });
        const finished = capture.finish(31000).finally(() => { ended = true; });
        finished.catch(() => {}); /* it is awaited below */
        while (!ended) {
            const asked = Date.now();
            await host.proctor(['ping'], { expectCode: 0 });
            slowestPing = Math.max(slowestPing, Date.now() - asked);
            await delay(100);
        }
        const result = await finished;
        assert.ok(Date.now() - began < 31000 * slow);
        assert.match(String(result.record?.state), /^(done|failed)$/, result.stdout + result.stderr);
        assert.equal(result.code, result.record.state === 'done' ? 0 : 1);
        if (result.code !== 0)
            assert.ok(result.record.error.message.length > 10, errorOf(result));
        await until(`no inspector is open (${errorOf(result)})`, () => listeningPorts(pid).join() === own.join(), 10000 * slow);
        assert.ok(slowestPing < 2000 * slow, `the slowest ping took ${slowestPing} ms`);
        assert.ok(isAlive(pid));
        const last = host.startCapture('cpu', 'app', { duration: '60s' });
        await last.waitPhase('open');
        const asked = Date.now();
        await host.proctor(['kill'], { expectCode: 0 });
        assert.ok(Date.now() - asked < 5000 * slow, `kill took ${Date.now() - asked} ms`);
        assert.ok(!isAlive(pid));
        await last.finish(5000);
        const forged = new RegExp(`^Debugger listening on ws://127\\.0\\.0\\.1:${env.FORGE_PORT ?? own}/[0-9A-F-]{36}$`);
        const others = host.log('app', 'err').split('\n').filter(line => line && !forged.test(line));
        assert.deepEqual(others.slice(0, 5), [], 'what the app wrote is kept, and nothing of the real inspector');
    });
}

test('an app that forged lines for its own port is profiled as soon as it is silent', async t => {
    const host = startHost(t);
    const { pid, own } = await startFlood(host);
    const first = await host.capture('cpu', 'app', { duration: '300ms' });
    assert.match(first.record.state, /^(done|failed)$/);
    process.kill(pid, 'SIGUSR2');
    await host.waitLog('app', /silent/);
    const { code, record, stderr } = await host.capture('cpu', 'app', { duration: '300ms' });
    assert.equal(code, 0, stderr);
    assert.equal(record.state, 'done');
    assert.deepEqual(record.warnings ?? [], []);
    assert.deepEqual(listeningPorts(pid), own);
});
