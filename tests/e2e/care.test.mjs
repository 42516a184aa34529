// What one does to apps that run: flush, reset, signal, scale, env; and how apps can be named.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { isAlive, until } from '../lib/proc.mjs';

const steady = (name, more = {}) => ({ name, script: appFile('sleep.sh'), ...more });

function writeScript(host, name, text) {
    const file = path.join(host.work, name);
    fs.writeFileSync(file, text, { mode: 0o700 });
    return file;
}

const labels = rows => rows.map(row => `${row.name}-${row.pm2_env.NODE_APP_INSTANCE}`).sort();

test('flush empties the logs, archives included, and what comes then is there', async t => {
    const host = startHost(t);
    const talker = writeScript(host, 'talk.sh', '#!/bin/bash\ntrap "echo told; echo told >&2" USR2\n' +
        'for i in $(seq 3000); do echo "line $i of some length to fill the file"; done; echo ready\nwhile :; do sleep 0.05; done\n');
    await host.startApps([{ name: 'talk', script: talker, interpreter: 'none', log_max_size: '64K' }, steady('other')]);
    // It may be in an archive already.
    await until('all is written', async () => (await host.proctor(['logs', 'talk', '--nostream', '-n', '1', '--raw'])).stdout === 'ready\n', 10000 * slow);
    const archives = () => fs.readdirSync(path.join(host.home, 'logs')).filter(name => /^talk-0\.out\.\d/.test(name));
    await until('there is an archive', () => archives().length > 0, 10000 * slow);
    const { stdout } = await host.proctor(['flush', 'talk'], { expectCode: 0 });
    assert.equal(stdout, 'emptied the logs of talk-0\n');
    assert.equal(host.log('talk'), '');
    await until('no archive is left', () => archives().length === 0);
    assert.equal((await host.proctor(['logs', 'talk', '--nostream', '-n', '10000'], { expectCode: 0 })).stdout, '');
    await host.proctor(['signal', 'USR2', 'talk'], { expectCode: 0 });
    await host.waitLog('talk', /^told\n$/);
    await host.waitLog('talk', /^told\n$/, { stream: 'err' });
    assert.notEqual(host.daemonLog(), '');
    const all = (await host.proctor(['flush', '--json'], { expectCode: 0 })).json();
    assert.deepEqual(all.instances.map(i => i.name).sort(), ['other', 'talk']);
    assert.equal(host.log('talk') + host.log('talk', 'err'), '');
    assert.equal(host.daemonLog(), '', 'proctor.log is emptied with all');
    await host.proctor(['stop', 'talk'], { expectCode: 0 });
    assert.match(host.daemonLog(), /talk-0/, 'and goes on');
});

test('reset sets the counts to zero', async t => {
    const host = startHost(t);
    await host.startApps([steady('web')]);
    await host.proctor(['restart', 'web'], { expectCode: 0 });
    assert.equal((await host.row('web')).pm2_env.restart_time, 1);
    const before = (await host.row('web')).pm2_env.created_at;
    assert.equal((await host.proctor(['reset', 'web'], { expectCode: 0 })).stdout, 'counts begin anew for web-0\n');
    const { pm2_env: env } = await host.row('web');
    assert.deepEqual([env.restart_time, env.unstable_restarts], [0, 0]);
    assert.ok(env.created_at > before);
    process.kill(await host.supervisorPid(), 'SIGKILL');
    assert.equal((await host.row('web')).pm2_env.restart_time, 0, 'also for the next supervisor');
});

test('a signal goes to the process, by name or number; an end by it is known as such', async t => {
    const host = startHost(t);
    const shell = writeScript(host, 'shell.sh', '#!/bin/bash\ntrap "echo hup" HUP\necho ready\nwhile :; do sleep 0.05; done\n');
    await host.startApps([{ name: 'shell', script: shell, interpreter: 'none' }, { name: 'node', script: appFile('env.js') }]);
    await host.waitLog('shell', /ready/);
    for (const name of ['HUP', 'SIGHUP', 'hup', '1'])
        assert.match((await host.proctor(['signal', name, 'shell'], { expectCode: 0 })).stdout, /^sent signal 1 \(SIGHUP\) to shell-0$/m);
    await host.waitLog('shell', /hup/);
    await host.proctor(['signal', 'NOPE', 'shell'], { expectCode: 2 });
    const before = await host.pid('shell');
    await host.proctor(['sendSignal', 'SIGKILL', 'shell'], { expectCode: 0 });
    await until('it was started again', async () => { const pid = await host.pid('shell'); return pid && pid !== before; });
    const { apps } = (await host.proctor(['why', 'shell', '--json'], { expectCode: 0 })).json();
    assert.deepEqual([apps[0].exits[0].cause, apps[0].exits[0].signal], ['proctor signal', 9]);
    const refused = await host.proctor(['signal', 'USR1', 'node'], { expectCode: 1 });
    assert.match(refused.stderr, /opens the inspector .* --force/);
    await host.proctor(['stop', 'shell'], { expectCode: 0 });
    assert.match((await host.proctor(['signal', 'HUP', 'shell'], { expectCode: 1 })).stderr, /shell-0: it has no process/);
});

test('scale: more, fewer, the newest first, and it stays so', async t => {
    const host = startHost(t);
    await host.startApps([steady('web', { instances: 2 }), steady('other')]);
    const [first] = await host.jlist();
    await host.proctor(['scale', 'web', '+2'], { expectCode: 0 });
    assert.deepEqual(labels(await host.jlist()), ['other-0', 'web-0', 'web-1', 'web-2', 'web-3']);
    const rows = (await host.jlist()).filter(row => row.name === 'web');
    assert.ok(rows.every(row => row.pm2_env.status === 'online' && row.pm2_env.instances === 4));
    process.kill(await host.supervisorPid(), 'SIGKILL');
    await host.proctor(['scale', 'web', '-1'], { expectCode: 0 });
    assert.deepEqual(labels(await host.jlist()), ['other-0', 'web-0', 'web-1', 'web-2']);
    assert.ok(!isAlive(rows[3].pid) && isAlive(rows[0].pid));
    const { stdout } = await host.proctor(['scale', 'web', '1'], { expectCode: 0 });
    assert.match(stdout, /web-2: deleted/);
    assert.deepEqual(labels(await host.jlist()), ['other-0', 'web-0']);
    assert.equal((await host.row('web')).pid, first.pid, 'the oldest was left alone');
    await host.proctor(['scale', 'web', '1'], { expectCode: 0 });
    assert.match((await host.proctor(['scale', 'web', '-1'], { expectCode: 1 })).stderr, /at least one stays/);
    assert.match((await host.proctor(['scale', 'web', '100000'], { expectCode: 2 })).stderr, /not a number of instances/);
    assert.match((await host.proctor(['scale', 'web', '600'], { expectCode: 1 })).stderr, /too many/);
    assert.match((await host.proctor(['scale', 'wbe', '2'], { expectCode: 1 })).stderr, /did you mean "web"/);
    await host.proctor(['scale', 'web', '0'], { expectCode: 2 });
});

test('env shows what an app is started with, and hides secrets', async t => {
    const host = startHost(t);
    await host.startApps([steady('web', { env: { GREETING: 'hello', API_KEY: 'abc123', DATABASE: 'postgres://u:pw@db/x' } })]);
    const { stdout } = await host.proctor(['env', 'web'], { expectCode: 0 });
    assert.match(stdout, /^GREETING=hello$/m);
    assert.match(stdout, /^API_KEY=\*\*\*$/m);
    assert.match(stdout, /^DATABASE=\*\*\*$/m);
    assert.match(stdout, /^PROCTOR_APP=web$/m);
    assert.match((await host.proctor(['env', 'web', '--show'], { expectCode: 0 })).stdout, /^API_KEY=abc123$/m);
    const { apps } = (await host.proctor(['env', 'web', '--json'], { expectCode: 0 })).json();
    assert.deepEqual([apps[0].name, apps[0].env.GREETING, apps[0].env.API_KEY], ['web', 'hello', '***']);
});

test('apps are named by name, instance, id, pattern, script, file, standard input, all of them', async t => {
    const host = startHost(t);
    const script = writeScript(host, 'own.sh', '#!/bin/bash\nexec sleep 1000\n');
    const file = host.writeConfig([steady('web-a'), steady('web-b', { instances: 2 }), { name: 'mine', script, interpreter: 'none' }]);
    await host.proctor(['start', file], { expectCode: 0 });
    const restarted = async (...targets) => {
        await host.proctor(['reset', 'all'], { expectCode: 0 });
        await host.proctor(['restart', ...targets], { expectCode: 0 });
        return labels((await host.jlist()).filter(row => row.pm2_env.restart_time === 1));
    };
    assert.deepEqual(await restarted('/^web-/'), ['web-a-0', 'web-b-0', 'web-b-1']);
    assert.deepEqual(await restarted('/b$/', 'web-a'), ['web-a-0', 'web-b-0', 'web-b-1']);
    assert.deepEqual(await restarted('web-b-1'), ['web-b-1']);
    assert.deepEqual(await restarted(String((await host.row('mine')).pm_id)), ['mine-0']);
    assert.deepEqual(await restarted('own.sh'), ['mine-0']);
    assert.deepEqual(await restarted(script), ['mine-0']);
    assert.equal((await restarted('all')).length, 4);
    const { stderr } = await host.proctor(['restart', '/nothing/'], { expectCode: 1 });
    assert.match(stderr, /no app whose name matches \/nothing\//);
    assert.match((await host.proctor(['restart', '/(/'], { expectCode: 1 })).stderr, /is no pattern/);
    for (const args of [['describe', '/web/'], ['why', 'own.sh'], ['env', '/mine/'], ['flush', file]])
        await host.proctor(args, { expectCode: 0 });
    await host.proctor(['stop', '-'], { input: '{"apps":[{"name":"mine","script":"gone.js"}]}', expectCode: 0 });
    assert.equal((await host.row('mine')).pm2_env.status, 'stopped');
    await host.proctor(['start', '-'], { input: JSON.stringify({ apps: [steady('fresh')] }), expectCode: 0 });
    assert.equal((await host.row('fresh')).pm2_env.status, 'online');
    assert.match((await host.proctor(['start', '-'], { input: '{"apps":', expectCode: 1 })).stderr, /stdin\.json/);
    await host.proctor(['delete', file, 'fresh'], { expectCode: 0 });
    assert.deepEqual(await host.jlist(), []);
});

test('none of them starts a supervisor', async t => {
    const host = startHost(t);
    for (const args of [['flush'], ['reset', 'all'], ['signal', 'HUP', 'all'], ['scale', 'web', '2'], ['env', 'web'], ['restart', '/x/']])
        await host.proctor(args, { expectCode: 3 });
});
