// relatives.js -- who calls a function and what it calls, as nested lists: the picture in words, by keyboard.

import { html, useMemo, useRef, useState } from '../html.js';
import { count } from '../format.js';
import { childrenOf, focus } from './layout.js';
import { nameOf, placeOf } from './names.js';
import { costText, shareText } from './state.js';

const MOST = 25;   // per list, at first

// `func` of profile.tree; onFocus(func).
export function Relatives({ profile, func, onFocus }) {
    const { callers, callees } = useMemo(() => focus(profile.tree, func), [profile, func]);
    const name = nameOf(profile.tree.functions[func]), title = useRef(null);
    // The button that was pressed is gone with the list it stood in.
    const go = (other) => {
        onFocus(other);
        title.current.focus();
    };
    return html`<section class="relatives" aria-labelledby="relatives-title">
        <h2 id="relatives-title" tabindex="-1" ref=${title}>Calls of <code>${name}</code></h2>
        <div class="relatives-sides">
            <${Side} key=${`up ${func}`} title="Called by" none="Nothing calls it: it is where a stack begins."
                profile=${profile} tree=${callers} onFocus=${go} />
            <${Side} key=${`down ${func}`} title="Calls" none="It calls nothing that can be seen here."
                profile=${profile} tree=${callees} onFocus=${go} />
        </div>
    </section>`;
}

function Side({ title, none, profile, tree, onFocus }) {
    const children = useMemo(() => childrenOf(tree), [tree]);
    const empty = children.start[0] === children.start[1];
    return html`<div><h3>${title}</h3>
        ${empty ? html`<p class="hint">${none}</p>`
        : html`<${Branches} profile=${profile} tree=${tree} lists=${children} node=${0} onFocus=${onFocus} />`}
    </div>`;
}

function Branches({ node, ...rest }) {
    const [most, setMost] = useState(MOST);
    const { start, list } = rest.lists, all = start[node + 1] - start[node];
    const shown = list.subarray(start[node], start[node] + Math.min(all, most));
    return html`<ul class="branches">
        ${Array.from(shown, (child) => html`<${Branch} key=${child} node=${child} ...${rest} />`)}
        ${all > most && html`<li><button type="button" class="quiet" onClick=${() => setMost(all)}>
            ${count(all - most)} more</button></li>`}
    </ul>`;
}

function Branch({ node, ...rest }) {
    const { profile, tree, lists, onFocus } = rest;
    const [open, setOpen] = useState(false);
    const func = tree.func[node], cost = tree.total[node], f = tree.functions[func];
    const leaf = lists.start[node] === lists.start[node + 1];
    const title = `${nameOf(f)}${f.url ? `, ${placeOf(f, profile.base)}` : ''}`;
    return html`<li>
        <div class="branch">
            ${leaf ? html`<span class="twig" aria-hidden="true"></span>`
            : html`<button type="button" class="twig" aria-expanded=${String(open)} aria-label=${`More of ${title}`}
                onClick=${() => setOpen(!open)}>${open ? '▾' : '▸'}</button>`}
            <button type="button" class="branch-name" onClick=${() => onFocus(func)}>${nameOf(f)}</button>
            <span class="branch-cost">${costText(profile, cost)} · ${shareText(profile, cost)}</span>
            <span class="branch-place">${placeOf(f, profile.base)}</span>
        </div>
        ${open && html`<${Branches} node=${node} ...${rest} />`}
    </li>`;
}
