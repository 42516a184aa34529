// shell.js -- what surrounds every page: header, navigation, the state of the connection, and the keys.

import { html, useEffect, useState } from '../html.js';
import { logout, may } from '../api.js';
import { useLive } from '../live.js';
import { time } from '../format.js';
import { focusFilter, KeysDialog, useKeys } from './keys.js';
import { ErrorMessage } from './message.js';
import { PasswordDialog } from './password.js';

// A lost connection often is back within a second: that needs no words.
const PATIENCE_MS = 1500;

// address, name, which paths belong to it, least role
const PLACES = [
    ['/fleet', 'Fleet', ([first]) => ['fleet', 'app', 'process'].includes(first), 'viewer'],
    ['/capture', 'New capture', ([first, id]) => first === 'capture' && !id, 'operator'],
    ['/captures', 'Captures', ([first, id]) => ['captures', 'profile'].includes(first) || (first === 'capture' && id),
        'viewer'],
    ['/admin', 'Admin', ([first]) => first === 'admin', 'admin'],
];

// As icon.svg.
const ICON = html`<svg viewBox="0 0 16 16" width="24" height="24" aria-hidden="true">
    <rect width="16" height="16" rx="3" fill="#1f4e79" />
    <path d="M3 12V8h2v4zm4 0V4h2v8zm4 0V6h2v6z" fill="#fff" /></svg>`;

function Navigation({ path }) {
    const mine = PLACES.filter(([, , , role]) => may(role));
    return html`<nav aria-label="Pages">
        ${mine.map(([address, name, has]) => html`<a key=${address} href=${address}
            aria-current=${has(path) ? 'page' : undefined}>${name}</a>`)}
    </nav>`;
}

// A line that is always there, so that a reader of the screen says what comes into it.
function Connection() {
    const { connected, loaded, since } = useLive(
        (s) => ({ connected: s.connected, loaded: s.loaded, since: s.since }),
        (a, b) => a.connected === b.connected && a.loaded === b.loaded && a.since === b.since);
    const [patient, setPatient] = useState(true);
    useEffect(() => {
        setPatient(true);
        const timer = setTimeout(() => setPatient(false), PATIENCE_MS);
        return () => clearTimeout(timer);
    }, [connected]);
    const lost = !connected && !patient;
    const text = !lost ? '' : loaded
        ? `The connection to the console is lost; what you see is of ${time(since)}. Trying again …`
        : 'The console does not answer. Trying again …';
    return html`<div class=${`connection${lost ? ' lost' : ''}`} role="status">${lost && html`<p>${text}</p>`}</div>`;
}

function Who({ session }) {
    const [open, setOpen] = useState('');
    const [error, setError] = useState(null);
    const close = () => setOpen('');
    useKeys([
        { key: '/', what: 'To the filter of this page', run: focusFilter },
        { key: '?', what: 'This list', run: () => setOpen('keys') },
    ]);
    return html`<div class="who">
        <span class="muted">${session.user.name} (${session.user.role})</span>
        <button type="button" class="quiet" aria-label="Keys" onClick=${() => setOpen('keys')}>?</button>
        <button type="button" class="quiet" onClick=${() => setOpen('password')}>Password</button>
        <button type="button" class="quiet" onClick=${() => logout().catch(setError)}>Log out</button>
        ${open === 'keys' && html`<${KeysDialog} onClose=${close} />`}
        ${open === 'password' && html`<${PasswordDialog} onClose=${close} />`}
        <${ErrorMessage} error=${error} what="You are not logged out" />
    </div>`;
}

export function Shell({ session, path, children }) {
    const name = session && session.console.name !== 'proctor' && session.console.name;
    const skip = (e) => {
        e.preventDefault();
        document.getElementById('content').focus();
    };
    return html`
        <a class="skip" href="#content" onClick=${skip}>To the content</a>
        <header>
            <a class="brand" href="/fleet">${ICON}
                <span>proctor</span>${name && html`<small>${name}</small>`}</a>
            ${session && html`<${Navigation} path=${path} />`}
            ${session && html`<${Who} session=${session} />`}
        </header>
        ${session && html`<${Connection} />`}
        <main id="content" tabindex="-1">${children}</main>`;
}
