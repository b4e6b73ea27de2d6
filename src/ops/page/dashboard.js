// The live picture: asks for /status each second as long as somebody looks, and shows it. What
// comes from outside (owners, labels, errors) is only ever set as text.

import { Chart, element } from './chart.js';
import { bytes, count, duration, micros, rate, roundUp } from './words.js';

const EACH = 1000;
const PATIENCE = 5000;
const SLOWEST = 10000;
const KEPT_MS = 610000;
// A rate is the mean of so many steps between samples.
const STEPS = 5;

const byId = (id) => document.getElementById(id);

let samples = [];
let next = 0;
let started = 0;
let failures = 0;
let answered = performance.now();
let asking = false;
let timer;

const MIB = 1024 * 1024;
const counts = (least) => ({ format: count, top: (most) => roundUp(most, least) });
const memory = { format: bytes, top: (most) => roundUp(most / MIB, 10) * MIB };
const sum = (names) => (sample) => names.reduce((all, name) => all + sample[name], 0);
const of = (name, key) => ({ name, of: (sample) => sample[key] });
const STATES = ['leased', 'shared', 'idle', 'starting', 'retiring'];

let limits = { browsers: 0, queue: 0 };
const charts = [
  new Chart({
    title: 'Browsers',
    series: STATES.map((state) => of(state, state)),
    stacked: true,
    format: count,
    top: (most) => Math.max(most, limits.browsers, 1),
    now: (sample) => `${sum(STATES)(sample)} of ${limits.browsers}`,
  }),
  new Chart({
    title: 'Leases and queue',
    series: [of('leases', 'leases'), of('waiting', 'waiting')],
    ...counts(4),
    now: (sample) => `${count(sample.leases)} leased, ${count(sample.waiting)} waiting`,
  }),
  new Chart({
    title: 'Fetches per second',
    series: [of('all', 'rate'), of('failed', 'failing')],
    format: rate,
    top: (most) => roundUp(most, 1),
  }),
  new Chart({
    title: 'Fetch latency, over a minute',
    series: [of('p50', 'p50_us'), of('p95', 'p95_us')],
    format: (us) => (us === 0 ? '–' : micros(us)),
    top: (most) => roundUp(most / 1000, 10) * 1000,
    now: (sample) => (sample.p95_us === 0 ? 'no fetches' : `p95 ${micros(sample.p95_us)}`),
  }),
  new Chart({
    title: 'Memory',
    series: [of('browsers', 'browser_bytes'), of('broker', 'own_bytes')],
    stacked: true,
    ...memory,
    now: (sample) => bytes(sum(['browser_bytes', 'own_bytes'])(sample)),
  }),
  new Chart({
    title: 'File descriptors',
    series: [of('browsers', 'browser_fds'), of('broker', 'own_fds')],
    stacked: true,
    ...counts(10),
    now: (sample) => count(sum(['browser_fds', 'own_fds'])(sample)),
  }),
];
byId('charts').append(...charts.map((chart) => chart.figure));

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Rows are kept by their key, so that a selection or a focus in them survives the next second.
// A row: {key, cells: [text or {text, state}]}.
function fill(id, rows) {
  const table = byId(id);
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const body = table.tBodies[0];
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  rows.forEach(({ key, cells }, at) => {
    const row = known.get(key) ?? element('tr', { role: 'row' });
    known.delete(key);
    if (row.cells.length === 0) {
      row.dataset.key = key;
      heads.forEach((head, index) => {
        const attributes = { 'data-label': head, role: index === 0 ? 'rowheader' : 'cell' };
        if (index === 0) attributes.scope = 'row';
        const cell = element(index === 0 ? 'th' : 'td', attributes, element('span'));
        row.append(cell);
      });
    }
    cells.forEach((cell, index) => {
      const span = row.cells[index].firstChild;
      setText(span, cell.text ?? cell);
      const look = cell.state ? `pill ${cell.state}` : '';
      if (span.className !== look) span.className = look;
    });
    if (body.rows[at] !== row) body.insertBefore(row, body.rows[at] ?? null);
  });
  for (const row of known.values()) row.remove();
  const none = byId(`${id}-none`);
  if (none) none.hidden = rows.length > 0;
  table.hidden = rows.length === 0 && none !== null;
}

function left(lease, now) {
  const time = duration(lease.expires_ms - now);
  return lease.held ? `held, at most ${time}` : time;
}

function leaseRow(lease, now) {
  const labels = Object.entries(lease.labels).map(([key, value]) => `${key}=${value}`);
  return {
    key: lease.id,
    cells: [
      lease.id,
      lease.owner,
      lease.browser,
      duration(now - lease.created_ms),
      left(lease, now),
      count(lease.attached_clients),
      labels.join(', ') || '–',
    ],
  };
}

function browserRow(browser) {
  return {
    key: browser.id,
    cells: [
      browser.id,
      { text: browser.state, state: browser.state },
      browser.pid === null ? '–' : String(browser.pid),
      duration(browser.age_ms),
      count(browser.uses),
      count(browser.contexts),
      browser.memory_bytes === 0 ? 'not measured yet' : bytes(browser.memory_bytes),
      browser.processes === 0 ? '–' : count(browser.processes),
      browser.open_fds === 0 ? '–' : count(browser.open_fds),
    ],
  };
}

// The parts of /health, whatever they are: figures as they are named there.
function figure(name, value) {
  const words = name.replaceAll('_', ' ');
  if (Array.isArray(value)) return `${words}: ${value.map((one) => said(one)).join(', ')}`;
  if (typeof value === 'number' && name.endsWith('_bytes')) {
    return `${words.slice(0, -6)}: ${bytes(value)}`;
  }
  if (name === 'bytes') return `in use: ${bytes(value)}`;
  return `${words}: ${said(value)}`;
}

function said(value) {
  if (typeof value === 'number') return count(value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function checkRow([name, check]) {
  const figures = Object.entries(check)
    .filter(([key, value]) => key !== 'status' && value !== null && value !== '')
    .map(([key, value]) => figure(key, value));
  const state = String(check.status ?? 'not known');
  return {
    key: name,
    cells: [name.replaceAll('_', ' '), { text: state, state }, figures.join(' · ') || '–'],
  };
}

// Adds what rates are made of: the samples know totals only.
function remember(history) {
  const news = history.rows.map((row) =>
    Object.fromEntries(history.columns.map((name, index) => [name, row[index]])),
  );
  if (history.from !== next) samples = [];
  const first = samples.length;
  samples.push(...news);
  for (let at = first; at < samples.length; at += 1) {
    const before = samples[Math.max(0, at - STEPS)];
    const seconds = (samples[at].at_ms - before.at_ms) / 1000;
    const per = (key) => (seconds > 0 ? (samples[at][key] - before[key]) / seconds : 0);
    samples[at].rate = per('fetches');
    samples[at].failing = per('failed');
  }
  next = history.next;
}

function pill(id, text, state) {
  setText(byId(id), text);
  byId(id).className = `pill ${state}`;
}

function show(picture) {
  const { health } = picture;
  const now = picture.now_ms;
  limits = { browsers: picture.max_browsers, queue: picture.queue };
  document.title = `Berth ${picture.node}: ${health.status}`;
  setText(byId('node'), picture.node);
  pill('health', health.status, health.status);
  if (picture.draining) pill('ready', 'draining', 'degraded');
  else if (health.ready) pill('ready', 'ready', 'healthy');
  else pill('ready', 'not ready', 'unhealthy');
  const { fetches } = picture;
  const about = [
    `version ${picture.version}`,
    `up ${duration(now - picture.start_ms)}`,
    `${count(picture.running)} running`,
    `${count(picture.waiting)} of ${count(picture.queue)} waiting`,
    `${count(fetches.total)} fetches, ${count(fetches.failed)} failed`,
    `${count(picture.launches)} launches, ${count(picture.launch_failures)} failed`,
  ];
  setText(byId('about'), about.join(' · '));
  const shown = picture.leases.length;
  const more = picture.leases_total > shown ? `, the first ${shown} shown` : '';
  setText(byId('leases-count'), `${count(picture.leases_total)}${more}`);
  setText(byId('browsers-count'), `${picture.browsers.length} of ${picture.max_browsers}`);
  fill('leases', picture.leases.map((lease) => leaseRow(lease, now)));
  fill('browsers', picture.browsers.map(browserRow));
  fill('checks', Object.entries(health.checks).map(checkRow));
  samples = samples.filter((one) => one.at_ms >= now - KEPT_MS);
  for (const chart of charts) chart.update(samples, now);
}

function complain(error) {
  failures += 1;
  const since = duration(performance.now() - answered);
  const link = byId('link');
  setText(link, `No answer for ${since} (${error.message}). What is shown is old; asking again.`);
  link.hidden = false;
  document.body.classList.add('stale');
}

async function ask() {
  const answer = await fetch(`status?since=${next}`, {
    cache: 'no-store',
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const picture = await answer.json();
  if (picture.start_ms !== started) {
    // Another broker than before: its history is not the continuation of the one we know.
    const known = next > 0;
    started = picture.start_ms;
    samples = [];
    next = 0;
    if (known) return ask();
  }
  remember(picture.history);
  return picture;
}

async function turn() {
  // One at a time: two answers to one question would both be the continuation.
  if (asking) return;
  asking = true;
  try {
    show(await ask());
    failures = 0;
    answered = performance.now();
    byId('link').hidden = true;
    document.body.classList.remove('stale');
  } catch (error) {
    complain(error);
  }
  asking = false;
  plan(Math.min(EACH * 2 ** failures, SLOWEST));
}

// A page that nobody sees asks for nothing: connections of this port are few.
function plan(after) {
  clearTimeout(timer);
  timer = document.hidden ? undefined : setTimeout(turn, after);
}

document.addEventListener('visibilitychange', () => plan(0));
turn();
