// dialog.js -- a modal dialog.  The browser holds the focus inside; what had it before gets it back.

import { html, useEffect, useId, useRef, useState } from '../html.js';
import { ErrorMessage } from './message.js';

// `onClose` is called for Escape and for the cross.  The element with data-focus has the focus first.
export function Dialog({ title, onClose, children }) {
    const box = useRef(null);
    const id = useId();
    useEffect(() => {
        const dialog = box.current;
        const opener = document.activeElement;
        dialog.showModal();
        dialog.querySelector('[data-focus]')?.focus();
        return () => {
            dialog.close();
            if (opener?.isConnected) opener.focus();
        };
    }, []);
    const cancel = (e) => {
        e.preventDefault();
        onClose();
    };
    return html`<dialog ref=${box} aria-labelledby=${id} onCancel=${cancel}>
        <div class="dialog-head">
            <h2 id=${id}>${title}</h2>
            <button type="button" class="quiet" aria-label="Close" onClick=${onClose}>✕</button>
        </div>
        ${children}
    </dialog>`;
}

// Asks before something that cannot be undone.  `action`: the word on its button; `run`: what it does (a Promise).
export function Confirm({ title, action, what, run, onClose, children }) {
    const [error, setError] = useState(null);
    const [busy, setBusy] = useState(false);
    const go = async () => {
        setBusy(true);
        try {
            await run();
            onClose();
        } catch (e) {
            setError(e);
            setBusy(false);
        }
    };
    return html`<${Dialog} title=${title} onClose=${onClose}>
        ${children}
        <${ErrorMessage} error=${error} what=${what} />
        <div class="buttons">
            <button type="button" data-focus onClick=${onClose}>Cancel</button>
            <button type="button" class="danger" disabled=${busy} onClick=${go}>${action}</button>
        </div>
    <//>`;
}
