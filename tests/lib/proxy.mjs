// A TCP proxy on loopback that can cut, hold and slow down what passes, for tests of everything that must survive a bad network.
import net from 'node:net';
import { once } from 'node:events';

// Listens at once; where it leads may be set later.  {port, address, target, connections, cutAfter(bytes), cut(), refuse, hold(), release(), close()}
export async function startProxy(t, target = null) {
    const proxy = new Proxy_(target);
    await proxy.listen();
    t.after(() => proxy.close());
    return proxy;
}

class Proxy_ {
    constructor(target) {
        this.target = target; // "127.0.0.1:port"
        this.pairs = new Set();
        this.connections = 0; // made so far
        this.cuts = 0;
        this.toTarget = 0;    // bytes that went through
        this.plan = [];       // cut after so many bytes to the target, counted from now on
        this.refuse = false;
        this.held = false;
    }

    async listen() {
        this.server = net.createServer(client => this.connect(client));
        this.server.listen(0, '127.0.0.1');
        await once(this.server, 'listening');
        this.port = this.server.address().port;
        this.address = `127.0.0.1:${this.port}`;
    }

    connect(client) {
        if (this.refuse || !this.target) {
            client.resetAndDestroy();
            return;
        }
        this.connections++;
        const [host, port] = this.target.split(':');
        const server = net.connect(Number(port), host);
        const pair = { client, server };
        const end = () => { this.pairs.delete(pair); client.destroy(); server.destroy(); };
        this.pairs.add(pair);
        for (const socket of [client, server]) {
            socket.on('error', end);
            socket.on('close', end);
        }
        server.on('data', data => client.write(data) || server.pause());
        client.on('drain', () => this.held || server.resume());
        client.on('data', data => this.pass(pair, data));
        server.on('drain', () => this.held || client.resume());
        if (this.held)
            this.halt(pair);
    }

    // Towards the target, up to the next cut: the rest of a cut piece is lost.
    pass({ client, server }, data) {
        const left = this.plan[0];
        if (left !== undefined && data.length >= left) {
            this.plan.shift();
            this.cuts++;
            this.toTarget += left;
            server.write(data.subarray(0, left), () => { client.resetAndDestroy(); server.resetAndDestroy(); });
            return;
        }
        if (left !== undefined)
            this.plan[0] -= data.length;
        this.toTarget += data.length;
        if (!server.write(data))
            client.pause();
    }

    // Each number: cut when so many more bytes have passed towards the target.
    cutAfter(...bytes) {
        this.plan.push(...bytes);
    }

    cut() {
        for (const { client, server } of this.pairs) {
            client.resetAndDestroy();
            server.resetAndDestroy();
        }
    }

    halt({ client, server }) {
        client.pause();
        server.pause();
    }

    // A dead network: nothing passes and nothing closes, until release().
    hold() {
        this.held = true;
        this.pairs.forEach(pair => this.halt(pair));
    }

    release() {
        this.held = false;
        for (const { client, server } of this.pairs) {
            client.resume();
            server.resume();
        }
    }

    close() {
        this.cut();
        this.server.close();
    }
}
