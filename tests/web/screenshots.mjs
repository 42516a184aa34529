// Each page as a picture, in light and dark: for people to look at.  `make screenshots` runs it alone; the pictures are in
// the folder PROCTOR_SCREENSHOTS.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileOf, inBrowser, once } from '../lib/page.mjs';
import { everyPage, startWithResults } from '../lib/pages.mjs';

const folder = process.env.PROCTOR_SCREENSHOTS;
const file = fileOf('screenshots');
const all = once(() => startWithResults(file, { seconds: 5 }));

const LOOKS = {
    'light': { scheme: 'light' },
    'dark': { scheme: 'dark' },
    'small': { scheme: 'light', width: 360, height: 740 },
    'large': { scheme: 'dark', width: 3840, height: 2160 },
};

for (const [look, options] of Object.entries(LOOKS)) {
    test(`pictures of each page, ${look}`, inBrowser, async t => {
        assert.ok(folder, 'PROCTOR_SCREENSHOTS names the folder');
        fs.mkdirSync(folder, { recursive: true });
        await everyPage(t, await all(), options, async (name, visit) => {
            await visit.page.screenshot({ path: path.join(folder, `${name}-${look}.png`), animations: 'disabled' });
        });
    });
}

// The one in README: what the demo's app does with its time.
test('the picture of README', inBrowser, async t => {
    const { c, host, browser } = await all();
    await host.startApps([{ name: 'orders', script: fileURLToPath(new URL('../../examples/app.js', import.meta.url)) }]);
    await c.waitProcess(host.id, 'orders');
    const [{ id }] = await c.capture([{ host: host.id, app: 'orders' }], { duration_ms: 10000, interval_us: 1000 });
    await c.waitEnd(id, 'done');
    const visit = await browser.visit(t, `/profile/${id}`, { as: 'viewer', width: 1280, height: 700 });
    await visit.sees(visit.role('application'));
    await visit.settled();
    await visit.row(/rankCustomers/).hover();
    await visit.page.screenshot({ path: path.join(folder, 'readme.png'), animations: 'disabled' });
    await host.proctor(['delete', 'orders'], { expectCode: 0 });
});
