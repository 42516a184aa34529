// `proctor report`: enough to find a fault, and nothing that is the user's own.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { appFile, startHost } from '../lib/host.mjs';

test('the bundle has what helps, and no secret', async t => {
    const host = startHost(t, { env: { SHELL_SECRET: 'tell-no-one-1' } });
    const app = path.join(host.work, 'app.sh');
    fs.writeFileSync(app, '#!/bin/bash\necho tell-no-one-2 >&2\necho tell-no-one-3\nexit 1\n', { mode: 0o700 });
    await host.startApps([{ name: 'bad', script: app, interpreter: 'none', args: ['--password=tell-no-one-4'], env: { KEY: 'tell-no-one-5' }, max_restarts: 2 },
        { name: 'good', script: appFile('sleep.sh') }], { mayFail: true });
    await host.waitStatus('bad', 'errored');
    const { stdout } = await host.proctor(['report'], { expectCode: 0 });
    assert.doesNotMatch(stdout, /tell-no-one/);
    const report = JSON.parse(stdout);
    assert.ok(report.host.memory_bytes > 0 && report.host.cpus > 0 && report.release);
    assert.equal(report.supervisor.pid, await host.supervisorPid());
    const bad = report.list.apps.find(one => one.name === 'bad');
    assert.deepEqual([bad.status, bad.spec.args, bad.spec.script], ['errored', 1, app]);
    assert.ok(bad.env > 3);
    assert.deepEqual(report.why.apps.find(one => one.name === 'bad').exits[0].code, 1);
    assert.ok(report.log.some(line => /bad-0: .*errored/.test(line)));
    const file = path.join(host.work, 'report.json');
    await host.proctor(['report', '-o', file], { expectCode: 0 });
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    assert.equal(JSON.parse(fs.readFileSync(file)).version, 1);
    await host.proctor(['report', '-o', file], { expectCode: 1 });
});

test('without a supervisor it says so, and starts none', async t => {
    const host = startHost(t);
    const report = (await host.proctor(['report'], { expectCode: 0 })).json();
    assert.equal(report.supervisor, 'not running');
    await host.proctor(['ping'], { expectCode: 3 });
});
