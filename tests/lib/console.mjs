// A private console for a test: proctor-console in a temp folder, its API as a stranger sees it (node:https with the
// console's own CA), and an end that proves that nothing was left behind.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { isAlive, pidsOfFolder, processInfo, until } from './proc.mjs';
import { slow } from './host.mjs';
import { startProxy } from './proxy.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const build = process.env.PROCTOR_BUILD ?? path.join(root, 'build/release');
const run = promisify(execFile);

// A UUID of version 7, as requesters make them.
export function uuid7(atMs = Date.now()) {
    const hex = atMs.toString(16).padStart(12, '0') + '7' + randomBytes(10).toString('hex');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-${'89ab'[parseInt(hex[16], 16) & 3]}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const openConsoles = new Set();
for (const signal of ['SIGTERM', 'SIGINT']) {
    process.once(signal, () => {
        for (const one of openConsoles)
            one.killAll();
    });
}

// Starts a console and waits for its ready line.  proxy: the agents come to it through one.proxy.
export async function startConsole(t, { proxy = false, ...options } = {}) {
    const one = new Console(t, options);
    openConsoles.add(one);
    t.after(() => one.close());
    if (proxy) {
        one.proxy = await startProxy(t);
        one.args = ['--public-agents', one.proxy.address, ...one.args];
    }
    await one.start();
    if (proxy)
        one.proxy.target = one.agents;
    return one;
}

export class Console {
    constructor(t, { args = [], data, wrapper = [], env = {}, folderOfPrograms = build } = {}) {
        this.t = t;
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'proctor-console-e2e-'));
        this.data = data ?? path.join(this.folder, 'data');
        this.args = args;
        this.program = path.join(folderOfPrograms, 'proctor-console');
        this.wrapper = wrapper;
        this.env = {
            PATH: process.env.PATH, HOME: this.folder, LANG: 'C.UTF-8', PROCTOR_TEST_FOLDER: this.folder,
            ...Object.fromEntries(['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS', 'PROCTOR_LOG']
                .filter(key => process.env[key]).map(key => [key, process.env[key]])),
            ...env,
        };
        this.log = '';
        this.expectComplaints = false;
    }

    // ---- the server ----

    // The ports stay the same over restarts, so that agents find it again.
    async start() {
        const ports = this.web
            ? ['--listen', this.webAddress, '--agent-listen', this.agents]
            : ['--listen', '127.0.0.1:0', '--agent-listen', '127.0.0.1:0'];
        const [command, ...args] = [...this.wrapper, this.program, '--data', this.data, ...ports, ...this.args];
        this.child = spawn(command, args, { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
        this.child.stderr.setEncoding('utf8').on('data', text => { this.log += text; });
        this.ended = once(this.child, 'close').then(([code, signal]) => ({ code, signal }));
        const lines = readline.createInterface({ input: this.child.stdout });
        const timer = setTimeout(() => this.child.kill('SIGKILL'), 20000 * slow);
        const line = await Promise.race([once(lines, 'line').then(([text]) => text), this.ended.then(() => null)]);
        clearTimeout(timer);
        assert.ok(line, `the console did not start:\n${this.log}`);
        const ready = JSON.parse(line);
        assert.equal(ready.ready, true);
        this.ready = ready;
        this.web = ready.web;
        this.webAddress = ready.web.replace('https://', '');
        this.agents = ready.agents;
        this.pid = this.child.pid;
        return ready;
    }

    get ca() {
        return fs.readFileSync(this.caFile);
    }

    get caFile() {
        return path.join(this.data, 'tls', 'ca.pem');
    }

    // Ends it and waits for the end; what is left in files is what counts.
    async stop(signal = 'SIGTERM') {
        this.child.kill(signal);
        const timer = setTimeout(() => this.child.kill('SIGKILL'), 15000 * slow);
        const ended = await this.ended;
        clearTimeout(timer);
        return ended;
    }

    async restart(signal = 'SIGTERM') {
        await this.stop(signal);
        await this.start();
    }

    // ---- administration ----

    // `proctor-console ARGS --data DIR`.
    async admin(args, { input, expectCode = 0 } = {}) {
        const child = run(this.program, [...args, '--data', this.data], { env: this.env, timeout: 20000 * slow });
        if (input !== undefined)
            child.child.stdin.end(input);
        else
            child.child.stdin.end();
        const result = await child.catch(error => error);
        const code = result.code ?? 0;
        if (expectCode !== undefined)
            assert.equal(code, expectCode, `proctor-console ${args.join(' ')}: exit ${code}\n${result.stdout}${result.stderr}`);
        return { code, stdout: result.stdout, stderr: result.stderr };
    }

    async enrolToken(args = []) {
        return (await this.admin(['token', 'create', 'enrol', ...args])).stdout.trim();
    }

    // A token of the role, made once.
    async token(role = 'operator') {
        this.tokens ??= {};
        this.tokens[role] ??= (await this.admin(['token', 'create', 'api', '--role', role])).stdout.trim();
        return this.tokens[role];
    }

    // Writes a token into a file that only its owner reads, for `proctor --token-file`.
    async tokenFile(role = 'operator') {
        const file = path.join(this.folder, `${role}.token`);
        fs.writeFileSync(file, `${await this.token(role)}\n`, { mode: 0o600 });
        return file;
    }

    // ---- the API ----

    // One request; resolves to {status, headers, text, body}.
    request(method, url, { body, headers = {}, raw = false, agent, timeout = 20000 } = {}) {
        const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
        return new Promise((resolve, reject) => {
            const request = https.request(new URL(url, this.web), {
                method, ca: this.ca, agent, timeout: timeout * slow,
                // A false Host is for the server to find.
                ...(headers.host ? { servername: '', checkServerIdentity: () => undefined } : {}),
                headers: {
                    ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
                    ...headers,
                },
            }, response => {
                const chunks = [];
                response.on('data', chunk => chunks.push(chunk));
                response.on('error', reject);
                response.on('end', () => {
                    const data = Buffer.concat(chunks);
                    const result = { status: response.statusCode, headers: response.headers, data, text: raw ? null : data.toString('utf8') };
                    try {
                        result.body = raw ? null : JSON.parse(result.text);
                    } catch {
                        result.body = null;
                    }
                    resolve(result);
                });
            });
            request.on('timeout', () => request.destroy(new Error(`no answer to ${method} ${url}`)));
            request.on('error', reject);
            request.end(text);
        });
    }

    // The same with a token of the role; fails when the status is another (default: 2xx).
    async api(method, url, { role = 'operator', status, ...options } = {}) {
        const headers = { ...(role ? { authorization: `Bearer ${await this.token(role)}` } : {}), ...options.headers };
        const result = await this.request(method, `/api/v1/${url}`, { ...options, headers });
        const fits = status === undefined ? result.status >= 200 && result.status < 300 : result.status === status;
        assert.ok(fits, `${method} ${url}: ${result.status}, not ${status ?? '2xx'}: ${result.text}`);
        return result;
    }

    // Logs in and resolves to {cookie, csrf, headers}: what a browser then sends.
    async login(name, password) {
        const result = await this.request('POST', '/api/v1/login', { body: { name, password }, headers: { origin: this.web } });
        assert.equal(result.status, 200, result.text);
        const cookie = result.headers['set-cookie'][0].split(';')[0];
        return { cookie, csrf: result.body.csrf, headers: { cookie, origin: this.web, 'x-csrf-token': result.body.csrf } };
    }

    get adminPassword() {
        return fs.readFileSync(this.ready.password_file, 'utf8').trim();
    }

    // ---- hosts and captures ----

    // Links a host of host.mjs, and waits until the console sees it connected.
    async link(host, { args = [] } = {}) {
        const file = path.join(host.folder, `enrol-${randomBytes(4).toString('hex')}.token`);
        fs.writeFileSync(file, `${await this.enrolToken(args)}\n`, { mode: 0o600 });
        await host.proctor(['link', file], { expectCode: 0, timeout: 40000 });
        const { stdout } = await host.proctor(['link', 'status', '--json'], { expectCode: 0 });
        host.id = JSON.parse(stdout).host;
        await this.waitConnected(host.id);
        return host.id;
    }

    waitConnected(id, connected = true, ms = 20000) {
        return until(`host ${id} is ${connected ? '' : 'not '}connected`, async () => {
            const { body } = await this.api('GET', 'hosts', { role: 'viewer' });
            const row = body.hosts.find(one => one.id === id);
            return row && row.connected === connected && row;
        }, ms * slow);
    }

    // The processes of a host, once there is one of this app that can be captured.
    waitProcess(host, app, kind = 'cpu', ms = 20000) {
        return until(`${app} of ${host} can be captured`, async () => {
            const { body } = await this.api('GET', `processes?host=${host}`, { role: 'viewer' });
            return body.processes.find(one => one.app === app && one.kinds?.[kind] === '');
        }, ms * slow);
    }

    // Starts a capture and resolves to its rows.
    async capture(targets, { kind = 'cpu', duration_ms, id = uuid7(), ...more } = {}) {
        const body = { id, kind, targets: targets.map(({ host, app, instance = 0, ...rest }) => ({ host, app, instance, ...rest })), ...more };
        if (duration_ms)
            body.duration_ms = duration_ms;
        return (await this.api('POST', 'captures', { body })).body.captures;
    }

    async getCapture(id) {
        return (await this.api('GET', `captures/${id}`, { role: 'viewer' })).body.capture;
    }

    waitPhase(id, phase, ms = 20000) {
        return until(`capture ${id} is in phase ${phase}`, async () => {
            const capture = await this.getCapture(id);
            const entered = (capture.phases ?? []).some(one => one.phase === phase);
            assert.ok(entered || !ended(capture.state), `it ended before: ${JSON.stringify(capture)}`);
            return entered && capture;
        }, ms * slow);
    }

    // Waits for the end, and for the profile that goes with it.
    waitEnd(id, state, ms = 40000) {
        return until(`capture ${id} has ended${state ? ` as ${state}` : ''}`, async () => {
            const capture = await this.getCapture(id);
            if (!ended(capture.state) || (state && (capture.given_up || (capture.state !== state && capture.waiting))))
                return false;
            if (state)
                assert.equal(capture.state, state, JSON.stringify(capture));
            return (['done', 'partial'].includes(capture.state) ? capture.profile : true) && capture;
        }, ms * slow);
    }

    async raw(id) {
        return (await this.request('GET', `/api/v1/profiles/${id}/raw`, {
            raw: true, timeout: 120000, headers: { authorization: `Bearer ${await this.token('viewer')}` },
        }));
    }

    // ---- the end ----

    leftovers() {
        return pidsOfFolder(this.folder).filter(isAlive);
    }

    killAll() {
        for (const pid of this.leftovers()) {
            try {
                process.kill(pid, 'SIGKILL');
            } catch { /* gone in between */ }
        }
    }

    assertNoComplaint() {
        const complaint = /^.*(ERROR: AddressSanitizer|ERROR: LeakSanitizer|LeakSanitizer:|runtime error:|[Aa]ssertion .*failed|still open at the end).*$/m
            .exec(this.log);
        assert.equal(complaint, null, `console: ${complaint?.[0]}`);
    }

    // No secret is in the log, and nothing that others can read in the data folder.
    assertNoSecret() {
        assert.doesNotMatch(this.log, /p[ta]1\.[^ ]*\.[A-Za-z0-9_-]{43}/, 'a token is in the log');
        const visit = folder => {
            for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
                const file = path.join(folder, entry.name);
                const mode = fs.lstatSync(file).mode;
                assert.equal(mode & 0o077, 0, `${file} can be read by others`);
                if (entry.isDirectory())
                    visit(file);
            }
        };
        if (fs.existsSync(this.data))
            visit(this.data);
    }

    async close() {
        let problem = null;
        try {
            if (this.child && this.child.exitCode === null && this.child.signalCode === null) {
                const { code, signal } = await this.stop();
                assert.equal(code, 0, `the console ended with ${code ?? signal}`);
            }
            await until('all processes of the console are gone', () => this.leftovers().length === 0, 5000 * slow);
            this.assertNoComplaint();
            this.assertNoSecret();
        } catch (error) {
            problem = error;
        }
        this.killAll();
        openConsoles.delete(this);
        if (problem || this.t.passed === false || process.env.E2E_LOG)
            console.error(`--- console of "${this.t.name}"\n${this.log.slice(-16000)}---`);
        if (!process.env.E2E_KEEP)
            fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
        if (problem)
            throw problem;
    }
}

export const ended = state => ['done', 'partial', 'failed', 'cancelled', 'expired'].includes(state);
