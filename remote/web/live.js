// live.js -- what is known of the fleet, kept fresh over /api/v1/live.
//
// The Maps of `state` stay the same objects and are changed in place; what stands in them is replaced, never changed,
// so that a component sees by identity what is new.  Whoever uses useLive() is told of processes once per second at
// most, of everything else at once.

import { useEffect, useReducer, useRef } from './html.js';
import { get, loadSession, session, sessionEnded } from './api.js';
import { isRemoved, withoutResult } from './phases.js';
import { keyOf } from './processes.js';

const PROCESSES_MS = 1000; // between two tellings of processes
const AT_ONCE_MS = 20; // what comes together is told together
const RETRY_MS = { first: 1000, most: 30000 };
const SILENT_MS = 30000; // then we ask whether the console is there: a dead network closes nothing
const ANSWER_MS = 10000; // for that, and for who we are
const CAPTURES = 200;
const PROFILES = 200;
const CLOSE_LOGIN = 4401;

// ---- the state -----------------------------------------------------------------------------------------------------

const known = {
    connected: false, // what is shown is fresh
    since: 0, // since when it is, or is not: milliseconds since the epoch; 0: never was
    loaded: false, // everything was fetched once: an empty Map means that there is nothing
    hosts: new Map(),
    processes: new Map(),
    captures: new Map(),
    profiles: new Map(),
};
const keysOf = new Map(); // id of a host → Set of the keys of its processes

// Each part of the state has a bit and the number of its last change.
const PARTS = ['connected', 'since', 'loaded', 'hosts', 'processes', 'captures', 'profiles'];
const BIT = Object.fromEntries(PARTS.map((name, i) => [name, 1 << i]));
const LINK = BIT.connected | BIT.since | BIT.loaded;
let reads = 0; // parts that the selector which runs now has looked at
export const state = Object.defineProperties({}, Object.fromEntries(PARTS.map((name) => [name, {
    enumerable: true,
    get() {
        reads |= BIT[name];
        return known[name];
    },
}])));

// ---- telling -------------------------------------------------------------------------------------------------------

const subscribers = new Set(); // { bits, look() }
let changed = 0; // bits of what was not told yet
let told = 0; // when processes were told last
let timer = 0;
let due = Infinity;
let turn = 0; // counts changes

function note(bits) {
    changed |= bits;
    turn++;
    const now = performance.now();
    const at = bits === BIT.processes ? Math.max(now, told + PROCESSES_MS) : now + AT_ONCE_MS;
    if (at >= due) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(tell, at - now);
}

function tell() {
    const now = performance.now();
    const early = (changed & BIT.processes) && now < told + PROCESSES_MS - 1;
    const bits = early ? changed & ~BIT.processes : changed;
    changed &= ~bits;
    due = Infinity;
    if (bits & BIT.processes) told = now;
    for (const subscriber of [...subscribers]) if (subscriber.bits & bits) subscriber.look();
    if (changed) note(changed);
}

function run(select) {
    const before = reads;
    reads = 0;
    const value = select(state);
    const bits = reads;
    reads = before;
    return { value, bits };
}

// select(state) → a value; the component is rendered again when it is another one.  A Map of the state counts as
// changed when something in it is.  `equal` compares two values that are made anew each time (see sameItems).
export function useLive(select, equal = Object.is) {
    const [, render] = useReducer((n) => n + 1, 0);
    const hook = useRef(null);
    const { value, bits } = run(select);
    const kept = hook.current && !inPlace(value) && equal(hook.current.value, value) ? hook.current.value : value;
    hook.current = { ...hook.current, select, equal, value: kept, bits, turn };
    useEffect(() => {
        const subscriber = {
            get bits() {
                return hook.current.bits;
            },
            look() {
                const { select: now, equal: same, value: old } = hook.current;
                const fresh = run(now);
                hook.current.bits = fresh.bits;
                if (inPlace(fresh.value) || !same(old, fresh.value)) render();
            },
        };
        subscribers.add(subscriber);
        // Something may have changed between the rendering and this.
        if (hook.current.turn !== turn) subscriber.look();
        return () => subscribers.delete(subscriber);
    }, []);
    return kept;
}

function inPlace(value) {
    return value instanceof Map && Object.values(known).includes(value);
}

// For useLive(): two arrays with the same items.
export function sameItems(a, b) {
    return a === b || (Array.isArray(a) && Array.isArray(b) && a.length === b.length
        && a.every((item, i) => Object.is(item, b[i])));
}

// ---- what comes ----------------------------------------------------------------------------------------------------

// Values of JSON.
function same(a, b) {
    if (Object.is(a, b)) return true;
    if (!a || !b || typeof a !== 'object' || typeof b !== 'object') return false;
    const names = Object.keys(a);
    return names.length === Object.keys(b).length && names.every((name) => same(a[name], b[name]));
}

// The old object stays when the new one says the same, so that nobody draws it again.
function put(map, key, value, bit) {
    if (same(map.get(key), value)) return;
    map.set(key, value);
    note(bit);
}

function putHost(host) {
    const stale = !host.connected;
    put(known.hosts, host.id, host, BIT.hosts);
    for (const key of keysOf.get(host.id) ?? []) {
        const process = known.processes.get(key);
        if (process.stale !== stale) put(known.processes, key, { ...process, stale }, BIT.processes);
    }
}

function putProcesses(host, list) {
    const keys = new Set();
    for (const process of list) {
        const key = keyOf(process);
        keys.add(key);
        put(known.processes, key, process, BIT.processes);
    }
    for (const key of keysOf.get(host) ?? []) {
        if (!keys.has(key) && known.processes.delete(key)) note(BIT.processes);
    }
    keysOf.set(host, keys);
}

// Ids are UUIDs of version 7: the smallest is the oldest.
function dropOldest(map, most) {
    if (map.size <= most) return;
    for (const id of [...map.keys()].sort().slice(0, map.size - most)) map.delete(id);
}

// An answer that was under way while its result was removed is older than that.
function putCapture(capture) {
    const removed = known.profiles.get(capture.id)?.removed;
    put(known.captures, capture.id, removed ? withoutResult(capture) : capture, BIT.captures);
    dropOldest(known.captures, CAPTURES);
}

// A profile has the id of its capture.  What was removed stays so.
function putProfile(profile) {
    if (known.profiles.get(profile.id)?.removed && !profile.removed) return;
    put(known.profiles, profile.id, profile, BIT.profiles);
    dropOldest(known.profiles, PROFILES);
    const capture = known.captures.get(profile.id);
    if (!capture) return;
    if (profile.removed) putCapture(capture);
    else if (!capture.profile && !isRemoved(capture)) putCapture({ ...capture, profile: profile.id });
}

// What a request answered goes the same way as what is told live: the page needs not wait for the news of its own deed.
export function learn({ captures = [], capture, profile, host }) {
    captures.forEach(putCapture);
    if (capture) putCapture(capture);
    if (profile) putProfile(profile);
    if (host) putHost(host);
}

function apply(event) {
    if (event.type === 'host') putHost(event.host);
    else if (event.type === 'processes') putProcesses(event.host, event.processes);
    else if (event.type === 'capture') putCapture(event.capture);
    else if (event.type === 'profile') putProfile(event.profile);
}

// ---- everything anew -----------------------------------------------------------------------------------------------

let missed = null; // events that came while everything is fetched: the answers may be older

function keepOnly(map, ids, bit) {
    for (const id of [...map.keys()]) if (!ids.has(id) && map.delete(id)) note(bit);
}

function fill({ hosts, processes, captures, profiles }) {
    const lists = new Map(hosts.map((host) => [host.id, []]));
    for (const process of processes) {
        if (!lists.has(process.host)) lists.set(process.host, []);
        lists.get(process.host).push(process);
    }
    for (const host of keysOf.keys()) if (!lists.has(host)) lists.set(host, []);
    for (const [host, list] of lists) putProcesses(host, list);
    hosts.forEach(putHost);
    captures.forEach(putCapture);
    profiles.forEach(putProfile);
    keepOnly(known.hosts, new Set(hosts.map((host) => host.id)), BIT.hosts);
    keepOnly(known.captures, new Set(captures.map((capture) => capture.id)), BIT.captures);
    keepOnly(known.profiles, new Set(profiles.map((profile) => profile.id)), BIT.profiles);
}

async function fetchAll(of) {
    const mine = missed = [];
    try {
        const answers = await Promise.all([
            get('hosts'), get('processes'), get(`captures?limit=${CAPTURES}`), get(`profiles?limit=${PROFILES}`)]);
        // Begun again meanwhile, or over.
        if (mine !== missed || of !== socket) return;
        missed = null;
        fill(Object.assign({}, ...answers));
        mine.forEach(apply);
        failures = 0;
        known.loaded = true;
        setConnected(true);
    } catch {
        if (of === socket) giveUp(of);
    }
}

// ---- the connection ------------------------------------------------------------------------------------------------

let socket = null;
let wanted = false;
let failures = 0;
let retry = 0;
let watch = 0;
let heard = 0;

function setConnected(connected) {
    if (known.connected === connected && known.loaded && known.since) return;
    known.connected = connected;
    known.since = Date.now();
    note(LINK);
}

function open() {
    clearTimeout(retry);
    const mine = new WebSocket(`wss://${location.host}/api/v1/live`);
    socket = mine;
    heard = performance.now();
    mine.addEventListener('message', (e) => mine === socket && receive(mine, JSON.parse(e.data)));
    mine.addEventListener('close', (e) => mine === socket && lost(e.code));
}

function receive(from, event) {
    heard = performance.now();
    if (event.type === 'welcome' || event.type === 'resync') {
        fetchAll(from);
        return;
    }
    if (missed) missed.push(event);
    else apply(event);
}

// A close that nobody answers would take minutes: it is not waited for.
function giveUp(mine) {
    mine.close();
    lost(0);
}

function lost(code) {
    socket = null;
    missed = null;
    if (code === CLOSE_LOGIN) {
        sessionEnded();
        return;
    }
    if (!wanted) return;
    setConnected(false);
    const most = Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** failures++);
    retry = setTimeout(again, most / 2 + Math.random() * most / 2);
}

// A refused upgrade has no close code: the session tells whether it is the reason.
async function again() {
    clearTimeout(retry);
    if (!wanted || socket) return;
    try {
        await loadSession({ signal: AbortSignal.timeout(ANSWER_MS) });
    } catch {
        if (wanted && !socket) lost(0);
        return;
    }
    if (wanted && !socket && session()) open();
}

async function look() {
    const mine = socket;
    if (!mine || performance.now() - heard < SILENT_MS) return;
    heard = performance.now();
    try {
        await get('health', { signal: AbortSignal.timeout(ANSWER_MS) });
    } catch {
        if (mine === socket) giveUp(mine);
    }
}

export function connect() {
    if (wanted) return;
    wanted = true;
    failures = 0;
    watch = setInterval(look, SILENT_MS / 6);
    open();
}

// Forgets everything: the next user may be another one.
export function disconnect() {
    const old = socket;
    wanted = false;
    socket = missed = null;
    clearTimeout(retry);
    clearInterval(watch);
    old?.close();
    for (const map of [known.hosts, known.processes, known.captures, known.profiles, keysOf]) map.clear();
    Object.assign(known, { connected: false, since: 0, loaded: false });
    note((1 << PARTS.length) - 1);
}

// Who comes back to the page, or to the network, does not wait for the next try.
function hurry() {
    if (wanted && !socket && document.visibilityState === 'visible') again();
}
addEventListener('online', hurry);
document.addEventListener('visibilitychange', hurry);
