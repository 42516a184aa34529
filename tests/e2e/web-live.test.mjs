// The page while things happen: apps that die, a console that goes away and comes back, processes that come and go, and
// people who may see but not do.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { appFile, startHost } from '../lib/host.mjs';
import { startConsole } from '../lib/console.mjs';
import { calmCpu, fileOf, inBrowser, inRelease, once, startAll, startBrowser } from '../lib/page.mjs';
import { startProxy } from '../lib/proxy.mjs';
import { newIdentity, openAgent, process_ } from '../lib/stranger.mjs';

const file = fileOf('what happens meanwhile');
const all = once(() => startAll(file, { apps: [calmCpu('api'), calmCpu('victim', { autorestart: false })] }));

test('an app that is killed in the middle: the failure names its phase and the next step', inRelease, async t => {
    const { c, host, browser } = await all();
    const visit = await browser.visit(t, '/fleet', { as: 'operator', allow: [[404, /profiles\//]] });
    await visit.tile('victim-0').click();
    await visit.button('Capture…').click();
    await visit.field('Seconds').fill('60');
    await visit.button('Start').click();
    await visit.waitText(visit.page.locator('.standing'), /running, .* left/);
    process.kill(await host.pid('victim'), 'SIGKILL');
    const failure = await visit.waitText(visit.page.locator('.capture-card .message.error'), /failed in phase “running”/);
    assert.match(failure, /Its exits and its log say why; capture again when it is up/);
    assert.match(await visit.role('list', 'Phases of victim-0').innerText(), /✗\s*running/);
    // The same from the list of captures, and at the address that its profile would have.
    const [{ id }] = (await c.api('GET', 'captures?app=victim', { role: 'viewer' })).body.captures;
    await visit.link('Captures').click();
    await visit.sees(visit.row(/victim-0 .* failed in phase “running”: /));
    await visit.goto(`/profile/${id}`);
    const told = await visit.waitText(visit.role('alert'), /has no profile/);
    assert.match(told, /in phase “running”/);
    assert.match(told, /capture again/);
    await visit.link('Capture again').click();
    await visit.seesTitle('New capture');
    await visit.waitText(visit.role('region', 'Chosen processes'), /left out: it does not run|left out: /);
    assert.ok(await visit.button('Start').isDisabled());
    // Its page says how it ended.
    await visit.link('victim-0').click();
    await visit.waitText(visit.role('table', 'Exits'), /ended by .*\bno\b/);
});

test('a viewer sees everything and no button that would be refused', inRelease, async t => {
    const { c, host, browser } = await all();
    const [done] = await c.capture([{ host: host.id, app: 'api' }], { duration_ms: 500 });
    await c.waitEnd(done.id, 'done');
    const [runs] = await c.capture([{ host: host.id, app: 'api' }]);
    await c.waitPhase(runs.id, 'running');
    const process_page = `/process/${host.id}/api/0`;
    const pages = { '/fleet': 'Fleet', '/capture': 'New capture', '/captures': 'Captures', '/app/api': 'api',
        [process_page]: /^api-0/, [`/capture/${runs.order}`]: /capture of api-0/, [`/profile/${done.id}`]: /profile of api-0/ };
    const refused = /Capture|Start|Stop|Cancel|Keep|Kept|Delete|Profile (CPU|heap)|Make|Add|Remove|Revoke|Link a host/;
    const visit = await browser.visit(t, null, { as: 'viewer' });
    for (const [address, title] of Object.entries(pages)) {
        await visit.goto(address);
        await visit.seesTitle(title);
        if (address === '/fleet') {
            await visit.tile('api-0').click();
            await visit.sees(visit.text(/Captures need the role “operator”/));
        }
        await visit.settled();
        const buttons = visit.role('main').getByRole('button').or(visit.page.locator('main a.button'));
        const names = (await buttons.allInnerTexts()).filter(text => refused.test(text));
        assert.deepEqual(names, [], `on ${address}`);
    }
    const places = await visit.role('navigation', 'Pages').getByRole('link').allInnerTexts();
    assert.deepEqual(places, ['Fleet', 'Captures']);
    await visit.goto('/admin');
    await visit.seesTitle('This page is for admins');
    // An operator sees those buttons.
    const other = await browser.visit(t, `/capture/${runs.order}`, { as: 'operator' });
    await other.sees(other.button(/^Stop api-0/));
    await other.button(/^Cancel api-0/).click();
    await visit.goto(`/capture/${runs.order}`);
    await visit.waitText(visit.page.locator('.standing'), /cancelled/);
});

test('the console restarts under an open page: it is said, heals by itself, and the session goes on', inBrowser, async t => {
    const { c, host, browser } = await all();
    const visit = await browser.visit(t, '/fleet', { as: 'operator' });
    await visit.sees(visit.tile('api-0'));
    await visit.page.evaluate(() => { window.sameDocument = true; });
    visit.away = true;
    await c.stop();
    await visit.sees(visit.text(/^The connection to the console is lost; what you see is of /));
    await visit.sees(visit.tile('api-0'));
    await c.start();
    await visit.seesNo(visit.text(/^The connection to the console is lost/));
    visit.away = false;
    await c.waitConnected(host.id);
    await visit.sees(visit.button(/^api-0 on .*, online$/));
    await visit.tile('api-0').click();
    await visit.button('Capture…').click();
    await visit.field('Seconds').fill('1');
    await visit.button('Start').click();
    await visit.sees(visit.link(/^Open profile/));
    assert.equal(await visit.page.evaluate(() => window.sameDocument), true, 'no reload');
});

test('a network that is dead, which closes nothing, is noticed and heals', inRelease, async t => {
    const proxy = await startProxy(t);
    const c = await startConsole(t, { args: ['--public-web', proxy.address] });
    proxy.target = new URL(c.web).host;
    const browser = await startBrowser(t, c);
    const agent = await openAgent(c, await newIdentity(c));
    const visit = await browser.visit(t, null, { as: 'viewer' });
    await visit.page.clock.install();
    await visit.goto(`https://${proxy.address}/fleet`);
    await visit.sees(visit.tile('api-0'));
    visit.away = true;
    proxy.hold();
    // Longer than the page waits for a word before it asks; its question then has no answer for 10 s.
    const lost = visit.text(/^The connection to the console is lost/);
    await visit.page.clock.runFor(24000);
    assert.equal(await lost.count(), 0, 'nothing has told the page yet');
    await visit.page.clock.runFor(12000);
    await visit.wait('the loss is told', async () => {
        await visit.page.clock.runFor(1000);
        return await lost.count() > 0;
    }, 30000);
    agent.send(some([['api', 88]]));
    proxy.release();
    await visit.wait('the news', async () => {
        await visit.page.clock.runFor(2000);
        return await lost.count() === 0 && await visit.button(/^api-0 on .* CPU 88 %/).count() === 1;
    }, 30000);
    agent.close();
});

test('a console whose answers break off is asked again', inRelease, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, null, { as: 'viewer' });
    let broken = 2;
    visit.away = true;
    await visit.page.route(/api\/v1\/processes$/, route => (broken-- > 0 ? route.abort() : route.continue()));
    await visit.goto('/fleet');
    await visit.sees(visit.tile('api-0'));
    assert.ok(broken < 0);
});

test('a profile that somebody deletes takes its links with it, on every open page', inRelease, async t => {
    const { c, host, browser } = await all();
    const [row] = await c.capture([{ host: host.id, app: 'api' }], { duration_ms: 500 });
    await c.waitEnd(row.id, 'done');
    const visit = await browser.visit(t, `/capture/${row.order}`, { as: 'viewer' });
    const list = await browser.visit(t, '/captures?app=api', { as: 'viewer' });
    const open = await browser.visit(t, `/profile/${row.id}`, { as: 'viewer' });
    const link = list.page.locator(`a[href="/profile/${row.id}"]`);
    await visit.sees(visit.link(/^Open profile/));
    await list.sees(link);
    await open.sees(open.link('table (JSON)'));
    // An answer that is older than the news: the list is asked for again while it is under way.
    const old = (await c.api('GET', 'captures?app=api', { role: 'viewer' })).body;
    await list.page.route(/api\/v1\/captures\?/, route => route.fulfill({ json: old }));
    await c.api('DELETE', `profiles/${row.id}`, { role: 'operator' });
    await visit.seesNo(visit.link(/^Open profile/));
    await visit.sees(visit.text(/^The result was removed/));
    await list.seesNo(link);
    await open.sees(open.text('The bytes of this profile were removed'));
    assert.equal(await open.link('table (JSON)').count(), 0);
    await list.goWithin('/captures?app=api&kind=cpu');
    await list.settled();
    await list.seesNo(link);
    assert.ok(await list.row(/api-0/).count() > 0);
});

test('who logs out elsewhere is led to the log-in, and back to the page', inRelease, async t => {
    const { c, browser } = await all();
    const visit = await browser.visit(t, '/captures?state=failed', { allow: [[401, /api\/v1/]] });
    await visit.seesTitle('Log in');
    await visit.login('operator');
    await visit.seesTitle('Captures');
    assert.equal(visit.at, '/captures?state=failed');
    // All sessions of the account end when its password is set; the page finds out with its next request.
    const { name, password } = await browser.account('operator');
    await c.api('POST', `users/${name}/password`, { role: 'admin', body: { password } });
    browser.states.delete('operator');
    await visit.select('Kind').selectOption('cpu');
    await visit.seesTitle('Log in');
    await visit.sees(visit.text('Your session has ended. Log in again.'));
    await visit.login('operator');
    await visit.seesTitle('Captures');
    assert.deepEqual(visit.params, { state: 'failed', kind: 'cpu' });
});

test('a wrong password is one sentence', inRelease, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, '/login', { allow: [[401, /session$|login$/]] });
    await visit.field('Name').fill('admin');
    await visit.field('Password').fill('not that one');
    await visit.button('Log in').click();
    await visit.sees(visit.role('alert'));
    assert.equal(await visit.field('Password').inputValue(), '');
    await visit.login('admin');
    await visit.seesTitle('Fleet');
});

// ---- nothing jumps ------------------------------------------------------------------------------------------------

const some = list => ({ type: 'processes', at_ms: Date.now(), processes: list.map(([app, cpu], i) => process_({ app, cpu, pid: 100 + i })) });
const appsOf = async locator => (await locator.evaluateAll(all => all.map(one => one.dataset.key))).map(key => key?.split('/')[1]);

test('tiles and rows keep their places while the pointer is inside', inRelease, async t => {
    const c = await startConsole(t);
    const browser = await startBrowser(t, c);
    const identity = await newIdentity(c);
    const agent = await openAgent(c, identity);
    agent.send(some([['bee', 20], ['dog', 60]]));
    const visit = await browser.visit(t, '/fleet?group=none', { as: 'viewer' });
    const tiles = visit.page.locator('.tile');
    await visit.wait('two tiles', async () => await tiles.count() === 2);
    assert.deepEqual(await appsOf(tiles), ['bee', 'dog']);

    const place = await visit.tile('dog-0').boundingBox();
    await visit.tile('dog-0').hover();
    agent.send(some([['ant', 5], ['cat', 5], ['dog', 61]]));
    await visit.wait('the new ones', async () => await tiles.count() === 4);
    assert.deepEqual(await appsOf(tiles), ['bee', 'dog', 'ant', 'cat']);
    assert.deepEqual(await visit.tile('dog-0').boundingBox(), place);
    await visit.sees(visit.button(/^dog-0 on .* CPU 61 %/));
    await visit.sees(visit.button(/^bee-0 on .* gone/));
    await visit.heading('Fleet').hover();
    await visit.wait('their order', async () => (await appsOf(tiles)).join() === 'ant,cat,dog');

    await visit.goto('/fleet?view=table&sort=-cpu');
    const rows = visit.page.locator('tbody tr[data-key]');
    await visit.wait('three rows', async () => await rows.count() === 3);
    assert.equal((await appsOf(rows))[0], 'dog');
    await visit.row(/dog-0/).hover();
    const before = await appsOf(rows);
    agent.send(some([['ant', 90], ['cat', 95], ['dog', 1]]));
    await visit.sees(visit.row(/cat-0 .* 95 %/));
    assert.deepEqual(await appsOf(rows), before);
    await visit.heading('Fleet').hover();
    await visit.wait('the new order', async () => (await appsOf(rows)).join() === 'cat,ant,dog');
    agent.close();
    await visit.sees(visit.text(/The host stranger is not connected/));
});

// Puts the pointer on an element and looks, after each of the steps, what is under it: the very same, at the same place.
async function stays(visit, locator, part, steps) {
    const box = await (await visit.sees(locator)).boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    await visit.page.mouse.move(x, y);
    const under = () => visit.page.evaluate(([left, top, selector]) => {
        const one = document.elementFromPoint(left, top)?.closest(selector);
        const { x: atX, y: atY } = one?.getBoundingClientRect() ?? {};
        return { key: one?.dataset.key, atX, atY };
    }, [x, y, part]);
    const before = await under();
    assert.ok(before.key, `${JSON.stringify(before)}`);
    for (const [name, step] of Object.entries(steps)) {
        await step();
        await visit.settled();
        assert.deepEqual(await under(), before, name);
    }
    return { x, y, key: before.key };
}

test('what is under the pointer stays there, whatever happens to the fleet', inRelease, async t => {
    const c = await startConsole(t);
    const browser = await startBrowser(t, c);
    const [one, two] = [await newIdentity(c, 'one'), await newIdentity(c, 'two')];
    let agent = await openAgent(c, one), other = await openAgent(c, two, { hostname: 'two' });
    const list = names => ({ type: 'processes', at_ms: Date.now(),
        processes: names.map(name => process_({ app: name.split('-')[0], instance: Number(name.split('-')[1]), cpu: Math.random() * 90 })) });
    const many = Array.from({ length: 150 }, (_, i) => `many-${i}`);
    const calm = ['api-0', 'bee-0', 'bee-1', 'zed-0', 'zed-1'];
    const grown = ['aaa-0', 'api-0', 'api-1', 'api-2', 'bee-1', 'zed-0', 'zed-1', 'zed-2'];
    const visit = await browser.visit(t, null, { as: 'viewer' });
    const views = [['/fleet?group=app', '.tile'], ['/fleet?group=host', '.tile'], ['/fleet?group=none', '.tile'],
        ['/fleet?view=table', 'tr[data-key]'], ['/fleet?view=table&sort=-cpu', 'tr[data-key]', many]];
    for (const [address, part, more = []] of views) {
        agent.send(list([...calm, ...more]));
        other.send(list(['zed-0']));
        await visit.goto(address);
        const parts = visit.page.locator(part);
        await visit.wait('the fleet', async () => await visit.page.locator('.picker-count').innerText() === `${calm.length + more.length + 1} processes`);
        // It is still the old fleet's order that is drawn when the last list has just come.
        await visit.settled();
        const target = more.length > 0 ? parts.nth(5) : parts.and(visit.page.locator('[data-key$="/zed/1"]'));
        const count = text => visit.wait(text, async () => (await visit.page.locator('.picker-count').innerText()) === text);
        const at = await stays(visit, target, part, {
            [`${address}: processes come, and one goes`]: async () => {
                agent.send(list([...grown, ...more]));
                await count(`${grown.length + more.length + 1} processes`);
            },
            [`${address}: a host goes`]: async () => {
                other.close();
                await c.waitConnected(two.id, false);
                await visit.sees(visit.page.locator(part === '.tile' ? '.tile[data-mark="?"]' : part));
            },
            [`${address}: their numbers change`]: () => agent.send(list([...grown, ...more])),
        });
        // A click goes where it was meant to go.
        await visit.page.mouse.click(at.x, at.y);
        await visit.wait('the choice', () => visit.params.pick === at.key);
        await visit.page.mouse.move(5, 5);
        await visit.sees(visit.text(/The host two is not connected/));
        other = await openAgent(c, two, { hostname: 'two' });
    }
    // The console itself goes.
    await visit.goto('/fleet');
    visit.away = true;
    const lost = visit.text(/^The connection to the console is lost/);
    await stays(visit, visit.tile('aaa-0'), '.tile', { 'the connection is lost': async () => {
        await c.stop();
        await visit.sees(lost);
    } });
    await c.start();
    await visit.seesNo(lost);
    visit.away = false;
    agent.close();
    other.close();
});

// ---- nothing there ------------------------------------------------------------------------------------------------

test('an empty console teaches: the page\'s own words start an app and link its host', inRelease, async t => {
    const c = await startConsole(t);
    const browser = await startBrowser(t, c);
    const viewer = await browser.visit(t, '/fleet', { as: 'viewer' });
    await viewer.sees(viewer.text(/Ask an admin of this console/));
    assert.equal(await viewer.button('Make a link string').count(), 0);
    const visit = await browser.visit(t, '/captures', { as: 'admin' });
    await visit.sees(visit.text('Nothing was captured yet'));
    await visit.goto('/fleet');
    await visit.sees(visit.text('No host is linked yet'));
    const command = await visit.role('group', 'The command').innerText();
    assert.equal(command, 'proctor link -');
    await visit.button('Make a link string').click();
    const string = await (await visit.sees(visit.role('group', 'The link string'))).innerText();

    const host = startHost(t);
    fs.copyFileSync(appFile('cpu.js'), path.join(host.work, 'app.js'));
    const run = (text, options) => host.proctor(text.split(' ').slice(1), { expectCode: 0, timeout: 40000, ...options });
    const start = await visit.page.locator('code', { hasText: /^proctor start app.js/ }).innerText();
    await run(start, { env: { HOT_MS: '5', REST_MS: '50' } });
    await run(command, { input: `${string}\n` });
    await visit.sees(visit.tile('api-0'));
    await viewer.sees(viewer.tile('api-0'));
    await run('proctor delete api');
    await visit.sees(visit.text(/is linked, but no app runs there/));
    assert.equal(await visit.role('group', 'The command').innerText(), start);
    await run(start, { env: { HOT_MS: '5', REST_MS: '50' } });
    await visit.sees(visit.tile('api-0'));
    await visit.field('Filter').fill('nothing like that');
    await visit.button('Clear the filter').click();
    await visit.sees(visit.tile('api-0'));
    await visit.goto('/nowhere');
    await visit.seesTitle('There is no such page');
    await visit.goto('/capture');
    await visit.sees(visit.heading('Choose processes'));
    await visit.tile('api-0').click();
    await visit.sees(visit.button('Start'));
});
