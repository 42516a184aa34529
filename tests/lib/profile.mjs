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

// Microseconds per function name, self time only: a sample lasts until the next one.
export function selfTimes(profile) {
    const names = new Map(profile.nodes.map(node => [node.id, node.callFrame.functionName || '(anonymous)']));
    const self = new Map();
    profile.samples.forEach((id, i) => {
        const last = i + 1 === profile.samples.length;
        const us = last ? 0 : profile.timeDeltas[i + 1];
        self.set(names.get(id), (self.get(names.get(id)) ?? 0) + us);
    });
    return self;
}

// The share of a function in the time in which JS ran: self / (all - idle - program).
export function cpuShare(profile, name) {
    const self = selfTimes(checkCpuProfile(profile));
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
