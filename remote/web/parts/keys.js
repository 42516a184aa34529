// keys.js -- single keys that do something anywhere on a page, and the list of them.
//
// They do nothing while one types, and a person can switch them off (the list of keys has the switch): a voice that is
// heard as keys would press them.

import { html, useEffect, useReducer, useRef, useState } from '../html.js';
import { Dialog } from './dialog.js';

const STORED = 'proctor-keys';
const entries = new Set(); // { key, what, run }
const listeners = new Set(); // told when entries come or go

function tell() {
    for (const listener of [...listeners]) listener();
}

function enabled() {
    try {
        return localStorage.getItem(STORED) !== 'off';
    } catch {
        return true;
    }
}

function enable(on) {
    try {
        localStorage.setItem(STORED, on ? 'on' : 'off');
    } catch {
        // Then it holds for nothing, as nothing may be stored here.
    }
}

function isTyping(element) {
    return element.isContentEditable || element.matches?.('input, textarea, select') || element.closest?.('dialog');
}

function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (isTyping(event.target) || !enabled()) return;
    // What was mounted last goes first.
    const entry = [...entries].reverse().find((e) => e.key === event.key && e.run);
    if (!entry) return;
    event.preventDefault();
    entry.run(event);
}

document.addEventListener('keydown', onKey);

// list: [{ key: 'i', what: 'Turn the flame graph over', run() }]; without `run` it only stands in the list of keys.
export function useKeys(list) {
    const now = useRef(list);
    now.current = list;
    const names = list.map((entry) => entry.key).join(' ');
    useEffect(() => {
        const mine = now.current.map((entry, i) => ({
            key: entry.key, what: entry.what, run: entry.run && ((event) => now.current[i]?.run(event)),
        }));
        mine.forEach((entry) => entries.add(entry));
        tell();
        return () => {
            mine.forEach((entry) => entries.delete(entry));
            tell();
        };
    }, [names]);
}

// The first field for searching on the page.
export function focusFilter() {
    const field = document.querySelector('main input[type=search]');
    field?.focus();
    field?.select();
}

export function KeysDialog({ onClose }) {
    const [on, setOn] = useState(enabled());
    // A page that comes after the list was opened brings its keys.
    const [, draw] = useReducer((n) => n + 1, 0);
    useEffect(() => {
        listeners.add(draw);
        return () => listeners.delete(draw);
    }, []);
    const change = (e) => {
        enable(e.target.checked);
        setOn(enabled());
    };
    return html`<${Dialog} title="Keys" onClose=${onClose}>
        <dl class="keys">
            ${[...entries].map(({ key, what }) => html`<div key=${key}>
                <dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}
        </dl>
        <label class="check"><input type="checkbox" checked=${on} onChange=${change} /> Listen to single keys</label>
        <p><a href="/licences.txt" target="_blank" rel="noopener">Licences of what this page is made with</a></p>
    <//>`;
}
