// names.js -- how a function of a profile is called, where it stands, and whose code it is.  Pure.

const ROLES = {
    root: '(everything)',
    program: '(program: native code outside of functions)',
    gc: '(garbage collector)',
    rest: '(too small to be shown)',
};

// What identifies a function in URLs and between the table and the tree.
export function keyOf(f) {
    return `${f.function}@${f.url}:${f.line}:${f.column}${f.role === 'no-file' ? '?' : ''}`;
}

export function nameOf(f) {
    return ROLES[f.role] ?? (f.function || '(anonymous)');
}

// A URL as a person reads it.
function readable(url) {
    const path = url.replace(/^file:\/\//, '').replaceAll('\\', '/');
    try {
        return decodeURI(path);
    } catch {
        return path;
    }
}

const NATIVE = { kind: 'native', name: 'native code' };
const NO_FILE = { kind: 'no-file', name: 'code without a file' };
const NODE_MODULES = '/node_modules/';

// The folder that all of the app's own files share, with its slash: it says nothing and is left out.
export function baseOf(functions) {
    let base = null;
    const seen = new Set();
    for (const f of functions) {
        if (seen.has(f.url) || packageOf(f).kind !== 'own') continue;
        seen.add(f.url);
        const path = readable(f.url), folder = path.slice(0, path.lastIndexOf('/') + 1);
        base = base === null ? folder : sharedFolder(base, folder);
    }
    return base ?? '';
}

function sharedFolder(a, b) {
    let end = 0;
    for (let i = 0; i < a.length && a[i] === b[i]; i++) {
        if (a[i] === '/') end = i + 1;
    }
    return a.slice(0, end);
}

// "src/a.js:13", "express/lib/router/index.js:47", "node:fs:10", "no file:3", "" for what has no place.
export function placeOf(f, base = '') {
    if (f.role === 'no-file') return f.line > 0 ? `no file:${f.line}` : 'no file';
    if (!f.url) return '';
    const path = readable(f.url), at = path.lastIndexOf(NODE_MODULES);
    const begin = at >= 0 ? at + NODE_MODULES.length : path.startsWith(base) ? base.length : 0;
    const short = path.slice(begin);
    return f.line > 0 ? `${short}:${f.line}` : short;
}

// The same with nothing left out.
export function wholePlaceOf(f) {
    if (f.role === 'no-file') return `${placeOf(f)} (evaluated code, or a script that was unloaded since)`;
    if (!f.url) return '';
    return f.line > 0 ? `${readable(f.url)}:${f.line}:${f.column}` : readable(f.url);
}

// Whose code it is: kind 'own', 'package' (of node_modules, with its name), 'node' (its core), 'gc', 'no-file' (scripts
// whose file V8 does not name: anybody's), 'native' (all that is no JavaScript), 'root' and 'rest' (no code).
export function packageOf(f) {
    const { role } = f;
    if (role === 'gc') return { kind: 'gc', name: 'garbage collector' };
    if (role === 'root' || role === 'rest') return { kind: role, name: '' };
    if (role === 'no-file') return NO_FILE;
    if (role === 'program' || f.url === '' || f.url.startsWith('wasm:')) return NATIVE;
    if (isCore(f.url)) return { kind: 'node', name: 'Node.js core' };
    const name = moduleName(f.url.replaceAll('\\', '/'));
    return name ? { kind: 'package', name } : { kind: 'own', name: 'own code' };
}

// Node 12 and older write "internal/…" and "fs.js", without a scheme.
function isCore(url) {
    return url.startsWith('node:') || url.startsWith('internal/') || /^[a-z_]+\.js$/.test(url);
}

function moduleName(path) {
    const at = path.lastIndexOf(NODE_MODULES);
    if (at < 0) return '';
    const [first, second] = path.slice(at + NODE_MODULES.length).split('/');
    return first.startsWith('@') && second ? `${first}/${second}` : first;
}

// A function is found by a part of its name or of its place, whatever the case.
export function matcherOf(text) {
    const needle = text.trim().toLowerCase();
    if (!needle) return null;
    return (f) => nameOf(f).toLowerCase().includes(needle) || readable(f.url).toLowerCase().includes(needle);
}
