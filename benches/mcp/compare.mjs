// Berth's MCP server and Playwright's on the same pages, in turns: how long a step takes, and how much a model
// has to read. Usage: node compare.mjs BERTH CHROMIUM [TURNS]
import { createServer } from 'node:http';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const [, , berth, chromium, turns = '25'] = process.argv;
const shop = new URL('../../tests/support/shop/', import.meta.url);
const corpus = new URL('../../tests/corpus/pages/', import.meta.url);
// Seven pages of the tests' shop, and three of the corpus of real pages.
const articles = process.env.PAGES?.split(',') ?? [];
const PAGES = ['home', 'list', 'good', 'checkout', 'pay', 'upload', 'terms', ...articles];

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const name = url.pathname.slice(1);
  const send = (type, body) => response.writeHead(200, { 'content-type': type }).end(body);
  if (name === 'goods') {
    const page = Number(url.searchParams.get('page'));
    const all = Array.from({ length: 60 }, (_, id) => ({ id, name: `Nothing, number ${id}`, price: id + 1 }));
    return send('application/json', JSON.stringify(all.slice(page * 20, page * 20 + 20)));
  }
  for (const folder of [shop, corpus]) {
    try {
      const page = readFileSync(new URL(`${name}.html`, folder), 'utf8');
      const pay = `http://localhost:${server.address().port}/pay`;
      return send('text/html; charset=utf-8', page.replaceAll('{id}', '7').replaceAll('{pay}', pay));
    } catch { /* of the other folder, or of none */ }
  }
  response.writeHead(404).end();
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const base = `http://127.0.0.1:${server.address().port}`;

const open = async (command, args) => {
  const client = new Client({ name: 'comparison', version: '1' });
  const env = { ...process.env, BERTH_EGRESS_ALLOW: '127.0.0.0/8,::1' };
  await client.connect(new StdioClientTransport({ command, args, env, stderr: 'ignore' }));
  return client;
};
const ours = await open(berth, ['mcp', '--embedded']);
// It writes what it saw into files.
const scratch = mkdtempSync(join(tmpdir(), 'berth-comparison-'));
const theirs = await open('npx', ['@playwright/mcp', '--output-dir', scratch, '--headless', '--isolated', '--no-sandbox', '--executable-path', chromium]);

const call = async (client, name, args = {}) => {
  const begun = performance.now();
  const result = await client.callTool({ name, arguments: args }, undefined, { timeout: 60_000 });
  const text = result.content.map((block) => block.text ?? '').join('\n');
  if (result.isError) throw new Error(`${name}: ${text}`);
  return { took: performance.now() - begun, text };
};
const median = (values) => values.sort((one, other) => one - other)[values.length >> 1];

// Both have their browser.
await call(ours, 'browser_navigate', { url: `${base}/home` });
await call(theirs, 'browser_navigate', { url: `${base}/home` });
const step = { ours: [], theirs: [] };
const fetched = { ours: [], theirs: [] };
for (let turn = 0; turn < Number(turns); turn += 1) {
  for (const page of ['terms', 'good', 'upload']) {
    const url = `${base}/${page}`;
    step.ours.push((await call(ours, 'browser_navigate', { url })).took);
    // Its navigation brings the snapshot along, where it is configured to; else it is asked for.
    const gone = await call(theirs, 'browser_navigate', { url });
    const seen = gone.text.includes('[ref=') ? { took: 0 } : await call(theirs, 'browser_snapshot');
    step.theirs.push(gone.took + seen.took);
    // Each URL is new to both, so that no cache answers.
    const fresh = `${url}?turn=${turn}`;
    fetched.ours.push((await call(ours, 'fetch', { url: fresh })).took);
    fetched.theirs.push((await call(theirs, 'browser_navigate', { url: fresh })).took);
  }
}
const compare = (what, { ours: one, theirs: other }) => {
  const [a, b] = [median(one), median(other)];
  console.log(`| ${what} | ${a.toFixed(1)} ms | ${b.toFixed(1)} ms | ${(a / b).toFixed(2)} |`);
};
console.log('| median | Berth | Playwright | ratio |\n|---|---|---|---|');
compare('navigate and snapshot', step);
compare('`fetch`, against a navigation alone', fetched);

// What can be acted on: elements of these roles.
const ACTED = /^\s*- '?(button|checkbox|combobox|link|menuitem|option|radio|searchbox|slider|spinbutton|switch|tab|textbox)\b.*\[ref=/gm;
console.log('\n| snapshot of | tokens (bytes / 4) | Playwright | ratio | elements to act on | Playwright |\n|---|---|---|---|---|---|');
for (const page of PAGES) {
  const url = `${base}/${page}`;
  await call(ours, 'browser_navigate', { url, snapshot_max_length: 0 });
  await call(theirs, 'browser_navigate', { url });
  await new Promise((done) => setTimeout(done, 500));
  const one = (await call(ours, 'browser_snapshot', { max_length: 10_000_000 })).text;
  const other = (await call(theirs, 'browser_snapshot')).text;
  const tree = one.slice(one.indexOf('Snapshot:') + 'Snapshot:\n'.length);
  const yaml = /```yaml\n([\s\S]*?)```/.exec(other)?.[1] ?? other;
  const size = (text) => Math.round(Buffer.byteLength(text) / 4);
  const count = (text) => text.match(ACTED)?.length ?? 0;
  const ratio = (size(tree) / size(yaml)).toFixed(2);
  console.log(`| ${page} | ${size(tree)} | ${size(yaml)} | ${ratio} | ${count(tree)} | ${count(yaml)} |`);
}
await ours.close();
await theirs.close();
rmSync(scratch, { recursive: true, force: true });
server.close();
process.exit(0);
