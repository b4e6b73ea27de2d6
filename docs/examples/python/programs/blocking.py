"""Leases a browser and reads a page's title in it, with Playwright: python blocking.py [URL]

Needs berth-client for the generated stubs alone; `helper.py` does the same by its `berth.lease()`.
BERTH_ENDPOINT says where the broker is.
"""

import os
import sys
import time

import grpc
from berth.v1 import lease_pb2, lease_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from playwright.sync_api import sync_playwright

ENDPOINT = os.environ.get("BERTH_ENDPOINT", "http://127.0.0.1:50051")
# Pings, so that a cut network is noticed.
OPTIONS = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000)]
# How long a browser is waited for, refusals included.
PATIENCE = 60


def retry_delay(error: grpc.RpcError) -> float | None:
    """Seconds after which a refused call may be repeated; None when repeating does not help."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return retry.retry_delay.ToTimedelta().total_seconds()
    return None


def acquire(leases: lease_pb2_grpc.LeaseServiceStub) -> lease_pb2.Lease:
    """A lease; when every browser is taken it comes back when it is told to."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            left = until - time.monotonic()
            return leases.Acquire(lease_pb2.AcquireRequest(), timeout=left).lease
        except grpc.RpcError as error:
            delay = retry_delay(error)
            taken = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            if not taken or delay is None or time.monotonic() + delay > until:
                raise
            print(f"every browser is taken; again in {delay:.1f} s", file=sys.stderr)
            time.sleep(delay)


def main(url: str) -> None:
    with grpc.insecure_channel(ENDPOINT.removeprefix("http://"), OPTIONS) as channel:
        leases = lease_pb2_grpc.LeaseServiceStub(channel)
        lease = acquire(leases)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.connect_over_cdp(lease.cdp_url)
                page = browser.contexts[0].pages[0]
                page.goto(url)
                print(page.title())
        finally:
            leases.Release(lease_pb2.ReleaseRequest(lease_id=lease.id), timeout=10)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["https://example.com"])
