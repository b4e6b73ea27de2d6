"""The same with asyncio and a lease that a stream holds: python hold.py [URL]

The stream is the lease: nothing has to be renewed, and should this process die, the browser is back at once.
"""

import asyncio
import os
import sys
import time

import grpc
import grpc.aio
from berth.v1 import lease_pb2, lease_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from playwright.async_api import async_playwright

ENDPOINT = os.environ.get("BERTH_ENDPOINT", "http://127.0.0.1:50051")
OPTIONS = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000)]
PATIENCE = 60
ACQUIRE = lease_pb2.HoldRequest(acquire=lease_pb2.AcquireRequest(labels={"program": "hold.py"}))
RELEASE = lease_pb2.HoldRequest(release=lease_pb2.HoldRelease())


def retry_delay(error: grpc.RpcError) -> float | None:
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return retry.retry_delay.ToTimedelta().total_seconds()
    return None


async def granted(stream: grpc.aio.StreamStreamCall) -> lease_pb2.Lease:
    await stream.write(ACQUIRE)
    async for event in stream:
        kind = event.WhichOneof("event")
        if kind == "granted":
            return event.granted.lease
        if kind == "queued":
            print(f"number {event.queued.position} in the queue", file=sys.stderr)
    raise RuntimeError("the broker ended the call without a lease")


async def hold(leases: lease_pb2_grpc.LeaseServiceStub):
    """A stream and the lease that it holds; comes back when it is told to while every browser is taken."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            stream = leases.Hold()
            return stream, await granted(stream)
        except grpc.aio.AioRpcError as error:
            delay = retry_delay(error)
            taken = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            if not taken or delay is None or time.monotonic() + delay > until:
                raise
            print(f"every browser is taken; again in {delay:.1f} s", file=sys.stderr)
            await asyncio.sleep(delay)


async def main(url: str) -> None:
    async with grpc.aio.insecure_channel(ENDPOINT.removeprefix("http://"), OPTIONS) as channel:
        stream, lease = await hold(lease_pb2_grpc.LeaseServiceStub(channel))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(lease.cdp_url)
            page = browser.contexts[0].pages[0]
            await page.goto(url)
            print(await page.title())
        # Were this not reached, the end of the stream would give the browser back all the same.
        await stream.write(RELEASE)
        async for event in stream:
            if event.WhichOneof("event") == "ended":
                print(lease_pb2.EndReason.Name(event.ended.reason), file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or ["https://example.com"]))
