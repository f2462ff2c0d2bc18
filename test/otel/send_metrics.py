"""Measures a piece of work with the exporter of OpenTelemetry: `send_metrics.py <url> <token> <gzip|none>`."""

import sys

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

url, token, compression = sys.argv[1:]
exporter = OTLPMetricExporter(
    f"{url}/v1/metrics", headers={"authorization": f"Bearer {token}"}, compression=Compression(compression)
)
provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)])
meter = provider.get_meter("the agent")
cost = meter.create_counter("claude_code.cost.usage", unit="USD")
cost.add(0.25, {"model": "sonnet", "user.email": "ann@example.com"})
cost.add(0.5, {"model": "sonnet", "user.email": "bob@example.com"})
meter.create_up_down_counter("queue", unit="{job}").add(-2, {"gen_ai.tool.name": "mail to ann@example.com"})
meter.create_histogram("step.duration", unit="s", explicit_bucket_boundaries_advisory=[1, 10]).record(
    3, {"query": "the query-canary"}
)
meter.create_gauge("temperature").set(7)
provider.shutdown()
