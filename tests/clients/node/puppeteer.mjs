// What programs with Puppeteer do, on a leased browser.
import assert from 'node:assert/strict';
import { connect } from 'puppeteer-core';

/** Connects, works, disconnects. */
async function connected(url, work) {
  const browser = await connect({ browserWSEndpoint: url });
  try {
    return await work(browser);
  } finally {
    await browser.disconnect();
  }
}

/** A page in a context of its own. */
async function onPage({ ws, site }, work) {
  await connected(ws, async (browser) => {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await work(page, context, site);
    await context.close();
  });
}

export const scenarios = {
  'connect by websocket': ({ ws }) =>
    connected(ws, async (browser) => assert.match(await browser.version(), /Chrome/)),

  'one fresh page is there and answers': ({ ws }) =>
    connected(ws, async (browser) => {
      const pages = await browser.pages();
      assert.equal(pages.length, 1);
      assert.equal(await pages[0].evaluate('6 * 7'), 42);
    }),

  'go and read': (target) =>
    onPage(target, async (page, _, site) => {
      const answer = await page.goto(`${site}/index.html`);
      assert.equal(answer.status(), 200);
      assert.match(await page.content(), /Welcome/);
    }),

  'fill a form and follow': (target) =>
    onPage(target, async (page, _, site) => {
      await page.goto(`${site}/form.html`);
      await page.type('#name', 'Ada');
      await Promise.all([page.waitForNavigation(), page.click('#send')]);
      assert.equal(await page.$eval('h1', (h1) => h1.textContent), 'Hello Ada');
    }),

  'contexts share no cookies': ({ ws, site }) =>
    connected(ws, async (browser) => {
      const [one, two] = await Promise.all([
        browser.createBrowserContext(),
        browser.createBrowserContext(),
      ]);
      await one.setCookie({ name: 'mark', value: '1', domain: new URL(site).hostname });
      assert.equal((await one.cookies()).length, 1);
      assert.equal((await two.cookies()).length, 0);
      await Promise.all([one.close(), two.close()]);
    }),

  'a popup': (target) =>
    onPage(target, async (page, context, site) => {
      await page.goto(`${site}/index.html`);
      const opened = context.waitForTarget((target) => target.url().endsWith('/form.html'));
      await page.click('#popup');
      const popup = await (await opened).page();
      assert.equal(await popup.$eval('h1', (h1) => h1.textContent), 'Form');
    }),

  'a dialog': (target) =>
    onPage(target, async (page, _, site) => {
      await page.goto(`${site}/index.html`);
      page.once('dialog', (dialog) => dialog.accept('yes'));
      assert.equal(await page.evaluate('prompt("well?")'), 'yes');
    }),

  'request interception': (target) =>
    onPage(target, async (page, _, site) => {
      await page.setRequestInterception(true);
      page.on('request', (request) =>
        request.respond({ contentType: 'text/html', body: '<h1>ours</h1>' }));
      await page.goto(`${site}/form.html`);
      assert.equal(await page.$eval('h1', (h1) => h1.textContent), 'ours');
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

  'a frame': (target) =>
    onPage(target, async (page, _, site) => {
      await page.goto(`${site}/parts.html`);
      const frame = await page.waitForFrame((frame) => frame.url().endsWith('form.html'));
      await frame.waitForSelector('h1');
      assert.equal(await frame.$eval('h1', (h1) => h1.textContent), 'Form');
    }),

  'a raw session': (target) =>
    onPage(target, async (page) => {
      const session = await page.createCDPSession();
      const { product } = await session.send('Browser.getVersion');
      assert.match(product, /Chrome/);
    }),

  'a download, fetched from the lease': (target) =>
    connected(target.ws, async (browser) => {
      const context = await browser.createBrowserContext({
        downloadBehavior: { policy: 'allow', downloadPath: '/home/somebody/downloads' },
      });
      const page = await context.newPage();
      await page.goto(`${target.site}/index.html`);
      await page.evaluate(() => { location.assign('data.bin'); });
      const list = async () => (await (await fetch(`${target.http}/files`)).json()).files;
      let file;
      while (file?.state !== 'complete') {
        file = (await list()).find(({ name }) => name === 'data.bin');
      }
      const answer = await fetch(`${target.http}/files/data.bin`);
      assert.equal(await answer.text(), 'd'.repeat(200));
      await context.close();
    }),

  'an upload of a file brought before': (target) =>
    onPage(target, async (page, _, site) => {
      const put = await fetch(`${target.http}/files/up.txt`, { method: 'PUT', body: 'brought' });
      const { path } = await put.json();
      await page.goto(`${site}/index.html`);
      await page.evaluate(() => { document.body.innerHTML = '<input type=file>'; });
      const input = await page.$('input');
      await input.uploadFile(path);
      assert.equal(await page.evaluate(() => document.querySelector('input').files[0].text()), 'brought');
      await assert.rejects(input.uploadFile('/etc/hostname'), /denied by the broker's CDP policy \(path\)/);
    }),

  'what the policy denies is an error, and the page lives': (target) =>
    onPage(target, async (page) => {
      await assert.rejects(page.goto('file:///etc/passwd'), /denied by the broker's CDP policy \(scheme\)/);
      assert.equal(await page.evaluate('6 * 7'), 42);
    }),

  'leave and come back': async ({ ws, site }) => {
    await connected(ws, async (browser) => {
      await (await browser.pages())[0].goto(`${site}/index.html`);
    });
    await connected(ws, async (browser) => {
      const pages = await browser.pages();
      const page = pages.find((page) => page.url().endsWith('/index.html'));
      assert.equal(await page.title(), 'Index');
    });
  },

  'two at once': ({ ws, site }) =>
    connected(ws, (one) =>
      connected(ws, async (two) => {
        const pages = await Promise.all([one.newPage(), two.newPage()]);
        await Promise.all(pages.map((page) => page.goto(`${site}/index.html`)));
        assert.deepEqual(await Promise.all(pages.map((page) => page.title())), ['Index', 'Index']);
        await Promise.all(pages.map((page) => page.close()));
      })),
};
