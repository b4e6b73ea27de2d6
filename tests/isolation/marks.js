// What a page can leave behind, and how another page would see it. Each row plants a mark, and sees
// whether there is one; `before` listens for marks that are only heard.

const ask = (word) =>
  new Promise((done) => {
    const worker = new SharedWorker('/shared.js');
    worker.port.onmessage = (event) => done(event.data);
    worker.port.postMessage(word);
  });

const heard = [];
let hearing;

const rows = {
  cookie: {
    plant: () => (document.cookie = 'mark=1; path=/; max-age=600'),
    see: () => document.cookie.includes('mark=1'),
  },
  local_storage: {
    plant: () => localStorage.setItem('mark', '1'),
    see: () => localStorage.getItem('mark') === '1',
  },
  session_storage: {
    plant: () => sessionStorage.setItem('mark', '1'),
    see: () => sessionStorage.getItem('mark') === '1',
  },
  window_name: {
    plant: () => (window.name = 'mark'),
    see: () => window.name === 'mark',
  },
  indexed_db: {
    plant: () =>
      new Promise((done, failed) => {
        const opening = indexedDB.open('mark');
        opening.onsuccess = () => done(opening.result.close());
        opening.onerror = failed;
      }),
    see: async () => (await indexedDB.databases()).some(({ name }) => name === 'mark'),
  },
  cache_api: {
    plant: async () => (await caches.open('mark')).put('/kept', new Response('1')),
    see: async () => (await caches.keys()).includes('mark'),
  },
  // The origin counts: only who has the first answer kept gets it again.
  http_cache: {
    plant: async () => (await fetch('/counter')).text(),
    see: async () => (await (await fetch('/counter')).text()) === '1',
  },
  service_worker: {
    plant: async () => {
      await navigator.serviceWorker.register('/worker.js');
      await navigator.serviceWorker.ready;
    },
    see: async () => (await navigator.serviceWorker.getRegistrations()).length > 0,
  },
  shared_worker: {
    plant: () => ask('mark'),
    see: async () => (await ask('')) === 'mark',
  },
  storage_bucket: {
    plant: () => navigator.storageBuckets.open('mark'),
    see: async () => (await navigator.storageBuckets.keys()).includes('mark'),
  },
  private_files: {
    plant: async () => (await navigator.storage.getDirectory()).getFileHandle('mark', { create: true }),
    see: async () => {
      for await (const name of (await navigator.storage.getDirectory()).keys()) {
        if (name === 'mark') return true;
      }
      return false;
    },
  },
  broadcast: {
    before: () => {
      hearing = new BroadcastChannel('mark');
      hearing.onmessage = ({ data }) => heard.push(data);
    },
    plant: () => new BroadcastChannel('mark').postMessage('mark'),
    // What was sent before its own word would have come before it.
    see: async () => {
      const own = crypto.randomUUID();
      const came = new Promise((done) => {
        hearing.addEventListener('message', ({ data }) => data === own && done());
      });
      new BroadcastChannel('mark').postMessage(own);
      await came;
      return heard.includes('mark');
    },
  },
  // These are planted by whoever drives the browser.
  permission: {
    see: async () => (await navigator.permissions.query({ name: 'geolocation' })).state === 'granted',
  },
  http_auth: {
    // Not relative to the page, whose URL may have the password in it: scripts may not fetch such.
    see: async () => (await fetch(new URL('/auth', location.origin))).status === 200,
  },
  // The reader may read: it has been granted that. Its own word shows that it could.
  clipboard: {
    plant: () => navigator.clipboard.writeText('mark'),
    see: async () => (await navigator.clipboard.readText()) === 'mark',
  },
};

/** The rows that a page plants by itself. */
const own = Object.keys(rows).filter((name) => rows[name].plant && name !== 'clipboard');

async function listen() {
  for (const { before } of Object.values(rows)) await before?.();
}

async function plant(names) {
  for (const name of names) await rows[name].plant();
}

/** What is seen, by row. */
async function see(names) {
  const seen = {};
  for (const name of names) seen[name] = await rows[name].see();
  return seen;
}
