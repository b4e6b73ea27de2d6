// Acquires a lease, reads a page's title in it with Playwright and releases it: node playwright.mjs [URL]
//
// A lease of `Acquire` needs a `Renew` before its TTL (60 s) is over, or one that is long enough; `Hold`, as in
// puppeteer.mjs, needs neither.
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { leases, retryDelay } from './berth.mjs';

const url = process.argv[2] ?? 'https://example.com';
const PATIENCE = 60_000;
const client = leases();
const acquire = promisify(client.Acquire).bind(client);
const release = promisify(client.Release).bind(client);

async function acquired() {
  const until = Date.now() + PATIENCE;
  for (;;) {
    try {
      const { lease } = await acquire({ ttl: { seconds: 120 } });
      return lease;
    } catch (error) {
      const delay = retryDelay(error);
      if (delay === undefined || Date.now() + delay > until) throw error;
      console.error(`every browser is taken; again in ${delay} ms`);
      await sleep(delay);
    }
  }
}

const lease = await acquired();
try {
  const browser = await chromium.connectOverCDP(lease.cdp_url);
  const [page] = browser.contexts()[0].pages();
  await page.goto(url);
  console.log(await page.title());
  await browser.close(); // disconnects: the browser ends with its lease
} finally {
  await release({ lease_id: lease.id });
  client.close();
}
