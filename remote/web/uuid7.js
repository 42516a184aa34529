// UUIDs of version 7 (RFC 9562): 48 bits of milliseconds, then chance.  The id of an order is made here, before it is
// sent, so that sending it again after a broken connection starts nothing twice.

const hex = (n, digits) => n.toString(16).padStart(digits, '0');

export function uuid7(now_ms = Date.now(), random = crypto.getRandomValues(new Uint8Array(10))) {
    const bytes = [...random];
    bytes[0] = 0x70 | (bytes[0] & 0x0f);
    bytes[2] = 0x80 | (bytes[2] & 0x3f);
    const all = hex(now_ms, 12) + bytes.map((b) => hex(b, 2)).join('');
    return [all.slice(0, 8), all.slice(8, 12), all.slice(12, 16), all.slice(16, 20), all.slice(20)].join('-');
}
