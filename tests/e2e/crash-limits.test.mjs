// No descriptors left, and a wall clock that jumps: neither ends anything that runs.
import test, { describe } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { appFile, slow, startHost, underAsan } from '../lib/host.mjs';
import { nodePath, nodes } from '../lib/nodes.mjs';
import { Storm, fdCount, notZero, pidsOf } from '../lib/crash.mjs';
import { until } from '../lib/proc.mjs';

const limitFds = (pid, n) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${n}:`]);
const limitFiles = (pid, bytes) => execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]);
const another = name => ({ name, script: appFile('talker.js'), interpreter: nodePath(20) });

async function endWell(t, host, storm) {
    await delay(200);
    await storm.stop();
    await host.proctor(['stop', 'all'], { expectCode: 0 });
    await storm.checkLogs();
    t.diagnostic(storm.report());
    // What was started in between has descriptors of its own.
    storm.counts.fdsLeaked = 0;
    assert.deepEqual(notZero(storm.counts), {}, storm.examples.join('\n'));
}

describe('without descriptors', { concurrency: 1 }, () => {
    test('the supervisor starts nothing more and says why, goes on, and starts it later', async t => {
        const host = startHost(t);
        const storm = new Storm(host, { count: 3, nodes: nodes.map(node => node.path) });
        await storm.start();
        const [pid] = pidsOf(host, 'proctord');
        limitFds(pid, fdCount(pid) + 3);
        const { code, stderr } = await host.startApps([another('more')], { mayFail: true });
        assert.equal(code, 1);
        assert.match(stderr, /more-0.*too many open files/i);
        assert.equal((await host.row('steady0')).pm2_env.status, 'online');
        limitFds(pid, 4096);
        await host.waitStatus('more', 'online', 15000);
        await host.proctor(['delete', 'more'], { expectCode: 0 });
        limitFds(pid, fdCount(pid) + 1);
        await storm.kill('proctord');
        await endWell(t, host, storm);
    });

    test('the keeper: nothing is started that it could not keep, and it replaces the supervisor when it can', async t => {
        const host = startHost(t);
        const storm = new Storm(host, { count: 3, nodes: nodes.map(node => node.path) });
        await storm.start();
        const [keeper] = pidsOf(host, 'proctor-keeper');
        limitFds(keeper, fdCount(keeper) + 1);
        const { code, stderr } = await host.startApps([another('more')], { mayFail: true });
        assert.equal(code, 1);
        assert.match(stderr, /more-0.*too many open files/i);
        const [pid] = pidsOf(host, 'proctord');
        process.kill(pid, 'SIGKILL');
        await delay(300);
        limitFds(keeper, 4096);
        await until('there is a supervisor again', async () => (await storm.control.ping()).pid !== pid, 10000 * slow);
        await host.waitStatus('more', 'online', 15000);
        await host.proctor(['delete', 'more'], { expectCode: 0 });
        await endWell(t, host, storm);
    });
});

// A library that is loaded before libc: CLOCK_REALTIME is off by what the file says, for our programs and for the apps.
const STEP = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long *step;
__attribute__((constructor)) static void open_step(void)
{
    int fd = getenv("STEP_FILE") ? open(getenv("STEP_FILE"), O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    step = at == MAP_FAILED ? NULL : at;
    if (fd >= 0)
        close(fd);
}
int clock_gettime(clockid_t id, struct timespec *ts)
{
    long r = syscall(SYS_clock_gettime, id, ts);
    if (r == 0 && step && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        ts->tv_sec += *step;
    return (int)r;
}
int gettimeofday(struct timeval *tv, void *zone)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (out)
        *out = ts.tv_sec;
    return ts.tv_sec;
}
`;

const compiler = ['cc', 'gcc', 'clang'].find(name => spawnSync(name, ['--version']).status === 0);
const noClock = underAsan ? 'not under ASan: its library must be the first' : !compiler && 'needs a C compiler';

// As with `ulimit -f` in the shell that started it.
test('a limit of file sizes is like a full disk: nothing ends by it, and what was dropped is told', async t => {
    const host = startHost(t);
    await host.startApps([{ name: 'numbers', script: appFile('numbers.js'), env: { COUNT: '1' } }]);
    const [pid] = pidsOf(host, 'proctord');
    limitFiles(pid, 1 << 20);
    await host.startApps([{ name: 'many', script: appFile('numbers.js'), env: { COUNT: '30000' } }]);
    await until('the limit is felt', () => /many-0.out: output of the app is dropped: file too large/i.test(host.daemonLog()), 10000 * slow);
    limitFiles(pid, 'unlimited');
    await until('its end is told', () => /lines \(\d+ bytes\) of output were not written here: File too large/.test(host.log('many')), 10000 * slow);
    assert.deepEqual(pidsOf(host, 'proctord'), [pid]);
});

test('the wall clock jumps by a day, both ways: nothing is restarted, killed, lost or told wrong', { skip: noClock }, async t => {
    const work = startHost(t).work;
    const library = path.join(work, 'step.so'), stepFile = path.join(work, 'step');
    fs.writeFileSync(path.join(work, 'step.c'), STEP);
    execFileSync(compiler, ['-shared', '-fPIC', '-O1', '-o', library, path.join(work, 'step.c')]);
    const jump = seconds => {
        const bytes = Buffer.alloc(8);
        bytes.writeBigInt64LE(BigInt(seconds));
        fs.writeFileSync(stepFile, bytes, { flag: fs.existsSync(stepFile) ? 'r+' : 'w' });
    };
    jump(0);
    const host = startHost(t, { env: { LD_PRELOAD: library, STEP_FILE: stepFile } });
    const storm = new Storm(host, { count: 4, nodes: nodes.map(node => node.path) });
    await storm.start();
    await host.startApps([{ ...another('waits'), autorestart: true, restart_delay: 1500, env: {} }]);
    for (const day of [86400, -86400, 0]) {
        const pid = await host.pid('waits');
        process.kill(pid, 'SIGKILL');
        await until('it waits', async () => (await host.row('waits')).pm2_env.status === 'waiting restart', 5000 * slow);
        const begin = performance.now();
        jump(day);
        await storm.kill(day === 0 ? 'proctor-keeper' : 'proctord');
        await until('it runs again', async () => (await host.row('waits')).pid !== 0, 6000 * slow);
        const waited = performance.now() - begin;
        assert.ok(waited > 1000 && waited < 3500 * slow, `the restart delay of 1500 ms took ${Math.round(waited)} ms`);
        const [row] = await storm.control.list('steady0');
        assert.ok(row.uptime_ms > 0 && row.uptime_ms < 120000 * slow, `uptime ${row.uptime_ms}`);
        // The agent's environment is not the CLI's: both must mean the same clock.
        const { record } = await host.capture('cpu', 'steady1', { duration: '300ms', env: { LD_PRELOAD: '' } });
        assert.equal(record.state, 'done', JSON.stringify(record));
    }
    await host.proctor(['delete', 'waits'], { expectCode: 0 });
    await endWell(t, host, storm);
});
