// Numbers over time: several processes on one axis, marks, and the same as a sentence.  Pure.
// A series is { step_ms, points: [[at_ms, cpu, memory], …] }; null is a gap.

export const RANGES = { '15min': 900e3, '1h': 3600e3, '6h': 6 * 3600e3, '24h': 24 * 3600e3, '7d': 7 * 24 * 3600e3 };

export const POINTS = 300;

// How often a chart is fetched anew: when there can be a new point, but not more than every 5 s.
export const refreshAfter = (range) => Math.max(5000, Math.min(RANGES[range] / POINTS, 60000));

// → what uPlot takes: [[seconds, …], [values of the first], [values of the second], …].  column: 1 cpu, 2 memory.
// Points of several processes are at different moments; those in one step share a place.
export function merge(list, column) {
    const step = Math.max(...list.map((s) => s.step_ms || 1), 1);
    const slots = list.map((s) => new Map(s.points.map((p) => [Math.round(p[0] / step) * step, p[column]])));
    const times = [...new Set(slots.flatMap((m) => [...m.keys()]))].sort((a, b) => a - b);
    return [times.map((t) => t / 1000), ...slots.map((m) => times.map((t) => m.get(t) ?? null))];
}

// → { now, min, max, max_at } of one column of values, null when there is none.  `now` is the last one that is known.
export function summary(times, values) {
    let found = null;
    values.forEach((value, i) => {
        if (value === null || value === undefined) return;
        found = found || { now: value, min: value, max: value, max_at: times[i] * 1000 };
        if (value > found.max) Object.assign(found, { max: value, max_at: times[i] * 1000 });
        found.min = Math.min(found.min, value);
        found.now = value;
    });
    return found;
}

// Numbers of Linux, the same on x86 and ARM; those that end processes.
const SIGNALS = {
    1: 'SIGHUP', 2: 'SIGINT', 3: 'SIGQUIT', 4: 'SIGILL', 5: 'SIGTRAP', 6: 'SIGABRT', 7: 'SIGBUS', 8: 'SIGFPE',
    9: 'SIGKILL', 10: 'SIGUSR1', 11: 'SIGSEGV', 12: 'SIGUSR2', 13: 'SIGPIPE', 14: 'SIGALRM', 15: 'SIGTERM',
    24: 'SIGXCPU', 25: 'SIGXFSZ', 31: 'SIGSYS',
};

export function exitText({ code, signal }) {
    return signal ? `ended by ${SIGNALS[signal] || `signal ${signal}`}` : `ended with code ${code}`;
}

// What happened, as marks: [{ at_ms, until_ms, kind: exit|restart|capture, text }].
export function marksOf(exits, captures, from_ms) {
    const ends = exits.map((e) => ({
        at_ms: e.at_ms, until_ms: e.at_ms, kind: e.asked ? 'restart' : 'exit',
        text: `${e.name ? `${e.name} ` : ''}${exitText(e)}${e.asked ? ' (asked for)' : ''}`,
    }));
    const runs = captures.filter((c) => began(c)).map((c) => ({
        at_ms: began(c), until_ms: c.ended_ms || Date.now(), kind: 'capture',
        text: `${c.kind} capture of ${c.app}-${c.instance}: ${c.state}`,
    }));
    return [...ends, ...runs].filter((m) => m.until_ms >= from_ms).sort((a, b) => a.at_ms - b.at_ms);
}

function began(capture) {
    const first = (capture.phases || [])[0];
    return first ? first.at_ms : capture.sent_ms;
}

// Terminal escapes (colours, cursor) and other control characters out of a log, also those that turn the direction of
// what follows; of a line that was written over (a bar of progress) its last state.
export function plainText(text) {
    return text.replace(/\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)/g, '')
        .replace(/\r\n/g, '\n').replace(/^[^\n]*\r(?=[^\n])/gm, '')
        .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, '');
}
