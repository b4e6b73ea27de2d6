// A host built on the official TypeScript SDK, over both transports.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [, , shop, url, berth, endpoint] = process.argv;
const expect = (is, what) => { if (!is) throw new Error(what); };
const ref = (text, words) => text.split('\n').find((line) => line.includes(words)).match(/\[ref=(\w+)\]/)[1];

for (const [name, transport] of [
  ['stdio', new StdioClientTransport({ command: berth, args: ['mcp', '--endpoint', endpoint, '--tools', 'all'] })],
  ['http', new StreamableHTTPClientTransport(new URL(url))],
]) {
  const client = new Client({ name: 'test-host', version: '1' });
  await client.connect(transport);
  // The SDK checks structured content against the output schema.
  const call = async (tool, args = {}) => {
    const result = await client.callTool({ name: tool, arguments: args });
    const text = result.content.map((block) => block.text ?? '').join('\n');
    expect(!result.isError, text);
    return { ...result, text };
  };
  console.log(`ok ${name} connect ${client.getServerVersion().name}`);
  const { tools } = await client.listTools();
  expect(tools.length > 20, 'all tools');
  console.log(`ok ${name} list`);
  const fetched = await call('fetch', { url: `${shop}/terms` });
  expect(fetched.text.includes('You agree to everything'), fetched.text);
  expect(fetched.structuredContent.results[0].status === 200, 'structured');
  console.log(`ok ${name} fetch`);
  const home = await call('browser_navigate', { url: `${shop}/` });
  const counted = await call('browser_click', { ref: ref(home.text, 'button "Count"'), element: 'the counter' });
  expect(counted.text.includes('status: 1'), counted.text);
  console.log(`ok ${name} click`);
  const picture = await call('browser_take_screenshot');
  expect(picture.content.some((block) => block.type === 'image'), 'an image');
  const { resources } = await client.listResources();
  expect(resources.some((one) => one.uri === 'berth://screenshot/last'), 'a resource');
  console.log(`ok ${name} picture`);
  const failed = await client.callTool({ name: 'browser_click', arguments: { ref: 'e999' } });
  expect(failed.isError && failed.content[0].text.includes('Next:'), 'a failure that helps');
  console.log(`ok ${name} failure`);
  await call('browser_close');
  await transport.terminateSession?.();
  await client.close();
  console.log(`ok ${name} close`);
}
