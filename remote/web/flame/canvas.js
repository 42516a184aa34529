// canvas.js -- draws the visible part of a picture (layout.js) and tells which box is at a point.  No framework, no
// state of the page.
//
// The canvas is as large as what is seen of the picture, not as the picture: a stack may be deeper than a canvas may be
// high. `look` says how it is drawn:
//     zoom (box that fills the width), rows ({ first, last }: those shown), top (px scrolled away), up (the root at the
//     bottom), fills (colour per function), scheme (of SCHEMES), marks (byte per function: search; null: none),
//     chosen (function or -1), cursor (box or -1)

import { boxAt, firstBox, windowOf } from './layout.js';

export const ROW = 20;   // px
const LEAST = 0.3;       // px: narrower boxes are not drawn
const FRAMED = 3;        // px: from here on a box has a gap to the next one
const NAMED = 26;        // px: from here on it has its name in it
const PAD = 4;           // px before a name
const FONT = '12px ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace';

export const heightOf = ({ rows }) => (rows.last - rows.first + 1) * ROW;

// The row that is drawn `place` rows from the top.
const rowAt = ({ rows, up }, place) => (up ? rows.last - place : rows.first + place);

// Where a row begins, in px from the top of the picture.
export const topOf = ({ rows, up }, row) => (up ? rows.last - row : row - rows.first) * ROW;

// Cost → px for one row.
function scaleOf(picture, look, row, width) {
    const view = windowOf(picture, look.zoom, row);
    return { left: view.left, factor: view.width > 0 ? width / view.width : 0 };
}

// The box at a point of the canvas (px), or -1.
export function hit(picture, look, width, x, y) {
    if (picture.count === 0 || x < 0 || x >= width || y < 0) return -1;
    const row = rowAt(look, Math.floor((y + look.top) / ROW));
    if (row < look.rows.first || row > look.rows.last) return -1;
    const { left, factor } = scaleOf(picture, look, row, width);
    return factor > 0 ? boxAt(picture, row, left + x / factor) : -1;
}

// Takes on the size of its place and the density of the screen.  Returns whether something changed.
export function fit(canvas, width, height) {
    const density = devicePixelRatio || 1, wide = Math.round(width * density), high = Math.round(height * density);
    if (canvas.width === wide && canvas.height === high) return false;
    canvas.width = wide;
    canvas.height = high;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    return true;
}

// What is needed to draw one row, over and over.
class Pen {
    constructor(context, picture, look, width, names) {
        Object.assign(this, { context, picture, look, width, names });
        this.letter = context.measureText('m').width;
        this.fill = '';
    }

    colour(fill) {
        if (fill !== this.fill) this.context.fillStyle = this.fill = fill;
    }
}

// `names(func)`: the text in a box.  Measured as "flame-draw".
export function draw(canvas, picture, look, names) {
    const began = performance.now();
    const context = canvas.getContext('2d', { alpha: false });
    const density = devicePixelRatio || 1, width = canvas.width / density, height = canvas.height / density;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.fillStyle = look.scheme.back;
    context.fillRect(0, 0, width, height);
    context.font = FONT;
    context.textBaseline = 'middle';
    const pen = new Pen(context, picture, look, width, names);
    const first = Math.floor(look.top / ROW), last = Math.ceil(Math.min(heightOf(look), look.top + height) / ROW);
    for (let place = picture.count ? first : last; place < last; place++) {
        drawRow(pen, rowAt(look, place), place * ROW - look.top);
    }
    if (look.cursor >= 0) drawCursor(pen);
    performance.clearMeasures('flame-draw');
    performance.measure('flame-draw', { start: began });
}

function drawRow(pen, row, y) {
    const { picture, width } = pen;
    const { left, factor } = scaleOf(picture, pen.look, row, width);
    const end = picture.start[row + 1], least = LEAST / factor, right = left + width / factor;
    for (let box = firstBox(picture, row, left); box < end && picture.left[box] < right; box++) {
        if (picture.width[box] < least) continue;
        const x = Math.max(0, (picture.left[box] - left) * factor);
        const to = Math.min(width, (picture.left[box] + picture.width[box] - left) * factor);
        if (to - x >= LEAST) drawBox(pen, box, x, y, to - x);
    }
}

function drawBox(pen, box, x, y, width) {
    const { context, look, picture } = pen;
    const func = picture.func[box], marked = !look.marks || look.marks[func];
    const wide = width >= FRAMED ? width - 1 : width;
    pen.colour(marked ? look.fills[func] : look.scheme.dim);
    context.fillRect(x, y, wide, ROW - 1);
    if (look.marks && marked) underline(pen, x, y, wide);
    if (func === look.chosen) frame(pen, x, y, wide, ROW - 1, 1.5);
    if (wide >= NAMED) write(pen, func, x, y, wide, marked);
}

// What was found is not only a matter of colour.
function underline(pen, x, y, width) {
    pen.colour(pen.look.scheme.line);
    pen.context.fillRect(x, y + ROW - 3, width, 2);
}

function frame(pen, x, y, width, height, thick) {
    const { context } = pen;
    pen.colour(pen.look.scheme.line);
    if (width <= 2 * thick) {
        context.fillRect(x, y, width, height);
        return;
    }
    context.fillRect(x, y, width, thick);
    context.fillRect(x, y + height - thick, width, thick);
    context.fillRect(x, y, thick, height);
    context.fillRect(x + width - thick, y, thick, height);
}

const PLAIN = /^[\x20-\x7e]*$/;

// All letters are equally wide, so nothing is measured; letters of other scripts may be wider and are pressed into the
// place.
function write(pen, func, x, y, width, marked) {
    const { context, look, letter } = pen;
    const room = width - 2 * PAD, fitting = Math.floor(room / letter), name = pen.names(func);
    if (fitting < 2) return;
    const text = name.length <= fitting ? name : `${name.slice(0, fitting - 1)}…`;
    pen.colour(marked ? look.scheme.text : look.scheme.dimText);
    if (PLAIN.test(name)) context.fillText(text, x + PAD, y + ROW / 2);
    else context.fillText(text, x + PAD, y + ROW / 2, room);
}

function drawCursor(pen) {
    const { picture, look, width } = pen;
    const row = picture.row[look.cursor], { left, factor } = scaleOf(picture, look, row, width);
    const x = Math.max(0, (picture.left[look.cursor] - left) * factor);
    const to = Math.min(width, (picture.left[look.cursor] + picture.width[look.cursor] - left) * factor);
    const wide = Math.max(2, to - x);
    if (to < 0 || x > width || row < look.rows.first || row > look.rows.last) return;
    frame(pen, x, topOf(look, row) - look.top, wide, ROW - 1, 2.5);
}
