// Every page of the console with something on it, and a way to visit them all: for what must hold on each of them.
import { calmCpu, calmHeap, startAll } from './page.mjs';
import { until } from './proc.mjs';
import { slow } from './host.mjs';

// Everything that a page can show: results of both kinds, one that runs, one that failed, one that was cancelled; an app
// that restarted, one that was stopped.
export async function startWithResults(t, { seconds = 1.5 } = {}) {
    const one = await startAll(t, { apps: [calmCpu('api', { instances: 3 }), calmHeap('store'), calmCpu('victim', { autorestart: false }),
        calmCpu('closed', { profiling: false, waitFor: null })] });
    const { c, host } = one;
    const target = (app, instance = 0) => ({ host: host.id, app, instance });
    const ended = async (targets, options) => {
        const rows = await c.capture(targets, options);
        return Promise.all(rows.map(row => c.waitEnd(row.id, 'done')));
    };
    const [[cpu], [heap]] = await Promise.all([ended([target('api'), target('api', 1)], { duration_ms: seconds * 1000 }),
        ended([target('store')], { kind: 'heap', duration_ms: seconds * 1000 })]);
    const [dropped] = await c.capture([target('api', 1)]);
    await c.waitPhase(dropped.id, 'running');
    await c.api('POST', `captures/${dropped.id}/cancel`);
    const [failed] = await c.capture([target('victim')]);
    await c.waitPhase(failed.id, 'running');
    process.kill(await host.pid('victim'), 'SIGKILL');
    await c.waitEnd(failed.id, 'failed');
    const [running] = await c.capture([target('api', 2)], { duration_ms: 280000 });
    await c.waitPhase(running.id, 'running');
    await until('the history has some points', async () => {
        const query = new URLSearchParams({ host: host.id, app: 'api', from_ms: Date.now() - 600000, points: 120 });
        return (await c.api('GET', `series?${query}`, { role: 'viewer' })).body.points.filter(point => point[1] !== null).length > 1;
    }, 30000 * slow);
    return { ...one, cpu, heap, failed, running };
}

// name → address, and what is on it when it is ready.
export function pagesOf({ host, cpu, heap, failed, running }) {
    const pick = (...names) => names.map(name => `${host.id}/${name}`).join();
    const tile = visit => visit.tile('api-0'), row = name => visit => visit.row(name);
    const charts = visit => visit.page.locator('.chart-plot canvas').nth(1);
    return {
        'fleet': [`/fleet?pick=${pick('api/0', 'api/1')}`, tile],
        'fleet-memory': ['/fleet?kind=heap&group=host', tile],
        'fleet-table': [`/fleet?view=table&pick=${pick('store/0')}`, row(/api-0/)],
        'new-capture': [`/capture?pick=${pick('api/0', 'closed/0')}`, visit => visit.button('Start')],
        'new-capture-choose': ['/capture?kind=heap', tile],
        'capture-done': [`/capture/${cpu.order}`, visit => visit.link(/^Open profile/)],
        'capture-running': [`/capture/${running.order}`, visit => visit.button(/^Stop/)],
        'capture-failed': [`/capture/${failed.order}`, visit => visit.text(/failed in phase/)],
        'captures': ['/captures', row(/victim-0/)],
        'profile-cpu': [`/profile/${cpu.id}`, visit => visit.role('application')],
        'profile-focus': [`/profile/${cpu.id}?search=loop&focus=`, visit => visit.role('application')],
        'profile-heap': [`/profile/${heap.id}?view=flame&invert=1`, visit => visit.role('application')],
        'profile-table': [`/profile/${heap.id}?view=table`, row(/plantedAllocator/)],
        'app': ['/app/api', charts],
        'process': [`/process/${host.id}/api/0`, charts],
        'process-ended': [`/process/${host.id}/victim/0?stream=err`, visit => visit.role('table', 'Exits')],
        'admin-users': ['/admin?tab=users', row(/admin/)],
        'admin-tokens': ['/admin?tab=tokens', row(/viewer/)],
        'admin-hosts': ['/admin?tab=hosts', row(/connected/)],
        'nowhere': ['/nowhere', visit => visit.heading('There is no such page')],
    };
}

// The address of a profile whose guilty function has the focus.
async function focusAddress(visit, address) {
    await visit.goto(address.replace('&focus=', ''));
    await (await visit.sees(visit.row(/hotLoop/))).click();
    await visit.wait('the focus', async () => visit.params.focus !== undefined);
}

// Calls what(name, visit) on each page, when all of it is there.
export async function everyPage(t, all, options, what) {
    const stranger = await all.browser.visit(t, '/', { ...options, allow: [[401, /session$/]] });
    await stranger.seesTitle('Log in');
    await what('login', stranger);
    await stranger.close();
    const visit = await all.browser.visit(t, null, { ...options, as: 'admin' });
    for (const [name, [address, ready]] of Object.entries(pagesOf(all))) {
        if (/focus=$/.test(address))
            await focusAddress(visit, address);
        else
            await visit.goto(address);
        await visit.sees(ready(visit));
        await visit.settled();
        await what(name, visit);
    }
    await visit.goto('/fleet');
    await visit.button('Keys').click();
    await visit.sees(visit.role('dialog', 'Keys'));
    await what('keys', visit);
    await visit.close();
}
