// capture.js -- a new capture (/capture) and one that was ordered (/capture/ID), from its first phase to its profile.
// All of it is in the URL or asked from the API: a reload, or another machine, shows the same.

import { html, useEffect, useMemo, useRef, useState } from '../html.js';
import { get, may, post } from '../api.js';
import { ago, bytes, count, duration } from '../format.js';
import { learn, useLive } from '../live.js';
import { CaptureCard, againHref, useAsk } from '../parts/capture-row.js';
import { Choice } from '../parts/choice.js';
import { useFocusKept } from '../parts/focus-kept.js';
import { Empty, ErrorMessage, Loading, Note } from '../parts/message.js';
import { Picker, processHref, usePicker } from '../parts/picker.js';
import { useEvery, useNow } from '../parts/tick.js';
import { useTitle } from '../parts/title.js';
import { adviceFor } from '../advice.js';
import { hasEnded, isCancellable, isStoppable, mergeCaptures, standing } from '../phases.js';
import { KIND_NAMES, byName, joinPick, kindText, nameOf, parseKey, toggled, whyNot } from '../processes.js';
import { go, href, useUrl } from '../url.js';
import { uuid7 } from '../uuid7.js';

export const styles = ['/parts/picker.css', '/parts/capture-row.css'];

const MOST = 100; // LIMIT_CAPTURE_TARGETS
const LONGEST_S = 86400; // LIMIT_CAPTURE_LONGEST_MS
const DEFAULT_S = 10;
const ASK_MS = 3000; // an order that the live connection does not tell of is asked for

// Distances between samples, with what they cost while the capture runs.  Measured as CPU time per request of an app.
const INTERVALS = {
    cpu: {
        unit: 'µs', standard: 5000, least: 50, most: 10000000,
        choices: { 10000: '10 ms: hardly measurable', 5000: '5 ms (default): a few percent at most',
            1000: '1 ms, finer: up to 20 % more CPU', 250: '0.25 ms, for short moments: costs much more' },
    },
    heap: {
        unit: 'bytes', standard: 524288, least: 1024, most: 1073741824,
        choices: { 2097152: '2 MiB: hardly measurable', 524288: '512 KiB (default): hardly measurable',
            131072: '128 KiB: some percent more CPU', 32768: '32 KiB, finer: 9 to 22 % more CPU' },
    },
};

// ---- the order that the URL describes ------------------------------------------------------------------------------

const whole = (text, least, most) => {
    const n = Number(text);
    return text && Number.isInteger(n) && n >= least && n <= most ? n : null;
};

function useDraft() {
    const { params, set } = useUrl();
    const { kind, picked } = usePicker();
    const { standard, least, most } = INTERVALS[kind];
    const manual = params.seconds === 'manual';
    return {
        kind, picked, manual, other: params.other === '1', choosing: params.choose === '1',
        secondsText: manual ? '' : params.seconds ?? String(DEFAULT_S),
        seconds: manual ? null : whole(params.seconds ?? String(DEFAULT_S), 1, LONGEST_S),
        intervalText: params.interval ?? String(standard),
        interval: whole(params.interval ?? String(standard), least, most),
        change: (values) => set(values, { replace: true }),
    };
}

function orderOf(draft, targets, id) {
    const order = { id, kind: draft.kind, targets: targets.map(({ key }) => parseKey(key)) };
    if (!draft.manual) order.duration_ms = draft.seconds * 1000;
    order[draft.kind === 'cpu' ? 'interval_us' : 'interval_bytes'] = draft.interval;
    return order;
}

// ---- the form ------------------------------------------------------------------------------------------------------

function Seconds({ draft }) {
    const wrong = !draft.manual && draft.seconds === null;
    return html`<${Choice} label="Length" name="end" value=${draft.manual ? 'manual' : 'time'}
        choices=${{ time: 'For a time', manual: 'Until I stop it' }}
        onChange=${(end) => draft.change({ seconds: end === 'manual' ? 'manual' : null })} />
    ${!draft.manual && html`<label class="pair">Seconds
        <input type="number" inputmode="numeric" min="1" max=${LONGEST_S} step="1" value=${draft.secondsText}
            aria-invalid=${wrong ? 'true' : undefined} aria-describedby="seconds-hint"
            onInput=${(e) => draft.change({ seconds: e.target.value || '0' })} />
    </label>`}
    <p class="hint" id="seconds-hint">${wrong ? `A whole number from 1 to ${count(LONGEST_S)}.`
        : draft.manual ? 'It ends by itself at the longest time that the host allows, 5 minutes unless its policy says '
            + 'otherwise.' : 'A host allows 5 minutes unless its policy says otherwise.'}</p>`;
}

function Interval({ draft }) {
    const { unit, standard, least, most, choices } = INTERVALS[draft.kind];
    const other = draft.other || !Object.hasOwn(choices, draft.intervalText);
    const wrong = draft.interval === null;
    const choose = (value) => draft.change(value === 'other' ? { other: '1' }
        : { other: null, interval: Number(value) === standard ? null : value });
    return html`<label class="pair">Between samples
        <select value=${other ? 'other' : draft.intervalText} onChange=${(e) => choose(e.target.value)}>
            ${Object.entries(choices).sort((a, b) => b[0] - a[0]).map(([value, text]) => html`
                <option key=${value} value=${value} selected=${!other && value === draft.intervalText}>
                    ${text}</option>`)}
            <option value="other" selected=${other}>another …</option>
        </select>
    </label>
    ${other && html`<label class="pair">Interval in ${unit}
        <input type="number" inputmode="numeric" min=${least} max=${most} step="1" value=${draft.intervalText}
            aria-invalid=${wrong ? 'true' : undefined} aria-describedby="interval-hint"
            onInput=${(e) => draft.change({ interval: e.target.value || '0', other: '1' })} />
    </label>`}
    ${other && html`<p class="hint" id="interval-hint">A whole number from ${count(least)} to ${count(most)}. Shorter is
        finer, costs more CPU, and makes a larger result.</p>`}`;
}

// ---- the chosen processes ------------------------------------------------------------------------------------------

// What stands in the way of each: '' when it can be captured now.
function targetsOf(draft, processes, loaded) {
    return [...draft.picked].map((key) => {
        const p = processes.get(key);
        const target = { key, ...parseKey(key), process: p };
        if (!p) return { ...target, why: loaded ? 'this process is no longer there' : 'asking …' };
        if (p.stale) return { ...target, why: '', waits: true };
        return { ...target, why: whyNot(p, draft.kind) };
    });
}

const otherText = (why, same) => (!why ? 'would work' : why === same ? 'for the same reason' : why);

function Target({ target, draft }) {
    const { key, process: p, why, waits } = target;
    const others = p && !p.stale ? Object.keys(KIND_NAMES).filter((kind) => kind !== draft.kind) : [];
    return html`<li class=${why ? 'refused' : ''}>
        <span class="target-name"><span aria-hidden="true">${why ? '⊘' : '✓'}</span>
            ${p ? html`<a href=${processHref(p)}>${nameOf(p)}</a> on ${p.host_name}` : nameOf(target)}</span>
        <span class="target-why">${why ? `left out: ${why}` : waits
            ? 'its host is not connected: the capture waits for it, one minute at most' : 'can be captured now'}</span>
        ${others.map((kind) => html`<span key=${kind} class="target-other">
            ${kindText(kind)}: ${otherText(whyNot(p, kind), why)}</span>`)}
        <button type="button" class="quiet" aria-label=${`Leave out ${nameOf(target)}`}
            onClick=${() => draft.change({ pick: joinPick(toggled(draft.picked, key)) })}>×</button>
    </li>`;
}

function Targets({ draft, targets }) {
    const box = useFocusKept('.targets button');
    return html`<section aria-label="Chosen processes" ref=${box}>
        ${draft.choosing && html`<h2>Chosen <small>${count(targets.length)}</small></h2>`}
        <ul class="targets">${targets.map((t) => html`<${Target} key=${t.key} target=${t} draft=${draft} />`)}</ul>
    </section>`;
}

// The picker stands before what is chosen, so that its tiles stay where they are while one chooses.
function Choosing({ draft, targets }) {
    const processes = useLive((s) => s.processes);
    const hosts = useLive((s) => s.hosts);
    const loaded = useLive((s) => s.loaded);
    // Whoever came with nothing chosen keeps the picker while choosing, also over a reload.
    const choosing = draft.choosing || targets.length === 0;
    useEffect(() => {
        if (choosing && !draft.choosing) draft.change({ choose: '1' });
    }, [choosing]);
    return html`<section aria-label="Choose">
        <div class="section-head"><h2>${choosing ? 'Choose processes'
            : html`Processes <small>${count(targets.length)}</small>`}</h2>
            ${targets.length > 0 && html`<button type="button" aria-expanded=${String(choosing)}
                onClick=${() => draft.change({ choose: choosing ? null : '1' })}>
                ${choosing ? 'Enough chosen' : 'Choose others'}</button>`}</div>
        ${choosing && loaded && processes.size > 0 && html`<${Picker} processes=${processes} hosts=${hosts}
            kindChosen />`}
        ${choosing && loaded && processes.size === 0 && html`<p>No process is known. <a href=${href(['fleet'])}>How to
            link a host</a></p>`}
    </section>`;
}

// ---- what it costs -------------------------------------------------------------------------------------------------

const USUALLY = {
    cpu: 'Usually the app pauses for about 20 ms when the profiler starts, a large one (300 MB) up to half a second. '
        + 'The result has some 10 bytes per sample.',
    heap: 'Usually the app does not notice the start. The result has some hundred kilobytes.',
};

function LastCost({ app, kind }) {
    const [last, setLast] = useState(undefined); // null: there is none
    useEffect(() => {
        const control = new AbortController();
        const query = new URLSearchParams({ app, kind, state: 'done', limit: 1 });
        get(`captures?${query}`, { signal: control.signal }).then(
            (r) => setLast(r.captures[0] ?? null), (error) => control.signal.aborted || setLast({ error }));
        return () => control.abort();
    }, [app, kind]);
    if (!last) return html`<li>${app}: ${last === null ? 'not captured yet.' : 'asking …'}</li>`;
    if (last.error) return html`<li>${app}: not known. ${last.error.message}</li>`;
    const facts = [
        last.start_pause_us !== undefined && `the app paused ${duration(last.start_pause_us / 1000)} at the start`,
        last.bytes !== undefined && `the result of ${duration((last.measured_us || 0) / 1000)} has ${bytes(last.bytes)}`,
    ].filter(Boolean);
    return html`<li>${app}, ${ago(last.created_ms)}: ${facts.join(', ')}.</li>`;
}

function Cost({ draft, targets }) {
    const apps = [...new Set(targets.map((t) => t.app))].slice(0, 5);
    return html`<section aria-label="Cost">
        <h2>Cost of the last ${kindText(draft.kind)} capture here</h2>
        <ul class="costs">
            ${apps.map((app) => html`<${LastCost} key=${`${app} ${draft.kind}`} app=${app} kind=${draft.kind} />`)}
        </ul>
        <p class="hint">${USUALLY[draft.kind]}</p>
    </section>`;
}

// ---- a new capture -------------------------------------------------------------------------------------------------

// Sending the order.  Where it is not known whether it was taken, the same order keeps its id, also when others were tried
// in between: sent twice, it is started once.  An error is that of its order and goes when another one is filled in.
function useStart(draft, targets) {
    const [state, setState] = useState({ text: '', busy: false, error: null });
    const ids = useRef(new Map()); // order as text → its id
    const text = JSON.stringify(orderOf(draft, targets, ''));
    const start = async () => {
        const id = ids.current.get(text) ?? uuid7();
        ids.current.set(text, id);
        setState({ text, busy: true, error: null });
        try {
            learn(await post('captures', orderOf(draft, targets, id)));
            go(href(['capture', id]));
        } catch (error) {
            if (error.status >= 400 && error.status < 500) ids.current.delete(text);
            setState({ text, busy: false, error });
        }
    };
    return [start, { busy: state.busy, error: state.text === text ? state.error : null }];
}

function Start({ draft, targets }) {
    const able = targets.filter((t) => !t.why);
    const [start, { busy, error }] = useStart(draft, able);
    const ready = able.length > 0 && able.length <= MOST && draft.interval !== null
        && (draft.manual || draft.seconds !== null);
    const left = targets.length - able.length;
    return html`<div class="pick-bar">
        <button type="button" class="primary" disabled=${!ready || busy} onClick=${start}>
            ${busy ? 'Starting …' : able.length > 1 ? `Start ${count(able.length)} captures` : 'Start'}</button>
        ${able.length === 0 && html`<span class="hint">None of the chosen processes can be captured now.</span>`}
        ${able.length > MOST && html`<span class="hint">One order takes ${count(MOST)} processes at most.</span>`}
        ${left > 0 && able.length > 0 && html`<span class="hint">
            ${count(left)} of ${count(targets.length)} left out.</span>`}
        <${ErrorMessage} error=${error} what="Not started" />
        ${error && html`<p class="hint">${error.status === 0
            ? 'Start sends the same order again: what had begun is not begun twice.' : adviceFor(error.code)}</p>`}
    </div>`;
}

function NewCapture() {
    const draft = useDraft();
    const processes = useLive((s) => s.processes);
    const loaded = useLive((s) => s.loaded);
    const targets = targetsOf(draft, processes, loaded);
    if (!may('operator')) {
        return html`<h1 tabindex="-1">New capture</h1>
            <${Empty} title="Your account sees captures, but does not start them">
                <p>Ask an admin for the role “operator”. <a href=${href(['captures'])}>Captures of others</a></p><//>`;
    }
    return html`<h1 tabindex="-1">New capture</h1>
        <div class="capture-form">
            <${Choice} label="Kind" name="capture-kind" value=${draft.kind} choices=${KIND_NAMES}
                onChange=${(kind) => draft.change({ kind, interval: null, other: null })} />
            <${Seconds} draft=${draft} />
            <${Interval} key=${draft.kind} draft=${draft} />
        </div>
        <${Choosing} draft=${draft} targets=${targets} />
        ${targets.length > 0 && html`<${Targets} draft=${draft} targets=${targets} />
            <${Cost} draft=${draft} targets=${targets} />
            <${Start} draft=${draft} targets=${targets} />`}`;
}

// ---- one order, live -----------------------------------------------------------------------------------------------

// The captures of an order, or the one with this id.  [captures, error]; captures is null until they are known.
function useOrder(id) {
    const [fetched, setFetched] = useState({ id: null, captures: [] });
    const [error, setError] = useState(null);
    const live = useLive((s) => s.captures);
    const connected = useLive((s) => s.connected);
    const belongs = (c) => c.order === id || c.id === id;
    const captures = mergeCaptures(fetched.id === id ? fetched.captures : [], live.values(), belongs);
    const ask = () => fetchOrder(id).then((found) => {
        setFetched({ id, captures: found });
        setError(null);
    }, setError);
    useEffect(() => void ask(), [id, connected]);
    const open = captures.some((c) => !hasEnded(c) || c.waiting);
    useEvery(open && !connected ? ASK_MS : null, ask);
    return [fetched.id === id || captures.length > 0 ? captures : null, error];
}

async function fetchOrder(id) {
    const { captures } = await get(`captures?order=${encodeURIComponent(id)}&limit=${MOST}`);
    if (captures.length > 0) return captures;
    return [(await get(`captures/${encodeURIComponent(id)}`)).capture];
}

// One sentence for all, read aloud when it changes.
function aloud(captures) {
    if (captures.length <= 4) return captures.map((c) => `${nameOf(c)}: ${standing(c)}`).join('. ');
    const words = new Map();
    for (const c of captures) words.set(standing(c), (words.get(standing(c)) || 0) + 1);
    return [...words].map(([word, n]) => `${count(n)} ${word}`).join(', ');
}

function ForAll({ id, captures }) {
    const [ask, error, busy] = useAsk(id);
    const several = captures.length > 1;
    const stoppable = captures.some((c) => isStoppable(c));
    const cancellable = captures.some((c) => isCancellable(c));
    if (!may('operator')) return null;
    return html`<p class="for-all">
        ${several && stoppable && html`<button type="button" disabled=${busy} onClick=${() => ask('stop')}>
            Stop all</button>`}
        ${several && cancellable && html`<button type="button" disabled=${busy} onClick=${() => ask('cancel')}>
            Cancel all</button>`}
        ${captures.every(hasEnded) && html`<a class="button" href=${againHref(captures)}>Capture again</a>`}
        <${ErrorMessage} error=${error} />
    </p>`;
}

function describe(captures) {
    const [c] = captures;
    const length = c.duration_ms ? duration(c.duration_ms) : 'until stopped';
    const interval = c.interval_us ? duration(c.interval_us / 1000) : c.interval_bytes ? bytes(c.interval_bytes) : '';
    return [kindText(c.kind), length, interval && `a sample every ${interval}`, `asked for by ${c.requester}`,
        ago(c.created_ms)].filter(Boolean).join(' · ');
}

function Order({ id }) {
    const [captures, error] = useOrder(id);
    const now = useNow(1000, Boolean(captures?.some((c) => !hasEnded(c))));
    const sorted = useMemo(() => captures && [...captures].sort(byName), [captures]);
    const title = sorted ? `${kindText(sorted[0].kind)} capture of ${sorted.length === 1 ? nameOf(sorted[0])
        : `${count(sorted.length)} processes`}` : 'Capture';
    useTitle(title);
    if (!captures) {
        return html`<h1 tabindex="-1">${title}</h1>
            ${error ? html`<${ErrorMessage} error=${error} what="This capture" />
                <p><a href=${href(['captures'])}>All captures</a></p>`
            : html`<${Loading} what="Asking for this capture" />`}`;
    }
    return html`<h1 tabindex="-1">${title}</h1>
        <p class="hint">${describe(sorted)}</p>
        <div class="visually-hidden" role="status">${aloud(sorted)}</div>
        ${error && html`<${Note} kind="warning"><p>${error.message} What is shown may be old.</p><//>`}
        <${ForAll} id=${id} captures=${sorted} />
        <ul class="capture-cards">
            ${sorted.map((c) => html`<${CaptureCard} key=${c.id} capture=${c} now=${now} />`)}
        </ul>`;
}

export default function Capture() {
    const { path } = useUrl();
    return path[1] ? html`<${Order} key=${path[1]} id=${path[1]} />` : html`<${NewCapture} />`;
}
