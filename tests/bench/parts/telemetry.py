"""Row: OTLP logs, acknowledged after commit, while somebody asks whether the server is well."""

import http.client
import json
import multiprocessing
import os
import sqlite3
import struct
import time

from . import stores
from .engine import Engine
from .report import Line, megabytes, milliseconds, percentile

BATCH = 512
# An exporter sends one batch after the other, so that what is measured with one of them is the way to and from the disk;
# several programs at once are what fills a machine.
EXPORTERS = 4
TO_REACH = 50_000  # records a second

PROTOBUF = {"Content-Type": "application/x-protobuf"}


# ---- protobuf, as far as a log record needs it

def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def attribute(key, value):
    any_value = varint(3 << 3) + varint(value) if isinstance(value, int) else field(1, value.encode())
    return field(1, key.encode()) + field(2, any_value)


def resource(name, **more):
    attributes = {"service.name": name, "telemetry.sdk.language": "python", "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.version": "1.45.2", "host.name": "bench"} | more
    return b"".join(field(1, attribute(key, value)) for key, value in attributes.items())


def request(resource_, scope, records):
    """A request of one resource and one scope."""
    return field(1, field(1, resource_) + field(2, field(1, field(1, scope.encode())) + records))


def span(number, at_ns):
    """A request that was served in 12 ms; every tenth failed."""
    status = field(15, varint(3 << 3) + varint(2)) if number % 10 == 0 else b""
    times = varint(7 << 3 | 1) + (at_ns - 12_000_000).to_bytes(8, "little") + varint(8 << 3 | 1) + at_ns.to_bytes(8, "little")
    ids = field(1, os.urandom(16)) + field(2, os.urandom(8))
    attributes = {"http.route": "/orders/{id}", "http.response.status_code": 200, "enduser.id": f"customer-{number}"}
    said = b"".join(field(9, attribute(key, value)) for key, value in attributes.items())
    return ids + field(5, b"POST /orders/{id}") + varint(6 << 3) + varint(2) + times + said + status


class Spans:
    """Spans, each a trace of its own, as a service has them that answers requests."""

    signal = "traces"

    def __init__(self, index):
        self.resource = resource(f"shop-{index}")

    def batch(self, at_ns):
        return request(self.resource, "shop.server", b"".join(field(2, span(number, at_ns + number)) for number in range(BATCH)))


class Records:
    """Log records of one kind, each with a time of its own; all of them as long as the first, so that making many is quick."""

    signal = "logs"
    TIME = b"\x11\x11\x11\x11\x11\x11\x11\x11"

    def __init__(self, service, scope, body, attributes):
        self.resource, self.scope = resource(service), scope
        record = b"\x09" + self.TIME + b"\x59" + self.TIME + varint(2 << 3) + varint(9) + field(3, b"INFO") + field(5, field(1, body.encode()))
        record += b"".join(field(6, attribute(key, value)) for key, value in attributes.items())
        self.pieces = field(2, record).split(self.TIME)

    def batch(self, at_ns):
        """A request of 512 records, one each microsecond."""
        records = bytearray()
        for number in range(BATCH):
            records += struct.pack("<Q", at_ns + number * 1_000).join(self.pieces)
        return request(self.resource, self.scope, bytes(records))


def lines_of_a_service(index):
    attributes = {
        "code.function.name": "shop.orders.place", "code.line.number": 214, "code.file.path": "/srv/shop/orders.py", "http.request.method": "POST",
        "http.route": "/orders/{id}", "http.response.status_code": 200, "enduser.id": "customer-4711", "thread.name": "worker-3",
    }
    return Records(f"shop-{index}", "shop.orders", "order placed for customer 4711, 3 items, paid by card, ships tomorrow", attributes)


def calls_of_a_service(index):
    attributes = {
        "event.name": "gen_ai.client.inference.operation.details", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-opus-5-5", "gen_ai.response.model": "claude-opus-5-5", "gen_ai.usage.input_tokens": 800,
        "gen_ai.usage.output_tokens": 120, "gen_ai.usage.cache_read.input_tokens": 400, "session.id": "visit-17",
    }
    return Records(f"assistant-{index}", "shop.assistant", "", attributes)


# ---- exporters

def export(address, records, seconds, go, results):
    """Sends batches one after the other: how long each took, when the first began and the last was acknowledged."""
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.connect()
    results.put("ready")
    go.wait()
    took, again, body, began = [], 0, b"", time.monotonic()
    while time.monotonic() < began + seconds:
        # Making one costs the exporter half a millisecond, as it costs a real one.
        body = records.batch(time.time_ns())
        at = time.monotonic()
        while True:
            connection.request("POST", f"/v1/{records.signal}", body, PROTOBUF)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 200 and not said:
                break
            if answer.status != 503:
                results.put(RuntimeError(f"/v1/{records.signal} answered {answer.status}: {said[:200]!r}"))
                return
            again += 1
            time.sleep(0.05)
        took.append(time.monotonic() - at)
    results.put((began, time.monotonic(), took, again, len(body)))


def ask_for_health(address, stop, results):
    """Asks up to 50 times a second: how long each answer took."""
    connection = http.client.HTTPConnection(address, timeout=60)
    took, due = [], time.monotonic()
    while not stop.is_set():
        at = time.monotonic()
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        if answer.status != 200 or answer.read() != b"ok":
            results.put(RuntimeError(f"/healthz answered {answer.status}"))
            return
        took.append(time.monotonic() - at)
        due = max(due + 0.02, at)
        time.sleep(max(0.0, due - time.monotonic()))
    results.put(took)


def receive(queue, timeout=120):
    found = queue.get(timeout=timeout)
    if isinstance(found, Exception):
        raise found
    return found


def send(engine, make, exporters, seconds):
    """(records a second, seconds per batch, seconds per answer of /healthz, batches sent again, bytes of a batch)."""
    context = multiprocessing.get_context("fork")
    go, stop, results, health = context.Event(), context.Event(), context.Queue(), context.Queue()
    workers = [context.Process(target=export, args=(engine.address, make(index), seconds, go, results)) for index in range(exporters)]
    for worker in workers:
        worker.start()
    for _ in workers:
        receive(results)
    asking = context.Process(target=ask_for_health, args=(engine.address, stop, health))
    asking.start()
    go.set()
    done = [receive(results) for _ in workers]
    stop.set()
    answers = receive(health)
    for process in (*workers, asking):
        process.join()
    lasted = max(ended for _, ended, *_ in done) - min(began for began, *_ in done)
    took = [one for _, _, each, *_ in done for one in each]
    again = sum(retried for *_, retried, _ in done)
    return len(took) * BATCH / lasted, took, answers, again, done[0][4]


def counted(engine, expected):
    """Fails unless every record is in the figures, once. They are told once a second."""
    connection = engine.connection()
    limit = time.monotonic() + 30
    while True:
        connection.request("GET", "/api/v1/status", headers=engine.headers())
        services = json.loads(connection.getresponse().read())["services"]
        calls = sum(service["calls"] for service in services)
        if calls == expected or time.monotonic() > limit:
            break
        time.sleep(0.1)
    connection.close()
    if calls != expected:
        raise RuntimeError(f"{calls} of {expected} acknowledged records are in the figures")


def sqlite_alone(setting, rounds):
    """Records a second of SQLite by itself: one mark per record and one transaction per batch, with the engine's settings."""
    path = setting.fresh("telemetry-yardstick") / "yardstick.db"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE seen (day INTEGER NOT NULL, at_ns INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (day, at_ns, hash)) STRICT, WITHOUT ROWID")
    at_ns = time.time_ns()
    batches = [[(20_000, at_ns + (batch * BATCH + number) * 1_000, (batch * BATCH + number).to_bytes(16, "little")) for number in range(BATCH)] for batch in range(rounds)]
    began = time.monotonic()
    for batch in batches:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", batch)
        database.execute("COMMIT")
    seconds = time.monotonic() - began
    database.close()
    return rounds * BATCH / seconds


def measure(setting):
    seconds = 3 if setting.quick else 15
    yardstick = sqlite_alone(setting, 200 if setting.quick else 1_000)
    lines = []
    for make, what, is_row in ((lines_of_a_service, "log lines", True), (calls_of_a_service, "model calls", False), (Spans, "spans, each a trace of its own", False)):
        data = setting.fresh("telemetry-data")
        with Engine(setting, setting.fresh("telemetry-home"), data) as engine:
            rate, took, answers, again, size = send(engine, make, EXPORTERS, seconds)
            counted(engine, len(took) * BATCH)
            resident = engine.peak_bytes()
        p99 = percentile(answers, 0.99)
        figures = {"records_per_s": rate, "sqlite_alone_records_per_s": yardstick, "batch_p50_s": percentile(took, 0.5), "batch_p99_s": percentile(took, 0.99), "sent_again": again, "batch_bytes": size, "database_bytes": stores.database_bytes(data)}
        told = f"{rate:,.0f} records/s, batch p50 {milliseconds(percentile(took, 0.5))}, p99 {milliseconds(percentile(took, 0.99))}"
        if is_row:
            lines += [
                Line("otlp", f"OTLP {what} acknowledged after commit, {BATCH} a batch, {EXPORTERS} exporters, HTTP protobuf", f"{told}; SQLite alone {yardstick:,.0f}", "≥ 50,000 records/s", rate >= TO_REACH, figures=figures),
                Line("otlp", "  /healthz meanwhile", f"p50 {milliseconds(percentile(answers, 0.5))}, p99 {milliseconds(p99)}, max {milliseconds(max(answers))}", "p99 ≤ 10 ms", p99 <= 0.010, figures={"p99_s": p99, "answers": len(answers)}),
                Line("otlp", "  peak RSS", megabytes(resident), "≤ 150 MB", resident <= 150e6, figures={"resident_bytes": resident}),
            ]
        else:
            lines.append(Line("otlp", f"  {what}, beside it", f"{told}; /healthz p99 {milliseconds(p99)}; peak RSS {megabytes(resident)}", figures=figures))
    return lines
