// `start` of a small Node app: without a daemon, and with one.
import path from 'node:path';
import { median, digits, ratio } from './stats.mjs';
import { benchFile, timeCommands } from './measure.mjs';
import { newPeers, pm2Missing } from './peers.mjs';

const ROUNDS = 3;

export const title = 'Start: `start app.js`, with and without a daemon';

// Wall clock of one command in milliseconds.
async function wallMs(argv, env) {
    const [[run]] = await timeCommands(1, [{ argv }], { env, cwd: path.dirname(benchFile('idle.js')) });
    return run.wallUs / 1000;
}

export async function run() {
    const peers = newPeers();
    const cases = [];
    const node = { what: '`node -e 0`', ms: [] };
    for (const peer of peers)
        cases.push({ peer, what: `${peer.name}, cold`, ms: [] }, { peer, what: `${peer.name}, warm`, ms: [] });
    for (let round = 0; round < ROUNDS; round++) {
        node.ms.push(await wallMs([process.execPath, '-e', '0']));
        for (let i = 0; i < cases.length; i += 2) {
            const { peer } = cases[i];
            for (const [at, name] of [[i, 'one'], [i + 1, 'two']])
                cases[at].ms.push(await wallMs(peer.command('start', benchFile('idle.js'), '--name', name), peer.env));
            await peer.kill();
        }
    }
    const all = [node, ...cases];
    return {
        head: [`median of ${ROUNDS}`, 'wall ms (absolute)', 'to `node -e 0`'],
        lines: all.map(one => [one.what, digits(median(one.ms)), ratio(median(one.ms) / median(node.ms))]),
        bars: [],
        notes: [pm2Missing, 'proctor answers when the app is online (alive and at rest, at 125 ms at the earliest); PM2 answers when it has forked it. ' +
            'So the warm start measures different promises; the cold one shows what the daemons add.'],
    };
}
