// picker.js -- finding and choosing processes: filter, colours, groups, tiles or a table.  Its state is in the URL:
// kind=, q=, group=, view=, sort=, pick=.

import { html, useMemo } from '../html.js';
import { bytes, count, duration, percent, time } from '../format.js';
import {
    KIND_NAMES, filterProcesses, groupProcesses, joinPick, keyOf, legend, nameOf, sortProcesses, splitPick,
    toggled, whyNot,
} from '../processes.js';
import { href, useUrl } from '../url.js';
import { Choice } from './choice.js';
import { useKeys } from './keys.js';
import { Table } from './table.js';
import { Tiles } from './tiles.js';

const GROUPS = { app: 'App', host: 'Host', none: 'None' };
const VIEWS = { tiles: 'Tiles', table: 'Table' };

const one = (choices, text) => (Object.hasOwn(choices, text) ? text : Object.keys(choices)[0]);

// What the URL says, with what it leaves out filled in.
export function usePicker() {
    const { params, set } = useUrl();
    return {
        kind: one(KIND_NAMES, params.kind),
        group: one(GROUPS, params.group),
        view: one(VIEWS, params.view),
        q: params.q || '',
        sort: params.sort || '',
        picked: useMemo(() => new Set(splitPick(params.pick)), [params.pick]),
        change: (values) => set(values, { replace: true }),
    };
}

export const processHref = (p) => href(['process', p.host, p.app, String(p.instance)]);

// ---- tools ---------------------------------------------------------------------------------------------------------

function Tools({ picker, shown, all, kindChosen }) {
    const { kind, group, view, q, change } = picker;
    return html`<div class="picker-tools" role="search" aria-label="Processes">
        <label class="picker-filter">Filter
            <input type="search" value=${q} placeholder="app, host, status or pid" aria-keyshortcuts="/"
                onInput=${(e) => change({ q: e.target.value })} />
        </label>
        ${!kindChosen && html`<${Choice} label="Colour by" name="kind" value=${kind}
            choices=${{ cpu: 'CPU', heap: 'Memory' }} onChange=${(id) => change({ kind: id })} />`}
        ${view === 'tiles' && html`<${Choice} label="Group by" name="group" value=${group} choices=${GROUPS}
            onChange=${(id) => change({ group: id })} />`}
        <${Choice} label="Show" name="view" value=${view} choices=${VIEWS}
            onChange=${(id) => change({ view: id, sort: null })} />
        <p class="picker-count" role="status">${shown === all ? `${count(all)} processes`
            : `${count(shown)} of ${count(all)} processes`}</p>
    </div>`;
}

const SIGNS = [['!', 'errored'], ['↻', 'starting or restarting'], ['■', 'stopped'], ['?', 'host not connected'],
    ['⊘', 'cannot be captured now']];

function Legend({ kind }) {
    return html`<div class="legend">
        <ul aria-label=${kind === 'heap' ? 'Colours: memory from' : 'Colours: CPU from, in percent of a core'}>
            ${legend(kind).map(({ step, text }) => html`<li key=${step} class=${`heat-${step}`}>${text}</li>`)}
        </ul>
        <ul aria-label="Signs" class="signs">
            ${SIGNS.map(([sign, text]) => html`<li key=${sign}><b>${sign}</b> ${text}</li>`)}
        </ul>
    </div>`;
}

// ---- tiles ---------------------------------------------------------------------------------------------------------

const staleText = (host) => `not connected since ${host.since_ms ? time(host.since_ms) : 'the console was started'}`;

function Heading({ group, by, picker }) {
    const keys = group.processes.map(keyOf);
    const all = keys.every((k) => picker.picked.has(k));
    const name = by === 'app' && !group.fresh ? html`<a href=${href(['app', group.key])}>${group.title}</a>` : group.title;
    const choose = () => {
        const next = new Set(picker.picked);
        for (const k of keys) if (all) next.delete(k); else next.add(k);
        picker.change({ pick: joinPick(next) });
    };
    return html`<div class="tile-heading">
        <h2>${name} <small>${count(group.processes.length)}</small></h2>
        ${group.note && html`<span class="stale-note">${group.note}</span>`}
        ${keys.length > 1 && html`<button type="button" class="quiet" onClick=${choose}>
            ${all ? 'Choose none' : 'Choose all'}<span class="visually-hidden"> of ${group.title}</span>
        </button>`}
    </div>`;
}

function TileView({ picker, processes, hosts }) {
    const { kind, group, q, sort, picked, change } = picker;
    // With what stands over it, as that is held while the pointer is inside.
    const noteOf = ({ key }) => (group === 'host' && hosts.get(key)?.connected === false ? staleText(hosts.get(key)) : '');
    const groups = groupProcesses(sortProcesses(processes, sort), group).map((g) => ({ ...g, note: noteOf(g) }));
    return html`<${Legend} kind=${kind} />
        <${Tiles} groups=${groups} kind=${kind} picked=${picked} again=${`${group} ${sort} ${q}`}
            hosts=${group !== 'host'} onPick=${(next) => change({ pick: joinPick(next) })}
            heading=${(g) => html`<${Heading} group=${g} by=${group} picker=${picker} />`} />`;
}

// ---- table ---------------------------------------------------------------------------------------------------------

export const COLUMNS = [
    { id: 'name', label: 'Process', head: true, wide: true, value: (p) => `${p.app} ${p.instance}`,
        cell: (p) => html`<a href=${processHref(p)}>${nameOf(p)}</a>
            <small class="cramped"> ${p.host_name}</small>` },
    { id: 'host', label: 'Host', narrow: true, value: (p) => p.host_name || p.host, cell: (p) => p.host_name || p.host },
    { id: 'status', label: 'Status', value: (p) => p.status,
        cell: (p) => (p.stale ? html`? ${p.status}<span class="roomy">, host not connected</span>` : p.status) },
    { id: 'cpu', label: 'CPU', number: true, down: true, value: (p) => p.cpu, cell: (p) => percent(p.cpu) },
    { id: 'memory', label: 'Memory', number: true, down: true, value: (p) => p.memory, cell: (p) => bytes(p.memory) },
    { id: 'uptime', label: 'Up', number: true, down: true, spare: true, value: (p) => p.uptime_ms,
        cell: (p) => (p.pid ? duration(p.uptime_ms) : '–') },
    { id: 'restarts', label: 'Restarts', number: true, down: true, narrow: true, value: (p) => p.restarts,
        cell: (p) => count(p.restarts) },
    { id: 'pid', label: 'Pid', number: true, spare: true, value: (p) => p.pid, cell: (p) => p.pid || '–' },
    { id: 'node', label: 'Node', spare: true, value: (p) => p.node_version, cell: (p) => p.node_version || '–' },
];

const CAPTURABLE = Object.fromEntries(Object.keys(KIND_NAMES).map((kind) => [kind, {
    id: 'kind', label: `${KIND_NAMES[kind]} capture`, spare: true, value: (p) => whyNot(p, kind),
    cell: (p) => html`<span class="why" title=${whyNot(p, kind)}>
        ${whyNot(p, kind) || (p.stale ? 'waits' : 'works')}</span>`,
}]));

const TABLES = Object.fromEntries(Object.keys(KIND_NAMES).map((kind) => [kind, [...COLUMNS, CAPTURABLE[kind]]]));

export const asGone = (p) => ({ ...p, status: 'gone' });

function TableView({ picker, processes }) {
    const { kind, q, sort, picked, change } = picker;
    return html`<${Table} label="Processes" columns=${TABLES[kind]} rows=${processes} keyOf=${keyOf} again=${q} gone=${asGone}
        sort=${sort || 'name'} onSort=${(next) => change({ sort: next })} selected=${picked}
        onSelect=${(p) => change({ pick: joinPick(toggled(picked, keyOf(p))) })} />`;
}

// ---- all -----------------------------------------------------------------------------------------------------------

const KEYS = [
    { key: 'Arrows', what: 'Walk the tiles, or the rows of the table' },
    { key: 'Space', what: 'Choose a process, or leave it out' },
    { key: 'Shift', what: 'With an arrow or a click: choose all in between' },
];

// processes, hosts: the Maps of live.js; kindChosen: the page chooses the kind of capture, and with it the colours.
export function Picker({ processes, hosts, kindChosen }) {
    useKeys(KEYS);
    const picker = usePicker();
    const all = sortProcesses([...processes.values()], '');
    const shown = filterProcesses(all, picker.q);
    const View = picker.view === 'table' ? TableView : TileView;
    return html`<${Tools} picker=${picker} shown=${shown.length} all=${all.length} kindChosen=${kindChosen} />
        ${shown.length === 0 && html`<p class="empty-filter">No process matches “${picker.q}”.
            ${' '}<button type="button" class="quiet" onClick=${() => picker.change({ q: null })}>
                Clear the filter</button></p>`}
        ${shown.length > 0 && html`<${View} picker=${picker} processes=${shown} hosts=${hosts} />`}`;
}
