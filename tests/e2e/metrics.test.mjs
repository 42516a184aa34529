// What processes use: their families, the hour that outlives us, and what Prometheus reads.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { memoryOf, until } from '../lib/proc.mjs';

const judge = createRequire(`${process.env.PROCTOR_JUDGES}/`);
const parse = text => judge('parse-prometheus-text-format')(text);
const MB = 1 << 20;

const metrics = async (host, ...args) => (await host.proctor(['metrics', ...args, '--json'], { expectCode: 0 })).json();
const one = async (host, target) => (await metrics(host, target)).processes[0];

function family(all, name, labels = {}) {
    const found = all.find(one => one.name === name);
    assert.ok(found, `${name} is there`);
    return found.metrics.filter(sample => Object.entries(labels).every(([key, value]) => sample.labels?.[key] === value));
}

async function freePort() {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    return port;
}

// Resolves to {status, headers, text}.
function get(port, { path: where = '/metrics', method = 'GET', headers = {} } = {}) {
    return new Promise((resolve, reject) => {
        const request = http.request({ host: '127.0.0.1', port, path: where, method, headers, agent: false, timeout: 15000 }, response => {
            let text = '';
            response.setEncoding('utf8').on('data', chunk => { text += chunk; });
            response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
            response.on('error', reject);
        });
        request.on('error', reject).end();
    });
}

const settings = (host, what) => fs.writeFileSync(path.join(host.home, 'settings.json'), JSON.stringify(what));
const reread = (host, code = 0) => host.proctor(['reloadLogs'], { expectCode: code });

test('a process is counted with all that belong to it, also when the supervisor is killed', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'fam', script: appFile('family.js'), env: { CHILD_MB: '60', MIDDLE_MS: '6000' } },
        { name: 'alone', script: appFile('steady.js') }]);
    await until('both children hold their memory', () => host.log('fam').match(/holds/g)?.length === 2, 20000 * slow);
    const whole = await until('all four are counted', async () => {
        const it = await one(host, 'fam');
        return it.processes === 4 && it.tree_memory > it.memory + 120 * MB && it;
    }, 10000 * slow);
    assert.ok(whole.memory < 100 * MB && whole.memory > 10 * MB, `its own: ${whole.memory}`);
    assert.ok(whole.fds > 5 && whole.threads > 3, JSON.stringify(whole));
    const row = await host.row('fam');
    assert.ok(Math.abs(row.monit.memory - memoryOf(row.pid).VmRSS) < 30 * MB, 'jlist tells its own memory');
    // The grandchild in a session of its own loses its parent; then all that we know of it.
    await host.waitLog('fam', /orphaned/, { ms: 15000 });
    await until('three are left', async () => (await one(host, 'fam')).processes === 3, 10000 * slow);
    process.kill(await host.supervisorPid(), 'SIGKILL');
    const after = await one(host, 'fam');
    assert.equal(after.processes, 3, JSON.stringify(after));
    assert.ok(after.tree_memory > 120 * MB);
    assert.equal((await one(host, 'alone')).processes, 1);
    for (const pid of host.log('fam').match(/children (\d+)/).slice(1))
        process.kill(Number(pid), 'SIGKILL');
    await until('two are left', async () => (await one(host, 'fam')).processes === 2, 10000 * slow);
    const { stdout } = await host.proctor(['metrics'], { expectCode: 0 });
    assert.match(stdout, /id +name +inst +status +cpu +1 h +mem +1 h +procs +all mem +fds +threads/);
    assert.match(stdout, /fam +0 +online/);
    host.remember();
    // What has made itself a session of its own stays when the app is stopped; it is ours to end.
    await host.proctor(['stop', 'fam'], { expectCode: 0 });
    assert.deepEqual((({ status, processes, memory, tree_memory, fds }) => ({ status, processes, memory, tree_memory, fds }))(await one(host, 'fam')),
        { status: 'stopped', processes: 0, memory: 0, tree_memory: 0, fds: 0 });
    await host.proctor(['kill'], { expectCode: 0 });
    host.killAll();
});

test('CPU is measured over a second, and busy is busy', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'busy', script: appFile('cpu.js') }, { name: 'idle', script: appFile('steady.js') }]);
    await until('it is seen', async () => (await one(host, 'busy')).cpu > 30, 15000 * slow);
    await until('it is seen that the other is not', async () => (await one(host, 'idle')).cpu < 20, 15000 * slow);
});

test('the history goes on over a kill of the supervisor, and ends with the app', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'web', script: appFile('steady.js'), instances: 2 }]);
    const two = await until('two steps', async () => {
        const it = await one(host, 'web-1');
        return it.history?.memory.length >= 2 && it;
    }, 30000 * slow);
    const { from_ms: from, ...series } = two.history;
    assert.ok(Math.abs(Date.now() - from) < 60000 * slow, `${from}`);
    assert.deepEqual(Object.keys(series).sort(), ['cpu', 'fds', 'memory', 'processes', 'threads', 'tree_memory']);
    for (const values of Object.values(series))
        assert.ok(values.every(Number.isFinite), JSON.stringify(values));
    assert.ok(Math.abs(series.memory.at(-1) - two.memory) < 8 * MB);
    for (const signal of ['SIGKILL', 'SIGKILL']) {
        process.kill(await host.supervisorPid(), signal);
        const after = await one(host, 'web-1');
        assert.ok(Math.abs(after.history.from_ms - from) < 1000, 'it begins where it began');
        assert.ok(after.history.memory.length >= series.memory.length);
        assert.deepEqual(after.history.memory.slice(0, 1), series.memory.slice(0, 1));
    }
    process.kill(await host.keeperPid(), 'SIGKILL');
    await until('a new keeper', async () => (await one(host, 'web-1')).history?.memory[0] === series.memory[0], 10000 * slow);
    await host.proctor(['delete', 'web'], { expectCode: 0 });
    await host.startApps([{ name: 'api', script: appFile('steady.js'), instances: 2 }]);
    for (const it of (await metrics(host, 'api')).processes)
        assert.ok(!it.history || it.history.from_ms > from + 5000, `the history of another: ${JSON.stringify(it.history)}`);
});

test('what is asked for wrongly is refused with a sentence', async t => {
    const host = startHost(t);
    assert.equal((await host.proctor(['metrics'])).code, 3);
    await host.startApps([{ name: 'web', script: appFile('steady.js') }]);
    assert.match((await host.proctor(['metrics', 'wbe'], { expectCode: 1 })).stderr, /wbe/);
    assert.match((await host.proctor(['metrics', '--prometheus', 'web'], { expectCode: 2 })).stderr, /everything/);
    assert.match((await host.proctor(['metrics', '--prometheus', '--json'], { expectCode: 2 })).stderr, /everything/);
});

test("Prometheus' format is read by a parser of it", async t => {
    const host = startHost(t);
    await host.startApps(['web', 'talk', 'off'].map(name => ({ name, script: appFile(name === 'talk' ? 'talker.js' : 'steady.js') })));
    await host.proctor(['stop', 'off'], { expectCode: 0 });
    const text = (await host.proctor(['metrics', '--prometheus'], { expectCode: 0 })).stdout;
    const all = parse(text);
    assert.equal(new Set(all.map(one => one.name)).size, all.length, 'each family once');
    for (const { name, type, help } of all) {
        assert.match(name, /^proctor_[a-z_]+$/);
        assert.ok(help.length > 10);
        // https://prometheus.io/docs/practices/naming/: only what rises ends in _total.
        assert.equal(name.endsWith('_total'), type === 'COUNTER', `${name} is a ${type}`);
        assert.doesNotMatch(name, /_(ms|kb|mb|percent|minutes)(_|$)/);
    }
    assert.equal(family(all, 'proctor_instance_up', { app: 'web', app_instance: '0' })[0].value, '1');
    assert.equal(family(all, 'proctor_instance_up', { app: 'off' })[0].value, '0');
    assert.equal(family(all, 'proctor_process_resident_memory_bytes', { app: 'off' }).length, 0);
    const memory = Number(family(all, 'proctor_process_resident_memory_bytes', { app: 'web' })[0].value);
    assert.ok(Math.abs(memory - memoryOf(await host.pid('web')).VmRSS) < 20 * MB, `${memory}`);
    const start = Number(family(all, 'proctor_process_start_time_seconds', { app: 'web' })[0].value);
    assert.ok(Math.abs(start - Date.now() / 1000) < 60 * slow);
    const told = await until('what the app tells', async () => {
        const told = family(parse((await host.proctor(['metrics', '--prometheus'])).stdout), 'proctor_app_metric', { app: 'talk' });
        return told.length >= 2 && told;
    }, 10000 * slow);
    assert.deepEqual(told.map(({ value, labels: { metric, unit } }) => [metric, unit, value]).sort(),
        [['Heap Size', 'MiB', '5.73'], ['Users', 'people', '42']]);
});

test('the page on the loopback: off, on, elsewhere, refused, over a kill', async t => {
    const host = startHost(t);
    const port = await freePort();
    await host.startApps([{ name: 'web', script: appFile('steady.js') }]);
    await assert.rejects(get(port), /ECONNREFUSED/);
    settings(host, { metrics_listen: `127.0.0.1:${port}` });
    await reread(host);
    const { status, headers, text } = await get(port);
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
    assert.equal(family(parse(text), 'proctor_instance_up')[0].value, '1');
    assert.deepEqual([(await get(port, { method: 'HEAD' })).text, (await get(port, { path: '/' })).status, (await get(port, { method: 'POST' })).status,
        (await get(port, { headers: { host: 'example.org' } })).status], ['', 404, 405, 403]);
    // A wrong setting changes nothing.
    for (const [bad, why] of [['0.0.0.0:80', /this host alone/], [`10.0.0.1:${port}`, /this host alone/], [7, /this host alone/]]) {
        settings(host, { metrics_listen: bad });
        assert.match((await reread(host, 1)).stderr, why);
        assert.equal((await get(port)).status, 200);
    }
    const other = await freePort();
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    settings(host, { metrics_listen: `127.0.0.1:${taken.address().port}` });
    assert.match((await reread(host, 1)).stderr, /cannot listen on 127\.0\.0\.1:\d+: [Aa]ddress already in use/);
    taken.close();
    // The socket lies with the keeper: not one scrape is refused while supervisors die.
    settings(host, { metrics_listen: `127.0.0.1:${port}` });
    await reread(host);
    let scrapes = 0, cut = 0, stop = false;
    const scraper = (async () => {
        while (!stop) {
            try {
                assert.equal((await get(port)).status, 200);
                scrapes++;
            } catch (error) {
                assert.notEqual(error.code, 'ECONNREFUSED');
                cut++;
            }
            await delay(2);
        }
    })();
    for (let i = 0; i < 5; i++) {
        await delay(200);
        process.kill(await host.supervisorPid(), 'SIGKILL');
        await host.supervisorPid();
    }
    stop = true;
    await scraper;
    assert.ok(scrapes > 20 && cut <= 10, `${scrapes} scrapes, ${cut} that the dead one had taken`);
    settings(host, { metrics_listen: `127.0.0.1:${other}` });
    await reread(host);
    await assert.rejects(get(port), /ECONNREFUSED/);
    assert.equal((await get(other)).status, 200);
    settings(host, {});
    await reread(host);
    await assert.rejects(get(other), /ECONNREFUSED/);
    process.kill(await host.supervisorPid(), 'SIGKILL');
    await host.supervisorPid();
    await assert.rejects(get(other), /ECONNREFUSED/);
});

test('readers that say nothing, too much, or read nothing do not keep out the others', async t => {
    const host = startHost(t);
    const port = await freePort();
    settings(host, { metrics_listen: `127.0.0.1:${port}` });
    await host.startApps([{ name: 'web', script: appFile('steady.js') }]);
    const silent = Array.from({ length: 14 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
    await Promise.all(silent.map(socket => once(socket, 'connect')));
    assert.equal((await get(port)).status, 200);
    const long = net.connect(port, '127.0.0.1').on('error', () => {});
    let answer = '';
    long.setEncoding('latin1').on('data', chunk => { answer += chunk; });
    long.write(`GET /metrics HTTP/1.1\r\nX: ${'x'.repeat(20000)}`);
    await until('a head without an end is refused', () => answer.startsWith('HTTP/1.1 431 '), 5000 * slow);
    await Promise.all(silent.map(socket => socket.destroyed || once(socket, 'close')));
    assert.equal((await get(port)).status, 200);
    long.destroy();
});
