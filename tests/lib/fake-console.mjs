// A console that is none: an HTTPS server with a CA of its own that answers as the API does, goes away and comes back, and
// refuses what a test tells it to.  For the command line, which must get along with all of that.
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { uuid7 } from './console.mjs';

const openssl = args => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();

// {caFile, ca, pin, key, cert}; `chain`: the server's certificate and its CA.
export function makeCertificates(folder, { name = '127.0.0.1' } = {}) {
    const at = file => path.join(folder, `${randomBytes(4).toString('hex')}-${file}`);
    const [caKey, caFile, key, csr, cert, extensions] = ['ca.key', 'ca.pem', 'key', 'csr', 'pem', 'ext'].map(at);
    const newKey = file => openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file]);
    newKey(caKey);
    openssl(['req', '-x509', '-new', '-key', caKey, '-subj', '/CN=fake CA', '-days', '2', '-out', caFile,
        '-addext', 'keyUsage=critical,keyCertSign,cRLSign']);
    newKey(key);
    openssl(['req', '-new', '-key', key, '-subj', '/CN=fake', '-out', csr]);
    const kind = /^[\d.]+$/.test(name) ? 'IP' : 'DNS';
    fs.writeFileSync(extensions, `subjectAltName=${kind}:${name}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n`);
    openssl(['x509', '-req', '-in', csr, '-CA', caFile, '-CAkey', caKey, '-CAcreateserial', '-days', '2', '-extfile', extensions,
        '-out', cert]);
    const ca = fs.readFileSync(caFile, 'utf8');
    return {
        caFile, ca, key: fs.readFileSync(key, 'utf8'), chain: fs.readFileSync(cert, 'utf8') + ca,
        pin: createHash('sha256').update(new X509Certificate(ca).raw).digest('hex'),
    };
}

export const makeToken = pin => `pa1.${pin}.${randomBytes(8).toString('hex')}.${randomBytes(32).toString('base64url')}`;

const phasesOfStart = ['open', 'start', 'running'];
const phasesOfEnd = ['stopping', 'sending', 'stored'];

export async function startFakeConsole(t, folder, options) {
    const one = new FakeConsole(folder, options);
    t.after(() => one.down());
    await one.up();
    return one;
}

export class FakeConsole {
    constructor(folder, { certificates = makeCertificates(folder) } = {}) {
        this.certificates = certificates;
        this.token = makeToken(certificates.pin);
        this.tokenFile = path.join(folder, `${randomBytes(4).toString('hex')}.token`);
        fs.writeFileSync(this.tokenFile, `${this.token}\n`, { mode: 0o600 });
        this.processes = [];
        this.captures = [];
        this.requests = [];
        // A profile as it is downloaded.
        this.result = Buffer.from(JSON.stringify({ nodes: [], startTime: 0, endTime: 1, samples: [], timeDeltas: [] }));
        // before(request, response, body): true when it has answered, or will.
        this.before = () => false;
    }

    // ---- coming and going ----

    async up() {
        this.server = https.createServer({ key: this.certificates.key, cert: this.certificates.chain },
            (request, response) => this.take(request, response));
        this.sockets = new Set();
        this.server.on('connection', socket => {
            this.sockets.add(socket);
            socket.on('close', () => this.sockets.delete(socket));
        });
        this.server.on('tlsClientError', () => {});
        this.server.listen(this.port ?? 0, '127.0.0.1');
        await once(this.server, 'listening');
        this.port = this.server.address().port;
        this.url = `https://127.0.0.1:${this.port}`;
    }

    async down() {
        if (!this.server?.listening)
            return;
        this.server.close();
        for (const socket of this.sockets)
            socket.destroy();
        await once(this.server, 'close');
    }

    // What `proctor` needs to find it.
    args(file = this.tokenFile) {
        return ['--console', this.url, '--token-file', file];
    }

    // ---- what runs there ----

    addProcess(host, app, instance = 0, more = {}) {
        const process = {
            host: `01890a5d-ac96-774b-bcce-${Buffer.from(host.padEnd(6, '-').slice(0, 6)).toString('hex')}`, host_name: host,
            app, instance, pid: 1000 + this.processes.length, status: 'online', cpu: 0.5, memory: 1 << 20, uptime_ms: 5000,
            restarts: 0, node_version: '20.1.0', kinds: { cpu: '', heap: '' }, at_ms: Date.now(), stale: false, ...more,
        };
        this.processes.push(process);
        return process;
    }

    order(body) {
        const rows = body.targets.map(target => ({
            id: body.targets.length === 1 ? body.id : uuid7(), order: body.id, ...target, kind: body.kind,
            host_name: this.processes.find(one => one.host === target.host).host_name, duration_ms: body.duration_ms ?? null,
            requester: 'token', state: 'queued', phase: null, phases: [], error: null, warnings: [], profile: null,
            created_ms: Date.now(), ended_ms: null, node_version: '20.1.0', started: Date.now(),
        }));
        this.captures.unshift(...rows);
        return rows;
    }

    enter(row, phases) {
        for (const phase of phases) {
            row.phases.push({ phase, at_ms: Date.now() });
            row.phase = phase;
        }
    }

    // Goes on as time has passed.  The result comes a little after the end.
    advance(row) {
        if (row.state === 'queued') {
            row.state = 'running';
            this.enter(row, phasesOfStart);
        } else if (row.state === 'running' && (row.stopped || (row.duration_ms && Date.now() - row.started >= row.duration_ms))) {
            row.state = 'done';
            this.enter(row, phasesOfEnd);
            Object.assign(row, { bytes: this.result.length, measured_us: 1000 * (Date.now() - row.started), start_pause_us: 1500, ended_ms: Date.now() });
        } else if (row.state === 'done') {
            row.profile = row.id;
        }
        return row;
    }

    end(row, cancel) {
        if (row.state !== 'queued' && row.state !== 'running')
            return row;
        row.stopped = true;
        if (cancel)
            Object.assign(row, { state: 'cancelled', ended_ms: Date.now() });
        return row;
    }

    // ---- requests ----

    reply(response, status, body) {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
        return true;
    }

    refuse(response, status, name, message) {
        return this.reply(response, status, { error: { name, message } });
    }

    async take(request, response) {
        const chunks = [];
        for await (const chunk of request)
            chunks.push(chunk);
        const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks)) : null;
        const what = `${request.method} ${request.url.replace('/api/v1/', '')}`;
        this.requests.push({ what, body, authorization: request.headers.authorization });
        if (request.headers.authorization !== `Bearer ${this.token}`)
            this.refuse(response, 401, 'LOGIN', 'not logged in');
        else if (!await this.before(what, response, body))
            this.answer(what, response, body);
    }

    answer(what, response, body) {
        const [, id, verb] = /^POST captures\/([^/]+)\/(stop|cancel)$/.exec(what) ?? [];
        const [, order] = /^GET captures\?order=(.+)$/.exec(what) ?? [];
        const [, one] = /^GET captures\/([^/]+)$/.exec(what) ?? [];
        const [, profile] = /^GET profiles\/([^/]+)\/raw$/.exec(what) ?? [];
        const of = key => this.captures.filter(row => row.order === key || row.id === key);
        if (what === 'GET processes')
            this.reply(response, 200, { processes: this.processes });
        else if (what === 'POST captures')
            this.reply(response, 202, { captures: of(body.id).length > 0 ? of(body.id) : this.order(body) });
        else if (verb)
            this.reply(response, 200, { captures: of(id).map(row => this.end(row, verb === 'cancel')) });
        else if (order)
            this.reply(response, 200, { captures: of(order).map(row => this.advance(row)), next: null });
        else if (what === 'GET captures')
            this.reply(response, 200, { captures: this.captures, next: null });
        else if (one && of(one).length > 0)
            this.reply(response, 200, { capture: of(one)[0] });
        else if (profile && of(profile)[0]?.profile)
            response.writeHead(200, { 'content-length': this.result.length }).end(this.result);
        else
            this.refuse(response, 404, 'NOT_FOUND', 'there is no such thing');
    }
}
