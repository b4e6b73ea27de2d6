"""Calls a method of a gRPC server by reflection, as grpcurl does: call.py METHOD [JSON]

No stubs are needed. The answer, or each of a stream, is printed as a line of JSON. A refusal is printed as JSON, too, with
its code, reason and seconds after which to try again, and the exit code is the gRPC code plus 100.
Needs grpcio, grpcio-reflection and grpcio-status. BERTH_ENDPOINT says where the server is.
"""

import json
import os
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status


def call(channel: grpc.Channel, method: str, text: str):
    """The answers to a call whose request is JSON."""
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    service, _, name = method.rpartition("/")
    described = pool.FindServiceByName(service).FindMethodByName(name)
    if described.client_streaming:
        raise SystemExit(f"{method} takes a stream of requests: use a program with stubs")
    request = json_format.Parse(text, message_factory.GetMessageClass(described.input_type)())
    kind = channel.unary_stream if described.server_streaming else channel.unary_unary
    answer = kind(
        f"/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
    )(request, timeout=60)
    return answer if described.server_streaming else [answer]


def refusal(error: grpc.RpcError) -> dict:
    """What a refusal says."""
    told = {"code": error.code().name, "message": error.details()}
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            told |= {"reason": info.reason, "metadata": dict(info.metadata)}
        elif detail.Unpack(retry):
            told["retry_seconds"] = retry.retry_delay.ToTimedelta().total_seconds()
    return told


def main(method: str, text: str = "{}") -> int:
    endpoint = os.environ.get("BERTH_ENDPOINT", "http://127.0.0.1:50051")
    with grpc.insecure_channel(endpoint.removeprefix("http://")) as channel:
        try:
            for answer in call(channel, method, text):
                print(json.dumps(json_format.MessageToDict(answer)), flush=True)
        except grpc.RpcError as error:
            print(json.dumps(refusal(error)))
            return 100 + error.code().value[0]
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
