// Start at boot: the unit, and what is told to systemd by way of $NOTIFY_SOCKET.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appFile, startHost } from '../lib/host.mjs';
import { isAlive, until } from '../lib/proc.mjs';

const noAnalyze = spawnSync('systemd-analyze', ['--version']).status !== 0 && 'needs systemd-analyze';
const tool = path.join(process.env.PROCTOR_BUILD, 'tools/notify_socket');

// Plays systemd: what was told to `address`, as {pid, text}.
async function playSystemd(address) {
    const child = spawn(tool, [address], { stdio: ['pipe', 'pipe', 'inherit'] });
    const told = { text: '', get messages() { return this.text.split('\n').slice(1, -1).map(line => { const at = line.indexOf(' '); return { pid: Number(line.slice(0, at)), text: line.slice(at + 1) }; }); } };
    child.stdout.setEncoding('utf8').on('data', text => { told.text += text; });
    told.end = () => { child.stdin.end(); return once(child, 'exit'); };
    await until('it is bound', () => told.text.startsWith('bound\n'));
    return told;
}

for (const [name, addressOf] of [['a path', host => path.join(host.folder, 'notify')], ['an abstract name', host => `@${path.basename(host.folder)}`]]) {
    test(`the supervisor says when it is ready, lives, and ends: ${name}`, async t => {
        const host = startHost(t);
        const address = addressOf(host);
        const told = await playSystemd(address);
        const env = { ...host.env, NOTIFY_SOCKET: address, WATCHDOG_USEC: '200000', WATCHDOG_PID: '1' };
        const keeper = spawn(path.join(host.programs, 'proctor-keeper'), ['--home', host.home], { env, stdio: 'ignore', cwd: '/' });
        const ended = once(keeper, 'exit');
        await until('READY=1', () => told.messages.find(m => m.text.startsWith('READY=1')));
        const first = await host.supervisorPid();
        assert.ok(told.messages.every(m => m.pid === first));
        await until('WATCHDOG=1, again and again', () => told.messages.filter(m => m.text === 'WATCHDOG=1').length >= 4);
        await host.startApps([{ name: 'env', script: appFile('env.js') }]);
        await host.waitLog('env', /env /);
        const environ = fs.readFileSync(`/proc/${await host.pid('env')}/environ`, 'latin1');
        assert.doesNotMatch(environ, /NOTIFY_SOCKET|WATCHDOG/, 'apps do not speak for us');
        process.kill(first, 'SIGKILL');
        const second = await until('the next supervisor goes on', async () => { const m = told.messages.at(-1); return m.pid !== first && m.text === 'WATCHDOG=1' && m.pid; });
        assert.equal(second, await host.supervisorPid());
        const app = await host.pid('env');
        keeper.kill('SIGTERM');
        await ended;
        assert.ok(told.messages.some(m => m.text.startsWith('STOPPING=1')));
        assert.ok(!isAlive(app) && !isAlive(second));
        assert.equal(keeper.exitCode, 0, 'systemd does not start it again');
        await told.end();
    });
}

test('the unit: what it says, and that systemd takes it', async t => {
    const host = startHost(t);
    const { stdout } = await host.proctor(['startup', '--print'], { expectCode: 0 });
    for (const line of ['Type=notify', 'NotifyAccess=all', 'WatchdogSec=60', 'KillMode=mixed', 'OOMPolicy=continue', 'Restart=on-failure', 'WantedBy=multi-user.target',
        `Environment="PROCTOR_HOME=${host.home}"`, `ExecStart="${path.join(host.programs, 'proctor-keeper')}" --home "${host.home}"`])
        assert.ok(stdout.split('\n').includes(line), `${line} in\n${stdout}`);
    assert.match(stdout, /^User=\w+$/m);
    const own = await host.proctor(['startup', '--user', '--print'], { expectCode: 0 });
    assert.match(own.stdout, /^WantedBy=default\.target$/m);
    assert.doesNotMatch(own.stdout, /^User=/m);
    await host.proctor(['startup', '--user', '--for', 'root'], { expectCode: 2 });
    await host.proctor(['startup', '--for', 'no-such-user'], { expectCode: 1 });
    await host.proctor(['startup', '--print', '--name', 'a/b'], { expectCode: 2 });
    const strange = await host.proctor(['startup', '--user', '--print'], { env: { PROCTOR_HOME: '/tmp/a "b" 100% $x' }, expectCode: 0 });
    assert.match(strange.stdout, /^Environment="PROCTOR_HOME=\/tmp\/a \\"b\\" 100%% \$x"$/m);
    assert.match(strange.stdout, /--home "\/tmp\/a \\"b\\" 100%% \$\$x"$/m);
    if (noAnalyze)
        return;
    const file = path.join(host.work, 'proctor-x.service');
    for (const text of [stdout, strange.stdout]) {
        fs.writeFileSync(file, text);
        const { stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
        assert.doesNotMatch(stderr, /proctor-x\.service:\d+:/, stderr);
    }
});

test('startup --user writes and enables the unit, unstartup takes it back', async t => {
    const host = startHost(t);
    const bin = path.join(host.work, 'bin'), log = path.join(host.work, 'systemctl.log');
    fs.mkdirSync(bin);
    fs.writeFileSync(path.join(bin, 'systemctl'), `#!/bin/sh\necho "$@" >> ${log}\nexit \${FAIL:-0}\n`, { mode: 0o755 });
    const env = { PATH: `${bin}:${host.env.PATH}`, XDG_CONFIG_HOME: path.join(host.work, 'config') };
    const unit = path.join(host.work, 'config/systemd/user/proctor.service');
    const { stdout } = await host.proctor(['startup', '--user'], { env, expectCode: 0 });
    assert.match(stdout, /systemctl --user start proctor starts it now/);
    assert.match(fs.readFileSync(unit, 'utf8'), /ExecStart=/);
    assert.equal(fs.readFileSync(log, 'utf8'), '--user daemon-reload\n--user enable proctor\n');
    assert.match((await host.proctor(['unstartup', '--user'], { env, expectCode: 0 })).stdout, /was removed/);
    assert.ok(!fs.existsSync(unit));
    assert.match((await host.proctor(['unstartup', '--user'], { env, expectCode: 0 })).stdout, /there is no unit/);
    const failed = await host.proctor(['startup', '--user', '--name', 'mine'], { env: { ...env, FAIL: '1' }, expectCode: 1 });
    assert.match(failed.stderr, /systemctl --user enable mine has failed/);
});
