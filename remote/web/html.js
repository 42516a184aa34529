// html.js -- the page's view library in one place: Preact, its hooks and htm.
//
// Everything imports from here, so that vendor/ is named in this file only.  Foreign texts go into html`…` as they
// are: they become text nodes.

import { h, render, createContext, Fragment } from './vendor/preact.mjs';
import htm from './vendor/htm.mjs';

export {
    useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback, useReducer, useContext, useId, useErrorBoundary,
} from './vendor/hooks.mjs';
export { render, createContext, Fragment };
export const html = htm.bind(h);
