// own-captures.js -- the newest captures of one app or process.

import { html, useEffect, useMemo, useState } from '../html.js';
import { CaptureActions, orderHref } from './capture-row.js';
import { ErrorMessage } from './message.js';
import { Table } from './table.js';
import { get } from '../api.js';
import { ago, bytes, time } from '../format.js';
import { sameItems, useLive } from '../live.js';
import { mergeCaptures, standing, whereText } from '../phases.js';
import { kindText, nameOf } from '../processes.js';
import { href } from '../url.js';

const ASKED = 100;
const SHOWN = 10;
const NONE = [];

// [captures, error] of { app } or { app, host, instance }, newest first.
export function useCapturesOf({ app, host, instance }) {
    const [state, setState] = useState({ query: '', captures: [], error: null });
    const belongs = (c) => c.app === app && (!host || (c.host === host && c.instance === instance));
    const live = useLive((s) => [...s.captures.values()].filter(belongs), sameItems);
    const connected = useLive((s) => s.connected);
    const query = new URLSearchParams({ app, ...(host && { host }), limit: ASKED }).toString();
    useEffect(() => {
        const control = new AbortController();
        get(`captures?${query}`, { signal: control.signal }).then(
            ({ captures }) => setState({ query, captures, error: null }),
            (error) => control.signal.aborted || setState((old) => ({ ...old, error })));
        return () => control.abort();
    }, [query, connected]);
    const known = state.query === query ? state.captures : NONE;
    const captures = useMemo(() => mergeCaptures(known.filter(belongs), live, belongs), [known, live]);
    return [captures, state.error];
}

const COLUMNS = [
    { id: 'at', label: 'Asked for', narrow: true, cell: (c) => html`<span title=${time(c.created_ms)}>${ago(c.created_ms)}</span>` },
    { id: 'process', label: 'Process', head: true, cell: (c) => html`${nameOf(c)}<span class="roomy"> on ${c.host_name}</span>` },
    { id: 'kind', label: 'Kind', narrow: true, cell: (c) => kindText(c.kind) },
    { id: 'state', label: 'State', wide: true,
        cell: (c) => html`<a class=${`capture-state ${c.state}`} href=${orderHref(c)}>
            ${c.error ? whereText(c) : c.profile ? c.state : standing(c)}</a>
            <small class="cramped"> ${kindText(c.kind)}, ${ago(c.created_ms)}</small>` },
    { id: 'bytes', label: 'Size', number: true, spare: true, cell: (c) => bytes(c.bytes) },
    { id: 'actions', label: html`<span class="visually-hidden">Actions</span>`,
        cell: (c) => html`<${CaptureActions} capture=${c} small />` },
];

// `more`: parameters of the page of all captures.
export function OwnCaptures({ captures, error, more }) {
    return html`<section aria-label="Captures">
        <div class="section-head"><h2>Captures</h2><a href=${href(['captures'], more)}>All of them</a></div>
        <${ErrorMessage} error=${error} what="The captures" />
        ${captures.length === 0 && !error && html`<p class="hint">None yet.</p>`}
        ${captures.length > 0 && html`<${Table} label="Captures" columns=${COLUMNS} rows=${captures.slice(0, SHOWN)}
            keyOf=${(c) => c.id} />`}
    </section>`;
}
