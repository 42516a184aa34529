// log-tail.js -- the last lines of a process' log, fetched anew while one looks at them.  stream= and follow= are in the
// URL.

import { html, useEffect, useLayoutEffect, useRef, useState } from '../html.js';
import { askAbout } from './charts.js';
import { Choice } from './choice.js';
import { ErrorMessage } from './message.js';
import { useEvery } from './tick.js';
import { time } from '../format.js';
import { plainText } from '../series.js';
import { useUrl } from '../url.js';

const LINES = 200;
const FOLLOW_MS = 3000;
const NEAR_PX = 40;
const STREAMS = { out: 'Output', err: 'Errors' };

function useLog(process, stream) {
    const [state, setState] = useState({ stream: '', text: null, at_ms: 0, cut: false, error: null });
    const [busy, setBusy] = useState(false);
    const running = useRef(null);
    const ask = async () => {
        // A slow host is not asked twice at once.
        if (running.current === stream) return;
        running.current = stream;
        setBusy(true);
        try {
            const log = await askAbout('logs', process, { stream, lines: LINES });
            if (running.current === stream) setState({ ...log, text: plainText(log.text), stream, error: null });
        } catch (error) {
            if (running.current === stream) setState((old) => ({ ...old, error }));
        }
        if (running.current !== stream) return;
        running.current = null;
        setBusy(false);
    };
    useEffect(() => {
        ask();
        return () => {
            running.current = null;
        };
    }, [stream, process.host, process.app, process.instance]);
    return { ...state, text: state.stream === stream ? state.text : null, ask, busy };
}

// Stays at the end, unless one has scrolled up.
function Lines({ text, label }) {
    const box = useRef(null);
    const atEnd = useRef(true);
    useLayoutEffect(() => {
        if (atEnd.current) box.current.scrollTop = box.current.scrollHeight;
    }, [text]);
    const onScroll = () => {
        const { scrollTop, scrollHeight, clientHeight } = box.current;
        atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    };
    return html`<pre class="log" ref=${box} tabindex="0" role="region" aria-label=${label} onScroll=${onScroll}>${
        text || '(nothing was written)'}</pre>`;
}

export function LogTail({ process }) {
    const { params, set } = useUrl();
    const stream = params.stream === 'err' ? 'err' : 'out';
    const follow = params.follow === '1';
    const { text, at_ms, cut, error, ask, busy } = useLog(process, stream);
    const refused = error?.status === 403;
    useEvery(follow && !refused ? FOLLOW_MS : null, ask);
    return html`<section aria-label="Log">
        <div class="section-head"><h2>Log</h2>
            <${Choice} label="Stream" name="stream" value=${stream} choices=${STREAMS}
                onChange=${(s) => set({ stream: s }, { replace: true })} />
            <label class="check"><input type="checkbox" checked=${follow && !refused} disabled=${refused}
                onChange=${(e) => set({ follow: e.target.checked ? '1' : null }, { replace: true })} /> Follow</label>
            <button type="button" disabled=${busy} onClick=${ask}>Refresh</button>
        </div>
        <${ErrorMessage} error=${error} what="The log" />
        ${text !== null && html`<${Lines} key=${stream} text=${text} label=${`Log: ${STREAMS[stream]}`} />
            <p class="hint">The last ${LINES} lines${cut ? ', cut at the start' : ''}, as of ${time(at_ms)}.</p>`}
    </section>`;
}
