"""Rows about sessions that run now: lines appended, prompts shown, and nothing at all."""

import ctypes
import json
import multiprocessing
import os
import re
import struct
import subprocess
import threading
import time
import uuid

from . import stores
from .engine import Engine, Stream, card_of, cards
from .people import People, now_ms
from .report import Line, milliseconds, percentile


# ---- line appended → change

def write_lines(people, per_second, seconds, samples):
    """Appends lines in turn, evenly spaced; reports (session, number of the line, moment of the write)."""
    files = [open(person.transcript, "ab", buffering=0) for person in people]
    started = time.monotonic()
    written = []
    for number in range(int(per_second * seconds)):
        index = number % len(people)
        due = started + number / per_second
        while (left := due - time.monotonic()) > 0:
            time.sleep(left)
        line = people[index].assistant_line(f"line {number} of the benchmark", now_ms())
        at = time.monotonic()
        files[index].write(line)
        written.append((index, number, at))
    for file in files:
        file.close()
    samples.send(written)
    samples.close()


def append_at(engine, people, per_second, seconds):
    """Delays from write to the change that shows the line or a later one of its session."""
    stream = Stream(engine)
    stream.wait_for_cards(people.session_ids())
    stream.settle(1.0)
    first = stream.count()
    receive, send = multiprocessing.Pipe(duplex=False)
    writer = multiprocessing.get_context("fork").Process(target=write_lines, args=(people.all, per_second, seconds, send))
    writer.start()
    send.close()
    written = receive.recv()
    writer.join()
    ids = {person.id: index for index, person in enumerate(people.all)}
    missing = {index: number for index, number, _ in written}  # the last line of each session

    def all_shown(event, body):
        for index, number in lines_shown(ids, cards(event, body)):
            if number >= missing.get(index, number + 1):
                del missing[index]
        return not missing

    stream.wait_for(all_shown, since=first, timeout=30)
    changes = stream.changes(first)
    stream.close()
    shown = {index: [] for index in range(len(people.all))}  # (line shown, moment of arrival), in order of arrival
    for at, body in changes:
        for index, number in lines_shown(ids, body["upserted"]):
            shown[index].append((number, at))
    delays = [next(at for number, at in shown[index] if number >= line) - wrote for index, line, wrote in written]
    return delays, len(changes)


def lines_shown(ids, cards_):
    """Which line of the benchmark each card shows as the last thing said."""
    for card in cards_:
        said = re.match(r"line (\d+) of the benchmark", card["excerpt"] or "")
        if said and card["session_id"] in ids:
            yield ids[card["session_id"]], int(said[1])


def measure_append(setting):
    home, data, known = setting.known()
    seconds = 5 if setting.quick else 30
    lines = []
    with People(setting, home, 50) as people, Engine(setting, home, data) as engine:
        for per_second, target in ((20, True), (1000, False)):
            delays, changes = append_at(engine, people, per_second, seconds)
            p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
            what = f"line appended → change, 50 sessions, {per_second} lines/s over all"
            value = f"p50 {milliseconds(p50)}, p99 {milliseconds(p99)}, max {milliseconds(max(delays))}"
            met = p50 <= 0.015 and p99 <= 0.060
            figures = {"p50_s": p50, "p99_s": p99, "max_s": max(delays), "lines": len(delays), "changes": changes, "known": known}
            lines.append(Line("append", what, value, "p50 ≤ 15 ms, p99 ≤ 60 ms" if target else "(20 lines/s each, beside it)", met if target else None, figures=figures))
    return lines


# ---- permission prompt → card

def measure_prompt(setting):
    home, data, _ = setting.known()
    samples = 10 if setting.quick else 60
    with People(setting, home, 20) as people, Engine(setting, home, data) as engine:
        stream = Stream(engine)
        stream.wait_for_cards(people.session_ids())
        stream.settle(1.0)
        by_registry = [registry_prompt(stream, people.all[number % 20]) for number in range(samples)]
        by_hook, why = [], ""
        if has_hooks(setting):
            try:
                by_hook = hook_prompts(setting, home, data, stream, people, samples)
            except (TimeoutError, RuntimeError, subprocess.SubprocessError) as error:
                why = str(error)
        stream.close()
    p95 = percentile(by_registry, 0.95)
    lines = [Line("prompt", "permission prompt → card, from the registry file's write", f"p50 {milliseconds(percentile(by_registry, 0.5))}, p95 {milliseconds(p95)}, max {milliseconds(max(by_registry))}", "p95 ≤ 150 ms", p95 <= 0.150, figures={"seconds": by_registry})]
    if by_hook:
        p95 = percentile(by_hook, 0.95)
        lines.append(Line("prompt", "  from the hook's rename into spool/", f"p50 {milliseconds(percentile(by_hook, 0.5))}, p95 {milliseconds(p95)}, max {milliseconds(max(by_hook))}", "p95 ≤ 60 ms", p95 <= 0.060, figures={"seconds": by_hook}))
    elif why:
        lines.append(Line("prompt", "  from the hook's rename into spool/", f"not measured: {why}", "p95 ≤ 60 ms", failed=True))
    return lines


def state_is(person, *states):
    def wanted(event, body):
        card = card_of(person.id, event, body)
        return card is not None and card["turn_state"] in states

    return wanted


def become_busy(stream, person):
    mark = stream.count()
    person.set_status("busy")
    stream.wait_for(state_is(person, "working"), since=mark)
    time.sleep(0.15)  # part of the scenario: a prompt never follows the start of work at once


def registry_prompt(stream, person):
    become_busy(stream, person)
    mark = stream.count()
    written = person.set_status("waiting", "permission prompt")
    _, at, _ = stream.wait_for(state_is(person, "awaiting_permission"), since=mark)
    mark = stream.count()
    person.set_status("idle")
    stream.wait_for(state_is(person, "awaiting_reply", "working", "interrupted", "unknown"), since=mark)
    return at - written


def has_hooks(setting):
    """Whether this build takes hooks at all; if not there is nothing to measure and no line to show."""
    return subprocess.run([setting.binary("lamp"), "hook", "--help"], capture_output=True, timeout=10).returncode == 0


def hook_prompts(setting, home, data, stream, people, samples):
    with Renames(data / "spool") as renames:
        return [hook_prompt(setting, home, data, stream, people.all[number % 20], renames) for number in range(samples)]


def hook_prompt(setting, home, data, stream, person, renames):
    """The registry stays `busy`: only the hook tells of this prompt."""
    become_busy(stream, person)
    mark = stream.count()
    send_hook(setting, home, data, person, {"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": f"touch {uuid.uuid4().hex}"}})
    renamed = renames.last()
    _, at, _ = stream.wait_for(state_is(person, "awaiting_permission"), since=mark, timeout=5)
    mark = stream.count()
    person.set_status("idle")
    stream.wait_for(state_is(person, "awaiting_reply", "working", "interrupted", "unknown"), since=mark)
    return at - renamed


def send_hook(setting, home, data, person, fields):
    payload = {"session_id": person.id, "transcript_path": str(person.transcript), "cwd": str(person.cwd), "permission_mode": "default"} | fields
    command = [setting.binary("lamp"), "hook"]
    subprocess.run(command, input=json.dumps(payload).encode(), env=stores.environment(home, data), check=True, capture_output=True, timeout=10)


class Renames:
    """Stamps each rename into a folder when the kernel tells of it."""

    MOVED_TO = 0x80

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(os.O_CLOEXEC)
        if self.descriptor < 0 or libc.inotify_add_watch(self.descriptor, os.fsencode(folder), self.MOVED_TO) < 0:
            raise RuntimeError(f"cannot watch {folder}: {os.strerror(ctypes.get_errno())}")
        self.condition = threading.Condition()
        self.stamps = []
        self.taken = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while data := os.read(self.descriptor, 1 << 16):
                at, offset = time.monotonic(), 0
                while offset < len(data):
                    (length,) = struct.unpack_from("I", data, offset + 12)
                    offset += 16 + length
                    with self.condition:
                        self.stamps.append(at)
                        self.condition.notify_all()
        except OSError:
            pass  # closed

    def last(self):
        """When the newest rename not yet asked for happened."""
        with self.condition:
            if not self.condition.wait_for(lambda: len(self.stamps) > self.taken, timeout=5):
                raise TimeoutError("`lamp hook` renamed nothing into spool/")
            self.taken = len(self.stamps)
            return self.stamps[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.descriptor)


# ---- idle

def measure_idle(setting):
    home, data, known = setting.known()
    return idle_with(setting, home, data, 20, known, worktrees=False) + idle_with(setting, home, data, 300, known, worktrees=True)


def idle_with(setting, home, data, live, known, worktrees):
    """What the engine does in a quiet minute with so many live sessions, each in a worktree of its own if wanted."""
    seconds = 10 if setting.quick else 60
    with People(setting, home, live, worktrees) as people, Engine(setting, home, data) as engine:
        stream = Stream(engine)
        stream.wait_for_cards(people.session_ids())
        stream.settle(5.0)
        if not setting.quick:
            # The settling after a start (first probes of worktrees, first reconcile) is not idleness.
            time.sleep(35)
        ids = set(people.session_ids())
        states = [(card["git"] or {}).get("state") for card in engine.status()["sessions"] if card["session_id"] in ids]
        looked = states.count("dirty")
        mark, before, started = stream.count(), engine.cpu_s(), time.monotonic()
        time.sleep(seconds)
        share = (engine.cpu_s() - before) / (time.monotonic() - started)
        updates, resident = stream.count() - mark, engine.resident_bytes()
        stream.close()
    what = f"{live} live sessions"
    if worktrees:
        if looked != live:
            raise RuntimeError(f"{looked} of {live} worktrees were looked at")
        what += f" in {looked} worktrees with uncommitted work"
    key = "_worktrees" if worktrees else ""
    return [
        Line("idle", f"idle for {seconds} s, {what}, {known} known", f"{share:.3%} of a core", "≤ 0.2 %", share <= 0.002, figures={f"core_share{key}": share}),
        Line("idle", "  updates sent meanwhile", str(updates), "0", updates == 0, figures={f"updates{key}": updates}),
        Line("idle", "  engine RSS", f"{resident / 1e6:.0f} MB", "≤ 80 MB", resident <= 80e6, figures={f"resident_bytes{key}": resident}),
    ]
