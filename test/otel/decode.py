"""Prints messages of OpenTelemetry as JSON lines, read by the project's own protobuf classes.

Each line of the input is `traces` or `metrics`, a space, and the message in base64. A field that the classes do not
know ends it with an error.
"""

import base64
import sys

from google.protobuf.json_format import MessageToJson
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest}


def require_known(message) -> None:
    assert len(UnknownFieldSet(message)) == 0, f"unknown fields in {type(message).__name__}"
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for item in value if field.is_repeated else [value]:
            require_known(item)


for line in sys.stdin:
    signal, _, body = line.strip().partition(" ")
    request = REQUESTS[signal].FromString(base64.b64decode(body))
    require_known(request)
    print(MessageToJson(request, indent=None))
