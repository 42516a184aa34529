// url.js -- the state of a page is its URL: reading it, changing it, and links.

import { useEffect, useState } from './html.js';

const listeners = new Set();

function decode(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

// { path: ['profile', ID], params: { name: value } }.  Pure.
export function parse(location) {
    return {
        path: location.pathname.split('/').filter(Boolean).map(decode),
        params: Object.fromEntries(new URLSearchParams(location.search)),
    };
}

// A query without what is null, undefined or ''.  Commas and slashes stay readable.
function query(params) {
    const pairs = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== '');
    return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)
        .replace(/%2C/g, ',').replace(/%2F/g, '/')}`).join('&');
}

// href(['app', 'api'], { range: '1h' }) → '/app/api?range=1h'
export function href(path, params = {}) {
    const text = query(params);
    return `/${path.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

// The same-origin part of an address; '/' for anything else (what comes in ?next= is foreign).
export function local(text) {
    try {
        const url = new URL(text, location.origin);
        if (url.origin === location.origin) return url.pathname + url.search + url.hash;
    } catch {
        // Not an address.
    }
    return '/';
}

function tell() {
    for (const listener of [...listeners]) listener();
}

// To another page, or state.  `replace`: the Back button skips the present one.
export function go(to, { replace = false } = {}) {
    const target = local(to);
    if (target === location.pathname + location.search + location.hash) return;
    if (replace) history.replaceState(null, '', target);
    else history.pushState(null, '', target);
    tell();
}

// Changes parameters of the present page; null or '' removes one.  `replace` for what is typed or dragged.
export function set(changes, { replace = false } = {}) {
    const { path, params } = parse(location);
    go(href(path, { ...params, ...changes }) + location.hash, { replace });
}

export function onUrl(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

addEventListener('popstate', tell);

export function useUrl() {
    const [at, setAt] = useState(location.href);
    useEffect(() => {
        const look = () => setAt(location.href);
        look();
        return onUrl(look);
    }, []);
    return { ...parse(new URL(at)), go, set };
}

// Plain clicks on links to our own pages do not load the page anew.  Downloads, new tabs and the API do as always.
export function catchLinks(root) {
    root.addEventListener('click', (event) => {
        const link = event.target.closest?.('a[href]');
        const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
        if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute('download')) return;
        if (link.origin !== location.origin || /^\/api\/|\.[a-z]+$/.test(link.pathname)) return;
        // To a place in this page.
        if (link.hash && link.pathname + link.search === location.pathname + location.search) return;
        event.preventDefault();
        go(link.href);
    });
}
