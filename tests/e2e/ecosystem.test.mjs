// Ecosystem files of every kind, as people have them: what they mean, what is said of those that cannot be used, and
// that nothing is started by halves.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { appFile, slow, startHost } from '../lib/host.mjs';
import { isAlive, pidsOfFolder, until } from '../lib/proc.mjs';
import { nodePath } from '../lib/nodes.mjs';

const script = appFile('env.js');
const majors = [20, 22, 26];
const withNode = (host, major) => ({ PATH: `${path.dirname(nodePath(major))}:${host.env.PATH}` });
const lastEnv = (host, name) => JSON.parse(host.log(name).trim().split('\n').pop().replace(/^env /, ''));

// The same app in every form; {env} is what a function gets.
const forms = {
    'a.json': `{"apps": [{"name": "app", "script": "${script}", "env": {"TEST_A": 1}, "env_prod": {"TEST_B": "prod"}}]}`,
    'b.json': `// JSON with comments
        {apps: [{name: 'app', script: '${script}', /* as in JavaScript */ env: {TEST_A: 1}, env_prod: {TEST_B: 'prod'},},]}`,
    'c.json': `{"pm2": [{"name": "app", "script": "${script}", "env": {"TEST_A": 1}, "env_prod": {"TEST_B": "prod"}}]}`,
    'd.json': `{"name": "app", "script": "${script}", "env": {"TEST_A": 1}, "env_prod": {"TEST_B": "prod"}}`,
    'e.json': `[{"name": "app", "script": "${script}", "env": {"TEST_A": 1}, "env_prod": {"TEST_B": "prod"}}]`,
    'a.yaml': `x-env: &env {TEST_A: 1}\napps:\n  - name: app\n    script: ${script}\n    env: {<<: *env}\n    env_prod:\n      TEST_B: prod\n`,
    'b.yml': `apps:\n  name: app\n  script: ${script}\n  env:\n    TEST_A: 1\n  env_prod: {TEST_B: prod}\n`,
    'a.config.js': `console.log('noise'); console.error('more noise');
        module.exports = {apps: [{name: 'app', script: '${script}', env: {TEST_A: 1}, env_prod: {TEST_B: 'prod'}}]};`,
    'b.config.js': `export default {apps: [{name: 'app', script: '${script}', env: {TEST_A: 1}, env_prod: {TEST_B: 'prod'}}]};`,
    'c.config.js': `module.exports = ({env}) => ({name: 'app', script: '${script}', env: {TEST_A: 1, TEST_B: env}, env_prod: {}});`,
    'a.config.cjs': `module.exports = new Promise(resolve => setTimeout(resolve, 20,
        [{name: 'app', script: '${script}', env: {TEST_A: 1}, env_prod: {TEST_B: 'prod'}}]));`,
    'a.config.mjs': `export default async ({env}) => ({apps: [{name: 'app', script: '${script}', env: {TEST_A: 1, TEST_B: env}, env_prod: {}}]});`,
    'b.config.mjs': `export const apps = [{name: 'app', script: '${script}', env: {TEST_A: 1}, env_prod: {TEST_B: 'prod'}}];`,
    'c.config.mjs': `const apps = await Promise.resolve([{name: 'app', script: '${script}', env: {TEST_A: 1}, env_prod: {TEST_B: 'prod'}}]);
        export {apps};`,
};

test('the same app in every kind of file is the same app', async t => {
    const host = startHost(t);
    let pid = null;
    for (const [name, text] of Object.entries(forms)) {
        const file = host.writeConfig(text, name);
        const { stdout, stderr } = await host.proctor(['start', file, '--env', 'prod'], { expectCode: 0 });
        assert.equal(stderr, '', name);
        assert.doesNotMatch(stdout, /noise/);
        await host.waitLog('app', /^env /);
        const row = await host.row('app');
        assert.equal(row.pid, pid ??= row.pid, `${name} does not restart what runs already as it says`);
    }
    assert.equal(lastEnv(host, 'app').a, '1');
    assert.equal(lastEnv(host, 'app').b, 'prod');
    host.remember();
});

test('configurations that are programs run with every node', async t => {
    const host = startHost(t);
    const load = async (name, major) => {
        const { stdout } = await host.proctor(['load', '--env', 'prod', path.join(host.work, name)],
            { env: withNode(host, major), expectCode: 0 });
        const { value } = JSON.parse(stdout);
        return [].concat(value.apps ?? value)[0];
    };
    for (const name of Object.keys(forms))
        host.writeConfig(forms[name], name);
    host.writeConfig(`type Apps = {apps: {name: string, script: string}[]};
        const config: Apps = {apps: [{name: 'app', script: 'x'}]};
        export default config;`, 'a.config.ts');
    for (const major of majors) {
        for (const name of Object.keys(forms).filter(one => /config/.test(one)))
            assert.equal((await load(name, major)).name, 'app', `${name} on ${major}`);
        if (major >= 22)
            assert.equal((await load('a.config.ts', major)).name, 'app');
    }
    const { stdout } = await host.proctor(['load', path.join(host.work, 'a.config.ts')], { env: withNode(host, 20), expectCode: 1 });
    assert.match(JSON.parse(stdout).error.text, /^this node runs no TypeScript: .*node is v20\..*22\.18/);
});

test('a configuration knows where it is and who asks', async t => {
    const host = startHost(t);
    fs.mkdirSync(path.join(host.work, 'sub'));
    fs.writeFileSync(path.join(host.work, 'sub/base.js'), 'module.exports = {cwd: process.cwd(), dir: __dirname};');
    const file = host.writeConfig(`const base = require('./base');
        module.exports = {...base, file: __filename, home: process.env.PROCTOR_HOME, stdin: require('fs').readFileSync(0, 'utf8')};`,
        'sub/a.config.js');
    const { stdout } = await host.proctor(['load', file], { expectCode: 0 });
    assert.deepEqual(JSON.parse(stdout).value,
        { cwd: host.work, dir: path.join(host.work, 'sub'), file, home: host.home, stdin: '' });
});

test('what JSON has no word for is not lost without a word', async t => {
    const host = startHost(t);
    const file = host.writeConfig(`module.exports = {apps: [{name: 'a', script: '${script}', max_restarts: Infinity,
        helper() {}}], other: () => 1};`, 'a.config.js');
    const { stderr } = await host.proctor(['start', file], { expectCode: 1 });
    assert.match(stderr, /key "max_restarts": expected a whole number.*found "Infinity"/);
    assert.match(stderr, /unknown key "other" beside "apps"/);
});

const failing = {
    'syntax.json': ['{"apps": [\n{"script": "a.js" "name": "x"}]}', /syntax\.json:2:19: unexpected character '"'/],
    'evil.json': ['{"script": "x" + (1 + 1)}', /evil\.json:1:16: unexpected character '\+'/],
    'empty.json': ['', /empty\.json:1:1: the text ends too early/],
    'syntax.yaml': ['apps:\n  - name: "x\n', /syntax\.yaml:3:1: found unexpected end of stream/],
    'tab.yml': ['apps:\n\t- name: x\n', /tab\.yml:2:1: found character that cannot start any token/],
    'laughs.yml': [`a0: &a0 [x]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]`).join('\n')}\n`,
        /laughs\.yml:\d+: its aliases stand for too much text/],
    'key.yaml': [`apps:\n  - name: x\n    script: ${script}\n    instnces: 2\n    kill_timeout:\n      soon\n`,
        /warning: .*key\.yaml:4: app "x": unknown key "instnces", ignored; did you mean "instances"\?[\s\S]*key\.yaml:6: app "x": key "kill_timeout": expected milliseconds or a time.*found "soon"/],
    'syntax.config.js': ['module.exports = {\n  apps: [\n};\n', /syntax\.config\.js:3: SyntaxError: Unexpected token '}'/],
    'syntax.config.mjs': ['export default {\n  apps: [\n};\n', /syntax\.config\.mjs:3: SyntaxError: Unexpected token '}'/],
    'throw.config.js': ['console.log("about to throw");\nnull.x;\n', /about to throw\n[\s\S]*throw\.config\.js:2:\d+: TypeError: Cannot read/],
    'reject.config.mjs': ['export default async () => {\n  throw new RangeError("no port left");\n};\n',
        /reject\.config\.mjs:2:\d+: RangeError: no port left/],
    'string.config.js': ['throw "a string";', /string\.config\.js: threw a string/],
    'missing.config.js': ['require("no-such-module");', /missing\.config\.js:1:\d+: Error: Cannot find module 'no-such-module'/],
    'never.config.js': ['module.exports = new Promise(() => {});', /never\.config\.js: its promise never settles/],
    'never.config.mjs': ['await new Promise(() => {});', /never\.config\.mjs: its promise never settles/],
    'hang.config.js': ['setInterval(() => {}, 1000); module.exports = new Promise(() => {});',
        /hang\.config\.js: there is no answer after 2 seconds/],
    'loop.config.js': ['console.error("round and round"); for (;;);', /round and round\n[\s\S]*loop\.config\.js: there is no answer after 2 seconds/],
    'exit.config.js': ['console.log("bye"); process.exit(3);', /bye\n[\s\S]*exit\.config\.js: node ended with exit code 3 before the apps were known/],
    'exit0.config.js': ['process.exit(0);', /node ended with exit code 0 before the apps were known; does the file call process\.exit\?/],
    'killed.config.js': ['process.kill(process.pid, "SIGKILL");', /killed\.config\.js: node was ended by SIGKILL/],
    'garbage.config.js': ['require("fs").writeSync(3, "garbage\\n"); process.exit(0);', /garbage\.config\.js: what it answered cannot be read/],
    'half.config.js': ['require("fs").writeSync(3, "{\\"value\\":"); process.exit(0);', /half\.config\.js: node ended with exit code 0/],
    'circle.config.js': ['const a = {}; a.a = a; module.exports = a;', /circle\.config\.js: TypeError: Converting circular structure/],
    'nothing.config.js': ['', /nothing\.config\.js: there is neither "apps" nor "script" in it/],
    'undefined.config.mjs': ['export default undefined;', /undefined\.config\.mjs: there is neither "apps" nor "script"/],
    'number.config.js': ['module.exports = 17;', /number\.config\.js: expected an object with "apps" or a list of apps, found 17/],
    'big.config.js': ['module.exports = {apps: "x".repeat(20 << 20)};', /big\.config\.js: what it exports is larger than \d+ MiB/],
    'wrong.config.js': [`module.exports = [{name: 'a', script: '${script}'}, {name: 'a', script: '${script}'}];`,
        /wrong\.config\.js: app "a": key "name": another app has this name too/],
};

test('a file that cannot be used is refused with its place and cause, and starts nothing', async t => {
    const host = startHost(t);
    for (const [name, [text, pattern]] of Object.entries(failing)) {
        const file = host.writeConfig(text, name);
        const { stderr } = await host.proctor(['start', file], { env: { PROCTOR_LOAD_TIMEOUT: '2s' }, expectCode: 1 });
        assert.match(stderr, pattern, name);
        assert.match(stderr, /^proctor: /m, name);
    }
    assert.deepEqual(pidsOfFolder(host.folder), [], 'no supervisor, no node');
});

test('what a failing configuration prints is the same with every node', async t => {
    const host = startHost(t);
    for (const major of majors) {
        for (const name of ['syntax.config.js', 'syntax.config.mjs', 'throw.config.js', 'reject.config.mjs', 'never.config.mjs', 'exit.config.js']) {
            const file = host.writeConfig(failing[name][0], name);
            const { stderr } = await host.proctor(['start', file], { env: withNode(host, major), expectCode: 1 });
            assert.match(stderr, failing[name][1], `${name} on ${major}`);
        }
    }
});

test('without node a program is no configuration, and YAML still is', async t => {
    const host = startHost(t);
    const env = { PATH: '/usr/nowhere' };
    const { stderr } = await host.proctor(['start', host.writeConfig(forms['a.config.js'], 'a.config.js')], { env, expectCode: 1 });
    assert.match(stderr, /a\.config\.js: needs node, and there is no such program in PATH/);
    await host.proctor(['load', host.writeConfig(forms['a.yaml'], 'a.yaml')], { env, expectCode: 0 });
    const gone = await host.proctor(['start', 'no.config.js'], { expectCode: 1 });
    assert.match(gone.stderr, /there is no file no\.config\.js|no\.config\.js: cannot be read: No such file/);
});

test('what a configuration leaves behind is not waited for', async t => {
    const host = startHost(t);
    const file = host.writeConfig(`require('child_process').spawn('sleep', ['60'], {stdio: 'inherit', detached: true}).unref();
        setInterval(() => {}, 1000); module.exports = {apps: []};`, 'a.config.js');
    const begin = Date.now();
    await host.proctor(['load', file], { expectCode: 0 });
    assert.ok(Date.now() - begin < 10000 * slow);
    host.killAll();
});

test('Ctrl-C ends a configuration that does not', async t => {
    const host = startHost(t);
    const file = host.writeConfig('require("fs").writeFileSync("pid", String(process.pid)); setInterval(() => {}, 1000); module.exports = new Promise(() => {});',
        'a.config.js');
    const run = host.spawnProctor(['start', file]);
    const pid = await until('node runs', () => fs.existsSync(path.join(host.work, 'pid')) &&
        Number(fs.readFileSync(path.join(host.work, 'pid'), 'utf8')), 10000 * slow);
    // Not the whole group, as the terminal would.
    run.child.kill('SIGINT');
    await until('node has ended', () => !isAlive(pid), 5000 * slow);
    await run.ended;
});

test('one bad app of a file, or one bad file, starts none of the others', async t => {
    const host = startHost(t);
    const good = { name: 'good', script };
    const bad = [
        { name: 'bad', script, kill_timeout: 'soon' }, { name: 'bad', script: './no.js' }, { name: 'bad', script, cwd: '/nowhere' },
        { name: 'bad', script, env_file: 'no.env' }, { name: 'bad', script, user: 'nobody-of-that-name' },
        { name: 'bad', script, cron_restart: '0 0 31 2 *' }, { name: 'bad', script, depends_on: ['bad'] }, { name: 'good', script },
        { name: 'bad' },
    ];
    for (const app of bad) {
        const { stderr } = await host.proctor(['start', host.writeConfig([good, app])], { expectCode: 1 });
        assert.match(stderr, /^proctor: .*app\.json:\d+: app "(bad|good)": key "/m, JSON.stringify(app));
    }
    const file = host.writeConfig([good], 'good.json');
    await host.proctor(['start', file, host.writeConfig([bad[0]], 'bad.json')], { expectCode: 1 });
    assert.deepEqual(await host.jlist(), []);
    assert.deepEqual(pidsOfFolder(host.folder), []);
});

test('settings that nothing acts on yet are told', async t => {
    const host = startHost(t);
    const { stderr } = await host.proctor(['start', host.writeConfig([{ name: 'a', script, watch: true, treekill: true, max_memory_restart: '150M' }])],
        { expectCode: 0 });
    assert.match(stderr, /^warning: .*: app "a": key "watch" is not acted on yet$/m);
    assert.match(stderr, /"max_memory_restart" is not acted on yet/);
    assert.doesNotMatch(stderr, /treekill/);
    host.remember();
});

test('env_file, port and env_NAME make one environment', async t => {
    const host = startHost(t);
    fs.mkdirSync(path.join(host.work, 'srv'));
    fs.writeFileSync(path.join(host.work, 'srv/.env'), 'TEST_A=file\nTEST_B="from the file" # quoted\n');
    const file = host.writeConfig([{ name: 'env', script, cwd: 'srv', env_file: '.env', env: { TEST_A: 'own' }, env_x: { TEST_B: 'x' } }]);
    await host.proctor(['start', file], { expectCode: 0 });
    await host.waitLog('env', /^env /);
    assert.equal(lastEnv(host, 'env').a, 'own');
    assert.equal(lastEnv(host, 'env').b, 'from the file');
    // What is gone from the file is gone from the app.
    fs.writeFileSync(path.join(host.work, 'srv/.env'), '');
    await host.proctor(['start', file], { expectCode: 0 });
    await until('a second start', () => host.log('env').trim().split('\n').length === 2, 10000 * slow);
    assert.equal(lastEnv(host, 'env').b, undefined);
    await host.proctor(['restart', file, '--env', 'x'], { expectCode: 0 });
    await until('the chosen block', () => lastEnv(host, 'env').b === 'x', 10000 * slow);
    host.remember();
});

test('a file of variables means what it means to node', async t => {
    const host = startHost(t);
    const text = ['# comment', 'A=1', 'B = two words   # tail', " export C='single # not comment'", `D="line\\nfeed \\t 'q'"`,
        'E=`back "tick"`', 'F="multi', 'line"', "G='x' trailing", 'H=', 'I=a=b', 'export N=5', 'O.P=dot', 'Q-R=dash', 'S="" # empty',
        'T=#x', 'U=a#b', 'V="a"b"c', 'exportW=3', `Y='it"s'`, 'X\t=\ttab\t', "L='a\\nb'", 'CR=1\r', 'Ä=ö', 'LAST="open', 'K=next'].join('\n');
    fs.writeFileSync(path.join(host.work, '.env'), text);
    const print = path.join(host.work, 'print.js');
    fs.writeFileSync(print, 'console.log("print " + JSON.stringify(process.env)); setInterval(() => {}, 1000);');
    for (const major of [22, 26]) {
        const judge = JSON.parse(execFileSync(nodePath(major), [`--env-file=${path.join(host.work, '.env')}`, '-p', 'JSON.stringify(process.env)'],
            { env: {} }));
        await host.proctor(['start', host.writeConfig([{ name: 'print', script: print, env_file: '.env', env: { MAJOR: major } }])],
            { expectCode: 0 });
        const line = await until('its environment', () => host.log('print').trim().split('\n').find(one => one.includes(`"MAJOR":"${major}"`)),
            10000 * slow);
        const env = JSON.parse(line.replace(/^print /, ''));
        for (const [name, value] of Object.entries(judge))
            assert.equal(env[name], value, `${name} on ${major}`);
        assert.equal(Object.keys(judge).length, text.split('\n').filter(one => /=/.test(one)).length);
    }
    host.remember();
});

test('append_env_to_name gives each environment its app', async t => {
    const host = startHost(t);
    const file = host.writeConfig([{ name: 'api', script, append_env_to_name: true, env_one: { TEST_A: 'one' }, env_two: { TEST_A: 'two' } }]);
    for (const name of ['one', 'two'])
        await host.proctor(['start', file, '--env', name], { expectCode: 0 });
    for (const name of ['one', 'two']) {
        await host.waitLog(`api-${name}`, /^env /);
        assert.equal(lastEnv(host, `api-${name}`).a, name);
    }
    host.remember();
});

test('stop and delete take files of every kind', async t => {
    const host = startHost(t);
    for (const name of ['b.json', 'a.yaml', 'a.config.mjs']) {
        const file = host.writeConfig(forms[name], name);
        await host.proctor(['start', file, '--env', 'prod'], { expectCode: 0 });
        host.remember();
        await host.proctor(['stop', file], { expectCode: 0 });
        assert.equal((await host.row('app')).pm2_env.status, 'stopped');
        await host.proctor(['delete', file], { expectCode: 0 });
        assert.deepEqual(await host.jlist(), []);
    }
});
