// steady.js -- an order that does not change under the pointer or the focus.

import { useRef, useState } from '../html.js';

// What is new comes last, what is gone leaves, all else keeps its place.  Pure.
export function keepOrder(items, keyOf, order) {
    const places = new Map(order.map((key, i) => [key, i]));
    const place = (item) => places.get(keyOf(item)) ?? Infinity;
    return items.map((item, i) => [place(item), i, item])
        .sort((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] - b[0]))
        .map((entry) => entry[2]);
}

// [ordered, handlers]: `items` in their own order, or in the one before while the pointer or the focus is inside of
// the element that gets the handlers.  Another `again` (sort and filter as text) takes the new order at once.
export function useSteady(items, keyOf, again) {
    const [held, setHeld] = useState({ pointer: false, focus: false });
    const last = useRef({ again: undefined, order: [] });
    const hold = (changes) => setHeld((old) => {
        const fresh = { ...old, ...changes };
        return fresh.pointer === old.pointer && fresh.focus === old.focus ? old : fresh;
    });
    const steady = (held.pointer || held.focus) && last.current.again === again;
    const ordered = steady ? keepOrder(items, keyOf, last.current.order) : items;
    last.current = { again, order: ordered.map(keyOf) };
    const handlers = {
        // A finger that was lifted is nowhere: only a mouse stays.
        onPointerEnter: (e) => e.pointerType === 'mouse' && hold({ pointer: true }),
        onPointerLeave: () => hold({ pointer: false }),
        onFocusIn: () => hold({ focus: true }),
        onFocusOut: (e) => e.currentTarget.contains(e.relatedTarget) || hold({ focus: false }),
    };
    return [ordered, handlers];
}
