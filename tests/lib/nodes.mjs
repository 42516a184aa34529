// The Node versions that the tests run apps on: NODE_8=/…/bin/node and so on, from the environment that e2e.sh makes.
import { strict as assert } from 'node:assert';

const all = Object.keys(process.env)
    .map(key => /^NODE_(\d+)$/.exec(key))
    .filter(match => match && match[1] !== '9')
    .map(match => ({ major: Number(match[1]), path: process.env[match[0]], app: `n${match[1]}` }))
    .sort((a, b) => a.major - b.major);

// [{major, path, app}], oldest first; app is a name for an app on that version.  Node 9 is not among them.
// E2E_NODES=10,20 narrows them, for work on one version.
export const nodes = process.env.E2E_NODES ?
    all.filter(node => process.env.E2E_NODES.split(',').includes(String(node.major))) : all;

export function nodePath(major) {
    const path = process.env[`NODE_${major}`];
    assert.ok(path, `there is no NODE_${major} in the environment: run the tests through tests/tools/e2e.sh`);
    return path;
}

// Node 8 is profiled only on demand of the app's own environment.
export const profilingEnv = major => (major === 8 ? { FORCE_INSPECTOR: '1' } : {});

// Runs job(node) for each version, two at a time: a core each.
export async function forEachNode(list, job) {
    const waiting = [...list];
    const failures = [];
    const worker = async () => {
        for (let node = waiting.shift(); node; node = waiting.shift())
            await job(node).catch(error => failures.push(new Error(`Node ${node.major}: ${error.message}`, { cause: error })));
    };
    await Promise.all([worker(), worker()]);
    if (failures.length === 1)
        throw failures[0];
    if (failures.length > 1)
        throw new AggregateError(failures, failures.map(failure => failure.message).join('\n'));
}
