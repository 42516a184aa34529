// What the page costs: a large flame graph, and a large fleet that never rests.
import test from 'node:test';
import assert from 'node:assert/strict';
import { fileOf, inRelease, once, startAll } from '../lib/page.mjs';
import { newIdentity, openAgent, process_ } from '../lib/stranger.mjs';
import { lookAgain, measureFlame, prepareFlame } from '../web/flame-measure.mjs';
import { wideTree } from '../web/flame-trees.mjs';

const file = fileOf('speed');
const all = once(() => startAll(file));

// The page measures itself on a clock, and beside other tests on two cores some of that is waiting for a core: when none
// of three was quick enough there are some more, and what counts is the time without that waiting.
const TRIES = { enough: 3, most: 9 };

async function drawOnce(t, browser, tree) {
    // A fresh page each time: nothing is compiled yet.
    const visit = await browser.visit(t, '/captures', { as: 'viewer' });
    await visit.seesTitle('Captures');
    visit.expected.push(/willReadFrequently/); // of the measuring, which looks at what was drawn
    await visit.page.evaluate(`(${prepareFlame})({ tree: JSON.parse(${tree}), width: 1280, height: 720 })`);
    const { cpu, result } = await visit.busy(() => visit.page.evaluate(measureFlame));
    const told = { cpu, ...result, ...await visit.page.evaluate(lookAgain) };
    await visit.close();
    return { ...told, ms: Math.min(told.first, told.cpu) };
}

for (const [boxes, most_ms] of [[7000, 50], [200000, 150]]) {
    test(`a flame graph of ${boxes} boxes is drawn within ${most_ms} ms`, inRelease, async t => {
        const { browser } = await all();
        // As a text: so many objects are slow to hand over.
        const tree = JSON.stringify(JSON.stringify(wideTree(boxes)));
        let best = null;
        for (let i = 0; i < TRIES.enough || (i < TRIES.most && best.ms > most_ms); i++) {
            const one = await drawOnce(t, browser, tree);
            best = best && best.ms < one.ms ? best : one;
        }
        t.diagnostic(`${best.boxes} boxes: ${best.first.toFixed(1)} ms on the clock (${best.cpu.toFixed(1)} of the main thread), of which ${best.layout.toFixed(1)} layout and ${best.draw.toFixed(1)} drawing; `
            + `again ${best.again.toFixed(1)} ms`);
        assert.equal(best.boxes, boxes);
        assert.ok(best.inked > 0.2, `${best.inked} of the picture is drawn`);
        assert.ok(best.ms <= most_ms, `${best.ms} ms`);
    });
}

// ---- a large fleet ------------------------------------------------------------------------------------------------

const PROCESSES = 1000;
const EVERY_MS = 1000;
// CPU time, not time on a clock: beside other tests on a shared machine the thread also waits for its core.
const MOST_MS = 60;
const WATCHED_S = 8;

// Busy processes: each has another number each second.
const fleet = turn => Array.from({ length: PROCESSES }, (_, i) => process_({
    app: `app-${i % 40}`, instance: Math.floor(i / 40), pid: 1000 + i, uptime_ms: 1000 * turn,
    cpu: (i * 7 + turn * 13 * (1 + i % 5)) % 100, memory: 50e6 + ((i * 31 + turn * 17) % 900) * 1e6,
}));

const busyAgent = once(async () => {
    const { c } = await all();
    const agent = await openAgent(c, await newIdentity(c, 'many'));
    let turn = 0;
    const send = () => agent.send({ type: 'processes', at_ms: Date.now(), processes: fleet(turn++) });
    send();
    const timer = setInterval(send, EVERY_MS);
    file.after(() => { clearInterval(timer); agent.close(); });
});

// On the large screen all tiles are seen at once.
for (const [view, part, width, height] of [['tiles', '.tile', 1280, 900], ['table', 'tbody tr[data-key]', 1280, 900], ['tiles', '.tile', 3840, 2160]]) {
    test(`${PROCESSES} processes that change every second cost ${MOST_MS} ms of each second at most, as ${view} on ${width} px`, inRelease, async t => {
        const { browser } = await all();
        await busyAgent();
        const visit = await browser.visit(t, `/fleet?view=${view}`, { as: 'viewer', width, height });
        await visit.sees(visit.text(`${PROCESSES.toLocaleString('en')} processes`));
        const look = () => visit.page.locator(part).evaluateAll(all => all.map(one => one.outerHTML).join('\n'));
        const before = await look();
        await visit.mainThread(2); // the first drawing is over
        // A core that is shared is a slow one: some more tries, as above.
        let used = await visit.mainThread(WATCHED_S);
        for (let i = 1; i < TRIES.enough && used.cpu > MOST_MS; i++)
            used = await visit.mainThread(WATCHED_S);
        const { cpu, wall, parts } = used;
        const text = Object.entries(parts).map(([name, ms]) => `${name} ${ms.toFixed(1)}`).join(', ');
        t.diagnostic(`${view}: ${cpu.toFixed(1)} ms of CPU time per second of the main thread (${text}), ${wall.toFixed(1)} ms on the clock`);
        assert.ok(await look() !== before, 'it is live');
        // All of it is counted: not only the scripts.
        const { script, layout, style } = parts;
        assert.ok(layout > 0 && style > 0 && script > 0 && script + layout + style < cpu, text);
        assert.ok(cpu <= MOST_MS, `${cpu} ms`);
    });
}

test('what is measured is the main thread', inRelease, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, '/captures', { as: 'viewer' });
    await visit.seesTitle('Captures');
    await visit.page.evaluate(() => setInterval(() => {
        const began = performance.now();
        while (performance.now() - began < 100);
    }, 500));
    const { cpu, wall } = await visit.mainThread(3);
    t.diagnostic(`${cpu.toFixed(1)} ms of CPU time, ${wall.toFixed(1)} ms on the clock, of 200`);
    assert.ok(wall > 150 && cpu > 20 && cpu < 1.1 * wall, `${cpu} ${wall}`);
});
