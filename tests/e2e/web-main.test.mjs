// The main job at the page: from log-in to the guilty function in five clicks, for time and for memory.
import test from 'node:test';
import assert from 'node:assert/strict';
import { calmCpu, calmHeap, fileOf, findInFlame, inBrowser, inRelease, once, startAll } from '../lib/page.mjs';

const file = fileOf('the main job');
const all = once(() => startAll(file, { apps: [calmCpu('api', { instances: 2 }), calmHeap('store')] }));

// Each click is counted.
function clicker() {
    const clicks = [];
    return { clicks, click: async (what, locator) => { clicks.push(what); await locator.click(); } };
}

// Everything but the log-in and the first look is said by the page itself.
async function mainJob(t, { kind, name, guilty, seconds }) {
    const { browser } = await all();
    const visit = await browser.visit(t, `/?kind=${kind}`, { allow: [[401, /session$/]] });
    const { clicks, click } = clicker();
    await visit.seesTitle('Log in');
    const { name: user, password } = await browser.account('operator');
    await visit.field('Name').fill(user);
    await visit.field('Password').fill(password);
    await click('Log in', visit.button('Log in'));
    await visit.seesTitle('Fleet');
    await click('the tile', visit.tile(name));
    await click('Capture…', visit.button('Capture…'));
    await visit.seesTitle('New capture');
    await visit.field('Seconds').fill(String(seconds));
    await click('Start', visit.button('Start'));
    await visit.seesTitle(new RegExp(`capture of ${name}`));
    const open = visit.link(/^Open profile/);
    await visit.sees(visit.role('list', `Phases of ${name}`));
    await visit.sees(open);
    await click('Open profile', open);
    await visit.seesTitle(new RegExp(`${kind === 'cpu' ? 'CPU' : 'Heap'} profile of ${name}`));
    assert.ok(clicks.length <= 5, `${clicks}`);

    const row = await visit.sees(visit.role('grid', 'Functions').getByRole('row').filter({ hasText: guilty }));
    const text = await row.innerText();
    const shown = await findInFlame(visit, new RegExp(`^${guilty}`));
    return { visit, text, shown };
}

test('cpu: five clicks from log-in to the function that burns the time', inBrowser, async t => {
    const { visit, text, shown } = await mainJob(t, { kind: 'cpu', name: 'api-0', guilty: 'hotLoop', seconds: 2 });
    assert.match(text, / m?s\s/);
    assert.match(shown, /self .* total .*%/);
    // The first row is the greatest: the guilty one.
    const first = visit.role('grid', 'Functions').getByRole('row').nth(1);
    assert.match(await first.innerText(), /hotLoop/);
});

test('heap: five clicks to the function that keeps the memory', inBrowser, async t => {
    const { text, shown } = await mainJob(t, { kind: 'heap', name: 'store-0', guilty: 'plantedAllocator', seconds: 2 });
    assert.match(text, /[KM]iB/);
    assert.match(shown, /[KM]iB/);
});

test('a capture without an end is stopped by hand, and gives a profile', inBrowser, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, '/fleet', { as: 'operator' });
    await visit.tile('api-0').click();
    await visit.button('Capture…').click();
    await visit.choose('Until I stop it');
    assert.equal(visit.params.seconds, 'manual');
    await visit.button('Start').click();
    await visit.waitText(visit.page.locator('.standing'), /running for .*, until you stop it/);
    // By keyboard: the button that goes away hands its focus on, to what is at most one key from the result.
    await visit.button(/^Stop api-0/).focus();
    await visit.press('Enter');
    await visit.sees(visit.link(/^Open profile/));
    await visit.tabTo(visit.link(/^Open profile/), { most: 2 });
    assert.equal(await visit.page.title(), 'CPU capture of api-0 – proctor');
    await visit.press('Enter');
    await visit.sees(visit.row(/hotLoop/));
});

test('two processes at once: one order, a card and a profile each', inBrowser, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, '/fleet', { as: 'operator' });
    await visit.tile('api-0').click();
    await visit.tile('api-1').click();
    await visit.sees(visit.text('2 chosen'));
    await visit.button('Capture…').click();
    await visit.field('Seconds').fill('1');
    await visit.button('Start 2 captures').click();
    await visit.seesTitle(/capture of 2 processes/);
    await visit.wait('both profiles', async () => await visit.link(/^Open profile/).count() === 2);
    for (const name of ['api-0', 'api-1']) {
        await visit.link(`Open profile ${name}`).click();
        await visit.seesTitle(`CPU profile of ${name}`);
        await visit.sees(visit.row(/hotLoop/));
        await visit.page.goBack();
        await visit.seesTitle(/capture of 2 processes/);
    }
});

test('cancelled: nothing is kept, and it can be asked for again', inRelease, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, '/fleet', { as: 'operator' });
    await visit.tile('api-1').click();
    await visit.button('Capture…').click();
    await visit.field('Seconds').fill('60');
    await visit.button('Start').click();
    await visit.waitText(visit.page.locator('.standing'), /running, .* left/);
    await visit.button(/^Cancel api-1/).click();
    await visit.waitText(visit.page.locator('.standing'), /^cancelled/);
    assert.equal(await visit.link(/^Open profile/).count(), 0);
    await visit.link('Capture again').click();
    await visit.seesTitle('New capture');
    assert.equal(await visit.field('Seconds').inputValue(), '60');
    await visit.sees(visit.button('Start'));
});

test('the whole main job without a pointer', inRelease, async t => {
    const { browser } = await all();
    const { name, password } = await browser.account('operator');
    const visit = await browser.visit(t, '/', { allow: [[401, /session$/]] });
    await visit.seesTitle('Log in');
    // The name has the focus already.
    await visit.wait('the focus on the name', async () => (await visit.focused()).tag === 'input');
    await visit.page.keyboard.type(name);
    await visit.press('Tab');
    await visit.page.keyboard.type(password);
    await visit.press('Enter');
    await visit.seesTitle('Fleet');
    await visit.sees(visit.tile('api-0'));
    await visit.press('/');
    assert.equal((await visit.focused()).tag, 'input');
    await visit.page.keyboard.type('api');
    await visit.sees(visit.text(/^2 of 3 processes/));
    await visit.tabTo(visit.tile('api-0'));
    await visit.press('ArrowRight', 'Space');
    await visit.sees(visit.text('1 chosen'));
    assert.match(visit.params.pick, /\/api\/1$/);
    // Shift and an arrow take what is in between.
    await visit.press('Shift+ArrowLeft');
    await visit.sees(visit.text('2 chosen'));
    await visit.press('Space');
    await visit.sees(visit.text('1 chosen'));
    await visit.tabTo(visit.button('Capture…'));
    await visit.press('Enter');
    await visit.seesTitle('New capture');
    await visit.wait('the focus on the title', async () => (await visit.focused()).tag === 'h1');
    await visit.tabTo(visit.field('Seconds'));
    await visit.press('Control+A');
    await visit.page.keyboard.type('1');
    await visit.tabTo(visit.button('Start'));
    await visit.press('Enter');
    await visit.seesTitle(/capture of api-1/);
    await visit.tabTo(visit.link(/^Open profile/));
    await visit.press('Enter');
    await visit.seesTitle('CPU profile of api-1');
    await profileByKeys(visit);
});

// Both views of a profile, by keyboard.
async function profileByKeys(visit) {
    const line = visit.page.locator('.flame-line');
    const canvas = await visit.sees(visit.role('application'));
    await visit.press('/');
    await visit.page.keyboard.type('hotLoop');
    await visit.sees(visit.text(/^1 function, /));
    await visit.wait('the search in the URL', async () => visit.params.search === 'hotLoop');
    await visit.tabTo(visit.role('grid', 'Functions').getByRole('row').filter({ hasText: 'hotLoop' }));
    await visit.press('Enter');
    await visit.sees(visit.text(/^Focus: hotLoop/));
    await visit.tabTo(canvas);
    await visit.press('Escape', 'Escape');
    await visit.seesNo(visit.text(/^Focus: hotLoop/));
    // Down to the function that burns the time: the greatest box of each row.
    await visit.press('Home');
    for (let i = 0; i < 40 && !/^hotLoop/.test(await line.innerText()); i++)
        await visit.press('ArrowDown');
    assert.match(await line.innerText(), /^hotLoop .*self/s);
    await visit.press('Enter');
    await visit.wait('the zoom in the URL', async () => /^\d+$/.test(visit.params.zoom ?? ''));
    await visit.press('f');
    await visit.wait('the focus in the URL', async () => /^hotLoop@/.test(visit.params.focus ?? ''));
    await visit.press('Escape');
    await visit.wait('no focus in the URL', async () => visit.params.focus === undefined);
    await visit.press('?');
    await visit.sees(visit.role('dialog', 'Keys'));
    await visit.press('Escape');
    await visit.seesNo(visit.role('dialog', 'Keys'));
}
