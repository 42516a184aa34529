// layout.js -- call trees in typed arrays: reading, merging, searching, and the boxes of a picture.  Pure: no page, no
// pixels.
//
// A *tree* is { functions, count, parent, func, self, total }: a parent stands before its children, node 0 is the root
// (its parent is -1), `func` points into `functions`.  A *picture* is a tree laid out: boxes by row, from left to
// right, in units of cost (see pictureOf). Trees have up to some 200,000 nodes and stacks any depth, so nothing here
// recurses and nothing makes an object per node.

const REST = { function: '', url: '', line: 0, column: 0, role: 'rest' };   // what the console cut off below a node
const LEAST_SHARE = 1 / 20000;   // the console cuts there, too: narrower than a pixel on the widest screens

// ---- trees ---------------------------------------------------------------------------------------

function newTree(functions, count) {
    return {
        functions, count,
        parent: new Int32Array(count), func: new Int32Array(count),
        self: new Float64Array(count), total: new Float64Array(count),
    };
}

// The console's answer (`nodes`: [parent, function, self, total]) as a tree.
export function readTree(json) {
    const tree = newTree(json.functions, json.nodes.length);
    for (let i = 0; i < tree.count; i++) {
        const node = json.nodes[i];
        tree.parent[i] = node[0];
        tree.func[i] = node[1];
        tree.self[i] = node[2];
        tree.total[i] = node[3];
    }
    return tree;
}

// What a tree is made of while its size is not known: children are found by (parent, function), so that equal paths
// become one.
class Builder {
    constructor(functions, rootFunc) {
        this.functions = functions;
        this.parent = [-1];
        this.func = [rootFunc];
        this.self = [0];
        this.total = [0];
        this.known = new Map();
    }

    child(parent, func) {
        const key = parent * this.functions.length + func;
        let node = this.known.get(key);
        if (node === undefined) {
            node = this.parent.length;
            this.known.set(key, node);
            this.parent.push(parent);
            this.func.push(func);
            this.self.push(0);
            this.total.push(0);
        }
        return node;
    }

    tree() {
        const tree = newTree(this.functions, this.parent.length);
        tree.parent.set(this.parent);
        tree.func.set(this.func);
        tree.self.set(this.self);
        tree.total.set(this.total);
        return tree;
    }
}

// Per node: the part of its total that is neither its own nor its children's, as they were cut off.
function restOf(tree) {
    const rest = new Float64Array(tree.count);
    for (let i = 0; i < tree.count; i++) {
        rest[i] += tree.total[i] - tree.self[i];
        if (i > 0) rest[tree.parent[i]] -= tree.total[i];
    }
    return rest.map((value) => Math.max(0, value));
}

// How much of the whole the tree does not show.
export function restTotal(tree) {
    return restOf(tree).reduce((sum, value) => sum + value, 0);
}

// Goes up the stacks, one level a round, and merges equal paths below the builder's nodes `owners`.  A path that has
// become too small to be seen goes no further, which also bounds the work.
function climb(tree, builder, cursors, owners, weights) {
    const least = builder.total[0] * LEAST_SHARE;
    let count = cursors.length;
    while (count > 0) {
        for (let k = 0; k < count; k++) {
            owners[k] = builder.child(owners[k], tree.func[cursors[k]]);
            builder.total[owners[k]] += weights[k];
        }
        let kept = 0;
        for (let k = 0; k < count; k++) {
            const caller = tree.parent[cursors[k]];
            if (caller <= 0 || builder.total[owners[k]] < least) continue;
            cursors[kept] = caller;
            owners[kept] = owners[k];
            weights[kept++] = weights[k];
        }
        count = kept;
    }
}

// The tree by leaves: below the root every function that has a cost of its own, below each of them its callers.  A
// node's total is the part of that cost which came this way.  What was cut off is the cost of one more function of role
// "rest".
export function invert(tree) {
    const functions = [...tree.functions, REST];
    const builder = new Builder(functions, tree.func[0]);
    const rest = restOf(tree);
    const cursors = [], owners = [], weights = [];
    const add = (cursor, owner, weight) => {
        cursors.push(cursor);
        owners.push(owner);
        weights.push(weight);
    };
    builder.total[0] = tree.total[0];
    for (let i = 0; i < tree.count; i++) {
        if (tree.self[i] > 0) add(i, 0, tree.self[i]);
        if (rest[i] > 0) add(i, builder.child(0, functions.length - 1), rest[i]);
    }
    for (let k = 0; k < owners.length; k++) {
        if (owners[k] > 0) builder.total[owners[k]] += weights[k];
    }
    climb(tree, builder, cursors, owners, weights);
    return builder.tree();
}

// The nodes of the functions marked in `marks` (a byte per function) that have no other one above them: recursion
// counts once.
export function outermost(tree, marks) {
    const inside = new Uint8Array(tree.count);
    const found = [];
    for (let i = 0; i < tree.count; i++) {
        const above = i > 0 && inside[tree.parent[i]];
        if (!above && marks[tree.func[i]]) found.push(i);
        inside[i] = above || marks[tree.func[i]] ? 1 : 0;
    }
    return found;
}

// What all stacks cost that go through a marked function.
export function costOf(tree, marks) {
    return outermost(tree, marks).reduce((sum, node) => sum + tree.total[node], 0);
}

function marksOf(tree, func) {
    const marks = new Uint8Array(tree.functions.length);
    marks[func] = 1;
    return marks;
}

// All stacks through one function, merged: what it calls, and who calls it.  Both have the function as their root, with
// the same total.
export function focus(tree, func) {
    const starts = outermost(tree, marksOf(tree, func));
    return { callees: calleesOf(tree, starts, func), callers: callersOf(tree, starts, func) };
}

function calleesOf(tree, starts, func) {
    const builder = new Builder(tree.functions, func);
    const merged = new Int32Array(tree.count).fill(-1);
    for (const start of starts) merged[start] = 0;
    for (let i = 0; i < tree.count; i++) {
        const above = i > 0 ? merged[tree.parent[i]] : -1;
        if (above >= 0) merged[i] = builder.child(above, tree.func[i]);
        if (merged[i] < 0) continue;
        builder.self[merged[i]] += tree.self[i];
        builder.total[merged[i]] += tree.total[i];
    }
    return builder.tree();
}

function callersOf(tree, starts, func) {
    const builder = new Builder(tree.functions, func);
    const cursors = [], weights = [];
    for (const start of starts) {
        builder.total[0] += tree.total[start];
        if (tree.parent[start] <= 0) continue;
        cursors.push(tree.parent[start]);
        weights.push(tree.total[start]);
    }
    climb(tree, builder, cursors, new Array(cursors.length).fill(0), weights);
    return builder.tree();
}

// Per function its own cost, and that of all stacks through it (a function that stands several times on a stack counts
// once).
export function byFunction(tree) {
    const self = new Float64Array(tree.functions.length), total = new Float64Array(tree.functions.length);
    const open = new Int32Array(tree.functions.length);
    walk(tree, (node) => {
        const func = tree.func[node];
        self[func] += tree.self[node];
        if (open[func]++ === 0) total[func] += tree.total[node];
    }, (node) => open[tree.func[node]]--);
    return { self, total };
}

// ---- order ---------------------------------------------------------------------------------------

const children = new WeakMap();

// Children of each node, the most expensive first: those of node i are list[start[i]] … list[start[i + 1] - 1].  Made
// once per tree, which does not change any more.
export function childrenOf(tree) {
    if (!children.has(tree)) children.set(tree, findChildren(tree));
    return children.get(tree);
}

function findChildren(tree) {
    const start = new Int32Array(tree.count + 2), list = new Int32Array(Math.max(0, tree.count - 1));
    for (let i = 1; i < tree.count; i++) start[tree.parent[i] + 2]++;
    for (let i = 2; i < start.length; i++) start[i] += start[i - 1];
    for (let i = 1; i < tree.count; i++) list[start[tree.parent[i] + 1]++] = i;
    for (let i = 0; i < tree.count; i++) sortByTotal(tree, list, start[i], start[i + 1]);
    return { start, list };
}

// Most nodes have one or two children: no call of a sort for them.
function sortByTotal(tree, list, from, to) {
    if (to - from > 16) {
        list.subarray(from, to).sort((a, b) => tree.total[b] - tree.total[a] || a - b);
        return;
    }
    for (let i = from + 1; i < to; i++) {
        const node = list[i];
        let at = i;
        for (; at > from && tree.total[list[at - 1]] < tree.total[node]; at--) list[at] = list[at - 1];
        list[at] = node;
    }
}

// Depth first, the most expensive child first.
function walk(tree, enter, leave) {
    const { start, list } = childrenOf(tree), next = start.slice(), stack = new Int32Array(tree.count);
    let depth = 0;
    if (tree.count === 0) return;
    enter(0);
    while (depth >= 0) {
        const node = stack[depth];
        if (next[node] < start[node + 1]) {
            stack[++depth] = list[next[node]++];
            enter(stack[depth]);
        } else {
            leave(node);
            depth--;
        }
    }
}

// ---- pictures ------------------------------------------------------------------------------------

// The boxes of a tree.  { functions, count, span (cost over the whole width), rows, rootRow, start (the boxes of row r
// are start[r] … start[r + 1] - 1, from left to right), row, left, width (cost), self, func, parent (box, -1: the
// root), root (box of the tree's root) }.
export function pictureOf(tree) {
    return arrange([side(tree, 1)], tree);
}

// Callers above (towards row 0), callees below, the function itself once, in `rootRow`.
export function sandwichOf({ callers, callees }) {
    return arrange([side(callers, -1), side(callees, 1)], callees);
}

// Depth and left edge per node, and the order of the nodes: row by row, each from left to right.  Children begin at their
// parent's left edge; what is left over on the right is its own cost.
function side(tree, direction) {
    const { start, list } = childrenOf(tree);
    const depth = new Int32Array(tree.count), left = new Float64Array(tree.count), order = new Int32Array(tree.count);
    for (let k = 0, count = 1; k < tree.count; k++) {
        const node = order[k];
        let x = left[node];
        for (let i = start[node]; i < start[node + 1]; i++) {
            const child = order[count++] = list[i];
            depth[child] = depth[node] + 1;
            left[child] = x;
            x += tree.total[child];
        }
    }
    return { tree, direction, depth, left, order, deepest: tree.count ? depth[order[tree.count - 1]] : 0 };
}

function arrange(sides, main) {
    const rootRow = sides.length > 1 ? sides[0].deepest : 0;
    const rows = main.count === 0 ? 0 : sides.reduce((sum, s) => sum + s.deepest, 1);
    const count = Math.max(0, sides.reduce((sum, s) => sum + s.tree.count, 1 - sides.length));
    const picture = {
        functions: main.functions, count, rows, rootRow, span: count ? main.total[0] : 0, root: 0,
        start: new Int32Array(rows + 1), row: new Int32Array(count), left: new Float64Array(count),
        width: new Float64Array(count), self: new Float64Array(count), func: new Int32Array(count),
        parent: new Int32Array(count),
    };
    for (const s of sides) countRows(picture, s);
    for (let r = 1; r <= rows; r++) picture.start[r] += picture.start[r - 1];
    const at = picture.start.slice();
    for (const s of sides) place(picture, s, at);
    picture.root = picture.start[rootRow];
    return picture;
}

// Row 0 of the callers is the function itself, which the callees bring.
const isShown = (s, node) => s.direction > 0 || node > 0;

function countRows(picture, s) {
    for (let i = 0; i < s.tree.count; i++) {
        if (isShown(s, i)) picture.start[picture.rootRow + s.direction * s.depth[i] + 1]++;
    }
}

function place(picture, s, at) {
    const boxes = new Int32Array(s.tree.count);
    boxes[0] = picture.start[picture.rootRow];
    for (let k = 0; k < s.tree.count; k++) {
        const node = s.order[k];
        if (!isShown(s, node)) continue;
        const row = picture.rootRow + s.direction * s.depth[node], box = at[row]++;
        boxes[node] = box;
        picture.row[box] = row;
        picture.left[box] = s.left[node];
        picture.width[box] = s.tree.total[node];
        picture.self[box] = s.tree.self[node];
        picture.func[box] = s.tree.func[node];
        picture.parent[box] = node > 0 ? boxes[s.tree.parent[node]] : -1;
    }
}

// The first box of a row that ends past `cost`: the one that holds it, or the next one on the right; start[row + 1]
// when there is none.
export function firstBox(picture, row, cost) {
    let low = picture.start[row], high = picture.start[row + 1];
    while (low < high) {
        const middle = (low + high) >> 1;
        if (picture.left[middle] + picture.width[middle] > cost) high = middle;
        else low = middle + 1;
    }
    return low;
}

// The box of a row that holds `cost`, or -1.
export function boxAt(picture, row, cost) {
    if (row < 0 || row >= picture.rows) return -1;
    const box = firstBox(picture, row, cost);
    return box < picture.start[row + 1] && picture.left[box] <= cost ? box : -1;
}

// What a row shows when `zoom` fills the width.  The two sides of a sandwich stand for the same cost, but not stack by
// stack: a zoom on one side leaves the other as it is.
export function windowOf(picture, zoom, row) {
    const zoomed = picture.row[zoom];
    const same = row === picture.rootRow || (row < picture.rootRow) === (zoomed < picture.rootRow);
    if (zoomed === picture.rootRow || !same) return { left: 0, width: picture.span };
    return { left: picture.left[zoom], width: picture.width[zoom] };
}

// The rows { first, last } to be shown while `zoom` fills the width: on the far side (the lower one, or the upper one
// when the picture stands on its head) those with a box of at least `least` of that width, or of the width of
// everything.  A zoom makes them more, never less, and only at the lower edge of what is drawn: what is under the
// pointer stays there.
export function seenRows(picture, zoom, least, up) {
    const step = up ? -1 : 1;
    let far = picture.rows ? picture.rootRow : 0;
    while (far + step >= 0 && far + step < picture.rows && (isRowSeen(picture, picture.root, far + step, least)
        || isRowSeen(picture, zoom, far + step, least))) far += step;
    return up ? { first: far, last: Math.max(0, picture.rows - 1) } : { first: 0, last: far };
}

// A box is no wider than its parent: after a row with nothing there comes none with something.
function isRowSeen(picture, zoom, row, least) {
    const view = windowOf(picture, zoom, row), right = view.left + view.width, end = picture.start[row + 1];
    for (let box = firstBox(picture, row, view.left); box < end && picture.left[box] < right; box++) {
        if (picture.width[box] >= view.width * least) return true;
    }
    return false;
}

// Is something of a box seen while `zoom` fills the width?
export function isInside(picture, zoom, box) {
    const view = windowOf(picture, zoom, picture.row[box]), left = picture.left[box];
    return left < view.left + view.width && left + picture.width[box] > view.left;
}

// The box that a step leads to: 'left' and 'right' in its row, 'upper' to a smaller row, 'lower' to a greater one; -1:
// there is none.  Away from the root that is the most expensive child, towards it the parent; from the root of a
// sandwich it is the first caller or callee.
export function neighbour(picture, box, direction) {
    const row = picture.row[box];
    if (direction === 'left') return box > picture.start[row] ? box - 1 : -1;
    if (direction === 'right') return box + 1 < picture.start[row + 1] ? box + 1 : -1;
    const step = direction === 'lower' ? 1 : -1;
    if ((row - picture.rootRow) * step < 0) return picture.parent[box];
    return firstChild(picture, box, row + step);
}

function firstChild(picture, box, row) {
    if (row < 0 || row >= picture.rows) return -1;
    const first = firstBox(picture, row, picture.left[box]);
    return first < picture.start[row + 1] && picture.parent[first] === box ? first : -1;
}
