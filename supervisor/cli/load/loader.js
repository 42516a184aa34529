// Runs in the caller's node: makes JSON of what a configuration exports, and writes it to descriptor 3 as
// {"value": …} or {"error": {text, line, column}} and a line feed.  Its arguments are the file and the name of --env.
// It must parse and run on Node 8.
'use strict';
const fs = require('fs');
const url = require('url');
const file = process.argv[1];
const env = process.argv[2] || undefined;

function answer(object) {
    const bytes = Buffer.from(JSON.stringify(object) + '\n');
    for (let at = 0; at < bytes.length;) {
        try {
            at += fs.writeSync(3, bytes, at, bytes.length - at);
        } catch (error) {
            if (error.code !== 'EAGAIN')
                break;
        }
    }
    process.exit(object.error ? 1 : 0);
}

// The place in the file that a stack or a syntax error names first.
function placeOf(error) {
    const stack = String(error && error.stack);
    for (const name of [file, url.format({ protocol: 'file', slashes: true, pathname: encodeURI(file) })]) {
        const at = stack.indexOf(name + ':');
        const match = at >= 0 && /^:(\d+)(?::(\d+))?/.exec(stack.slice(at + name.length));
        if (match)
            return { line: Number(match[1]), column: Number(match[2] || 0) };
    }
    return {};
}

// Of a module Node tells the place of a syntax error only where it prints it itself.
function checkedPlace() {
    const check = require('child_process').spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', timeout: 5000 });
    return placeOf({ stack: check.stderr });
}

function fail(error) {
    const text = error instanceof Error || (error && error.stack) ? `${error.name}: ${error.message}` : `threw ${String(error)}`;
    let place = placeOf(error);
    if (!place.line && error instanceof SyntaxError)
        place = checkedPlace();
    answer({ error: Object.assign({ text: text.split('\n')[0] }, place) });
}

const failText = text => answer({ error: { text } });

// Not written out, because Node 8 could not parse it.
const dynamicImport = specifier => new Function('specifier', 'return import(specifier)')(specifier);

function load() {
    if (/\.m[jt]s$/.test(file) && Number(process.versions.node.split('.')[0]) < 12)
        return failText(`needs Node 12 or newer, and ${process.execPath} is ${process.version}`);
    if (/\.[cm]?ts$/.test(file) && !(process.features && process.features.typescript))
        return failText(`this node runs no TypeScript: ${process.execPath} is ${process.version}, and 22.18 or newer does`);
    const imported = () => dynamicImport(url.format({ protocol: 'file', slashes: true, pathname: encodeURI(file)
        .replace(/[?#]/g, encodeURIComponent) }));
    if (/\.m[jt]s$/.test(file))
        return imported();
    try {
        return require(file);
    } catch (error) {
        if (error && /^ERR_REQUIRE_(ESM|ASYNC_MODULE)$/.test(error.code))
            return imported();
        throw error;
    }
}

const isModule = value => value && (value.__esModule || Object.prototype.toString.call(value) === '[object Module]');

// JSON would drop or change these without a word.
function replace(key, value) {
    const original = this[key];
    if (typeof value === 'function' || typeof value === 'symbol')
        return `[${typeof value}]`;
    if (typeof value === 'bigint' || (typeof value === 'number' && !isFinite(value)) || original instanceof RegExp)
        return String(original);
    return value;
}

async function run() {
    let value = await load();
    if (isModule(value) && value.default !== undefined)
        value = await value.default;
    // Also what a transpiler made of a module, imported.
    if (isModule(value) && value.default !== undefined)
        value = await value.default;
    if (typeof value === 'function')
        value = await value({ env });
    if (value === undefined || value === null)
        return failText('exports nothing');
    return answer({ value: JSON.parse(JSON.stringify(value, replace)) });
}

process.on('beforeExit', () => failText('its promise never settles: nothing is left that could settle it'));
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
run().catch(fail);
