// OpenTelemetry's JavaScript SDK and its own exporters, over each of their protocols, against `lamp serve`.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter as GrpcLogs } from "@opentelemetry/exporter-logs-otlp-grpc";
import { OTLPLogExporter as JsonLogs } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as ProtoLogs } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPMetricExporter as GrpcMetrics } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { OTLPMetricExporter as JsonMetrics } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtoMetrics } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter as GrpcSpans } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonSpans } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoSpans } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { AggregationTemporality, AggregationType, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { Lamp, shop } from "./lamp.mjs";
import { relay } from "./relay.mjs";

const MINUTE_MS = 60_000;
const PROTOCOLS = [
  { name: "HTTP, JSON", isHttp2: false, retries: true, kinds: { traces: JsonSpans, logs: JsonLogs, metrics: JsonMetrics } },
  { name: "HTTP, protobuf", isHttp2: false, retries: true, kinds: { traces: ProtoSpans, logs: ProtoLogs, metrics: ProtoMetrics } },
  // This exporter reports a lost connection and leaves it to its caller to send again.
  { name: "gRPC", isHttp2: true, retries: false, kinds: { traces: GrpcSpans, logs: GrpcLogs, metrics: GrpcMetrics } },
];

const resource = (name) => resourceFromAttributes({ "service.name": name, "service.namespace": shop.namespace });

/** A moment in the minute before this one, so that no call falls into two. */
const lastMinute = () => (Math.floor(Date.now() / MINUTE_MS) - 1) * MINUTE_MS + 5_000;

const costUsd = (tokens) => Object.entries(tokens).reduce((sum, [kind, count]) => sum + count * shop.prices[kind], 0) / 1e6;

/** A visit: an agent, its calls of models, and what stands between them. */
function tell(provider, atMs) {
  const tracer = provider.getTracer("shop.tracer", "1.0");
  const attributes = { "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "shop", "session.id": "visit-1" };
  const agent = tracer.startSpan("invoke_agent shop", { startTime: atMs, attributes }, ROOT_CONTEXT);
  const inside = trace.setSpan(ROOT_CONTEXT, agent);
  for (const call of shop.calls) {
    const span = tracer.startSpan(call.name, { kind: SpanKind.CLIENT, startTime: atMs, attributes: call.attributes }, inside);
    if (call.exception !== undefined) {
      span.recordException(new Error(call.exception));
      span.setStatus({ code: SpanStatusCode.ERROR, message: "429" });
    }
    span.end(atMs + shop.seconds_per_call * 1_000);
  }
  for (const other of shop.around) tracer.startSpan(other.name, { startTime: atMs, attributes: other.attributes }, inside).end(atMs + 1_000);
  agent.end(atMs + 10_000);
}

/** Holds what is shown against what was done, all of it within the minute of `atMs`. */
function holds(service, atMs) {
  const { shown } = shop;
  assert.deepEqual([service.name, service.namespace, service.state, service.measures], [shop.name, shop.namespace, "live", "model_calls"]);
  assert.deepEqual([service.calls, service.errors, service.error_rate], [shown.calls, shown.errors, shown.errors / shown.calls]);
  assert.deepEqual([...service.models].sort(), shown.models);
  assert.deepEqual(service.tokens, shown.tokens);
  const near = (found, expected) => assert.ok(Math.abs(found - expected) < 1e-9, `${found} is not ${expected}`);
  near(service.cost_usd, costUsd(shown.tokens));
  for (const quantile of ["p50_ms", "p95_ms"]) assert.ok(Math.abs(service[quantile] - shop.seconds_per_call * 1_000) <= shop.seconds_per_call * 125, quantile);
  const minute = (Math.floor(atMs / MINUTE_MS) * MINUTE_MS - service.series.from_ms) / MINUTE_MS;
  const grid = (value) => Array.from({ length: 60 }, (_, i) => (i === minute ? value : 0));
  assert.deepEqual(service.series.calls, grid(shown.calls));
  assert.deepEqual(service.series.errors, grid(shown.errors));
  near(service.series.cost_usd[minute], costUsd(shown.tokens));
}

/** Sends spans; resolves to whether they were acknowledged. */
const send = (exporter, spans) => new Promise((resolve) => exporter.export(spans, (result) => resolve(result.code === 0)));

for (const protocol of PROTOCOLS) {
  describe(protocol.name, { concurrency: 1 }, () => {
    let lamp;
    before(async () => (lamp = await Lamp.start()));
    after(() => lamp?.end());

    const exporter = (signal, more = {}, address = protocol.isHttp2 ? lamp.grpc : lamp.http) => {
      const url = protocol.isHttp2 ? `http://${address}` : `http://${address}/v1/${signal}`;
      return new protocol.kinds[signal]({ url, ...more });
    };
    const nothingRefused = async () => {
      const { state, skipped, issues } = await lamp.source();
      assert.deepEqual({ state, skipped, issues }, { state: "ok", skipped: 0, issues: [] });
    };
    /** Whatever was sent before this is in the figures: they are told of all services at once. */
    const allBeforeIsShown = async (name) => {
      const provider = new BasicTracerProvider({ resource: resource(name), spanProcessors: [new SimpleSpanProcessor(exporter("traces"))] });
      provider.getTracer("shop.tracer").startSpan("ping", { kind: SpanKind.SERVER }).end();
      await provider.shutdown();
      await lamp.service(name, (service) => service.calls === 1);
    };

    test("spans show calls, errors, models, tokens, cost, latency and their minute; a lost answer changes nothing", async () => {
      const between = await relay(() => (protocol.isHttp2 ? lamp.grpc : lamp.http), protocol.isHttp2);
      const memory = new InMemorySpanExporter();
      const provider = new BasicTracerProvider({ resource: resource(shop.name), spanProcessors: [new SimpleSpanProcessor(memory)] });
      const atMs = lastMinute();
      tell(provider, atMs);
      const told = memory.getFinishedSpans();
      assert.equal(told.length, 1 + shop.calls.length + shop.around.length);
      const over = exporter("traces", { timeoutMillis: 30_000 }, between.address);

      between.loseNextAnswer();
      assert.equal(await send(over, told), protocol.retries);
      assert.equal(between.lost, 1);
      if (!protocol.retries) assert.ok(await send(over, told));
      await allBeforeIsShown("sentinel-1");
      holds(await lamp.service(shop.name), atMs);
      await nothingRefused();

      // And once more, with the answer lost because Lamplight died after it had stored them.
      between.loseNextAnswer(async () => {
        await lamp.kill();
        await lamp.begin();
      });
      assert.equal(await send(over, told), protocol.retries);
      assert.equal(between.lost, 2);
      if (!protocol.retries) assert.ok(await send(over, told));
      await allBeforeIsShown("sentinel-2");
      holds(await lamp.service(shop.name), atMs);
      await over.shutdown();
      between.close();
    });

    test("log records show calls and errors, lines of text how many", async () => {
      const logs = new LoggerProvider({ resource: resource("log-bot"), processors: [new BatchLogRecordProcessor({ exporter: exporter("logs") })] });
      const atMs = lastMinute();
      const attributes = { "gen_ai.operation.name": "chat", "gen_ai.request.model": "shop-model-1", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10 };
      for (let n = 0; n < 10; n += 1) {
        const failed = n === 0 ? { "error.type": "timeout" } : {};
        logs.getLogger("shop.logger").emit({
          timestamp: atMs + n, severityNumber: SeverityNumber.INFO, eventName: "gen_ai.client.inference.operation.details",
          body: { Frage: "Größe? 尺码？ 👟", n: [n, 0.5, true, null] }, attributes: { ...attributes, ...failed },
        });
      }
      const lines = new LoggerProvider({ resource: resource("plain-bot"), processors: [new SimpleLogRecordProcessor({ exporter: exporter("logs") })] });
      for (const severityNumber of [SeverityNumber.DEBUG, SeverityNumber.INFO, SeverityNumber.WARN, SeverityNumber.ERROR]) lines.getLogger("shop.logger").emit({ severityNumber, body: "строка" });
      await logs.shutdown();
      await lines.forceFlush();
      await lines.shutdown();
      const calls = await lamp.service("log-bot", (service) => service.calls >= 10);
      assert.deepEqual([calls.measures, calls.calls, calls.errors, calls.tokens.input, calls.tokens.output], ["model_calls", 10, 1, 1_000, 100]);
      assert.ok(Math.abs(calls.cost_usd - costUsd({ input: 1_000, output: 100 })) < 1e-9);
      const plain = await lamp.service("plain-bot", (service) => service.calls >= 4);
      assert.deepEqual([plain.measures, plain.calls, plain.errors], ["logs", 4, 1]);
      await nothingRefused();
    });

    test("metrics of every kind are read and show their service", async () => {
      const metrics = exporter("metrics", { temporalityPreference: AggregationTemporality.DELTA });
      const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000, exportTimeoutMillis: 10_000 });
      const views = [{ instrumentName: "exponential", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }];
      const provider = new MeterProvider({ resource: resource("metric-bot"), readers: [reader], views });
      const meter = provider.getMeter("shop.meter");
      for (let round = 0; round < 2; round += 1) {
        meter.createCounter("gen_ai.client.calls").add(3, { größe: "42" });
        meter.createUpDownCounter("queue").add(-1);
        meter.createHistogram("gen_ai.client.operation.duration").record(0.25, { "gen_ai.request.model": "shop-model-1" });
        meter.createHistogram("exponential").record(17.5 + round);
        meter.createGauge("temperature").record(21.5);
        await provider.forceFlush();
      }
      await provider.shutdown();
      const service = await lamp.service("metric-bot");
      assert.deepEqual([service.state, service.namespace], ["live", shop.namespace]);
      assert.ok(Math.abs(service.last_seen_ms - Date.now()) < 30_000);
      await nothingRefused();
    });

    test("large batches are taken whole, plain and gzip", async () => {
      const said = "Ω≈ç√ 漢字 👩‍👩‍👧‍👦 ".repeat(20);
      for (const compression of ["none", "gzip"]) {
        const processor = new BatchSpanProcessor(exporter("traces", { compression }), { maxQueueSize: 10_000, maxExportBatchSize: 5_000, scheduledDelayMillis: 60_000 });
        const provider = new BasicTracerProvider({ resource: resource(`bulk-${compression}`), spanProcessors: [processor] });
        for (let n = 0; n < 6_000; n += 1) {
          const attributes = { "gen_ai.operation.name": "chat", "gen_ai.request.model": "shop-model-1", n, said };
          provider.getTracer("shop.tracer").startSpan("chat", { attributes }).end();
        }
        await provider.forceFlush();
        await provider.shutdown();
        const service = await lamp.service(`bulk-${compression}`, (known) => known.calls >= 6_000);
        assert.deepEqual([service.calls, service.models], [6_000, ["shop-model-1"]]);
      }
      await nothingRefused();
    });
  });
}
