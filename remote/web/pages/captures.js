// captures.js -- all captures, newest first, live.  Its filter, and how many pages are shown, are in the URL.

import { html, useEffect, useMemo, useRef, useState } from '../html.js';
import { get } from '../api.js';
import { ago, bytes, count, duration, time } from '../format.js';
import { useLive } from '../live.js';
import { CaptureActions, orderHref } from '../parts/capture-row.js';
import { Empty, ErrorMessage, Loading } from '../parts/message.js';
import { Table } from '../parts/table.js';
import { useNow } from '../parts/tick.js';
import { hasEnded, mergeCaptures, standing, timeLeft, whereText } from '../phases.js';
import { KIND_NAMES, kindText, nameOf } from '../processes.js';
import { href, useUrl } from '../url.js';

export const styles = ['/parts/picker.css', '/parts/capture-row.css'];

const PAGE = 100;
const MOST_PAGES = 100;
const NOTHING = { captures: [], next: null };
const STATES = ['queued', 'running', 'done', 'partial', 'failed', 'cancelled', 'expired'];
const SIGNS = { done: '✓', partial: '◐', failed: '✗', cancelled: '–', expired: '✗' };
const FILTERS = ['app', 'host', 'kind', 'state'];

// ---- the table -----------------------------------------------------------------------------------------------------

function State({ capture: c }) {
    const left = timeLeft(c, Date.now());
    const ended = hasEnded(c) && (c.profile || c.error);
    const text = ended && c.error ? whereText(c) : ended ? c.state : standing(c);
    const why = c.error ? `: ${c.error.message}` : '';
    return html`<a class=${`capture-state ${c.state}`} href=${orderHref(c)} title=${`${text}${why}`}>
        <span aria-hidden="true">${SIGNS[c.state] || '▶'}</span>
        ${' '}${text}${left !== null ? `, ${duration(left)} left` : ''}${why}
    </a><small class="cramped"> ${kindText(c.kind)}, ${ago(c.created_ms)}</small>`;
}

export const CAPTURE_COLUMNS = [
    { id: 'at', label: 'Asked for', narrow: true, cell: (c) => html`<span title=${time(c.created_ms)}>${ago(c.created_ms)}</span>` },
    { id: 'process', label: 'Process', head: true,
        cell: (c) => html`<a href=${href(['process', c.host, c.app, String(c.instance)])}>${nameOf(c)}</a>
            <small class="cramped"> ${c.host_name}</small>` },
    { id: 'host', label: 'Host', narrow: true, cell: (c) => c.host_name },
    { id: 'kind', label: 'Kind', narrow: true, cell: (c) => kindText(c.kind) },
    { id: 'state', label: 'State', wide: true, cell: (c) => html`<${State} capture=${c} />` },
    { id: 'length', label: 'Length', number: true, spare: true, cell: lengthText },
    { id: 'bytes', label: 'Size', number: true, spare: true, cell: (c) => bytes(c.bytes) },
    { id: 'by', label: 'By', spare: true,
        cell: (c) => html`<span class="brief" title=${c.requester}>${c.requester}</span>` },
    { id: 'actions', label: html`<span class="visually-hidden">Actions</span>`,
        cell: (c) => html`<${CaptureActions} capture=${c} small />` },
];

function lengthText(c) {
    if (c.measured_us !== undefined) return duration(c.measured_us / 1000);
    return c.duration_ms ? duration(c.duration_ms) : 'until stopped';
}

// ---- the rows ------------------------------------------------------------------------------------------------------

// So many pages, the newest first: { captures, next }; `known` are those that need not be asked for again.
async function fetchPages(query, pages, known, options) {
    let { captures, next } = known;
    for (let page = Math.ceil(captures.length / PAGE); page < pages && (page === 0 || next); page++) {
        const before = page > 0 ? `&before=${next}` : '';
        const answer = await get(`captures?${query}&limit=${PAGE}${before}`, options);
        captures = mergeCaptures(captures, answer.captures, () => true);
        next = answer.next;
    }
    return { captures, next };
}

// { captures, next, error, loading, again }: `pages` pages, with what is told live put in.
function useCaptures(filter, pages) {
    const query = new URLSearchParams(FILTERS.filter((f) => filter[f]).map((f) => [f, filter[f]])).toString();
    const [state, setState] = useState({ query: null, captures: [], next: null, error: null, loading: true });
    const asked = useRef(null);
    const connected = useLive((s) => s.connected);
    const live = useLive((s) => s.captures);
    const ask = async (known) => {
        asked.current?.abort();
        const { signal } = asked.current = new AbortController();
        setState((old) => ({ ...old, loading: true, error: null }));
        try {
            const found = await fetchPages(query, pages, known, { signal });
            setState({ query, ...found, error: null, loading: false });
        } catch (error) {
            if (!signal.aborted) setState((old) => ({ ...old, loading: false, error }));
        }
    };
    const fresh = state.query === query;
    useEffect(() => {
        ask(NOTHING);
        return () => asked.current?.abort();
    }, [query, connected]);
    useEffect(() => {
        if (fresh && state.next && state.captures.length < pages * PAGE) ask(state);
    }, [pages]);
    const captures = withLive(fresh ? state : NOTHING, live, filter);
    return { ...state, captures, known: fresh, again: () => ask(NOTHING) };
}

// What is told live belongs here when it fits the filter and is not of a page that was not asked for yet.
function withLive({ captures, next }, live, filter) {
    const oldest = next && captures.length > 0 ? captures[captures.length - 1].created_ms : 0;
    const fits = (c) => FILTERS.every((f) => !filter[f] || c[f] === filter[f]);
    return mergeCaptures(captures, live.values(), (c) => c.created_ms >= oldest).filter(fits);
}

// ---- the filter ----------------------------------------------------------------------------------------------------

function Select({ label, value, choices, onChange }) {
    return html`<label>${label}
        <select value=${value} onChange=${(e) => onChange(e.target.value)}>
            <option value="" selected=${!value}>all</option>
            ${choices.map(([id, text]) => html`<option key=${id} value=${id} selected=${id === value}>
                ${text}</option>`)}
        </select>
    </label>`;
}

function Filter({ filter, change }) {
    const hosts = useLive((s) => s.hosts);
    const processes = useLive((s) => s.processes);
    const apps = useMemo(() => [...new Set([...processes.values()].map((p) => p.app))].sort(), [processes.size]);
    const [app, setApp] = useState(filter.app);
    useEffect(() => setApp(filter.app), [filter.app]);
    return html`<form class="picker-tools" role="search" aria-label="Captures" onSubmit=${(e) => {
        e.preventDefault();
        change({ app });
    }}>
        <label class="picker-filter">App
            <input type="search" list="apps" value=${app} placeholder="all" aria-keyshortcuts="/"
                onInput=${(e) => setApp(e.target.value)} onChange=${(e) => change({ app: e.target.value })} />
            <datalist id="apps">${apps.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
        </label>
        <${Select} label="Host" value=${filter.host} onChange=${(host) => change({ host })}
            choices=${[...hosts.values()].map((h) => [h.id, h.name])} />
        <${Select} label="Kind" value=${filter.kind} onChange=${(kind) => change({ kind })}
            choices=${Object.entries(KIND_NAMES)} />
        <${Select} label="State" value=${filter.state} onChange=${(state) => change({ state })}
            choices=${STATES.map((s) => [s, s])} />
    </form>`;
}

// ---- the page ------------------------------------------------------------------------------------------------------

function Nothing({ filter, clear }) {
    if (FILTERS.some((f) => filter[f])) {
        return html`<p class="empty-filter">No capture is like that.
            <button type="button" class="quiet" onClick=${clear}>Clear the filter</button></p>`;
    }
    return html`<${Empty} title="Nothing was captured yet">
        <p>Choose processes in the <a href=${href(['fleet'])}>Fleet</a> and press “Capture…”, or run
            ${' '}<code>proctor profile cpu api</code> on a host.</p><//>`;
}

export default function Captures() {
    const { params, set } = useUrl();
    const filter = Object.fromEntries(FILTERS.map((f) => [f, params[f] || '']));
    const pages = Math.min(Math.max(Math.trunc(Number(params.pages)) || 1, 1), MOST_PAGES);
    const { captures, next, error, loading, known, again } = useCaptures(filter, pages);
    const now = useNow(1000, captures.some((c) => !hasEnded(c)));
    const minute = useNow(15000);
    // New columns draw the table anew: "12 s ago" moves on while something runs, and slowly when nothing does.
    const columns = useMemo(() => [...CAPTURE_COLUMNS], [Math.floor(now / 1000), minute]);
    const asked = FILTERS.map((f) => filter[f]).join(' ');
    return html`<h1 tabindex="-1">Captures</h1>
        <${Filter} filter=${filter} change=${(values) => set({ ...values, pages: null }, { replace: true })} />
        <${ErrorMessage} error=${error} what="The captures" retry=${again} />
        ${!known && loading && captures.length === 0 && html`<${Loading} what="Asking for captures" />`}
        ${known && captures.length === 0 && html`<${Nothing} filter=${filter}
            clear=${() => set(Object.fromEntries(FILTERS.map((f) => [f, null])))} />`}
        ${captures.length > 0 && html`<${Table} label="Captures" columns=${columns} rows=${captures}
            keyOf=${(c) => c.id} again=${asked} />`}
        ${captures.length > 0 && html`<p class="table-foot"><span role="status">${count(captures.length)} captures${next
            ? ' shown' : ''}</span>
            ${next && pages < MOST_PAGES && html`<button type="button" disabled=${loading}
                onClick=${() => set({ pages: pages + 1 }, { replace: true })}>Show older ones</button>`}</p>`}`;
}
