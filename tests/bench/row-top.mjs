// Analysis: proctor-top on a large .cpuprofile.
import fs from 'node:fs';
import path from 'node:path';
import { build, timeCommands } from './measure.mjs';
import { median, digits, ratio } from './stats.mjs';
import { temporaryFolder } from './peers.mjs';

const NODES = 60000, SAMPLES = 900000, ROUNDS = 5;
const PARSE = 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"))';

export const title = 'Analysis: `proctor top` on a large `.cpuprofile`';

// Numbers that look random and are the same in each run.
function* numbers() {
    for (let x = 12345; ; yield x >>> 8)
        x = (Math.imul(x, 1103515245) + 12345) >>> 0;
}

// Shaped as V8's: a tree with few wide and many narrow nodes, runs of samples on one node, microseconds around 1000.
function writeProfile(file) {
    const random = numbers();
    const next = limit => random.next().value % limit;
    const children = Array.from({ length: NODES + 1 }, () => []);
    for (let id = 2; id <= NODES; id++)
        children[Math.max(1, id - 1 - next(Math.min(id - 1, 400)))].push(id);
    const node = id => ({
        id, callFrame: {
            functionName: `handle${next(4000)}`, scriptId: String(20 + next(200)),
            url: `file:///srv/app/node_modules/library${next(150)}/lib/file${next(20)}.js`,
            lineNumber: next(3000), columnNumber: next(80),
        }, hitCount: next(40), children: children[id].length ? children[id] : undefined,
        positionTicks: next(3) ? undefined : [{ line: next(3000), ticks: 1 + next(9) }],
    });
    const nodes = Array.from({ length: NODES }, (_, i) => node(i + 1));
    const samples = [];
    for (let id = 1; samples.length < SAMPLES; id = 1 + next(NODES))
        for (let run = 1 + next(6); run > 0; run--)
            samples.push(id);
    const timeDeltas = samples.map(() => 950 + next(200));
    const endTime = timeDeltas.reduce((sum, delta) => sum + delta, 1000000);
    fs.writeFileSync(file, JSON.stringify({ nodes, startTime: 1000000, endTime, samples, timeDeltas }));
    return fs.statSync(file).size / 1e6;
}

export async function run() {
    const folder = temporaryFolder();
    const file = path.join(folder, 'large.cpuprofile');
    const mb = writeProfile(file);
    const commands = [
        { what: '`cat` (floor)', argv: ['/bin/cat', file] },
        { what: '`proctor top`', argv: [path.join(build, 'proctor-top'), file] },
        { what: '`proctor top --json`', argv: [path.join(build, 'proctor-top'), '--json', file] },
        { what: '`JSON.parse` in Node', argv: [process.execPath, '-e', PARSE, file] },
        { what: '`node -e 0`', argv: [process.execPath, '-e', '0'] },
    ];
    const runs = await timeCommands(ROUNDS, commands, { output: path.join(folder, 'out') });
    const cpu = runs.map(list => median(list.map(run => run.cpuUs)) / 1000);
    const [cat, top, , parse, node] = cpu;
    return {
        head: [`${digits(mb)} MB, ${NODES} nodes, ${SAMPLES} samples`, 'CPU ms', 'CPU ms per MB', 'to `proctor top`', 'largest RSS, MB'],
        lines: commands.map(({ what }, i) => [what, digits(cpu[i]), digits(cpu[i] / mb), ratio(cpu[i] / top),
            digits(Math.max(...runs[i].map(run => run.maxrssKb)) * 1024 / 1e6)]),
        bars: [
            [`≤ 3 CPU ms per MB: ${digits(top / mb)}`, top / mb <= 3],
            ['≥ 4 × @datadog/pprof, ≥ 8 × go tool pprof: they are not among the tools of this bench', null],
        ],
        notes: [
            `Medians of ${ROUNDS} interleaved rounds. The file was generated, in the shape of V8's.`,
            `Reading the bytes alone: ${digits(cat / mb)} ms per MB; JSON.parse without Node's own start: ${digits((parse - node) / mb)}.`,
        ],
    };
}
