// steady.js -- what does not change under the pointer or the focus.

import { useRef, useState } from '../html.js';

// What is new comes last, what is gone leaves, all else keeps its place.  Pure.
export function keepOrder(items, keyOf, order) {
    const places = new Map(order.map((key, i) => [key, i]));
    const place = (item) => places.get(keyOf(item)) ?? Infinity;
    return items.map((item, i) => [place(item), i, item])
        .sort((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] - b[0]))
        .map((entry) => entry[2]);
}

// `items` and those of `before` that are not among them any more, as `gone` makes them.  Pure.
export function withGone(items, keyOf, before, gone) {
    const here = new Set(items.map(keyOf));
    return [...items, ...before.filter((item) => !here.has(keyOf(item))).map(gone)];
}

// [ordered, handlers]: `items` in their own order, or in the one before while the pointer or the focus is inside of
// the element that gets the handlers.  Another `again` (sort and filter as text) takes the new order at once.
// gone(item): what stands meanwhile where an item was that has left; absent: it leaves at once, and the next ones move
// up.
export function useSteady(items, keyOf, again, gone) {
    const [held, setHeld] = useState({ pointer: false, focus: false });
    const last = useRef({ again: undefined, items: [] });
    const hold = (changes) => setHeld((old) => {
        const fresh = { ...old, ...changes };
        return fresh.pointer === old.pointer && fresh.focus === old.focus ? old : fresh;
    });
    const steady = (held.pointer || held.focus) && last.current.again === again;
    const before = last.current.items;
    const all = steady && gone ? withGone(items, keyOf, before, gone) : items;
    const ordered = steady ? keepOrder(all, keyOf, before.map(keyOf)) : items;
    last.current = { again, items: ordered };
    const handlers = {
        // A finger that was lifted is nowhere: only a mouse stays.
        onPointerEnter: (e) => e.pointerType === 'mouse' && hold({ pointer: true }),
        onPointerLeave: () => hold({ pointer: false }),
        onFocusIn: () => hold({ focus: true }),
        onFocusOut: (e) => e.currentTarget.contains(e.relatedTarget) || hold({ focus: false }),
    };
    return [ordered, handlers];
}

// [value, handlers]: the value that was, while a mouse is inside of the element that gets the handlers.  For what stands
// above it: if that came or went, the element would move away from under the pointer.
export function useCalm(value) {
    const [inside, setInside] = useState(false);
    const last = useRef(value);
    if (!inside) last.current = value;
    return [last.current, {
        onPointerEnter: (e) => e.pointerType === 'mouse' && setInside(true),
        onPointerLeave: () => setInside(false),
    }];
}
