"""A host built on the official Python SDK, over both transports."""

import asyncio
import re
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

SHOP, URL, BERTH, ENDPOINT = sys.argv[1:5]


def ref(text, words):
    line = next(line for line in text.splitlines() if words in line)
    return re.search(r"\[ref=(\w+)\]", line)[1]


async def walk(name, session):
    async def call(tool, **arguments):
        result = await session.call_tool(tool, arguments)
        text = "\n".join(getattr(block, "text", "") for block in result.content)
        assert not result.is_error, text
        return result, text

    hello = await session.initialize()
    print(f"ok {name} connect {hello.server_info.name}")
    tools = (await session.list_tools()).tools
    assert len(tools) > 20
    print(f"ok {name} list")
    result, text = await call("fetch", url=f"{SHOP}/terms")
    assert "You agree to everything" in text, text
    assert result.structured_content["results"][0]["status"] == 200
    print(f"ok {name} fetch")
    _, home = await call("browser_navigate", url=f"{SHOP}/")
    _, counted = await call("browser_click", ref=ref(home, 'button "Count"'))
    assert "status: 1" in counted, counted
    print(f"ok {name} click")
    picture, _ = await call("browser_take_screenshot")
    assert any(block.type == "image" for block in picture.content)
    resources = (await session.list_resources()).resources
    assert any(str(one.uri) == "berth://screenshot/last" for one in resources)
    print(f"ok {name} picture")
    failed = await session.call_tool("browser_click", {"ref": "e999"})
    assert failed.is_error and "Next:" in failed.content[0].text
    print(f"ok {name} failure")
    await call("browser_close")
    print(f"ok {name} close")


async def main():
    arguments = ["mcp", "--endpoint", ENDPOINT, "--tools", "all"]
    parameters = StdioServerParameters(command=BERTH, args=arguments)
    async with stdio_client(parameters) as streams, ClientSession(*streams[:2]) as session:
        await walk("stdio", session)
    async with streamable_http_client(URL) as streams, ClientSession(*streams[:2]) as session:
        await walk("http", session)


asyncio.run(main())
