// Tries every way out to every one of URLS, a few at a time, and then says so in the title.
const later = (ms) => new Promise((done) => setTimeout(done, ms));
const element = (name, set) => (u) => new Promise((done) => {
  const e = document.createElement(name);
  e.onload = e.onerror = e.onloadedmetadata = () => { e.remove(); done(); };
  set(e, u);
  document.body.append(e);
});
const hint = (rel) => (u) => {
  const e = document.createElement('link');
  e.rel = rel;
  e.href = u;
  if (rel === 'preload') e.as = 'image';
  document.head.append(e);
};
const form = (method) => (u) => {
  const frame = document.createElement('iframe');
  frame.name = 'f' + Math.random();
  document.body.append(frame);
  const e = document.createElement('form');
  e.method = method;
  e.action = u;
  e.target = frame.name;
  document.body.append(e);
  e.submit();
};
const blob = (text) => URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
const worker = (text) => (u) => new Promise((done) => {
  const w = new Worker(blob(text.replace('URL', JSON.stringify(u))));
  w.onmessage = w.onerror = () => { w.terminate(); done(); };
});
const WAYS = {
  fetch: (u) => fetch(u, { mode: 'no-cors' }),
  keepalive: (u) => fetch(u, { mode: 'no-cors', keepalive: true, method: 'POST', body: 'x' }),
  xhr: (u) => new Promise((done) => {
    const x = new XMLHttpRequest();
    x.onloadend = done;
    x.open('GET', u);
    x.send();
  }),
  image: element('img', (e, u) => { e.src = u; }),
  script: element('script', (e, u) => { e.src = u; }),
  style: element('link', (e, u) => { e.rel = 'stylesheet'; e.href = u; }),
  manifest: hint('manifest'),
  icon: hint('icon'),
  preconnect: hint('preconnect'),
  prefetch: hint('prefetch'),
  preload: hint('preload'),
  lookup: hint('dns-prefetch'),
  frame: element('iframe', (e, u) => { e.src = u; }),
  object: element('object', (e, u) => { e.data = u; }),
  embed: element('embed', (e, u) => { e.src = u; }),
  video: element('video', (e, u) => { e.src = u; e.load(); }),
  socket: (u) => new Promise((done) => {
    const s = new WebSocket(u.replace(/^\s*http/i, 'ws'));
    s.onclose = s.onerror = s.onopen = done;
  }),
  events: (u) => new Promise((done) => {
    const e = new EventSource(u);
    e.onerror = e.onopen = () => { e.close(); done(); };
  }),
  beacon: (u) => navigator.sendBeacon(u, 'x'),
  ping: (u) => {
    const a = document.createElement('a');
    a.href = '#' + Math.random();
    a.ping = u;
    document.body.append(a);
    a.click();
  },
  font: (u) => new FontFace('f' + Math.random(), `url(${JSON.stringify(u)})`).load(),
  background: (u) => {
    const e = document.createElement('p');
    e.style.backgroundImage = `url(${JSON.stringify(u)})`;
    document.body.append(e);
  },
  worker: worker('importScripts(URL)'),
  inworker: worker('fetch(URL, { mode: "no-cors" }).finally(() => postMessage(1))'),
  module: (u) => import(u),
  get: form('GET'),
  post: form('POST'),
};
const HEAVY = { window: (u) => { const w = open(u, '_blank'); if (w) later(500).then(() => w.close()); } };
const one = async (way, name, u) => {
  try {
    const tried = way(u.replace('WAY', name));
    await Promise.race([tried, later(2000)]);
  } catch { /* what cannot be asked for is not */ }
};
(async () => {
  const work = [];
  for (const [at, u] of URLS.entries()) {
    for (const [name, way] of Object.entries(WAYS)) work.push([way, name, u]);
    if (at % 40 === 0) work.push([HEAVY.window, 'window', u]);
  }
  const lane = async () => {
    for (let next; (next = work.pop());) await one(...next);
  };
  await Promise.all(Array.from({ length: 24 }, lane));
  // What tells nobody when it is done gets a moment.
  await later(500);
  document.title = 'tried';
})();
