// format.js -- numbers and times as texts for people.  Pure, but for ago() and its clock.  What is no number: '–'.

const NONE = '–';
const known = (n) => typeof n === 'number' && Number.isFinite(n);

// 1536 → '1.5 KiB'
export function bytes(n) {
    if (!known(n)) return NONE;
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let unit = 0;
    let rest = Math.abs(n);
    while (rest >= 1023.5 && unit < units.length - 1) {
        rest /= 1024;
        unit++;
    }
    const digits = unit === 0 || rest >= 99.95 ? 0 : 1;
    return `${n < 0 ? '−' : ''}${rest.toFixed(digits)} ${units[unit]}`;
}

// 12.34 → '12 %', 1.234 → '1.2 %'
export function percent(n) {
    if (!known(n)) return NONE;
    return `${n === 0 ? 0 : n.toFixed(Math.abs(n) < 9.95 ? 1 : 0)} %`;
}

// 1000 → '1,000'
const integers = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
export function count(n) {
    return known(n) ? integers.format(n) : NONE;
}

// In seconds: below which length, the greater unit, and the smaller one.
const SPANS = [[3600, 60, 'min', 1, 's'], [86400, 3600, 'h', 60, 'min'], [Infinity, 86400, 'd', 3600, 'h']];

// Two units at most: '250 ms', '1.5 s', '42 s', '3 min 20 s', '5 h 1 min', '2 d 3 h'
export function duration(ms) {
    if (!known(ms)) return NONE;
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 9950) return `${Number((ms / 1000).toFixed(1))} s`;
    const s = Math.round(ms / 1000);
    if (s < 60) return `${s} s`;
    const [, big, unit, small, rest] = SPANS.find(([below]) => s < below);
    const more = Math.floor((s % big) / small);
    return `${Math.floor(s / big)} ${unit}${more ? ` ${more} ${rest}` : ''}`;
}

// Of a moment in milliseconds since the epoch, in whole units: 'now', '12 s ago', '3 h ago'
export function ago(ms, now = Date.now()) {
    if (!known(ms)) return NONE;
    const s = Math.max(0, Math.floor((now - ms) / 1000));
    if (s < 2) return 'now';
    if (s < 120) return `${s} s ago`;
    if (s < 7200) return `${Math.floor(s / 60)} min ago`;
    if (s < 172800) return `${Math.floor(s / 3600)} h ago`;
    return `${Math.floor(s / 86400)} d ago`;
}

// Local time: '2025-11-20 05:16:01'
export function time(ms) {
    if (!known(ms)) return NONE;
    const d = new Date(ms);
    const two = (n) => String(n).padStart(2, '0');
    return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} `
        + `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
