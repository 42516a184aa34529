// Completion, judged by bash itself; and the commands of PM2 that are not needed.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appFile, startHost } from '../lib/host.mjs';

// What bash offers for a command line whose last word is being written.
function complete(host, ...words) {
    const script = `source <(proctor completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _proctor; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { status, stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', 'proctor', ...words],
        { env: { ...host.env, PATH: `${host.programs}:${host.env.PATH}` }, cwd: host.work, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return stdout.trim().split('\n').filter(Boolean);
}

test('bash completes commands, options, names of apps and words', async t => {
    const host = startHost(t);
    assert.deepEqual(complete(host, 'rest'), ['restart']);
    assert.deepEqual(complete(host, 're').sort(), ['reload', 'reloadLogs', 'report', 'reset', 'restart', 'resurrect']);
    assert.deepEqual(complete(host, 'logs', '--s'), ['--since']);
    assert.deepEqual(complete(host, 'sendSignal', '--f'), ['--force'], 'aliases, too');
    assert.deepEqual(complete(host, 'profile', 'c'), ['cpu']);
    assert.deepEqual(complete(host, 'help', 'des'), ['describe']);
    assert.deepEqual(complete(host, 'stop', 'we'), [], 'without a supervisor there are no names');
    await host.proctor(['ping'], { expectCode: 3 });
    await host.startApps(['web', 'worker'].map(name => ({ name, script: appFile('sleep.sh'), instances: 2 })));
    assert.deepEqual(complete(host, 'stop', 'w').sort(), ['web', 'worker']);
    assert.deepEqual(complete(host, 'describe', 'web', 'wo'), ['worker']);
    const { stdout } = await host.proctor(['help'], { expectCode: 0 });
    const commands = [...stdout.matchAll(/^ {2}([\w-]+) /gm)].map(match => match[1]);
    assert.deepEqual(complete(host, '').sort(), commands.sort(), 'all that help tells');
});

test('zsh and fish get theirs', async t => {
    const host = startHost(t);
    assert.match((await host.proctor(['completion', 'zsh'], { expectCode: 0 })).stdout, /bashcompinit[^]*complete -F _proctor proctor/);
    const { stdout } = await host.proctor(['completion', 'fish'], { expectCode: 0 });
    assert.match(stdout, /^complete -c proctor -n __fish_use_subcommand -a restart -d '/m);
    assert.match(stdout, /^complete -c proctor -n '__fish_seen_subcommand_from logs' -l since -s s -r -d '/m);
    for (const line of stdout.trim().split('\n').slice(1))
        assert.equal((line.replaceAll("\\'", '').match(/'/g) ?? []).length % 2, 0, line);
    await host.proctor(['completion', 'tcsh'], { expectCode: 2 });
});

test('save and resurrect say that they are not needed, and do no harm', async t => {
    const host = startHost(t);
    await host.proctor(['save'], { expectCode: 3 });
    await host.startApps([{ name: 'web', script: appFile('sleep.sh') }]);
    assert.match((await host.proctor(['save'], { expectCode: 0 })).stdout, /nothing needs to be saved: .*state\.json \(1 instances\)/);
    assert.match((await host.proctor(['resurrect'], { expectCode: 0 })).stdout, /the supervisor runs/);
    await host.killBoth();
    const { stdout } = await host.proctor(['resurrect'], { expectCode: 0 });
    assert.match(stdout, /started, and with it what ran before[^]*web/);
    await host.waitStatus('web', 'online');
});
