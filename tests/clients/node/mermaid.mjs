// Draws a diagram in a leased browser, and fails when it is none: node mermaid.mjs TEXT
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';
import { withLease } from '../../../docs/examples/node/index.js';

const mermaid = fileURLToPath(new URL('node_modules/mermaid/dist/mermaid.min.js', import.meta.url));
const [text] = process.argv.slice(2);

await withLease(async (lease) => {
  const browser = await puppeteer.connect({ browserWSEndpoint: lease.cdpUrl });
  const [page] = await browser.pages();
  await page.addScriptTag({ path: mermaid });
  const drawn = await page.evaluate(async (text) => {
    globalThis.mermaid.initialize({ startOnLoad: false });
    const { svg } = await globalThis.mermaid.render('diagram', text);
    return svg.length;
  }, text);
  console.log(drawn, 'characters of SVG');
  await browser.disconnect();
});
