"""The helper without asyncio, and a fetch on the same connection: python helper_blocking.py [URL]"""

import sys

import berth
from berth.v1 import fetch_pb2, fetch_pb2_grpc
from playwright.sync_api import sync_playwright


def main(url: str) -> None:
    with berth.lease(wait=60) as lease, sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(lease.cdp_url)
        page = browser.contexts[0].pages[0]
        page.goto(url)
        print(page.title())
    print(f"the lease ended: {lease.end_reason}", file=sys.stderr)

    # A page that is there without scripts needs no browser.
    request = fetch_pb2.FetchRequest(
        url=url,
        strategy=fetch_pb2.FETCH_STRATEGY_HTTP,
        formats=[fetch_pb2.FETCH_FORMAT_MARKDOWN],
    )
    with berth.channel() as channel:
        fetched = fetch_pb2_grpc.FetchServiceStub(channel).Fetch(request, timeout=30)
    print(fetched.status, f"{len(fetched.contents.markdown)} bytes of Markdown", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["https://example.com"])
