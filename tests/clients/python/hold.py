"""Holds a lease and tells what happens to it: python hold.py ENDPOINT

One JSON line per event, until the stream ends or this process is killed.
"""

import json
import queue
import sys

import grpc
from berth.v1 import lease_pb2, lease_pb2_grpc


def main() -> None:
    requests: queue.SimpleQueue = queue.SimpleQueue()
    requests.put(lease_pb2.HoldRequest(acquire=lease_pb2.AcquireRequest()))
    endpoint = sys.argv[1].removeprefix("http://")
    with grpc.insecure_channel(endpoint) as channel:
        stub = lease_pb2_grpc.LeaseServiceStub(channel)
        for message in stub.Hold(iter(requests.get, None)):
            name = message.WhichOneof("event")
            lease = getattr(getattr(message, name), "lease", None)
            line = {"event": name, "lease": lease.id if lease else None}
            if name == "granted":
                line["cdp_url"] = lease.cdp_url
            print(json.dumps(line), flush=True)


main()
