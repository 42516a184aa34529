// How long the flame graph takes for a tree, measured in the page by its own marks.  For page.evaluate() on any page of
// the console:
//
//     await page.evaluate(measureFlame, { tree: wideTree(200000), width: 1280, height: 720 })
//
// → { boxes, first (ms from the answer of the console to the pixels of the first picture, all of it), layout and draw (the
// parts of that which the page marks), again (ms of the second picture, with its pixels), inked (part of the pixels that
// are not background) }.  It stands alone, as its text is sent to the page.
export async function measureFlame({ tree, width, height }) {
    const { openProfile, pictureFor, boxName } = await import('/flame/state.js');
    const { draw, fit } = await import('/flame/canvas.js');
    const { SCHEMES, packageColours } = await import('/flame/colour.js');
    const { seenRows } = await import('/flame/layout.js');
    const last = (name) => performance.getEntriesByName(name, 'measure').at(-1).duration;
    const canvas = document.createElement('canvas');
    document.body.append(canvas);
    const began = performance.now();
    const profile = openProfile(tree), scheme = SCHEMES.light;
    const { picture } = pictureFor(profile, {}), layout = last('flame-layout');
    const fills = packageColours(picture.functions, 'light'), known = [];
    const look = {
        rows: seenRows(picture, 0, 1 / 4000, false), zoom: 0, top: 0, up: false, fills, scheme,
        marks: null, chosen: -1, cursor: -1,
    };
    fit(canvas, width, height);
    // What is drawn is only queued until somebody looks.
    const paint = () => {
        draw(canvas, picture, look, (func) => known[func] ??= boxName(profile, picture.functions[func]));
        return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    };
    const pixels = paint(), first = performance.now() - began, drawn = last('flame-draw');
    const second = performance.now();
    paint();
    const again = performance.now() - second;
    let inked = 0;
    for (let i = 0; i < pixels.length; i += 4) inked += pixels[i] + pixels[i + 1] + pixels[i + 2] < 765 ? 1 : 0;
    canvas.remove();
    return { boxes: picture.count, first, layout, draw: drawn, again, inked: inked / (pixels.length / 4) };
}
