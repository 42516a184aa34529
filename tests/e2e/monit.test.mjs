// `proctor monit` on a real pseudo terminal, its screen read by a terminal emulator.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { openTerminal } from '../lib/terminal.mjs';
import { until } from '../lib/proc.mjs';

const PAGE_DOWN = '\x1b[6~';
// As xterm sends them when the program has switched the keypad on.
const keys = { up: '\x1bOA', down: '\x1bOB', home: '\x1bOH', end: '\x1bOF', pageDown: PAGE_DOWN };
const chosen = terminal => terminal.inverse()[1];
const quits = async (terminal, code = 0) => {
    assert.equal(await terminal.ended, code, terminal.text());
    assert.equal(terminal.alternate(), false, 'the screen is given back');
};

test('shows processes and the log of the chosen one; keys choose, ^C ends', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'web', script: appFile('steady.js'), instances: 2 },
        { name: 'noisy', script: appFile('numbers.js'), env: { COUNT: '500' }, autorestart: false },
        { name: 'bad', script: appFile('crash.js'), restart_delay: 60000 }], { mayFail: true });
    const terminal = openTerminal(t, host, ['monit']);
    await terminal.shows(/proctor monit +\d of 4 online/);
    assert.ok(terminal.alternate());
    await terminal.shows(/^ +id name +status +cpu +mem +restarts +up$/m);
    await terminal.shows(/^ +0 web-0 +online +\d/m);
    await terminal.shows(/ web-0 +pid \d+ +\d+ fds +\d+ threads/);
    await terminal.shows(/[▁▂▃▄▅▆▇█]/);
    await terminal.shows(/r: restart .* q: quit/);
    assert.ok(terminal.hasColor());
    assert.ok(terminal.lines().every(line => line.length <= 80));
    assert.match(chosen(terminal), /web-0/);
    terminal.press(keys.down);
    await terminal.shows(() => /web-1/.test(chosen(terminal)));
    terminal.press('j');
    await terminal.shows(() => /noisy-0/.test(chosen(terminal)));
    await terminal.shows(/line 499 /);
    // What comes is shown.
    fs.appendFileSync(host.logFile('noisy', 'out'), 'a line with \x1b[31mcolour\x1b[0m and \x07bell\n');
    await terminal.shows(/a line with colour and \?bell/);
    terminal.press(keys.end);
    await terminal.shows(() => /bad-0/.test(chosen(terminal)));
    terminal.press(keys.up + keys.up + keys.up + keys.up + keys.up);
    await terminal.shows(() => /web-0/.test(chosen(terminal)));
    terminal.press('\x03');
    await quits(terminal);
});

test('restart, reload and stop, which asks before', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'web', script: appFile('steady.js'), instances: 2 }]);
    const pid = await host.pid('web');
    const terminal = openTerminal(t, host, ['monit'], { columns: 120, rows: 40 });
    await terminal.shows(/2 of 2 online/);
    terminal.press('r');
    await terminal.shows(/web-0: online$/m, 15000);
    assert.notEqual(await host.pid('web'), pid);
    terminal.press('l');
    await until('it was reloaded', async () => (await host.row('web')).pm2_env.restart_time === 2, 15000 * slow);
    await terminal.shows(/web-0: online$/m, 15000);
    await delay(300);
    terminal.press('s');
    await terminal.shows(/stop web-0\?/);
    terminal.press('n');
    await terminal.shows(/web-0 was not stopped/);
    await terminal.shows(/2 of 2 online/);
    terminal.press('sy');
    await terminal.shows(/web-0: stopped/, 15000);
    await terminal.shows(/1 of 2 online/);
    await terminal.shows(/^ +0 web-0 +stopped +- /m);
    terminal.press('q');
    await quits(terminal);
});

test('a profile is taken, and kept when we end in the middle', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'web', script: appFile('cpu.js') }]);
    const profiles = () => fs.readdirSync(host.work).filter(name => name.endsWith('.cpuprofile'));
    const terminal = openTerminal(t, host, ['monit']);
    await terminal.shows(/1 of 1 online/);
    terminal.press('p');
    await terminal.shows(/running|profile web-0/, 15000);
    await until('the profiler runs', async () => (await host.captures()).some(one => one.phase === 'running'), 15000 * slow);
    await delay(500);
    terminal.press('r');
    await terminal.shows(/the command before has not ended yet/);
    terminal.press('q');
    await quits(terminal);
    assert.equal(profiles().length, 1, profiles().join());
    const [file] = profiles();
    assert.ok(JSON.parse(fs.readFileSync(`${host.work}/${file}`, 'utf8')).samples.length > 10);
});

test('follows the size of the terminal, and 500 instances scroll', async t => {
    const host = startHost(t);
    // Not startApps(): it would look through the families of all of them.
    const file = host.writeConfig([{ name: 'many', script: '/bin/sleep', args: ['1000000'], interpreter: 'none', instances: 500 }]);
    await host.proctor(['start', file], { expectCode: 0, timeout: 60000 });
    const terminal = openTerminal(t, host, ['monit']);
    await terminal.shows(/500 of 500 online/, 20000);
    terminal.press(keys.end);
    await terminal.shows(() => /many-499/.test(chosen(terminal)));
    assert.ok(!/many-0 /.test(terminal.text()));
    terminal.press(keys.home);
    await terminal.shows(() => /many-0 /.test(chosen(terminal)));
    terminal.press(keys.pageDown + keys.pageDown);
    await terminal.shows(() => /many-1\d /.test(chosen(terminal)));
    const rows = () => terminal.text().match(/^ +\d+ many-/gm)?.length ?? 0;
    const before = rows();
    assert.ok(before >= 8, terminal.text());
    terminal.resize(200, 60);
    await terminal.shows(() => rows() > 20);
    assert.match(chosen(terminal), /many-1\d /);
    await terminal.shows(() => terminal.lines()[59].includes('q: quit'));
    terminal.resize(40, 8);
    await terminal.shows(/too small/);
    terminal.resize(80, 24);
    await terminal.shows(() => rows() === before);
    terminal.child.kill('SIGTERM');
    await quits(terminal);
    await host.proctor(['delete', 'many'], { expectCode: 0, timeout: 60000 });
});

test('a supervisor that goes is waited for', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'web', script: appFile('steady.js') }]);
    const terminal = openTerminal(t, host, ['monit']);
    await terminal.shows(/1 of 1 online/);
    for (let i = 0; i < 3; i++) {
        process.kill(await host.supervisorPid(), 'SIGKILL');
        await delay(300);
        await terminal.shows(() => /1 of 1 online/.test(terminal.text()) && !/does not answer/.test(terminal.text()));
    }
    await host.proctor(['kill'], { expectCode: 0 });
    await terminal.shows(/the supervisor does not answer .*; trying again/);
    await delay(1500);
    assert.equal((await host.proctor(['ping'])).code, 3, 'it starts none');
    await host.startApps([{ name: 'api', script: appFile('steady.js') }]);
    await terminal.shows(/api-0 +online/);
    assert.doesNotMatch(terminal.text(), /does not answer/);
    // One that hangs does not keep us from ending.
    const pid = await host.supervisorPid();
    process.kill(pid, 'SIGSTOP');
    await terminal.shows(/does not answer/);
    terminal.child.kill('SIGTERM');
    await quits(terminal);
    process.kill(pid, 'SIGCONT');
});

test('without colour, without Unicode, without a terminal, without a supervisor', async t => {
    const host = startHost(t);
    const none = openTerminal(t, host, ['monit']);
    await none.shows(/no supervisor is running here/);
    assert.equal(await none.ended, 3);
    assert.equal((await host.proctor(['ping'])).code, 3, 'it starts none');
    await host.startApps([{ name: 'web', script: appFile('steady.js') }]);
    assert.match((await host.proctor(['monit'], { expectCode: 1 })).stderr, /needs a terminal/);
    assert.match((await host.proctor(['monit', 'web'], { expectCode: 2 })).stderr, /takes no arguments/);
    assert.match((await host.proctor(['monit', '--help'], { expectCode: 0 })).stdout, /usage: proctor monit/);
    const strange = openTerminal(t, host, ['monit'], { env: { TERM: 'no-such-terminal' } });
    await strange.shows(/not known/);
    assert.equal(await strange.ended, 1);
    const plain = openTerminal(t, host, ['monit'], { env: { NO_COLOR: '1', LANG: 'C', LC_ALL: 'C' } });
    await plain.shows(/1 of 1 online/);
    await plain.shows(/web-0 +online +[\d.]+% +[_.:=+*#-]/);
    assert.ok(!plain.hasColor());
    assert.doesNotMatch(plain.text(), /[^\x20-\x7e\n]/);
    plain.press('q');
    await quits(plain);
    const old = openTerminal(t, host, ['monit'], { env: { TERM: 'vt100' } });
    await old.shows(/1 of 1 online/);
    old.press('q');
    assert.equal(await old.ended, 0);
});
