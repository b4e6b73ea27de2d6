"""The same by the helper, which comes back by itself when every browser is taken: python helper.py [URL]"""

import asyncio
import sys

import berth
from playwright.async_api import async_playwright


async def main(url: str) -> None:
    async with berth.lease(wait=60) as lease, async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(lease.cdp_url)
        page = browser.contexts[0].pages[0]
        await page.goto(url)
        print(await page.title())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or ["https://example.com"]))
