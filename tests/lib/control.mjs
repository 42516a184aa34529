// The control protocol as a client of our own, so that every connect, refusal and broken connection is counted.
import net from 'node:net';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

export class Control {
    constructor(home) {
        this.path = `${home}/control.sock`;
        this.refused = 0;   // connects that were refused: nobody listened
        this.broken = 0;    // connections that ended before the answer
        this.answered = 0;
    }

    // One request on a connection of its own.  Repeated with its id when the connection breaks, until `ms` are over.
    async call(method, params = {}, ms = 15000) {
        const id = randomUUID();
        const deadline = performance.now() + ms;
        for (;;) {
            try {
                const answer = await this.once(id, method, params, deadline - performance.now());
                this.answered++;
                return answer;
            } catch (error) {
                if (!['ECONNREFUSED', 'ENOENT', 'EPIPE', 'ECONNRESET', 'EOF'].includes(error.code) || performance.now() > deadline)
                    throw error;
                if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT')
                    this.refused++;
                else
                    this.broken++;
                await delay(2);
            }
        }
    }

    once(id, method, params, ms) {
        return new Promise((resolve, reject) => {
            const socket = net.connect(this.path);
            let text = '';
            const timer = setTimeout(() => end(reject, new Error(`no answer to ${method} within ${Math.round(ms)} ms`)), ms);
            const end = (settle, value) => {
                clearTimeout(timer);
                socket.destroy();
                settle(value);
            };
            const request = (number, name, fields) => `${JSON.stringify({ jsonrpc: '2.0', id: number, method: name, params: fields })}\n`;
            socket.on('connect', () => socket.write(request(randomUUID(), 'hello', { version: 1, program: 'proctor' }) + request(id, method, params)));
            socket.on('error', error => end(reject, error));
            socket.on('close', () => end(reject, Object.assign(new Error(`${method}: the connection ended`), { code: 'EOF' })));
            socket.setEncoding('utf8').on('data', chunk => {
                text += chunk;
                let newline;
                while ((newline = text.indexOf('\n')) >= 0) {
                    const message = JSON.parse(text.slice(0, newline));
                    text = text.slice(newline + 1);
                    if (message.id !== id)
                        continue;
                    if (message.error)
                        end(reject, Object.assign(new Error(message.error.message), { code: message.error.data?.name ?? 'ERROR' }));
                    else
                        end(resolve, message.result);
                }
            });
        });
    }

    ping(ms) {
        return this.call('ping', {}, ms);
    }

    async list(...targets) {
        return (await this.call('app.list', { targets, detail: true })).apps;
    }

    // The one answer of one instance.
    async trigger(target, action, param) {
        const params = { targets: [target], action, timeout_ms: 10000, ...(param === undefined ? {} : { param: String(param) }) };
        const [answer] = (await this.call('app.trigger', params, 20000)).answers;
        if (answer.error)
            throw new Error(`${target}: ${action}: ${answer.error}`);
        return answer.return;
    }
}
