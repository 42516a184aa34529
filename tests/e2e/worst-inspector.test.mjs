// The inspector at the worst moments: an app that is stopped, hides its workers, or brings options of its own.
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { nodePath } from '../lib/nodes.mjs';
import { isAlive, listeningPorts, processInfo, processTree, until } from '../lib/proc.mjs';

const light = { HOT_MS: '5', REST_MS: '20' };
const errorOf = ({ record, stderr }) => `${record?.error?.name} ${record?.error?.message} ${stderr}`;

// Starts cpu.js as "app" and resolves to its pid and the port that is its own.
async function startCpu(host, more = {}) {
    await host.startApps([{ name: 'app', script: appFile('cpu.js'), env: light, ...more }]);
    const [, port] = await host.waitLog('app', /listening (\d+)/);
    return { pid: await host.pid('app'), own: [Number(port)] };
}

// Addresses on which a process listens, as "HOST:PORT" of IPv4 or "[…]:PORT" in the hex of /proc for IPv6.
function listeningAddresses(pid) {
    const sockets = fs.readdirSync(`/proc/${pid}/fd`).map(fd => {
        try {
            return /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        } catch {
            return undefined; /* closed in between */
        }
    });
    const addresses = [];
    for (const file of ['tcp', 'tcp6'])
        for (const line of fs.readFileSync(`/proc/${pid}/net/${file}`, 'utf8').split('\n').slice(1)) {
            const field = line.trim().split(/\s+/);
            if (field[3] !== '0A' || !sockets.includes(field[9]))
                continue;
            const [host, port] = field[1].split(':');
            const name = file === 'tcp' ? host.match(/../g).reverse().map(byte => parseInt(byte, 16)).join('.') : `[${host}]`;
            addresses.push(`${name}:${parseInt(port, 16)}`);
        }
    return addresses;
}

async function stopProcess(pid) {
    process.kill(pid, 'SIGSTOP');
    await until('the process is stopped', () => processInfo(pid).state === 'T', 2000 * slow);
}

// Waiting is most of what these tests do.
describe('at the worst moment', { concurrency: 4 }, () => {
    test('a kill -9 of the probe while the app is stopped: the port is told of, and closed when the app goes on', async t => {
        const host = startHost(t);
        const { pid, own } = await startCpu(host);
        const capture = host.startCapture('cpu', 'app', { duration: '2s' });
        await capture.waitPhase('running');
        await stopProcess(pid);
        const [probe] = await host.helperPids('proctor-probe');
        process.kill(probe, 'SIGKILL');
        const { code, record } = await capture.finish(20000);
        assert.equal(code, 1);
        assert.equal(record.state, 'failed', JSON.stringify(record));
        assert.equal(record.error.name, 'PROBE_GONE');
        assert.deepEqual(record.warnings, ['port_left_open']);
        assert.equal(listeningPorts(pid).length, 2, 'as the record says');
        process.kill(pid, 'SIGCONT');
        await until('the port is closed', () => listeningPorts(pid).join() === own.join(), 10000 * slow);
        const next = await host.capture('cpu', 'app', { duration: '300ms' });
        assert.equal(next.code, 0, errorOf(next));
        assert.equal(next.record.state, 'done');
        assert.deepEqual(next.record.warnings ?? [], []);
        assert.deepEqual(listeningPorts(pid), own);
        assert.equal(await host.pid('app'), pid);
        assert.equal(host.log('app', 'err'), '');
    });

    test('a listening line that comes after the capture gave up is followed by a close, and the next capture works', async t => {
        const host = startHost(t);
        const { pid, own } = await startCpu(host);
        await stopProcess(pid);
        const began = Date.now();
        const result = await host.capture('cpu', 'app');
        const took = Date.now() - began;
        assert.equal(result.code, 1);
        assert.equal(result.record.error.name, 'NO_LISTEN', errorOf(result));
        assert.equal(result.record.phase, 'open');
        assert.ok(took > 2500 && took < 6000 * slow, `refused after ${took} ms`);
        process.kill(pid, 'SIGCONT');
        // It opens first: the signal was pending.
        await until('the inspector opens', () => listeningPorts(pid).length === 2, 3000 * slow).catch(() => {});
        await until('no inspector port is open', () => listeningPorts(pid).join() === own.join(), 8000 * slow);
        host.assertNoUuid();
        const next = await host.capture('cpu', 'app', { duration: '300ms' });
        assert.equal(next.code, 0, errorOf(next));
        assert.equal(next.record.state, 'done');
        assert.deepEqual(listeningPorts(pid), own);
        assert.equal(await host.pid('app'), pid);
        assert.equal(host.log('app', 'err'), '');
    });

    test('a cluster with silent workers is refused with the reason, and nobody is signalled', async t => {
        const host = startHost(t);
        const names = ['plain', 'counting'];
        await host.startApps(names.map(name => ({
            name, script: appFile('cluster-silent.js'), env: { COUNT_SIGUSR1: name === 'counting' ? '1' : '0' },
        })));
        for (const name of names) {
            await host.waitLog(name, /worker \d+ listening[^]*worker \d+ listening/);
            const primary = await host.pid(name);
            const [, ...workers] = processTree(primary);
            assert.equal(workers.length, 2);
            const before = host.ports(primary);
            // The workers share a port, which their primary has opened.
            const port = Number(/listening (\d+)/.exec(host.log(name))[1]);
            assert.deepEqual(before, { [primary]: [port], [workers[0]]: [], [workers[1]]: [] });
            for (const args of [[], ['--pid', String(workers[0])], ['--pid', String(workers[1])]]) {
                const result = await host.capture('cpu', name, { args });
                assert.equal(result.code, 1, result.stdout);
                assert.match(errorOf(result), /UNSUPPORTED\b/);
                assert.match(errorOf(result), /stderr/);
                assert.match(errorOf(result), new RegExp(`\\b${args[1] ?? `(${workers.join('|')})`}\\b`));
                assert.deepEqual(host.ports(primary), before, 'no port is open');
            }
            await delay(200);
            assert.deepEqual(host.ports(primary), before);
            assert.deepEqual(processTree(primary), [primary, ...workers]);
            assert.doesNotMatch(host.log(name), /SIGUSR1|died/);
            assert.equal(host.log(name, 'err'), '');
        }
    });

    test('a capture that waits at the gate is cancelled at once, without a signal', async t => {
        const host = startHost(t);
        // Without a handler a signal would end it, so the capture waits for one; up to 5 s.
        const { pid, own } = await startCpu(host, { interpreter: nodePath(22), node_args: '--disable-sigusr1' });
        const capture = host.startCapture('cpu', 'app', { duration: '60s' });
        await capture.waitPhase('open');
        const [{ id }] = await host.captures();
        const began = Date.now();
        await host.proctor(['captures', 'cancel', id], { expectCode: 0 });
        const { code, record } = await capture.finish(10000);
        const took = Date.now() - began;
        assert.ok(took < 1500 * slow, `cancelled after ${took} ms`);
        assert.equal(code, 1);
        assert.equal(record.state, 'cancelled', JSON.stringify(record));
        assert.equal(record.phase, 'open');
        assert.ok(isAlive(pid));
        // The gate's own end lies further on; nothing may come of it.
        await delay(5500);
        assert.ok(isAlive(pid));
        assert.equal((await host.row('app')).pm2_env.restart_time, 0);
        assert.deepEqual(listeningPorts(pid), own);
    });

    test('an inspector port for everybody among the app\'s own options is refused with the reason', async t => {
        const host = startHost(t);
        const { pid, own } = await startCpu(host, { node_args: ['--inspect-port=0.0.0.0:0'] });
        const result = await host.capture('cpu', 'app', { duration: '300ms' });
        assert.equal(result.code, 1);
        assert.match(errorOf(result), /UNSUPPORTED\b/);
        assert.match(errorOf(result), /--inspect-port/);
        assert.deepEqual(listeningPorts(pid), own);
        // A signal would have been handled by now.
        await delay(500);
        assert.deepEqual(listeningPorts(pid), own);
        assert.equal(await host.pid('app'), pid);
    });

    test('NODE_OPTIONS with a file whose name contains "inspect" hinders nothing', async t => {
        const host = startHost(t);
        const { pid, own } = await startCpu(host, {
            cwd: path.dirname(appFile('inspectlet.js')), env: { ...light, NODE_OPTIONS: '--require ./inspectlet.js' },
        });
        assert.match(host.log('app'), /inspectlet loaded/);
        const capture = host.startCapture('cpu', 'app', { duration: '1s' });
        await capture.waitPhase('running');
        const addresses = listeningAddresses(pid);
        assert.equal(addresses.length, 2, addresses.join());
        for (const address of addresses)
            assert.match(address, /^127\.0\.0\.1:\d+$/);
        const result = await capture.finish();
        assert.equal(result.code, 0, errorOf(result));
        assert.equal(result.record.state, 'done');
        assert.deepEqual(listeningPorts(pid), own);
        assert.equal(host.log('app', 'err'), '');
    });
});
