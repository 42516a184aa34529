// profile-bar.js -- how a profile is shown: view, search, colours, direction, focus.

import { html } from '../html.js';
import { count } from '../format.js';
import { nameOf } from '../flame/names.js';
import { shareText } from '../flame/state.js';
import { set } from '../url.js';
import { Choice } from './choice.js';

const VIEW_NAMES = { table: 'Table', both: 'Both', flame: 'Flame' };

function Found({ profile, found }) {
    if (!found) return html`<span class="found" role="status"></span>`;
    const functions = found.count === 1 ? '1 function' : `${count(found.count)} functions`;
    const text = found.count ? `${functions}, ${shareText(profile, found.cost)}` : 'nothing found';
    return html`<span class="found" role="status">${text}</span>`;
}

function Search({ profile, text, onText, found }) {
    return html`<div class="profile-search">
        <label>Search <input type="search" value=${text} placeholder="function or file"
            onInput=${(e) => onText(e.currentTarget.value)} /></label>
        <${Found} profile=${profile} found=${found} />
    </div>`;
}

function Switch({ label, title, on, onChange }) {
    const turn = () => onChange(on ? null : '1');
    return html`<label title=${title}><input type="checkbox" checked=${on} onChange=${turn} /> ${label}</label>`;
}

function Picture({ colour, inverted, up, turn }) {
    const paint = (e) => set({ colour: e.currentTarget.value === 'self' ? 'self' : null });
    return html`<label>Colour <select value=${colour} onChange=${paint}>
            <option value="package" selected=${colour !== 'self'}>by package</option>
            <option value="self" selected=${colour === 'self'}>by own cost</option>
        </select></label>
        <${Switch} label="Callers" on=${inverted} onChange=${(invert) => turn({ invert })}
            title="Begin with the functions that cost, and show who called them" />
        <${Switch} label="Root at the bottom" on=${up} onChange=${(value) => set({ up: value })}
            title="A flame instead of icicles" />`;
}

function Focused({ name, onClear }) {
    return html`<p class="focused">Focus: <code>${name}</code>
        <button type="button" class="quiet" onClick=${onClear}>Show everything</button></p>`;
}

// `state`: { view, colour, inverted, up, focus (function or none), zoomed }; turn(changes): of the URL, to another
// picture
export function ProfileBar({ profile, state, text, onText, found, turn }) {
    const { view, focus, zoomed } = state;
    return html`<div class="profile-bar" role="group" aria-label="How it is shown">
        <${Choice} label="View" name="view" value=${view} choices=${VIEW_NAMES}
            onChange=${(name) => set({ view: name === 'both' ? null : name })} />
        <${Search} profile=${profile} text=${text} onText=${onText} found=${found} />
        ${view !== 'table' && html`<${Picture} ...${state} turn=${turn} />`}
        ${view !== 'table' && html`<button type="button" disabled=${!zoomed} onClick=${() => set({ zoom: null })}>
            Zoom out</button>`}
        ${focus && html`<${Focused} name=${nameOf(focus)} onClear=${() => turn({ focus: null })} />`}
    </div>`;
}
