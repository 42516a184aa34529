// jlist beside that of the real PM2: the same apps under both, field by field.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { nodePath } from '../lib/nodes.mjs';
import { until } from '../lib/proc.mjs';

// The script's last line is PM2's program; without network and cache there is none.
function findPm2() {
    const { status, stdout } = spawnSync(fileURLToPath(new URL('../bench/pm2.sh', import.meta.url)), { encoding: 'utf8', env: { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env.PATH}` } });
    return status === 0 ? stdout.trim() : null;
}
const pm2 = findPm2();

// Equal in value; a function says how what is compared is made from both.
const equal = ['name', 'namespace', 'status', 'exec_mode', 'instances', 'pm_id', 'restart_time', 'exit_code', 'pm_exec_path', 'pm_cwd',
    'exec_interpreter', 'args', 'node_args', 'autorestart', 'autostart', 'version', 'node_version', 'username', 'instance_var', 'NODE_APP_INSTANCE',
    'treekill', 'pmx', 'windowsHide', 'kill_retry_time', 'km_link', 'vizion_running', 'filter_env', 'max_restarts', 'min_uptime', 'restart_delay', 'kill_timeout'];
// There with the same type.  Known differences: the folders of logs, what PM2's library in the app tells, and that PM2 counts a quick
// exit also where nothing will be restarted.
const typed = ['pm_uptime', 'created_at', 'unstable_restarts', 'unique_id', 'pm_out_log_path', 'pm_err_log_path', 'pm_pid_path', 'merge_logs', 'vizion',
    'automation', 'axm_actions', 'axm_monitor', 'axm_options', 'axm_dynamic', 'env'];
const kind = value => (Array.isArray(value) ? 'array' : typeof value);

test('every field of PM2 is there, with its type, and its value where that is promised', { skip: !pm2 && 'PM2 is not to be had' }, async t => {
    const host = startHost(t);
    fs.writeFileSync(path.join(host.work, 'package.json'), '{"name":"x","version":"4.5.6"}');
    const own = path.join(host.work, 'own.js');
    fs.copyFileSync(appFile('env.js'), own);
    const job = path.join(host.work, 'job.sh');
    fs.writeFileSync(job, '#!/bin/bash\nexit 3\n', { mode: 0o700 });
    const file = host.writeConfig([
        { name: 'one', script: own, args: ['a', 'b c'], node_args: ['--no-warnings'], env: { GREETING: 'hello', API_KEY: 'secret' }, kill_timeout: 2000, max_restarts: 5, restart_delay: 100, min_uptime: 1500 },
        { name: 'plain', script: appFile('env.js') },
        { name: 'job', script: job, interpreter: 'none', autorestart: false },
    ]);
    const env = { ...host.env, PATH: `${path.dirname(nodePath(20))}:/usr/bin:/bin`, PM2_HOME: path.join(host.folder, 'pm2'), PM2_DISABLE_VERSION_CHECK: '1', PM2_NO_INTERACTION: 'true' };
    const runPm2 = (...args) => execFileSync(process.execPath, [pm2, ...args], { env, cwd: host.work, encoding: 'utf8', timeout: 60000 * slow, stdio: ['ignore', 'pipe', 'ignore'] });
    let theirs;
    try {
        runPm2('start', file);
        theirs = await until('PM2 has seen the job end', () => {
            const text = runPm2('jlist');
            const rows = JSON.parse(text.slice(text.indexOf('[{')));
            return rows[2].pm2_env.status === 'stopped' && rows[0].pm2_env.status === 'online' && rows;
        }, 20000 * slow);
    } finally {
        runPm2('kill');
    }
    await host.proctor(['start', file], { env: { ...env, PROCTOR_HOME: host.home } });
    await host.waitStatus('job', 'stopped');
    const ours = (await host.proctor(['jlist', '--show-env'], { expectCode: 0 })).json();
    assert.equal(ours.length, theirs.length);
    for (const [i, mine] of ours.entries()) {
        const his = theirs[i];
        assert.deepEqual(Object.keys(mine), Object.keys(his), 'the members of a row, in their order');
        assert.deepEqual(Object.keys(mine.monit).sort(), Object.keys(his.monit).sort());
        assert.deepEqual([mine.name, mine.pm_id, mine.pid > 0, mine.monit.memory > 0], [his.name, his.pm_id, his.pid > 0, his.monit.memory > 0]);
        for (const key of equal) {
            // PM2 leaves out what is not set.
            if (key in his.pm2_env)
                assert.deepEqual(mine.pm2_env[key], his.pm2_env[key], `${his.name}: pm2_env.${key}`);
        }
        for (const key of typed) {
            if (key in his.pm2_env)
                assert.equal(kind(mine.pm2_env[key]), kind(his.pm2_env[key]), `${his.name}: pm2_env.${key}`);
        }
        const known = new Set([...equal, ...typed, ...Object.keys(his.pm2_env.env)]);
        assert.deepEqual(Object.keys(his.pm2_env).filter(key => !known.has(key)), [], 'PM2 has no field that is not looked at');
        for (const [name, value] of Object.entries(his.pm2_env.env)) {
            // PM2 puts a copy of each setting into the environment, too.
            if (!(name in his.pm2_env) || name in env || name === 'GREETING' || name === 'API_KEY')
                if (name !== 'PM2_USAGE' && name !== 'unique_id' && name !== 'PROCTOR_HOME' && name in mine.pm2_env.env)
                    assert.equal(mine.pm2_env.env[name], value, `${his.name}: env.${name}`);
        }
    }
    assert.equal(ours[0].pm2_env.version, '4.5.6');
    assert.deepEqual([ours[0].pm2_env.env.GREETING, ours[0].pm2_env.env.API_KEY], ['hello', 'secret']);
    const masked = await host.row('one');
    assert.deepEqual([masked.pm2_env.env.GREETING, masked.pm2_env.env.API_KEY], ['hello', '***']);
});

test('status strings are those of PM2', async t => {
    const host = startHost(t);
    const exits = path.join(host.work, 'exits.sh');
    fs.writeFileSync(exits, '#!/bin/bash\nexit 1\n', { mode: 0o700 });
    const deaf = path.join(host.work, 'deaf.sh');
    fs.writeFileSync(deaf, '#!/bin/bash\ntrap "" INT\nwhile :; do sleep 0.05; done\n', { mode: 0o700 });
    await host.startApps([
        { name: 'waits', script: exits, interpreter: 'none', restart_delay: 60000 },
        { name: 'fails', script: exits, interpreter: 'none', max_restarts: 2 },
        { name: 'ends', script: exits, interpreter: 'none', autorestart: false },
        { name: 'deaf', script: deaf, interpreter: 'none', kill_timeout: 5000 },
    ], { mayFail: true });
    await host.waitStatus('waits', 'waiting restart');
    await host.waitStatus('fails', 'errored');
    await host.waitStatus('ends', 'stopped');
    await host.waitStatus('deaf', 'online');
    const stopping = host.proctor(['stop', 'deaf']);
    await host.waitStatus('deaf', 'stopping');
    process.kill(await host.pid('deaf'), 'SIGKILL');
    await stopping;
});
