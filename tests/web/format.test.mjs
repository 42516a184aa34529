// Numbers and times as people read them.
import test from 'node:test';
import assert from 'node:assert/strict';
import * as format from '../../remote/web/format.js';

const cases = (name, examples) => test(`${name} as a text`, () => {
    for (const [input, text] of examples)
        assert.equal(format[name](...[input].flat()), text, `${input}`);
});

const MIB = 1024 * 1024;

cases('bytes', [[0, '0 B'], [1023, '1023 B'], [1024, '1.0 KiB'], [1536, '1.5 KiB'], [99.9 * 1024, '99.9 KiB'], [100 * 1024, '100 KiB'],
    [1023.6 * 1024, '1.0 MiB'], [-1.5 * MIB, '−1.5 MiB'], [5000 * 1024 ** 4, '5000 TiB'], [undefined, '–'], [NaN, '–'], [null, '–']]);

cases('percent', [[0, '0 %'], [0.04, '0.0 %'], [1.234, '1.2 %'], [9.94, '9.9 %'], [9.96, '10 %'], [99.6, '100 %'], [null, '–']]);

cases('count', [[0, '0'], [1000, '1,000'], [1234567.4, '1,234,567'], [undefined, '–']]);

// Never sixty of a unit, never more than two.
cases('duration', [[0, '0 ms'], [249.6, '250 ms'], [1000, '1 s'], [1549, '1.5 s'], [9949, '9.9 s'], [9950, '10 s'], [42400, '42 s'], [59499, '59 s'],
    [59500, '1 min'], [200000, '3 min 20 s'], [3599600, '1 h'], [18060000, '5 h 1 min'], [86400000, '1 d'], [183600000, '2 d 3 h'], [null, '–']]);

cases('ago', [[[1000, 1000], 'now'], [[0, 12900], '12 s ago'], [[0, 119999], '119 s ago'], [[0, 120000], '2 min ago'], [[0, 7200000], '2 h ago'],
    [[0, 172800000], '2 d ago'], [[5000, 1000], 'now'], [[null, 0], '–']]);

test('time is that of the reader, in an order that sorts', () => {
    assert.equal(format.time(new Date(2026, 0, 2, 3, 4, 5).getTime()), '2026-01-02 03:04:05');
    assert.equal(format.time(null), '–');
});
