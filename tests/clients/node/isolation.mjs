// Two tenants with a library of their own: node isolation.mjs playwright|puppeteer WS WS URL
//
// The first plants every mark that a page can; both then look for them. Prints what each saw, and the
// pages that the second knows of.
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

const [library, first, second, url] = process.argv.slice(2);

const connect = {
  async playwright(ws) {
    const browser = await chromium.connectOverCDP(ws);
    const pages = async () => browser.contexts().flatMap((context) => context.pages());
    return { pages, close: () => browser.close() };
  },
  async puppeteer(browserWSEndpoint) {
    const browser = await puppeteer.connect({ browserWSEndpoint });
    return { pages: () => browser.pages(), close: () => browser.disconnect() };
  },
}[library];

const tenants = [await connect(first), await connect(second)];
const pages = [];
for (const tenant of tenants) {
  const [page] = await tenant.pages();
  await page.goto(url);
  await page.waitForFunction('window.done');
  pages.push(page);
}
await pages[0].evaluate('plant(own)');
const seen = [];
for (const page of pages) seen.push(await page.evaluate('see(own)'));
const others = [];
for (const page of await tenants[1].pages()) others.push(page.url());
console.log(JSON.stringify({ first: seen[0], second: seen[1], pages: others }));
for (const tenant of tenants) await tenant.close();
