// Goes on in another browser where a drained one left: node state.mjs HOST:PORT URL
//
// Without a state on standard input it holds a lease, logs in, and prints the storage state that it
// gets at the end. With one it leases a browser, loads the state with Playwright and prints who it is.
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';

const [endpoint, url] = process.argv.slice(2);
const state = readFileSync(0, 'utf8');
const protos = new URL('../../../proto', import.meta.url).pathname;
const definition = loader.loadSync('berth/v1/lease.proto', { includeDirs: [protos], keepCase: true });
const { LeaseService } = grpc.loadPackageDefinition(definition).berth.v1;
const client = new LeaseService(endpoint, grpc.credentials.createInsecure());

const hold = client.Hold();
hold.write({ acquire: { storage_state: true } });
hold.on('error', (error) => console.error(error.details));
hold.on('end', () => client.close());
hold.on('data', async ({ granted, draining, ended }) => {
  if (draining) console.error('draining');
  if (ended && !state) console.log(ended.storage_state);
  if (!granted) return;
  const browser = await chromium.connectOverCDP(granted.lease.cdp_url);
  if (!state) {
    const [page] = browser.contexts()[0].pages();
    await page.goto(url);
    await page.evaluate(() => {
      document.cookie = 'user=ada; path=/';
      localStorage.setItem('key', 'value');
    });
    console.error('ready');
    return;
  }
  const context = await browser.newContext({ storageState: JSON.parse(state) });
  const page = await context.newPage();
  await page.goto(url);
  console.log(await page.title(), await page.evaluate(() => localStorage.getItem('key')));
  await browser.close();
  hold.write({ release: {} });
  hold.end();
});
