// Each page as a picture, in light and dark: for people to look at.  `make screenshots` runs it alone; the pictures are in
// the folder PROCTOR_SCREENSHOTS.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileOf, inBrowser, once } from '../lib/page.mjs';
import { everyPage, startWithResults } from '../lib/pages.mjs';

const folder = process.env.PROCTOR_SCREENSHOTS;
const file = fileOf('screenshots');
const all = once(() => startWithResults(file, { seconds: 5 }));

const LOOKS = {
    'light': { scheme: 'light' },
    'dark': { scheme: 'dark' },
    'small': { scheme: 'light', width: 360, height: 740 },
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
