// `proctor link`, `link status` and `unlink` on a host that has no console, and with tokens that lead nowhere.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { appFile, startHost } from '../lib/host.mjs';
import { makeToken, startFakeConsole } from '../lib/fake-console.mjs';

const enrolToken = (address, pin = 'a'.repeat(64)) => `pt1.${address}.${pin}.${randomBytes(32).toString('base64url')}`;

// A host with a supervisor that tells all it does.
async function setUp(t) {
    const host = startHost(t, { env: { PROCTOR_LOG: 'trace' } });
    await host.startApps([{ name: 'env', script: appFile('env.js') }]);
    const write = (text, mode = 0o600) => {
        const file = path.join(host.folder, `${randomBytes(4).toString('hex')}.token`);
        fs.writeFileSync(file, text, { mode });
        return file;
    };
    return { host, write };
}

// No secret of a token, and no token.
const assertNowhere = (host, token, ...texts) => {
    for (const text of [host.daemonLog(), ...texts])
        assert.ok(!text.includes(token.split('.').at(-1)), 'the secret was told');
};

test('a host without a console says so', async t => {
    const { host } = await setUp(t);
    assert.match((await host.proctor(['link', 'status'], { expectCode: 0 })).stdout, /^this host is not linked to a console/);
    assert.equal((await host.proctor(['link', 'status', '--json'], { expectCode: 0 })).json().state, 'unlinked');
    const { stderr } = await host.proctor(['unlink'], { expectCode: 0 });
    assert.match(stderr, /warning: this host was not linked/);
    assert.equal((await host.proctor(['unlink', '--json'], { expectCode: 0 })).json().revoked, false);
});

test('without a supervisor nothing is started, and the exit code is 3', async t => {
    const host = startHost(t);
    const file = path.join(host.folder, 'token');
    fs.writeFileSync(file, enrolToken('127.0.0.1:1'), { mode: 0o600 });
    for (const args of [['link', file], ['link', 'status'], ['unlink']]) {
        const { stderr } = await host.proctor(args, { expectCode: 3 });
        assert.match(stderr, /no supervisor is running here/);
    }
    assert.deepEqual(fs.readdirSync(host.home), []);
});

test('a token on the command line is refused, and not repeated', async t => {
    const host = startHost(t);
    const token = enrolToken('127.0.0.1:1');
    const { stdout, stderr } = await host.proctor(['link', token], { expectCode: 2 });
    assert.match(stderr, /shell's history and the list of processes/);
    assertNowhere(host, token, stdout, stderr);
});

test('what is no token for this is told, and is in no log', async t => {
    const { host, write } = await setUp(t);
    const api = makeToken('b'.repeat(64)), half = enrolToken('127.0.0.1:1').slice(0, -3), nowhere = enrolToken('127.0.0.1:1');
    for (const [text, pattern] of [
        [api, /this is an API token; linking a host takes what 'proctor-console token create enrol' prints/],
        ['hunter2hunter2', /this is no token: it does not begin with pt1\./],
        [`${nowhere} ${nowhere}`, /holds more than one token/],
        ['', /there is no token in it/],
        [half, /cannot link this host: the secret .* is not whole/],
        [enrolToken('no-port'), /cannot link this host: .* names no address/],
        [`pt1.${'x'.repeat(600)}`, /cannot link this host: link\.set: field "token" must be a string of length 1 to 512/],
        [nowhere, /cannot link this host: .*127\.0\.0\.1:1 cannot be reached/],
    ]) {
        const { stdout, stderr } = await host.proctor(['link', write(text)], { expectCode: 1 });
        assert.match(stderr, pattern);
        if (text.includes('.'))
            assertNowhere(host, text, stdout, stderr);
    }
    assert.equal((await host.proctor(['link', 'status', '--json'], { expectCode: 0 })).json().state, 'unlinked');
});

test('a file that others can read is warned of, and standard input will do', async t => {
    const { host, write } = await setUp(t);
    const token = enrolToken('127.0.0.1:1');
    const file = write(token);
    fs.chmodSync(file, 0o644);
    const open = await host.proctor(['link', file], { expectCode: 1 });
    assert.match(open.stderr, /warning: .* can be read by others \(mode 0644\)/);
    assert.match(open.stderr, /cannot be reached/);
    const piped = await host.proctor(['link', '-'], { input: `\n  ${token}  \n`, expectCode: 1 });
    assert.match(piped.stderr, /cannot be reached/);
    assertNowhere(host, token, open.stderr, piped.stderr);
});

test('a console that does not have the CA of the token is sent nothing', async t => {
    const { host, write } = await setUp(t);
    const console_ = await startFakeConsole(t, host.folder);
    const address = console_.url.replace('https://', '');
    const wrong = await host.proctor(['link', write(enrolToken(address))], { expectCode: 1 });
    assert.match(wrong.stderr, /nothing was sent/);
    assert.deepEqual(console_.requests, []);
    // With the right one it is sent, and what this server answers is no certificate.
    const token = enrolToken(address, console_.certificates.pin);
    await host.proctor(['link', write(token)], { expectCode: 1 });
    assert.equal(console_.requests[0].what, 'POST enrol');
    assert.equal(console_.requests[0].body.secret, token.split('.').at(-1));
    assertNowhere(host, token);
    assert.equal((await host.proctor(['link', 'status', '--json'], { expectCode: 0 })).json().state, 'unlinked');
});
