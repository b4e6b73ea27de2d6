"""Calls a broker with TLS and a token: python secure.py HOST:PORT CA_FILE

The token is in BERTH_TOKEN. Prints the health, which needs none, and then the owner of a lease or the
refusal.
"""

import os
import sys

import grpc
from berth.v1 import lease_pb2, lease_pb2_grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status


def reason(error: grpc.RpcError) -> str:
    """What a refusal says to a program."""
    for detail in rpc_status.from_call(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return "?"


def lease(channel: grpc.Channel) -> str:
    """Whose a lease is that is made and given back."""
    stub = lease_pb2_grpc.LeaseServiceStub(channel)
    try:
        granted = stub.Acquire(lease_pb2.AcquireRequest(), timeout=30).lease
    except grpc.RpcError as error:
        return f"{error.code().name} {reason(error)}"
    stub.Release(lease_pb2.ReleaseRequest(lease_id=granted.id), timeout=30)
    return granted.owner


def main() -> None:
    endpoint, authority = sys.argv[1:]
    with open(authority, "rb") as file:
        tls = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel(endpoint, tls) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
    token = grpc.access_token_call_credentials(os.environ["BERTH_TOKEN"])
    with grpc.secure_channel(endpoint, grpc.composite_channel_credentials(tls, token)) as channel:
        print(lease(channel))


main()
