// A program on a terminal that is not there: a pseudo terminal (tests/tools/pty.c), and behind it an emulator that knows what
// stands on the screen.
import path from 'node:path';
import { createRequire } from 'node:module';
import { spawn } from 'node:child_process';
import { slow } from './host.mjs';
import { until } from './proc.mjs';

const build = process.env.PROCTOR_BUILD ?? 'build/release';

// t: the test; host: whose environment and folder; args: of `proctor`.
export function openTerminal(t, host, args, { columns = 80, rows = 24, env = {} } = {}) {
    const judge = createRequire(`${process.env.PROCTOR_JUDGES}/`);
    const emulator = new (judge('@xterm/headless').Terminal)({ cols: columns, rows, allowProposedApi: true, scrollback: 100 });
    const child = spawn(path.join(build, 'tools/pty'), [`${columns}x${rows}`, path.join(host.programs, 'proctor'), ...args],
        { env: { ...host.env, TERM: 'xterm-256color', ...env }, cwd: host.work, stdio: ['pipe', 'pipe', 'inherit', 'pipe'] });
    const terminal = { child, bytes: 0 };
    let written = Promise.resolve();
    child.stdout.on('data', chunk => {
        terminal.bytes += chunk.length;
        written = written.then(() => new Promise(resolve => emulator.write(chunk, resolve)));
    });
    child.stdin.on('error', () => {});
    child.stdio[3].on('error', () => {});
    terminal.ended = new Promise(resolve => child.on('close', code => written.then(() => resolve(code))));
    t.after(() => child.kill('SIGKILL'));

    const cell = (x, y) => emulator.buffer.active.getLine(emulator.buffer.active.viewportY + y)?.getCell(x);
    terminal.lines = () => Array.from({ length: emulator.rows }, (_, y) =>
        emulator.buffer.active.getLine(emulator.buffer.active.viewportY + y).translateToString(true));
    terminal.text = () => terminal.lines().join('\n');
    terminal.alternate = () => emulator.buffer.active.type === 'alternate';
    // The line that is chosen: drawn inverse, between the head and the title of the log.
    terminal.inverse = () => terminal.lines().filter((_, y) => cell(1, y)?.isInverse());
    terminal.hasColor = () => Array.from({ length: emulator.rows }, (_, y) => Array.from({ length: emulator.cols }, (__, x) => cell(x, y)))
        .flat().some(one => one && !one.isFgDefault());
    terminal.press = keys => child.stdin.write(keys);
    terminal.resize = (cols, lines) => {
        emulator.resize(cols, lines);
        child.stdio[3].write(`${cols}x${lines}\n`);
    };
    // Waits until the screen matches, or `what` (a function) says so, and returns that.
    terminal.shows = async (what, ms = 10000) => {
        try {
            return await until(`the screen shows ${what}`, () => typeof what === 'function' ? what() : what.exec(terminal.text()), ms * slow);
        } catch (error) {
            throw new Error(`${error.message}\n${terminal.text()}`);
        }
    };
    return terminal;
}
