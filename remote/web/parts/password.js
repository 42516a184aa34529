// password.js -- the dialog in which somebody changes their own password.

import { html, useState } from '../html.js';
import { post } from '../api.js';
import { Dialog } from './dialog.js';
import { Field } from './field.js';
import { ErrorMessage, Note } from './message.js';

export const PASSWORD_MIN = 10;

export function PasswordDialog({ onClose }) {
    const [state, setState] = useState({ busy: false, error: null, done: false });
    const change = async (event) => {
        event.preventDefault();
        const form = new FormData(event.target);
        if (form.get('new') !== form.get('again')) {
            setState({ error: new Error('The two new passwords are not the same.') });
            return;
        }
        setState({ busy: true });
        try {
            await post('password', { old: form.get('old'), new: form.get('new') });
            setState({ done: true });
        } catch (error) {
            setState({ error });
        }
    };
    if (state.done) {
        return html`<${Dialog} title="Change your password" onClose=${onClose}>
            <${Note} kind="good">Your password is changed. Your other sessions have ended.<//>
            <div class="buttons"><button type="button" data-focus onClick=${onClose}>Close</button></div>
        <//>`;
    }
    return html`<${Dialog} title="Change your password" onClose=${onClose}>
        <form onSubmit=${change}>
            <${Field} label="Present password" name="old" type="password" autocomplete="current-password" required
                data-focus />
            <${Field} label="New password" name="new" type="password" autocomplete="new-password" required
                minlength=${PASSWORD_MIN} hint=${`At least ${PASSWORD_MIN} characters.`} />
            <${Field} label="New password again" name="again" type="password" autocomplete="new-password" required />
            <${ErrorMessage} error=${state.error} />
            <div class="buttons">
                <button type="button" onClick=${onClose}>Cancel</button>
                <button type="submit" class="primary" disabled=${state.busy}>Change</button>
            </div>
        </form>
    <//>`;
}
