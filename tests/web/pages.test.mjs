// The pure parts of the pages: processes, phases, advice, series, ids.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';

import * as processes from '../../remote/web/processes.js';
import * as phases from '../../remote/web/phases.js';
import * as series from '../../remote/web/series.js';
import { adviceFor } from '../../remote/web/advice.js';
import { uuid7 } from '../../remote/web/uuid7.js';

const MIB = 1024 * 1024;

const process_ = (fields) => ({
    host: 'h1', host_name: 'web-1', app: 'api', instance: 0, pid: 7, status: 'online', cpu: 1, memory: MIB,
    kinds: { cpu: '', heap: '' }, stale: false, ...fields,
});

const capture = (fields) => ({
    id: 'c1', app: 'api', instance: 0, kind: 'cpu', state: 'running', phase: 'running', duration_ms: 10000,
    phases: [{ phase: 'open', at_ms: 1000 }, { phase: 'running', at_ms: 2000 }], created_ms: 500, sent_ms: 600,
    ended_ms: null, stop_wanted: false, cancel_wanted: false, given_up: false, profile: null, warnings: [], ...fields,
});

// ---- processes ---------------------------------------------------------------------------------

test('a key survives names with slashes, commas and percent signs', () => {
    const keys = ['h1/a,b%2C/c/0', 'h2/äpi/12'];
    assert.deepEqual(processes.splitPick(processes.joinPick(keys)), keys);
    assert.deepEqual(processes.parseKey(keys[0]), { host: 'h1', app: 'a,b%2C/c', instance: 0 });
});

test('what is no key is not chosen', () => {
    assert.deepEqual(processes.splitPick('x,h//1,/a/1,h/a/-1,h/a/b,%,h/a/1,h/a/1'), ['h/a/1']);
    assert.deepEqual(processes.splitPick(undefined), []);
    assert.equal(processes.joinPick([]), null);
});

test('colour steps go from 0 to 7 and only for what runs', () => {
    const step = (fields, kind = 'cpu') => processes.stepOf(process_(fields), kind);
    assert.equal(step({ cpu: 0 }), 0);
    assert.equal(step({ cpu: 5 }), 1);
    assert.equal(step({ cpu: 400 }), 7);
    assert.equal(step({ memory: 2048 * MIB }, 'heap'), 7);
    assert.equal(step({ status: 'stopped' }), null);
    assert.equal(step({ stale: true }), null);
    assert.equal(step({ cpu: undefined }), null);
});

test('a tile has a short number and a label with everything', () => {
    const label = (fields, kind = 'cpu') => processes.labelOf(process_(fields), kind);
    assert.equal(label({ app: 'api', instance: 3, host_name: 'web-2', cpu: 88.2 }), 'api-3 on web-2, CPU 88 %, online');
    assert.equal(label({ memory: 300.4 * MIB }, 'heap'), 'api-0 on web-1, memory 300 MiB, online');
    assert.equal(label({ memory: 1536 * MIB }, 'heap'), 'api-0 on web-1, memory 1.5 GiB, online');
    assert.match(label({ status: 'errored', pid: 0, cpu: undefined }), /CPU –, errored$/);
    assert.match(label({ stale: true }), /host not connected$/);
    assert.match(label({ kinds: { cpu: 'not Node' } }), /no cpu capture now$/);
});

test('the legend has a text for each step', () => {
    assert.deepEqual(processes.legend('cpu').map((l) => l.text),
        ['0', '5 %', '15 %', '30 %', '45 %', '60 %', '75 %', '90 %']);
    assert.deepEqual(processes.legend('heap').at(-1), { step: 7, text: '1.5 GiB' });
});

test('marks tell what a colour cannot', () => {
    const mark = (fields) => processes.markOf(process_(fields), 'cpu');
    assert.equal(mark({}), '');
    assert.equal(mark({ status: 'errored' }), '!');
    assert.equal(mark({ status: 'waiting restart' }), '↻');
    assert.equal(mark({ status: 'a new one' }), '!');
    assert.equal(mark({ stale: true }), '?');
    assert.equal(mark({ kinds: { cpu: 'not Node' } }), '⊘');
});

test('why a kind does not work is a sentence, and none when it works', () => {
    const why = (fields, kind) => processes.whyNot(process_(fields), kind);
    assert.equal(why({}, 'cpu'), '');
    assert.equal(why({ kinds: { cpu: 'not Node' } }, 'cpu'), 'not Node');
    assert.equal(why({ kinds: { cpu: 'api-0: not Node' } }, 'cpu'), 'not Node');
    assert.match(why({ kinds: {} }, 'heap'), /does not know/);
    assert.match(why({ kinds: undefined }, 'heap'), /does not say/);
    assert.match(why({ pid: 0, status: 'stopped' }, 'heap'), /stopped/);
});

test('the filter wants every word, in name, host, status or pid', () => {
    const all = [process_({}), process_({ instance: 1, host_name: 'db-1', status: 'errored' })];
    const found = (q) => processes.filterProcesses(all, q).map((p) => p.instance);
    assert.deepEqual(found(''), [0, 1]);
    assert.deepEqual(found('API-1 err'), [1]);
    assert.deepEqual(found('web-'), [0]);
    assert.deepEqual(found('web- errored'), []);
});

test('instances are ordered by number, other columns fall back to the name', () => {
    const all = [10, 9, 1].map((instance) => process_({ instance }));
    const order = (sort) => processes.sortProcesses(all, sort).map((p) => p.instance);
    assert.deepEqual(order(''), [1, 9, 10]);
    assert.deepEqual(order('-name'), [10, 9, 1]);
    assert.deepEqual(order('-cpu'), [1, 9, 10]);
    all[1].cpu = 50;
    assert.deepEqual(order('-cpu'), [9, 1, 10]);
    assert.deepEqual(order('nonsense'), [1, 9, 10]);
});

test('groups have the name of the app or of the host', () => {
    const all = [process_({}), process_({ app: 'worker', host: 'h2', host_name: 'web-2' }), process_({ instance: 1 })];
    const titles = (by) => processes.groupProcesses(all, by).map((g) => [g.title, g.processes.length]);
    assert.deepEqual(titles('app'), [['api', 2], ['worker', 1]]);
    assert.deepEqual(titles('host'), [['web-1', 2], ['web-2', 1]]);
    assert.deepEqual(titles('none'), [['', 3]]);
});

test('hosts of the same name stay two groups', () => {
    const all = [process_({ host: 'h1' }), process_({ host: 'h2' })];
    assert.equal(processes.groupProcesses(all, 'host').length, 2);
});

test('a held order keeps places, shows what is gone, and puts new ones at the end', () => {
    const [a, b, c] = [0, 1, 2].map((instance) => process_({ instance }));
    const held = processes.holdOrder([b, a], [{ ...a, cpu: 9 }, c]);
    assert.deepEqual(held.map((p) => [p.instance, p.status, p.cpu]),
        [[1, 'gone', 1], [0, 'online', 9], [2, 'online', 1]]);
    const groups = processes.holdGroups([{ key: 'x', title: 'x', processes: [b] }],
        [{ key: 'a', title: 'a', processes: [a] }, { key: 'x', title: 'x', processes: [b, c] }]);
    // A group that grew would push the next ones away.
    assert.deepEqual(groups.map((g) => [g.title, g.processes.map((p) => p.instance)]), [['x', [1]], ['New', [0, 2]]]);
    const more = processes.holdGroups(groups, [{ key: 'x', title: 'x', processes: [b, c] }]);
    assert.deepEqual(more.map((g) => [g.title, g.processes.map((p) => p.status)]), [['x', ['online']], ['New', ['gone', 'online']]]);
    const single = processes.holdGroups([{ key: '', title: '', processes: [b] }], [{ key: '', title: '', processes: [a, b] }]);
    assert.deepEqual(single.map((g) => g.processes.map((p) => p.instance)), [[1, 0]]);
});

test('arrow keys walk rows of different lengths', () => {
    const row = (top, n) => Array.from({ length: n }, (_, i) => ({ left: i * 10, top }));
    const boxes = [...row(0, 3), ...row(20, 1), ...row(40, 3)];
    assert.equal(processes.walk(boxes, 0, 'ArrowRight'), 1);
    assert.equal(processes.walk(boxes, 0, 'ArrowLeft'), 0);
    assert.equal(processes.walk(boxes, 2, 'ArrowDown'), 3);
    assert.equal(processes.walk(boxes, 3, 'ArrowDown'), 4);
    assert.equal(processes.walk(boxes, 6, 'ArrowDown'), 6);
    assert.equal(processes.walk(boxes, 6, 'ArrowUp'), 3);
    assert.equal(processes.walk(boxes, 1, 'ArrowUp'), 1);
    assert.equal(processes.walk(boxes, 1, 'End'), 6);
    assert.equal(processes.walk(boxes, 5, 'Home'), 0);
});

test('a range goes both ways', () => {
    const keys = ['a', 'b', 'c', 'd'];
    assert.deepEqual(processes.between(keys, 'a', 'c'), ['a', 'b', 'c']);
    assert.deepEqual(processes.between(keys, 'd', 'c'), ['c', 'd']);
    assert.deepEqual(processes.between(keys, 'gone', 'c'), ['c']);
    assert.deepEqual(processes.between(keys, 'a', 'gone'), []);
});

// ---- phases ------------------------------------------------------------------------------------

const line = (fields) => phases.phaseLine(capture(fields)).map((p) => p.state).join(' ');

test('the line of phases shows what was, is and will be', () => {
    assert.equal(line({ phase: null, phases: [] }), 'todo todo todo todo todo todo');
    assert.equal(line({}), 'done done now todo todo todo');
    assert.equal(line({ state: 'done', phase: 'stored' }), 'done done done done done done');
    assert.equal(line({ state: 'cancelled' }), 'done done todo todo todo todo');
});

test('a failure is marked at its phase, or at the first one', () => {
    assert.equal(line({ state: 'failed', phase: 'start' }), 'done failed todo todo todo todo');
    assert.equal(line({ state: 'failed', phase: 'stored' }), 'done done done done done failed');
    assert.equal(line({ state: 'expired', phase: null, phases: [] }), 'failed todo todo todo todo todo');
});

test('an end that was no success names its phase', () => {
    assert.equal(phases.whereText(capture({ state: 'failed', phase: 'start' })), 'failed in phase “start”');
    assert.equal(phases.whereText(capture({ state: 'expired', phase: null })), 'expired before it began');
});

test('the time left stays within the duration, whatever the clocks say', () => {
    const left = (now, began) => phases.timeLeft(capture({}), now, began);
    assert.equal(left(5000), 7000);
    assert.equal(left(0), 10000);
    assert.equal(left(99999), 0);
    assert.equal(left(5000, 5000), 10000);
    assert.equal(phases.timeLeft(capture({ duration_ms: null }), 5000), null);
    assert.equal(phases.timeLeft(capture({ phase: 'start' }), 5000), null);
    assert.equal(phases.timeLeft(capture({ state: 'done' }), 5000), null);
    assert.equal(phases.timeRun(capture({ duration_ms: null }), 5000), 3000);
});

test('what was asked for is said until it has happened', () => {
    const say = (fields) => phases.standing(capture(fields));
    assert.equal(say({}), 'running');
    assert.equal(say({ stop_wanted: true }), 'stopping');
    assert.equal(say({ cancel_wanted: true }), 'cancelling');
    assert.equal(say({ state: 'queued', phase: null, waiting: 'waits for the host a' }), 'waits for the host a');
    assert.equal(say({ state: 'done', waiting: 'waits for the host a to bring the result' }),
        'waits for the host a to bring the result');
    assert.equal(say({ state: 'done', profile: 'c1' }), 'done');
    assert.equal(say({ state: 'failed', cancel_wanted: true }), 'failed');
});

test('an answer that was under way does not undo what came live', () => {
    const old = capture({ state: 'queued', phase: null, phases: [] });
    const now = capture({});
    const done = capture({ state: 'done', profile: 'c1' });
    assert.equal(phases.later(now, old), now);
    assert.equal(phases.later(old, now), now);
    assert.equal(phases.later(done, now), done);
    const verdict = capture({ state: 'failed', given_up: true });
    assert.equal(phases.later(verdict, done), done);
});

test('a result that was removed does not come back with an older view', () => {
    const done = capture({ state: 'done', profile: 'c1', warnings: ['port_left_open'] });
    const removed = phases.withoutResult(done);
    assert.deepEqual([removed.profile, removed.warnings], [null, ['port_left_open', 'result_removed']]);
    assert.ok(phases.isRemoved(removed) && !phases.isRemoved(done) && !phases.isOpenable(removed));
    assert.equal(phases.withoutResult(removed), removed);
    assert.equal(phases.later(removed, done), removed);
    assert.equal(phases.later(done, removed), removed);
    assert.equal(phases.standing(removed), 'done');
});

test('lists of captures are merged newest first, and only with what belongs there', () => {
    const known = [capture({ id: 'b', created_ms: 2 })];
    const live = [capture({ id: 'c', created_ms: 3 }), capture({ id: 'd', created_ms: 4, kind: 'heap' }),
        capture({ id: 'b', created_ms: 2, profile: 'b', state: 'done' })];
    const merged = phases.mergeCaptures(known, live, (c) => c.kind === 'cpu');
    assert.deepEqual(merged.map((c) => [c.id, c.profile]), [['c', null], ['b', 'b']]);
});

// ---- advice ------------------------------------------------------------------------------------

test('every name that a capture often ends with has its own advice', () => {
    const unknown = adviceFor('no such name');
    for (const name of ['NO_LISTEN', 'APP_GONE', 'POLICY', 'PROBE_GONE', 'UNREACHABLE', 'EXPIRED', 'ETIMEDOUT',
        'NOT_READY', 'NO_SIGNAL', 'UNSUPPORTED_VERSION', 'BUSY', 'AGENT_GONE', 'INSPECTOR', 'WRONG_PROCESS'])
        assert.notEqual(adviceFor(name), unknown, name);
});

test('advice is only given for names that exist', () => {
    const header = fs.readFileSync(new URL('../../lib/base/err.h', import.meta.url), 'utf8');
    const source = fs.readFileSync(new URL('../../remote/web/advice.js', import.meta.url), 'utf8');
    const names = [...source.split('};')[0].matchAll(/^ {4}([A-Z_]+): /gm)].map((m) => m[1]);
    assert.ok(names.length > 20);
    for (const name of names.filter((n) => !/^E[A-Z]+$/.test(n) || n.startsWith('EX')))
        assert.ok(header.includes(`"${name}"`), name);
});

// ---- series ------------------------------------------------------------------------------------

test('processes measured at different moments share the places of one step', () => {
    const a = { step_ms: 1000, points: [[10100, 1, 100], [11100, 2, 200]] };
    const b = { step_ms: 1000, points: [[10900, 5, 500], [12100, null, null]] };
    assert.deepEqual(series.merge([a, b], 1), [[10, 11, 12], [1, 2, null], [null, 5, null]]);
    assert.deepEqual(series.merge([], 1), [[]]);
});

test('a summary leaves gaps out', () => {
    assert.deepEqual(series.summary([1, 2, 3, 4], [null, 5, 2, null]), { now: 2, min: 2, max: 5, max_at: 2000 });
    assert.equal(series.summary([1], [null]), null);
});

test('marks are exits, restarts that were asked for, and captures', () => {
    const exits = [{ at_ms: 50, code: 1, asked: false }, { at_ms: 5, signal: 15, asked: true }];
    const marks = series.marksOf(exits, [capture({ ended_ms: 3000 }), capture({ phases: [], sent_ms: null })], 10);
    assert.deepEqual(marks.map((m) => [m.kind, m.at_ms, m.until_ms]), [['exit', 50, 50], ['capture', 1000, 3000]]);
    assert.equal(marks[0].text, 'ended with code 1');
});

test('an exit is said with the name of its signal', () => {
    assert.equal(series.exitText({ signal: 9 }), 'ended by SIGKILL');
    assert.equal(series.exitText({ signal: 40 }), 'ended by signal 40');
    assert.equal(series.exitText({ code: 0 }), 'ended with code 0');
});

test('a log is shown without its escapes', () => {
    assert.equal(series.plainText('\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07a\tb\x00'), 'red\na\tb');
    assert.equal(series.plainText('one\n10 %\r50 %\r100 %\r\r\ntwo\r'), 'one\n100 %\ntwo');
    assert.equal(series.plainText('a\u202egpj.exe\u2066\x9b31m'), 'agpj.exe31m');
});

test('no log takes long to be made plain', () => {
    const size = 256 << 10;
    for (const piece of ['x', '\r', '\x1b', '\x1b[', '\x1b]', '\x1b[0', 'x\r', '\r\n', '\n']) {
        const text = piece.repeat(size / piece.length), began = performance.now();
        series.plainText(text);
        series.plainText(`\x1b[${text}`);
        const took = performance.now() - began;
        assert.ok(took < 500, `${JSON.stringify(piece)}: ${took} ms`);
    }
});

// ---- ids ---------------------------------------------------------------------------------------

test('an id has version 7, its time, and the form that the API wants', () => {
    const form = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
    const ones = new Uint8Array(10).fill(255);
    assert.equal(uuid7(0x0192abcdef01, ones), '0192abcd-ef01-7fff-bfff-ffffffffffff');
    assert.match(uuid7(0, new Uint8Array(10)), form);
    assert.match(uuid7(), form);
    assert.notEqual(uuid7(), uuid7());
});

// ---- files -------------------------------------------------------------------------------------

const WEB = new URL('../../remote/web/', import.meta.url);

// What a module imports when it is loaded, and what that imports: paths below remote/web/.
function importsOf(path, found = new Set()) {
    const file = new URL(path, WEB);
    if (path.startsWith('vendor/') || found.has(path)) return found.add(path);
    found.add(path);
    for (const [, to] of fs.readFileSync(file, 'utf8').matchAll(/^(?:import|export|\}) [^;]*?from '([^']*)';/gms)) {
        importsOf(new URL(to, file).href.slice(WEB.href.length), found);
    }
    return found;
}

test('the page asks at once for each module that it begins with, and for no other', () => {
    const page = fs.readFileSync(new URL('index.html', WEB), 'utf8');
    const asked = [...page.matchAll(/<link rel="modulepreload" href="\/([^"]*)">/g)].map((one) => one[1]);
    const needed = [...importsOf('main.js')].filter((path) => path !== 'main.js');
    // hooks.mjs imports it by name, which web.sh makes a path.
    assert.deepEqual(asked.toSorted(), needed.toSorted());
});

test('lock files name packages and their hashes, not where somebody got them', () => {
    for (const folder of ['remote/web', 'tests/tools/browser', 'tests/tools/nodes', 'tests/tools/nodes-all']) {
        const lock = JSON.parse(fs.readFileSync(new URL(`../../${folder}/package-lock.json`, import.meta.url), 'utf8'));
        const packages = Object.entries(lock.packages).filter(([path]) => path !== '');
        assert.ok(packages.length > 0);
        for (const [path, { integrity, resolved }] of packages) {
            assert.match(integrity, /^sha512-/, `${folder} ${path}`);
            assert.equal(resolved, undefined, `${folder} ${path}`);
        }
    }
});
