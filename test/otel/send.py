"""Traces a piece of work with the exporter of OpenTelemetry: `send.py <url> <token> <gzip|none>`."""

import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

url, token, compression = sys.argv[1:]
exporter = OTLPSpanExporter(
    f"{url}/v1/traces", headers={"authorization": f"Bearer {token}"}, compression=Compression(compression)
)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("the agent")
with tracer.start_as_current_span("plan for ann@example.com", attributes={"gen_ai.operation.name": "invoke_agent"}):
    with tracer.start_as_current_span("search", attributes={"gen_ai.tool.name": "search", "query": "the query-canary"}):
        pass
provider.shutdown()
