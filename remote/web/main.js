// main.js -- starts the page: who is it, live connection, and from the URL to a page.
//
// A page is a module of pages/ that is loaded when it is needed.  It exports by default a component that gets
// { path, params } and begins with its one <h1>; `styles`, if it exports that, names its own style sheets.

import { html, render, useEffect, useErrorBoundary, useState } from './html.js';
import { catchLinks, go, href, local, useUrl } from './url.js';
import { hasLeft, loadSession, may, session, useSession } from './api.js';
import { connect, disconnect } from './live.js';
import { Shell } from './parts/shell.js';
import { ErrorMessage, Loading } from './parts/message.js';

// first word of the path → what loads its module, how many words the path may have, who may see it
const PAGES = {
    login: { load: () => import('./pages/login.js'), words: [1, 1] },
    fleet: { load: () => import('./pages/fleet.js'), words: [1, 1] },
    capture: { load: () => import('./pages/capture.js'), words: [1, 2] },
    captures: { load: () => import('./pages/captures.js'), words: [1, 1] },
    profile: { load: () => import('./pages/profile.js'), words: [2, 2] },
    app: { load: () => import('./pages/app.js'), words: [2, 2] },
    process: { load: () => import('./pages/process.js'), words: [4, 4] },
    admin: { load: () => import('./pages/admin.js'), words: [1, 1], role: 'admin' },
};

function findPage(path) {
    const page = Object.hasOwn(PAGES, path[0]) ? PAGES[path[0]] : null;
    return page && path.length >= page.words[0] && path.length <= page.words[1] ? page : null;
}

// ---- style sheets of pages -----------------------------------------------------------------------------------------

const sheets = new Map();

function loadSheet(path) {
    if (!sheets.has(path)) {
        sheets.set(path, new Promise((resolve) => {
            const link = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: path });
            // A page without its style is better than none.
            link.onload = link.onerror = resolve;
            document.head.append(link);
        }));
    }
    return sheets.get(path);
}

async function loadPage(page) {
    const module = await page.load();
    await Promise.all((module.styles ?? []).map(loadSheet));
    return module.default;
}

// ---- pages ---------------------------------------------------------------------------------------------------------

function Sorry({ title, children }) {
    return html`<h1>${title}</h1><div class="empty">${children}<p><a href="/fleet">Go to the fleet</a></p></div>`;
}

const NotFound = () => html`<${Sorry} title="There is no such page">
    <p>No page of the console has this address.</p><//>`;
const NotAllowed = () => html`<${Sorry} title="This page is for admins">
    <p>Your role is ${session().user.role}.</p><//>`;

// What a page throws while it is drawn ends that page only.
function Guard({ children }) {
    const [error, reset] = useErrorBoundary((e) => console.error(e));
    if (!error) return children;
    return html`<h1>Something went wrong</h1>
        <${ErrorMessage} error=${error} what="This page could not be drawn" retry=${reset} />`;
}

function usePage(page) {
    const [state, setState] = useState({ page: null });
    const [turn, setTurn] = useState(0);
    useEffect(() => {
        if (!page) return undefined;
        let wanted = true;
        const done = (found) => wanted && setState({ page, ...found });
        loadPage(page).then((View) => done({ View }), (error) => done({ error }));
        return () => {
            wanted = false;
        };
    }, [page, turn]);
    const retry = () => {
        setState({ page: null });
        setTurn((n) => n + 1);
    };
    return { ...(state.page === page ? state : {}), retry };
}

// A reader of the screen is told where it is: the focus goes to the page's title, but not at the very first one.
let place = null;

function arrive(name) {
    const title = document.querySelector('main h1');
    if (!title) return;
    document.title = `${title.textContent} – proctor`;
    if (place !== null && place !== name) {
        scrollTo(0, 0);
        title.tabIndex = -1;
        title.focus({ preventScroll: true });
    }
    place = name;
}

function Content({ path, params }) {
    const page = findPage(path);
    const denied = page?.role && !may(page.role);
    const { View, error, retry } = usePage(denied ? null : page);
    const name = path.join('/');
    const ready = !page || denied || View || error;
    useEffect(() => {
        if (ready) arrive(name);
    }, [name, Boolean(ready)]);
    if (!page) return html`<${NotFound} />`;
    if (denied) return html`<${NotAllowed} />`;
    if (error) {
        return html`<h1>This page could not be loaded</h1>
            <${ErrorMessage} error=${new Error('The console may be away, or was just updated.')} retry=${retry} />`;
    }
    if (!View) return html`<${Loading} what="Loading the page" />`;
    return html`<${Guard} key=${name}><${View} path=${path} params=${params} /><//>`;
}

// ---- from the URL to a page ----------------------------------------------------------------------------------------

// Where one must be instead; null: here.
function elsewhere(known, path, params) {
    if (!known && path[0] !== 'login') {
        const next = location.pathname + location.search;
        return href(['login'], { next: next === '/' || hasLeft() ? null : next });
    }
    return known && path[0] === 'login' ? local(params.next ?? '/') : null;
}

function App() {
    const known = useSession();
    const { path: words, params } = useUrl();
    const path = words.length ? words : ['fleet'];
    const to = elsewhere(known, path, params);
    useEffect(() => {
        if (to) go(to, { replace: true });
    }, [to]);
    useEffect(() => {
        if (!known) return undefined;
        connect();
        return disconnect;
    }, [known?.user.name]);
    if (to) return null;
    return html`<${Shell} session=${known} path=${path}><${Content} path=${path} params=${params} /><//>`;
}

// ---- start ---------------------------------------------------------------------------------------------------------

function Away({ error }) {
    return html`<main><h1>The console does not answer</h1>
        <${ErrorMessage} error=${error} retry=${() => location.reload()} /></main>`;
}

// Another tab may have logged out, or in as somebody else.
function lookAgain() {
    if (session() && document.visibilityState === 'visible') loadSession().catch(() => {});
}

async function start() {
    const root = document.getElementById('app');
    catchLinks(document);
    document.addEventListener('visibilitychange', lookAgain);
    try {
        await loadSession();
        render(html`<${App} />`, root);
    } catch (error) {
        render(html`<${Away} error=${error} />`, root);
    }
}

start();
