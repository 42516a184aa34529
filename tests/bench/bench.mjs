// `make bench`: ratios against a floor or a peer in one run.  Usage: bench.mjs OUT.md [WORD]
// WORD selects rows by a part of their file's name.  Started by bench.sh, which sets the environment.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { build, loadAverage, root } from './measure.mjs';
import { closeAll, pm2Missing } from './peers.mjs';

const ROWS = ['list', 'memory', 'logs', 'crash', 'start', 'capture', 'result', 'top', 'console'];
const [out, word = ''] = process.argv.slice(2);

function table(head, lines) {
    const cells = [head, ...lines].map(line => line.map(String));
    const widths = head.map((_, i) => Math.max(...cells.map(line => [...line[i]].length), 3));
    const pad = (cell, i) => cell + ' '.repeat(widths[i] - [...cell].length);
    const text = line => `| ${line.map(pad).join(' | ')} |`;
    const [first, ...rest] = cells.map(text);
    return [first, `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`, ...rest].join('\n');
}

function conditions() {
    const version = execFileSync(path.join(build, 'proctor'), ['--version'], { encoding: 'utf8' }).trim();
    const pm2 = pm2Missing || `PM2 ${JSON.parse(fs.readFileSync(path.join(root, 'tests/bench/pm2/package.json'))).dependencies.pm2}`;
    return [
        `* ${os.cpus().length} cores (${os.cpus()[0].model.trim()}), ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}, ${os.arch()}`,
        `* ${version}, Node ${process.versions.node}, ${pm2}`,
        `* ${new Date().toISOString().slice(0, 10)}, load average before the first row: ${loadAverage()} (1 min, 5 min)`,
    ].join('\n');
}

function verdict([text, met]) {
    return `* ${met === null ? 'not measured' : met ? 'met' : '**missed**'}: ${text}`;
}

function rowText(title, before, seconds, result) {
    const parts = [`## ${title}`, table(result.head, result.lines)];
    if (result.more)
        parts.push(table(result.more.head, result.more.lines));
    if (result.bars.length)
        parts.push(result.bars.map(verdict).join('\n'));
    const load = `Load average ${before} before, ${loadAverage()} after; ${Math.round(seconds)} s.`;
    parts.push([...result.notes.filter(Boolean), load].join('\n'));
    return parts.join('\n\n');
}

// The text of one row.  A row that fails says so, and the next one runs.
async function runRow(name) {
    const { title, run } = await import(`./row-${name}.mjs`);
    const begin = performance.now();
    const before = loadAverage();
    console.error(`bench: ${name} ...`);
    try {
        const result = await run();
        return { text: rowText(title, before, (performance.now() - begin) / 1000, result), failed: false };
    } catch (error) {
        return { text: `## ${title}\n\nThis row failed: ${error.message}`, failed: true };
    } finally {
        await closeAll();
    }
}

const begin = performance.now();
let failed = 0;
fs.mkdirSync(path.dirname(out), { recursive: true });
const texts = [`# make bench\n\n${conditions()}`];
console.log(texts[0]);
for (const name of ROWS.filter(one => one.includes(word))) {
    const row = await runRow(name);
    texts.push(row.text);
    failed += row.failed;
    console.log(`\n${row.text}`);
    fs.writeFileSync(out, texts.join('\n\n') + '\n');
}
console.log(`\nbench: ${Math.round((performance.now() - begin) / 1000)} s, written to ${path.relative(process.cwd(), out)}`);
process.exit(failed ? 1 : 0);
