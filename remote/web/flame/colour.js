// colour.js -- the colours of boxes: by whose code it is, or by what a function costs itself.  Pure.
//
// A colour is chosen by hue and *luminance*, not by lightness, so that all hues are equally bright and the one text
// colour of a scheme can be read on each of them (WCAG AA, 4.5:1; held by tests).  Colours of packages come from their
// names, and are the same in each profile.

import { packageOf } from './names.js';

export const SCHEMES = {
    light: { text: '#14181d', dim: '#e8eaed', dimText: '#545b66', line: '#14181d', back: '#ffffff',
        luminance: 0.52, spread: 0.05, heat: [0.82, 0.36] },
    dark: { text: '#f4f6f8', dim: '#24292f', dimText: '#a4adb8', line: '#ffffff', back: '#14181d',
        luminance: 0.105, spread: 0.018, heat: [0.03, 0.15] },
};

const HUES = { own: [212, 68], node: [165, 22], native: [220, 6], 'no-file': [190, 30], gc: [2, 68], root: [220, 4], rest: [220, 4] };
// Clear of own (blue) and of gc (red).
const PACKAGE_HUES = [22, 36, 50, 68, 86, 104, 122, 140, 255, 270, 286, 302, 318, 334];
const HEAT_STEPS = 24;

// FNV-1a: small, and the same everywhere.
export function hash(text) {
    let h = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) >>> 0;
    return h;
}

// ---- arithmetic ----------------------------------------------------------------------------------

function channel(n, hue, saturation, lightness) {
    const k = (n + hue / 30) % 12, a = saturation * Math.min(lightness, 1 - lightness);
    return lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1));
}

function rgb(hue, saturation, lightness) {
    return [0, 8, 4].map((n) => Math.round(255 * channel(n, hue, saturation / 100, lightness)));
}

function luminance(parts) {
    const [r, g, b] = parts.map((part) => {
        const c = part / 255;
        return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const parse = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
const print = (parts) => `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;

// Of two colours (#rrggbb), as WCAG counts it: 1 to 21.
export function contrast(a, b) {
    const [low, high] = [luminance(parse(a)), luminance(parse(b))].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
}

// The colour of this hue and saturation that is so bright.
export function bright(hue, saturation, wanted) {
    let low = 0, high = 1;
    for (let i = 0; i < 12; i++) {
        const middle = (low + high) / 2;
        if (luminance(rgb(hue, saturation, middle)) < wanted) low = middle;
        else high = middle;
    }
    return print(rgb(hue, saturation, (low + high) / 2));
}

// ---- whose code ----------------------------------------------------------------------------------

function hueOf({ kind, name }) {
    if (kind !== 'package') return HUES[kind];
    const h = hash(name);
    return [PACKAGE_HUES[h % PACKAGE_HUES.length], 32 + 12 * ((h >>> 8) % 3)];
}

// `tone` -1, 0 or 1: a little darker or brighter, so that neighbours of one package differ.
export function packageColour(pack, scheme, tone = 0) {
    const { luminance: middle, spread } = SCHEMES[scheme];
    const [hue, saturation] = hueOf(pack);
    return bright(hue, saturation, middle + tone * spread);
}

// One colour per function.
export function packageColours(functions, scheme) {
    const known = new Map();
    return functions.map((f) => {
        const pack = packageOf(f), tone = hash(`${f.function}${f.url}${f.line}`) % 3 - 1;
        const key = `${pack.kind} ${pack.name} ${tone}`;
        if (!known.has(key)) known.set(key, packageColour(pack, scheme, tone));
        return known.get(key);
    });
}

// ---- own cost ------------------------------------------------------------------------------------

// `share` 0 to 1 of the greatest.  The root of the share, as few functions have nearly all of the cost.
export function heatColour(share, scheme) {
    const [from, to] = SCHEMES[scheme].heat;
    const step = Math.round(HEAT_STEPS * Math.sqrt(Math.min(1, Math.max(0, share)))) / HEAT_STEPS;
    return bright(44 - 36 * step, 40 + 50 * step, from + (to - from) * step);
}

// `self`: per function.
export function heatColours(functions, self, scheme) {
    const most = self.reduce((max, value) => Math.max(max, value), 0) || 1;
    return functions.map((f, i) => heatColour((self[i] ?? 0) / most, scheme));
}

// ---- legend --------------------------------------------------------------------------------------

// Whose code costs what: [{ kind, name, self, colour }], the most expensive first.
export function legend(functions, self, scheme) {
    const packs = new Map();
    functions.forEach((f, i) => {
        const pack = packageOf(f), key = `${pack.kind} ${pack.name}`;
        if (pack.kind === 'root' || pack.kind === 'rest') return;
        const known = packs.get(key);
        if (known) known.self += self[i];
        else packs.set(key, { ...pack, self: self[i], colour: packageColour(pack, scheme) });
    });
    return [...packs.values()].filter((pack) => pack.self > 0).sort((a, b) => b.self - a.self);
}
