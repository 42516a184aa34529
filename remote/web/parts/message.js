// message.js -- what a page says when there is nothing else to show: errors, notes, waiting, empty.

import { html } from '../html.js';

// An error as a sentence.  `what`: what could not be done ("The user was not added").  `retry`: a function.
export function ErrorMessage({ error, what, retry }) {
    if (!error) return null;
    return html`<div class="message error" role="alert">
        <p>${what ? `${what}: ` : ''}${error.message || String(error)}</p>
        ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
    </div>`;
}

// kind: 'note', 'good', 'warning'
export function Note({ kind = 'note', children }) {
    return html`<div class=${`message ${kind}`}>${children}</div>`;
}

// Shown late by the style, so that what comes at once does not flicker.
export function Loading({ what = 'Loading' }) {
    return html`<p class="loading" role="status">${what} …</p>`;
}

// An empty state teaches: what would be here, and how it gets here.
export function Empty({ title, children }) {
    return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}
