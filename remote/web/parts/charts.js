// charts.js -- CPU and memory of processes over a time, with marks for exits and captures.  range= is in the URL.

import { html, useEffect, useMemo, useRef, useState } from '../html.js';
import { Chart, MARK_SIGNS } from './chart.js';
import { Choice } from './choice.js';
import { ErrorMessage, Loading } from './message.js';
import { useEvery } from './tick.js';
import { get } from '../api.js';
import { bytes, percent } from '../format.js';
import { nameOf } from '../processes.js';
import { POINTS, RANGES, marksOf, merge, refreshAfter } from '../series.js';
import { useUrl } from '../url.js';

const EXITS = 100;
const MIB = 1024 * 1024;
const MARKS = [['exit', 'it ended by itself'], ['restart', 'it was restarted or stopped'], ['capture', 'a capture ran']];
const MEMORY_STEPS = Array.from({ length: 24 }, (_, i) => 2 ** i * MIB);

const ofProcess = (p) => new URLSearchParams({ host: p.host, app: p.app, instance: p.instance });

// A request about one process: series, exits or logs.
export function askAbout(what, p, more, options) {
    const query = ofProcess(p);
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return get(`${what}?${query}`, options);
}

async function fetchOne(p, from_ms, to_ms, options) {
    const [series, { exits }] = await Promise.all([
        askAbout('series', p, { from_ms, to_ms, points: POINTS }, options),
        askAbout('exits', p, { limit: EXITS }, options)]);
    return { series, exits };
}

// { list, from_ms, to_ms, error, asked }: `list` has series and exits for each process, in their order.
function useHistory(processes, range) {
    const [state, setState] = useState({ asked: '', list: null, error: null });
    const control = useRef(null);
    const asked = `${range} ${processes.map((p) => `${p.host}/${p.app}/${p.instance}`).join(' ')}`;
    const ask = async () => {
        control.current?.abort();
        const { signal } = control.current = new AbortController();
        const to_ms = Date.now();
        const from_ms = to_ms - RANGES[range];
        try {
            const list = await Promise.all(processes.map((p) => fetchOne(p, from_ms, to_ms, { signal })));
            setState({ asked, list, from_ms, to_ms, error: null });
        } catch (error) {
            if (!signal.aborted) setState((old) => ({ ...old, error }));
        }
    };
    useEffect(() => {
        ask();
        return () => control.current.abort();
    }, [asked]);
    useEvery(refreshAfter(range), ask);
    return state.asked === asked ? state : { ...state, list: null };
}

function Both({ processes, captures, history }) {
    const { list, from_ms, to_ms } = history;
    const hosts = new Set(processes.map((p) => p.host)).size;
    const labels = processes.map((p) => (hosts > 1 ? `${nameOf(p)} on ${p.host_name}` : nameOf(p)));
    const [cpu, memory] = useMemo(() => [1, 2].map((column) => merge(list.map((x) => x.series), column)), [list]);
    const marks = useMemo(() => marksOf(
        list.flatMap((x, i) => x.exits.map((e) => ({ ...e, name: labels[i] }))), captures, from_ms), [list, captures]);
    const common = { labels, marks, from_ms, to_ms };
    return html`${marks.length > 0 && html`<p class="hint chart-marks">In the charts:
            ${MARKS.filter(([kind]) => marks.some((m) => m.kind === kind)).map(([kind, text]) => html`<span key=${kind}>
                <b class=${`mark-${kind}`} aria-hidden="true">${MARK_SIGNS[kind]}</b> ${text}</span>`)}</p>`}
        <div class="charts">
        <${Chart} ...${common} title="CPU" data=${cpu} format=${percent} least=${5} />
        <${Chart} ...${common} title="Memory" data=${memory} format=${bytes} least=${16 * MIB} steps=${MEMORY_STEPS} />
    </div>`;
}

// processes: whose lines are drawn; captures: those to be marked.
export function Charts({ processes, captures }) {
    const { params, set } = useUrl();
    const range = Object.hasOwn(RANGES, params.range) ? params.range : '1h';
    const history = useHistory(processes, range);
    const choices = Object.fromEntries(Object.keys(RANGES).map((r) => [r, r]));
    return html`<section aria-label="CPU and memory">
        <div class="section-head"><h2>CPU and memory</h2>
            <${Choice} label="Range" name="range" value=${range} choices=${choices}
                onChange=${(r) => set({ range: r }, { replace: true })} /></div>
        <${ErrorMessage} error=${history.error} what="The history" />
        ${!history.list && !history.error && html`<${Loading} what="Asking for the history" />`}
        ${history.list && html`<${Both} processes=${processes} captures=${captures} history=${history} />`}
    </section>`;
}
