// The same by the helper, which comes back by itself when every browser is taken: node helper.mjs [URL]
import puppeteer from 'puppeteer-core';
import { fetch, withLease } from 'berth-client';

const url = process.argv[2] ?? 'https://example.com';

await withLease(
  async (lease) => {
    const browser = await puppeteer.connect({ browserWSEndpoint: lease.cdpUrl });
    const [page] = await browser.pages();
    await page.goto(url);
    console.log(await page.title());
    await browser.disconnect();
  },
  { wait: 60_000 },
);

// A page that is there without scripts needs no browser.
const fetched = await fetch({ url, strategy: 'FETCH_STRATEGY_HTTP', formats: ['FETCH_FORMAT_MARKDOWN'] });
console.error(fetched.status, `${fetched.contents.markdown.length} characters of Markdown`);
