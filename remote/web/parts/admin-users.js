// admin-users.js -- accounts: add, role, password, remove.

import { html, useMemo, useState } from '../html.js';
import { del, post, useLoad, useSession } from '../api.js';
import { set } from '../url.js';
import { time } from '../format.js';
import { Confirm, Dialog } from './dialog.js';
import { Field } from './field.js';
import { ErrorMessage, Loading, Note } from './message.js';
import { PASSWORD_MIN } from './password.js';
import { Table } from './table.js';

export const ROLES = [
    { value: 'viewer', label: 'viewer – sees everything' },
    { value: 'operator', label: 'operator – also captures' },
    { value: 'admin', label: 'admin – also users, tokens, hosts' },
];

const userPath = (name, what = '') => `users/${encodeURIComponent(name)}${what}`;

// A dialog with fields.  `send(form)` does it; then `onDone`.
function FormDialog({ title, action, send, onClose, onDone, children }) {
    const [state, setState] = useState({ busy: false, error: null });
    const submit = async (event) => {
        event.preventDefault();
        const form = Object.fromEntries(new FormData(event.target));
        setState({ busy: true, error: null });
        try {
            await send(form);
            onDone();
        } catch (error) {
            setState({ busy: false, error });
        }
    };
    return html`<${Dialog} title=${title} onClose=${onClose}>
        <form onSubmit=${submit}>
            ${children}
            <${ErrorMessage} error=${state.error} />
            <div class="buttons">
                <button type="button" onClick=${onClose}>Cancel</button>
                <button type="submit" class="primary" disabled=${state.busy}>${action}</button>
            </div>
        </form>
    <//>`;
}

const passwordField = (name) => html`<${Field} label=${name} name="password" type="password" autocomplete="new-password"
    required minlength=${PASSWORD_MIN} hint=${`At least ${PASSWORD_MIN} characters.`} />`;

function AddUser(props) {
    return html`<${FormDialog} ...${props} title="Add a user" action="Add" send=${(form) => post('users', form)}>
        <${Field} label="Name" name="name" required maxlength="64" pattern="[A-Za-z0-9][A-Za-z0-9._@\\-]*" data-focus
            autocomplete="off" autocapitalize="none" spellcheck="false"
            hint="Letters, digits, and . _ @ - after the first." />
        <${Field} label="Role" name="role" options=${ROLES} />
        ${passwordField('Password')}
    <//>`;
}

function ChangeRole({ user, ...props }) {
    const send = ({ role }) => post(userPath(user.name, '/role'), { role });
    return html`<${FormDialog} ...${props} title=${`Role of ${user.name}`} action="Change" send=${send}>
        <${Field} label="Role" name="role" options=${ROLES} defaultValue=${user.role} data-focus />
    <//>`;
}

function SetPassword({ user, ...props }) {
    const send = ({ password }) => post(userPath(user.name, '/password'), { password });
    return html`<${FormDialog} ...${props} title=${`Password of ${user.name}`} action="Set" send=${send}>
        ${passwordField('New password')}
        <p class="muted">All sessions of ${user.name} end.</p>
    <//>`;
}

function RemoveUser({ user, onClose, onDone }) {
    const run = async () => {
        await del(userPath(user.name));
        onDone();
    };
    return html`<${Confirm} title=${`Remove ${user.name}?`} action="Remove" run=${run} onClose=${onClose}>
        <p>The account, its sessions and its tokens go. What it did stays in the audit log.</p>
    <//>`;
}

const DIALOGS = { add: AddUser, role: ChangeRole, password: SetPassword, remove: RemoveUser };
const SAID = {
    add: 'The user is added.', role: 'The role is changed.', password: 'The password is set.',
    remove: 'The user is removed.',
};

function makeColumns(me, ask) {
    const button = (user, what, word) => html`<button type="button" aria-label=${`${word} – ${user.name}`}
        onClick=${() => ask({ what, user })}>${word}</button>`;
    return [
        {
            id: 'name', label: 'Name', head: true, wide: true, value: (u) => u.name,
            cell: (u) => `${u.name}${u.name === me ? ' (you)' : ''}`,
        },
        { id: 'role', label: 'Role', value: (u) => u.role, cell: (u) => u.role },
        {
            id: 'created', label: 'Added', narrow: true, down: true, value: (u) => u.created_ms,
            cell: (u) => time(u.created_ms),
        },
        {
            id: 'actions', label: 'Actions', cell: (u) => html`<div class="row-buttons">
                ${button(u, 'role', 'Role')}${button(u, 'password', 'Password')}
                ${u.name !== me && button(u, 'remove', 'Remove')}</div>`,
        },
    ];
}

export function UsersTab({ params }) {
    const me = useSession()?.user.name;
    const { data, error, loading, reload } = useLoad('users');
    const [asked, ask] = useState(null);
    const [said, say] = useState('');
    const columns = useMemo(() => makeColumns(me, ask), [me]);
    const done = () => {
        say(SAID[asked.what]);
        ask(null);
        reload();
    };
    const Asked = asked && DIALOGS[asked.what];
    return html`
        <div class="toolbar">
            <button type="button" class="primary" onClick=${() => ask({ what: 'add' })}>Add a user</button>
        </div>
        <div role="status">${said && html`<${Note} kind="good"><p>${said}</p><//>`}</div>
        <${ErrorMessage} error=${error} what="The users are not known" retry=${reload} />
        ${loading && !data && html`<${Loading} />`}
        ${data && html`<${Table} label="Users" columns=${columns} rows=${data.users} keyOf=${(u) => u.name}
            sort=${params.sort ?? 'name'} onSort=${(sort) => set({ sort }, { replace: true })} />`}
        ${Asked && html`<${Asked} user=${asked.user} onClose=${() => ask(null)} onDone=${done} />`}`;
}
