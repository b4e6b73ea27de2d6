"""What the helper package promises beyond the example programs: python helper.py URL

BERTH_ENDPOINT has one browser and no queue. Prints "ok NAME" for each scenario.
"""

import asyncio
import sys

import berth
import grpc
import grpc.aio
from berth.v1 import admin_pb2, admin_pb2_grpc, fetch_pb2, fetch_pb2_grpc
from playwright.sync_api import sync_playwright

URL = sys.argv[1]


def a_block_that_throws_gives_the_browser_back():
    try:
        with berth.lease(labels={"test": "throws"}) as lease:
            raise KeyError("mine")
    except KeyError:
        pass
    assert lease.end_reason == "RELEASED", lease.end_reason


def a_refusal_has_its_reason():
    with berth.lease():
        try:
            with berth.lease(wait=0):
                raise AssertionError("there was a second browser")
        except berth.Error as error:
            assert error.code == grpc.StatusCode.RESOURCE_EXHAUSTED, error
            assert error.reason == "POOL_EXHAUSTED" and error.metadata["leased"] == "1", error
            assert error.retry_after > 0, error


def nobody_there_tells_the_remedy():
    for wrong, said in (("http://127.0.0.1:9", "berth serve"), ("nonsense", "wanted such as")):
        try:
            with berth.lease(wrong, wait=5):
                raise AssertionError("somebody is there")
        except (berth.Error, ValueError) as error:
            assert said in str(error), error


def a_browser_that_dies_is_told():
    with berth.lease() as lease, berth.channel() as channel:
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        admin.EndLease(admin_pb2.EndLeaseRequest(lease_id=lease.id))
    assert lease.end_reason == "REVOKED", lease.end_reason


def options_reach_the_browser():
    with berth.lease(browser={"user_agent": "Own/1.0"}, idle_timeout=20, max_lifetime=60) as lease:
        assert lease.granted.max_lifetime.seconds == 60, lease.granted
        with sync_playwright() as playwright:
            page = playwright.chromium.connect_over_cdp(lease.cdp_url).contexts[0].pages[0]
            page.goto(URL)
            assert page.evaluate("navigator.userAgent") == "Own/1.0"


async def asyncio_too():
    try:
        async with berth.lease() as lease:
            try:
                async with berth.lease(wait=0):
                    raise AssertionError("there was a second browser")
            except berth.Error as error:
                assert error.reason == "POOL_EXHAUSTED", error
            raise KeyError("mine")
    except KeyError:
        pass
    assert lease.end_reason == "RELEASED", lease.end_reason

    async def forever():
        async with berth.lease():
            held.set()
            await asyncio.Event().wait()

    held = asyncio.Event()
    task = asyncio.create_task(forever())
    await held.wait()
    task.cancel()
    await asyncio.wait([task])
    async with berth.lease(wait=10):
        pass
    async with berth.aio_channel() as channel:
        stub = fetch_pb2_grpc.FetchServiceStub(channel)
        fetched = await stub.Fetch(fetch_pb2.FetchRequest(url=URL), timeout=30)
        assert fetched.status == 200, fetched


def main():
    for scenario in (
        a_block_that_throws_gives_the_browser_back,
        a_refusal_has_its_reason,
        nobody_there_tells_the_remedy,
        a_browser_that_dies_is_told,
        options_reach_the_browser,
        lambda: asyncio.run(asyncio_too()),
    ):
        scenario()
        print("ok", scenario.__name__, flush=True)


main()
