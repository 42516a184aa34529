// Reads profiles on its own, apart from lib/profile, so that the tests hold the programs against a second opinion.
import assert from 'node:assert/strict';
import fs from 'node:fs';

export const loadProfile = file => JSON.parse(fs.readFileSync(file, 'utf8'));

// Throws when a .cpuprofile is not one that DevTools could open.
export function checkCpuProfile(profile) {
    for (const key of ['nodes', 'startTime', 'endTime', 'samples', 'timeDeltas'])
        assert.ok(key in profile, `the CPU profile has no "${key}"`);
    assert.equal(profile.samples.length, profile.timeDeltas.length, 'samples and timeDeltas differ in length');
    assert.ok(profile.endTime > profile.startTime, 'the CPU profile has no length');
    const ids = new Set(profile.nodes.map(node => node.id));
    assert.ok(profile.samples.every(id => ids.has(id)), 'a sample names a node that is not there');
    return profile;
}

// A gap that is much longer than the others means that the thread was not running: another process had the core.  Where it
// falls is chance, so it counts as one ordinary sample.
function cappedDeltas(profile) {
    const sorted = [...profile.timeDeltas].sort((a, b) => a - b);
    const cap = 4 * (sorted[sorted.length >> 1] ?? 0);
    return profile.timeDeltas.map(us => us > cap ? cap / 4 : us);
}

// Microseconds per function name, self time only: a sample lasts until the next one.  Samples before fromUs (counted
// from the first one) are left out.
export function selfTimes(profile, fromUs = 0, deltas = profile.timeDeltas) {
    const names = new Map(profile.nodes.map(node => [node.id, node.callFrame.functionName || '(anonymous)']));
    const self = new Map();
    let at = 0;
    for (let i = 0; i + 1 < profile.samples.length; i++) {
        const name = names.get(profile.samples[i]);
        if (at >= fromUs)
            self.set(name, (self.get(name) ?? 0) + deltas[i + 1]);
        at += profile.timeDeltas[i + 1];
    }
    return self;
}

// The share of a function in the time in which JS ran: self / (all - idle - program).
export function cpuShare(profile, name, fromUs = 0) {
    const self = selfTimes(checkCpuProfile(profile), fromUs, cappedDeltas(profile));
    let all = 0;
    for (const [function_, us] of self)
        if (function_ !== '(idle)' && function_ !== '(program)')
            all += us;
    return all === 0 ? 0 : (self.get(name) ?? 0) / all;
}

// [[name, bytes], …] by own bytes, most first.
export function heapTop(profile) {
    assert.ok(profile.head, 'the heap profile has no "head"');
    const self = new Map();
    const visit = node => {
        const name = node.callFrame.functionName || '(anonymous)';
        self.set(name, (self.get(name) ?? 0) + node.selfSize);
        node.children.forEach(visit);
    };
    visit(profile.head);
    return [...self].sort((a, b) => b[1] - a[1]);
}
