// The console's page in headless Chromium, as a person meets it: parts are found by their role and name, everything is
// waited for, and what the browser complains of fails the test.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { after } from 'node:test';
import { appFile, slow, startHost, underAsan } from './host.mjs';
import { startConsole } from './console.mjs';
import { until } from './proc.mjs';

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'];
const PATIENCE_MS = 15000 * slow;
const DESKTOP = { width: 1280, height: 900 };

// ---- whether there is a browser -----------------------------------------------------------------------------------

const findProgram = name => process.env.PATH.split(':').map(folder => path.join(folder, name)).find(file => fs.existsSync(file));
const program = process.env.PROCTOR_CHROMIUM ?? findProgram('chromium');

function obstacle() {
    if (!process.env.PROCTOR_BROWSER)
        return 'PROCTOR_BROWSER is not set: run the tests through tests/tools/e2e.sh, which sets it';
    return !program && 'chromium is missing, the tests of the page need it: run "make deps", or install chromium by hand';
}

// For the options of test(): what skips a test of the page.  The programs of the sanitizer build are put to the main
// ways only: what the page does by itself is the same over any console.
export const inBrowser = { skip: obstacle() };
export const inRelease = { skip: inBrowser.skip || (underAsan && 'the page itself is tested over the release build') };

const packages = name => createRequire(path.join(process.env.PROCTOR_BROWSER, 'index.js'))(name);

// ---- what the tests of a file share -------------------------------------------------------------------------------

// A stand-in for `t` that lasts as long as the file: after(f) in the order in which things must end, last begun first.
export function fileOf(name) {
    const ends = [];
    after(async () => {
        const problems = [];
        for (const end of ends.reverse())
            await Promise.resolve().then(end).catch(error => problems.push(error));
        if (problems.length > 0)
            throw problems[0];
    });
    return { name, after: end => ends.push(end) };
}

// Calls make() at the first use; all get the same.
export function once(make) {
    let made = null;
    return () => made ??= make();
}

// One console, one host with these apps, one browser.  {c, host, browser}
export async function startAll(t, { apps = [], policy, console: options } = {}) {
    const c = await startConsole(t, options);
    const host = apps.length > 0 ? startHost(t, { policy }) : null;
    const browser = await startBrowser(t, c);
    if (host) {
        await host.startApps(apps);
        await c.link(host);
        await Promise.all(apps.filter(one => one.waitFor !== null).map(one => c.waitProcess(host.id, one.name)));
    }
    return { c, host, browser };
}

// Apps that do something, but leave the machine to the tests.
export const calmCpu = (name, more = {}) => ({ name, script: appFile('cpu.js'), env: { HOT_MS: '10', REST_MS: '40' }, ...more });
export const calmHeap = (name, more = {}) => ({ name, script: appFile('heap.js'), ...more });

// ---- the browser --------------------------------------------------------------------------------------------------

export async function startBrowser(t, c) {
    const browser = new Browser(c);
    t.after(() => browser.close());
    await browser.start();
    return browser;
}

class Browser {
    constructor(c) {
        this.console = c;
        this.states = new Map(); // account → cookies of its session
        this.visits = new Set();
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-browser-e2e-'));
    }

    // Its profile is a folder of its own that goes away with it; what else it writes goes into ours.
    async start() {
        this.engine = await packages('playwright-core').chromium.launch({
            executablePath: program, args: ARGS, timeout: 60000 * slow,
            env: { PATH: process.env.PATH, HOME: this.folder, LANG: 'C.UTF-8', TZ: 'UTC' },
        });
    }

    // A window of its own.  as: 'admin' or a role, logged in already; absent: nobody.
    // width, height; scheme: 'light', 'dark'; allow: answers that are no complaint, [[status, pattern of the URL], …]
    async visit(t, url, { as, width = DESKTOP.width, height = DESKTOP.height, scheme = 'light', allow = [] } = {}) {
        const context = await this.engine.newContext({
            ignoreHTTPSErrors: true, viewport: { width, height }, colorScheme: scheme, reducedMotion: 'reduce',
            locale: 'en-GB', timezoneId: 'UTC', storageState: as ? await this.stateOf(as) : undefined,
        });
        context.setDefaultTimeout(PATIENCE_MS);
        const visit = new Visit(this, t, context, await context.newPage(), allow);
        this.visits.add(visit);
        t.after(() => visit.close({ failed: t.passed === false }));
        await visit.watch();
        if (url)
            await visit.goto(url);
        return visit;
    }

    // The session of an account, logged in once.
    async stateOf(role) {
        if (!this.states.has(role)) {
            const { name, password } = await this.account(role);
            const { cookie } = await this.console.login(name, password);
            const [key, value] = cookie.split('=');
            const url = new URL(this.console.web);
            this.states.set(role, { origins: [], cookies: [{
                name: key, value, domain: url.hostname, path: '/', expires: -1, httpOnly: true, secure: true, sameSite: 'Strict',
            }] });
        }
        return this.states.get(role);
    }

    // {name, password} of an account with that role, made once.
    async account(role) {
        if (role === 'admin')
            return { name: 'admin', password: this.console.adminPassword };
        this.accounts ??= new Map();
        const account = { name: `the-${role}`, password: `password of the ${role}` };
        if (!this.accounts.has(role))
            await this.console.api('POST', 'users', { role: 'admin', body: { ...account, role } });
        this.accounts.set(role, account);
        return account;
    }

    async close() {
        for (const visit of this.visits)
            await visit.close().catch(() => {});
        await this.engine?.close();
        fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    }
}

// ---- one window ---------------------------------------------------------------------------------------------------

export class Visit {
    constructor(browser, t, context, page, allow) {
        Object.assign(this, { browser, t, context, page, allow });
        this.problems = [];
        // Told by the answer itself, with its address; and a connection that is lost is no error.
        this.expected = [/^Failed to load resource/, /^WebSocket connection to /];
        this.away = false; // the console is away on purpose: requests that fail are no complaint
    }

    // Everything that a browser complains of: errors and warnings of its console, exceptions, policy, requests.
    async watch() {
        const { page } = this;
        await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
            event => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`)));
        page.on('console', message => {
            const known = this.expected.some(pattern => pattern.test(message.text()));
            if (['error', 'warning'].includes(message.type()) && !known)
                this.problems.push(`console: ${message.text()}`);
        });
        page.on('pageerror', error => this.problems.push(`exception: ${error.stack ?? error.message}`));
        page.on('requestfailed', request => {
            const { errorText } = request.failure();
            // The page itself gave it up.
            if (errorText !== 'net::ERR_ABORTED' && !this.away)
                this.problems.push(`${request.method()} ${request.url()}: ${errorText}`);
        });
        page.on('response', response => this.onResponse(response));
    }

    onResponse(response) {
        const status = response.status(), url = response.url();
        const allowed = this.allow.some(([expected, pattern]) => expected === status && pattern.test(url));
        if (status >= 400 && !allowed)
            this.problems.push(`${response.request().method()} ${url}: ${status}`);
    }

    // Ends the window, and fails when there was something to complain of.  failed: says what was on the page.
    async close({ failed = false } = {}) {
        if (this.closed)
            return;
        this.closed = true;
        this.browser.visits.delete(this);
        const text = failed || this.problems.length > 0 ? await this.describe() : '';
        await this.context.close();
        if (text)
            console.error(text);
        assert.deepEqual(this.problems, [], 'the browser complains');
    }

    async describe() {
        const tree = await this.page.locator('body').ariaSnapshot({ timeout: 2000 }).catch(error => error.message);
        return `--- ${this.page.url()}\n${tree.slice(0, 6000)}\n---`;
    }

    // ---- going about ----

    async goto(url) {
        await this.page.goto(new URL(url, this.browser.console.web).href);
    }

    // As a link of the page does it: the document stays.
    async goWithin(url) {
        await this.page.evaluate(to => {
            history.pushState(null, '', to);
            dispatchEvent(new PopStateEvent('popstate'));
        }, url);
    }

    // Writes name and password, and presses the button.
    async login(role) {
        const { name, password } = await this.browser.account(role);
        await this.field('Name').fill(name);
        await this.field('Password').fill(password);
        await this.button('Log in').click();
    }

    // The address without the console's, as text.
    get at() {
        const url = new URL(this.page.url());
        return url.pathname + url.search;
    }

    get params() {
        return Object.fromEntries(new URL(this.page.url()).searchParams);
    }

    waitAt(pattern) {
        return this.page.waitForURL(url => pattern.test(url.pathname + url.search));
    }

    // ---- parts of the page, by role and name ----

    role(role, name, options) {
        return this.page.getByRole(role, { ...(name === undefined ? {} : { name, exact: typeof name === 'string' }), ...options });
    }

    button(name, options) {
        return this.role('button', name, options);
    }

    link(name, options) {
        return this.role('link', name, options);
    }

    heading(name, options) {
        return this.role('heading', name, options);
    }

    field(label) {
        return this.page.getByLabel(label, { exact: typeof label === 'string' });
    }

    select(label) {
        return this.role('combobox', label);
    }

    text(text) {
        return this.page.getByText(text);
    }

    // A process on the heat map: "api-0 on …".
    tile(name) {
        return this.button(new RegExp(`^${name} on `));
    }

    row(name) {
        return this.role('row', name);
    }

    radio(name) {
        return this.role('radio', name);
    }

    // Radio buttons lie under what they look like.
    async choose(name) {
        await this.radio(name).check({ force: true });
    }

    // ---- waiting ----

    async sees(locator) {
        await locator.first().waitFor({ state: 'visible' });
        return locator.first();
    }

    async seesTitle(name) {
        return this.sees(this.heading(name, { level: 1 }));
    }

    async seesNo(locator) {
        await locator.first().waitFor({ state: 'hidden' });
    }

    // All that was asked for is here, and drawn.
    async settled() {
        await this.wait('nothing is loaded any more', async () => await this.page.locator('.loading').count() === 0);
        await this.page.evaluate(() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    }

    // Waits until probe() of the page is true.
    wait(what, probe, ms = PATIENCE_MS) {
        return until(`${what} at ${this.at}`, probe, ms);
    }

    async waitText(locator, pattern) {
        let text = '';
        await this.wait(`${pattern}`, async () => {
            text = (await locator.allInnerTexts()).join('\n');
            return pattern.test(text);
        }).catch(error => {
            throw new Error(`${error.message}; there is: ${text.slice(0, 2000)}`);
        });
        return text;
    }

    // What has the keyboard: {role or tag, name}.
    focused() {
        return this.page.evaluate(() => {
            const one = document.activeElement;
            return { tag: one.tagName.toLowerCase(), text: (one.getAttribute('aria-label') ?? one.textContent).trim(), key: one.dataset?.key ?? '' };
        });
    }

    press(...keys) {
        return keys.reduce((before, key) => before.then(() => this.page.keyboard.press(key)), Promise.resolve());
    }

    // Tab until the element has the focus: what cannot be reached so cannot be used by keyboard.
    async tabTo(locator, { most = 80, key = 'Tab' } = {}) {
        await locator.first().waitFor({ state: 'visible' });
        for (let i = 0; i < most; i++) {
            if (await locator.first().evaluate(one => one === document.activeElement))
                return;
            await this.page.keyboard.press(key);
        }
        assert.fail(`${most} times ${key} do not reach ${locator}; the focus is on ${JSON.stringify(await this.focused())}`);
    }

    // ---- looking ----

    // What of the page is wider than its window, as texts.  What scrolls by itself may be.
    overflow() {
        return this.page.evaluate(() => {
            const { clientWidth, scrollWidth } = document.documentElement;
            if (scrollWidth <= clientWidth)
                return [];
            const clipped = one => one !== null && (getComputedStyle(one).overflowX !== 'visible' || clipped(one.parentElement));
            const wide = [...document.querySelectorAll('main, main *, header *')].filter(one =>
                one.getBoundingClientRect().right > clientWidth + 0.5 && !clipped(one.parentElement));
            return [`${scrollWidth} px of ${clientWidth}`, ...wide.slice(0, 5).map(one => `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`)];
        });
    }

    // Tables of which a part can only be seen by scrolling them sideways, as texts.
    cutTables() {
        return this.page.evaluate(() => [...document.querySelectorAll('.table-box')].filter(one => one.scrollWidth > one.clientWidth + 1)
            .map(one => `${one.querySelector('table').ariaLabel}: ${one.scrollWidth} px of ${one.clientWidth}`));
    }

    // Violations of the rules of axe-core, as texts.
    async violations() {
        await this.page.evaluate(packages('axe-core').source);
        const found = await this.page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
        return found.violations.map(one => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map(node => `${node.target} ${node.failureSummary}`).join(' | ')}`);
    }

    // What the page's main thread needs while do_() runs, in ms, as the browser itself counts all tasks of it (script, style,
    // layout, paint, garbage collection): {cpu, wall, parts, result}, `wall` with what it had to wait for a core, `parts` of the
    // CPU time.
    async busy(do_) {
        const sessions = await Promise.all(['threadTicks', 'timeTicks'].map(async timeDomain => {
            const session = await this.context.newCDPSession(this.page);
            await session.send('Performance.enable', { timeDomain });
            return session;
        }));
        const names = ['TaskDuration', 'ScriptDuration', 'LayoutDuration', 'RecalcStyleDuration'];
        const read = async () => Promise.all(sessions.map(async session => {
            const { metrics } = await session.send('Performance.getMetrics');
            return names.map(name => metrics.find(one => one.name === name).value);
        }));
        const before = await read(), result = await do_(), after_ = await read();
        await Promise.all(sessions.map(session => session.detach()));
        const [[cpu, script, layout, style], [wall]] = after_.map((values, i) => values.map((value, k) => (value - before[i][k]) * 1000));
        return { cpu, wall, parts: { script, layout, style }, result };
    }

    // The same per second.
    async mainThread(seconds) {
        const began = performance.now();
        const { cpu, wall, parts } = await this.busy(() =>
            this.page.evaluate(ms => new Promise(resolve => setTimeout(resolve, ms)), seconds * 1000));
        const passed = (performance.now() - began) / 1000;
        return { cpu: cpu / passed, wall: wall / passed, parts: Object.fromEntries(Object.entries(parts).map(([name, ms]) => [name, ms / passed])) };
    }
}

// Boxes of the flame graph are drawn, not written: moves the pointer down its middle until the line of text names the
// function.  Returns the text.
export async function findInFlame(visit, pattern) {
    const canvas = visit.role('application');
    const line = visit.page.locator('.flame-line');
    const box = await (await visit.sees(canvas)).boundingBox();
    const seen = [];
    for (const part of [0.5, 0.3, 0.7, 0.1, 0.9]) {
        for (let y = 10; y < box.height; y += 20) {
            await canvas.hover({ position: { x: Math.floor(box.width * part), y } });
            const text = await line.innerText();
            if (pattern.test(text))
                return text;
            seen.push(text);
        }
    }
    throw new Error(`no box of the flame graph is ${pattern}: ${[...new Set(seen)].join('\n')}`);
}
