// profile-head.js -- what a profile is of, how it came about, and what can be done with it.

import { html, useState } from '../html.js';
import { reasonText, warningText } from '../advice.js';
import { del, may, post } from '../api.js';
import { ago, bytes, count, duration, time } from '../format.js';
import { learn } from '../live.js';
import { nameOf } from '../processes.js';
import { go, href } from '../url.js';
import { againHref } from './capture-row.js';
import { Confirm } from './dialog.js';
import { ErrorMessage, Note } from './message.js';

const KINDS = { cpu: 'CPU profile', heap: 'Heap profile' };
const FEW = 500;   // samples: with less of them shares are a matter of chance

export const titleOf = (profile) => `${KINDS[profile.kind] ?? `Profile (${profile.kind})`} of ${nameOf(profile)}`;

// Of all that was sampled.  Never 100 % when something ran.
export const idleText = (top) => `${(Math.floor((1000 * top.idle) / top.all) / 10).toFixed(1)} %`;

// ---- facts ---------------------------------------------------------------------------------------

// What is not known is left out.
function factsOf(profile, capture, top) {
    const long = capture?.measured_us ?? top?.duration_us;
    return [
        ['App', html`<a href=${href(['process', profile.host, profile.app, profile.instance])}>${nameOf(profile)}</a>`],
        ['Host', profile.host_name],
        ['When', html`${time(profile.created_ms)} <span class="hint">(${ago(profile.created_ms)})</span>`],
        long > 0 && ['How long', duration(long / 1000)],
        capture?.node_version && ['Node.js', capture.node_version],
        top?.samples > 0 && ['Samples', count(top.samples)],
        intervalOf(capture),
        top && profile.kind === 'cpu' && top.all > 0 && ['Idle', idleText(top)],
        top && profile.kind === 'heap' && ['Allocated and alive', bytes(top.all)],
        capture?.start_pause_us > 0 && ['Pause at start', `${(capture.start_pause_us / 1000).toFixed(1)} ms`],
        capture?.requester && ['Asked by', html`<span class="brief" title=${capture.requester}>${capture.requester}</span>`],
        ['Size', bytes(profile.bytes)],
    ].filter(Boolean);
}

function intervalOf(capture) {
    if (capture?.interval_us) return ['Interval', `${capture.interval_us / 1000} ms`];
    if (capture?.interval_bytes) return ['Interval', bytes(capture.interval_bytes)];
    return null;
}

function Facts({ facts }) {
    return html`<dl class="profile-facts">
        ${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
    </dl>`;
}

// ---- notes ---------------------------------------------------------------------------------------

function Notes({ capture, top }) {
    const partial = capture?.state === 'partial', warnings = capture?.warnings ?? [];
    const few = top && top.samples > 0 && top.samples < FEW;
    return html`
        ${partial && html`<${Note} kind="warning">
            <p>This profile is partial: ${reasonText(capture.reason) || 'it ended early'}.</p><//>`}
        ${warnings.map((name) => html`<${Note} key=${name} kind="warning"><p>${warningText(name)}</p><//>`)}
        ${few && html`<p class="hint">Only ${count(top.samples)} samples: small shares are a matter of chance. A longer
            capture tells more.</p>`}`;
}

// ---- what can be done ----------------------------------------------------------------------------

function Keep({ profile, onChanged, onError }) {
    const [busy, setBusy] = useState(false);
    const change = async () => {
        setBusy(true);
        try {
            learn(await post(`profiles/${profile.id}/keep`, { keep: !profile.keep }));
            onError(null);
            onChanged();
        } catch (e) {
            onError(e);
        }
        setBusy(false);
    };
    return html`<button type="button" aria-pressed=${String(profile.keep)} disabled=${busy} onClick=${change}
        title="What is kept is left alone when old profiles are removed">${profile.keep ? 'Kept' : 'Keep'}</button>`;
}

function Delete({ profile }) {
    const [asks, setAsks] = useState(false);
    const run = async () => {
        await del(`profiles/${profile.id}`);
        go(href(['captures']));
    };
    return html`<button type="button" onClick=${() => setAsks(true)}>Delete…</button>
        ${asks && html`<${Confirm} title="Delete this profile?" action="Delete" what="It was not deleted" run=${run}
            onClose=${() => setAsks(false)}>
            <p>${titleOf(profile)}, ${time(profile.created_ms)}, ${bytes(profile.bytes)}. Its bytes cannot be brought
                back.</p>
        <//>`}`;
}

function Downloads({ profile }) {
    const path = `/api/v1/profiles/${profile.id}`;
    const stem = profile.file.replace(/\.[^.]*$/, '');
    return html`<span class="downloads">Download
        <a href=${`${path}/raw`} download=${profile.file}>.${profile.kind}profile</a>
        <a href=${`${path}/top`} download=${`${stem}.top.json`}>table (JSON)</a>
        <a href=${`${path}/tree`} download=${`${stem}.tree.json`}>tree (JSON)</a>
    </span>`;
}

function Actions({ profile, capture, onChanged }) {
    const [error, setError] = useState(null);
    return html`<div class="profile-actions">
        ${!profile.removed && html`<${Downloads} profile=${profile} />`}
        ${may('operator') && capture && html`<a class="button" href=${againHref([capture])}>Capture again</a>`}
        ${may('operator') && !profile.removed && html`
            <${Keep} profile=${profile} onChanged=${onChanged} onError=${setError} />
            <${Delete} profile=${profile} />`}
    </div>
    <${ErrorMessage} error=${error} what="It was not changed" />`;
}

// `capture`, `top`: null while they are not known.  onChanged(): the profile was changed (live.js knows the newest ones
// only).
export function ProfileHead({ profile, capture, top, onChanged }) {
    return html`<div class="profile-head">
        <${Facts} facts=${factsOf(profile, capture, top)} />
        <${Actions} profile=${profile} capture=${capture} onChanged=${onChanged} />
        <${Notes} capture=${capture} top=${top} />
    </div>`;
}
