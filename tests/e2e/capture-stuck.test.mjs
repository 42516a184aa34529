// Programs of ours that live but do not answer.
import test from 'node:test';
import assert from 'node:assert/strict';
import { appFile, startHost } from '../lib/host.mjs';

test('an agent that is stopped is replaced within a minute, and the capture is taken all the same', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'app', script: appFile('cpu.js') }]);
    await host.waitLog('app', /listening/);
    const { agent_pid: agent } = (await host.proctor(['ping', '--json'], { expectCode: 0 })).json();
    assert.ok(agent > 0);
    process.kill(agent, 'SIGSTOP');
    const { code, record, stderr } = await host.startCapture('cpu', 'app', { duration: '300ms' }).finish();
    assert.equal(code, 0, stderr);
    assert.equal(record.state, 'done');
});
