// A WebSocket client over TLS that does what it is told, also what a good one would not: for being a stranger, or a liar.
import tls from 'node:tls';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';

const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

// Connects and upgrades.  Resolves to a peer, or to {status, head} when the server does not upgrade.  tls: options of tls.connect().
export async function connectWebSocket({ host = '127.0.0.1', port, path = '/', protocol, headers = {}, tls: options = {} }) {
    const socket = tls.connect({ host, port, ALPNProtocols: ['http/1.1'], ...options });
    await once(socket, 'secureConnect');
    const key = randomBytes(16).toString('base64');
    const all = {
        Host: `${host}:${port}`, Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key,
        ...(protocol ? { 'Sec-WebSocket-Protocol': protocol } : {}), ...headers,
    };
    socket.write(`GET ${path} HTTP/1.1\r\n${Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
    return readHead(socket);
}

function readHead(socket) {
    return new Promise((resolve, reject) => {
        let input = Buffer.alloc(0);
        const give = make => {
            socket.removeAllListeners();
            socket.on('error', () => {});
            resolve(make());
        };
        socket.on('error', reject);
        socket.on('close', () => give(() => ({ status: 0, head: input.toString('latin1') })));
        socket.on('data', data => {
            input = Buffer.concat([input, data]);
            const end = input.indexOf('\r\n\r\n');
            if (end < 0)
                return;
            const head = input.subarray(0, end).toString('latin1');
            const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0);
            if (status === 101) {
                give(() => new Peer(socket, head, input.subarray(end + 4)));
            } else {
                give(() => ({ status, head }));
                socket.destroy();
            }
        });
    });
}

class Peer {
    constructor(socket, head, rest) {
        this.socket = socket;
        this.status = 101;
        this.head = head;
        this.input = rest;
        this.messages = [];  // {text} or {binary}, those that nobody has taken yet
        this.waiting = [];
        this.closed = null;  // {code, reason} or {} when the connection just ended
        socket.on('data', data => { this.input = Buffer.concat([this.input, data]); this.read(); });
        socket.on('close', () => this.end({}));
        this.read();
    }

    read() {
        for (;;) {
            const { input } = this;
            if (input.length < 2)
                return;
            const short = input[1] & 127;
            const at = short === 126 ? 4 : short === 127 ? 10 : 2;
            if (input.length < at)
                return;
            const size = short === 126 ? input.readUInt16BE(2) : short === 127 ? Number(input.readBigUInt64BE(2)) : short;
            if (input.length < at + size)
                return;
            const payload = input.subarray(at, at + size);
            this.input = input.subarray(at + size);
            this.take(input[0] & 15, (input[0] & 128) !== 0, payload);
        }
    }

    take(opcode, final, payload) {
        if (opcode === PING) {
            this.frame(PONG, payload);
        } else if (opcode === CLOSE) {
            this.end({ code: payload.length >= 2 ? payload.readUInt16BE(0) : undefined, reason: payload.subarray(2).toString() });
            this.socket.end();
        } else if (opcode !== PONG) {
            this.parts = opcode === 0 ? [...this.parts, payload] : [payload];
            this.opcode = opcode || this.opcode;
            if (final) {
                const whole = Buffer.concat(this.parts);
                this.messages.push(this.opcode === TEXT ? { text: whole.toString('utf8') } : { binary: whole });
                this.wake();
            }
        }
    }

    end(closed) {
        this.closed ??= closed;
        this.wake();
    }

    wake() {
        for (const resolve of this.waiting.splice(0))
            resolve();
    }

    // The next text message as JSON that fits, others are dropped; null when the connection ends first.
    async json(fits = () => true, ms = 20000) {
        const end = Date.now() + ms;
        for (;;) {
            while (this.messages.length > 0) {
                const { text } = this.messages.shift();
                const message = text === undefined ? null : JSON.parse(text);
                if (message && fits(message))
                    return message;
            }
            if (this.closed)
                return null;
            if (Date.now() > end)
                throw new Error('no such message came in time');
            let timer;
            await new Promise(resolve => { this.waiting.push(resolve); timer = setTimeout(resolve, 200); });
            clearTimeout(timer);
        }
    }

    // Waits for the end of the connection.
    async end_(ms = 20000) {
        await this.json(() => false, ms);
        return this.closed;
    }

    frame(opcode, payload, { final = true, mask = true } = {}) {
        if (this.socket.destroyed)
            return;
        const size = payload.length;
        const head = size < 126 ? Buffer.from([0, size]) : size < 65536 ? Buffer.from([0, 126, size >> 8, size & 255]) : Buffer.alloc(10);
        if (size >= 65536) {
            head[1] = 127;
            head.writeBigUInt64BE(BigInt(size), 2);
        }
        head[0] = opcode | (final ? 128 : 0);
        if (mask)
            head[1] |= 128;
        const key = mask ? randomBytes(4) : Buffer.alloc(0);
        const body = mask ? Buffer.from(payload.map((byte, i) => byte ^ key[i & 3])) : payload;
        this.socket.write(Buffer.concat([head, key, body]));
    }

    send(message) {
        this.frame(TEXT, Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)));
    }

    sendBinary(data) {
        this.frame(BINARY, data);
    }

    // A piece of a blob: number, offset, bytes.
    chunk(blob, offset, data) {
        const head = Buffer.alloc(12);
        head.writeUInt32BE(blob, 0);
        head.writeBigUInt64BE(BigInt(offset), 4);
        this.sendBinary(Buffer.concat([head, data]));
    }

    close() {
        this.socket.destroy();
    }
}
