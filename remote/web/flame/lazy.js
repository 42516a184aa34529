// lazy.js -- a parameter of the URL that changes faster than a URL may: browsers refuse more than some changes a
// second.

import { useCallback, useEffect, useRef, useState } from '../html.js';
import { set, useUrl } from '../url.js';

const REST_MS = 300;

// [value, change(value), drop()]: the value follows at once, the URL when it has rested.  What changes the URL by
// itself (the Back button, a link) wins.  drop() empties the value for a caller who takes it out of the URL.
export function useLazyParam(name) {
    const { params } = useUrl();
    const written = params[name] ?? '';
    const [value, setValue] = useState(written);
    const known = useRef(written), timer = useRef(0);
    useEffect(() => {
        if (written === known.current) return;
        clearTimeout(timer.current);
        known.current = written;
        setValue(written);
    }, [written]);
    useEffect(() => () => clearTimeout(timer.current), []);
    const change = useCallback((next) => {
        setValue(next);
        clearTimeout(timer.current);
        timer.current = setTimeout(() => {
            known.current = next;
            set({ [name]: next }, { replace: true });
        }, REST_MS);
    }, [name]);
    const drop = useCallback(() => {
        clearTimeout(timer.current);
        known.current = '';
        setValue('');
    }, []);
    return [value, change, drop];
}
