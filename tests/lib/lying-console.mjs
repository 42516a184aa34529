// A console that lies: it has the keys of a real one, which must have been stopped, greets its agents and then says whatever a
// test wants it to.
import fs from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { createHash } from 'node:crypto';
import { once } from 'node:events';

const TEXT = 1;

// Takes the place of `console_`.  onMessage(message, say): every message of an agent but its hello, and {type: 'hello'} when it
// has been answered.
export async function startLyingConsole(t, console_, host, onMessage) {
    const one = new LyingConsole(console_, host, onMessage);
    await one.listen();
    t.after(() => one.close());
    return one;
}

class LyingConsole {
    constructor(console_, host, onMessage) {
        this.console = console_;
        this.host = host;
        this.onMessage = onMessage;
        this.connections = 0;
        this.byes = [];
        this.sockets = new Set();
    }

    async listen() {
        const read = file => fs.readFileSync(path.join(this.console.data, 'tls', file));
        const [address, port] = this.console.agents.split(':');
        this.server = tls.createServer({
            key: read('server.key'), cert: Buffer.concat([read('server.pem'), read('ca.pem')]),
            requestCert: true, rejectUnauthorized: false,
        }, socket => this.take(socket));
        this.server.on('tlsClientError', () => {});
        this.server.listen(Number(port), address);
        await once(this.server, 'listening');
    }

    take(socket) {
        let input = Buffer.alloc(0), upgraded = false;
        this.connections++;
        this.sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => this.sockets.delete(socket));
        const say = message => socket.destroyed || socket.write(frame(Buffer.from(JSON.stringify(message))));
        socket.on('data', data => {
            input = Buffer.concat([input, data]);
            if (!upgraded) {
                const end = input.indexOf('\r\n\r\n');
                if (end < 0)
                    return;
                socket.write(upgrade(input.subarray(0, end).toString('latin1')));
                input = input.subarray(end + 4);
                upgraded = true;
                say({
                    type: 'hello', min_version: 1, max_version: 1, capabilities: ['capture', 'blob', 'renew', 'unlink'],
                    release: '9.9.9', version: 1, host: this.host, now_ms: Date.now(),
                });
            }
            for (let one; (one = readFrame(input));) {
                input = one.rest;
                if (one.opcode === TEXT)
                    this.hear(JSON.parse(one.payload), say);
            }
        });
    }

    hear(message, say) {
        if (message.type === 'bye')
            this.byes.push(message);
        else if (message.type === 'ping')
            say({ type: 'pong' });
        this.onMessage(message, say);
    }

    close() {
        for (const socket of this.sockets)
            socket.destroy();
        this.server.close();
    }
}

function upgrade(head) {
    const key = /sec-websocket-key: *(.*)/i.exec(head)[1].trim();
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    return 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: proctor.v1\r\n'
        + `Sec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

// A server's frame: not masked.
function frame(payload) {
    const size = payload.length;
    const head = size < 126 ? Buffer.from([128 | TEXT, size]) : Buffer.from([128 | TEXT, 126, size >> 8, size & 255]);
    return Buffer.concat([head, payload]);
}

// A client's frame, unmasked; null while it is not whole.
function readFrame(input) {
    if (input.length < 2)
        return null;
    const short = input[1] & 127;
    const at = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (input.length < at + 4)
        return null;
    const size = short === 126 ? input.readUInt16BE(2) : short === 127 ? Number(input.readBigUInt64BE(2)) : short;
    if (input.length < at + 4 + size)
        return null;
    const mask = input.subarray(at, at + 4);
    const payload = Buffer.from(input.subarray(at + 4, at + 4 + size));
    for (let i = 0; i < size; i++)
        payload[i] ^= mask[i & 3];
    return { opcode: input[0] & 15, payload: payload.toString('utf8'), rest: input.subarray(at + 4 + size) };
}
