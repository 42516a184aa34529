// chart.js -- numbers over time, drawn by uPlot (loaded when the first chart is shown), and the same as text.

import { html, useEffect, useRef, useState } from '../html.js';
import { time } from '../format.js';
import { summary } from '../series.js';

export const styles = ['/vendor/uplot.css', '/parts/chart.css'];

const HEIGHT = 200;
const AXIS_WIDTH = 72;
const COLOURS = 8; // --line-0 … --line-7 of chart.css
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]]; // so that colour is not the only sign
const NAMED_MARKS = 50;
export const MARK_SIGNS = { exit: '│', restart: '┆', capture: '▒' }; // as drawMarks() draws them

// ---- uPlot ---------------------------------------------------------------------------------------------------------

let library = null;

function loadLibrary() {
    library = library || import('../vendor/uplot.mjs').catch((e) => {
        library = null;
        throw e;
    });
    return library;
}

const colour = (style, name) => style.getPropertyValue(name).trim() || 'gray';

// `get()` gives { marks, from_ms, to_ms } of the present.
function drawMarks(style, get) {
    const colours = {
        exit: colour(style, '--mark-exit'), restart: colour(style, '--mark-restart'),
        capture: colour(style, '--mark-capture'),
    };
    return (u) => {
        const { ctx, bbox } = u;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
        ctx.clip();
        const { marks } = get();
        drawBands(u, marks.filter((m) => m.kind === 'capture'), colours.capture);
        for (const mark of marks) drawLine(u, mark, colours[mark.kind]);
        ctx.restore();
    };
}

// How long captures took; in one piece, so that those at the same time are not darker.
function drawBands(u, captures, paint) {
    const { ctx, bbox } = u;
    ctx.beginPath();
    for (const { at_ms, until_ms } of captures) {
        const from = u.valToPos(at_ms / 1000, 'x', true);
        const to = u.valToPos(until_ms / 1000, 'x', true);
        ctx.rect(from, bbox.top, Math.max(to - from, 2 * devicePixelRatio), bbox.height);
    }
    ctx.globalAlpha = 0.25;
    ctx.fillStyle = paint;
    ctx.fill();
    ctx.globalAlpha = 1;
}

function drawLine(u, mark, paint) {
    const { ctx, bbox } = u;
    // In the middle of a pixel: between two it would be pale.
    const x = Math.floor(u.valToPos(mark.at_ms / 1000, 'x', true)) + 0.5;
    ctx.strokeStyle = paint;
    ctx.lineWidth = Math.max(1, Math.floor(devicePixelRatio));
    ctx.setLineDash(mark.kind === 'restart' ? [4 * devicePixelRatio, 4 * devicePixelRatio] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
}

function axis(style, more) {
    return {
        stroke: colour(style, '--chart-text'), grid: { stroke: colour(style, '--chart-grid'), width: 1 },
        ticks: { stroke: colour(style, '--chart-grid'), width: 1 }, ...more,
    };
}

// "14:05", or "11-20" where ticks are days apart; the first tick of a day has both.
function timeTicks(u, ticks, axisAt, space, step) {
    let day = '';
    return ticks.map((at) => {
        const text = time(at * 1000);
        const date = text.slice(5, 10);
        const label = step >= 86400 ? date : `${text.slice(11, step < 60 ? 19 : 16)}${date === day ? '' : `\n${date}`}`;
        day = date;
        return label;
    });
}

function optionsOf(element, { labels, format, least, steps }, get) {
    const style = getComputedStyle(element);
    return {
        width: Math.max(element.clientWidth, 100), height: HEIGHT,
        cursor: { drag: { x: false, y: false } },
        legend: { show: labels.length > 1 },
        scales: {
            x: { time: true, range: () => [get().from_ms / 1000, get().to_ms / 1000] },
            y: { range: (u, min, max) => [0, Math.max(max * 1.1, least)] },
        },
        axes: [axis(style, { values: timeTicks, space: 60 }),
            axis(style, { size: AXIS_WIDTH, incrs: steps, values: (u, ticks) => ticks.map(format) })],
        series: [{ value: (u, at) => (at === null ? '' : time(at * 1000)) }, ...labels.map((label, i) => ({
            label, scale: 'y', width: 1.5, stroke: colour(style, `--line-${i % COLOURS}`),
            dash: DASHES[Math.floor(i / COLOURS) % DASHES.length], points: { size: 4 }, spanGaps: false,
            value: (u, value) => format(value),
        }))],
        hooks: { drawAxes: [drawMarks(style, get)] },
    };
}

// Keeps one uPlot in `element`: a new one for other lines or colours, else only new numbers.
function usePlot(element, props) {
    const [Plot, setPlot] = useState(null);
    const [error, setError] = useState(null);
    const [dark, setDark] = useState(false);
    const latest = useRef(props);
    const plot = useRef(null);
    latest.current = props;
    useEffect(() => void loadLibrary().then((m) => setPlot(() => m.default), setError), []);
    useEffect(() => {
        const scheme = matchMedia('(prefers-color-scheme: dark)');
        const change = () => setDark(scheme.matches);
        change();
        scheme.addEventListener('change', change);
        return () => scheme.removeEventListener('change', change);
    }, []);
    const lines = props.labels.join('\n');
    useEffect(() => {
        if (!Plot) return undefined;
        const box = element.current;
        const u = new Plot(optionsOf(box, latest.current, () => latest.current), latest.current.data, box);
        const observer = new ResizeObserver(() => {
            const width = box.clientWidth;
            if (width > 0 && width !== u.width) u.setSize({ width, height: HEIGHT });
        });
        plot.current = u;
        observer.observe(box);
        return () => {
            observer.disconnect();
            u.destroy();
            plot.current = null;
        };
    }, [Plot, dark, lines]);
    useEffect(() => {
        if (plot.current && plot.current.data !== props.data) plot.current.setData(props.data);
    }, [props.data]);
    useEffect(() => plot.current?.redraw(), [props.marks]);
    return error;
}

// ---- the same as text ----------------------------------------------------------------------------------------------

function sentence(found, format) {
    if (!found) return 'nothing measured in this time';
    const highest = `highest ${format(found.max)} at ${time(found.max_at)}`;
    return `now ${format(found.now)}, lowest ${format(found.min)}, ${highest}`;
}

function Texts({ title, labels, data, format, marks }) {
    const found = labels.map((label, i) => ({ label, text: sentence(summary(data[0], data[i + 1]), format) }));
    const list = html`<ul>${found.map((f) => html`<li key=${f.label}>${f.label}: ${f.text}</li>`)}</ul>`;
    return html`
        ${labels.length === 1 && html`<p class="chart-summary">${title}: ${found[0].text}.</p>`}
        ${labels.length > 1 && html`<details><summary>${title} in numbers</summary>${list}</details>`}
        ${marks.length > 0 && html`<details>
            <summary>${marks.length} ${marks.length === 1 ? 'mark' : 'marks'} of ${title}: exits, restarts, captures</summary>
            <ul>${marks.slice(-NAMED_MARKS).reverse().map((m) => html`<li key=${`${m.at_ms} ${m.text}`}>
                <b class=${`mark-${m.kind}`} aria-hidden="true">${MARK_SIGNS[m.kind]}</b>
                ${' '}${time(m.at_ms)} ${m.text}</li>`)}</ul></details>`}`;
}

// title: 'CPU'; labels: one for each line; data: what series.js merge() gives; format(value) → text; least: the
// smallest upper end of the scale; steps: distances of its ticks that may be taken; marks: of series.js marksOf();
// from_ms, to_ms: what is shown.
export function Chart(props) {
    const { title, labels } = props;
    const element = useRef(null);
    const error = usePlot(element, props);
    return html`<figure class="chart">
        <figcaption>${title}</figcaption>
        <div ref=${element} class="chart-plot" role="img" aria-label=${`${title} over time; the same as text below`} />
        ${error && html`<p class="hint">The chart could not be loaded; its numbers are below.</p>`}
        <${Texts} ...${props} labels=${labels} />
    </figure>`;
}
