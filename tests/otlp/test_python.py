"""OpenTelemetry's Python SDK and its own exporters, over each of their protocols, against `lamp serve`."""

import logging
import sqlite3
import threading
import time
import unittest

from opentelemetry.exporter.otlp.common.http import Compression as JsonCompression
from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter as JsonLogExporter
from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter as JsonMetricExporter
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as JsonSpanExporter
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
import grpc

import shop
from lamp import Lamp
from relay import Relay

# A lost connection is what some of these tests are about; the exporters' complaints are not.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


class HttpProtobuf:
    is_http2 = False
    gzip = {"compression": Compression.Gzip}

    @staticmethod
    def address(lamp):
        return lamp.http

    @staticmethod
    def exporter(signal, address, **more):
        kind = {"traces": HttpSpanExporter, "logs": HttpLogExporter, "metrics": HttpMetricExporter}[signal]
        return kind(endpoint=f"http://{address}/v1/{signal}", **more)


class HttpJson(HttpProtobuf):
    gzip = {"compression": JsonCompression.GZIP}

    @staticmethod
    def exporter(signal, address, **more):
        kind = {"traces": JsonSpanExporter, "logs": JsonLogExporter, "metrics": JsonMetricExporter}[signal]
        return kind(endpoint=f"http://{address}/v1/{signal}", **more)


class Grpc:
    is_http2 = True
    gzip = {"compression": grpc.Compression.Gzip}

    @staticmethod
    def address(lamp):
        return lamp.grpc

    @staticmethod
    def exporter(signal, address, **more):
        kind = {"traces": GrpcSpanExporter, "logs": GrpcLogExporter, "metrics": GrpcMetricExporter}[signal]
        return kind(endpoint=f"http://{address}", insecure=True, **more)


def resource(name, **more):
    return Resource.create({"service.name": name, "service.namespace": shop.NAMESPACE} | more)


class Stories:
    """Every protocol tells the same."""

    def setUp(self):
        self.lamp = self.enterContext(Lamp())

    def exporter(self, signal, **more):
        return self.protocol.exporter(signal, self.protocol.address(self.lamp), **more)

    def all_before_is_shown(self):
        """Whatever was sent before this is in the figures: they are told of all services at once."""
        provider = TracerProvider(resource=resource("sentinel"))
        provider.add_span_processor(SimpleSpanProcessor(self.exporter("traces")))
        known = self.lamp.services().get("sentinel", {"calls": 0})["calls"]
        provider.get_tracer(shop.TRACER).start_span("ping", kind=SpanKind.SERVER).end()
        provider.shutdown()
        self.lamp.service("sentinel", lambda service: service["calls"] == known + 1)

    def nothing_was_refused(self):
        source = self.lamp.source()
        self.assertEqual((source["state"], source["skipped"], source["issues"]), ("ok", 0, []))

    def tell(self, provider, at_ns):
        """A visit: an agent, its calls of models, and what stands between them."""
        tracer = provider.get_tracer(shop.TRACER, "1.0", schema_url="https://opentelemetry.io/schemas/1.37.0")
        agent = tracer.start_span(
            "invoke_agent shop", start_time=at_ns,
            attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "shop", "session.id": "visit-1"},
        )
        inside = set_span_in_context(agent)
        for call in shop.CALLS:
            span = tracer.start_span(call["name"], inside, SpanKind.CLIENT, call["attributes"], start_time=at_ns)
            if "exception" in call:
                span.record_exception(RuntimeError(call["exception"]))
                span.set_status(Status(StatusCode.ERROR, "429"))
            span.end(at_ns + shop.SECONDS_PER_CALL * shop.SECOND)
        for other in shop.AROUND:
            span = tracer.start_span(other["name"], inside, attributes=other["attributes"], start_time=at_ns)
            span.end(at_ns + shop.SECOND)
        agent.end(at_ns + 10 * shop.SECOND)

    def test_spans_show_calls_errors_models_tokens_cost_latency_and_their_minute_a77_a78_a79_a191_a192_a193(self):
        provider = TracerProvider(resource=resource(shop.NAME))
        provider.add_span_processor(BatchSpanProcessor(self.exporter("traces")))
        at_ns = shop.last_minute()
        self.tell(provider, at_ns)
        provider.shutdown()
        service = self.lamp.service(shop.NAME, lambda service: service["calls"] >= shop.SHOWN["calls"])
        shop.holds(self, service, at_ns)
        shop.trace_holds(self, self.lamp)
        self.nothing_was_refused()
        # A session id in a service's telemetry makes no coding session.
        sessions = self.lamp.get("/api/v1/sessions?limit=100")["sessions"] + self.lamp.get("/api/v1/status")["sessions"]
        self.assertEqual([card for card in sessions if card["kind"] == "coding"], [])

    def test_log_records_show_calls_and_errors(self):
        logs = LoggerProvider(resource=resource("log-bot"))
        logs.add_log_record_processor(BatchLogRecordProcessor(self.exporter("logs")))
        logger = logs.get_logger("shop.logger")
        at_ns = shop.last_minute()
        for number in range(10):
            logger.emit(LogRecord(
                timestamp=at_ns + number, observed_timestamp=at_ns, severity_number=SeverityNumber.INFO,
                event_name="gen_ai.client.inference.operation.details", body={"Frage": "Größe? 尺码？ 👟"},
                attributes={
                    "gen_ai.operation.name": "chat", "gen_ai.request.model": "shop-model-1",
                    "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10,
                } | ({"error.type": "timeout"} if number == 0 else {}),
            ))
        logger.emit(LogRecord(timestamp=at_ns, severity_number=SeverityNumber.ERROR, body="a line of its own"))
        logs.shutdown()
        service = self.lamp.service("log-bot", lambda service: service["calls"] >= 10)
        self.assertEqual((service["measures"], service["calls"], service["errors"]), ("model_calls", 10, 1))
        self.assertEqual((service["tokens"]["input"], service["tokens"]["output"]), (1_000, 100))
        self.assertAlmostEqual(service["cost_usd"], shop.cost_usd({"input": 1_000, "output": 100}), places=9)
        self.nothing_was_refused()

    def test_a_program_of_plain_log_lines_shows_how_many_and_how_many_errors(self):
        logs = LoggerProvider(resource=resource("plain-bot"))
        logs.add_log_record_processor(SimpleLogRecordProcessor(self.exporter("logs")))
        logger = logs.get_logger("shop.logger")
        for severity in (SeverityNumber.DEBUG, SeverityNumber.INFO, SeverityNumber.WARN, SeverityNumber.ERROR):
            logger.emit(LogRecord(timestamp=time.time_ns(), severity_number=severity, body="строка"))
        logs.shutdown()
        service = self.lamp.service("plain-bot", lambda service: service["calls"] >= 4)
        self.assertEqual((service["measures"], service["calls"], service["errors"]), ("logs", 4, 1))
        self.assertEqual((service["cost_usd"], service["tokens"]["input"]), (None, 0))

    def test_a_call_told_by_span_and_log_record_is_one(self):
        spans = TracerProvider(resource=resource("both-bot"))
        spans.add_span_processor(BatchSpanProcessor(self.exporter("traces")))
        logs = LoggerProvider(resource=resource("both-bot"))
        logs.add_log_record_processor(SimpleLogRecordProcessor(self.exporter("logs")))
        logger = logs.get_logger("shop.logger")
        usage = {"gen_ai.request.model": "shop-model-1", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
        for _ in range(5):
            attributes = usage | {"gen_ai.operation.name": "chat"}
            with spans.get_tracer(shop.TRACER).start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=attributes):
                # The SDK gives it the ids of the span around it. It arrives first.
                logger.emit(LogRecord(timestamp=time.time_ns(), event_name="gen_ai.client.inference.operation.details", attributes=usage))
        logs.shutdown()
        spans.shutdown()
        self.all_before_is_shown()
        service = self.lamp.service("both-bot", lambda service: service["p50_ms"] is not None)
        self.assertEqual((service["calls"], service["tokens"]["input"]), (5, 500))

    def test_metrics_of_every_kind_are_read_and_show_their_service(self):
        exporter = self.exporter(
            "metrics",
            preferred_temporality={Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA},
        )
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        views = [View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())]
        provider = MeterProvider([reader], resource("metric-bot"), views=views)
        meter = provider.get_meter("shop.meter")
        for round_ in range(2):
            meter.create_counter("gen_ai.client.calls").add(3, {"größe": "42"})
            meter.create_up_down_counter("queue").add(-1)
            meter.create_histogram("gen_ai.client.operation.duration", "s").record(0.25, {"gen_ai.request.model": "shop-model-1"})
            meter.create_histogram("exponential").record(17.5 + round_)
            meter.create_gauge("temperature").set(21.5)
            self.assertTrue(provider.force_flush())
        provider.shutdown()
        service = self.lamp.service("metric-bot")
        self.assertEqual((service["state"], service["namespace"]), ("live", shop.NAMESPACE))
        self.assertLess(abs(service["last_seen_ms"] - time.time() * 1000), 30_000)
        self.nothing_was_refused()

    def test_large_batches_are_taken_whole_plain_and_gzip(self):
        said = "Ω≈ç√ 漢字 👩‍👩‍👧‍👦 " * 20
        for compression in ({}, self.protocol.gzip):
            name = "bulk-gzip" if compression else "bulk"
            provider = TracerProvider(resource=resource(name))
            exporter = self.exporter("traces", **compression)
            provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=10_000, max_export_batch_size=5_000, schedule_delay_millis=60_000))
            tracer = provider.get_tracer(shop.TRACER)
            for number in range(6_000):
                attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "shop-model-1", "n": number, "said": said}
                tracer.start_span("chat", attributes=attributes).end()
            provider.shutdown()
            service = self.lamp.service(name, lambda service: service["calls"] >= 6_000)
            self.assertEqual((service["calls"], service["models"]), (6_000, ["shop-model-1"]))
        self.nothing_was_refused()

    def test_what_is_sent_again_after_a_lost_answer_changes_nothing(self):
        with Relay(self.protocol.address(self.lamp), self.protocol.is_http2) as relay:
            provider = TracerProvider(resource=resource(shop.NAME))
            provider.add_span_processor(BatchSpanProcessor(self.protocol.exporter("traces", relay.address, timeout=30)))
            at_ns = shop.last_minute()
            relay.lose_next_answer()
            self.tell(provider, at_ns)
            self.assertTrue(provider.force_flush())
            provider.shutdown()
            self.assertEqual(relay.lost, 1)
            self.assertGreaterEqual(relay.answers, 2, "it was sent again, and answered")
            self.all_before_is_shown()
            shop.holds(self, self.lamp.services()[shop.NAME], at_ns)
            shop.trace_holds(self, self.lamp)

    def test_what_is_sent_again_to_the_next_lamplight_after_a_kill_changes_nothing(self):
        with Relay(self.protocol.address(self.lamp), self.protocol.is_http2) as relay:
            def die_before_answering():
                self.lamp.kill()
                self.lamp.start()
                relay.target = self.protocol.address(self.lamp)

            provider = TracerProvider(resource=resource(shop.NAME))
            provider.add_span_processor(BatchSpanProcessor(self.protocol.exporter("traces", relay.address, timeout=30)))
            at_ns = shop.last_minute()
            relay.lose_next_answer(die_before_answering)
            self.tell(provider, at_ns)
            self.assertTrue(provider.force_flush())
            provider.shutdown()
            self.assertEqual(relay.lost, 1)
            self.assertGreaterEqual(relay.answers, 2, "it was sent again, and answered")
            self.all_before_is_shown()
            shop.holds(self, self.lamp.services()[shop.NAME], at_ns)
            shop.trace_holds(self, self.lamp)

    def test_what_there_is_no_room_for_is_sent_again_and_counted_once(self):
        # Somebody holds the database, so that nothing can be stored: more requests come than may wait.
        at_once, each = 24, 50
        results, began = [], threading.Event()
        provider = TracerProvider(resource=resource("patient-bot"))
        tracer = provider.get_tracer(shop.TRACER)
        batches = []
        for number in range(at_once):
            batch = [tracer.start_span("GET /", kind=SpanKind.SERVER, attributes={"n": f"{number}-{i}"}) for i in range(each)]
            for span in batch:
                span.end()
            batches.append(batch)
        exporters = [self.exporter("traces", timeout=30) for _ in batches]

        def send(exporter, batch):
            began.wait()
            results.append(exporter.export(batch))

        def refused(complaints):
            return any("Transient error" in line for line in complaints.output)

        threads = [threading.Thread(target=send, args=pair) for pair in zip(exporters, batches)]
        for thread in threads:
            thread.start()
        database = sqlite3.connect(next(self.lamp.data.glob("*.db")), isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        with self.assertLogs("opentelemetry", "WARNING") as complaints:
            began.set()
            # Longer than a request takes, shorter than the writer waits for the database. gRPC may never be refused.
            limit = time.monotonic() + (1.5 if self.protocol.is_http2 else 4)
            while time.monotonic() < limit and (self.protocol.is_http2 or not refused(complaints)):
                time.sleep(0.02)
            self.assertEqual(results, [], "nothing is acknowledged that is not stored")
            logging.getLogger("opentelemetry").warning("the database is free again")
            database.execute("ROLLBACK")
            database.close()
            for thread in threads:
                thread.join()
        # gRPC takes a few calls at a time and lets the others wait; HTTP says at once that there is no room.
        self.assertTrue(refused(complaints) or self.protocol.is_http2, complaints.output)
        for exporter in exporters:
            exporter.shutdown()
        self.assertEqual(results, [SpanExportResult.SUCCESS] * at_once)
        self.all_before_is_shown()
        self.assertEqual(self.lamp.services()["patient-bot"]["calls"], at_once * each)


class PythonOverHttpProtobuf(Stories, unittest.TestCase):
    protocol = HttpProtobuf


class PythonOverHttpJson(Stories, unittest.TestCase):
    protocol = HttpJson


class PythonOverGrpc(Stories, unittest.TestCase):
    protocol = Grpc


if __name__ == "__main__":
    unittest.main()
