// A small WebSocket client for the V8 inspector: the "somebody else" that attaches beside proctor in the tests, and the
// means to check what proctor must not have broken.
import http from 'node:http';
import crypto from 'node:crypto';

// Asks GET /json/list of a port.  Resolves to {status, list}; list is [] when the answer is not 200.
export function listTargets(port) {
    return new Promise((resolve, reject) => {
        const request = http.get({ host: '127.0.0.1', port, path: '/json/list', timeout: 3000 }, response => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', part => { text += part; });
            response.on('end', () => {
                const list = response.statusCode === 200 ? JSON.parse(text) : [];
                resolve({ status: response.statusCode, list });
            });
        });
        request.on('timeout', () => request.destroy(new Error('/json/list did not answer')));
        request.on('error', reject);
    });
}

// Connects; rejects with the HTTP status when the upgrade is refused.
export function attach(url) {
    const { hostname, port, pathname } = new URL(url);
    return new Promise((resolve, reject) => {
        const request = http.request({
            host: hostname, port, path: pathname, timeout: 3000,
            headers: {
                Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13,
                'Sec-WebSocket-Key': crypto.randomBytes(16).toString('base64'),
            },
        });
        request.on('upgrade', (response, socket, head) => resolve(new Client(socket, head)));
        request.on('response', response => {
            response.resume();
            reject(new Error(`upgrade refused: ${response.statusCode}`));
        });
        request.on('timeout', () => request.destroy(new Error('the upgrade was not answered')));
        request.on('error', reject);
        request.end();
    });
}

class Client {
    constructor(socket, head) {
        this.socket = socket;
        this.input = head;
        this.nextId = 1;
        this.waiting = new Map();
        this.closed = new Promise(resolve => socket.on('close', resolve));
        socket.on('error', () => {});
        socket.on('data', part => {
            this.input = Buffer.concat([this.input, part]);
            this.#takeFrames();
        });
    }

    call(method, params = {}) {
        const id = this.nextId++;
        this.#send(0x1, Buffer.from(JSON.stringify({ id, method, params })));
        return new Promise((resolve, reject) => {
            this.waiting.set(id, { resolve, reject });
            this.closed.then(() => reject(new Error(`${method}: the connection is gone`)));
        });
    }

    destroy() {
        this.socket.destroy();
        return this.closed;
    }

    #send(opcode, payload) {
        const mask = crypto.randomBytes(4);
        const length = payload.length < 126 ? Buffer.from([0x80 | payload.length]) :
            Buffer.from([0x80 | 126, payload.length >> 8, payload.length & 255]);
        const masked = payload.map((byte, i) => byte ^ mask[i & 3]);
        this.socket.write(Buffer.concat([Buffer.from([0x80 | opcode]), length, mask, masked]));
    }

    #takeFrames() {
        for (;;) {
            if (this.input.length < 2)
                return;
            let size = this.input[1] & 127;
            let at = 2;
            if (size === 126) {
                if (this.input.length < 4)
                    return;
                size = this.input.readUInt16BE(2);
                at = 4;
            } else if (size === 127) {
                if (this.input.length < 10)
                    return;
                size = Number(this.input.readBigUInt64BE(2));
                at = 10;
            }
            if (this.input.length < at + size)
                return;
            const opcode = this.input[0] & 15;
            const payload = this.input.subarray(at, at + size);
            this.input = this.input.subarray(at + size);
            if (opcode === 8) {
                this.#send(8, payload);
                this.socket.end();
            } else if (opcode === 1) {
                this.#take(JSON.parse(payload.toString()));
            }
        }
    }

    #take(message) {
        const waiting = this.waiting.get(message.id);
        if (!waiting)
            return;
        this.waiting.delete(message.id);
        if (message.error)
            waiting.reject(new Error(message.error.message));
        else
            waiting.resolve(message.result);
    }
}
