"""What the broker says no with."""

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


class Error(Exception):
    """A call was refused, or the broker cannot be reached.

    ``code`` is the gRPC code, ``reason`` the broker's stable word such as ``POOL_EXHAUSTED`` (empty when it
    was not the broker that said no), ``metadata`` what it says about the reason, and ``retry_after`` the
    seconds after which it may be tried again (``None`` where that does not help).
    """

    def __init__(self, code, message, reason="", metadata=None, retry_after=None):
        super().__init__(f"{message} ({reason})" if reason else f"{code.name}: {message}")
        self.code: grpc.StatusCode = code
        self.reason: str = reason
        self.metadata: dict[str, str] = metadata or {}
        self.retry_after: float | None = retry_after

    @classmethod
    def of(cls, error: grpc.RpcError) -> "Error":
        """What a failed call of a generated stub says, on either kind of channel."""
        status = rpc_status.from_call(error)
        told = {}
        for detail in status.details if status else ():
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                told |= {"reason": info.reason, "metadata": dict(info.metadata)}
            elif detail.Unpack(retry):
                told["retry_after"] = retry.retry_delay.ToTimedelta().total_seconds()
        message = error.details()
        if error.code() == grpc.StatusCode.UNAVAILABLE and "reason" not in told:
            message += "; is `berth serve` running there?"
        return cls(error.code(), message, **told)
