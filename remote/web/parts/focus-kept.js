// focus-kept.js -- a button that goes away when it was pressed takes the focus with it: who works by keyboard would begin
// at the top of the page again.

import { useLayoutEffect, useRef } from '../html.js';

// For the element that gets the ref: when what had the focus in it is gone, the first of these in it has the focus.
export function useFocusKept(...selectors) {
    const box = useRef(null);
    const inside = box.current?.contains(document.activeElement);
    useLayoutEffect(() => {
        if (!inside || document.activeElement !== document.body || !box.current) return;
        const found = selectors.map((selector) => box.current.querySelector(selector)).find(Boolean);
        found?.focus();
    });
    return box;
}
