// What the helper package promises beyond the example programs: node helper.mjs URL
//
// BERTH_ENDPOINT has one browser and no queue. Prints "ok NAME" for each scenario.
import assert from 'node:assert/strict';
import { connect, fetch, lease, unary, withLease } from '../../../docs/examples/node/index.js';

const [url] = process.argv.slice(2);

const scenarios = {
  async 'work that throws gives the browser back'() {
    let held;
    const work = async (given) => {
      held = given;
      throw new Error('mine');
    };
    await assert.rejects(withLease(work, { labels: { test: 'throws' } }), /mine/);
    assert.equal(held.endReason, 'RELEASED');
  },
  async 'a refusal has its reason'() {
    const held = await lease({ maxLifetime: 60_000, idleTimeout: 20_500 });
    assert.deepEqual(held.granted.maxLifetime, { seconds: 60, nanos: 0 });
    const refused = await lease({ wait: 0 }).catch((error) => error);
    assert.equal(refused.name, 'BerthError');
    assert.equal(refused.reason, 'POOL_EXHAUSTED');
    assert.equal(refused.metadata.leased, '1');
    assert.ok(refused.retryAfter > 0, refused.message);
    assert.equal(await held.release(), 'RELEASED');
    assert.equal(await held.release(), 'RELEASED');
  },
  async 'nobody there tells the remedy'() {
    await assert.rejects(lease({ endpoint: 'http://127.0.0.1:9', wait: 5_000 }), /berth serve/);
    await assert.rejects(lease({ endpoint: 'nonsense' }), /wanted such as/);
  },
  async 'a lease that ends is told'() {
    const held = await lease();
    const broker = connect();
    await unary(broker.admin, 'EndLease', { leaseId: held.id });
    broker.close();
    assert.equal(await held.ended, 'REVOKED');
    await held.release();
  },
  async 'a fetch is a promise'() {
    assert.equal((await fetch({ url, strategy: 'FETCH_STRATEGY_HTTP' })).status, 200);
    const refused = await fetch('file:///etc/passwd').catch((error) => error);
    assert.equal(refused.reason, 'BAD_REQUEST');
  },
};

for (const [name, scenario] of Object.entries(scenarios)) {
  await scenario();
  console.log('ok', name);
}
