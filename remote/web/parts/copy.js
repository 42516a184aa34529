// copy.js -- a text to be taken along, with a button that copies it.

import { html, useRef, useState } from '../html.js';

// `label`: what it is ("The token").  Where the clipboard is closed to us the text is marked instead.
export function CopyText({ label, text }) {
    const code = useRef(null);
    const [said, setSaid] = useState('');
    const copy = async () => {
        try {
            await navigator.clipboard.writeText(text);
            setSaid('Copied.');
        } catch {
            getSelection().selectAllChildren(code.current);
            setSaid('Marked: copy it with your keyboard.');
        }
    };
    return html`<div class="copy">
        <code ref=${code} tabindex="0" role="group" aria-label=${label}>${text}</code>
        <button type="button" onClick=${copy} aria-label=${`Copy: ${label}`}>Copy</button>
        <span role="status">${said}</span>
    </div>`;
}
