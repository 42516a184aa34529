// `proctor profile` and `proctor captures` with --console, against a console that is none; and `proctor link` without one.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { slow, startHost } from '../lib/host.mjs';
import { until } from '../lib/proc.mjs';
import { FakeConsole, makeCertificates, makeToken, startFakeConsole } from '../lib/fake-console.mjs';

async function setUp(t) {
    const host = startHost(t);
    const console_ = await startFakeConsole(t, host.folder);
    return { host, console_ };
}

const profile = (host, console_, args, options) =>
    host.proctor(['profile', ...args, ...console_.args()], { timeout: 30000, ...options });
const asked = (console_, pattern) => console_.requests.filter(one => pattern.test(one.what));

// Starts `proctor profile` and waits until it has seen the capture run.
async function startRunning(host, console_, args) {
    const run = host.spawnProctor(['profile', ...args, ...console_.args()]);
    await until(`running: ${run.stderr}`, () => /: running/.test(run.stderr), 15000 * slow);
    return run;
}

// ---- profile -------------------------------------------------------------------------------------------------------

test('a profile of another host comes through the console into a file', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    const { stdout, stderr } = await profile(host, console_, ['cpu', 'api', '-d', '300ms', '--interval', '1ms', '-o', 'a.cpuprofile'],
        { expectCode: 0 });
    const file = path.join(host.work, 'a.cpuprofile');
    assert.deepEqual(fs.readFileSync(file), console_.result);
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    assert.match(stdout, /^api-0@web1: cpu profile in a\.cpuprofile \(\d+B, 0\.\d s measured, the start held the app for 1\.5 ms\)\n/);
    assert.match(stdout, /see where it went: proctor top a\.cpuprofile/);
    assert.deepEqual(stderr.trim().split('\n'), ['open', 'start', 'running', 'stopping', 'sending', 'stored'].map(one => `api-0@web1: ${one}`));
    const [{ body }] = asked(console_, /^POST captures$/);
    assert.match(body.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    assert.deepEqual({ ...body, id: '' }, {
        id: '', kind: 'cpu', duration_ms: 300, interval_us: 1000,
        targets: [{ host: console_.processes[0].host, app: 'api', instance: 0 }],
    });
    assert.deepEqual(fs.readdirSync(host.work), ['a.cpuprofile'], 'nothing else was left');
});

test('all instances on all hosts are captured at once, each into its file', async t => {
    const { host, console_ } = await setUp(t);
    for (const [name, instance] of [['web1', 0], ['web1', 1], ['web2', 0]])
        console_.addProcess(name, 'api', instance);
    console_.addProcess('web2', 'other');
    const refused = await profile(host, console_, ['heap', 'api', '-d', '300ms', '-o', 'x-%i'], { expectCode: 1 });
    assert.match(refused.stderr, /means 3 processes: '-o x-%i' must be a folder, or contain %i for the instance and %h for the host/);
    assert.equal(asked(console_, /^POST/).length, 0);
    const { json } = await profile(host, console_, ['heap', 'api', '-d', '300ms', '-o', 'x-%h-%i', '--json'], { expectCode: 0 });
    const { version, captures } = json();
    assert.equal(version, 1);
    assert.deepEqual(captures.map(one => [one.host_name, one.instance, one.file, one.state]), [
        ['web1', 0, 'x-web1-0', 'done'], ['web1', 1, 'x-web1-1', 'done'], ['web2', 0, 'x-web2-0', 'done']]);
    assert.equal(asked(console_, /^POST captures$/).length, 1, 'one order');
    await profile(host, console_, ['heap', 'api', '-d', '100ms', '-o', '.'], { expectCode: 0 });
    assert.equal(fs.readdirSync(host.work).filter(name => /^api-\d-web[12]-heap-\d+-\d+\.heapprofile$/.test(name)).length, 3);
});

test('a target may name the host, by its name or id', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api', 0);
    console_.addProcess('web1', 'api', 1);
    const other = console_.addProcess('web2', 'api', 0);
    await profile(host, console_, ['cpu', 'api-1@web1', '-d', '100ms', '-o', 'a'], { expectCode: 0 });
    await profile(host, console_, ['cpu', `api@${other.host}`, '-d', '100ms', '-o', 'b', '--pid', '77'], { expectCode: 0 });
    const targets = asked(console_, /^POST captures$/).map(one => one.body.targets);
    assert.deepEqual(targets, [[{ host: console_.processes[0].host, app: 'api', instance: 1 }],
        [{ host: other.host, app: 'api', instance: 0, pid: 77 }]]);
    for (const [target, pattern] of [['apo', /no host of this console has an app "apo"; did you mean "api"\?/],
        ['api@web9', /no host with processes is called "web9"; did you mean "web[12]"\?/],
        ['api-7@web1', /host "web1" has no app "api-7"/]]) {
        const { stderr } = await profile(host, console_, ['cpu', target, '-d', '100ms'], { expectCode: 1 });
        assert.match(stderr, pattern);
    }
});

test('what a host cannot capture is told, and the others are captured', async t => {
    const { host, console_ } = await setUp(t);
    const policy = 'the policy of this host does not allow captures of kind cpu';
    console_.addProcess('web1', 'api');
    console_.addProcess('web2', 'api', 0, { kinds: { cpu: 'api-0: Node 9 cannot be told', heap: '' } });
    console_.addProcess('web3', 'shut', 0, { kinds: { cpu: policy, heap: policy } });
    const some = await profile(host, console_, ['cpu', 'api', '-d', '100ms', '-o', '.'], { expectCode: 1 });
    assert.match(some.stderr, /^proctor: api-0@web2: api-0: Node 9 cannot be told \[UNSUPPORTED\]$/m);
    assert.match(some.stdout, /^api-0@web1: cpu profile in /m);
    const before = console_.requests.length;
    const none = await profile(host, console_, ['cpu', 'shut', '-d', '100ms'], { expectCode: 4 });
    assert.match(none.stderr, /shut-0@web3: the policy of this host does not allow .* \[POLICY\]/);
    assert.deepEqual(console_.requests.slice(before).map(one => one.what), ['GET processes']);
});

test('a capture that fails there fails here, with the same exit codes', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    for (const [name, message, code] of [['NO_LISTEN', 'the inspector did not open', 1], ['POLICY', 'the policy of this host says no', 4]]) {
        console_.advance = row => Object.assign(row, { state: 'failed', phase: 'open', error: { name, message } });
        const { stderr } = await profile(host, console_, ['cpu', 'api', '-d', '100ms'], { expectCode: code });
        assert.match(stderr, new RegExp(`api-0@web1: the capture failed in phase open: ${message} \\[${name}\\]`));
    }
    assert.deepEqual(fs.readdirSync(host.work), []);
});

test('a token that is not known, a role that may not, and an order that is refused end at once', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    const stranger = path.join(host.folder, 'stranger.token');
    fs.writeFileSync(stranger, makeToken(console_.certificates.pin), { mode: 0o600 });
    const unknown = await host.proctor(['profile', 'cpu', 'api', '--console', console_.url], { env: { PROCTOR_TOKEN_FILE: stranger }, expectCode: 1 });
    assert.match(unknown.stderr, /the console does not take this token: it has expired or was revoked: not logged in/);
    console_.before = (what, response) => what === 'POST captures' &&
        console_.refuse(response, 403, 'DENIED', 'a viewer may not start captures');
    const denied = await profile(host, console_, ['cpu', 'api', '-d', '1s'], { expectCode: 1 });
    assert.match(denied.stderr, /^proctor: cannot profile: a viewer may not start captures$/m);
    console_.before = (what, response) => what === 'POST captures' && console_.refuse(response, 409, 'POLICY', 'no');
    await profile(host, console_, ['cpu', 'api', '-d', '1s'], { expectCode: 4 });
    console_.before = (what, response) => { response.writeHead(200, { 'content-type': 'text/html' }).end('<p>not a console'); return true; };
    const page = await profile(host, console_, ['cpu', 'api', '-d', '1s'], { expectCode: 1 });
    assert.match(page.stderr, /is none of a console's answers/);
    assert.equal(console_.captures.length, 0);
});

// ---- the connection ------------------------------------------------------------------------------------------------

test('a console that goes away is waited for, and the captures go on', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    const run = await startRunning(host, console_, ['cpu', 'api', '-d', '3s', '-o', 'a']);
    await console_.down();
    await until(`it is missed: ${run.stderr}`, () => /does not answer: .*; what runs goes on, trying again/.test(run.stderr), 15000 * slow);
    await delay(1200);
    await console_.up();
    const { code, stderr } = await run.ended;
    assert.equal(code, 0, stderr);
    assert.equal(stderr.match(/trying again/g).length, 1);
    assert.match(stderr, /^the console is back$/m);
    assert.deepEqual(fs.readFileSync(path.join(host.work, 'a')), console_.result);
});

test('an order whose answer is lost is sent again, and is one order', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    let cut = 0;
    console_.before = (what, response, body) => {
        if (what !== 'POST captures' || cut++ > 1)
            return false;
        if (cut === 1)
            console_.order(body);
        // The second time a proxy speaks for it.
        return cut === 1 ? (response.destroy(), true) : console_.reply(response, 502, {});
    };
    await profile(host, console_, ['cpu', 'api', '-d', '100ms', '-o', 'a'], { expectCode: 0 });
    const ids = asked(console_, /^POST captures$/).map(one => one.body.id);
    assert.equal(ids.length, 3);
    assert.equal(new Set(ids).size, 1);
    assert.equal(console_.captures.length, 1);
});

test('a result is whole or not at all', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    console_.result = Buffer.alloc(3 << 20, 'x');
    let cuts = 0;
    console_.before = (what, response) => {
        if (!what.endsWith('/raw') || cuts++ > 1)
            return false;
        response.writeHead(200, { 'content-length': console_.result.length });
        response.write(console_.result.subarray(0, 1 << 20), () => response.destroy());
        return true;
    };
    await profile(host, console_, ['cpu', 'api', '-d', '100ms', '-o', 'a'], { expectCode: 0 });
    assert.equal(cuts, 3);
    assert.deepEqual(fs.readFileSync(path.join(host.work, 'a')), console_.result);
    console_.before = (what, response) => what.endsWith('/raw') && (response.writeHead(200).end('short'), true);
    const { stderr } = await profile(host, console_, ['cpu', 'api', '-d', '100ms', '-o', 'b'], { expectCode: 1 });
    assert.match(stderr, /came with 5 bytes, and 3145728 were announced; 'proctor captures get \S+ --console https:\S+' tells more later \[MISMATCH\]/);
    assert.deepEqual(fs.readdirSync(host.work), ['a']);
});

test('a result can go to standard output', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    const { stdout, stderr } = await profile(host, console_, ['cpu', 'api', '-d', '100ms', '-o', '-'], { expectCode: 0 });
    assert.equal(stdout, console_.result.toString());
    assert.match(stderr, /api-0@web1: cpu profile on standard output/);
});

test('Ctrl-C ends the capture and keeps it, a second one drops it, a third one leaves', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    const kept = await startRunning(host, console_, ['cpu', 'api', '-o', 'kept']);
    kept.child.kill('SIGINT');
    const one = await kept.ended;
    assert.equal(one.code, 0, one.stderr);
    assert.match(one.stderr, /^ending the capture; another interrupt drops the result$/m);
    assert.deepEqual(fs.readFileSync(path.join(host.work, 'kept')), console_.result);

    // This one does not end by being stopped.
    const end = console_.end.bind(console_);
    console_.end = (row, cancel) => cancel ? end(row, cancel) : row;
    const dropped = await startRunning(host, console_, ['cpu', 'api', '-o', 'dropped']);
    dropped.child.kill('SIGINT');
    await until('the stop', () => /another interrupt/.test(dropped.stderr), 10000 * slow);
    dropped.child.kill('SIGINT');
    const two = await dropped.ended;
    assert.equal(two.code, 1);
    assert.match(two.stderr, /the capture was cancelled, nothing is kept/);

    console_.end = row => row;
    const left = await startRunning(host, console_, ['cpu', 'api', '-o', 'left']);
    for (const word of [/another interrupt/, /cancelling the capture/, null]) {
        left.child.kill('SIGINT');
        if (word)
            await until(String(word), () => word.test(left.stderr), 10000 * slow);
    }
    const three = await left.ended;
    assert.equal(three.code, 1);
    assert.match(three.stderr, /api-0@web1: no longer waited for; 'proctor captures get \S+ --console \S+' tells more later \[CANCELLED\]/);
    assert.deepEqual(fs.readdirSync(host.work), ['kept']);
});

test('three presses leave also when the console is gone', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    const run = await startRunning(host, console_, ['cpu', 'api', '-o', 'a']);
    await console_.down();
    await until('it is missed', () => /trying again/.test(run.stderr), 15000 * slow);
    for (let i = 0; i < 3; i++) {
        run.child.kill('SIGINT');
        await delay(100);
    }
    const began = Date.now();
    assert.equal((await run.ended).code, 1);
    assert.ok(Date.now() - began < 3000 * slow);
});

test('a console of another CA, or for another name, is sent nothing', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    const other = makeCertificates(host.folder);
    const refused = async (file, pattern, more = []) => {
        const { stderr } = await host.proctor(['profile', 'cpu', 'api', '-d', '1s', ...console_.args(file), ...more], { expectCode: 1 });
        assert.match(stderr, pattern);
        assert.ok(!stderr.includes(console_.token.split('.').at(-1)));
    };
    const file = path.join(host.folder, 'other.token');
    fs.writeFileSync(file, console_.token.replace(console_.certificates.pin, other.pin), { mode: 0o600 });
    await refused(file, /is not the console that this token is for, and was sent nothing: /);
    await refused(console_.tokenFile, /is not the console that '--ca' vouches for, and was sent nothing: /, ['--ca', other.caFile]);
    await refused(console_.tokenFile, /--ca .*nothing/, ['--ca', path.join(host.folder, 'nothing')]);
    assert.deepEqual(console_.requests, []);
    // The CA of a console behind a proxy may be another one than the token's.
    await host.proctor(['captures', ...console_.args(), '--ca', console_.certificates.caFile], { expectCode: 0 });

    const elsewhere = new FakeConsole(host.folder, { certificates: makeCertificates(host.folder, { name: 'console.example' }) });
    await elsewhere.up();
    t.after(() => elsewhere.down());
    const wrong = await host.proctor(['captures', ...elsewhere.args()], { expectCode: 1 });
    assert.match(wrong.stderr, /is not the console that this token is for, and was sent nothing: /);
    assert.deepEqual(elsewhere.requests, []);
    await console_.down();
    const gone = await host.proctor(['captures', ...console_.args()], { expectCode: 1 });
    assert.match(gone.stderr, /cannot list the captures: https:\/\/127\.0\.0\.1:\d+ does not answer: /);
});

// ---- captures ------------------------------------------------------------------------------------------------------

test('captures lists, fetches, stops and cancels those of the console', async t => {
    const { host, console_ } = await setUp(t);
    console_.addProcess('web1', 'api');
    console_.addProcess('web2', 'api');
    await profile(host, console_, ['cpu', 'api', '-d', '100ms', '-o', '.'], { expectCode: 0 });
    const [{ id }, { id: second }] = console_.captures;
    const captures = (args, options) => host.proctor(['captures', ...args, ...console_.args()], options);
    const { stdout } = await captures([], { expectCode: 0 });
    assert.match(stdout, /host +id +kind +process +state/);
    assert.match(stdout, /web1 .* cpu +api-0 +done/);
    assert.match(stdout, /web2 .* cpu +api-0 +done/);
    assert.equal((await captures(['list'], { expectCode: 0 })).stdout, stdout);
    const { json } = await captures(['--json'], { expectCode: 0 });
    assert.equal(json().version, 1);
    assert.equal(json().captures.length, 2);
    const prefix = [...id].findIndex((letter, i) => letter !== second[i]) + 1;
    await captures(['get', id.slice(0, Math.max(prefix, 1)), '-o', 'again'], { expectCode: 0 });
    assert.deepEqual(fs.readFileSync(path.join(host.work, 'again')), console_.result);
    console_.captures[0].state = 'running';
    const early = await captures(['get', id, '-o', 'early'], { expectCode: 1 });
    assert.match(early.stderr, /api-0@web\d: the capture is still running/);
    assert.match((await captures(['stop', id], { expectCode: 0 })).stdout, /ending, the result is kept/);
    assert.equal(console_.captures[0].stopped, true);
    assert.match((await captures(['cancel', id], { expectCode: 0 })).stdout, /cancelled/);
    assert.equal(console_.captures[0].state, 'cancelled');
    const missing = await captures(['get', '01890a5d-ac96-774b-bcce-b302099a8057'], { expectCode: 1 });
    assert.match(missing.stderr, /cannot fetch the capture: there is no such thing/);
    await captures(['get', 'zzz'], { expectCode: 1 });
    console_.captures[1].profile = null;
    const lost = await captures(['get', second, '-o', 'lost'], { expectCode: 1 });
    assert.match(lost.stderr, /its result is not in the console/);
});

test('wrong use is told before anything is sent', async t => {
    const { host, console_ } = await setUp(t);
    const open = path.join(host.folder, 'open.token'), enrol = path.join(host.folder, 'enrol.token');
    fs.writeFileSync(open, console_.token, { mode: 0o644 });
    fs.writeFileSync(enrol, 'pt1.x:1.y.z', { mode: 0o600 });
    for (const [args, code, pattern] of [
        [['profile', 'cpu', 'api', '--token-file', open], 2, /'--token-file' belongs to '--console URL'/],
        [['captures', '--ca', open], 2, /'--ca' belongs to '--console URL'/],
        [['captures', '--console', console_.url], 2, /'--token-file FILE' or PROCTOR_TOKEN_FILE must name/],
        [['captures', '--console', console_.url, '--token-file', open], 1, /can be read by others \(mode 0644\).*chmod 600/],
        [['captures', '--console', console_.url, '--token-file', enrol], 1, /holds no API token: /],
        [['captures', '--console', console_.url, '--token-file', path.join(host.folder, 'none')], 1, /No such file/],
        [['captures', '--console', console_.url.replace('https', 'http'), '--token-file', console_.tokenFile], 2, /must begin with https:\/\//],
        [['captures', '--console', `${console_.url}/x`, '--token-file', console_.tokenFile], 2, /must end with the host and port/],
        [['captures', '--console', 'https://me:pw@127.0.0.1:1', '--token-file', console_.tokenFile], 2, /must not hold a name or password/],
        [['captures', '--console', '127.0.0.1:1', '--token-file', console_.tokenFile], 2, /is no URL/],
        [['profile', 'stack', 'api', ...console_.args()], 2, /unknown kind 'stack'/],
        [['profile', 'cpu', 'api', '-o', path.join(host.folder, 'no', 'where'), ...console_.args()], 1, /cannot write into/],
        [['captures', 'stop', ...console_.args()], 2, /'stop' needs the id/],
    ]) {
        const { stderr } = await host.proctor(args, { expectCode: code });
        assert.match(stderr, pattern);
        assert.ok(!stderr.includes(console_.token));
    }
    assert.deepEqual(console_.requests, []);
    assert.deepEqual(fs.readdirSync(host.home), [], 'no supervisor was started');
});
