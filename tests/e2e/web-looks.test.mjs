// Every page by the rules for those who do not see it well, on small and large screens, over a slow line, and under its
// policy.
import test from 'node:test';
import assert from 'node:assert/strict';
import { inRelease, fileOf, once } from '../lib/page.mjs';
import { everyPage, pagesOf, startWithResults } from '../lib/pages.mjs';

const file = fileOf('looks');
const all = once(() => startWithResults(file));
const FIRST_LOAD_BYTES = 100 * 1024;

// What is wrong with each page in light, in dark, on a small screen and on a large one: all pages are opened once.
const looks = once(async () => {
    const found = { light: [], dark: [], 360: [], 3840: [] };
    const add = (how, name, problems) => found[how].push(...problems.map(one => `${name}: ${one}`));
    await everyPage(file, await all(), {}, async (name, visit) => {
        for (const colorScheme of ['light', 'dark']) {
            await visit.page.emulateMedia({ colorScheme });
            await visit.settled();
            add(colorScheme, name, await visit.violations());
        }
        for (const [width, height] of [[360, 640], [3840, 2160]]) {
            await visit.page.setViewportSize({ width, height });
            await visit.settled();
            add(width, name, await visit.overflow());
        }
        await visit.page.emulateMedia({ colorScheme: 'light' });
        await visit.page.setViewportSize({ width: 1280, height: 900 });
    });
    return found;
});

for (const scheme of ['light', 'dark'])
    test(`no page breaks a rule of axe-core, ${scheme}`, inRelease, async () => assert.deepEqual((await looks())[scheme], []));

for (const width of [360, 3840])
    test(`no page is wider than a screen of ${width} px`, inRelease, async () => assert.deepEqual((await looks())[width], []));

test('axe-core and the ruler do find what is wrong', inRelease, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, '/captures', { as: 'viewer', width: 360 });
    await visit.seesTitle('Captures');
    await visit.page.evaluate(() => {
        const image = document.createElement('img');
        image.src = '/icon.svg';
        image.width = 500;
        document.querySelector('main').append(image);
    });
    assert.match((await visit.violations()).join(), /image-alt/);
    assert.match((await visit.overflow()).join(), /IMG/);
});

// Place, size and colours of everything whose text does not change by itself.
const looksOf = visit => visit.page.evaluate(() => [...document.querySelectorAll('main :is(button, a, input, select, label, h1, h2, legend, canvas, th)')]
    .filter(one => !one.closest('tbody, .tile-grid, .u-legend')).map(one => {
        const { width, height } = one.getBoundingClientRect(), style = getComputedStyle(one);
        return [one.tagName, (one.textContent || one.name || '').trim().slice(0, 30), Math.round(width), Math.round(height), style.opacity,
            style.color, style.backgroundColor, style.fontSize, style.fontWeight].join(' ');
    }));

test('a page looks the same whichever pages were seen before it', inRelease, async t => {
    const { browser } = await all();
    const pages = Object.values(pagesOf(await all())).filter(([address]) => !/focus=$/.test(address));
    const long = await browser.visit(t, '/captures', { as: 'admin' });
    const open = async (visit, way, [address, ready]) => {
        await visit[way](address);
        await visit.sees(ready(visit));
        await visit.settled();
        await visit.page.mouse.move(0, 0);
    };
    for (const page of pages) {
        await long.goWithin('/nowhere');
        await open(long, 'goWithin', page);
    }
    const fresh = await browser.visit(t, null, { as: 'admin' });
    const found = [];
    for (const page of pages) {
        await long.goWithin('/nowhere');
        await open(long, 'goWithin', page);
        await open(fresh, 'goto', page);
        const [before, after] = [await looksOf(fresh), await looksOf(long)];
        found.push(...after.filter((text, i) => text !== before[i]).slice(0, 3).map(text => `${page[0]}: ${text}, not ${before[after.indexOf(text)]}`));
    }
    assert.deepEqual(found, []);
});

test('from the log-in to the fleet not more than 100 KB come over the line', inRelease, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, null, { allow: [[401, /session$/]] });
    const session = await visit.context.newCDPSession(visit.page);
    await session.send('Network.enable');
    let bytes = 0, requests = 0;
    session.on('Network.loadingFinished', event => { bytes += event.encodedDataLength; requests++; });
    await visit.goto('/');
    await visit.login('operator');
    await visit.sees(visit.tile('api-0'));
    await visit.page.waitForLoadState('networkidle');
    t.diagnostic(`${bytes} bytes in ${requests} answers, heads included`);
    assert.ok(bytes > 10000 && bytes <= FIRST_LOAD_BYTES, `${bytes} bytes`);
});

test('what is not the page\'s own file does not run', inRelease, async t => {
    const { c, browser } = await all();
    const { headers } = await c.request('GET', '/');
    const policy = headers['content-security-policy'];
    assert.match(policy, /script-src 'self'(;|$)/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    const visit = await browser.visit(t, '/fleet', { as: 'viewer' });
    await visit.sees(visit.tile('api-0'));
    const ran = await visit.page.evaluate(async () => {
        const blocked = new Promise(resolve => document.addEventListener('securitypolicyviolation', event => resolve(event.violatedDirective)));
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
        return { directive: await blocked, ran: window.ran === true };
    });
    assert.deepEqual(ran, { directive: 'script-src-elem', ran: false });
    await visit.wait('the complaint', async () => visit.problems.length >= 2);
    assert.ok(visit.problems.every(one => /CSP|Content Security Policy/.test(one)), `${visit.problems}`);
    visit.problems.length = 0;
});
