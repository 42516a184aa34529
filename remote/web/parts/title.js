// title.js -- the title of the window follows that of the page, which may be known late.

import { useEffect } from '../html.js';

export function useTitle(title) {
    useEffect(() => {
        document.title = `${title} – proctor`;
    }, [title]);
}
