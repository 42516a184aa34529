// legend.js -- which colour is whose code, and what that code costs itself.

import { html, useMemo, useState } from '../html.js';
import { count } from '../format.js';
import { legend } from './colour.js';
import { costText, shareText } from './state.js';
import { useScheme } from './view.js';

const MOST = 8;

export function Legend({ profile, colour }) {
    const scheme = useScheme();
    const packs = useMemo(() => legend(profile.tree.functions, profile.figures.self, scheme), [profile, scheme]);
    const [all, setAll] = useState(false);
    if (colour === 'self') {
        return html`<p class="legend hint">The stronger a colour, the more its function costs itself.</p>`;
    }
    const shown = all ? packs : packs.slice(0, MOST);
    return html`<ul class="legend" aria-label="Own cost by whose code it is">
        ${shown.map((pack) => html`<li key=${`${pack.kind} ${pack.name}`} title=${costText(profile, pack.self)}>
            <span class="swatch" style=${{ '--swatch': pack.colour }} aria-hidden="true"></span>
            ${pack.name} <span class="legend-share">${shareText(profile, pack.self)}</span></li>`)}
        ${packs.length > shown.length && html`<li><button type="button" class="quiet" onClick=${() => setAll(true)}>
            ${count(packs.length - shown.length)} more</button></li>`}
    </ul>`;
}
