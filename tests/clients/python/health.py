"""Asks how a broker is, as grpc_health_probe does: python health.py ENDPOINT [SERVICE]

Prints the serving status, or the code of the error, and exits 0 when it serves.
"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def ask(channel: grpc.Channel, service: str) -> str:
    """What a probe is told."""
    request = health_pb2.HealthCheckRequest(service=service)
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)
    except grpc.RpcError as error:
        return error.code().name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def main() -> None:
    endpoint = sys.argv[1].removeprefix("http://")
    service = sys.argv[2] if len(sys.argv) > 2 else ""
    with grpc.insecure_channel(endpoint) as channel:
        told = ask(channel, service)
    print(told)
    sys.exit(told != "SERVING")


main()
