// admin-tokens.js -- API tokens: make one, see them, remove one.

import { html, useMemo, useState } from '../html.js';
import { del, post, useLoad } from '../api.js';
import { set } from '../url.js';
import { ago, time } from '../format.js';
import { ROLES } from './admin-users.js';
import { CopyText } from './copy.js';
import { Confirm, Dialog } from './dialog.js';
import { Field } from './field.js';
import { Empty, ErrorMessage, Loading, Note } from './message.js';
import { Table } from './table.js';

const DAY = 86400000;
const EXPIRIES = [
    { value: 7 * DAY, label: '7 days' }, { value: 30 * DAY, label: '30 days' }, { value: 90 * DAY, label: '90 days' },
    { value: 365 * DAY, label: '1 year' }, { value: 0, label: 'never' },
];

// Shown once: whoever closes this without a copy makes another one.
function NewToken({ token, onClose }) {
    return html`<${Dialog} title=${`The token ${token.name}`} onClose=${onClose}>
        <p>Copy it now: it is shown only this once. Whoever has it may do what the role ${token.role} may do.</p>
        <${CopyText} label="The token" text=${token.token} />
        <p>Programs send it as <code>Authorization: Bearer …</code></p>
        <div class="buttons"><button type="button" onClick=${onClose}>Done</button></div>
    <//>`;
}

function AddToken({ onClose, onDone }) {
    const [state, setState] = useState({ busy: false, error: null });
    const submit = async (event) => {
        event.preventDefault();
        const form = new FormData(event.target);
        setState({ busy: true, error: null });
        try {
            const wish = { name: form.get('name'), role: form.get('role'), ttl_ms: Number(form.get('ttl')) };
            onDone(await post('tokens', wish));
        } catch (error) {
            setState({ busy: false, error });
        }
    };
    return html`<${Dialog} title="Make a token" onClose=${onClose}>
        <form onSubmit=${submit}>
            <${Field} label="What it is for" name="name" required maxlength="64" autocomplete="off" data-focus />
            <${Field} label="Role" name="role" options=${ROLES} hint="It never may do more than you may." />
            <${Field} label="Expires after" name="ttl" options=${EXPIRIES} defaultValue=${90 * DAY} />
            <${ErrorMessage} error=${state.error} />
            <div class="buttons">
                <button type="button" onClick=${onClose}>Cancel</button>
                <button type="submit" class="primary" disabled=${state.busy}>Make</button>
            </div>
        </form>
    <//>`;
}

// The time of the day is for those who have the room.
function day(ms) {
    const text = time(ms);
    return html`${text.slice(0, 10)}<span class="roomy">${text.slice(10)}</span>`;
}

function expiry(token) {
    if (token.expires_ms === null) return 'never';
    return token.expires_ms <= Date.now() ? html`<span class="badge bad">expired</span>` : day(token.expires_ms);
}

const makeColumns = (remove) => [
    { id: 'name', label: 'For', head: true, wide: true, value: (t) => t.name,
        cell: (t) => html`${t.name}<small class="cramped"> ${t.role}</small>` },
    { id: 'role', label: 'Role', narrow: true, value: (t) => t.role, cell: (t) => t.role },
    { id: 'owner', label: 'Made by', narrow: true, value: (t) => t.owner, cell: (t) => t.owner || 'command line' },
    {
        id: 'created', label: 'Made', spare: true, down: true, value: (t) => t.created_ms,
        cell: (t) => time(t.created_ms),
    },
    { id: 'expires', label: 'Expires', value: (t) => t.expires_ms, cell: expiry },
    {
        id: 'used', label: 'Last used', spare: true, down: true, value: (t) => t.used_ms,
        cell: (t) => (t.used_ms === null ? 'never' : ago(t.used_ms)),
    },
    {
        id: 'actions', label: 'Actions', cell: (t) => html`<button type="button" aria-label=${`Remove – ${t.name}`}
            onClick=${() => remove(t)}>Remove</button>`,
    },
];

export function TokensTab({ params }) {
    const { data, error, loading, reload } = useLoad('tokens');
    const [adding, setAdding] = useState(false);
    const [made, setMade] = useState(null);
    const [removing, remove] = useState(null);
    const [said, say] = useState('');
    const columns = useMemo(() => makeColumns(remove), []);
    const onMade = (token) => {
        setAdding(false);
        setMade(token);
        reload();
    };
    const removeIt = async () => {
        await del(`tokens/${removing.id}`);
        say(`The token ${removing.name} is removed.`);
        reload();
    };
    return html`
        <div class="toolbar">
            <button type="button" class="primary" onClick=${() => setAdding(true)}>Make a token</button>
        </div>
        <div role="status">${said && html`<${Note} kind="good"><p>${said}</p><//>`}</div>
        <${ErrorMessage} error=${error} what="The tokens are not known" retry=${reload} />
        ${loading && !data && html`<${Loading} />`}
        ${data?.tokens.length === 0 && html`<${Empty} title="There are no tokens">
            <p>Programs use the API with a token, with a role and an end of its own.</p><//>`}
        ${data?.tokens.length > 0 && html`<${Table} label="Tokens" columns=${columns} rows=${data.tokens}
            keyOf=${(t) => t.id} sort=${params.sort ?? '-created'}
            onSort=${(sort) => set({ sort }, { replace: true })} />`}
        ${adding && html`<${AddToken} onClose=${() => setAdding(false)} onDone=${onMade} />`}
        ${made && html`<${NewToken} token=${made} onClose=${() => setMade(null)} />`}
        ${removing && html`<${Confirm} title=${`Remove the token ${removing.name}?`} action="Remove"
            run=${removeIt} onClose=${() => remove(null)}><p>Programs that use it are refused from now on.</p><//>`}`;
}
