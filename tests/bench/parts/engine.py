"""`lamp serve` as a client sees it."""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

from . import stores


class Engine:
    """A running `lamp serve`, stopped at the end of a `with`."""

    def __init__(self, setting, home, data):
        self.started = time.monotonic()
        command = [setting.binary("lamp"), "serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        self.log = open(setting.work / "serve.log", "wb")
        self.process = subprocess.Popen(command, env=stores.environment(home, data), stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline()
        self.ready_s = time.monotonic() - self.started
        if not line:
            raise RuntimeError(f"lamp serve ended with {self.process.wait()}; see {self.log.name}")
        said = json.loads(line)
        self.address = said["http"]
        self.token = pathlib.Path(said["token_file"]).read_text().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def connection(self):
        return http.client.HTTPConnection(self.address, timeout=30)

    def headers(self):
        return {"Authorization": f"Bearer {self.token}"}

    def status(self):
        """What it answers to whoever asks once."""
        connection = self.connection()
        connection.request("GET", "/api/v1/status", headers=self.headers())
        return json.loads(connection.getresponse().read())

    def cpu_s(self):
        """Processor time of all its threads, in seconds, with the scheduler's resolution, and of the programs it ran."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = os.sysconf("SC_CLK_TCK")
        total = (int(fields[13]) + int(fields[14])) * 1e9 / ticks
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def resident_bytes(self):
        return self._status_bytes("VmRSS:")

    def peak_bytes(self):
        """Most memory it ever had."""
        return self._status_bytes("VmHWM:")

    def _status_bytes(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            for line in status:
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
        raise RuntimeError(f"no {name}")


class Stream:
    """A subscriber: a thread that stamps each message when its bytes arrive."""

    def __init__(self, engine):
        self.connection = engine.connection()
        self.connection.request("GET", "/api/v1/stream", headers=engine.headers())
        self.response = self.connection.getresponse()
        if self.response.status != 200:
            raise RuntimeError(f"the stream answered {self.response.status}")
        self.connection.sock.settimeout(None)
        self.condition = threading.Condition()
        self.messages = []  # (monotonic seconds, event name, data)
        self.closed = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        buffer = b""
        try:
            while chunk := self.response.read1(1 << 20):
                at = time.monotonic()
                buffer += chunk
                *whole, buffer = buffer.split(b"\n\n")
                for block in whole:
                    self._take(at, block)
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed from the other side or by close()
        with self.condition:
            self.closed = True
            self.condition.notify_all()

    def _take(self, at, block):
        event, data = "message", []
        for line in block.decode().split("\n"):
            if line.startswith("event:"):
                event = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
        if not data:
            return  # a heartbeat or the retry line
        body = json.loads("\n".join(data))
        with self.condition:
            self.messages.append((at, event, body))
            self.condition.notify_all()

    def wait_for(self, wanted, since=0, timeout=20):
        """The first message from index `since` on for which `wanted(event, body)` holds: (index, time, body)."""
        limit = time.monotonic() + timeout
        index = since
        with self.condition:
            while True:
                while index < len(self.messages):
                    at, event, body = self.messages[index]
                    if wanted(event, body):
                        return index, at, body
                    index += 1
                left = limit - time.monotonic()
                if left <= 0 or self.closed:
                    raise TimeoutError(f"no such message within {timeout} s ({len(self.messages)} seen)")
                self.condition.wait(left)

    def wait_for_cards(self, session_ids, timeout=60):
        """When the last of these sessions had shown a card."""
        missing = set(session_ids)

        def complete(event, body):
            missing.difference_update(card["session_id"] for card in cards(event, body))
            return not missing

        _, at, _ = self.wait_for(complete, timeout=timeout)
        return at

    def count(self):
        with self.condition:
            return len(self.messages)

    def changes(self, since):
        with self.condition:
            return [(at, body) for at, event, body in self.messages[since:] if event == "change"]

    def settle(self, quiet_s, timeout=90):
        """Waits until no message came for `quiet_s`."""
        limit = time.monotonic() + timeout
        with self.condition:
            while time.monotonic() < limit:
                before = len(self.messages)
                self.condition.wait(quiet_s)
                if len(self.messages) == before:
                    return
        raise TimeoutError(f"changes did not stop for {quiet_s} s within {timeout} s")

    def close(self):
        try:
            if self.connection.sock:
                self.connection.sock.shutdown(socket.SHUT_RDWR)  # wakes the reading thread
        except OSError:
            pass  # the other side was faster
        self.connection.close()
        self.thread.join(5)


def cards(event, body):
    """The cards a message carries."""
    return body["sessions"] if event == "snapshot" else body.get("upserted", []) if event == "change" else []


def card_of(session_id, event, body):
    return next((card for card in cards(event, body) if card["session_id"] == session_id), None)
