// The state of a page is its URL, and what admins do.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startConsole } from '../lib/console.mjs';
import { startHost } from '../lib/host.mjs';
import { calmCpu, calmHeap, fileOf, inRelease, once, startAll, startBrowser } from '../lib/page.mjs';
import { newIdentity, openAgent, process_ } from '../lib/stranger.mjs';

const file = fileOf('state and administration');
const all = once(() => startAll(file, { apps: [calmCpu('api', { instances: 2 }), calmHeap('store')] }));
const profile = once(async () => {
    const { c, host } = await all();
    const [{ id }] = await c.capture([{ host: host.id, app: 'api' }], { duration_ms: 1500 });
    await c.waitEnd(id, 'done');
    return id;
});

// ---- every state is in the URL ------------------------------------------------------------------------------------

// What is filled in and chosen on the page, without the numbers that change by themselves.
const controls = visit => visit.page.evaluate(() => {
    const texts = query => [...document.querySelectorAll(query)].map(one => one.textContent.replace(/\s+/g, ' ').trim());
    const values = query => [...document.querySelectorAll(query)].map(one => one.value);
    return {
        title: texts('main h1')[0],
        fields: values('main input[type=search], main input[type=number], main select'),
        radios: values('main input[type=radio]:checked'),
        checks: [...document.querySelectorAll('main input[type=checkbox]')].map(one => one.checked),
        pressed: [...document.querySelectorAll('main [aria-pressed=true]')].map(one => one.dataset.key),
        selected: [...document.querySelectorAll('main [aria-selected=true]')].map(one => one.dataset.key),
        sorted: [...document.querySelectorAll('main [aria-sort]')].map(one => `${one.textContent} ${one.ariaSort}`),
        headings: texts('main h2'),
        rows: [...document.querySelectorAll('main [data-key]')].map(one => one.dataset.key),
        // The very picture.
        picture: document.querySelector('.flame canvas')?.toDataURL() ?? '',
    };
});

// The same after a reload, and in another window with that address.
async function holds(visit, t, ready) {
    const before = await controls(visit);
    assert.ok(before.title);
    const at = visit.at;
    await visit.page.reload();
    await ready(visit);
    assert.deepEqual(await controls(visit), before, `after a reload of ${at}`);
    assert.equal(visit.at, at);
    const other = await visit.browser.visit(t, at, { as: 'operator' });
    await ready(other);
    assert.deepEqual(await controls(other), before, `in another window at ${at}`);
    await other.close();
}

test('fleet: filter, colours, groups, view, order and choice are in the URL', inRelease, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, '/fleet', { as: 'operator' });
    await visit.choose('Memory');
    await visit.choose('Host');
    await visit.field('Filter').fill('api');
    await visit.tile('api-1').click();
    await visit.wait('all of it', async () => Object.keys(visit.params).sort().join() === 'group,kind,pick,q');
    await visit.heading('Fleet').hover();
    await holds(visit, t, async one => {
        await one.sees(one.text('1 chosen'));
        await one.sees(one.tile('api-1'));
    });

    await visit.choose('Table');
    await visit.button('CPU').click();
    await visit.wait('the order', async () => visit.params.sort === '-cpu' && visit.params.view === 'table');
    await visit.button('Process').click();
    await visit.wait('the order', async () => visit.params.sort === 'name');
    await visit.heading('Fleet').hover();
    await holds(visit, t, async one => void await one.sees(one.row(/api-1/)));
    // And from there to the form, with what was chosen.
    await visit.button('Capture…').click();
    await visit.choose('Until I stop it');
    await visit.select('Between samples').selectOption({ label: '2 MiB: hardly measurable' });
    await visit.wait('all of it', async () => visit.params.seconds === 'manual' && visit.params.interval === '2097152');
    await holds(visit, t, async one => void await one.sees(one.text('can be captured now')));
    await visit.page.goBack();
    await visit.seesTitle('Fleet');
});

test('new capture: what is chosen there, and how, is in the URL', inRelease, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, '/capture', { as: 'operator' });
    const before = await (await visit.sees(visit.tile('api-1'))).boundingBox();
    await visit.tile('api-0').click();
    await visit.sees(visit.button('Start'));
    // What is below the pointer stays there.
    assert.deepEqual((await visit.tile('api-1').boundingBox()).y, before.y);
    // The picker stays while one chooses, also over a reload.
    const ready = async one => {
        await one.sees(one.tile('api-1'));
        await one.sees(one.text('can be captured now'));
        await one.waitText(one.role('region', 'Cost'), /^(?!.*asking).*api/s);
    };
    await visit.heading('New capture').hover();
    await holds(visit, t, ready);
    await visit.select('Between samples').selectOption({ label: 'another …' });
    await visit.field('Interval in µs').fill('2000');
    await visit.wait('all of it', async () => visit.params.interval === '2000');
    await holds(visit, t, ready);
    await visit.field('Interval in µs').fill('5000');
    await visit.wait('all of it', async () => visit.params.interval === '5000');
    await holds(visit, t, async one => {
        await ready(one);
        await one.sees(one.field('Interval in µs'));
    });
    // An interval of one kind is none of the other: the kind is chosen in one place.
    assert.equal(await visit.radio('Memory').count(), 0);
    await visit.choose('Heap');
    await visit.wait('no interval', async () => visit.params.kind === 'heap' && visit.params.interval === undefined);
    // Whoever came with a choice sees the form alone, until others are wanted.
    await visit.goto(`/capture?pick=${visit.params.pick}`);
    await visit.sees(visit.text('can be captured now'));
    assert.equal(await visit.tile('api-1').count(), 0);
    await visit.button('Choose others').click();
    await visit.tile('api-1').click();
    await visit.sees(visit.button('Start 2 captures'));
    await visit.button('Enough chosen').click();
    await visit.seesNo(visit.tile('api-1'));
    await visit.button('Leave out api-0').focus();
    await visit.press('Enter');
    await visit.wait('the focus on the next', async () => (await visit.focused()).text === 'Leave out api-1');
});

test('new capture says what works on each process and why not, and what the last one cost', inRelease, async t => {
    const { c, host, browser } = await all();
    await profile();
    const identity = await newIdentity(c, 'various'), there = identity.id;
    const agent = await openAgent(c, identity);
    agent.send({ type: 'processes', at_ms: Date.now(), processes: [
        process_({ app: 'go', kinds: { cpu: 'go-0: this is not a Node process', heap: 'go-0: this is not a Node process' } }),
        process_({ app: 'old', kinds: { cpu: '', heap: 'old-0: Node 8 has no heap profiler' } })] });
    await c.waitProcess(there, 'old');
    const pick = [`${host.id}/api/0`, `${there}/go/0`, `${there}/old/0`, `${there}/none/0`].join();
    const visit = await browser.visit(t, `/capture?pick=${pick}`, { as: 'operator' });
    const line = name => visit.role('region', 'Chosen processes').getByRole('listitem').filter({ hasText: name });
    await visit.waitText(line('api-0'), /can be captured now.*Heap: would work/s);
    await visit.waitText(line('go-0'), /left out: this is not a Node process.*Heap: for the same reason/s);
    await visit.waitText(line('old-0'), /can be captured now.*Heap: Node 8 has no heap profiler/s);
    await visit.waitText(line('none-0'), /left out: this process is no longer there/);
    await visit.sees(visit.text('2 of 4 left out.'));
    await visit.sees(visit.button('Start 2 captures'));
    const { captures: [last] } = (await c.api('GET', 'captures?app=api&kind=cpu&state=done&limit=1', { role: 'viewer' })).body;
    const cost = await visit.waitText(visit.role('region', 'Cost'), /api, .* ago: /);
    assert.ok(cost.includes(`paused ${Math.round(last.start_pause_us / 1000)} ms`), cost);
    assert.match(cost, /the result of 1\.\d s has [\d.]+ (KiB|B)/);
    assert.match(cost, /old: not captured yet/);
    agent.close();
});

test('an order whose answer was lost is started once, also after another was tried', inRelease, async t => {
    const { c, host, browser } = await all();
    const visit = await browser.visit(t, `/capture?pick=${host.id}/store/0&seconds=1`, { as: 'operator' });
    const sent = [];
    let lose = true;
    await visit.page.route(/api\/v1\/captures$/, async route => {
        const order = route.request().postDataJSON();
        sent.push([order.duration_ms, order.id]);
        if (!lose)
            return route.continue();
        // The first one reaches the console, the second one does not.
        if (order.duration_ms === 1000)
            await route.fetch();
        return route.abort('connectionreset');
    });
    visit.away = true;
    const message = visit.text(/^Not started: The console cannot be reached/);
    await visit.button('Start').click();
    await visit.sees(message);
    await visit.sees(visit.text(/what had begun is not begun twice/));
    await visit.field('Seconds').fill('2');
    await visit.seesNo(message);
    await visit.button('Start').click();
    await visit.sees(message);
    await visit.field('Seconds').fill('1');
    lose = false;
    await visit.button('Start').click();
    await visit.seesTitle('CPU capture of store-0');
    assert.deepEqual(sent.map(([ms]) => ms), [1000, 2000, 1000]);
    assert.equal(sent[2][1], sent[0][1]);
    const { captures } = (await c.api('GET', 'captures?app=store', { role: 'viewer' })).body;
    assert.equal(captures.length, 1);
});

test('captures: how far back is in the URL', inRelease, async t => {
    const c = await startConsole(t);
    const browser = await startBrowser(t, c);
    const identity = await newIdentity(c);
    const agent = await openAgent(c, identity);
    const apps = Array.from({ length: 50 }, (_, i) => process_({ app: 'lot', instance: i, pid: 100 + i }));
    agent.send({ type: 'processes', at_ms: Date.now(), processes: apps });
    await c.waitProcess(identity.id, 'lot');
    agent.close();
    for (let i = 0; i < 5; i++)
        await c.capture(apps.map(one => ({ host: identity.id, app: 'lot', instance: one.instance })));
    const visit = await browser.visit(t, '/captures', { as: 'operator' });
    await visit.sees(visit.text('100 captures shown'));
    for (const shown of ['200 captures shown', '250 captures']) {
        await visit.button('Show older ones').click();
        await visit.sees(visit.text(shown));
    }
    assert.equal(visit.params.pages, '3');
    await visit.page.reload();
    await visit.sees(visit.text('250 captures'));
    // A filter begins at the newest again.
    await visit.select('State').selectOption('queued');
    await visit.wait('the first page', async () => visit.params.pages === undefined);
    await visit.settled();
    await visit.close();
});

test('when the analysis dies the page says so, and what to do', inRelease, async t => {
    // A console whose analysis ends at once.
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-broken-e2e-'));
    t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
    const build = process.env.PROCTOR_BUILD ?? fileURLToPath(new URL('../../build/release', import.meta.url));
    for (const name of fs.readdirSync(build).filter(one => one.startsWith('proctor') && one !== 'proctor-analyze'))
        fs.copyFileSync(path.join(build, name), path.join(folder, name));
    fs.writeFileSync(path.join(folder, 'proctor-analyze'), '#!/bin/sh\nexit 7\n', { mode: 0o755 });
    const broken = await startConsole(t, { folderOfPrograms: folder });
    broken.expectComplaints = true;
    const other = startHost(t);
    await other.startApps([calmCpu('api')]);
    await broken.link(other);
    await broken.waitProcess(other.id, 'api');
    const [{ id }] = await broken.capture([{ host: other.id, app: 'api' }], { duration_ms: 500 });
    await broken.waitEnd(id, 'done');
    const window = await startBrowser(t, broken);
    const visit = await window.visit(t, `/profile/${id}`, { as: 'operator', allow: [[500, /profiles/], [503, /profiles/]] });
    const text = await visit.waitText(visit.role('main'), /It could not be read/);
    assert.match(text, /The analysis ended with code 7/);
    assert.match(text, /The program that reads profiles ended over it; the console goes on\. Try again/);
    await visit.sees(visit.button('Try again'));
    await visit.sees(visit.link('.cpuprofile'));
    await visit.close();
});

test('profile: view, order, search, colours, focus, zoom and direction are in the URL', inRelease, async t => {
    const { browser } = await all();
    const visit = await browser.visit(t, `/profile/${await profile()}`, { as: 'operator' });
    const ready = async one => {
        await one.sees(one.role('application'));
        await one.sees(one.row(/hotLoop/));
        await one.settled();
    };
    await ready(visit);
    await visit.button('Total').click();
    await visit.field('Search').fill('hotLoop');
    await visit.select('Colour').selectOption('by own cost');
    await visit.field('Callers').check();
    await visit.field('Root at the bottom').check();
    await visit.wait('all of it', async () => ['sort', 'search', 'colour', 'invert', 'up'].every(name => visit.params[name]));
    await visit.heading(/CPU profile/).hover();
    await holds(visit, t, ready);

    await visit.goto(`/profile/${await profile()}`);
    await ready(visit);
    await visit.row(/hotLoop/).click();
    await visit.wait('the focus', async () => /^hotLoop@/.test(visit.params.focus ?? ''));
    await visit.sees(visit.role('region', /Callers|callers/).or(visit.page.locator('.relatives')));
    await visit.heading(/CPU profile/).hover();
    await holds(visit, t, ready);
    // Without the focus, zoomed into a box.
    await visit.button('Show everything').click();
    const canvas = visit.role('application');
    await canvas.focus();
    await visit.press('ArrowDown', 'ArrowDown', 'ArrowDown', 'Enter');
    await visit.wait('the zoom', async () => Number(visit.params.zoom) > 0 && visit.params.at !== undefined);
    await holds(visit, t, async one => {
        await ready(one);
        await one.wait('the zoom button', () => one.button('Zoom out').isEnabled());
    });
    for (const [view, parts] of [['Table', [1, 0]], ['Flame', [0, 1]]]) {
        await visit.choose(view);
        await visit.wait('the view', async () => visit.params.view === view.toLowerCase());
        await holds(visit, t, async one => {
            await one.sees(parts[0] ? one.row(/hotLoop/) : one.role('application'));
            await one.settled();
        });
        assert.deepEqual([await visit.role('grid', 'Functions').count(), await visit.role('application').count()], parts);
    }
});

test('captures and processes: what is looked at is in the URL too', inRelease, async t => {
    const { host, browser } = await all();
    await profile();
    const visit = await browser.visit(t, '/captures', { as: 'operator' });
    await visit.select('Kind').selectOption('CPU');
    await visit.select('State').selectOption('done');
    await visit.field('App').fill('api');
    await visit.press('Enter');
    await visit.wait('all of it', async () => Object.keys(visit.params).sort().join() === 'app,kind,state');
    await holds(visit, t, async one => void await one.sees(one.row(/api-0/)));
    await visit.goto(`/process/${host.id}/api/0`);
    await visit.choose('6h');
    await visit.choose('Errors');
    await visit.field('Follow').check();
    await visit.wait('all', async () => visit.params.range === '6h' && visit.params.stream === 'err' && visit.params.follow === '1');
    await holds(visit, t, async one => {
        await one.sees(one.text(/^The last 200 lines/));
        await one.sees(one.row(/api-0 on/));
    });
});

// ---- administration -----------------------------------------------------------------------------------------------

test('users: added, given another role and password, removed', inRelease, async t => {
    const { c, browser } = await all();
    const visit = await browser.visit(t, '/admin', { as: 'admin' });
    const fill = async (title, values, action) => {
        const dialog = visit.role('dialog', title);
        for (const [label, value] of Object.entries(values)) {
            const field = dialog.getByLabel(label, { exact: true });
            await (label === 'Role' ? field.selectOption(value) : field.fill(value));
        }
        await dialog.getByRole('button', { name: action, exact: true }).click();
        await visit.seesNo(dialog);
    };
    await visit.button('Add a user').click();
    await fill('Add a user', { Name: 'somebody', Role: 'viewer', Password: 'a first password' }, 'Add');
    await visit.sees(visit.text('The user is added.'));
    await visit.sees(visit.row(/^somebody viewer/));
    await c.login('somebody', 'a first password');
    await visit.button('Role – somebody').click();
    await fill('Role of somebody', { Role: 'operator' }, 'Change');
    await visit.sees(visit.row(/^somebody operator/));
    await visit.button('Password – somebody').click();
    await fill('Password of somebody', { 'New password': 'another password' }, 'Set');
    await c.login('somebody', 'another password');
    await visit.button('Remove – somebody').click();
    await fill('Remove somebody?', {}, 'Remove');
    await visit.seesNo(visit.row(/^somebody/));
    // Nobody removes themselves.
    assert.equal(await visit.button('Remove – admin').count(), 0);
    // A name that is taken is a sentence in the dialog, which stays.
    await visit.button('Add a user').click();
    const dialog = visit.role('dialog', 'Add a user');
    await dialog.getByLabel('Name').fill('admin');
    await dialog.getByLabel('Password').fill('a long password');
    visit.allow.push([409, /users$/]);
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    await visit.sees(dialog.getByRole('alert'));
    await visit.press('Escape');
    await visit.seesNo(dialog);
    assert.equal((await visit.focused()).text, 'Add a user');
});

test('tokens: shown once, of use at once, refused when removed', inRelease, async t => {
    const { c, browser } = await all();
    const visit = await browser.visit(t, '/admin?tab=tokens', { as: 'admin' });
    await visit.button('Make a token').click();
    const dialog = visit.role('dialog', 'Make a token');
    await dialog.getByLabel('What it is for').fill('a script');
    await dialog.getByLabel('Role').selectOption('viewer');
    await dialog.getByRole('button', { name: 'Make', exact: true }).click();
    const token = await (await visit.sees(visit.role('group', 'The token'))).innerText();
    const asks = status => c.api('GET', 'hosts', { role: null, status, headers: { authorization: `Bearer ${token}` } });
    await asks(200);
    await visit.button('Done').click();
    await visit.sees(visit.row(/^a script viewer admin/));
    await visit.page.reload();
    await visit.sees(visit.row(/^a script/));
    assert.ok(!(await visit.page.content()).includes(token.split('.').at(-1)), 'its secret is nowhere any more');
    await visit.button('Remove – a script').click();
    await visit.role('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
    await visit.seesNo(visit.row(/^a script/));
    await asks(401);
});

test('hosts: a string that links one, and one that is taken out', inRelease, async t => {
    const { c, browser } = await all();
    const visit = await browser.visit(t, '/admin?tab=hosts', { as: 'admin' });
    await visit.button('Link a host').click();
    await visit.button('Make the string').click();
    await visit.sees(visit.role('group', 'The string'));
    assert.equal(await visit.role('group', 'The command').innerText(), 'proctor link -');
    await newIdentity(c, 'newcomer');
    await visit.sees(visit.text('The host newcomer is linked.'));
    await visit.press('Escape');
    await visit.button('Revoke – newcomer').click();
    await visit.role('dialog').getByRole('button', { name: 'Revoke', exact: true }).click();
    await visit.sees(visit.row(/^newcomer revoked/));
});

test('people change their own password', inRelease, async t => {
    const { c, browser } = await all();
    await c.api('POST', 'users', { role: 'admin', body: { name: 'me', role: 'viewer', password: 'the old password' } });
    const visit = await browser.visit(t, '/captures', { allow: [[401, /session$/]] });
    await visit.field('Name').fill('me');
    await visit.field('Password').fill('the old password');
    await visit.press('Enter');
    await visit.seesTitle('Captures');
    await visit.button('Password').click();
    const dialog = visit.role('dialog', 'Change your password');
    await dialog.getByLabel('Present password').fill('the old password');
    await dialog.getByLabel('New password', { exact: true }).fill('the new password');
    await dialog.getByLabel('New password again').fill('the new passwort');
    await dialog.getByRole('button', { name: 'Change', exact: true }).click();
    await visit.sees(dialog.getByText('The two new passwords are not the same.'));
    await dialog.getByLabel('New password again').fill('the new password');
    await dialog.getByRole('button', { name: 'Change', exact: true }).click();
    await visit.sees(dialog.getByText('Your password is changed.'));
    await dialog.locator('.buttons').getByRole('button', { name: 'Close' }).click();
    await c.login('me', 'the new password');
    await visit.button('Log out').click();
    await visit.seesTitle('Log in');
});
