// field.js -- a labelled field of a form.

import { html, useId } from '../html.js';

// All else (type, name, value, onInput, required, …) goes to the <input>, or with `options` ([{ value, label }]) to a
// <select>.  `hint`: a sentence below it.
export function Field({ label, hint, options, ...rest }) {
    const id = useId();
    const about = hint ? `${id}-hint` : undefined;
    return html`<div class="field">
        <label for=${id}>${label}</label>
        ${options
            ? html`<select id=${id} aria-describedby=${about} ...${rest}>
                ${options.map((o) => html`<option key=${o.value} value=${o.value}>${o.label}</option>`)}
            </select>`
            : html`<input id=${id} aria-describedby=${about} ...${rest} />`}
        ${hint && html`<p class="hint" id=${about}>${hint}</p>`}
    </div>`;
}
