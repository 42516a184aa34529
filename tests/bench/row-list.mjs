// `proctor list` with 30 apps, against the floor of any command and against PM2.
import { median, digits, ratio } from './stats.mjs';
import { timeCommands } from './measure.mjs';
import { newPeers, pm2Missing, sleepers } from './peers.mjs';

const APPS = 30, ROUNDS = 100, PM2_EVERY = 10;

export const title = 'The list: `proctor list`, 30 apps';

export async function run() {
    const [proctor, pm2] = newPeers();
    await proctor.start(sleepers(0, APPS));
    await pm2?.start(sleepers(0, APPS));
    const commands = [
        { what: '`/bin/true`', argv: ['/bin/true'] },
        { what: '`proctor list`', argv: proctor.command('list') },
        { what: '`proctor jlist`', argv: proctor.command('jlist') },
        { what: '`node -e 0`', argv: [process.execPath, '-e', '0'] },
        ...(pm2 ? [{ what: '`pm2 jlist`', argv: pm2.command('jlist'), every: PM2_EVERY }] : []),
    ];
    const runs = await timeCommands(ROUNDS, commands, { env: { ...pm2?.env, ...proctor.env, PM2_HOME: pm2?.home ?? '' } });
    const wall = runs.map(one => median(one.map(run => run.wallUs)));
    const [floor, list, , , peer] = wall;
    return {
        head: ['command', 'runs', 'wall ms (absolute)', 'CPU ms (absolute)', 'to `true`'],
        lines: commands.map(({ what }, i) => [what, runs[i].length, digits(wall[i] / 1000),
            digits(median(runs[i].map(run => run.cpuUs)) / 1000), ratio(wall[i] / floor)]),
        bars: [
            [`\`proctor list\` ≤ 2.5 × \`true\`: ${digits(list / floor)}`, list / floor <= 2.5],
            [`\`pm2 jlist\` ≥ 30 × \`proctor list\`: ${pm2 ? digits(peer / list) : pm2Missing}`, pm2 ? peer / list >= 30 : null],
        ],
        notes: ['Wall clock around posix_spawn and wait in a small C program; medians, all commands in turn.'],
    };
}
