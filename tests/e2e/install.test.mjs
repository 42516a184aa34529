// `make install` into a folder: the programs find each other there, also when that is not where they were configured for.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startConsole } from '../lib/console.mjs';
import { appFile, startHost, underAsan } from '../lib/host.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));

test('an installed tree works from where it lies', { skip: underAsan && 'installs the release build' }, async t => {
    const host = startHost(t);
    const destination = path.join(host.folder, 'root');
    execFileSync('make', ['-s', 'install', `DESTDIR=${destination}`, 'PREFIX=/opt/proctor'], { cwd: root, stdio: 'ignore' });
    const proctor = path.join(destination, 'opt/proctor/bin/proctor');
    const run = args => execFileSync(proctor, args, { cwd: host.work, env: host.env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    run(['start', appFile('cpu.js'), '--name', 'app']);
    run(['profile', 'cpu', 'app', '-d', '200ms', '-o', 'a.cpuprofile']);
    assert.match(run(['top', 'a.cpuprofile']), /CPU profile/);
    const c = await startConsole(t, { folderOfPrograms: path.dirname(proctor) });
    const token = path.join(host.folder, 'enrol.token');
    fs.writeFileSync(token, await c.enrolToken(), { mode: 0o600 });
    run(['link', token]);
    await c.waitConnected(JSON.parse(run(['link', 'status', '--json'])).host);
    run(['profile', 'cpu', 'app', '-d', '200ms', '-o', 'b.cpuprofile', '--console', c.web, '--token-file', await c.tokenFile()]);
    assert.match(run(['top', 'b.cpuprofile']), /CPU profile/);
    const { body } = await c.api('GET', 'profiles', { role: 'viewer' });
    assert.ok((await c.api('GET', `profiles/${body.profiles[0].id}/top`, { role: 'viewer' })).body.functions.length > 0);
    // The programs that take over are those of this tree.
    const { pid } = JSON.parse(run(['list', '--json'])).apps[0];
    execFileSync('make', ['-s', 'install', `DESTDIR=${destination}`, 'PREFIX=/opt/proctor'], { cwd: root, stdio: 'ignore' });
    assert.match(run(['upgrade']), /^upgraded from .*; 1 app, 0 restarted\n$/);
    assert.equal(JSON.parse(run(['list', '--json'])).apps[0].pid, pid);
    const { keeper_pid: keeper, pid: supervisor } = JSON.parse(run(['ping', '--json']));
    for (const [one, name] of [[keeper, 'proctor-keeper'], [supervisor, 'proctord']])
        assert.equal(fs.readlinkSync(`/proc/${one}/exe`), path.join(destination, 'opt/proctor/libexec/proctor', name));
    await c.stop();
    run(['kill']);
});
