'use strict';

// What happens is told over /api/v1/live; everything is fetched anew whenever that connection begins or says "resync".
// Texts from hosts are foreign: they go into the page by textContent only.

const PROFILE_MS = 10000;
const CAPTURES_SHOWN = 20;
const RETRY_MS = { first: 1000, most: 30000 };
const RENDER_MS = 100;
const CLOSE_LOGIN = 4401;
const ENDED = new Set(['done', 'partial', 'failed', 'cancelled', 'expired']);

const $ = (id) => document.getElementById(id);

const state = {
  user: null,
  csrf: null,
  hosts: new Map(), // id → HOST
  processes: new Map(), // host id → [PROCESS]
  captures: new Map(), // id → CAPTURE
};

// ---- requests ------------------------------------------------------------------------------------

class RequestError extends Error {
  constructor(status, name, message) {
    super(message);
    this.status = status;
    this.name = name;
  }
}

async function request(method, path, body) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && state.csrf) headers['X-CSRF-Token'] = state.csrf;
  const reply = await fetch(`/api/v1/${path}`, {
    method, headers, cache: 'no-store', credentials: 'same-origin', redirect: 'error',
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (reply.status === 204) return null;
  const json = await reply.json().catch(() => ({}));
  if (reply.ok) return json;
  const error = json.error || {};
  throw new RequestError(reply.status, error.name, error.message || `the console answered ${reply.status}`);
}

function say(text) {
  $('trouble').textContent = text;
  $('trouble').hidden = !text;
}

// Runs one action of the user; what went wrong is said, and a session that has ended leads to the login.
async function act(what, action) {
  say('');
  try {
    await action();
  } catch (e) {
    if (e.status === 401 && state.user) showLogin('Your session has ended. Log in again.');
    else say(`${what}: ${e.message}`);
  }
}

// ---- live updates --------------------------------------------------------------------------------

const live = { socket: null, failures: 0, timer: 0, missed: null };

function connect() {
  const socket = new WebSocket(`wss://${location.host}/api/v1/live`);
  live.socket = socket;
  socket.addEventListener('message', (e) => {
    if (socket === live.socket) receive(JSON.parse(e.data));
  });
  socket.addEventListener('close', (e) => {
    if (socket === live.socket) disconnected(e.code);
  });
}

function disconnect() {
  const socket = live.socket;
  live.socket = null;
  clearTimeout(live.timer);
  if (socket) socket.close();
}

function disconnected(code) {
  live.socket = null;
  if (code === CLOSE_LOGIN) {
    showLogin('Your session has ended. Log in again.');
    return;
  }
  const most = Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** live.failures++);
  showConnection('lost', 'Connection lost; what is shown may be old. Trying again …');
  // A refused upgrade has no close code: this request tells whether the session is the reason.
  live.timer = setTimeout(async () => {
    try {
      await request('GET', 'session');
    } catch (e) {
      if (e.status === 401) {
        showLogin('Your session has ended. Log in again.');
        return;
      }
    }
    if (state.user) connect();
  }, most / 2 + Math.random() * most / 2);
}

function receive(event) {
  if (event.type === 'welcome' || event.type === 'resync') {
    fetchAll();
    return;
  }
  // An answer that is under way may be older than this.
  if (live.missed) live.missed.push(event);
  apply(event);
  render();
}

function apply(event) {
  if (event.type === 'host') {
    state.hosts.set(event.host.id, event.host);
    for (const p of state.processes.get(event.host.id) || []) p.stale = !event.host.connected;
  } else if (event.type === 'processes') {
    state.processes.set(event.host, event.processes);
  } else if (event.type === 'capture') {
    state.captures.set(event.capture.id, event.capture);
  } else if (event.type === 'profile' && state.captures.has(event.profile.id)) {
    state.captures.get(event.profile.id).profile = event.profile.removed ? null : event.profile.id;
  }
}

async function fetchAll() {
  const { socket } = live;
  const missed = live.missed = [];
  try {
    const [hosts, processes, captures] = await Promise.all([
      request('GET', 'hosts'), request('GET', 'processes'),
      request('GET', `captures?limit=${CAPTURES_SHOWN}`)]);
    // Begun again meanwhile, or logged out.
    if (missed !== live.missed || socket !== live.socket) return;
    live.missed = null;
    state.hosts = new Map(hosts.hosts.map((h) => [h.id, h]));
    state.captures = new Map(captures.captures.map((c) => [c.id, c]));
    state.processes = new Map();
    for (const p of processes.processes) {
      if (!state.processes.has(p.host)) state.processes.set(p.host, []);
      state.processes.get(p.host).push(p);
    }
    missed.forEach(apply);
    live.failures = 0;
    showConnection('', '');
    render();
  } catch (e) {
    if (e.status === 401 && state.user) showLogin('Your session has ended. Log in again.');
    else if (socket) socket.close();
  }
}

// ---- texts ---------------------------------------------------------------------------------------

const time = (ms) => (ms ? new Date(ms).toLocaleString() : '');
const instance = (p) => `${p.app}-${p.instance ?? 0}`;

function bytes(n) {
  if (!Number.isFinite(n)) return '';
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${n.toFixed(unit ? 1 : 0)} ${units[unit]}`;
}

function duration(ms) {
  if (!Number.isFinite(ms)) return '';
  const s = Math.floor(ms / 1000);
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

function hostState(h) {
  if (h.revoked) return 'revoked';
  return h.connected ? 'connected' : 'not connected';
}

function captureState(c) {
  const parts = [ENDED.has(c.state) || !c.phase ? c.state : `${c.state}: ${c.phase}`];
  if (c.reason) parts.push(`(${c.reason})`);
  if (c.waiting) parts.push(`– ${c.waiting}`);
  if (c.error) parts.push(`– ${c.error.message}`);
  return parts.join(' ');
}

// ---- tables --------------------------------------------------------------------------------------

// Rows stay the same elements while their key does, so that focus and selection survive an update.
function syncRows(body, items, keyOf, make, fill, none) {
  const old = new Map([...body.children].map((row) => [row.dataset.key, row]));
  let at = null;
  for (const item of items) {
    const key = keyOf(item);
    let row = old.get(key);
    old.delete(key);
    if (!row) {
      row = make();
      row.dataset.key = key;
    }
    fill(row, item);
    const place = at ? at.nextSibling : body.firstChild;
    if (place !== row) body.insertBefore(row, place);
    at = row;
  }
  for (const row of old.values()) row.remove();
  if (items.length > 0) return;
  const row = makeRow(1)();
  row.dataset.key = '';
  row.cells[0].colSpan = body.parentElement.tHead.rows[0].cells.length;
  row.cells[0].className = 'soft';
  row.cells[0].textContent = none;
  body.append(row);
}

function makeRow(cells, numbers = []) {
  return () => {
    const row = document.createElement('tr');
    for (let i = 0; i < cells; i++) {
      const cell = row.insertCell();
      if (numbers.includes(i)) cell.className = 'number';
    }
    return row;
  };
}

function set(cell, text) {
  text = String(text ?? '');
  if (cell.textContent !== text) cell.textContent = text;
}

function fillHost(row, h) {
  const texts = [h.name, hostState(h), time(h.since_ms), h.release, h.processes, time(h.certificate_until_ms)];
  texts.forEach((text, i) => set(row.cells[i], text));
}

function makeProcess() {
  const row = makeRow(10, [2, 4, 5, 6, 7])();
  const button = document.createElement('button');
  const why = document.createElement('span');
  button.type = 'button';
  button.textContent = `Profile CPU ${PROFILE_MS / 1000} s`;
  button.addEventListener('click', () => profile(row.process, button));
  why.className = 'soft';
  row.cells[9].append(button, ' ', why);
  return row;
}

function whyNot(kinds) {
  if (!kinds) return 'cannot be captured';
  const told = Object.entries(kinds).filter(([, why]) => why);
  if (told.length > 1 && told.every(([, why]) => why === told[0][1])) return told[0][1];
  return told.map(([kind, why]) => `${kind}: ${why}`).join('; ');
}

function fillProcess(row, p) {
  row.process = p;
  const texts = [p.host_name, instance(p), p.pid, p.stale ? `${p.status} (old)` : p.status,
    Number.isFinite(p.cpu) ? `${p.cpu.toFixed(1)} %` : '', bytes(p.memory), duration(p.uptime_ms), p.restarts,
    p.node_version || ''];
  texts.forEach((text, i) => set(row.cells[i], text));
  row.classList.toggle('stale', Boolean(p.stale));
  const [button, why] = row.cells[9].children;
  const able = Boolean(p.kinds) && p.kinds.cpu === '';
  button.hidden = !able || state.user.role === 'viewer';
  button.setAttribute('aria-label', `Profile CPU of ${instance(p)} on ${p.host_name} for ${PROFILE_MS / 1000} seconds`);
  set(why, able && state.user.role === 'viewer' ? 'cpu can be captured by operators' : whyNot(p.kinds));
}

function fillCapture(row, c) {
  const texts = [time(c.created_ms), c.host_name, instance(c), c.kind, captureState(c), c.requester];
  texts.forEach((text, i) => set(row.cells[i], text));
  row.cells[4].classList.toggle('error', c.state === 'failed' || c.state === 'expired');
  const cell = row.cells[6];
  if (c.profile && !cell.firstChild) {
    const link = document.createElement('a');
    link.href = `/api/v1/profiles/${encodeURIComponent(c.profile)}/raw`;
    link.textContent = 'Download';
    link.setAttribute('aria-label', `Download the ${c.kind} profile of ${instance(c)}`);
    cell.append(link);
  } else if (!c.profile) {
    cell.replaceChildren();
  }
}

let renderTimer = 0;

function render() {
  if (!renderTimer) renderTimer = setTimeout(renderNow, RENDER_MS);
}

function renderNow() {
  renderTimer = 0;
  if (!state.user) return;
  const byName = (a, b) => a.localeCompare(b, undefined, { numeric: true });
  const hosts = [...state.hosts.values()].sort((a, b) => byName(a.name || '', b.name || ''));
  const processes = [...state.processes.values()].flat().sort((a, b) =>
    byName(a.host_name || '', b.host_name || '') || byName(instance(a), instance(b)) || a.pid - b.pid);
  const captures = [...state.captures.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  for (const c of captures.splice(CAPTURES_SHOWN)) state.captures.delete(c.id);
  syncRows($('hosts'), hosts, (h) => h.id, makeRow(6, [4]), fillHost, 'No host is linked.');
  syncRows($('processes'), processes, (p) => `${p.host}/${instance(p)}/${p.pid}`, makeProcess, fillProcess,
    'No process is known.');
  syncRows($('captures'), captures, (c) => c.id, makeRow(7), fillCapture, 'Nothing was captured.');
}

// ---- actions -------------------------------------------------------------------------------------

// RFC 9562, version 7: milliseconds, then random bits.
function uuid7() {
  const b = crypto.getRandomValues(new Uint8Array(16));
  let ms = Date.now();
  for (let i = 5; i >= 0; i--) {
    b[i] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  b[6] = 0x70 | (b[6] & 0x0f);
  b[8] = 0x80 | (b[8] & 0x3f);
  const hex = [...b].map((x) => x.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

async function profile(p, button) {
  button.disabled = true;
  await act(`Profiling ${instance(p)}`, async () => {
    const target = { host: p.host, app: p.app, instance: p.instance ?? 0 };
    if (p.pid) target.pid = p.pid;
    const reply = await request('POST', 'captures',
      { id: uuid7(), kind: 'cpu', duration_ms: PROFILE_MS, targets: [target] });
    for (const c of reply.captures)
      if (!state.captures.has(c.id)) state.captures.set(c.id, c);
    render();
  });
  button.disabled = false;
}

async function login(event) {
  event.preventDefault();
  const button = $('login').querySelector('button');
  button.disabled = true;
  await act('Logging in', async () => {
    const session = await request('POST', 'login', { name: $('name').value, password: $('password').value });
    $('password').value = '';
    showContent(session);
  });
  button.disabled = false;
}

async function logout() {
  await act('Logging out', async () => {
    await request('POST', 'logout', {});
    showLogin('');
  });
}

// ---- views ---------------------------------------------------------------------------------------

function showConnection(kind, text) {
  const line = $('connection');
  line.className = kind;
  line.hidden = !text;
  if (line.textContent !== text) line.textContent = text;
}

function showLogin(why) {
  disconnect();
  Object.assign(state, { user: null, csrf: null, hosts: new Map(), processes: new Map(), captures: new Map() });
  for (const id of ['hosts', 'processes', 'captures']) $(id).replaceChildren();
  $('content').hidden = $('logout').hidden = true;
  $('login').hidden = false;
  $('who').textContent = '';
  showConnection('', '');
  say(why);
  $('name').focus();
}

function showContent(session) {
  state.user = session.user;
  state.csrf = session.csrf;
  $('login').hidden = true;
  $('content').hidden = $('logout').hidden = false;
  $('who').textContent = `${session.user.name} (${session.user.role})`;
  live.failures = 0;
  showConnection('', 'Connecting …');
  connect();
}

async function begin() {
  $('login').addEventListener('submit', login);
  $('logout').addEventListener('click', logout);
  try {
    showContent(await request('GET', 'session'));
  } catch (e) {
    showLogin(e.status === 401 ? '' : `The console cannot be asked: ${e.message}`);
  }
}

begin();
