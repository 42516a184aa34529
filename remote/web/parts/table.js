// table.js -- a table: sortable heads, keyboard, and only the visible rows in the document when there are many.
//
//   <${Table} label="Captures" columns=${columns} rows=${rows} keyOf=${(row) => row.id} sort=${'-at'} onSort=${f} />
//
//   columns   [{ id, label, cell(row) → text or html, value(row) → what is sorted by (absent: not sortable),
//                number: true (to the right), down: true (first click sorts from the largest on), head: true (the
//                cell names the row), wide: true (takes the room that is left, and wraps),
//                narrow: true (left out on phones), spare: true (left out below 1000 px) }]
//             In a cell, .cramped is seen on phones only, to say what `narrow` leaves out; .roomy is not seen there.
//   sort      'name', or '-name' for descending; '' leaves the rows as they are.  onSort(sort) is called for a click.
//   again     text of the filter: another one puts the rows in order although the pointer is inside.
//   gone      gone(row): how a row looks that has left while the pointer is inside: it keeps its place so long.
//   selected  Set of keys; onSelect(row) on Space and on a click into the row.  Absent: nothing is selectable.
//   onOpen    (row) on Enter.
//
// Arrows, Page keys, Home and End walk the rows.  The order holds while pointer or focus is inside (steady.js).

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../html.js';
import { useSteady } from './steady.js';

const WINDOWED = 100; // rows from which on only the visible ones are drawn
const ROW = 36; // px: --row of style.css
const MORE = 10; // rows drawn above and below what is seen
const SHOWN = 60; // before it was measured

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
const missing = (v) => v === null || v === undefined || v === '';

// What is unknown comes last, up or down.  Pure.
export function sortRows(rows, columns, sort) {
    const down = sort?.startsWith('-');
    const column = columns.find((c) => c.id === (down ? sort.slice(1) : sort));
    if (!column?.value) return rows;
    const pairs = rows.map((row) => [column.value(row), row]);
    pairs.sort(([a], [b]) => {
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        const order = typeof a === 'string' ? collator.compare(a, b) : a - b;
        return down ? -order : order;
    });
    return pairs.map((pair) => pair[1]);
}

const CLASSES = ['number', 'wide', 'narrow', 'spare'];
const classesOf = (column) => CLASSES.filter((name) => column[name]).join(' ') || undefined;

function Head({ column, sort, onSort }) {
    const up = sort === column.id;
    const down = sort === `-${column.id}`;
    const first = column.down ? `-${column.id}` : column.id;
    const other = column.down ? column.id : `-${column.id}`;
    const next = sort === first ? other : first;
    const classes = classesOf(column);
    if (!column.value || !onSort) return html`<th scope="col" class=${classes}>${column.label}</th>`;
    return html`<th scope="col" class=${classes} aria-sort=${up ? 'ascending' : down ? 'descending' : undefined}>
        <button type="button" onClick=${() => onSort(next)}>
            ${column.label}<span class="sort" aria-hidden="true">${up ? '▲' : down ? '▼' : ''}</span>
        </button>
    </th>`;
}

function Cell({ column, row }) {
    const classes = classesOf(column);
    if (column.head) return html`<th scope="row" class=${classes}>${column.cell(row)}</th>`;
    return html`<td class=${classes}>${column.cell(row)}</td>`;
}

// Which rows are drawn, from their place in the scrolling box.
function useWindow(box, count) {
    const [range, setRange] = useState([0, SHOWN]);
    const windowed = count > WINDOWED;
    useEffect(() => {
        const element = box.current;
        if (!windowed || !element) return undefined;
        const measure = () => {
            const first = Math.max(0, Math.floor(element.scrollTop / ROW) - MORE);
            const last = Math.ceil((element.scrollTop + element.clientHeight) / ROW) + MORE;
            setRange((old) => (old[0] === first && old[1] === last ? old : [first, last]));
        };
        const observer = new ResizeObserver(measure);
        observer.observe(element);
        element.addEventListener('scroll', measure, { passive: true });
        return () => {
            observer.disconnect();
            element.removeEventListener('scroll', measure);
        };
    }, [windowed]);
    if (!windowed) return [0, count];
    const last = Math.min(count, range[1]);
    return [Math.min(range[0], Math.max(0, last - 1)), last];
}

// What is drawn of `count` rows: those from `first` to `last`, and row `at`, which has the focus or would get it by
// Tab. → [{ rows: [index, …] } or { space: how many are left out }].  Pure.
export function segments(first, last, at, count) {
    const drawn = Array.from({ length: last - first }, (_, i) => first + i);
    if (at < first) drawn.unshift(at);
    if (at >= last && at < count) drawn.push(at);
    const parts = [];
    let next = 0;
    for (const index of [...drawn, count]) {
        if (index > next) parts.push({ space: index - next });
        if (index === count) break;
        if (!parts.at(-1)?.rows) parts.push({ rows: [] });
        parts.at(-1).rows.push(index);
        next = index + 1;
    }
    return parts;
}

// How far a key goes from row `at`; null: not a key of ours.
function step(key, at, count, page) {
    const to = {
        ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: count - 1,
    }[key];
    return to === undefined ? null : Math.max(0, Math.min(count - 1, to));
}

export function Table(props) {
    const { label, columns, rows, keyOf, sort = '', onSort, again = '', gone, selected, onSelect, onOpen } = props;
    const box = useRef(null);
    const sorted = useMemo(() => sortRows(rows, columns, sort), [rows, columns, sort]);
    const [ordered, handlers] = useSteady(sorted, keyOf, `${sort} ${again}`, gone);
    const [first, last] = useWindow(box, ordered.length);
    const [active, setActive] = useState(null); // key of the row that Tab reaches
    const wanted = useRef(null); // key of a row to be focused once it is drawn
    const windowed = ordered.length > WINDOWED;
    const at = Math.max(0, ordered.findIndex((row) => keyOf(row) === active));

    // A row that is moved in the document loses the focus.
    const focused = document.activeElement?.matches('tr[data-key]') && box.current?.contains(document.activeElement)
        ? document.activeElement.dataset.key : null;
    useLayoutEffect(() => {
        const lost = document.activeElement === document.body ? focused : null;
        const key = wanted.current ?? lost;
        const drawn = [...box.current.querySelectorAll('tr[data-key]')];
        const row = key !== null && drawn.find((r) => r.dataset.key === key);
        if (!row) return;
        row.focus({ preventScroll: true });
        if (wanted.current !== null) row.scrollIntoView({ block: 'nearest' });
        wanted.current = null;
    });
    useLayoutEffect(() => {
        if (windowed) box.current.scrollTop = 0;
    }, [sort, again]);

    const walk = (to) => {
        wanted.current = String(keyOf(ordered[to]));
        setActive(keyOf(ordered[to]));
    };
    const onKeyDown = (e) => {
        const row = e.target;
        if (row.tagName !== 'TR' || e.ctrlKey || e.metaKey || e.altKey) return;
        const to = step(e.key, at, ordered.length, Math.max(1, Math.floor(box.current.clientHeight / ROW) - 1));
        if (to !== null) walk(to);
        else if (e.key === 'Enter' && onOpen) onOpen(ordered[at]);
        else if (e.key === ' ' && onSelect) onSelect(ordered[at]);
        else return;
        e.preventDefault();
    };
    const onFocusIn = (e) => {
        handlers.onFocusIn();
        const row = e.target.closest?.('tr[data-key]');
        const found = row && ordered.find((r) => String(keyOf(r)) === row.dataset.key);
        if (found) setActive(keyOf(found));
    };
    const click = (e, row) => {
        if (onSelect && !e.target.closest('a, button, input, label, select')) onSelect(row);
    };
    const drawRow = (index) => {
        const row = ordered[index];
        const key = keyOf(row);
        return html`<tr key=${key} data-key=${key} tabindex=${index === at ? 0 : -1}
            aria-rowindex=${windowed ? index + 2 : undefined} onClick=${(e) => click(e, row)}
            aria-selected=${onSelect ? String(selected.has(key)) : undefined}>
            ${columns.map((c) => html`<${Cell} key=${c.id} column=${c} row=${row} />`)}
        </tr>`;
    };
    const drawSpace = (n, i) => html`<tr key=${`space ${i}`} class="space" aria-hidden="true" style=${{ '--rows': n }}>
        <td colspan=${columns.length}></td></tr>`;
    const parts = segments(first, last, at, ordered.length);

    return html`<div class=${`table-box${windowed ? ' windowed' : ''}`} ref=${box}
        ...${handlers} onFocusIn=${onFocusIn}>
        <table role=${onSelect ? 'grid' : undefined} aria-multiselectable=${onSelect ? 'true' : undefined}
            aria-label=${label} aria-rowcount=${windowed ? ordered.length + 1 : undefined} onKeyDown=${onKeyDown}>
            <thead><tr aria-rowindex=${windowed ? 1 : undefined}>
                ${columns.map((c) => html`<${Head} key=${c.id} column=${c} sort=${sort} onSort=${onSort} />`)}
            </tr></thead>
            <tbody>
                ${parts.flatMap((part, i) => part.rows?.map(drawRow) ?? [drawSpace(part.space, i)])}
            </tbody>
        </table>
    </div>`;
}
