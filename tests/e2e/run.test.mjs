// `proctor run`: apps in the foreground, as in a container.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { slow, startHost } from '../lib/host.mjs';
import { isAlive, pidsOfFolder, processInfo, until } from '../lib/proc.mjs';

function writeScript(host, name, text) {
    const file = path.join(host.work, name);
    fs.writeFileSync(file, `#!/bin/bash\n${text}`, { mode: 0o700 });
    return file;
}
const app = (host, name, text, more = {}) => ({ name, script: writeScript(host, `${name}.sh`, text), interpreter: 'none', autorestart: false, ...more });
const noneLeft = host => until('nothing is left', () => pidsOfFolder(host.folder).filter(pid => processInfo(pid)).length === 0, 10000 * slow);

test('it ends with its apps, and with their code; what they wrote is shown', async t => {
    const host = startHost(t);
    for (const [end, code] of [['exit 0', 0], ['exit 7', 7], ['kill -9 $$', 137]]) {
        const file = host.writeConfig([app(host, 'job', `echo out of the job\necho err of the job >&2\nsleep 0.3\n${end}\n`)]);
        const { stdout } = await host.proctor(['run', file], { expectCode: code });
        assert.match(stdout, /^job-0 \| out of the job$/m);
        assert.match(stdout, /^job-0 \| err of the job$/m);
        await noneLeft(host);
    }
    const at_once = host.writeConfig([app(host, 'quick', 'echo quick\nexit 5\n'), app(host, 'long', 'sleep 1\necho long\n')]);
    const { stdout } = await host.proctor(['run', at_once, '--raw'], { expectCode: 5 });
    assert.deepEqual(stdout.trim().split('\n').sort(), ['long', 'quick'], 'it waits for the last, and shows nothing of its own');
    await host.proctor(['run', writeScript(host, 'alone.sh', 'echo "alone $1"; exit 3\n'), '--', 'x'], { expectCode: 3 });
});

test('an app that fails again and again is given up, and its code is ours', async t => {
    const host = startHost(t);
    const file = host.writeConfig([app(host, 'bad', 'exit 9\n', { autorestart: true, max_restarts: 3 })]);
    await host.proctor(['run', file], { expectCode: 9 });
    await noneLeft(host);
});

test('signals: the end is passed on and waited for, others are forwarded', async t => {
    const host = startHost(t);
    const file = host.writeConfig([app(host, 'web', 'trap "echo bye; exit 0" INT\ntrap "echo hup" HUP\necho ready\nwhile :; do sleep 0.05; done\n')]);
    for (const signal of ['SIGTERM', 'SIGINT']) {
        const run = host.spawnProctor(['run', file]);
        await until('it is ready', () => /ready/.test(run.stdout), 10000 * slow);
        const pid = await host.pid('web');
        run.child.kill('SIGHUP');
        await until('the signal arrived', () => /web-0 \| hup/.test(run.stdout), 10000 * slow);
        const busy = await host.proctor(['run', file], { expectCode: 1 });
        assert.match(busy.stderr, /a supervisor is running here already/);
        run.child.kill(signal);
        const { code, stdout } = await run.ended;
        assert.equal(code, 0);
        assert.match(stdout, /web-0 \| bye/);
        assert.ok(!isAlive(pid));
        await noneLeft(host);
    }
});

test('the supervisor may die meanwhile', async t => {
    const host = startHost(t);
    const file = host.writeConfig([app(host, 'web', 'echo ready\nwhile ! [ -e go ]; do sleep 0.05; done\nexit 4\n', { cwd: host.work })]);
    const run = host.spawnProctor(['run', file]);
    await until('it is ready', () => /ready/.test(run.stdout), 10000 * slow);
    process.kill(await host.supervisorPid(), 'SIGKILL');
    fs.writeFileSync(path.join(host.work, 'go'), '');
    assert.equal((await run.ended).code, 4);
    await noneLeft(host);
});

const noUnshare = spawnSync('unshare', ['--user', '--map-root-user', '--pid', '--fork', '--mount-proc', 'true']).status !== 0 && 'no namespaces here';

test('as process 1 it reaps what others leave behind', { skip: noUnshare }, async t => {
    const host = startHost(t);
    // The inner shell ends at once and leaves a child that ends soon: process 1 gets it.
    const file = host.writeConfig([app(host, 'job', '(setsid bash -c "sleep 0.3" &) \nsleep 0.8\nps -e -o stat= > stats\nexit 6\n', { cwd: host.work })]);
    const child = spawn('unshare', ['--user', '--map-root-user', '--pid', '--fork', '--mount-proc', path.join(host.programs, 'proctor'), 'run', file], { env: host.env, cwd: host.work, stdio: 'ignore' });
    const code = await new Promise(resolve => { child.on('exit', resolve); });
    assert.equal(code, 6);
    assert.doesNotMatch(fs.readFileSync(path.join(host.work, 'stats'), 'utf8'), /Z/);
});
