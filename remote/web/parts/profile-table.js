// profile-table.js -- the functions of a profile with what each costs: the picture's equal in words.

import { html, useEffect, useMemo, useRef } from '../html.js';
import { keyOf, matcherOf, nameOf, placeOf, wholePlaceOf } from '../flame/names.js';
import { costText, shareText } from '../flame/state.js';
import { Table, sortRows } from './table.js';

const ROW = 36;   // px: --row of style.css

function Place({ f, base }) {
    return html`<span class="function-place" title=${wholePlaceOf(f)}>${placeOf(f, base)}</span>`;
}

function Name({ f, children }) {
    const name = nameOf(f);
    return html`<span class="function"><span class="function-name" title=${name}>${name}</span>${children}</span>`;
}

// `narrow`: beside the picture a file has no column of its own.
function columnsOf(profile, narrow) {
    const place = (f) => html`<${Place} f=${f} base=${profile.base} />`;
    const cost = (id, label) => ({
        id, label, number: true, down: true, value: (f) => f[id], cell: (f) => costText(profile, f[id]) });
    const share = (id, label) => ({
        id: `${id}-share`, label, number: true, narrow: true, cell: (f) => shareText(profile, f[id]) });
    return [
        cost('self', 'Self'), share('self', 'Self %'), cost('total', 'Total'), share('total', 'Total %'),
        { id: 'function', label: 'Function', head: true, wide: true, value: nameOf,
            cell: (f) => html`<${Name} f=${f}>${narrow && place(f)}<//>` },
        { id: 'place', label: 'File', narrow: true, value: (f) => placeOf(f, profile.base), cell: place },
    ].slice(0, narrow ? -1 : undefined);
}

// Shows the row that was chosen elsewhere; one that has the focus is seen already.
function useReveal(box, rows, columns, sort, chosen) {
    useEffect(() => {
        const scroller = box.current?.querySelector('.table-box');
        if (!scroller || !chosen || scroller.contains(document.activeElement)) return;
        const at = sortRows(rows, columns, sort).findIndex((f) => keyOf(f) === chosen);
        if (at < 0 || scroller.scrollHeight <= scroller.clientHeight) return;
        const top = at * ROW, seen = scroller.clientHeight - 2 * ROW;
        const hidden = top < scroller.scrollTop || top > scroller.scrollTop + seen;
        if (hidden) scroller.scrollTop = Math.max(0, top - seen / 2);
    }, [chosen, rows, sort]);
}

// `narrow`: it stands beside the picture.  `rows`: functions of the console's table.  `chosen`: key of a function or
// ''; onFocus(key).
export function ProfileTable({ profile, narrow, rows, sort, onSort, search, chosen, onFocus }) {
    const box = useRef(null);
    const columns = useMemo(() => columnsOf(profile, narrow), [profile, narrow]);
    const shown = useMemo(() => {
        const matches = matcherOf(search);
        return matches ? rows.filter(matches) : rows;
    }, [rows, search]);
    useReveal(box, shown, columns, sort, chosen);
    if (shown.length === 0) return html`<p class="hint">No function has “${search}” in its name or its file.</p>`;
    const selected = new Set(chosen ? [chosen] : []), open = (f) => onFocus(keyOf(f));
    return html`<div class="profile-table" ref=${box}>
        <${Table} label="Functions" columns=${columns} rows=${shown} keyOf=${keyOf} sort=${sort} onSort=${onSort}
            again=${search} selected=${selected} onSelect=${open} onOpen=${open} />
    </div>`;
}
