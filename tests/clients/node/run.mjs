// Runs the scenarios of one library against a leased browser:
//   node run.mjs playwright|puppeteer SITE
// with BERTH_CDP_URL and BERTH_CDP_HTTP_URL in the environment. One line each; exits 1 when one
// fails.
const [library, site] = process.argv.slice(2);
const target = {
  ws: process.env.BERTH_CDP_URL,
  http: process.env.BERTH_CDP_HTTP_URL,
  site,
};
const BOUND = 20_000;

const { scenarios } = await import(`./${library}.mjs`);
let failed = 0;
for (const [name, scenario] of Object.entries(scenarios)) {
  const begun = performance.now();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${BOUND} ms`)), BOUND);
  });
  try {
    await Promise.race([scenario(target), late]);
    console.log(`ok ${name} ${Math.round(performance.now() - begun)}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${name}: ${error.stack}`);
  } finally {
    clearTimeout(timer);
  }
}
process.exit(failed ? 1 : 0);
