// `make install` into a folder: the programs find each other there, also when that is not where they were configured for.
import test from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
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
    run(['kill']);
});
