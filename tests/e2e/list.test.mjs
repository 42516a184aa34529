// `proctor list` for people: at 80 columns, and with many instances.
import test from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { appFile, startHost } from '../lib/host.mjs';

const noScript = spawnSync('script', ['--version']).status !== 0 && 'needs script(1)';
const steady = (name, more = {}) => ({ name, script: appFile('sleep.sh'), ...more });

// What it prints on a terminal, without colours.
function onTerminal(host, columns, ...args) {
    const program = path.join(host.programs, 'proctor');
    const { stdout, status } = spawnSync('script', ['-qec', `stty cols ${columns}; exec ${program} ${args.join(' ')}`, '/dev/null'],
        { env: { ...host.env, TERM: 'xterm' }, encoding: 'utf8', timeout: 20000 });
    assert.equal(status, 0, stdout);
    return stdout.replace(/\x1b\[[0-9;]*m/g, '').split(/\r?\n/).filter(Boolean);
}

test('it fits 80 columns, names whole as long as they can be, and is whole when nobody watches', { skip: noScript }, async t => {
    const host = startHost(t);
    const long = 'an-app-with-quite-a-long-name-of-its-own-that-no-terminal-of-80-columns-holds';
    await host.startApps([steady('web', { instances: 2 }), { name: 'env', script: appFile('env.js') }, steady('billing-worker-eu-west')]);
    const lines = onTerminal(host, 80, 'list');
    assert.equal(lines.length, 5);
    assert.ok(lines.every(line => [...line].length <= 80), lines.join('\n'));
    assert.match(lines.join('\n'), /billing-worker-eu-west /);
    await host.startApps([steady(long)]);
    assert.ok(onTerminal(host, 80, 'list').every(line => [...line].length <= 80));
    for (const all of [onTerminal(host, 80, 'list', '--wide'), (await host.proctor(['list'], { expectCode: 0 })).stdout.split('\n')]) {
        assert.match(all.join('\n'), new RegExp(`${long} `));
        assert.match(all[0], /id +name +inst +status .* pid +node$/);
    }
    const { stdout } = await host.proctor(['list', 'web-1', '/env/'], { expectCode: 0 });
    assert.deepEqual(stdout.trim().split('\n').slice(1).map(line => line.trim().split(/ +/).slice(1, 3)), [['web', '1'], ['env', '0']]);
    assert.match((await host.proctor(['list', 'nobody'], { expectCode: 1 })).stderr, /there is no app "nobody"/);
});

test('many instances are one row for each app', async t => {
    const host = startHost(t);
    await host.startApps([steady('web', { instances: 30 }), steady('api', { instances: 12 }), steady('one')]);
    await host.proctor(['stop', 'api-3', 'api-4'], { expectCode: 0 });
    const { stdout, stderr } = await host.proctor(['list'], { expectCode: 0 });
    const rows = stdout.trim().split('\n').map(line => line.split(/ {2,}/).map(cell => cell.trim()));
    assert.deepEqual(rows[0], ['name', 'instances', 'status', '↺', 'uptime', 'cpu', 'mem', 'ids']);
    assert.deepEqual(rows.slice(1).map(([name, count, status, , , , , ids]) => [name, count, status, ids]), [
        ['web', '30', 'online', '0-29'], ['api', '12', '10 online, 2 stopped', '30-41'], ['one', '1', 'online', '42']]);
    assert.match(stderr, /43 instances; 'proctor list --wide' shows each/);
    assert.equal((await host.proctor(['list', '--wide'], { expectCode: 0 })).stdout.trim().split('\n').length, 44);
    assert.equal((await host.proctor(['list', 'api'], { expectCode: 0 })).stdout.trim().split('\n').length, 13);
    assert.equal((await host.proctor(['list', 'api', '--groups'], { expectCode: 0 })).stdout.trim().split('\n').length, 2);
    assert.equal((await host.proctor(['list', '--json'], { expectCode: 0 })).json().apps.length, 43);
});
