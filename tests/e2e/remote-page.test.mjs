// What the page's script makes of what it is told, without a browser: just enough of a document for it to run.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import vm from 'node:vm';

const script = fs.readFileSync(new URL('../../remote/web/page.js', import.meta.url), 'utf8');

function element() {
    const children = [];
    return {
        children, hidden: false, textContent: '', className: '', classList: { toggle() {} }, dataset: {},
        addEventListener() {}, setAttribute() {}, focus() {},
        append(...more) { children.push(...more); },
        replaceChildren(...more) { children.splice(0, children.length, ...more); },
        get firstChild() { return children[0] ?? null; },
    };
}

function startPage() {
    const elements = new Map();
    const page = vm.createContext({
        document: {
            createElement: element,
            getElementById(id) {
                if (!elements.has(id))
                    elements.set(id, element());
                return elements.get(id);
            },
        },
        fetch: () => new Promise(() => {}), setTimeout() {}, clearTimeout() {}, location: { host: 'x' },
    });
    vm.runInContext(script, page);
    return page;
}

test('a removed profile loses its link and does not get it back', () => {
    const page = startPage();
    const row = { cells: Array.from({ length: 7 }, element) };
    const tell = event => vm.runInContext('apply', page)(event);
    const shown = () => {
        const capture = vm.runInContext('state', page).captures.get('a');
        vm.runInContext('fillCapture', page)(row, capture);
        return row.cells[6].children.map(one => one.href);
    };
    tell({ type: 'capture', capture: { id: 'a', app: 'api', instance: 0, kind: 'cpu', state: 'done', profile: null } });
    assert.deepEqual(shown(), []);
    tell({ type: 'profile', profile: { id: 'a', removed: false } });
    assert.deepEqual(shown(), ['/api/v1/profiles/a/raw']);
    tell({ type: 'profile', profile: { id: 'a', removed: true } });
    assert.deepEqual(shown(), []);
    tell({ type: 'profile', profile: { id: 'a', removed: true } });
    assert.deepEqual(shown(), []);
});
