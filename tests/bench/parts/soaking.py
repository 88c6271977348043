"""Row: everything at once for a while; what grows, and what is missing afterwards.

LAMPLIGHT_SOAK_SECONDS lengthens it. What may not grow fails the row: file descriptors and threads, once all clients are
gone. Counts that are not right fail it as well. Memory, database and what was told to wait are printed.
"""

import http.client
import json
import multiprocessing
import os
import pathlib
import sqlite3
import threading
import time

from . import stores, telemetry
from .engine import Engine, Stream
from .live import send_hook
from .people import People, now_ms
from .report import Line, megabytes

PEOPLE = 10
LINES_A_SECOND, HOOKS_A_SECOND = 20, 4
# Requests a second over each of the two ways to send: a connection that stays, and one per request.
LOGS, SPANS, METRICS = 8, 8, 4
SPANS_OF_A_REQUEST = 128
# Figures of a service are those of an hour: whose work lasts longer takes another name in time.
NAME_LASTS_S = 1_200


def request_of(name, records):
    return telemetry.request(telemetry.resource(name), "soak", b"".join(telemetry.field(2, record) for record in records))


def spans(name, at_ns):
    return request_of(name, [telemetry.span(number, at_ns + number) for number in range(SPANS_OF_A_REQUEST)])


def metrics(name, at_ns):
    """A counter of 20 series, cumulative."""
    points = b""
    for series in range(20):
        point = telemetry.varint(2 << 3 | 1) + (at_ns - 60_000_000_000).to_bytes(8, "little") + telemetry.varint(3 << 3 | 1) + at_ns.to_bytes(8, "little")
        point += telemetry.varint(6 << 3 | 1) + (at_ns // 1_000_000_000).to_bytes(8, "little") + telemetry.field(7, telemetry.attribute("queue", f"queue-{series}"))
        points += telemetry.field(1, point)
    total = points + telemetry.varint(2 << 3) + telemetry.varint(2) + telemetry.varint(3 << 3) + telemetry.varint(1)
    return request_of(name, [telemetry.field(1, b"jobs.done") + telemetry.field(7, total)])


def logs(name, at_ns):
    records = telemetry.lines_of_a_service(0)
    records.resource = telemetry.resource(name)
    return records.batch(at_ns)


def exporter(address, keeps, signal, per_second, until, results):
    """Sends requests evenly spaced; reports what was acknowledged of each name, and how many had to be sent again."""
    make = {"logs": logs, "traces": spans, "metrics": metrics}[signal]
    taken, again, due = {}, 0, time.monotonic()
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        while time.monotonic() < until:
            name = f"soak-{signal}-{'kept' if keeps else 'once'}-{time.time_ns() // (NAME_LASTS_S * 1_000_000_000)}"
            body = make(name, time.time_ns())
            while True:
                connection.request("POST", f"/v1/{signal}", body, telemetry.PROTOBUF)
                answer = connection.getresponse()
                said = answer.read()
                if not keeps:
                    connection.close()
                if answer.status == 200 and not said:
                    break
                if answer.status != 503:
                    raise RuntimeError(f"/v1/{signal} answered {answer.status}: {said[:200]!r}")
                again += 1
                time.sleep(0.2)
            taken[name] = taken.get(name, 0) + 1
            due = max(due + 1 / per_second, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
        results.put((signal, taken, again))
    except Exception as error:  # whoever waits for the result is told
        results.put(RuntimeError(f"{signal}: {type(error).__name__}: {error}"))
    finally:
        connection.close()


class Load:
    """Transcripts, hooks and readers, from threads of this process; exporters are processes of their own."""

    def __init__(self, setting, engine, home, data, people):
        self.setting, self.engine, self.home, self.data, self.people = setting, engine, home, data, people
        self.lines = self.asked = self.streams = 0
        self.errors = []

    def guarded(self, work, until):
        def run():
            try:
                while time.monotonic() < until:
                    work()
            except Exception as error:  # told at the end, when the others are done as well
                self.errors.append(error)

        return threading.Thread(target=run)

    def write(self):
        person = self.people.all[self.lines % PEOPLE]
        with open(person.transcript, "ab", buffering=0) as file:
            file.write(person.assistant_line(f"line {self.lines} of the soak", now_ms()))
        self.lines += 1
        time.sleep(1 / LINES_A_SECOND)

    def hook(self):
        person = self.people.all[self.asked % PEOPLE]
        call = {"tool_name": "Bash", "tool_input": {"command": f"touch {self.asked}"}}
        send_hook(self.setting, self.home, self.data, person, {"hook_event_name": "PermissionRequest"} | call)
        self.asked += 1
        send_hook(self.setting, self.home, self.data, person, {"hook_event_name": "PostToolUse", "tool_use_id": f"toolu_{self.asked}"} | call)
        time.sleep(2 / HOOKS_A_SECOND)

    def read(self):
        """A screen that comes, looks and goes."""
        stream = Stream(self.engine)
        stream.wait_for(lambda event, _: event == "snapshot")
        time.sleep(1)
        stream.close()
        self.streams += 1
        connection = self.engine.connection()
        for path in ("/api/v1/status", "/api/v1/sessions?limit=20", "/metrics"):
            connection.request("GET", path, headers=self.engine.headers())
            connection.getresponse().read()
        connection.close()

    def run(self, seconds):
        """What was acknowledged of each name, by signal; and how many requests had to be sent again."""
        until = time.monotonic() + seconds
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        workers = [
            context.Process(target=exporter, args=(self.engine.address, keeps, signal, per_second, until, results))
            for keeps in (True, False)
            for signal, per_second in (("logs", LOGS), ("traces", SPANS), ("metrics", METRICS))
        ]
        threads = [self.guarded(work, until) for work in (self.write, self.hook, self.read, self.read)]
        for each in workers + threads:
            each.start()
        done = [telemetry.receive(results, seconds + 120) for _ in workers]
        for each in workers + threads:
            each.join()
        if self.errors:
            raise self.errors[0]
        return done


class Watch:
    """What the engine has open, taken once a second."""

    def __init__(self, engine):
        self.process = pathlib.Path(f"/proc/{engine.process.pid}")
        self.engine = engine
        self.samples = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def look(self):
        return {
            "resident_bytes": self.engine.resident_bytes(),
            "descriptors": sum(1 for _ in (self.process / "fd").iterdir()),
            "threads": sum(1 for _ in (self.process / "task").iterdir()),
        }

    def _run(self):
        while not self.stop.wait(1.0):
            self.samples.append(self.look())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def quiet(engine, at_most=None):
    """What is open when nobody is there any more: idle connections and threads are kept for ten seconds."""
    limit = time.monotonic() + 40
    watch = Watch(engine)
    lowest = watch.look()
    while time.monotonic() < limit:
        time.sleep(1)
        seen = watch.look()
        lowest = {what: min(lowest[what], seen[what]) for what in seen}
        if at_most and all(lowest[what] <= at_most[what] for what in ("descriptors", "threads")):
            break
        if not at_most and limit - time.monotonic() < 22:
            break
    return lowest


def open_all_readers(engine):
    """Makes the engine open as many connections to its database as it ever does: one per reader that reads at the same time."""
    def read():
        connection = engine.connection()
        for _ in range(20):
            connection.request("GET", "/api/v1/sessions?limit=200", headers=engine.headers())
            connection.getresponse().read()
        connection.close()

    readers = [threading.Thread(target=read) for _ in range(16)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()


def figure(engine, name):
    connection = engine.connection()
    connection.request("GET", "/metrics", headers=engine.headers())
    page = connection.getresponse().read().decode()
    connection.close()
    return next(int(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name))


def acknowledged(done):
    """How many calls the figures of each service must show."""
    expected = {}
    for signal, requests_of, _ in done:
        each = {"logs": telemetry.BATCH, "traces": SPANS_OF_A_REQUEST, "metrics": 0}[signal]
        for name, requests in requests_of.items():
            expected[name] = expected.get(name, 0) + requests * each
    return expected


def missing(engine, data, load, expected, messages_before):
    """What was given and is not there, or there twice: {what: how many too few}. Waits until the last of it is told."""
    limit = time.monotonic() + 30
    while True:
        connection = engine.connection()
        connection.request("GET", "/api/v1/status", headers=engine.headers())
        services = {service["name"]: service["calls"] for service in json.loads(connection.getresponse().read())["services"]}
        connection.close()
        # A metric is no call; its service is there all the same.
        wrong = {name: calls - services.get(name, -1) for name, calls in expected.items() if "-metrics-" not in name and services.get(name) != calls}
        wrong |= {name: 1 for name in expected if name not in services}
        lines = messages_before + load.lines - figure(engine, 'lamplight_imported{what="messages"}')
        database = sqlite3.connect(f"file:{next(data.glob('*.db'))}?mode=ro", uri=True)
        (asked,) = database.execute("SELECT count(*) FROM live_facts WHERE source = 'hooks' AND fact = 'asked: Bash'").fetchone()
        database.close()
        spooled = sum(1 for _ in (data / "spool").iterdir())
        wrong |= {what: n for what, n in (("transcript lines", lines), ("hooks", load.asked - asked), ("hooks in the spool", spooled)) if n}
        if not wrong or time.monotonic() > limit:
            return wrong
        time.sleep(0.5)


def measure(setting):
    seconds = int(os.environ.get("LAMPLIGHT_SOAK_SECONDS", 10 if setting.quick else 60))
    home, data = setting.fresh("soak-home"), setting.fresh("soak-data")
    with People(setting, home, PEOPLE) as people, Engine(setting, home, data) as engine:
        # What is opened once and kept, and what memory a first use takes, is there after a few seconds of the same.
        warm = Load(setting, engine, home, data, people)
        begun = warm.run(5)
        open_all_readers(engine)
        before = quiet(engine)
        messages_before = figure(engine, 'lamplight_imported{what="messages"}') - warm.lines
        load = Load(setting, engine, home, data, people)
        load.lines, load.asked = warm.lines, warm.asked
        database_before = stores.database_bytes(data)
        with Watch(engine) as watch:
            done = load.run(seconds)
        wrong = missing(engine, data, load, acknowledged(done + begun), messages_before)
        after = quiet(engine, before)
        database = stores.database_bytes(data) - database_before
    records = sum(acknowledged(done).values())
    again = sum(retried for *_, retried in done)
    busiest = {what: max(sample[what] for sample in watch.samples) for what in before}
    third = max(1, len(watch.samples) // 3)
    early, late = (max(sample["resident_bytes"] for sample in part) for part in (watch.samples[:third], watch.samples[-third:]))
    grown = [what for what in ("descriptors", "threads") if after[what] > before[what]]
    figures = {"seconds": seconds, "before": before, "after": after, "busiest": busiest, "missing": wrong, "database_growth_bytes": database, "sent_again": again}
    return [
        Line("soak", f"{seconds} s of logs, traces, metrics, hooks, transcripts and screens at once", f"{records:,} records, {load.lines - warm.lines} lines, {2 * (load.asked - warm.asked)} hooks, {load.streams} screens; {again} requests were told to wait", "nothing missing", not wrong, failed=bool(wrong), figures=figures),
        Line("soak", "  file descriptors, threads: before → busiest → after", ", ".join(f"{before[what]} → {busiest[what]} → {after[what]}" for what in ("descriptors", "threads")), "no growth", not grown, failed=bool(grown)),
        Line("soak", "  RSS: before → first third → last third → after", " → ".join(megabytes(n) for n in (before["resident_bytes"], early, late, after["resident_bytes"]))),
        Line("soak", "  database growth", f"{megabytes(database)}, {database / max(1, records):.0f} bytes a record"),
    ]
