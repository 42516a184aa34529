// The pure parts of the flame graph: trees, pictures, names and colours.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import {
    boxAt, byFunction, childrenOf, costOf, firstBox, focus, invert, isInside, neighbour, outermost, pictureOf, readTree,
    restTotal, sandwichOf, seenRows, windowOf,
} from '../../remote/web/flame/layout.js';
import { baseOf, keyOf, matcherOf, nameOf, packageOf, placeOf, wholePlaceOf } from '../../remote/web/flame/names.js';
import {
    SCHEMES, contrast, hash, heatColour, legend, packageColour, packageColours,
} from '../../remote/web/flame/colour.js';
import {
    boxName, boxOf, boxText, costText, openProfile, pictureFor, search, shareText,
} from '../../remote/web/flame/state.js';
import { deepTree, wideTree } from './flame-trees.mjs';

const code = (name, url = 'file:///srv/app/a.js', line = 1) => ({ function: name, url, line, column: 1, role: '' });
const role = (name) => ({ function: `(${name})`, url: '', line: 0, column: 0, role: name });

// main calls a (twice, by way of b and at once); a calls itself once; 100 in all, 5 of b's cost were cut off.
//   root 100 ─ main 90 (self 10) ─ a 40 (self 10) ─ a 30 (self 30)
//            │                   └ b 40 (self 5)  ─ a 30 (self 20) ─ c 10 (self 10)
//            └ gc 10
const FUNCTIONS = [role('root'), code('main'), code('a'), code('b'), code('c'), role('gc')];
const [ROOT, MAIN, A, B, C, GC] = FUNCTIONS.keys();
const SMALL = {
    functions: FUNCTIONS,
    nodes: [[-1, ROOT, 0, 100], [0, MAIN, 10, 90], [1, A, 10, 40], [2, A, 30, 30], [1, B, 5, 40], [4, A, 20, 30],
        [5, C, 10, 10], [0, GC, 10, 10]],
};

// { 'main/a/a': [self, total] }
function paths(tree) {
    const names = [], all = {};
    for (let i = 0; i < tree.count; i++) {
        const name = nameOf(tree.functions[tree.func[i]]);
        names[i] = i > 0 && tree.parent[i] > 0 ? `${names[tree.parent[i]]}/${name}` : name;
        all[names[i]] = [tree.self[i], tree.total[i]];
    }
    return all;
}

const marks = (...funcs) => Uint8Array.from(FUNCTIONS, (f, i) => (funcs.includes(i) ? 1 : 0));

test('reads the console\'s tree, and tells what was cut off', () => {
    const tree = readTree(SMALL);
    assert.equal(tree.count, 8);
    assert.deepEqual(paths(tree)['main/b/a/c'], [10, 10]);
    assert.equal(restTotal(tree), 5);
});

test('an empty tree has no boxes, and one that is only a root has one', () => {
    assert.equal(pictureOf(readTree({ functions: [], nodes: [] })).count, 0);
    const one = pictureOf(readTree({ functions: [role('root')], nodes: [[-1, 0, 0, 0]] }));
    assert.deepEqual([one.count, one.rows, one.span, boxAt(one, 0, 0)], [1, 1, 0, -1]);
});

test('by function, recursion counts once', () => {
    const { self, total } = byFunction(readTree(SMALL));
    assert.deepEqual([self[A], total[A]], [60, 70]);
    assert.deepEqual([self[MAIN], total[MAIN]], [10, 90]);
    assert.deepEqual([self[GC], total[GC]], [10, 10]);
});

test('the cost of several functions counts each stack once', () => {
    const tree = readTree(SMALL);
    assert.equal(costOf(tree, marks(A)), 70);
    assert.equal(costOf(tree, marks(A, B)), 80);
    assert.equal(costOf(tree, marks(C, GC)), 20);
    assert.equal(costOf(tree, marks()), 0);
    assert.deepEqual(outermost(tree, marks(A)), [2, 5]);
});

test('inverted, each function with a cost of its own stands first and its callers below', () => {
    const inverted = invert(readTree(SMALL)), all = paths(inverted);
    assert.equal(inverted.total[0], 100);
    assert.equal(all.a[1], 60);
    assert.equal(all['a/main'][1], 10);
    assert.equal(all['a/a'][1], 30);
    assert.equal(all['a/a/main'][1], 30);
    assert.equal(all['a/b/main'][1], 20);
    assert.equal(all['c/a/b/main'][1], 10);
    assert.equal(all['(garbage collector)'][1], 10);
    assert.equal(all['(too small to be shown)'][1], 5);
    assert.equal(all['(too small to be shown)/b/main'][1], 5);
    assert.equal(sumOfRow(inverted, 0), 100);
});

function sumOfRow(tree, parent) {
    let sum = 0;
    for (let i = 1; i < tree.count; i++) sum += tree.parent[i] === parent ? tree.total[i] : 0;
    return sum;
}

test('focused, all stacks through a function are one, with its callers and its callees', () => {
    const { callers, callees } = focus(readTree(SMALL), A);
    assert.deepEqual(paths(callees).c, [10, 10]);
    assert.deepEqual([callees.self[0], callees.total[0]], [30, 70]);
    assert.equal(callers.total[0], 70);
    const up = paths(callers);
    assert.equal(up.main[1], 40);
    assert.equal(up.b[1], 30);
    assert.equal(up['b/main'][1], 30);
});

test('focused, a recursion stays below its outermost call', () => {
    const { callees } = focus(readTree(SMALL), A);
    const inner = [...callees.func].indexOf(A, 1);
    assert.ok(inner > 0);
    assert.deepEqual([callees.parent[inner], callees.self[inner], callees.total[inner]], [0, 30, 30]);
});

test('a function that begins stacks has no callers', () => {
    const { callers } = focus(readTree(SMALL), MAIN);
    assert.equal(callers.count, 1);
    assert.equal(sandwichOf(focus(readTree(SMALL), MAIN)).rootRow, 0);
});

test('children come with the most expensive first, many or few', () => {
    const tree = readTree(SMALL), { start, list } = childrenOf(tree);
    assert.deepEqual([...list.subarray(start[0], start[1])], [1, 7]);
    const functions = [role('root'), ...Array.from({ length: 50 }, (_, i) => code(`f${i}`))];
    const leaves = Array.from({ length: 50 }, (_, i) => [0, i + 1, 1, (i * 37) % 50]);
    const wide = readTree({ functions, nodes: [[-1, 0, 0, 5000], ...leaves] });
    const all = childrenOf(wide), totals = [...all.list].map((node) => wide.total[node]);
    assert.deepEqual(totals, [...totals].sort((a, b) => b - a));
});

test('boxes of a row stand side by side from their parent\'s left edge on', () => {
    const picture = pictureOf(readTree(SMALL));
    assert.deepEqual([picture.count, picture.rows, picture.rootRow, picture.span], [8, 5, 0, 100]);
    const row = (r) => [...picture.func.subarray(picture.start[r], picture.start[r + 1])];
    assert.deepEqual([row(0), row(1), row(2), row(3), row(4)], [[ROOT], [MAIN, GC], [A, B], [A, A], [C]]);
    assert.deepEqual([...picture.left.subarray(3, 7)], [0, 40, 0, 40]);
});

test('no box leaves its parent or overlaps the next one, in any picture', () => {
    const tree = readTree(SMALL), big = readTree(wideTree(7000));
    for (const t of [tree, big]) {
        for (const picture of [pictureOf(t), pictureOf(invert(t)), sandwichOf(focus(t, 2))]) checkBoxes(picture);
    }
});

function checkBoxes(picture) {
    for (let box = 0; box < picture.count; box++) {
        const parent = picture.parent[box], right = picture.left[box] + picture.width[box];
        if (parent >= 0) {
            assert.ok(Math.abs(picture.row[box] - picture.row[parent]) === 1);
            assert.ok(picture.left[box] >= picture.left[parent]);
            assert.ok(right <= picture.left[parent] + picture.width[parent]);
        }
        if (box + 1 < picture.start[picture.row[box] + 1]) assert.ok(right <= picture.left[box + 1]);
    }
}

test('a sandwich has the callers above and the callees below, and its function once', () => {
    const picture = sandwichOf(focus(readTree(SMALL), A));
    const row = (r) => [...picture.func.subarray(picture.start[r], picture.start[r + 1])];
    assert.deepEqual([picture.rows, picture.rootRow, picture.span, picture.root], [4, 2, 70, picture.start[2]]);
    assert.deepEqual([row(0), row(1), row(2), row(3)], [[MAIN], [MAIN, B], [A], [A, C]]);
});

test('a point finds its box, and the empty space none', () => {
    const picture = pictureOf(readTree(SMALL));
    assert.equal(picture.func[boxAt(picture, 1, 95)], GC);
    assert.equal(picture.func[boxAt(picture, 2, 0)], A);
    assert.equal(picture.func[boxAt(picture, 2, 79.9)], B);
    assert.equal(boxAt(picture, 2, 80), -1);
    assert.equal(boxAt(picture, 9, 0), -1);
    assert.equal(firstBox(picture, 3, 35), picture.start[3] + 1);
});

test('a zoom fills the width on its side of a sandwich only', () => {
    const picture = sandwichOf(focus(readTree(SMALL), A));
    const caller = picture.start[1] + 1, callee = picture.start[3];
    assert.deepEqual(windowOf(picture, caller, 0), { left: 40, width: 30 });
    assert.deepEqual(windowOf(picture, caller, 3), { left: 0, width: 70 });
    assert.deepEqual(windowOf(picture, callee, 3), { left: 0, width: 30 });
    assert.deepEqual(windowOf(picture, picture.root, 3), { left: 0, width: 70 });
    assert.ok(isInside(picture, caller, callee));
    assert.ok(!isInside(picture, caller, picture.start[1]));
});

test('keys walk along rows, to the dearest child, and back', () => {
    const picture = pictureOf(readTree(SMALL)), main = picture.start[1];
    assert.equal(neighbour(picture, 0, 'lower'), main);
    assert.equal(neighbour(picture, main, 'upper'), 0);
    assert.equal(neighbour(picture, main, 'right'), main + 1);
    assert.equal(neighbour(picture, main, 'left'), -1);
    assert.equal(neighbour(picture, main + 1, 'lower'), -1);
    assert.equal(neighbour(picture, 0, 'upper'), -1);
    const sandwich = sandwichOf(focus(readTree(SMALL), A));
    const up = neighbour(sandwich, sandwich.root, 'upper');
    assert.equal(sandwich.func[up], MAIN);
    assert.equal(neighbour(sandwich, up, 'lower'), sandwich.root);
    assert.equal(sandwich.func[neighbour(sandwich, sandwich.root, 'lower')], A);
});

test('the most deep and the widest trees are laid out', () => {
    const deep = readTree(deepTree(200000));
    assert.equal(pictureOf(deep).rows, 200000);
    assert.equal(focus(deep, 1).callees.count, 199999);
    const wide = readTree(wideTree(200000));
    assert.equal(pictureOf(wide).count, 200000);
    assert.ok(Math.abs(sumOfRow(invert(wide), 0) - wide.total[0]) < 1e-6 * wide.total[0]);
});

test('rows with nothing to be seen are left out, and a zoom brings no fewer', () => {
    const picture = pictureOf(readTree(SMALL)), inner = picture.start[3] + 1;
    assert.deepEqual(seenRows(picture, 0, 0.05, false), { first: 0, last: 4 });
    assert.deepEqual(seenRows(picture, 0, 0.2, false), { first: 0, last: 3 });
    assert.deepEqual(seenRows(picture, inner, 0.2, false), { first: 0, last: 4 });
    const sandwich = sandwichOf(focus(readTree(SMALL), A));
    assert.deepEqual(seenRows(sandwich, sandwich.root, 0.9, false), { first: 0, last: 2 });
    assert.deepEqual(seenRows(sandwich, sandwich.root, 0.9, true), { first: 2, last: 3 });
    assert.deepEqual(seenRows(pictureOf(readTree({ functions: [], nodes: [] })), 0, 0.1, false), { first: 0, last: 0 });
});

// ---- what is shown -------------------------------------------------------------------------------

const profile = openProfile({ ...SMALL, kind: 'cpu', unit: 'us', all: 150, idle: 50 });

test('the parameters of the URL choose the picture', () => {
    assert.equal(pictureFor(profile, {}).picture.count, 8);
    assert.equal(pictureFor(profile, { invert: true }).picture.functions.length, FUNCTIONS.length + 1);
    const { picture, focused } = pictureFor(profile, { focus: keyOf(FUNCTIONS[A]) });
    assert.deepEqual([focused, picture.rootRow], [A, 2]);
    assert.equal(pictureFor(profile, { focus: keyOf(FUNCTIONS[A]), invert: true }).picture.rootRow, 0);
    assert.equal(pictureFor(profile, { focus: 'stranger@:1:1' }).focused, -1);
});

test('a box that is none is the root', () => {
    const { picture } = pictureFor(profile, {});
    assert.deepEqual(['3', '8', '-1', '1e1', 'x', '', undefined, '99999999999'].map((text) => boxOf(picture, text)),
        [3, 0, 0, 0, 0, 0, 0, 0]);
});

test('a search counts functions, and each stack once', () => {
    assert.equal(search(profile, ' '), null);
    assert.equal(search(profile, 'stranger').count, 0);
    const { count, cost, marks: found } = search(profile, 'a.js');
    assert.deepEqual([count, cost, [...found]], [4, 90, [0, 1, 1, 1, 1, 0]]);
});

test('a box says what it costs, in the picture it stands in', () => {
    const { picture } = pictureFor(profile, {});
    assert.deepEqual(boxText(profile, picture, 1, false),
        { name: 'main', place: '/srv/app/a.js:1:1', cost: 'self 0.0 ms, total 0.1 ms, 90 %' });
    assert.deepEqual(boxText(profile, picture, 0, false), { name: '(everything)', place: '', cost: '0.1 ms, 100 %' });
    const inverted = pictureFor(profile, { invert: true }).picture;
    assert.match(boxText(profile, inverted, 1, true).cost, /^0.1 ms, 60 % of its own$/);
    assert.equal(boxName(profile, code('')), '(anonymous) a.js:1');
});

test('costs are times or sizes', () => {
    assert.deepEqual([12, 12345, 123456, 3570000, 42000000].map((us) => costText({ unit: 'us' }, us)),
        ['0.0 ms', '12.3 ms', '123 ms', '3.57 s', '42 s']);
    assert.equal(costText({ unit: 'bytes' }, 1536), '1.5 KiB');
    assert.equal(shareText({ busy: 0 }, 0), '0 %');
});

// ---- names ---------------------------------------------------------------------------------------

test('tells whose code it is', () => {
    const kind = (url, r) => {
        const { kind: k, name } = packageOf({ ...code('f', url), ...(r ? { role: r } : {}) });
        return k === 'package' ? name : k;
    };
    assert.equal(kind('file:///srv/app/a.js'), 'own');
    assert.equal(kind('file:///srv/app/node_modules/express/lib/router.js'), 'express');
    assert.equal(kind('/srv/app/node_modules/@scope/pack/index.js'), '@scope/pack');
    assert.equal(kind('file:///srv/node_modules/.pnpm/qs@6.1.0/node_modules/qs/lib/parse.js'), 'qs');
    assert.equal(kind('file:///srv/node_modules/a/node_modules/b/c.js'), 'b');
    assert.equal(kind('C:\\app\\node_modules\\qs\\lib\\parse.js'), 'qs');
    assert.equal(kind('node:internal/timers'), 'node');
    assert.equal(kind('internal/timers.js'), 'node');
    assert.equal(kind(''), 'native');
    assert.equal(kind('wasm://wasm/1234'), 'native');
    assert.equal(kind('', 'no-file'), 'no-file');
    assert.equal(kind('', 'gc'), 'gc');
    assert.equal(kind('', 'program'), 'native');
});

test('a function whose file V8 does not name is no native one', () => {
    const lost = { ...code('lost'), url: '', line: 0, column: 0, role: 'no-file' }, native = { ...lost, role: '' };
    assert.notEqual(keyOf(lost), keyOf(native));
    assert.equal(packageOf(lost).name, 'code without a file');
    assert.equal(packageOf(native).name, 'native code');
    assert.deepEqual([lost, { ...lost, line: 3 }, native].map((f) => placeOf(f)), ['no file', 'no file:3', '']);
    assert.match(wholePlaceOf(lost), /evaluated code, or a script that was unloaded since/);
    assert.equal(nameOf({ ...lost, function: '' }), '(anonymous)');
    assert.equal(keyOf(code('f', 'file:///a.js', 7)), 'f@file:///a.js:7:1');
});

test('places are short: without the app\'s folder and without what stands before a package', () => {
    const functions = [code('a', 'file:///srv/my%20app/src/a.js', 3), code('b', 'file:///srv/my%20app/lib/b.js'),
        code('q', 'file:///srv/my%20app/node_modules/qs/lib/parse.js', 9), role('gc')];
    const base = baseOf(functions);
    assert.equal(base, '/srv/my app/');
    assert.deepEqual(functions.map((f) => placeOf(f, base)), ['src/a.js:3', 'lib/b.js:1', 'qs/lib/parse.js:9', '']);
    assert.equal(wholePlaceOf(functions[0]), '/srv/my app/src/a.js:3:1');
    assert.equal(placeOf(code('x', 'file:///srv/100%/x.js')), '/srv/100%/x.js:1');
    assert.equal(baseOf([]), '');
});

test('searches names and places, whatever the case', () => {
    assert.equal(matcherOf('  '), null);
    const finds = matcherOf('PARSE');
    assert.ok(finds(code('parseBody')));
    assert.ok(finds(code('x', 'file:///srv/node_modules/qs/lib/parse.js')));
    assert.ok(!finds(code('x')));
    assert.ok(matcherOf('my app')(code('x', 'file:///srv/my%20app/x.js')));
});

// ---- colours -------------------------------------------------------------------------------------

const AA = 4.5;
const names = Array.from({ length: 400 }, (_, i) => `package-${i}`);
const packs = [...['own', 'node', 'native', 'no-file', 'gc', 'root', 'rest'].map((kind) => ({ kind, name: '' })),
    ...names.map((name) => ({ kind: 'package', name }))];

test('each colour can be read on, in both schemes', () => {
    for (const [scheme, { text, dim, dimText }] of Object.entries(SCHEMES)) {
        assert.ok(contrast(dim, dimText) >= AA);
        for (const pack of packs) {
            for (const tone of [-1, 0, 1]) {
                const colour = packageColour(pack, scheme, tone);
                assert.ok(contrast(colour, text) >= AA, `${scheme} ${pack.kind} ${pack.name}`);
            }
        }
        for (let share = 0; share <= 1; share += 0.01) {
            assert.ok(contrast(heatColour(share, scheme), text) >= AA, `${scheme} heat ${share}`);
        }
    }
});

test('colours are those of WCAG\'s own examples, and stable', () => {
    assert.equal(contrast('#ffffff', '#000000'), 21);
    assert.ok(Math.abs(contrast('#777777', '#ffffff') - 4.48) < 0.01);
    assert.equal(hash('express'), hash('express'));
    assert.notEqual(hash('express'), hash('koa'));
    const express = () => packageColour({ kind: 'package', name: 'express' }, 'light');
    assert.equal(express(), express());
});

test('packages get many different colours', () => {
    assert.ok(new Set(names.map((name) => packageColour({ kind: 'package', name }, 'light'))).size > 30);
    const [own, core] = packageColours([code('a'), code('b', 'node:fs')], 'dark');
    assert.notEqual(own, core);
});

test('more own cost is never a weaker colour', () => {
    const luminances = Array.from({ length: 20 }, (_, i) => contrast(heatColour(i / 19, 'light'), '#ffffff'));
    assert.deepEqual(luminances, [...luminances].sort((a, b) => a - b));
});

test('the legend sums by package, the dearest first, without what is no code', () => {
    const functions = [role('root'), code('a'), code('b'), code('q', 'file:///srv/node_modules/qs/a.js'), role('gc'),
        code('z', 'node:fs')];
    const rows = legend(functions, [5, 1, 2, 9, 4, 0], 'light').map((row) => [row.name, row.self]);
    assert.deepEqual(rows, [['qs', 9], ['garbage collector', 4], ['own code', 3]]);
});
