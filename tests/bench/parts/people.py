"""Live sessions: a real process each, its registry file, its transcript."""

import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import uuid


def iso(ms):
    moment = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def now_ms():
    return time.time_ns() // 1_000_000


class Person:
    """One live session of Claude Code."""

    def __init__(self, home, index, repository=None):
        self.id = str(uuid.uuid4())
        self.cwd = home / "bench" / f"project-{index}"
        self.cwd.mkdir(parents=True, exist_ok=True)
        if repository:
            shutil.copytree(repository, self.cwd, dirs_exist_ok=True)
        self.process = subprocess.Popen(["sleep", "86400"], stdin=subprocess.DEVNULL)
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        self.start_ticks = stat.rsplit(")", 1)[1].split()[19]
        self.name = f"project-{index}-{index:02x}"
        self.registry = home / ".claude" / "sessions" / f"{self.process.pid}.json"
        folder = re.sub(r"[^A-Za-z0-9]", "-", str(self.cwd))
        self.transcript = home / ".claude" / "projects" / folder / f"{self.id}.jsonl"
        self.parent = None
        self.started = now_ms()
        self.transcript.parent.mkdir(parents=True, exist_ok=True)
        self.registry.parent.mkdir(parents=True, exist_ok=True)
        with open(self.transcript, "ab", buffering=0) as file:
            file.write(self.user_line("Please look at the parser"))
            file.write(self.assistant_line("It looks fine.", now_ms()))
        self.set_status("idle")

    def common(self, ms):
        return {"userType": "external", "entrypoint": "cli", "cwd": str(self.cwd), "sessionId": self.id, "version": "2.1.329", "gitBranch": "main"}

    def record(self, fields, ms):
        identifier = str(uuid.uuid4())
        line = {"parentUuid": self.parent, "isSidechain": False} | fields | {"uuid": identifier, "timestamp": iso(ms)} | self.common(ms)
        self.parent = identifier
        return (json.dumps(line, separators=(",", ":")) + "\n").encode()

    def user_line(self, text):
        fields = {"promptId": str(uuid.uuid4()), "type": "user", "message": {"role": "user", "content": text}, "promptSource": "typed"}
        return self.record(fields, now_ms())

    def assistant_line(self, text, ms):
        usage = {
            "input_tokens": 8,
            "cache_creation_input_tokens": 40,
            "cache_read_input_tokens": 9000,
            "output_tokens": 7,
            "service_tier": "standard",
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 40},
        }
        message = {
            "id": f"msg_01{uuid.uuid4().hex[:22]}",
            "type": "message",
            "role": "assistant",
            "model": "claude-opus-5-5",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": usage,
        }
        fields = {"message": message, "apiBlockIndex": 0, "requestId": f"req_011C{uuid.uuid4().hex[:20]}", "type": "assistant"}
        return self.record(fields, ms)

    def set_status(self, status, waiting_for=None):
        """Rewrites the registry file in place, as the client does. Returns when the write was done."""
        at = now_ms()
        domain = os.readlink("/proc/self/ns/pid")
        entry = {
            "pid": self.process.pid,
            "sessionId": self.id,
            "cwd": str(self.cwd),
            "startedAt": self.started,
            "procStart": self.start_ticks,
            "version": "2.1.329",
            "peerProtocol": 1,
            "kind": "interactive",
            "entrypoint": "cli",
            "pidDomain": f"linux:{'0' * 32}:{domain}",
            "name": self.name,
            "nameSource": "derived",
            "nameSince": self.started,
            "status": status,
        }
        if waiting_for:
            entry["waitingFor"] = waiting_for
        entry |= {"updatedAt": at, "statusUpdatedAt": at}
        body = json.dumps(entry, separators=(",", ":")).encode()
        written = time.monotonic()
        with open(self.registry, "wb", buffering=0) as file:
            file.write(body)
        return written

    def leave(self):
        self.registry.unlink(missing_ok=True)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.transcript.parent, ignore_errors=True)


def make_repository(root):
    """A small repository with a commit, and work that is not committed."""
    root.mkdir(parents=True)
    git = ["git", "-C", str(root), "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "init.defaultBranch=main"]
    (root / "kept.txt").write_text("kept\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(git + words, check=True, stdin=subprocess.DEVNULL)
    (root / "kept.txt").write_text("changed\n")
    return root


class People:
    """Some live sessions in a home, gone without a trace at the end of a `with`; each in a worktree of its own, if wanted."""

    def __init__(self, setting, home, count, worktrees=False):
        self.home = home
        repository = make_repository(home / "bench" / "repository") if worktrees else None
        self.all = [Person(home, index, repository) for index in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for person in self.all:
            person.leave()
        shutil.rmtree(self.home / "bench", ignore_errors=True)

    def session_ids(self):
        return [person.id for person in self.all]
