"""A leased browser for as long as a block runs."""

import asyncio
import queue
import threading
import time

import grpc

from . import _connect
from ._error import Error
from .v1 import lease_pb2, lease_pb2_grpc

# How long the broker may take to confirm a release.
_RELEASE = 5.0


class Lease:
    """A browser that is nobody else's.

    ``cdp_url`` is where Playwright and other CDP clients attach, ``cdp_http_url`` the same for those that
    look for ``/json/version``, ``granted`` the whole ``berth.v1.Lease``. After the block ``end_reason`` says how
    the lease ended, such as ``RELEASED``, or ``BROWSER_CRASHED`` if that came first.
    """

    def __init__(self, granted):
        self.granted = granted
        self.id: str = granted.id
        self.cdp_url: str = granted.cdp_url
        self.cdp_http_url: str = granted.cdp_http_url
        self.end_reason: str = ""

    def _hear(self, event):
        """Whether this was the last event."""
        if event.WhichOneof("event") == "ended":
            name = lease_pb2.EndReason.Name(event.ended.reason)
            self.end_reason = name.removeprefix("END_REASON_")
        return bool(self.end_reason)


class lease:  # noqa: N801: it is used as a function
    """Leases a browser for a block: ``with berth.lease() as lease`` or ``async with berth.lease() as lease``.

    ``endpoint`` and ``token`` say where the broker is and who calls; the rest are fields of
    ``berth.v1.AcquireRequest``, durations in seconds. ``wait`` bounds the whole wait: a refusal that says when to
    come back, as POOL_EXHAUSTED does, is obeyed within it. Raises ``berth.Error``.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        wait: float = 300,
        max_lifetime: float | None = None,
        idle_timeout: float | None = None,
        labels: dict[str, str] | None = None,
        browser=None,
    ):
        self._where = endpoint, token
        self._wait = wait
        self._request = lease_pb2.AcquireRequest(labels=labels, browser=browser)
        for name, seconds in (("max_lifetime", max_lifetime), ("idle_timeout", idle_timeout)):
            if seconds is not None:
                getattr(self._request, name).FromNanoseconds(int(seconds * 1e9))

    def _asked(self, until):
        """The request with what is left of the wait."""
        left = max(until - time.monotonic(), 0)
        self._request.wait.FromNanoseconds(int(left * 1e9))
        return lease_pb2.HoldRequest(acquire=self._request)

    @staticmethod
    def _pause(error, until):
        """How long to pause after a refusal; raises when it is not to be tried again."""
        refused = Error.of(error)
        taken = refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        delay = refused.retry_after
        if not taken or delay is None or time.monotonic() + delay >= until:
            raise refused from error
        return delay

    def __enter__(self) -> Lease:
        until = time.monotonic() + self._wait
        self._channel = _connect.channel(*self._where)
        try:
            while True:
                try:
                    self._lease = self._hold(until)
                    return self._lease
                except grpc.RpcError as error:
                    pause = self._pause(error, until)
                time.sleep(pause)
        except BaseException:
            self._channel.close()
            raise

    def _hold(self, until):
        self._requests = queue.SimpleQueue()
        self._requests.put(self._asked(until))
        stub = lease_pb2_grpc.LeaseServiceStub(self._channel)
        self._stream = stub.Hold(iter(self._requests.get, None))
        try:
            for event in self._stream:
                if event.WhichOneof("event") == "granted":
                    return Lease(event.granted.lease)
        except BaseException:
            # Lets the thread go that waits for requests.
            self._requests.put(None)
            raise
        raise RuntimeError("the broker ended the call without a lease")

    def __exit__(self, *_) -> None:
        self._requests.put(lease_pb2.HoldRequest(release=lease_pb2.HoldRelease()))
        # It may have ended with the connection.
        late = threading.Timer(_RELEASE, self._stream.cancel)
        late.start()
        try:
            for event in self._stream:
                if self._lease._hear(event):
                    break
        except grpc.RpcError:
            pass
        finally:
            late.cancel()
            self._requests.put(None)
            self._channel.close()

    async def __aenter__(self) -> Lease:
        until = time.monotonic() + self._wait
        self._channel = _connect.aio_channel(*self._where)
        try:
            while True:
                try:
                    self._lease = await self._aio_hold(until)
                    return self._lease
                except grpc.RpcError as error:
                    pause = self._pause(error, until)
                await asyncio.sleep(pause)
        except BaseException:
            await self._channel.close()
            raise

    async def _aio_hold(self, until):
        stub = lease_pb2_grpc.LeaseServiceStub(self._channel)
        self._stream = stub.Hold()
        await self._stream.write(self._asked(until))
        async for event in self._stream:
            if event.WhichOneof("event") == "granted":
                return Lease(event.granted.lease)
        raise RuntimeError("the broker ended the call without a lease")

    async def __aexit__(self, *_) -> None:
        try:
            async with asyncio.timeout(_RELEASE):
                await self._stream.write(lease_pb2.HoldRequest(release=lease_pb2.HoldRelease()))
                async for event in self._stream:
                    if self._lease._hear(event):
                        break
        except (grpc.RpcError, asyncio.InvalidStateError, TimeoutError):
            # It ended with the connection, or ends with it now.
            pass
        finally:
            await self._channel.close()
