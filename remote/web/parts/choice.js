// choice.js -- one of a few: radio buttons that look like one switch, so that arrow keys work by themselves.

import { html } from '../html.js';

// choices: { id: text }
export function Choice({ label, name, value, choices, onChange }) {
    return html`<fieldset class="choice">
        <legend>${label}</legend>
        ${Object.entries(choices).map(([id, text]) => html`<label key=${id}>
            <input type="radio" name=${name} value=${id} checked=${id === value} onChange=${() => onChange(id)} />
            <span>${text}</span>
        </label>`)}
    </fieldset>`;
}
