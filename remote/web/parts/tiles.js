// tiles.js -- processes as coloured buttons, in groups: a heat map that is walked with arrow keys.
//
// A thousand tiles change every second: a tile whose looks are as before keeps its very node object, at which Preact
// stops comparing; colours are classes; a tile is one element, as each costs style and layout (number and host are put
// there by picker.css from attributes: the label says them too); one handler serves all tiles; and those out of sight
// follow some seconds later.  Measured: 200 ms of each second without all that.

import { html, useEffect, useReducer, useRef, useState } from '../html.js';
import { between, holdGroups, keyOf, labelOf, markOf, nameOf, numberOf, stepOf, toggled, walk } from '../processes.js';

const HIDDEN_MS = 4000; // a tile out of sight keeps its looks for so long, up to twice that
const ARROWS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End'];

// ---- what does not move under the pointer --------------------------------------------------------------------------

// [groups, handlers]: the groups in the order that they had when pointer or focus came in.  Another `again` (filter,
// sort and group as a text) takes the new order at once.
function useHeld(groups, again) {
    const [inside, setInside] = useState({ pointer: false, focus: false });
    const last = useRef({ again: undefined, groups: [] });
    const change = (changes) => setInside((old) => ({ ...old, ...changes }));
    const hold = (inside.pointer || inside.focus) && last.current.again === again;
    const held = hold ? holdGroups(last.current.groups, groups) : groups;
    last.current = { again, groups: held };
    const handlers = {
        onPointerEnter: (e) => e.pointerType === 'mouse' && change({ pointer: true }),
        onPointerLeave: () => change({ pointer: false }),
        onFocusOut: (e) => e.currentTarget.contains(e.relatedTarget) || change({ focus: false }),
    };
    return [held, handlers, () => inside.focus || change({ focus: true })];
}

// ---- one tile ------------------------------------------------------------------------------------------------------

function looksOf(p, { kind, picked, active, hosts }) {
    const key = keyOf(p);
    const step = stepOf(p, kind);
    return {
        key,
        heat: step === null ? 'off' : `heat-${step}`,
        number: numberOf(p, kind),
        mark: markOf(p, kind),
        name: nameOf(p),
        host: hosts ? p.host_name || '' : undefined,
        label: labelOf(p, kind),
        picked: picked.has(key),
        kind,
        tab: key === active ? 0 : -1,
    };
}

function tile(looks) {
    return html`<button type="button" key=${looks.key} class=${`tile ${looks.heat}`} data-key=${looks.key}
        data-number=${looks.number} data-mark=${looks.mark || undefined} data-host=${looks.host}
        aria-pressed=${looks.picked ? 'true' : 'false'} aria-label=${looks.label} tabindex=${looks.tab}>
        ${looks.name}</button>`;
}

// The keys of tiles that are out of sight; what comes into sight is drawn anew at once.
function useHidden(root, keys) {
    const hidden = useRef(new Set());
    const [, draw] = useReducer((n) => n + 1, 0);
    const all = keys.join('\n');
    useEffect(() => {
        const observer = new IntersectionObserver((entries) => {
            const shown = entries.filter((e) => e.isIntersecting && hidden.current.delete(e.target.dataset.key));
            for (const e of entries) if (!e.isIntersecting) hidden.current.add(e.target.dataset.key);
            if (shown.length > 0) draw();
        }, { rootMargin: '200px' });
        hidden.current = new Set();
        for (const element of root.current.querySelectorAll('.tile')) observer.observe(element);
        return () => observer.disconnect();
    }, [all]);
    return hidden.current;
}

// A function from a process to its node, which is the one of last time while the looks are the same, or while nobody
// sees it and not much time has passed.
function useTileNodes(context, hidden) {
    const cache = useRef(new Map());
    const before = cache.current;
    const now = performance.now();
    cache.current = new Map();
    return (p) => {
        const key = keyOf(p);
        const known = before.get(key);
        const entry = known && hidden.has(key) && now < known.until && isAsChosen(known.looks, context)
            ? known : drawn(looksOf(p, context), known, now);
        cache.current.set(key, entry);
        return entry.node;
    };
}

const isAsChosen = (looks, { picked, active, kind, hosts }) => looks.picked === picked.has(looks.key)
    && looks.tab === (looks.key === active ? 0 : -1) && looks.kind === kind && (looks.host !== undefined) === hosts;

// Not all of those out of sight at the same time.
function drawn(looks, known, now) {
    const until = now + HIDDEN_MS * (1 + Math.random());
    const same = known && Object.keys(looks).every((name) => looks[name] === known.looks[name]);
    return { looks, until, node: same ? known.node : tile(looks) };
}

// ---- all tiles -----------------------------------------------------------------------------------------------------

// groups: [{ key, title, processes }]; picked: a Set of keys; onPick(Set); heading(group): what stands over a group;
// hosts: whether a tile names its host; again: see useHeld().
export function Tiles({ groups, kind, picked, onPick, heading, hosts, again }) {
    const root = useRef(null);
    const [active, setActive] = useState(null);
    const [anchor, setAnchor] = useState(null);
    const [held, handlers, focused] = useHeld(groups, again);
    const keys = held.flatMap((g) => g.processes.map(keyOf));
    const reachable = keys.includes(active) ? active : keys[0];
    const node = useTileNodes({ kind, picked, active: reachable, hosts }, useHidden(root, keys));

    const choose = (key, shift) => {
        if (shift && anchor) onPick(new Set([...picked, ...between(keys, anchor, key)]));
        else onPick(toggled(picked, key));
        if (!shift || !anchor) setAnchor(key);
    };
    const onKeyDown = (event) => {
        const from = event.target.closest('.tile');
        if (!from || !ARROWS.includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        const to = neighbour(root.current, from, event.key);
        to.focus();
        if (!event.shiftKey) return;
        const start = anchor || from.dataset.key;
        setAnchor(start);
        onPick(new Set([...picked, ...between(keys, start, to.dataset.key)]));
    };
    const onFocusIn = (event) => {
        const key = event.target.dataset.key;
        if (key) setActive(key);
        focused();
    };
    const onClick = (event) => {
        const at = event.target.closest('.tile');
        if (at) choose(at.dataset.key, event.shiftKey);
    };
    return html`<div class="tiles" ref=${root} ...${handlers} onFocusIn=${onFocusIn} onClick=${onClick}
        onKeyDown=${onKeyDown}>
        ${held.map((g) => html`<section class="tile-group" key=${g.key} aria-label=${g.title || 'Processes'}>
            ${g.title && heading(g)}
            <div class="tile-grid">${g.processes.map(node)}</div>
        </section>`)}
    </div>`;
}

function neighbour(root, from, key) {
    const tiles = [...root.querySelectorAll('.tile')];
    const boxes = tiles.map((t) => t.getBoundingClientRect());
    return tiles[walk(boxes, tiles.indexOf(from), key)];
}
