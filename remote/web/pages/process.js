// process.js -- one process: what it is, what can be captured and why not, its charts, exits, log and captures.

import { html, useEffect, useState } from '../html.js';
import { may } from '../api.js';
import { ago, bytes, count, duration, percent, time } from '../format.js';
import { useLive } from '../live.js';
import { Charts, askAbout } from '../parts/charts.js';
import { styles as chartStyles } from '../parts/chart.js';
import { LogTail } from '../parts/log-tail.js';
import { Empty, ErrorMessage, Loading, Note } from '../parts/message.js';
import { OwnCaptures, useCapturesOf } from '../parts/own-captures.js';
import { useCalm } from '../parts/steady.js';
import { Table } from '../parts/table.js';
import { KIND_NAMES, joinPick, keyOf, nameOf, whyNot } from '../processes.js';
import { exitText } from '../series.js';
import { go, href } from '../url.js';

export const styles = ['/parts/picker.css', '/parts/capture-row.css', ...chartStyles];

const EXITS = 50;

// ---- head ----------------------------------------------------------------------------------------------------------

function ProfileButtons({ process }) {
    if (!may('operator')) return null;
    const to = (kind) => () => go(href(['capture'], { kind, pick: joinPick([keyOf(process)]) }));
    return html`${Object.keys(KIND_NAMES).map((kind) => html`<button type="button" key=${kind} class=${kind === 'cpu'
        ? 'primary' : ''} disabled=${Boolean(whyNot(process, kind))} onClick=${to(kind)}>
        Profile ${kind === 'cpu' ? 'CPU' : 'heap'}</button>`)}`;
}

function Kinds({ process }) {
    return html`<ul class="kinds">${Object.entries(KIND_NAMES).map(([kind, name]) => {
        const why = whyNot(process, kind);
        return html`<li key=${kind}><span aria-hidden="true">${why ? '⊘' : '✓'}</span> ${name}: ${why || 'works'}</li>`;
    })}</ul>`;
}

function Facts({ process: p }) {
    const facts = [
        ['Status', p.stale ? `${p.status}, as the host last said ${ago(p.at_ms)}` : p.status],
        ['Host', p.host_name],
        ['App', html`<a href=${href(['app', p.app])}>${p.app}</a>`],
        ['Pid', p.pid || '–'],
        ['Node', p.node_version || 'not Node'],
        ['Up for', p.pid ? duration(p.uptime_ms) : '–'],
        ['Restarts', count(p.restarts)],
        ['CPU', percent(p.cpu)],
        ['Memory', bytes(p.memory)],
        ['Last exit', p.exit ? `${exitText(p.exit)}, ${ago(p.exit.at_ms)}` : 'none known'],
        ['Captures', html`<${Kinds} process=${p} />`],
    ];
    return html`<dl class="facts">
        ${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
    </dl>`;
}

// ---- exits ---------------------------------------------------------------------------------------------------------

const EXIT_COLUMNS = [
    { id: 'at', label: 'When', head: true, cell: (e) => html`<span title=${ago(e.at_ms)}>${time(e.at_ms)}</span>` },
    { id: 'how', label: 'How', wide: true, cell: (e) => html`${exitText(e)}${e.core ? ', core dumped' : ''}
        ${e.asked && html`<small class="cramped"> asked for</small>`}` },
    { id: 'asked', label: 'Asked for', narrow: true, cell: (e) => (e.asked ? 'yes' : 'no') },
    { id: 'up', label: 'Was up for', number: true, cell: (e) => duration(e.uptime_ms) },
];

function Exits({ process }) {
    const [state, setState] = useState({ exits: null, error: null });
    const last = process.exit?.at_ms;
    useEffect(() => {
        const control = new AbortController();
        askAbout('exits', process, { limit: EXITS }, { signal: control.signal }).then(
            ({ exits }) => setState({ exits, error: null }),
            (error) => control.signal.aborted || setState({ exits: null, error }));
        return () => control.abort();
    }, [process.host, process.app, process.instance, last, process.restarts]);
    const { exits, error } = state;
    return html`<section aria-label="Exits"><h2>Exits</h2>
        <${ErrorMessage} error=${error} what="The exits" />
        ${exits?.length === 0 && html`<p class="hint">None since its host is linked.</p>`}
        ${exits?.length > 0 && html`<${Table} label="Exits" columns=${EXIT_COLUMNS} rows=${exits}
            keyOf=${(e) => `${e.at_ms} ${e.uptime_ms}`} />`}
    </section>`;
}

// ---- the page ------------------------------------------------------------------------------------------------------

function Body({ process }) {
    const { host, app, instance } = process;
    const [captures, error] = useCapturesOf({ app, host, instance });
    return html`<${Facts} process=${process} />
        <${Charts} processes=${[process]} captures=${captures} />
        <${OwnCaptures} captures=${captures} error=${error} more=${{ app, host }} />
        <${LogTail} process=${process} />
        <${Exits} process=${process} />`;
}

function Stale({ process, host }) {
    return html`<${Note} kind="warning"><p>The host ${process.host_name} is not connected${host?.since_ms
        ? ` since ${time(host.since_ms)}` : ''}. What it last said stands here.</p><//>`;
}

export default function Process({ path }) {
    const [, host, app, instance] = path;
    const key = `${host}/${app}/${instance}`;
    const process = useLive((s) => s.processes.get(key));
    const hosts = useLive((s) => s.hosts);
    const loaded = useLive((s) => s.loaded);
    const home = hosts.get(host);
    const [stale, handlers] = useCalm(Boolean(process?.stale));
    const name = `${app}-${instance}`;
    if (!process && !loaded) return html`<h1 tabindex="-1">${name}</h1><${Loading} />`;
    if (!process) {
        return html`<h1 tabindex="-1">${name}</h1><${Empty} title="This process is not there any more">
            <p>Its host does not tell of it. <a href=${href(['app', app])}>The app ${app}</a> ·
                ${' '}<a href=${href(['captures'], { app, host })}>Its captures</a></p><//>`;
    }
    return html`<div class="page-head"><h1 tabindex="-1">${nameOf(process)} <small>on ${process.host_name}</small></h1>
            <${ProfileButtons} process=${process} /></div>
        ${stale && html`<${Stale} process=${process} host=${home} />`}
        <div ...${handlers}><${Body} process=${process} /></div>`;
}
