// The lines that tests/fixtures/apps/stderr.js writes, as a function of their number.
export function stderrLine(n) {
    const words = n % 7 === 3 ? 'somebody said Debugger attached. and went on' :
        n % 7 === 5 ? 'see: Debugger listening on ws://nowhere' : 'some words';
    return `err ${String(n).padStart(6, '0')} ${words}\n`;
}

export const stderrText = count => Array.from({ length: count }, (_, n) => stderrLine(n)).join('');
