// What /proc says about processes: who is there, who is whose child, which ports they listen on.
import fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

function read(path) {
    try {
        return fs.readFileSync(path, 'utf8');
    } catch {
        return '';
    }
}

export const allPids = () => fs.readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number);

// {ppid, state, comm, startTime} or null; a zombie counts as gone.
export function processInfo(pid) {
    const stat = read(`/proc/${pid}/stat`);
    const end = stat.lastIndexOf(')');
    if (end < 0)
        return null;
    const fields = stat.slice(end + 2).split(' ');
    const state = fields[0];
    if (state === 'Z' || state === 'X')
        return null;
    return { state, ppid: Number(fields[1]), startTime: fields[19], comm: stat.slice(stat.indexOf('(') + 1, end) };
}

export const isAlive = pid => processInfo(pid) !== null;

// pid and all that came from it, parents first.
export function processTree(pid) {
    const children = new Map();
    for (const other of allPids()) {
        const info = processInfo(other);
        if (info)
            children.set(info.ppid, [...(children.get(info.ppid) ?? []), other]);
    }
    const tree = [pid];
    for (let i = 0; i < tree.length; i++)
        tree.push(...(children.get(tree[i]) ?? []));
    return tree.filter(isAlive);
}

// Pids whose environment or command line names the folder.
export function pidsOfFolder(folder) {
    return allPids().filter(pid => pid !== process.pid && isAlive(pid) &&
        (read(`/proc/${pid}/environ`).includes(folder) || read(`/proc/${pid}/cmdline`).includes(folder) ||
         link(`/proc/${pid}/exe`).startsWith(`${folder}/`)));
}

function link(file) {
    try {
        return fs.readlinkSync(file);
    } catch {
        return '';
    }
}

// TCP ports on which a process listens, ascending.
export function listeningPorts(pid) {
    const inodes = new Map();
    for (const file of ['tcp', 'tcp6']) {
        for (const line of read(`/proc/${pid}/net/${file}`).split('\n').slice(1)) {
            const field = line.trim().split(/\s+/);
            if (field[3] === '0A')
                inodes.set(field[9], parseInt(field[1].split(':').pop(), 16));
        }
    }
    const ports = [];
    let fds = [];
    try {
        fds = fs.readdirSync(`/proc/${pid}/fd`);
    } catch { /* it is gone */ }
    for (const fd of fds) {
        try {
            const inode = /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
            if (inodes.has(inode))
                ports.push(inodes.get(inode));
        } catch { /* closed in between */ }
    }
    return [...new Set(ports)].sort((a, b) => a - b);
}

// {"VmRSS": bytes, "VmHWM": bytes, …} of /proc/PID/status.
export function memoryOf(pid) {
    return Object.fromEntries([...read(`/proc/${pid}/status`).matchAll(/^(Vm\w+):\s+(\d+) kB$/gm)]
        .map(([, key, kb]) => [key, Number(kb) * 1024]));
}

// Waits until probe() gives something true and returns that; the deadline's error says what was waited for.
export async function until(what, probe, ms = 10000) {
    const deadline = Date.now() + ms;
    for (;;) {
        const value = await probe();
        if (value)
            return value;
        if (Date.now() > deadline)
            throw new Error(`not within ${ms} ms: ${what}`);
        await delay(15);
    }
}
