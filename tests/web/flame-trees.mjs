// Call trees as the console sends them, made up: for the tests of the flame graph.

const APP = 'file:///srv/app';
const URLS = [`${APP}/src/a.js`, `${APP}/src/routes/b.js`, `${APP}/node_modules/express/lib/router.js`,
    `${APP}/node_modules/@scope/pack/index.js`, `${APP}/node_modules/qs/lib/parse.js`, 'node:internal/timers', ''];

function functionsOf(count) {
    const functions = [{ function: '(root)', url: '', line: 0, column: 0, role: 'root' }];
    for (let i = 1; i < count; i++) {
        const name = i % 9 ? `function${i}` : '';
        functions.push({ function: name, url: URLS[i % URLS.length], line: 1 + (i % 400), column: 1, role: '' });
    }
    return functions;
}

// The same numbers each time.
function random(seed) {
    let state = seed;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 32;
    };
}

export function answer(functions, nodes) {
    const busy = nodes[0][3];
    return {
        version: 1, kind: 'cpu', unit: 'us', duration_us: 3e7, samples: 30000, all: busy * 1.25, idle: busy * 0.25,
        program: 0, gc: 0, nodes_in_profile: nodes.length, functions, nodes,
    };
}

// Totals from the selfs, from the leaves up.
function sumUp(nodes) {
    for (const node of nodes) node[3] = node[2];
    for (let i = nodes.length - 1; i > 0; i--) nodes[nodes[i][0]][3] += nodes[i][3];
}

// Stacks of some 60 frames that branch out near their ends, as real ones do.
export function wideTree(count) {
    const next = random(7), functions = functionsOf(Math.max(50, Math.round(count / 30)));
    const nodes = [[-1, 0, 0, 0]], depth = [0];
    while (nodes.length < count) {
        // Mostly on from where we were, at times from anywhere above.
        const last = nodes.length - 1;
        const parent = next() < 0.72 && depth[last] < 60 ? last : Math.floor(next() * nodes.length);
        depth.push(depth[parent] + 1);
        const func = 1 + Math.floor(next() * (functions.length - 1));
        nodes.push([parent, func, next() < 0.5 ? 0 : Math.ceil(1000 * next()), 0]);
    }
    sumUp(nodes);
    return answer(functions, nodes);
}

// One stack.
export function deepTree(count) {
    const functions = functionsOf(100);
    const nodes = Array.from({ length: count }, (_, i) => [i - 1, i && 1 + (i - 1) % 99, 1, 0]);
    sumUp(nodes);
    return answer(functions, nodes);
}
