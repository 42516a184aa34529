// A disk that takes no more, while supervisors are killed: the app is not held up, and what is missing is what was reported.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { slow, startHost } from '../lib/host.mjs';
import { nodePath } from '../lib/nodes.mjs';
import { Storm, checkLines, logText } from '../lib/crash.mjs';
import { until } from '../lib/proc.mjs';

const DISK = 1 << 20, PHASES = Number(process.env.CRASH_PHASES ?? 2);
const mayMount = process.getuid() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0;

// Fills the disk but for `left` bytes.
function fill(folder, left) {
    const { bavail, bsize } = fs.statfsSync(folder);
    fs.writeFileSync(path.join(folder, 'filler'), Buffer.alloc(Math.max(0, bavail * bsize - left)));
}

test('a full disk: lines lost are the lines reported, also with supervisors killed', { skip: !mayMount && 'needs root, for a tmpfs' }, async t => {
    const host = startHost(t);
    const logs = path.join(host.home, 'logs');
    fs.mkdirSync(logs, { mode: 0o700 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=700`, 'tmpfs', logs]);
    try {
        const storm = new Storm(host, { count: 2, nodes: [nodePath(20), nodePath(12)], lineMs: 2, sendMs: 20 });
        await storm.start();
        for (let phase = 0; phase < PHASES; phase++) {
            fill(logs, 40 << 10);
            const before = storm.load.requests;
            for (const app of storm.apps)
                await until(`output of ${app.name} is dropped`, () =>
                    (host.daemonLog().match(new RegExp(`${app.name}-0\\.out: output of the app is dropped`, 'g')) ?? []).length > phase, 15000 * slow);
            for (let i = 0; i < 4; i++) {
                await delay(storm.random() * 300);
                await storm.kill(i === 2 ? 'proctor-keeper' : 'proctord');
            }
            assert.ok(storm.load.requests - before > 20, 'the apps are not held up');
            fs.rmSync(path.join(logs, 'filler'));
            for (const app of storm.apps)
                await until(`the log of ${app.name} is written again`, () =>
                    (logText(host.logFile(app.name, 'out')).match(/^\[proctor: \d+ lines/mg) ?? []).length > phase, 15000 * slow);
            // Room for the next phase.
            await delay(200);
        }
        await storm.stop();
        await host.proctor(['stop', 'all'], { expectCode: 0 });
        for (const app of storm.apps) {
            const found = checkLines(logText(host.logFile(app.name, 'out')));
            t.diagnostic(`${app.name}: ${found.lines} lines written, ${found.reported} reported as dropped`);
            assert.deepEqual({ lost: found.lost, duplicated: found.duplicated, torn: found.torn }, { lost: 0, duplicated: 0, torn: 0 },
                `seed ${storm.seed}: ${found.examples.join('\n')}`);
            assert.ok(found.reported > 0);
        }
        assert.equal(storm.counts.restarted + storm.counts.requestsFailed + storm.counts.messagesLost + storm.counts.messagesDuplicated, 0,
            JSON.stringify(storm.counts));
    } finally {
        await host.proctor(['kill']);
        spawnSync('umount', ['-l', logs]);
    }
});
