// state.js -- what is shown of a profile, from its answers (top, tree) and the parameters of the page's URL.  Pure.

import { byFunction, costOf, focus, invert, pictureOf, readTree, restTotal, sandwichOf } from './layout.js';
import { baseOf, keyOf, matcherOf, nameOf, placeOf, wholePlaceOf } from './names.js';
import * as format from '../format.js';

export const VIEWS = ['table', 'both', 'flame'];

// What does not change while the page is open.
export function openProfile(tree) {
    const whole = readTree(tree);
    return {
        kind: tree.kind, unit: tree.unit, busy: Math.max(0, tree.all - tree.idle), tree: whole, rest: restTotal(whole),
        base: baseOf(tree.functions), figures: byFunction(whole),
        byKey: new Map(tree.functions.map((f, i) => [keyOf(f), i])),
    };
}

// The picture that the parameters ask for.  `focused`: the function, or -1 (none, or it is too small to be in the
// tree). Measured as "flame-layout".
export function pictureFor(profile, { focus: key, invert: inverted }) {
    const began = performance.now();
    const focused = profile.byKey.get(key) ?? -1;
    const { tree } = profile;
    const picture = focused >= 0 ? focusedPicture(tree, focused, inverted) : wholePicture(tree, inverted);
    performance.clearMeasures('flame-layout');
    performance.measure('flame-layout', { start: began });
    return { picture, focused };
}

function wholePicture(tree, inverted) {
    return pictureOf(inverted ? invert(tree) : tree);
}

function focusedPicture(tree, func, inverted) {
    const both = focus(tree, func);
    return inverted ? pictureOf(both.callers) : sandwichOf(both);
}

// { marks (byte per function), count, cost (of all stacks through one of them, each once) }; null: nothing is searched.
export function search(profile, text) {
    const matches = matcherOf(text ?? '');
    if (!matches) return null;
    const { tree } = profile;
    const marks = Uint8Array.from(tree.functions, (f) => (f.role !== 'root' && matches(f) ? 1 : 0));
    return { marks, count: marks.reduce((sum, mark) => sum + mark, 0), cost: costOf(tree, marks) };
}

// A number of a URL as a box of this picture; the root when there is none such.
export function boxOf(picture, text) {
    const box = /^\d{1,9}$/.test(text ?? '') ? Number(text) : picture.root;
    return box < picture.count ? box : picture.root;
}

// ---- texts ---------------------------------------------------------------------------------------

// A cost in the unit of the profile: "3.57 s", "12.4 ms", "1.5 MiB".
export function costText(profile, value) {
    if (profile.unit === 'bytes') return format.bytes(value);
    const ms = value / 1000;
    if (ms >= 9950) return format.duration(ms);
    if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
    return `${ms.toFixed(ms < 100 ? 1 : 0)} ms`;
}

// A part of all that ran, or of all that was allocated.
export function shareText(profile, value) {
    return format.percent(profile.busy > 0 ? (100 * value) / profile.busy : 0);
}

export function boxName(profile, f) {
    const place = f.function ? '' : placeOf(f, profile.base);
    return place ? `${nameOf(f)} ${place}` : nameOf(f);
}

// The line of text about one box.
export function boxText(profile, picture, box, inverted) {
    const f = picture.functions[picture.func[box]], place = wholePlaceOf(f), value = picture.width[box];
    const total = `${costText(profile, value)}, ${shareText(profile, value)}`;
    if (f.role === 'root') return { name: nameOf(f), place, cost: total };
    const callers = inverted || picture.row[box] < picture.rootRow;
    const self = costText(profile, picture.self[box]);
    const cost = callers ? `${total} ${callerText(picture, box)}` : `self ${self}, total ${total}`;
    return { name: nameOf(f), place, cost };
}

// Of a box among callers: the cost is that of the function at the root.
function callerText(picture, box) {
    const parent = picture.parent[box];
    if (parent === -1) return 'in all';
    return picture.functions[picture.func[parent]].role === 'root' ? 'of its own' : 'by this way';
}
