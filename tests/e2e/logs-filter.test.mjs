// `proctor logs` with --since and --grep: over archives, over several apps, and while following.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { slow, startHost } from '../lib/host.mjs';
import { until } from '../lib/proc.mjs';

// Says "start N" lines, then a line each time the file `say` holds another text.
function talker(host, name, more = {}) {
    const file = path.join(host.work, `${name}.sh`);
    fs.writeFileSync(file, `#!/bin/bash\nfor i in $(seq \${COUNT:-5}); do echo "start $i of ${name} ${'.'.repeat(40)}"; done\n` +
        `before=\nwhile :; do now=$(cat ${host.work}/${name}.say 2>/dev/null); [ "$now" = "$before" ] || echo "$now"; before=$now; sleep 0.02; done\n`, { mode: 0o700 });
    return { name, script: file, interpreter: 'none', ...more };
}
const say = (host, name, text) => fs.writeFileSync(path.join(host.work, `${name}.say`), text);
const linesOf = ({ stdout }) => stdout.split('\n').filter(Boolean);

// Waits for the last line; it may have gone into an archive already.
const waitLast = (host, name, start) => until(`${start} is the last line`, async () =>
    (await host.proctor(['logs', name, '--nostream', '-n', '1', '--raw'])).stdout.startsWith(start), 10000 * slow);

test('--grep finds the last lines that match, also in archives, and follows', async t => {
    const host = startHost(t);
    await host.startApps([talker(host, 'talk', { env: { COUNT: '4000' }, log_max_size: '64K' }), talker(host, 'other')]);
    await host.waitLog('other', /start 5/);
    await waitLast(host, 'talk', 'start 4000 ');
    const grep = async (...args) => linesOf(await host.proctor(['logs', '--nostream', '--raw', ...args], { expectCode: 0 })).map(line => line.replace(/ \.+$/, ''));
    assert.deepEqual(await grep('talk', '--grep', 'start [0-9] '), [...Array(9).keys()].map(i => `start ${i + 1} of talk`));
    assert.deepEqual(await grep('talk', '-g', 'START 3.* OF', '-i', '-n', '2'), ['start 3998 of talk', 'start 3999 of talk']);
    assert.deepEqual(await grep('talk', '--grep', 'START'), []);
    assert.equal((await grep('talk', '--grep', 'start', '-n', '100000')).length, 4000);
    assert.equal((await grep('/^o/', '--grep', 'start')).length, 5);
    assert.deepEqual((await grep('/t/', '--grep', 'start 1 ')).sort(), ['start 1 of other', 'start 1 of talk']);
    const { stdout } = await host.proctor(['logs', 'other', '--nostream', '--json', '--grep', 'start 2'], { expectCode: 0 });
    assert.match(JSON.parse(stdout).message, /^start 2 of other/);

    const run = host.spawnProctor(['logs', '--grep', 'special', '--raw']);
    await delay(200 * slow);
    say(host, 'talk', 'plain');
    await waitLast(host, 'talk', 'plain');
    say(host, 'talk', 'special 1');
    await waitLast(host, 'talk', 'special 1');
    say(host, 'other', 'special 2');
    await until('both came', () => /special 1\n(.*\n)*special 2\n/.test(run.stdout));
    run.child.kill('SIGINT');
    assert.equal((await run.ended).stdout, 'special 1\nspecial 2\n');
});

test('--since shows what was written since, however many lines, and no more', async t => {
    const host = startHost(t);
    await host.startApps([talker(host, 'talk', { env: { COUNT: '3000' }, log_max_size: '64K' })]);
    await waitLast(host, 'talk', 'start 3000 ');
    await delay(1100);
    const moment = new Date();
    await delay(50);
    say(host, 'talk', 'later');
    await waitLast(host, 'talk', 'later');
    const since = async (...args) => linesOf(await host.proctor(['logs', 'talk', '--nostream', '--raw', ...args], { expectCode: 0 }));
    assert.deepEqual(await since('--since', '1s'), ['later']);
    assert.deepEqual(await since('--since', moment.toISOString().replace(/\.\d+Z/, 'Z'), '-n', '1'), ['later']);
    assert.equal((await since('--since', '1h')).length, 3001);
    assert.equal((await since('--since', '2d', '--grep', 'start 1')).length, 1111);
    assert.equal((await since('--since', '1h', '-n', '7')).length, 7);
    assert.equal((await since('--since', '2020-01-01')).length, 3001);
    for (const bad of [['--since', 'yesterday'], ['--since', ''], ['--grep', '(']])
        await host.proctor(['logs', 'talk', '--nostream', ...bad], { expectCode: 2 });
});
