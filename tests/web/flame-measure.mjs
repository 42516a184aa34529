// How long the flame graph takes for a tree, measured in the page.  For page.evaluate() on any page of the console, in this
// order; each stands alone, as its text is sent to the page.

// Brings what is measured into the page, and nothing of it to a run.
export async function prepareFlame({ tree, width, height }) {
    const modules = await Promise.all(['state', 'canvas', 'colour', 'layout'].map((name) => import(`/flame/${name}.js`)));
    const canvas = document.createElement('canvas');
    document.body.append(canvas);
    window.flame = Object.assign({ tree, width, height, canvas }, ...modules);
}

// → { boxes, first (ms from the answer of the console to the pixels of the first picture, all of it), layout and draw (the
// parts of that which the page marks) }
export function measureFlame() {
    const { tree, width, height, canvas, openProfile, pictureFor, boxName, draw, fit, SCHEMES, packageColours, seenRows } = window.flame;
    const last = (name) => performance.getEntriesByName(name, 'measure').at(-1).duration;
    const began = performance.now();
    const profile = openProfile(tree), scheme = SCHEMES.light;
    const { picture } = pictureFor(profile, {});
    const fills = packageColours(picture.functions, 'light'), known = [];
    const look = {
        rows: seenRows(picture, 0, 1 / 4000, false), zoom: 0, top: 0, up: false, fills, scheme,
        marks: null, chosen: -1, cursor: -1,
    };
    fit(canvas, width, height);
    // What is drawn is only queued until somebody looks.
    window.flame.paint = () => {
        draw(canvas, picture, look, (func) => known[func] ??= boxName(profile, picture.functions[func]));
        return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    };
    window.flame.paint();
    return { boxes: picture.count, first: performance.now() - began, layout: last('flame-layout'), draw: last('flame-draw') };
}

// → { again (ms of a second picture, with its pixels), inked (part of the pixels that are not background) }
export function lookAgain() {
    const began = performance.now(), pixels = window.flame.paint(), again = performance.now() - began;
    let inked = 0;
    for (let i = 0; i < pixels.length; i += 4) inked += pixels[i] + pixels[i + 1] + pixels[i + 2] < 765 ? 1 : 0;
    window.flame.canvas.remove();
    return { again, inked: inked / (pixels.length / 4) };
}
