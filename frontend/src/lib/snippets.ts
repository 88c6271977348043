// What to type to point a program at Lamplight: the same ten lines as in the README.

/** For a program that exports OpenTelemetry already. */
export function environment(http: string): string {
  return [`OTEL_EXPORTER_OTLP_ENDPOINT=http://${http}`, "OTEL_SERVICE_NAME=shop-assistant", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=shop"].join("\n");
}

/** Where exporters send by themselves. */
const USUAL = "127.0.0.1:4318";

/** For one that does not: ten lines of Python. */
export function python(http: string): string {
  const exporter = http === USUAL ? "OTLPSpanExporter()" : `OTLPSpanExporter("http://${http}/v1/traces")`;
  return `# pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "shop-assistant"}))
provider.add_span_processor(BatchSpanProcessor(${exporter}))
with provider.get_tracer("shop").start_as_current_span("chat claude-opus-5-5") as span:
    span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-opus-5-5"})
    span.set_attributes({"gen_ai.usage.input_tokens": 800, "gen_ai.usage.output_tokens": 120})
provider.shutdown()`;
}
