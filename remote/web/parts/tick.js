// tick.js -- a component that is drawn again as time passes, while somebody can see it.

import { useEffect, useReducer, useRef } from '../html.js';

// The present moment, new every `ms` while `active`.
export function useNow(ms, active = true) {
    const [, draw] = useReducer((n) => n + 1, 0);
    useEffect(() => {
        if (!active) return undefined;
        const timer = setInterval(() => document.visibilityState === 'visible' && draw(), ms);
        return () => clearInterval(timer);
    }, [ms, active]);
    return Date.now();
}

// Calls `what` every `ms` while the page is visible, and when it becomes visible again; null: never.
export function useEvery(ms, what) {
    const latest = useRef(what);
    latest.current = what;
    useEffect(() => {
        if (!ms) return undefined;
        const call = () => document.visibilityState === 'visible' && latest.current();
        const timer = setInterval(call, ms);
        document.addEventListener('visibilitychange', call);
        return () => {
            clearInterval(timer);
            document.removeEventListener('visibilitychange', call);
        };
    }, [ms]);
}
