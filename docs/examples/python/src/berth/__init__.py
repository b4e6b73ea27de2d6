"""Lease browsers from a Berth broker.

    async with berth.lease() as lease:
        browser = await playwright.chromium.connect_over_cdp(lease.cdp_url)

and the same without ``async``. The lease is held by a stream: there is nothing to renew, and however the
block or the process ends, the browser is given back. The generated messages and stubs of the whole API are
in ``berth.v1``; ``berth.channel()`` and ``berth.aio_channel()`` are what they are called with.
"""

from ._connect import aio_channel, channel
from ._error import Error
from ._lease import Lease, lease

__all__ = ["Error", "Lease", "aio_channel", "channel", "lease"]
