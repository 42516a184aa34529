// profile.js -- /profile/ID: one result, as a table of functions and as a flame graph; both in step.
//
// What is shown stands in the URL: view, sort, search, colour, invert, up, focus (key of a function), zoom and at
// (boxes of the picture that invert and focus make; the same profile gives the same boxes).

import { html, useMemo } from '../html.js';
import { may, useLoad } from '../api.js';
import { useLazyParam } from '../flame/lazy.js';
import { Legend } from '../flame/legend.js';
import { keyOf, nameOf } from '../flame/names.js';
import { Relatives } from '../flame/relatives.js';
import { VIEWS, boxOf, openProfile, pictureFor, search, shareText } from '../flame/state.js';
import { FlameView } from '../flame/view.js';
import { useLive } from '../live.js';
import { Failure, againHref } from '../parts/capture-row.js';
import { Empty, ErrorMessage, Loading, Note } from '../parts/message.js';
import { useKeys } from '../parts/keys.js';
import { ProfileBar } from '../parts/profile-bar.js';
import { ProfileHead, idleText, titleOf } from '../parts/profile-head.js';
import { ProfileTable } from '../parts/profile-table.js';
import { useTitle } from '../parts/title.js';
import { hasEnded, standing } from '../phases.js';
import { nameOf as nameOfProcess } from '../processes.js';
import { href, set, useUrl } from '../url.js';

export const styles = ['/pages/profile.css', '/flame/flame.css'];

const TABLE_ROWS = 5000;   // LIMIT_TABLE_ROWS of the console
const NEARLY_IDLE = 0.99;

// ---- what the console says -----------------------------------------------------------------------

// The functions by their own cost; with those by their whole cost when the console did not send all.
function useTop(path) {
    const top = useLoad(path && `${path}/top`);
    const cut = top.data?.functions.length >= TABLE_ROWS;
    const more = useLoad(cut ? `${path}/top?sort=total` : null);
    const rows = useMemo(() => joined(top.data?.functions ?? [], more.data?.functions ?? []), [top.data, more.data]);
    return { ...top, rows };
}

function joined(a, b) {
    const known = new Set(a.map(keyOf));
    return [...a, ...b.filter((f) => !known.has(keyOf(f)))];
}

// ---- pages without a result ----------------------------------------------------------------------

function NotYet({ capture }) {
    return html`<${Empty} title=${`This capture of ${nameOfProcess(capture)} is not over: ${standing(capture)}`}>
            <p>Its profile opens here by itself when it is stored.</p>
            <p><a class="button primary" href=${href(['capture', capture.order])}>Watch the capture</a></p>
        <//>`;
}

function Failed({ capture }) {
    const title = `This capture of ${nameOfProcess(capture)} has no profile`;
    return html`<div role="alert">
            ${capture.error ? html`<p>${title}.</p><${Failure} capture=${capture} />`
            : html`<${Empty} title=${`${title}: ${standing(capture)}`}><//>`}
        </div>
        ${may('operator') && html`<p><a class="button" href=${againHref([capture])}>Capture again</a></p>`}`;
}

function NoProfile({ error, reload }) {
    const none = error.status === 404 || error.status === 400;
    const retry = none ? undefined : reload;
    return html`<${ErrorMessage} error=${error} what="This profile cannot be shown" retry=${retry} />
        <p><a href=${href(['captures'])}>All captures</a></p>`;
}

function Removed() {
    return html`<${Empty} title="The bytes of this profile were removed">
        <p>By hand, or by retention (age or disk space). Profiles that are kept are left alone.</p><//>`;
}

// ---- results that cannot be shown ----------------------------------------------------------------

const UNREADABLE = {
    FAILED: 'The program that reads profiles ended over it; the console goes on. Try again; if it stays so, download it '
        + 'for a tool of your own, and look at the log of the console.',
    ETIMEDOUT: 'Try again when the console has less to do. A shorter capture, or a longer interval, makes a smaller one.',
    UNSUPPORTED: 'Download it, and open it in the tool it was made for.',
    SYNTAX: 'Download it to see what there is; what was cut off cannot be read. Capture again for a whole one.',
    INVALID: 'Download it to see what there is. Capture again for a whole one.',
    TOO_BIG: 'Download it for a tool of your own. A shorter capture, or a longer interval, makes a smaller one.',
    BUSY: 'Other profiles are being read. Wait a moment.',
    NOT_FOUND: 'It was removed meanwhile.',
};

function Unreadable({ error, reload }) {
    return html`<${ErrorMessage} error=${error} what="It could not be read" retry=${reload} />
        <p>${UNREADABLE[error.code] ?? 'The profile itself is safe: download it, or try again. The log of the console says more.'}</p>`;
}

function Nothing({ kind, top }) {
    if (kind === 'heap') {
        return html`<${Empty} title="Nothing was sampled">
            <p>While this ran, the app allocated nothing that was still alive at the end. Capture longer, while it
                works.</p><//>`;
    }
    return html`<${Empty} title=${`Nothing ran${top.all > 0 ? `: idle ${idleText(top)}` : ''}`}>
        <p>The app waited all the time. Capture again while it has something to do.</p><//>`;
}

function IdleNote({ top }) {
    if (!(top.idle / top.all >= NEARLY_IDLE)) return null;
    return html`<${Note}><p>Hardly anything ran: idle ${idleText(top)}. Shares are of the little that did.</p><//>`;
}

// ---- the result ----------------------------------------------------------------------------------

// The greatest first, unless a "-" says otherwise; the table has it the other way round.  (Its own inverse.)
const turnSort = (sort) => (/^-?(self|total)$/.test(sort) ? (sort.startsWith('-') ? sort.slice(1) : `-${sort}`) : sort);

function readParams(params) {
    return {
        view: VIEWS.includes(params.view) ? params.view : 'both',
        colour: params.colour === 'self' ? 'self' : 'package',
        inverted: params.invert === '1', up: params.up === '1', focus: params.focus ?? '', sort: params.sort || 'self',
    };
}

// Everything that follows from the profile and the URL.
function useShown(profile) {
    const { params } = useUrl();
    const state = readParams(params);
    const [text, setText] = useLazyParam('search');
    const [at, setAt, dropAt] = useLazyParam('at');
    const { picture, focused } = useMemo(() => pictureFor(profile, { focus: state.focus, invert: state.inverted }),
        [profile, state.focus, state.inverted]);
    const found = useMemo(() => search(profile, text), [profile, text]);
    const zoom = boxOf(picture, params.zoom), cursor = at === '' ? -1 : boxOf(picture, at);
    const chosen = cursor >= 0 ? picture.func[cursor] : focused;
    return { ...state, text, setText, setAt, dropAt, picture, focused, found, zoom, cursor, chosen };
}

function Flame({ profile, shown, turn, onFocus, onBack }) {
    const { picture, setAt, focus, focused } = shown;
    const onZoom = (box) => {
        setAt(String(box));
        set({ zoom: box === picture.root ? null : box });
    };
    const rest = profile.rest > 0 ? `${shareText(profile, profile.rest)} of it is too small to be shown.` : '';
    // What is no code has no callers: it stands for everything.
    const onBoxFocus = (func) => {
        const f = picture.functions[func];
        if (f.role === 'root' || f.role === 'rest') turn({ focus: null });
        else onFocus(keyOf(f));
    };
    return html`<section class="profile-flame" aria-label="Flame graph">
        ${focus && focused < 0 && html`<p class="hint">The focused function is too small for the picture, or not in this
            profile: everything is shown. <button type="button" class="quiet" onClick=${() => turn({ focus: null })}>
                Clear the focus</button></p>`}
        <${FlameView} ...${shown} profile=${profile} label=${labelOf(profile, shown)}
            onCursor=${(box) => setAt(String(box))} onZoom=${onZoom} onFocus=${onBoxFocus} onBack=${onBack} />
        <${Legend} profile=${profile} colour=${shown.colour} />
        <p id="flame-keys" class="hint">Arrows walk, Enter zooms, f focuses a function, Escape goes back, Home is the
            root. Double click focuses. ${rest}</p>
    </section>`;
}

function labelOf(profile, { inverted, focused }) {
    const of = focused >= 0 ? ` of ${nameOf(profile.tree.functions[focused])}` : '';
    const what = inverted ? 'Callers' : focused >= 0 ? 'Callers and callees' : 'Calls';
    return `${what}${of}. The table says the same in words.`;
}

function Result({ tree, rows, top }) {
    const profile = useMemo(() => openProfile(tree), [tree]);
    const shown = useShown(profile);
    const { view, focus, focused, picture, text, sort, zoom } = shown;
    // Another picture: boxes of this one mean nothing there.
    const turn = (changes) => {
        shown.dropAt();
        set({ ...changes, zoom: null, at: null });
    };
    const onFocus = (key) => turn({ focus: key === focus ? null : key });
    const onBack = () => {
        if (zoom !== picture.root) set({ zoom: null });
        else if (focus) turn({ focus: null });
        else if (text) shown.setText('');
    };
    useKeys([
        { key: 'i', what: 'Callers first, or calls first', run: () => turn({ invert: shown.inverted ? null : '1' }) },
        { key: 'u', what: 'Turn the flame graph upside down', run: () => set({ up: shown.up ? null : '1' }) },
        { key: 'Escape', what: 'Zoom out, then leave the focus, then the search', run: onBack },
    ]);
    const f = rows.find((row) => keyOf(row) === focus) ?? profile.tree.functions[focused];
    const chosen = shown.chosen >= 0 ? keyOf(picture.functions[shown.chosen]) : focus;
    return html`
        <${IdleNote} top=${top} />
        <${ProfileBar} profile=${profile} state=${{ ...shown, focus: f, zoomed: zoom !== picture.root }} text=${text}
            onText=${shown.setText} found=${shown.found} turn=${turn} />
        <div class=${`profile-views ${view}`}>
            ${view !== 'flame' && html`<section class="profile-words" aria-label="Functions">
                <${ProfileTable} profile=${profile} narrow=${view !== 'table'} rows=${rows} sort=${turnSort(sort)}
                    search=${text} chosen=${chosen} onFocus=${onFocus}
                    onSort=${(next) => set({ sort: turnSort(next) === 'self' ? null : turnSort(next) })} />
            </section>`}
            ${view !== 'table' && html`<${Flame} profile=${profile} shown=${shown} turn=${turn} onFocus=${onFocus}
                onBack=${onBack} />`}
        </div>
        ${focused >= 0 && html`<${Relatives} profile=${profile} func=${focused}
            onFocus=${(func) => turn({ focus: keyOf(profile.tree.functions[func]) })} />`}`;
}

function Analysis({ path, kind, top }) {
    const tree = useLoad(path && `${path}/tree`);
    const error = top.error ?? tree.error;
    const reload = () => {
        top.reload();
        tree.reload();
    };
    if (error) return html`<${Unreadable} error=${error} reload=${reload} />`;
    if (!top.data || !tree.data) return html`<${Loading} what="Reading the profile" />`;
    const busy = top.data.all - top.data.idle;
    if (busy <= 0 || top.rows.length === 0) return html`<${Nothing} kind=${kind} top=${top.data} />`;
    return html`<${Result} tree=${tree.data} rows=${top.rows} top=${top.data} />`;
}

function Stored({ profile, capture, onChanged }) {
    const path = profile.removed ? null : `profiles/${profile.id}`;
    const top = useTop(path);
    return html`<${ProfileHead} profile=${profile} capture=${capture} top=${top.data} onChanged=${onChanged} />
        ${profile.removed ? html`<${Removed} />` : html`<${Analysis} path=${path} kind=${profile.kind} top=${top} />`}`;
}

// ---- the page ------------------------------------------------------------------------------------

function Body({ id, profile, capture, stored, told }) {
    if (profile) return html`<${Stored} key=${id} profile=${profile} capture=${capture} onChanged=${stored.reload} />`;
    if (stored.loading || told.loading) return html`<${Loading} what="Asking the console" />`;
    if (capture && !hasEnded(capture)) return html`<${NotYet} capture=${capture} />`;
    if (capture && !capture.profile) return html`<${Failed} capture=${capture} />`;
    return html`<${NoProfile} error=${stored.error} reload=${stored.reload} />`;
}

export default function ProfilePage({ path: [, id] }) {
    const stored = useLoad(`profiles/${encodeURIComponent(id)}`), told = useLoad(`captures/${encodeURIComponent(id)}`);
    // What is live is newer.
    const profile = useLive((s) => s.profiles.get(id)) ?? stored.data?.profile;
    const capture = useLive((s) => s.captures.get(id)) ?? told.data?.capture ?? null;
    const title = profile ? titleOf(profile) : 'Profile';
    useTitle(title);
    // One title for all that may follow: the focus is put on it.
    return html`<h1 tabindex="-1">${title}</h1>
        <${Body} id=${id} profile=${profile} capture=${capture} stored=${stored} told=${told} />`;
}
