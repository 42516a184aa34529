// app.js -- one app over all hosts: its instances, their CPU and memory in one chart, its captures.

import { html } from '../html.js';
import { may } from '../api.js';
import { count } from '../format.js';
import { useLive } from '../live.js';
import { Charts } from '../parts/charts.js';
import { styles as chartStyles } from '../parts/chart.js';
import { Empty, Loading } from '../parts/message.js';
import { OwnCaptures, useCapturesOf } from '../parts/own-captures.js';
import { COLUMNS, asGone } from '../parts/picker.js';
import { Table } from '../parts/table.js';
import { byName, isOnline, joinPick, keyOf, whyNot } from '../processes.js';
import { go, href, useUrl } from '../url.js';

export const styles = ['/parts/picker.css', '/parts/capture-row.css', ...chartStyles];

const MOST_LINES = 12; // more lines nobody tells apart

function ProfileAll({ processes, kind, text }) {
    const able = processes.filter((p) => !whyNot(p, kind) && !p.stale);
    return html`<button type="button" disabled=${able.length === 0}
        onClick=${() => go(href(['capture'], { kind, pick: joinPick(able.map(keyOf)) }))}>${text}</button>`;
}

function Head({ name, processes }) {
    const online = processes.filter((p) => isOnline(p) && !p.stale).length;
    const hosts = new Set(processes.map((p) => p.host)).size;
    return html`<div class="page-head"><h1 tabindex="-1">${name}</h1>
        <p class="hint">${count(online)} of ${count(processes.length)} online, on
            ${' '}${count(hosts)} ${hosts === 1 ? 'host' : 'hosts'}</p>
        ${may('operator') && html`<${ProfileAll} processes=${processes} kind="cpu" text="Profile CPU…" />
            <${ProfileAll} processes=${processes} kind="heap" text="Profile heap…" />`}
    </div>`;
}

function Body({ name, processes }) {
    const { params, set } = useUrl();
    const [captures, error] = useCapturesOf({ app: name });
    const drawn = processes.slice(0, MOST_LINES);
    return html`
        <section aria-label="Instances"><h2>Instances</h2>
            <${Table} label="Instances" columns=${COLUMNS} rows=${processes} keyOf=${keyOf} gone=${asGone}
                sort=${params.sort || 'name'} onSort=${(sort) => set({ sort }, { replace: true })} /></section>
        ${drawn.length < processes.length && html`<p class="hint">The charts show the first ${MOST_LINES} of
            ${' '}${count(processes.length)} instances; each has its own page.</p>`}
        <${Charts} processes=${drawn} captures=${captures} />
        <${OwnCaptures} captures=${captures} error=${error} more=${{ app: name }} />`;
}

export default function App({ path }) {
    const name = path[1];
    const all = useLive((s) => s.processes);
    const loaded = useLive((s) => s.loaded);
    const processes = [...all.values()].filter((p) => p.app === name).sort(byName);
    if (!loaded && processes.length === 0) return html`<h1 tabindex="-1">${name}</h1><${Loading} />`;
    return html`<${Head} name=${name} processes=${processes} />
        ${processes.length === 0 && html`<${Empty} title="No linked host runs this app">
            <p>It may have been deleted there, or have another name now. <a href=${href(['fleet'])}>What runs</a> ·
                ${' '}<a href=${href(['captures'], { app: name })}>Its captures</a></p><//>`}
        ${processes.length > 0 && html`<${Body} name=${name} processes=${processes} />`}`;
}
