// An inspector that is none: answers on loopback like the one in Node, and misbehaves where it is told to.
//
//   const fake = await startFake({ pid: 4711, handlers: { 'Profiler.stop': (peer, message) => peer.sendText('garbage') } });
//
// handlers: by method, instead of the ordinary answer.  list: the HTTP status of /json/list.  upgrade: instead of the
// handshake, (socket, request).  What came is in fake.requests (messages) and fake.http (headers of each request).
import http from 'node:http';
import crypto from 'node:crypto';

const TEXT = 1, CLOSE = 8;

export const SMALL_PROFILE = { nodes: [{ id: 1, callFrame: { functionName: '(root)' } }], startTime: 1, endTime: 2, samples: [1], timeDeltas: [0] };

const ordinary = {
    'Runtime.evaluate': (peer, message, fake) => {
        const expression = message.params.expression;
        if (expression === 'process._debugEnd()')
            peer.frame(CLOSE, Buffer.alloc(0));
        else
            peer.reply(message, { result: { type: 'number', value: expression === 'process.pid' ? fake.pid : 1 } });
    },
    'Profiler.stop': (peer, message) => peer.reply(message, { profile: SMALL_PROFILE }),
    'HeapProfiler.stopSampling': (peer, message) => peer.reply(message, { profile: { head: {}, samples: [] } }),
};

export async function startFake({ pid = process.pid, list = 404, handlers = {}, upgrade = null } = {}) {
    const fake = { pid, path: '/' + crypto.randomUUID(), requests: [], http: [], peers: [] };
    const sockets = new Set();
    const server = http.createServer((request, response) => {
        fake.http.push({ url: request.url, headers: request.headers });
        response.writeHead(list);
        response.end('[]');
    });
    server.on('connection', socket => {
        sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => sockets.delete(socket));
    });
    server.on('upgrade', (request, socket) => {
        fake.http.push({ url: request.url, headers: request.headers });
        if (upgrade) {
            upgrade(socket, request, fake);
            return;
        }
        const accept = crypto.createHash('sha1')
            .update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
            `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
        fake.peers.push(new Peer(socket, fake, handlers));
    });
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    fake.port = server.address().port;
    fake.close = () => new Promise(resolve => {
        for (const socket of sockets)
            socket.destroy();
        server.close(resolve);
    });
    return fake;
}

class Peer {
    constructor(socket, fake, handlers) {
        this.socket = socket;
        this.fake = fake;
        this.handlers = handlers;
        this.input = Buffer.alloc(0);
        this.frames = [];
        this.large = null;
        this.closed = new Promise(resolve => socket.on('close', resolve));
        socket.on('data', part => {
            this.input = Buffer.concat([this.input, part]);
            while (this.#takeFrame())
                continue;
        });
    }

    // The head of a frame: opcode, length, and whether the message ends with it.
    static head(opcode, length, final = true) {
        const first = (final ? 0x80 : 0) | opcode;
        if (length < 126)
            return Buffer.from([first, length]);
        if (length < 65536)
            return Buffer.from([first, 126, length >> 8, length & 255]);
        const head = Buffer.alloc(10);
        head[0] = first;
        head[1] = 127;
        head.writeBigUInt64BE(BigInt(length), 2);
        return head;
    }

    frame(opcode, payload, final = true) {
        const bytes = Buffer.concat([Peer.head(opcode, payload.length, final), payload]);
        if (this.large)
            this.large.then(() => this.socket.write(bytes));
        else
            this.socket.write(bytes);
    }

    sendText(text) {
        this.frame(TEXT, Buffer.from(text));
    }

    send(message) {
        this.sendText(JSON.stringify(message));
    }

    reply(message, result = {}) {
        this.send({ id: message.id, result });
    }

    fail(message, text) {
        this.send({ error: { code: -32000, message: text }, id: message.id });
    }

    // One message of which no byte arrives together with the next: as frames of `size` bytes each.
    sendInPieces(text, size) {
        const bytes = Buffer.from(text);
        for (let at = 0; at < bytes.length; at += size)
            this.frame(at === 0 ? TEXT : 0, bytes.subarray(at, at + size), at + size >= bytes.length);
    }

    // Begins a text frame of `length` bytes of which only `text` comes.
    sendUnfinished(text, length) {
        this.socket.write(Buffer.concat([Peer.head(TEXT, length), Buffer.from(text)]));
    }

    // One unfragmented text frame: `head`, then `filler` repeated, then `tail`; written as fast as it is read.  Other
    // frames wait for its end.
    sendLarge(head, filler, times, tail) {
        this.large = this.#writeLarge(head, filler, times, tail).finally(() => { this.large = null; });
        return this.large;
    }

    async #writeLarge(head, filler, times, tail) {
        const parts = [Buffer.from(head), Buffer.from(filler), Buffer.from(tail)];
        const length = parts[0].length + parts[1].length * times + parts[2].length;
        this.sendUnfinished(parts[0], length);
        for (let i = 0; i < times && !this.socket.destroyed; i++)
            if (!this.socket.write(parts[1]))
                await Promise.race([new Promise(resolve => this.socket.once('drain', resolve)), this.closed]);
        this.socket.write(parts[2]);
        return length;
    }

    #takeFrame() {
        if (this.input.length < 2)
            return false;
        const masked = (this.input[1] & 0x80) !== 0;
        let size = this.input[1] & 127;
        let at = 2;
        if (size === 126) {
            if (this.input.length < 4)
                return false;
            size = this.input.readUInt16BE(2);
            at = 4;
        }
        const maskAt = at;
        at += masked ? 4 : 0;
        if (size === 127 || this.input.length < at + size)
            return false;
        const payload = Buffer.from(this.input.subarray(at, at + size));
        for (let i = 0; masked && i < size; i++)
            payload[i] ^= this.input[maskAt + (i & 3)];
        this.frames.push({ first: this.input[0], masked, size });
        const opcode = this.input[0] & 15;
        this.input = this.input.subarray(at + size);
        this.#take(opcode, payload);
        return true;
    }

    #take(opcode, payload) {
        if (opcode === CLOSE) {
            this.frame(CLOSE, Buffer.alloc(0));
            this.socket.end();
        } else if (opcode === TEXT) {
            const message = JSON.parse(payload.toString());
            this.fake.requests.push(message);
            const handler = this.handlers[message.method] ?? ordinary[message.method] ?? ((peer, m) => peer.reply(m));
            handler(this, message, this.fake);
        }
    }
}
