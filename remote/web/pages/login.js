// login.js -- the log-in page.  main.js goes on to ?next= once there is a session.

import { html, useEffect, useRef, useState } from '../html.js';
import { login, sessionReason } from '../api.js';
import { Field } from '../parts/field.js';
import { ErrorMessage, Note } from '../parts/message.js';

export default function Login() {
    const form = useRef(null);
    const [state, setState] = useState({ busy: false, error: null });
    useEffect(() => form.current.elements.name.focus(), []);
    const submit = async (event) => {
        event.preventDefault();
        const { name, password } = form.current.elements;
        setState({ busy: true, error: null });
        try {
            await login(name.value, password.value);
        } catch (error) {
            setState({ busy: false, error });
            password.value = '';
            password.focus();
        }
    };
    return html`<div class="login">
        <h1>Log in</h1>
        ${sessionReason() && html`<${Note}><p>${sessionReason()}</p><//>`}
        <form ref=${form} onSubmit=${submit}>
            <${Field} label="Name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false"
                required />
            <${Field} label="Password" name="password" type="password" autocomplete="current-password" required />
            <${ErrorMessage} error=${state.error} />
            <button type="submit" class="primary" disabled=${state.busy}>Log in</button>
        </form>
    </div>`;
}
