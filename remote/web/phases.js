// What a capture does, for people: its phases, the time that is left, its state.  Pure; CAPTURE is that of the API.

export const PHASES = ['open', 'start', 'running', 'stopping', 'sending', 'stored'];

const ENDS = new Set(['done', 'partial', 'failed', 'cancelled', 'expired']);

export const hasEnded = (capture) => ENDS.has(capture.state);

export const isStoppable = (capture) => !hasEnded(capture) && !capture.stop_wanted && !capture.cancel_wanted;

export const isCancellable = (capture) => !hasEnded(capture) && !capture.cancel_wanted;

// A result can be opened: the profile is here.
export const isOpenable = (capture) => Boolean(capture.profile);

// A result was here, or on its host, and is no more.
export const isRemoved = (capture) => !capture.profile && capture.warnings.includes('result_removed');

// The same capture after its result was removed here.
export function withoutResult(capture) {
    if (isRemoved(capture)) return capture;
    const warnings = capture.warnings.filter((name) => name !== 'result_removed');
    return { ...capture, profile: null, warnings: [...warnings, 'result_removed'] };
}

// → [{ phase, state }] with state done, now, failed or todo.
export function phaseLine(capture) {
    const at = PHASES.indexOf(capture.phase);
    return PHASES.map((phase, i) => ({ phase, state: phaseState(capture, i, at) }));
}

function phaseState(capture, i, at) {
    if (capture.profile) return 'done';
    const broke = capture.state === 'failed' || capture.state === 'expired';
    // Failed before its first phase: it broke on the way to it.
    if (broke && i === Math.max(at, 0)) return 'failed';
    if (i < at) return 'done';
    if (i === at) return hasEnded(capture) && capture.phase === 'stored' ? 'done' : lastState(capture);
    return 'todo';
}

const lastState = (capture) => (hasEnded(capture) ? 'todo' : 'now');

export function phaseAt(capture, phase) {
    const entry = capture.phases.findLast((p) => p.phase === phase);
    return entry ? entry.at_ms : null;
}

// How long it still runs; null: not running, or until it is stopped.  `began_ms`: when it began by this machine's clock
// (null: the host's clock must do, which may be off, so that the answer stays within the duration).
export function timeLeft(capture, now_ms, began_ms = null) {
    if (capture.phase !== 'running' || hasEnded(capture) || !capture.duration_ms) return null;
    const began = began_ms ?? phaseAt(capture, 'running') ?? now_ms;
    return Math.min(Math.max(began + capture.duration_ms - now_ms, 0), capture.duration_ms);
}

export function timeRun(capture, now_ms, began_ms = null) {
    if (capture.phase !== 'running' || hasEnded(capture)) return null;
    return Math.max(now_ms - (began_ms ?? phaseAt(capture, 'running') ?? now_ms), 0);
}

const WORDS = {
    open: 'opening the inspector',
    start: 'starting the profiler (the app pauses for this moment)',
    running: 'running',
    stopping: 'stopping',
    sending: 'sending the result',
    stored: 'stored on the host, coming here',
};

// One sentence about where it stands, without numbers that change each second (it is read aloud).
export function standing(capture) {
    if (capture.profile && capture.state === 'partial') return 'partly done';
    if (capture.profile) return 'done';
    if (capture.cancel_wanted && !hasEnded(capture)) return 'cancelling';
    if (capture.stop_wanted && !hasEnded(capture) && capture.phase === 'running') return 'stopping';
    if (!hasEnded(capture)) return WORDS[capture.phase] || capture.waiting || 'waiting for its host';
    if (capture.state === 'done' || capture.state === 'partial')
        return capture.waiting || (capture.state === 'done' ? 'done' : 'partly done');
    return capture.state;
}

// "failed in phase “running”" of one that has ended.
export function whereText({ state, phase }) {
    return `${state} ${phase ? `in phase “${phase}”` : 'before it began'}`;
}

// Of two views of one capture the later one: an answer that was under way may be older than what came live.
export function later(a, b) {
    return progress(b) >= progress(a) ? b : a;
}

function progress(capture) {
    // A result that was removed does not come back.
    const removed = isRemoved(capture) ? 400 : 0;
    const flags = (capture.stop_wanted ? 1 : 0) + (capture.cancel_wanted ? 1 : 0);
    const ended = hasEnded(capture) && !capture.given_up ? 100 : 0;
    return removed + (capture.profile ? 200 : 0) + ended + capture.phases.length * 4 + (capture.sent_ms ? 1 : 0) + flags;
}

// Newest first, and by name within one moment.
export function newestFirst(a, b) {
    return b.created_ms - a.created_ms || (a.app < b.app ? -1 : Number(a.app > b.app)) || a.instance - b.instance
        || (a.id < b.id ? -1 : 1);
}

// The known captures with later views of them put in, and those new ones that belong here.
export function mergeCaptures(known, others, belongs) {
    const all = new Map(known.map((c) => [c.id, c]));
    for (const c of others) {
        if (all.has(c.id))
            all.set(c.id, later(all.get(c.id), c));
        else if (belongs(c))
            all.set(c.id, c);
    }
    return [...all.values()].sort(newestFirst);
}
