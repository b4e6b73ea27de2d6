// What programs with Playwright do, on a leased browser.
import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { chromium } from 'playwright-core';

/** Connects, works, disconnects. */
async function connected(url, work) {
  const browser = await chromium.connectOverCDP(url);
  try {
    return await work(browser);
  } finally {
    await browser.close();
  }
}

/** A page in a context of its own. */
async function onPage({ ws, site }, work) {
  await connected(ws, async (browser) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await work(page, context, site);
    await context.close();
  });
}

export const scenarios = {
  'connect by websocket': ({ ws }) =>
    connected(ws, async (browser) => assert.match(browser.version(), /^\d+\./)),

  'connect by http': ({ http }) =>
    connected(http, async (browser) => assert.equal(browser.contexts().length, 1)),

  'one fresh page is there and answers': ({ ws }) =>
    connected(ws, async (browser) => {
      const pages = browser.contexts()[0].pages();
      assert.equal(pages.length, 1);
      assert.equal(await pages[0].evaluate('6 * 7'), 42);
    }),

  'go and read': (target) =>
    onPage(target, async (page, _, site) => {
      const answer = await page.goto(`${site}/index.html`);
      assert.equal(answer.status(), 200);
      assert.match(await page.content(), /Welcome/);
      assert.equal(await page.title(), 'Index');
    }),

  'fill a form and follow': (target) =>
    onPage(target, async (page, _, site) => {
      await page.goto(`${site}/form.html`);
      await page.fill('#name', 'Ada');
      await page.click('#send');
      await page.waitForURL(/hello\.html\?name=Ada/);
      assert.equal(await page.textContent('h1'), 'Hello Ada');
    }),

  'contexts share no cookies': ({ ws, site }) =>
    connected(ws, async (browser) => {
      const [one, two] = await Promise.all([browser.newContext(), browser.newContext()]);
      await one.addCookies([{ name: 'mark', value: '1', url: site }]);
      assert.equal((await one.cookies()).length, 1);
      assert.equal((await two.cookies()).length, 0);
      await Promise.all([one.close(), two.close()]);
    }),

  'a popup': (target) =>
    onPage(target, async (page, _, site) => {
      await page.goto(`${site}/index.html`);
      const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#popup')]);
      await popup.waitForLoadState();
      assert.equal(await popup.title(), 'Form');
    }),

  'a dialog': (target) =>
    onPage(target, async (page, _, site) => {
      await page.goto(`${site}/index.html`);
      page.once('dialog', (dialog) => dialog.accept('yes'));
      assert.equal(await page.evaluate('prompt("well?")'), 'yes');
    }),

  'console and network events': (target) =>
    onPage(target, async (page, _, site) => {
      const said = page.waitForEvent('console');
      const asked = page.waitForEvent('requestfinished');
      await page.goto(`${site}/index.html`);
      assert.equal((await said).text(), 'index is here');
      assert.match((await asked).url(), /index\.html/);
    }),

  'a route': (target) =>
    onPage(target, async (page, _, site) => {
      await page.route('**/form.html', (route) =>
        route.fulfill({ contentType: 'text/html', body: '<h1>ours</h1>' }));
      await page.goto(`${site}/form.html`);
      assert.equal(await page.textContent('h1'), 'ours');
    }),

  'a picture of more than 5 MB': (target) =>
    onPage(target, async (page, _, site) => {
      await page.goto(`${site}/tall.html`);
      const picture = await page.screenshot({ fullPage: true });
      assert.ok(picture.length > 5e6, `${picture.length} bytes`);
    }),

  'a value of 20 MB': (target) =>
    onPage(target, async (page) => {
      const text = await page.evaluate(() => 'x'.repeat(20_000_000));
      assert.equal(text.length, 20_000_000);
    }),

  'fifty at once': (target) =>
    onPage(target, async (page) => {
      const all = await Promise.all([...Array(50).keys()].map((n) => page.evaluate((n) => n * 2, n)));
      assert.deepEqual(all, [...Array(50).keys()].map((n) => n * 2));
    }),

  'a frame and a worker': (target) =>
    onPage(target, async (page, _, site) => {
      const worker = page.waitForEvent('worker');
      await page.goto(`${site}/parts.html`);
      const frame = page.frames().find((frame) => frame.url().endsWith('form.html'));
      assert.equal(await frame.textContent('h1'), 'Form');
      assert.equal(await (await worker).evaluate(() => self.mark), 'in a worker');
    }),

  'a raw session': (target) =>
    onPage(target, async (page, context) => {
      const session = await context.newCDPSession(page);
      const { product } = await session.send('Browser.getVersion');
      assert.match(product, /Chrome/);
    }),

  'print': (target) =>
    onPage(target, async (page, _, site) => {
      await page.goto(`${site}/index.html`);
      assert.equal((await page.pdf()).subarray(0, 4).toString(), '%PDF');
    }),

  'a download, fetched from the lease': (target) =>
    onPage(target, async (page, _, site) => {
      await page.goto(`${site}/index.html`);
      const begun = page.waitForEvent('download');
      await page.evaluate(() => { location.assign('data.bin'); });
      const download = await begun;
      assert.equal(download.suggestedFilename(), 'data.bin');
      assert.equal(await download.failure(), null);
      // Playwright names it, the lease has it.
      const name = basename(await download.path());
      const answer = await fetch(`${target.http}/files/${name}`);
      assert.equal(await answer.text(), 'd'.repeat(200));
      await download.delete();
    }),

  'an upload of a file brought before': (target) =>
    onPage(target, async (page, _, site) => {
      const put = await fetch(`${target.http}/files/up.txt`, { method: 'PUT', body: 'brought' });
      assert.equal(put.status, 201);
      const { path } = await put.json();
      await page.goto(`${site}/index.html`);
      await page.evaluate(() => { document.body.innerHTML = '<input type=file>'; });
      await page.setInputFiles('input', path);
      assert.equal(await page.evaluate(() => document.querySelector('input').files[0].text()), 'brought');
      await page.setInputFiles('input', { name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('sent') });
      assert.equal(await page.evaluate(() => document.querySelector('input').files[0].text()), 'sent');
    }),

  'what the policy denies is an error, and the page lives': (target) =>
    onPage(target, async (page) => {
      await assert.rejects(page.goto('file:///etc/passwd'), /denied by the broker's CDP policy \(scheme\)/);
      assert.equal(await page.evaluate('6 * 7'), 42);
    }),

  'leave and come back': async ({ ws, site }) => {
    await connected(ws, async (browser) => {
      await browser.contexts()[0].pages()[0].goto(`${site}/index.html`);
    });
    await connected(ws, async (browser) => {
      const page = browser.contexts()[0].pages().find((page) => page.url().endsWith('/index.html'));
      assert.equal(await page.title(), 'Index');
      await page.goto('about:blank');
    });
  },

  'two at once': ({ ws, http, site }) =>
    connected(ws, (one) =>
      connected(http, async (two) => {
        const pages = await Promise.all([one.newPage(), two.newPage()]);
        await Promise.all(pages.map((page) => page.goto(`${site}/index.html`)));
        assert.deepEqual(await Promise.all(pages.map((page) => page.title())), ['Index', 'Index']);
        await Promise.all(pages.map((page) => page.close()));
      })),
};
