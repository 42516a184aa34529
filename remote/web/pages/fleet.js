// fleet.js -- everything that runs: tiles or a table, choose some, capture them.

import { html, useState } from '../html.js';
import { may, post } from '../api.js';
import { ago, count, time } from '../format.js';
import { useLive } from '../live.js';
import { CopyText } from '../parts/copy.js';
import { useFocusKept } from '../parts/focus-kept.js';
import { Empty, ErrorMessage, Loading, Note } from '../parts/message.js';
import { Picker, processHref, usePicker } from '../parts/picker.js';
import { useCalm } from '../parts/steady.js';
import { joinPick, nameOf, parseKey, toggled } from '../processes.js';
import { go, href } from '../url.js';

export const styles = ['/parts/picker.css'];

const NAMED = 8; // chosen processes that the bar names
const MOST = 100; // LIMIT_CAPTURE_TARGETS: the console takes no more in one order

// ---- the bar -------------------------------------------------------------------------------------------------------

function Chosen({ id, process, remove }) {
    const { app, instance } = parseKey(id);
    const p = process || { ...parseKey(id), host_name: '' };
    const name = nameOf({ app, instance });
    return html`<li><a href=${processHref(p)} title=${p.host_name}>${name}</a>
        <button type="button" class="quiet" aria-label=${`Leave out ${name}`} onClick=${remove}>×</button></li>`;
}

function Bar({ processes }) {
    const { picked, kind, change } = usePicker();
    const box = useFocusKept('li button', 'button');
    if (picked.size === 0) return null;
    const keys = [...picked];
    const pick = (next) => change({ pick: joinPick(next) });
    return html`<section class="pick-bar" aria-label="Chosen processes" ref=${box}>
        <p role="status"><b>${count(keys.length)}</b> chosen</p>
        <ul>
            ${keys.slice(0, NAMED).map((k) => html`<${Chosen} key=${k} id=${k} process=${processes.get(k)}
                remove=${() => pick(toggled(picked, k))} />`)}
            ${keys.length > NAMED && html`<li>and ${count(keys.length - NAMED)} more</li>`}
        </ul>
        <button type="button" onClick=${() => pick([])}>Clear</button>
        ${may('operator') ? html`<button type="button" class="primary" disabled=${keys.length > MOST}
            onClick=${() => go(href(['capture'], { kind, pick: joinPick(keys) }))}>Capture…</button>`
        : html`<span class="hint">Captures need the role “operator”.</span>`}
        ${keys.length > MOST && html`<p class="hint">One capture takes ${count(MOST)} processes at most.</p>`}
    </section>`;
}

// ---- nothing there -------------------------------------------------------------------------------------------------

// Makes the string with which a host is linked: shown once, never stored.
function LinkString() {
    const [made, setMade] = useState(null);
    const [error, setError] = useState(null);
    const make = () => post('enrolments', {}).then(setMade, setError);
    if (!made) {
        return html`<${ErrorMessage} error=${error} what="No string was made" />
            <p><button type="button" class="primary" onClick=${make}>Make a link string</button></p>`;
    }
    return html`<p>Good for one host, until ${time(made.expires_ms)}. It is shown this once:</p>
        <${CopyText} label="The link string" text=${made.token} />`;
}

export function LinkFirst() {
    return html`<${Empty} title="No host is linked yet">
        <p>A host shows its processes here once it is linked. Three steps:</p>
        <ol>
            <li>On the host, start an app: <code>proctor start app.js --name api</code></li>
            <li>${may('admin') ? 'Here, make a string that links one host:'
                : html`Ask an admin of this console for a link string (here: Admin → Hosts, or
                    ${' '}<code>proctor-console token create enrol</code>).`}
                ${may('admin') && html`<${LinkString} />`}</li>
            <li>On the host, as the user that runs the apps:
                <${CopyText} label="The command" text="proctor link -" />
                Paste the string and press Enter. The host shows up here within seconds.</li>
        </ol>
    <//>`;
}

function StartFirst({ hosts }) {
    const who = hosts.length === 1 ? `The host ${hosts[0].name} is` : `${count(hosts.length)} hosts are`;
    return html`<${Empty} title=${`${who} linked, but no app runs there`}>
        <p>On the host, start one (as the user that linked it):</p>
        <${CopyText} label="The command" text="proctor start app.js --name api" />
        <p>Or all of a file: <code>proctor start ecosystem.json</code></p>
    <//>`;
}

// ---- hosts that are not there --------------------------------------------------------------------------------------

function Absent({ hosts: absent }) {
    if (absent.length === 0) return null;
    const [first] = absent;
    const since = (h) => (h.since_ms ? `${time(h.since_ms)} (${ago(h.since_ms)})` : 'the console was started');
    return html`<${Note} kind="warning">
        ${absent.length === 1 ? html`<p>The host <b>${first.name}</b> is not connected since ${since(first)}.
            What it last said stands here, marked “?”.</p>`
        : html`<details><summary>${count(absent.length)} hosts are not connected. What they last said stands here,
            marked “?”.</summary>
            <ul>${absent.map((h) => html`<li key=${h.id}>${h.name} since ${since(h)}</li>`)}</ul></details>`}
    <//>`;
}

// ---- the page ------------------------------------------------------------------------------------------------------

export default function Fleet() {
    const processes = useLive((s) => s.processes);
    const all = useLive((s) => s.hosts);
    const loaded = useLive((s) => s.loaded);
    const hosts = [...all.values()].filter((h) => !h.revoked);
    const [absent, handlers] = useCalm(hosts.filter((h) => !h.connected));
    return html`<h1 tabindex="-1">Fleet</h1>
        ${!loaded && html`<${Loading} what="Asking the console" />`}
        ${loaded && hosts.length === 0 && html`<${LinkFirst} />`}
        ${loaded && hosts.length > 0 && html`<${Absent} hosts=${absent} />`}
        ${loaded && hosts.length > 0 && processes.size === 0 && html`<${StartFirst} hosts=${hosts} />`}
        ${processes.size > 0 && html`<div ...${handlers}><${Picker} processes=${processes} hosts=${all} /></div>
            <${Bar} processes=${processes} />`}`;
}

