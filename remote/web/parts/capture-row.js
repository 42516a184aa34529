// capture-row.js -- one capture, wherever it is shown: its phases, what may be done with it, why it failed.

import { html, useRef, useState } from '../html.js';
import { useFocusKept } from './focus-kept.js';
import { ErrorMessage } from './message.js';
import { adviceFor, reasonText, warningText } from '../advice.js';
import { may, post } from '../api.js';
import { bytes, duration } from '../format.js';
import { learn } from '../live.js';
import {
    hasEnded, isCancellable, isOpenable, isStoppable, phaseLine, standing, timeLeft, timeRun, whereText,
} from '../phases.js';
import { joinPick, keyOf, nameOf } from '../processes.js';
import { href } from '../url.js';

const profileHref = (c) => href(['profile', c.profile]);
export const orderHref = (c) => href(['capture', c.order]);

// The same once more, as a page that is filled in.
export function againHref(captures) {
    const [c] = captures;
    return href(['capture'], {
        kind: c.kind, pick: joinPick(captures.map(keyOf)), seconds: c.duration_ms ? c.duration_ms / 1000 : 'manual',
        interval: c.interval_us || c.interval_bytes,
    });
}

// ---- doing ---------------------------------------------------------------------------------------------------------

// [ask, error, busy]: ask('stop' | 'cancel') for a capture, or for all of an order.  While it is busy it does nothing: a
// button that is disabled would lose the focus.
export function useAsk(id) {
    const [error, setError] = useState(null);
    const [busy, setBusy] = useState(false);
    const ask = (verb) => {
        if (busy) return;
        setBusy(true);
        setError(null);
        // It has ended meanwhile: that is what was wanted, and the news of it is on its way.
        post(`captures/${id}/${verb}`).then(learn, (e) => e.code !== 'NOT_RUNNING' && setError(e))
            .finally(() => setBusy(false));
    };
    return [ask, error, busy];
}

// Buttons of one capture, only those that would not be refused.
export function CaptureActions({ capture, small }) {
    const [ask, error, busy] = useAsk(capture.id);
    const name = html`<span class="visually-hidden"> ${nameOf(capture)}</span>`;
    return html`<span class="capture-actions">
        ${isOpenable(capture) && html`<a class=${small ? '' : 'button primary'} href=${profileHref(capture)}>
            Open profile${name}</a>`}
        ${may('operator') && isStoppable(capture) && capture.phase === 'running' && html`<button type="button"
            class=${small ? 'quiet' : ''} aria-disabled=${busy} onClick=${() => ask('stop')}>Stop${name}</button>`}
        ${may('operator') && isCancellable(capture) && html`<button type="button" class=${small ? 'quiet' : ''}
            aria-disabled=${busy} onClick=${() => ask('cancel')}>Cancel${name}</button>`}
        <${ErrorMessage} error=${error} />
    </span>`;
}

// ---- showing -------------------------------------------------------------------------------------------------------

const SIGNS = { done: '✓', now: '▶', failed: '✗', todo: '' };
const READ = { done: 'done', now: 'now', failed: 'failed here', todo: 'not yet' };

export function PhaseLine({ capture }) {
    return html`<ol class="phases" aria-label=${`Phases of ${nameOf(capture)}`}>
        ${phaseLine(capture).map(({ phase, state }) => html`<li key=${phase} class=${state}
            aria-current=${state === 'now' ? 'step' : undefined}>
            <span aria-hidden="true">${SIGNS[state]}</span> ${phase}
            <span class="visually-hidden">, ${READ[state]}</span>
        </li>`)}
    </ol>`;
}

// When "running" began by this machine's clock, if it was seen here; null otherwise.
export function useBegan(capture) {
    const seen = useRef({ phase: capture.phase, began: null });
    if (seen.current.phase !== capture.phase) {
        const began = capture.phase === 'running' ? Date.now() : seen.current.began;
        seen.current = { phase: capture.phase, began };
    }
    return seen.current.began;
}

// "running, 7 s left"
function clockText(capture, now, began) {
    const left = timeLeft(capture, now, began);
    if (left !== null) return left > 0 ? `, ${duration(Math.ceil(left / 1000) * 1000)} left` : ', about to stop';
    const run = timeRun(capture, now, began);
    return run === null ? '' : ` for ${duration(Math.floor(run / 1000) * 1000)}, until you stop it`;
}

function Progress({ capture, now, began }) {
    const left = timeLeft(capture, now, began);
    if (left === null || capture.stop_wanted || capture.cancel_wanted) return null;
    return html`<progress max=${capture.duration_ms} value=${capture.duration_ms - left}
        aria-label=${`Time of ${nameOf(capture)}`}></progress>`;
}

// Why it failed, in which phase, and what to do next.
export function Failure({ capture }) {
    const { error } = capture;
    if (!hasEnded(capture) || !error) return null;
    return html`<div class="message error">
        <p><b>${whereText(capture)}:</b> ${error.message} <code>${error.name}</code></p>
        <p>${adviceFor(error.name)}</p>
        ${capture.given_up && html`<p class="hint">This is the console’s own verdict, as nothing was heard in time: what
            the host says later replaces it.</p>`}
    </div>`;
}

function Result({ capture: c }) {
    if (!c.profile && c.state !== 'done' && c.state !== 'partial') return null;
    const facts = [
        c.measured_us !== undefined && `${duration(c.measured_us / 1000)} measured`,
        c.bytes !== undefined && bytes(c.bytes),
        c.start_pause_us !== undefined && `the app paused ${duration(c.start_pause_us / 1000)} at the start`,
        reasonText(c.reason),
    ].filter(Boolean);
    return html`<p class="hint">${facts.join(' · ')}</p>`;
}

// Live and whole: for the page of an order.
export function CaptureCard({ capture: c, now }) {
    const began = useBegan(c);
    const box = useFocusKept('.capture-actions :is(a, button)', 'a');
    return html`<li class=${`capture-card ${c.state}`} ref=${box}>
        <div class="capture-title">
            <h2><a href=${href(['process', c.host, c.app, String(c.instance)])}>${nameOf(c)}</a>
                <small> on ${c.host_name}${c.pid ? `, pid ${c.pid}` : ''}</small></h2>
            <${CaptureActions} capture=${c} />
        </div>
        <${PhaseLine} capture=${c} />
        <p class="standing">${standing(c)}${!c.stop_wanted && !c.cancel_wanted ? clockText(c, now, began) : ''}</p>
        <${Progress} capture=${c} now=${now} began=${began} />
        <${Result} capture=${c} />
        <${Failure} capture=${c} />
        ${c.warnings.map((w) => html`<p key=${w} class="message warning">${warningText(w)}</p>`)}
    </li>`;
}
