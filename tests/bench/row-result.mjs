// A result of 150 MB in one WebSocket frame: how much probe and agent grow.
import { memoryOf, until } from '../lib/proc.mjs';
import { appFile } from '../lib/host.mjs';
import { digits } from './stats.mjs';
import { cpuUs } from './measure.mjs';
import { newProctor } from './peers.mjs';

const FRAME_MB = 150, MB = 1e6;
const PROGRAMS = ['proctor-probe', 'proctor-agent'];

export const title = 'A result of 150 MB through probe and agent';

export async function run() {
    const { host } = newProctor();
    await host.startApps([{ name: 'huge', script: appFile('fake-inspector.js'), env: { FRAME_MB: String(FRAME_MB) } }]);
    const [, text] = await host.waitLog('huge', /profile (\{.*\})\nready/, { ms: 30000 });
    const expected = JSON.parse(text).bytes;
    const capture = host.startCapture('cpu', 'huge', { duration: '1s', out: '/dev/null' });
    await capture.waitPhase('running');
    const seen = {};
    for (const program of PROGRAMS) {
        const [pid] = await host.helperPids(program);
        seen[program] = { pid, before: memoryOf(pid).VmRSS, peak: 0, cpu: 0 };
    }
    let ended = false;
    const end = capture.run.ended.then(result => { ended = true; return result; });
    await until('the end of the capture', async () => {
        for (const one of Object.values(seen)) {
            one.peak = Math.max(one.peak, memoryOf(one.pid).VmHWM ?? 0);
            one.cpu = await cpuUs(one.pid).catch(() => one.cpu);
        }
        return ended;
    }, 120000);
    const { code, stdout, stderr } = await end;
    if (code !== 0)
        throw new Error(`the capture failed: ${stderr}`);
    const { bytes } = JSON.parse(stdout).captures[0];
    const more = one => (one.peak - one.before) / MB;
    const worst = Math.max(...Object.values(seen).map(more));
    return {
        head: ['', 'RSS before, MB', 'largest RSS (VmHWM), MB', 'more', 'CPU ms per MB'],
        lines: Object.entries(seen).map(([program, one]) => [program, digits(one.before / MB), digits(one.peak / MB),
            digits(more(one)), digits(one.cpu / 1000 / (expected / MB))]),
        bars: [[`≤ 16 MB more in each: ${digits(worst)} (probe and agent; no snapshot kind and no console yet)`,
            worst <= 16 && bytes === expected]],
        notes: [
            `${digits(bytes / MB)} of ${digits(expected / MB)} MB arrived.`,
            "The inspector is the tests' own, because none of Node's makes so large a result at will.",
        ],
    };
}
