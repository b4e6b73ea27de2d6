// Holds a lease and reads a page's title in it, with Puppeteer: node puppeteer.mjs [URL]
//
// The stream is the lease: nothing has to be renewed, and should this process die, the browser is back at once.
import { setTimeout as sleep } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';
import { leases, retryDelay } from './berth.mjs';

const url = process.argv[2] ?? 'https://example.com';
const PATIENCE = 60_000;
const client = leases();

/** A stream and the lease that it holds. */
function hold() {
  return new Promise((resolve, reject) => {
    const stream = client.Hold();
    stream.on('error', reject);
    stream.on('data', ({ queued, granted }) => {
      if (queued) console.error(`number ${queued.position} in the queue`);
      if (granted) resolve({ stream, lease: granted.lease });
    });
    stream.write({ acquire: { labels: { program: 'puppeteer.mjs' } } });
  });
}

async function patiently(attempt) {
  const until = Date.now() + PATIENCE;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const delay = retryDelay(error);
      if (delay === undefined || Date.now() + delay > until) throw error;
      console.error(`every browser is taken; again in ${delay} ms`);
      await sleep(delay);
    }
  }
}

const { stream, lease } = await patiently(hold);
try {
  const browser = await puppeteer.connect({ browserWSEndpoint: lease.cdp_url });
  const [page] = await browser.pages();
  await page.goto(url);
  console.log(await page.title());
  await browser.disconnect();
} finally {
  const ended = new Promise((resolve) => stream.on('end', resolve));
  stream.write({ release: {} });
  stream.end();
  await ended;
  client.close();
}
