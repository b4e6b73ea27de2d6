"""Acquires a lease, retries as it is told to, and gives the lease back: python acquire.py ENDPOINT

Prints the refusals and the lease as JSON lines.
"""

import json
import sys
import time

import grpc
from berth.v1 import lease_pb2, lease_pb2_grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def refusal(error: grpc.RpcError) -> dict:
    """What a refusal says to a program."""
    told = {"code": error.code().name}
    for detail in rpc_status.from_call(error).details:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            told |= {"reason": info.reason, "metadata": dict(info.metadata)}
        elif detail.Unpack(retry):
            told["retry_seconds"] = retry.retry_delay.ToTimedelta().total_seconds()
    return told


def main() -> None:
    endpoint = sys.argv[1].removeprefix("http://")
    with grpc.insecure_channel(endpoint) as channel:
        stub = lease_pb2_grpc.LeaseServiceStub(channel)
        request = lease_pb2.AcquireRequest(wait=Duration(nanos=200_000_000))
        while True:
            try:
                lease = stub.Acquire(request, timeout=10).lease
                break
            except grpc.RpcError as error:
                told = refusal(error)
                print(json.dumps(told), flush=True)
                if told.get("reason") != "POOL_EXHAUSTED":
                    raise
                time.sleep(min(told["retry_seconds"], 1))
        print(json.dumps({"lease": lease.id, "cdp_url": lease.cdp_url}), flush=True)
        ended = stub.Release(lease_pb2.ReleaseRequest(lease_id=lease.id)).lease
        print(json.dumps({"ended": lease_pb2.EndReason.Name(ended.end_reason)}), flush=True)


main()
