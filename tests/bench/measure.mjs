// What processes cost: CPU by their clocks, memory by /proc, commands by the program `timed`.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';

const execute = promisify(execFile);
export const root = fileURLToPath(new URL('../../', import.meta.url));
export const build = process.env.PROCTOR_BUILD ?? path.join(root, 'build/release');
export const tool = name => path.join(build, 'bench', name);
export const benchFile = name => path.join(root, 'tests/bench', name);

// For what is measured: some variables of a shell make Node's start three times as long.
const PLAIN_ENV = { PATH: process.env.PATH, LANG: 'C.UTF-8' };

// Runs [{argv, every}] in turn, `rounds` times, by posix_spawn and wait.  Returns for each command its runs
// [{wallUs, cpuUs, maxrssKb}], in their order.
export async function timeCommands(rounds, commands, { env = PLAIN_ENV, cwd, output } = {}) {
    const args = commands.flatMap(({ argv, every = 1 }, i) => [...(i ? ['--'] : []), String(every), ...argv]);
    const { stdout } = await execute(tool('timed'), [...(output ? ['-o', output] : []), String(rounds), ...args], { env, cwd });
    return takeRuns(stdout, commands.length);
}

// The same for what `timed` printed elsewhere, as at the end of a pipe.
export function takeRuns(text, count = 1) {
    const runs = Array.from({ length: count }, () => []);
    for (const line of text.trim().split('\n')) {
        const [number, wallUs, cpuUs, maxrssKb] = line.split(' ').map(Number);
        runs[number].push({ wallUs, cpuUs, maxrssKb });
    }
    return runs;
}

// Runs a line of sh(1) in which $0, $1, … are `args`; returns its standard output.
export async function shell(line, args, options) {
    return (await execute('/bin/sh', ['-c', line, ...args], options)).stdout;
}

// Microseconds of CPU that the processes have used so far, as one sum; ended threads are in it, ended children are not.
export async function cpuUs(...pids) {
    const { stdout } = await execute(tool('timed'), ['-c', ...pids.map(String)]);
    return stdout.trim().split('\n').reduce((sum, line) => sum + Number(line), 0);
}

// Bytes that are this process's alone and written to: what goes back to the system when it ends.
export function privateDirty(pid) {
    const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const found = /^Private_Dirty:\s+(\d+) kB$/m.exec(text);
    assert.ok(found, `no Private_Dirty of ${pid}`);
    return Number(found[1]) * 1024;
}

export const loadAverage = () => fs.readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 2).join(' ');
