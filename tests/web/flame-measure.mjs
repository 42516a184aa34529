// How long the flame graph takes for a tree, measured in the page by its own marks.  For page.evaluate() on any page of
// the console:
//
//     await page.evaluate(measureFlame, { tree: wideTree(200000), width: 1280, height: 720 })
//
// → { boxes, drawn (ms of flame-layout, then of flame-draw, of the first picture), again (flame-draw of the second),
// inked (part of the pixels that are not background) }.  It stands alone, as its text is sent to the page.
export async function measureFlame({ tree, width, height }) {
    const { openProfile, pictureFor, boxName } = await import('/flame/state.js');
    const { draw, fit } = await import('/flame/canvas.js');
    const { SCHEMES, packageColours } = await import('/flame/colour.js');
    const { seenRows } = await import('/flame/layout.js');
    const last = (name) => performance.getEntriesByName(name, 'measure').at(-1).duration;
    const canvas = document.createElement('canvas');
    document.body.append(canvas);
    const profile = openProfile(tree), scheme = SCHEMES.light;
    const { picture } = pictureFor(profile, {}), layout = last('flame-layout');
    const fills = packageColours(picture.functions, 'light'), known = picture.functions.map((f) => boxName(profile, f));
    const look = {
        rows: seenRows(picture, 0, 0, false), zoom: 0, top: 0, up: false, fills, scheme,
        marks: null, chosen: -1, cursor: -1,
    };
    fit(canvas, width, height);
    const paint = () => {
        draw(canvas, picture, look, (func) => known[func]);
        // What is drawn is only queued until somebody looks.
        const began = performance.now(), context = canvas.getContext('2d');
        const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
        return { ms: last('flame-draw') + performance.now() - began, pixels };
    };
    const first = paint(), again = paint();
    let inked = 0;
    const { pixels } = first;
    for (let i = 0; i < pixels.length; i += 4) inked += pixels[i] + pixels[i + 1] + pixels[i + 2] < 765 ? 1 : 0;
    canvas.remove();
    return { boxes: picture.count, drawn: [layout, first.ms], again: again.ms, inked: inked / (pixels.length / 4) };
}
