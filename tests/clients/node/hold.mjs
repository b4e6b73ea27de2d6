// What the README shows for Node: node hold.mjs HOST:PORT URL
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import puppeteer from 'puppeteer-core';

const [endpoint, url] = process.argv.slice(2);
const protos = new URL('../../../proto', import.meta.url).pathname;
const definition = loader.loadSync('berth/v1/lease.proto', { includeDirs: [protos], keepCase: true });
const { LeaseService } = grpc.loadPackageDefinition(definition).berth.v1;
const client = new LeaseService(endpoint, grpc.credentials.createInsecure());

const hold = client.Hold();
hold.write({ acquire: {} });
hold.on('error', (error) => console.error(error.details));
hold.on('end', () => client.close());
hold.on('data', async ({ granted }) => {
  if (!granted) return; // queued, expiring, browser_lost, ended
  const browser = await puppeteer.connect({ browserWSEndpoint: granted.lease.cdp_url });
  const [page] = await browser.pages();
  await page.goto(url);
  console.log(await page.title());
  await browser.disconnect();
  hold.write({ release: {} });
  hold.end();
});
