// What the pages do with lists of processes: names, colour steps, filter, groups, order, walking.  Pure: no page, no
// network.  A process is PROCESS of the API; its key is `${host}/${app}/${instance}`.

export const KIND_NAMES = { cpu: 'CPU', heap: 'Heap' };

export const kindText = (kind) => KIND_NAMES[kind] || kind;

const MIB = 1024 * 1024;

// From which value on a tile has step 1, 2, … 7 (below the first one: step 0).
export const STEPS = {
    cpu: [5, 15, 30, 45, 60, 75, 90],
    heap: [64 * MIB, 128 * MIB, 192 * MIB, 256 * MIB, 512 * MIB, 1024 * MIB, 1536 * MIB],
};

export const keyOf = (p) => `${p.host}/${p.app}/${p.instance}`;

export const nameOf = (p) => `${p.app}-${p.instance}`;

// The name of an app may hold any character; host and instance do not hold "/".
export function parseKey(key) {
    const first = key.indexOf('/');
    const last = key.lastIndexOf('/');
    const instance = Number(key.slice(last + 1));
    if (first <= 0 || last <= first + 1 || !Number.isInteger(instance) || instance < 0) return null;
    return { host: key.slice(0, first), app: key.slice(first + 1, last), instance };
}

// ---- the parameter pick= -----------------------------------------------------------------------

export const joinPick = (keys) => [...keys].map((k) => k.replace(/[%,]/g, encodeURIComponent)).join(',') || null;

export function splitPick(text) {
    const keys = (text || '').split(',').map(decodeSafely).filter((k) => parseKey(k));
    return [...new Set(keys)];
}

function decodeSafely(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return '';
    }
}

// ---- one process -------------------------------------------------------------------------------

export const isOnline = (p) => p.status === 'online';

// CPU captures are about CPU, heap captures about memory.
export const valueOf = (p, kind) => (kind === 'heap' ? p.memory : p.cpu);

export function stepOf(p, kind) {
    const value = valueOf(p, kind);
    if (!isOnline(p) || p.stale || !Number.isFinite(value)) return null;
    return STEPS[kind].filter((limit) => value >= limit).length;
}

// The number of a tile: whole ones, so that a tile changes when there is something to see.
export function numberOf(p, kind) {
    const value = valueOf(p, kind);
    if (!Number.isFinite(value) || p.pid === 0) return '–';
    if (kind !== 'heap') return `${Math.round(value)} %`;
    return value < 1000 * MIB ? `${Math.round(value / MIB)} MiB` : `${(value / MIB / 1024).toFixed(1)} GiB`;
}

// A tile for those who cannot see it: "api-3 on web-2, CPU 88 %, online".
export function labelOf(p, kind) {
    const what = kind === 'heap' ? 'memory' : 'CPU';
    const parts = [`${nameOf(p)} on ${p.host_name || p.host}`, `${what} ${numberOf(p, kind)}`, p.status];
    if (p.stale) parts.push('host not connected');
    else if (isOnline(p) && whyNot(p, kind)) parts.push(`no ${kind} capture now`);
    return parts.join(', ');
}

// The lower ends of the steps as texts for the legend: the first one is "0".
export function legend(kind) {
    const text = (value) => (kind === 'heap' ? numberOf({ memory: value }, kind) : `${value} %`);
    return [0, ...STEPS[kind]].map((from, step) => ({ step, text: from === 0 ? '0' : text(from) }));
}

const MARKS = {
    'errored': '!',
    'stopped': '■',
    'stopping': '■',
    'launching': '↻',
    'waiting restart': '↻',
    'gone': '×',
};

// Beside the colour: what is wrong with a process, as a sign.
export function markOf(p, kind) {
    if (p.stale) return '?';
    if (!isOnline(p)) return MARKS[p.status] || '!';
    return whyNot(p, kind) ? '⊘' : '';
}

// Why this kind cannot be captured now: a sentence, or '' when it can.  Hosts begin it with the name, which is known
// wherever it is shown.
export function whyNot(p, kind) {
    if (p.status === 'gone') return 'this process is no longer there';
    if (p.pid === 0) return `it does not run (${p.status})`;
    if (!p.kinds) return 'its host does not say that it can be captured';
    if (p.kinds[kind] === undefined) return 'its host does not know this kind of capture';
    const name = `${nameOf(p)}: `;
    return p.kinds[kind].startsWith(name) ? p.kinds[kind].slice(name.length) : p.kinds[kind];
}

// ---- lists -------------------------------------------------------------------------------------

const haystack = (p) => `${nameOf(p)} ${p.host_name || ''} ${p.status} ${p.pid || ''}`.toLowerCase();

// Every word must be in the name, the host, the status or the pid.
export function filterProcesses(processes, text) {
    const words = (text || '').toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return processes;
    return processes.filter((p) => {
        const hay = haystack(p);
        return words.every((w) => hay.includes(w));
    });
}

const texts = new Intl.Collator('en', { numeric: true });
const byText = (a, b) => (a === b ? 0 : texts.compare(a || '', b || '') || (a < b ? -1 : 1));
const byNumber = (a, b) => (a ?? -1) - (b ?? -1);

export function byName(a, b) {
    return byText(a.app, b.app) || a.instance - b.instance || byText(a.host_name, b.host_name)
        || byText(a.host, b.host);
}

export const COLUMNS = {
    name: byName,
    host: (a, b) => byText(a.host_name, b.host_name),
    status: (a, b) => byText(a.status, b.status),
    pid: (a, b) => byNumber(a.pid, b.pid),
    cpu: (a, b) => byNumber(a.cpu, b.cpu),
    memory: (a, b) => byNumber(a.memory, b.memory),
    uptime: (a, b) => byNumber(a.uptime_ms, b.uptime_ms),
    restarts: (a, b) => byNumber(a.restarts, b.restarts),
    node: (a, b) => byText(a.node_version, b.node_version),
};

// `sort`: a column, with "-" before it for the other direction.  Equal ones stay in the order of names.
export function sortProcesses(processes, sort) {
    const [, down, column] = /^(-?)(.*)$/.exec(sort || '');
    const compare = COLUMNS[column] || byName;
    const sign = down ? -1 : 1;
    return [...processes].sort((a, b) => sign * compare(a, b) || byName(a, b));
}

const GROUPS = {
    app: { key: (p) => p.app, title: (p) => p.app },
    host: { key: (p) => p.host, title: (p) => p.host_name || p.host },
    none: { key: () => '', title: () => '' },
};

// → [{ key, title, processes }], in the order of their titles; processes keep their order.
export function groupProcesses(processes, by) {
    const { key, title } = GROUPS[by] || GROUPS.app;
    const groups = new Map();
    for (const p of processes) {
        const k = key(p);
        if (!groups.has(k)) groups.set(k, { key: k, title: title(p), processes: [] });
        groups.get(k).processes.push(p);
    }
    return [...groups.values()].sort((a, b) => byText(a.title, b.title) || byText(a.key, b.key));
}

// The list `next` in the order that `before` (an earlier one) had: what was there stays where it was, with its last
// numbers and the status "gone" when it is no longer in `next`; new ones come at the end.  `key` names an element.
export function holdOrder(before, next, key = keyOf) {
    const now = new Map(next.map((x) => [key(x), x]));
    const known = new Set(before.map(key));
    const kept = before.map((x) => now.get(key(x)) || { ...x, status: 'gone' });
    return [...kept, ...next.filter((x) => !known.has(key(x)))];
}

// The same for groups, which stand side by side: one that grew would push the others away, so new processes have a group
// of their own at the end.
export function holdGroups(before, next) {
    const now = next.flatMap((g) => g.processes);
    const shown = before.flatMap((g) => g.processes);
    const held = holdOrder(shown, now);
    let at = 0;
    const kept = before.map((g) => ({ ...g, processes: held.slice(at, at += g.processes.length) }));
    const fresh = held.slice(shown.length);
    if (fresh.length === 0) return kept;
    const last = kept.at(-1);
    if (last && (last.fresh || !last.title)) last.processes = [...last.processes, ...fresh];
    else kept.push({ key: 'fresh', title: 'New', fresh: true, processes: fresh });
    return kept;
}

// ---- choosing ----------------------------------------------------------------------------------

// Everything from one key to the other in the list, whichever comes first.
export function between(keys, from, to) {
    const a = keys.indexOf(from);
    const b = keys.indexOf(to);
    if (b < 0) return [];
    return a < 0 ? [to] : keys.slice(Math.min(a, b), Math.max(a, b) + 1);
}

export function toggled(picked, key) {
    const next = new Set(picked);
    if (!next.delete(key)) next.add(key);
    return next;
}

// Which box an arrow key leads to.  boxes: [{ left, top }] in the order of the page, rows of any length.
export function walk(boxes, from, key) {
    const steps = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: boxes.length - 1 };
    if (key in steps) return Math.min(Math.max(steps[key], 0), boxes.length - 1);
    const row = nextRow(boxes, from, key === 'ArrowUp' ? -1 : 1);
    return row.length ? nearest(boxes, row, boxes[from].left) : from;
}

// The indices of the row above (-1) or below (+1).
function nextRow(boxes, from, direction) {
    const tops = boxes.map((b) => b.top).filter((t) => (t - boxes[from].top) * direction > 0);
    const top = direction < 0 ? Math.max(...tops) : Math.min(...tops);
    return boxes.map((b, i) => i).filter((i) => boxes[i].top === top);
}

function nearest(boxes, row, left) {
    const distance = (i) => Math.abs(boxes[i].left - left);
    return row.reduce((best, i) => (distance(i) < distance(best) ? i : best));
}
