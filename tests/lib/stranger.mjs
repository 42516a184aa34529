// An agent that is none of ours: enrols with openssl and node:https, speaks the channel by hand, and lies where it is told to.
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { connectWebSocket } from './websocket.mjs';
import { uuid7 } from './console.mjs';

// pt1.<host:port>.<CA>.<secret>
export function splitToken(token) {
    const parts = token.split('.');
    return { address: parts.slice(1, -2).join('.'), ca: parts.at(-2), secret: parts.at(-1) };
}

// A key and a request for it, made by the openssl command in a folder of the test.
export function makeKey(folder, name = 'stranger') {
    const file = path.join(folder, `${name}.key`);
    execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file], { stdio: 'ignore' });
    const csr = execFileSync('openssl', ['req', '-new', '-key', file, '-subj', '/CN=whatever']).toString();
    return { file, key: fs.readFileSync(file, 'utf8'), csr };
}

export async function enrol(console_, { token, csr, hostname = 'stranger' }) {
    return console_.request('POST', '/api/v1/enrol', { body: { secret: splitToken(token).secret, csr, hostname } });
}

// Enrols one more host: {id, key, certificate}.
export async function newIdentity(console_, hostname = 'stranger') {
    const { key, csr, file } = makeKey(console_.folder, hostname);
    const { status, body, text } = await enrol(console_, { token: await console_.enrolToken(), csr, hostname });
    if (status !== 201)
        throw new Error(`enrolment refused: ${status} ${text}`);
    return { id: body.host, key, keyFile: file, certificate: body.certificate, body };
}

export function connectAgent(console_, identity, { protocol = 'proctor.v1', tls = {}, headers } = {}) {
    const [host, port] = console_.agents.split(':');
    return connectWebSocket({
        host, port: Number(port), protocol, headers,
        tls: { ca: console_.ca, ...(identity ? { key: identity.key, cert: identity.certificate } : {}), ...tls },
    });
}

export const hello = (more = {}) => ({
    type: 'hello', min_version: 1, max_version: 1, capabilities: ['capture', 'blob', 'renew', 'unlink'], release: '9.9.9',
    id: uuid7(), hostname: 'stranger', ...more,
});

export const process_ = (more = {}) => ({
    app: 'api', instance: 0, pid: 4242, status: 'online', cpu: 1.5, memory: 50000000, uptime_ms: 1000, restarts: 0,
    node_version: '20.20.2', kinds: { cpu: '', heap: '' }, ...more,
});

// Connects, says hello and tells one process: what an agent does first.
export async function openAgent(console_, identity, more = {}) {
    const peer = await connectAgent(console_, identity);
    if (peer.status !== 101)
        throw new Error(`no upgrade: ${peer.head}`);
    peer.send(hello(more));
    peer.welcome = await peer.json(message => message.type === 'hello' || message.type === 'bye');
    if (peer.welcome?.type === 'hello')
        peer.send({ type: 'processes', at_ms: Date.now(), processes: [process_()] });
    return peer;
}
