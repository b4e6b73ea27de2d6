"""Asks how a broker is, as grpc_health_probe does: python health.py ENDPOINT [SERVICE]

Each line of standard input has it asked once; the answer is a line: the serving status, or the code of
the error.
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
    for _ in sys.stdin:
        # A probe is a process: it has no connection from before.
        with grpc.insecure_channel(endpoint) as channel:
            print(ask(channel, service), flush=True)


main()
