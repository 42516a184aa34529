// Moving from PM2: what the real one has saved runs here.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { nodePath } from '../lib/nodes.mjs';

function findPm2() {
    const { status, stdout } = spawnSync(fileURLToPath(new URL('../bench/pm2.sh', import.meta.url)), { encoding: 'utf8', env: { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env.PATH}` } });
    return status === 0 ? stdout.trim() : null;
}
const pm2 = findPm2();

test('what PM2 has saved is started: command, folder, arguments, environment, settings', { skip: !pm2 && 'PM2 is not to be had' }, async t => {
    const host = startHost(t);
    const own = path.join(host.work, 'own.js');
    fs.copyFileSync(appFile('env.js'), own);
    const file = host.writeConfig([
        { name: 'own', script: own, args: ['a', 'b c'], node_args: ['--no-warnings'], env: { GREETING: 'hello', API_KEY: 'secret' }, kill_timeout: 2000, max_restarts: 5, restart_delay: 100 },
        { name: 'many', script: appFile('steady.js'), instances: 2, exec_mode: 'fork' },
        { name: 'rests', script: appFile('sleep.sh'), interpreter: 'bash' },
    ]);
    const home = path.join(host.folder, 'pm2');
    const env = { ...host.env, PATH: `${path.dirname(nodePath(20))}:/usr/bin:/bin`, PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: '1', PM2_NO_INTERACTION: 'true' };
    const runPm2 = (...args) => execFileSync(process.execPath, [pm2, ...args], { env: { ...env, SHLVL: '7' }, cwd: host.work, encoding: 'utf8', timeout: 60000 * slow, stdio: ['ignore', 'pipe', 'ignore'] });
    try {
        runPm2('start', file);
        runPm2('stop', 'rests');
        runPm2('save');
    } finally {
        runPm2('kill');
    }
    const printed = await host.proctor(['import-pm2', '--print'], { env, expectCode: 0 });
    const { apps } = JSON.parse(printed.stdout);
    const app = name => apps.find(one => one.name === name);
    assert.deepEqual(app('own').env, { GREETING: 'hello', API_KEY: 'secret' }, 'what the shell has anyway is left out');
    assert.deepEqual([app('own').script, app('own').cwd, app('own').args, app('own').kill_timeout, app('many').instances], [own, host.work, ['a', 'b c'], 2000, 2]);
    await host.proctor(['ping'], { expectCode: 3 });
    assert.equal(app('rests')?.autostart ?? false, false);
    const { stderr } = await host.proctor(['import-pm2', path.join(home, 'dump.pm2')], { env, expectCode: 0 });
    assert.match(stderr, /rests was not running under PM2, it was left out/);
    const rows = await host.jlist();
    assert.deepEqual(rows.filter(row => row.pm2_env.status === 'online').map(row => row.name), ['own', 'many', 'many']);
    const { pm2_env: settings } = rows[0];
    assert.deepEqual([settings.pm_exec_path, settings.pm_cwd, settings.args, settings.node_args, settings.max_restarts, settings.restart_delay, settings.kill_timeout],
        [own, host.work, ['a', 'b c'], ['--no-warnings'], 5, 100, 2000]);
    await host.waitLog('own', /env /);
    const told = JSON.parse(host.log('own').trim().split('\n').pop().replace(/^env /, ''));
    assert.deepEqual(told.argv, ['a', 'b c']);
    assert.equal(await host.row('rests'), null);
});

test('a file that is none, or nothing in it', async t => {
    const host = startHost(t);
    const file = path.join(host.work, 'dump.pm2');
    const env = { PM2_HOME: host.work };
    assert.match((await host.proctor(['import-pm2'], { env, expectCode: 1 })).stderr, /cannot read .*dump\.pm2: .*pm2 save/);
    for (const text of ['', '{', '{"apps":[]}', '"x"']) {
        fs.writeFileSync(file, text);
        assert.match((await host.proctor(['import-pm2'], { env, expectCode: 1 })).stderr, /is not what "pm2 save" writes/);
    }
    fs.writeFileSync(file, '[]');
    assert.match((await host.proctor(['import-pm2'], { env, expectCode: 0 })).stdout, /there are no apps/);
    fs.writeFileSync(file, '[{"name":"x"},7]');
    assert.match((await host.proctor(['import-pm2'], { env, expectCode: 0 })).stderr, /entry 0 has no name or no script/);
    await host.proctor(['ping'], { expectCode: 3 });
});
