"""Fetches many URLs over one stream: python fetch_many.py ENDPOINT [URL ...]

Prints a JSON line for each result as it comes. Of URLs that end with /hang it expects none: it
cancels the stream once it has the others.
"""

import asyncio
import json
import sys

import grpc.aio
from berth.v1 import fetch_pb2, fetch_pb2_grpc, types_pb2


async def requests(urls):
    options = fetch_pb2.FetchManyOptions(max_concurrent=8, max_per_host=8)
    for number, url in enumerate(urls):
        yield fetch_pb2.FetchManyRequest(
            id=url,
            fetch=fetch_pb2.FetchRequest(
                url=url,
                strategy=fetch_pb2.FETCH_STRATEGY_HTTP,
                formats=[fetch_pb2.FETCH_FORMAT_TEXT],
            ),
            options=options if number == 0 else None,
        )


def told(result) -> dict:
    if result.WhichOneof("result") == "failure":
        return {"url": result.id, "reason": types_pb2.ErrorReason.Name(result.failure.reason)}
    text = result.response.contents.text
    return {"url": result.id, "status": result.response.status, "text": text}


async def main() -> None:
    endpoint, *urls = sys.argv[1:]
    async with grpc.aio.insecure_channel(endpoint.removeprefix("http://")) as channel:
        stream = fetch_pb2_grpc.FetchServiceStub(channel).FetchMany(requests(urls))
        left = sum(not url.endswith("/hang") for url in urls)
        async for result in stream:
            print(json.dumps(told(result)), flush=True)
            left -= 1
            if left == 0 and any(url.endswith("/hang") for url in urls):
                stream.cancel()
                break


asyncio.run(main())
