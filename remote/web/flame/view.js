// view.js -- the flame graph as a component: a canvas that is walked by keyboard or pointer, and the line of text about
// one box.

import { html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../html.js';
import { ROW, draw, fit, heightOf, hit, topOf } from './canvas.js';
import { SCHEMES, heatColours, packageColours } from './colour.js';
import { boxName, boxText } from './state.js';
import { isInside, neighbour, seenRows } from './layout.js';

const LEAST_SEEN = 1 / 4000;   // of the width: rows with nothing greater are left out, whatever the screen
const DARK = '(prefers-color-scheme: dark)';

export function useScheme() {
    const [dark, setDark] = useState(() => matchMedia(DARK).matches);
    useEffect(() => {
        const query = matchMedia(DARK), change = () => setDark(query.matches);
        query.addEventListener('change', change);
        return () => query.removeEventListener('change', change);
    }, []);
    return dark ? 'dark' : 'light';
}

// Calls back when the size of the element changes.
function useResize(ref, callback) {
    useEffect(() => {
        const observer = new ResizeObserver(callback);
        observer.observe(ref.current);
        return () => observer.disconnect();
    }, [callback]);
}

// Calls back when the page comes to a screen of another density, or is zoomed.
function useDensity(callback) {
    const [density, setDensity] = useState(devicePixelRatio);
    useEffect(() => {
        const query = matchMedia(`(resolution: ${density}dppx)`), change = () => {
            setDensity(devicePixelRatio);
            callback();
        };
        query.addEventListener('change', change);
        return () => query.removeEventListener('change', change);
    }, [density, callback]);
}

// `profile` and `picture` of state.js.  `zoom`, `cursor`: boxes (cursor -1: none); `chosen`: a function or -1; `found`:
// of search(), or null; onCursor(box) · onZoom(box) · onFocus(func) · onBack()
export function FlameView(props) {
    const { profile, picture, zoom, cursor, chosen, found, colour, up, inverted } = props;
    const scheme = useScheme();
    const fills = useMemo(() => (colour === 'self' ? heatColours(picture.functions, profile.figures.self, scheme)
        : packageColours(picture.functions, scheme)), [picture, profile, colour, scheme]);
    const names = useMemo(() => {
        const known = [];
        return (func) => known[func] ??= boxName(profile, picture.functions[func]);
    }, [picture, profile]);
    const rows = useMemo(() => seenRows(picture, zoom, LEAST_SEEN, up), [picture, zoom, up]);
    const marks = useMemo(() => marksFor(picture, found), [picture, found]);
    const look = { rows, zoom, cursor, chosen, up, fills, scheme: SCHEMES[scheme], marks, top: 0 };
    const [hovered, setHovered] = useState({ picture, box: -1 });
    const shown = hovered.picture === picture && hovered.box >= 0 ? hovered.box : cursor;
    const hover = useCallback((box) => {
        setHovered((old) => (old.box === box && old.picture === picture ? old : { picture, box }));
    }, [picture]);
    return html`<div class="flame">
        <${BoxLine} profile=${profile} picture=${picture} box=${shown} inverted=${inverted} zoom=${zoom} />
        <${Stage} ...${props} look=${look} names=${names} onHover=${hover} />
    </div>`;
}

// An inverted picture has one function more than was searched.
function marksFor(picture, found) {
    if (!found || found.marks.length === picture.functions.length) return found?.marks ?? null;
    const marks = new Uint8Array(picture.functions.length);
    marks.set(found.marks);
    return marks;
}

function BoxLine({ profile, picture, box, inverted, zoom }) {
    const text = boxText(profile, picture, box >= 0 ? box : zoom, inverted);
    return html`<p class="flame-line" role="status">
        <strong>${text.name}</strong> <span class="flame-cost">${text.cost}</span>
        ${' '}<span class="flame-place">${text.place}</span>
    </p>`;
}

// ---- canvas --------------------------------------------------------------------------------------

function Stage({ picture, look, names, onHover, ...rest }) {
    const scroller = useRef(null), canvas = useRef(null), latest = useRef(null), frame = useRef(0);
    latest.current = { picture, look, names };
    const paint = useCallback(() => {
        cancelAnimationFrame(frame.current);
        frame.current = 0;
        paintNow(scroller.current, canvas.current, latest.current);
    }, []);
    const later = useCallback(() => {
        frame.current ||= requestAnimationFrame(paint);
    }, []);
    useLayoutEffect(() => {
        scroller.current.scrollTop = topOf(look, picture.rootRow) - ROW * 8;
    }, [picture, look.up]);
    useLayoutEffect(() => reveal(scroller.current, picture, look), [picture, look.rows, look.cursor, look.up]);
    useLayoutEffect(paint, [picture, names, look.rows, look.zoom, look.cursor, look.chosen, look.up, look.fills,
        look.marks]);
    useEffect(() => () => cancelAnimationFrame(frame.current), []);
    useResize(scroller, later);
    useDensity(later);
    const at = (event) => boxUnder(event, canvas.current, picture, look, scroller.current);
    const hover = (event) => {
        const box = at(event);
        canvas.current.classList.toggle('over', box >= 0);
        onHover(box);
    };
    return html`<div class="flame-scroll" ref=${scroller} onScroll=${later}>
        <div class="flame-space" style=${{ '--height': `${heightOf(look)}px` }}>
            <canvas ref=${canvas} tabindex="0" role="application" aria-roledescription="flame graph"
                aria-label=${rest.label} aria-describedby="flame-keys"
                onPointerMove=${hover} onPointerLeave=${() => onHover(-1)}
                onClick=${(event) => click(at(event), picture, rest)}
                onDblClick=${(event) => doubleClick(at(event), picture, rest)}
                onKeyDown=${(event) => key(event, picture, look, rest)}></canvas>
        </div>
    </div>`;
}

function paintNow(scroller, canvas, { picture, look, names }) {
    if (!scroller) return;
    fit(canvas, scroller.clientWidth, Math.min(scroller.clientHeight, heightOf(look)));
    draw(canvas, picture, { ...look, top: scroller.scrollTop }, names);
}

function boxUnder(event, canvas, picture, look, scroller) {
    const place = canvas.getBoundingClientRect();
    const x = event.clientX - place.left, y = event.clientY - place.top;
    return hit(picture, { ...look, top: scroller.scrollTop }, place.width, x, y);
}

function reveal(scroller, picture, look) {
    if (look.cursor < 0) return;
    const top = topOf(look, picture.row[look.cursor]), least = top + ROW - scroller.clientHeight;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (least > scroller.scrollTop) scroller.scrollTop = least;
}

// ---- pointer and keys ----------------------------------------------------------------------------

function click(box, picture, { onZoom }) {
    if (box >= 0) onZoom(box);
}

function doubleClick(box, picture, { onFocus }) {
    if (box >= 0) onFocus(picture.func[box]);
}

const DIRECTIONS = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'upper', ArrowDown: 'lower' };

function turned(direction, up) {
    if (!up) return direction;
    return { upper: 'lower', lower: 'upper' }[direction] ?? direction;
}

// What a key does at the box `at`; null: nothing of ours.
function actionOf(event, picture, look, at, { onCursor, onZoom, onFocus, onBack }) {
    const direction = DIRECTIONS[event.key];
    const actions = {
        'Home': () => onCursor(picture.root),
        'Enter': () => onZoom(at),
        ' ': () => onZoom(at),
        'f': () => onFocus(picture.func[at]),
        'Escape': onBack,
    };
    if (!direction) return actions[event.key] ?? null;
    const next = look.cursor < 0 ? at : neighbour(picture, look.cursor, turned(direction, look.up));
    return () => next >= 0 && isInside(picture, look.zoom, next) && onCursor(next);
}

function key(event, picture, look, handlers) {
    if (event.ctrlKey || event.metaKey || event.altKey || picture.count === 0) return;
    const action = actionOf(event, picture, look, look.cursor >= 0 ? look.cursor : look.zoom, handlers);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
}
