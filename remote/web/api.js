// api.js -- requests to the console's API, and who is logged in.
//
// A path is relative to /api/v1/: get('captures?limit=50').  Every failure is an ApiError whose message is a sentence
// for people.  A 401 ends the session here: main.js then shows the login page.

import { useCallback, useEffect, useState } from './html.js';

const ROLES = ['viewer', 'operator', 'admin'];
// Reading a large profile takes its time; no answer takes longer than this.
const PATIENCE_MS = 60000;

export class ApiError extends Error {
    constructor(status, code, message) {
        super(message);
        this.name = 'ApiError';
        this.status = status;
        this.code = code;
    }
}

let current = null; // the session
let csrf = null;
let reason = ''; // why there is none any more
let left = false; // somebody logged out here
const listeners = new Set();

function change(session, why) {
    current = session;
    csrf = session?.csrf ?? null;
    reason = why;
    for (const listener of [...listeners]) listener(current);
}

// ---- requests ------------------------------------------------------------------------------------------------------

async function send(method, path, body, signal) {
    const headers = { Accept: 'application/json' };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (method !== 'GET' && csrf) headers['X-CSRF-Token'] = csrf;
    const signals = [AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])];
    try {
        return await fetch(`/api/v1/${path}`, {
            method, headers, cache: 'no-store', credentials: 'same-origin', redirect: 'error',
            body: body === undefined ? undefined : JSON.stringify(body), signal: AbortSignal.any(signals),
        });
    } catch (e) {
        if (signal?.aborted) throw e;
        if (e.name === 'TimeoutError') throw new ApiError(0, 'TIMEOUT', 'The console did not answer within a minute.');
        throw new ApiError(0, 'UNREACHABLE', 'The console cannot be reached.');
    }
}

// The API's sentences begin small and have no full stop: here they stand alone.
function sentence(text) {
    const whole = text.charAt(0).toUpperCase() + text.slice(1);
    return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}

async function failure(reply) {
    const json = await reply.json().catch(() => null);
    const { name = 'FAILED', message = `the console answered with status ${reply.status}` } = json?.error ?? {};
    const wait = Number(reply.headers.get('Retry-After'));
    const more = wait > 0 ? ` Try again in ${wait} s.` : '';
    return new ApiError(reply.status, name, sentence(message) + more);
}

async function request(method, path, body, { signal } = {}) {
    const reply = await send(method, path, body, signal);
    if (reply.status === 204) return null;
    if (reply.ok) {
        return reply.json().catch(() => {
            throw new ApiError(reply.status, 'SYNTAX', 'The console\'s answer was cut off.');
        });
    }
    const error = await failure(reply);
    if (error.status === 401 && current) sessionEnded();
    throw error;
}

// `signal`: an AbortSignal; what was aborted rejects with an AbortError.
export const get = (path, options) => request('GET', path, undefined, options);
export const post = (path, body = {}, options) => request('POST', path, body, options);
export const del = (path, options) => request('DELETE', path, undefined, options);

// { data, error, loading, reload } of a path; null asks for nothing.  What was there stays while it is asked again.
export function useLoad(path) {
    const [state, setState] = useState({ path: null, data: null, error: null, loading: path !== null });
    const [turn, setTurn] = useState(0);
    useEffect(() => {
        if (path === null) return undefined;
        const control = new AbortController();
        setState((old) => ({ path, data: old.path === path ? old.data : null, error: null, loading: true }));
        get(path, { signal: control.signal }).then(
            (data) => setState({ path, data, error: null, loading: false }),
            (error) => control.signal.aborted || setState((old) => ({ ...old, error, loading: false })));
        return () => control.abort();
    }, [path, turn]);
    const reload = useCallback(() => setTurn((n) => n + 1), []);
    const fresh = state.path === path;
    return {
        data: fresh ? state.data : null,
        error: fresh ? state.error : null,
        loading: path !== null && (state.loading || !fresh),
        reload,
    };
}

// ---- the session ---------------------------------------------------------------------------------------------------

// { user: { name, role }, console: { name, version } }, or null.
export const session = () => current;

// Why somebody must log in again; ''.
export const sessionReason = () => reason;

// Was it by their own wish?  Then the next one need not go on where they were.
export const hasLeft = () => left;

export function may(role) {
    return current !== null && ROLES.indexOf(current.user.role) >= ROLES.indexOf(role);
}

export function onSession(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

export function useSession() {
    const [value, setValue] = useState(current);
    useEffect(() => {
        setValue(current);
        return onSession(setValue);
    }, []);
    return value;
}

// Asks who we are.  Nobody is no error.
export async function loadSession(options) {
    try {
        change(await request('GET', 'session', undefined, options), '');
    } catch (e) {
        // request() has ended the session, if there was one.
        if (e.status !== 401) throw e;
    }
}

export async function login(name, password) {
    const { csrf: fresh } = await request('POST', 'login', { name, password });
    left = false;
    change({ ...await request('GET', 'session'), csrf: fresh }, '');
}

export async function logout() {
    await request('POST', 'logout', {});
    left = true;
    change(null, '');
}

export function sessionEnded() {
    if (current) change(null, 'Your session has ended. Log in again.');
}
