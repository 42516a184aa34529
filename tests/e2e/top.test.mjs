// proctor top against a second opinion, on profiles that Node made without us.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appFile, startHost } from '../lib/host.mjs';
import { forEachNode, nodes } from '../lib/nodes.mjs';
import { heapTop, loadProfile, selfTimes } from '../lib/profile.mjs';

// Runs an app to its end with a profiler of Node's own; returns the file that it left.
async function nodeProfile(node, host, kind, app) {
    const folder = path.join(host.work, `${kind}-${node.major}`);
    const child = spawn(node.path, [`--${kind}-prof`, `--${kind}-prof-dir`, folder, app], {
        env: { PATH: process.env.PATH, EXIT_MS: '1000' }, stdio: 'ignore',
    });
    await once(child, 'exit');
    return path.join(folder, fs.readdirSync(folder)[0]);
}

const byName = functions => {
    const sums = new Map();
    for (const { function: name, self } of functions)
        sums.set(name || '(anonymous)', (sums.get(name || '(anonymous)') ?? 0) + self);
    return sums;
};

test('a CPU profile: the same own times as by a second reader, on every Node that writes them', async t => {
    const host = startHost(t);
    await forEachNode(nodes.filter(node => node.major >= 12), async node => {
        const file = await nodeProfile(node, host, 'cpu', appFile('cpu.js'));
        const top = (await host.proctor(['top', file, '--json'], { expectCode: 0 })).json();
        const ours = byName(top.functions);
        const theirs = selfTimes(loadProfile(file));
        const all = [...theirs.values()].reduce((a, b) => a + b, 0);
        assert.equal(top.kind, 'cpu');
        assert.equal(top.functions[0].function, 'hotLoop');
        assert.match(top.functions[0].url, /cpu\.js$/);
        for (const [name, us] of theirs)
            if (name !== '(idle)')
                assert.ok(Math.abs((ours.get(name) ?? 0) - us) <= all * 0.02, `${name}: ${ours.get(name)} and ${us}`);
    });
});

test('a heap profile: the same own sizes as by a second reader', async t => {
    const host = startHost(t);
    await forEachNode(nodes.filter(node => node.major >= 12), async node => {
        const file = await nodeProfile(node, host, 'heap', appFile('heap.js'));
        const top = (await host.proctor(['top', file, '--json'], { expectCode: 0 })).json();
        const ours = byName(top.functions);
        assert.equal(top.kind, 'heap');
        assert.equal(top.functions[0].function, 'plantedAllocator');
        for (const [name, bytes] of heapTop(loadProfile(file)))
            assert.equal(ours.get(name) ?? 0, bytes, name);
    });
});

test('what is no profile is refused with its place and cause', async t => {
    const host = startHost(t);
    // file name → what is in it, and what follows the name in the sentence
    const cases = {
        'empty.cpuprofile': ['', ': the file is empty'],
        'cut.cpuprofile': ['{"nodes":[\n{"id":1,', ':2: the text ends too early (column 9)'],
        'list.cpuprofile': ['[1,2]', ':1: this is no JSON object, so no profile of V8 (column 1)'],
        'text.heapprofile': ['hello', ":1: unexpected character 'h' (column 1)"],
        'frame.cpuprofile': ['{\n"nodes":[{"id":1}]}', ':2: node 1 has no "callFrame" (column 10)'],
        'child.heapprofile': ['{"head":{"callFrame":{"functionName":"a"},\n"selfSize":1,\n"children":[3]}}',
            ':3: a child is no object (column 13)'],
    };
    for (const [name, [text, place]] of Object.entries(cases)) {
        const file = path.join(host.work, name);
        fs.writeFileSync(file, text);
        const { stderr } = await host.proctor(['top', file], { expectCode: 1 });
        assert.ok(stderr.includes(`${file}${place}`), `${name}: ${stderr}`);
    }
    const { stderr } = await host.proctor(['top', '/no/such/file'], { expectCode: 1 });
    assert.match(stderr, /\/no\/such\/file.*no such file/i);
});
