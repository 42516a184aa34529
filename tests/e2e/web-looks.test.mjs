// Every page by the rules for those who do not see it well, on small and large screens, over a slow line, and under its
// policy.
import test from 'node:test';
import assert from 'node:assert/strict';
import { startConsole, uuid7 } from '../lib/console.mjs';
import { inRelease, fileOf, once, startBrowser } from '../lib/page.mjs';
import { everyPage, pagesOf, startWithResults } from '../lib/pages.mjs';
import { newIdentity, openAgent, process_ } from '../lib/stranger.mjs';

const file = fileOf('looks');
const all = once(() => startWithResults(file));
const FIRST_LOAD_BYTES = 100 * 1024;

// What is wrong with each page in light, in dark, on a small screen and on a large one: all pages are opened once.
const looks = once(async () => {
    const found = { light: [], dark: [], cut: [], 360: [], 700: [], 1280: [], 3840: [] };
    const add = (how, name, problems) => found[how].push(...problems.map(one => `${name}: ${one}`));
    await everyPage(file, await all(), {}, async (name, visit) => {
        for (const colorScheme of ['light', 'dark']) {
            await visit.page.emulateMedia({ colorScheme });
            await visit.settled();
            add(colorScheme, name, await visit.violations());
        }
        for (const [width, height] of [[360, 640], [700, 1000], [1280, 900], [3840, 2160]]) {
            await visit.page.setViewportSize({ width, height });
            await visit.settled();
            add(width, name, await visit.overflow());
            add('cut', `${name} at ${width} px`, await visit.cutTables());
        }
        await visit.page.emulateMedia({ colorScheme: 'light' });
        await visit.page.setViewportSize({ width: 1280, height: 900 });
    });
    return found;
});

for (const scheme of ['light', 'dark'])
    test(`no page breaks a rule of axe-core, ${scheme}`, inRelease, async () => assert.deepEqual((await looks())[scheme], []));

test('no table hides a column behind its edge', inRelease, async () => assert.deepEqual((await looks()).cut, []));

for (const width of [360, 700, 1280, 3840])
    test(`no page is wider than a screen of ${width} px`, inRelease, async () => assert.deepEqual((await looks())[width], []));

// What stands in the columns that can be seen.
const columnsOf = (visit, table) => visit.role(/Functions|Processes/.test(table) ? 'grid' : 'table', table).locator('thead th')
    .evaluateAll(all => all.filter(one => one.offsetParent).map(one => one.textContent.replace(/[▲▼]/, '').trim()));

test('on a phone a table keeps what matters', inRelease, async t => {
    const { browser, host } = await all();
    const visit = await browser.visit(t, '/fleet?view=table', { as: 'admin', width: 360 });
    await visit.sees(visit.row(/api-0/));
    assert.deepEqual(await columnsOf(visit, 'Processes'), ['Process', 'Status', 'CPU', 'Memory']);
    await visit.goto('/app/api');
    await visit.sees(visit.row(/api-0/));
    assert.deepEqual(await columnsOf(visit, 'Instances'), ['Process', 'Status', 'CPU', 'Memory']);
    await visit.goto('/captures');
    await visit.sees(visit.row(/victim-0/));
    assert.deepEqual(await columnsOf(visit, 'Captures'), ['Process', 'State', 'Actions']);
    assert.match(await visit.row(/victim-0/).innerText(), /failed in phase “running”.*CPU, .* ago/s);
    await visit.goto(`/process/${host.id}/victim/0`);
    await visit.sees(visit.role('table', 'Exits'));
    assert.deepEqual(await columnsOf(visit, 'Exits'), ['When', 'How', 'Was up for']);
    await visit.close();
});

test('beside the picture there is room for names, and long names of others take none', inRelease, async t => {
    const { c, browser, cpu, host } = await all();
    const visit = await browser.visit(t, `/profile/${cpu.id}`, { as: 'admin' });
    const name = await (await visit.sees(visit.row(/hotLoop/).locator('th'))).boundingBox();
    assert.ok(name.width >= 240, `${name.width} px`);
    const somebody = `somebody.with.a.long.name@${'department.'.repeat(2)}example`;
    await c.api('POST', 'users', { role: 'admin', body: { name: somebody, role: 'operator', password: 'a long password' } });
    const { headers } = await c.login(somebody, 'a long password');
    await c.api('POST', 'captures', { role: null, headers,
        body: { id: uuid7(), kind: 'cpu', duration_ms: 500, targets: [{ host: host.id, app: 'api', instance: 0 }] } });
    await visit.goto('/captures');
    const row = visit.row(/api-0/).filter({ hasText: 'somebody.with' });
    const state = await (await visit.sees(row.locator('td').filter({ has: visit.page.locator('.capture-state') }))).boundingBox();
    assert.ok(state.width >= 180, `${state.width} px`);
    assert.deepEqual(await visit.cutTables(), []);
    await visit.close();
});

test('on a large screen pictures take its width, and tables do not', inRelease, async t => {
    const { browser, cpu } = await all();
    const visit = await browser.visit(t, '/captures', { as: 'viewer', width: 3840, height: 2160 });
    const width = async locator => (await (await visit.sees(locator)).boundingBox()).width;
    assert.ok(await width(visit.role('table', 'Captures')) <= 2000);
    await visit.goto(`/profile/${cpu.id}?view=flame`);
    assert.ok(await width(visit.role('application')) >= 3600);
    await visit.goto('/app/api');
    assert.ok(await width(visit.page.locator('.chart-plot')) >= 1600);
    await visit.close();
});

test('of more than 100 rows only those that are seen are in the document', inRelease, async t => {
    const c = await startConsole(t);
    const browser = await startBrowser(t, c);
    const agent = await openAgent(c, await newIdentity(c));
    const visit = await browser.visit(t, '/fleet?view=table', { as: 'viewer' });
    const send = n => agent.send({ type: 'processes', at_ms: Date.now(), processes: Array.from({ length: n }, (_, i) => process_({ app: 'lot', instance: i, pid: 100 + i })) });
    const rows = visit.page.locator('tbody tr[data-key]');
    send(100);
    await visit.wait('all of 100', async () => await rows.count() === 100);
    send(400);
    await visit.sees(visit.text('400 processes'));
    await visit.wait('some of 400', async () => await rows.count() < 70);
    assert.equal(await visit.role('grid', 'Processes').getAttribute('aria-rowcount'), '401');
    // By keyboard to the last one, and by the wheel back to the first.
    await rows.first().focus();
    await visit.press('End');
    await visit.wait('the last one', async () => /lot-399/.test((await visit.focused()).text));
    assert.ok(await visit.row(/^lot-399 /).isVisible());
    await visit.page.locator('.table-box').evaluate(one => one.scrollTo(0, 0));
    await visit.sees(visit.row(/^lot-0 /));
    assert.ok(await rows.count() < 70);
    await visit.page.setViewportSize({ width: 360, height: 740 });
    assert.deepEqual(await visit.cutTables(), []);
    await visit.close();
    agent.close();
});

test('restarts, exits and captures are marked in the charts, and said', inRelease, async t => {
    const { browser, host } = await all();
    const visit = await browser.visit(t, `/process/${host.id}/victim/0?range=15min`, { as: 'viewer' });
    const drawn = kind => visit.page.evaluate(name => {
        const canvas = document.querySelector('.chart-plot canvas');
        const wanted = getComputedStyle(document.documentElement).getPropertyValue(`--mark-${name}`).match(/[0-9a-f]{2}/g).map(one => parseInt(one, 16));
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let pixels = 0;
        for (let i = 0; i < data.length; i += 4)
            pixels += wanted.every((value, c) => Math.abs(data[i + c] - value) < 48) && data[i + 3] > 100 ? 1 : 0;
        return pixels;
    }, kind);
    await visit.sees(visit.text(/^2 marks of CPU/));
    visit.expected.push(/willReadFrequently/);
    await visit.wait('the exit', async () => await drawn('exit') > 20);
    assert.equal(await drawn('restart'), 0);
    await visit.text(/^2 marks of CPU/).click();
    await visit.sees(visit.text(/victim-0 ended by SIGKILL$/));
    await visit.sees(visit.text(/cpu capture of victim-0: failed$/));
    await visit.waitText(visit.page.locator('.chart-marks'), /it ended by itself.*a capture ran/s);
    // On a page of its own: what was at the same second is at the same place.
    await visit.goto(`/process/${host.id}/api/0?range=15min`);
    await visit.sees(visit.text(/^\d+ marks? of CPU/));
    await visit.wait('the capture', async () => await drawn('capture') > 20);
    // What was asked for is another mark.
    host.proctor(['restart', 'store'], { expectCode: 0 });
    await visit.goto(`/process/${host.id}/store/0?range=15min`);
    await visit.sees(visit.text(/marks of CPU/));
    await visit.waitText(visit.page.locator('.chart-marks'), /it was restarted or stopped/);
    await visit.wait('the restart', async () => await drawn('restart') > 10);
    await visit.close();
});

test('the navigation says where one is', inRelease, async t => {
    const { browser, cpu, running, host } = await all();
    const places = { '/capture': 'New capture', [`/capture/${running.order}`]: 'Captures', '/captures': 'Captures',
        [`/profile/${cpu.id}`]: 'Captures', '/app/api': 'Fleet', [`/process/${host.id}/api/0`]: 'Fleet', '/admin': 'Admin' };
    const visit = await browser.visit(t, '/fleet', { as: 'admin' });
    for (const [address, place] of Object.entries(places)) {
        await visit.goto(address);
        await visit.settled();
        const marked = visit.role('navigation', 'Pages').locator('[aria-current=page]');
        await visit.wait(`${place} is marked at ${address}`, async () => (await marked.allInnerTexts()).join() === place);
    }
    await visit.close();
});

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
