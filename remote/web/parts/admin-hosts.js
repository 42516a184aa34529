// admin-hosts.js -- hosts: which there are, link another one, take one out.

import { html, useMemo, useState } from '../html.js';
import { post } from '../api.js';
import { learn, useLive } from '../live.js';
import { set } from '../url.js';
import { count, time } from '../format.js';
import { CopyText } from './copy.js';
import { Confirm, Dialog } from './dialog.js';
import { Empty, ErrorMessage, Loading, Note } from './message.js';
import { Table } from './table.js';

const NO_HOSTS = new Map();

// The string goes in by the standard input: what stands in a command stays in the history of the shell.
function LinkHost({ onClose }) {
    const [state, setState] = useState({ busy: false, error: null, made: null });
    const before = useMemo(() => Date.now(), []);
    const hosts = useLive((s) => s.hosts) ?? NO_HOSTS;
    const come = [...hosts.values()].filter((h) => h.enrolled_ms >= before);
    const make = async () => {
        setState({ busy: true, error: null, made: null });
        try {
            setState({ made: await post('enrolments', {}) });
        } catch (error) {
            setState({ error });
        }
    };
    const { busy, error, made } = state;
    return html`<${Dialog} title="Link a host" onClose=${onClose}>
        <ol class="steps">
            <li><p>Make a string. It links one host, once, within an hour.</p>
                ${!made && html`<button type="button" class="primary" data-focus disabled=${busy} onClick=${make}>
                    Make the string</button>`}
                <${ErrorMessage} error=${error} what="There is no string" />
                ${made && html`<${CopyText} label="The string" text=${made.token} />
                    <p class="muted">Good until ${time(made.expires_ms)}, shown only this once.</p>`}</li>
            <li><p>On that host, as the user whose apps it runs, start this:</p>
                <${CopyText} label="The command" text="proctor link -" /></li>
            <li><p>It waits for the string: paste it and press Enter. The host appears here by itself.</p></li>
        </ol>
        <div role="status">${come.map((h) => html`<${Note} key=${h.id} kind="good">
            <p>The host ${h.name} is linked.</p><//>`)}</div>
        <div class="buttons"><button type="button" onClick=${onClose}>Close</button></div>
    <//>`;
}

function state(host) {
    if (host.revoked) return html`<span class="badge bad">revoked</span>`;
    return host.connected
        ? html`<span class="badge good">connected</span>` : html`<span class="badge warn">not connected</span>`;
}

const stateWord = (host) => (host.revoked ? 'revoked' : host.connected ? 'connected' : 'not connected');

const makeColumns = (revoke) => [
    { id: 'name', label: 'Name', head: true, wide: true, value: (h) => h.name, cell: (h) => h.name },
    { id: 'state', label: 'State', value: stateWord, cell: state },
    { id: 'since', label: 'Since', spare: true, down: true, value: (h) => h.since_ms, cell: (h) => time(h.since_ms) },
    {
        id: 'processes', label: 'Processes', number: true, narrow: true, down: true, value: (h) => h.processes,
        cell: (h) => count(h.processes),
    },
    { id: 'release', label: 'Release', spare: true, value: (h) => h.release, cell: (h) => h.release || '–' },
    {
        id: 'until', label: 'Certificate until', spare: true, value: (h) => h.certificate_until_ms,
        cell: (h) => time(h.certificate_until_ms),
    },
    {
        id: 'actions', label: 'Actions', cell: (h) => !h.revoked && html`<button type="button" class="danger"
            aria-label=${`Revoke – ${h.name}`} onClick=${() => revoke(h)}>Revoke</button>`,
    },
];

export function HostsTab({ params }) {
    const hosts = useLive((s) => s.hosts);
    const loaded = useLive((s) => s.loaded);
    const [linking, setLinking] = useState(false);
    const [revoking, revoke] = useState(null);
    const columns = useMemo(() => makeColumns(revoke), []);
    const run = async () => learn(await post(`hosts/${revoking.id}/revoke`));
    const rows = [...hosts.values()];
    return html`
        <div class="toolbar">
            <button type="button" class="primary" onClick=${() => setLinking(true)}>Link a host</button>
        </div>
        ${!loaded && html`<${Loading} />`}
        ${loaded && rows.length === 0 && html`<${Empty} title="No host is linked">
            <p>A host on which proctor runs apps is linked with one command; then its processes can be seen and captured
            here.</p><//>`}
        ${rows.length > 0 && html`<${Table} label="Hosts" columns=${columns} rows=${rows} keyOf=${(h) => h.id}
            sort=${params.sort ?? 'name'} onSort=${(sort) => set({ sort }, { replace: true })} />`}
        ${linking && html`<${LinkHost} onClose=${() => setLinking(false)} />`}
        ${revoking && html`<${Confirm} title=${`Revoke ${revoking.name}?`} action="Revoke"
            run=${run} onClose=${() => revoke(null)}>
            <p>Its certificate is accepted no more and its connection is cut. Apps there go on; captures from here do
            not reach it. To come back it must be linked again.</p><//>`}`;
}
