"""A Claude Code session as it looks from outside: a live process, its registry file and its growing transcript.

Shapes are those of tests/fixtures/claude-code (client 2.1.329).
"""

import json
import os
import re
import signal
import subprocess
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path

VERSION = "2.1.329"
MODEL = "claude-opus-5-5"


class Elsewhere:
    """A process that somebody else started and waits for."""

    def __init__(self, pid):
        self.pid = pid

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)

    def wait(self):
        while Path(f"/proc/{self.pid}").exists():
            time.sleep(0.01)


class FakeClaude:
    """One terminal with one session. `sleep` stands for the client's process, unless one is given."""

    def __init__(self, root, cwd, name=None, session_id=None, process=None):
        self.id = session_id or str(uuid.uuid4())
        self.cwd, self.root = cwd, root
        cwd.mkdir(parents=True, exist_ok=True)
        folder = root / "projects" / re.sub(r"[^A-Za-z0-9]", "-", str(cwd.resolve()))
        folder.mkdir(parents=True, exist_ok=True)
        self.transcript = folder / f"{self.id}.jsonl"
        self.process = process or subprocess.Popen(["sleep", "infinity"], cwd=cwd)
        self.started_ms = now_ms()
        self.name = name
        self.last = None
        self.prompts = 0
        self.registry = root / "sessions" / f"{self.process.pid}.json"
        self.registry.parent.mkdir(parents=True, exist_ok=True)
        self.status(None)

    @property
    def card(self):
        return f"card-claude-code:{self.id}"

    # --- registry ---

    def status(self, status, waiting_for=None):
        """Rewrites the registry file in place, as the client does."""
        pid = self.process.pid
        start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        entry = {
            "pid": pid,
            "sessionId": self.id,
            "cwd": str(self.cwd),
            "startedAt": self.started_ms,
            "procStart": start,
            "version": VERSION,
            "peerProtocol": 1,
            "kind": "interactive",
            "entrypoint": "cli",
            "pidDomain": f"linux:{'0' * 32}:{os.readlink(f'/proc/{pid}/ns/pid')}",
            "name": self.name or f"{self.cwd.name}-f9",
            "nameSource": "user" if self.name else "derived",
            "nameSince": self.started_ms,
        }
        if status:
            entry |= {"status": status, "updatedAt": now_ms(), "statusUpdatedAt": now_ms()}
        if waiting_for:
            entry["waitingFor"] = waiting_for
        self.registry.write_text(json.dumps(entry))

    # --- transcript ---

    def prompt(self, text):
        """The person presses Enter."""
        self.prompts += 1
        self.write({"type": "permission-mode", "permissionMode": "default", "sessionId": self.id})
        self.tree({
            "promptId": str(uuid.uuid4()),
            "type": "user",
            "message": {"role": "user", "content": text},
            "permissionMode": "default",
            "origin": {"kind": "human"},
            "promptSource": "typed",
            "turnOrigin": "human",
            "turnPosition": {"promptIndex": self.prompts, "turnIndex": self.prompts},
        })
        self.status("busy")

    def says(self, text, stop_reason="end_turn"):
        """The model answers; with `end_turn` the turn is over."""
        self.answer({"type": "text", "text": text}, stop_reason)
        if stop_reason == "end_turn":
            self.tree({"type": "system", "subtype": "turn_duration", "durationMs": 1277, "messageCount": 4, "isMeta": False})
            self.status("idle")

    def calls(self, command):
        """The model calls Bash; returns the call's id."""
        call = f"toolu_{uuid.uuid4().hex[:24]}"
        self.answer({"type": "tool_use", "id": call, "name": "Bash", "input": {"command": command, "description": "Run it"}}, "tool_use")
        return call

    def asks_permission(self, command):
        """The model calls Bash and the client shows its dialog."""
        call = self.calls(command)
        self.status("waiting", "permission prompt")
        return call

    def runs(self, call):
        """The call is allowed and done."""
        self.status("busy")
        self.tree({
            "type": "user",
            "message": {"role": "user", "content": [{"tool_use_id": call, "type": "tool_result", "content": "ok", "is_error": False}]},
            "toolUseResult": {"stdout": "ok", "stderr": "", "interrupted": False},
            "permissionDecision": {"decision": "accept", "source": "user_temporary", "grantScope": "once"},
        })

    def answer(self, block, stop_reason):
        usage = {
            "input_tokens": 4,
            "cache_creation_input_tokens": 9000,
            "cache_read_input_tokens": 0,
            "output_tokens": 50,
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 9000},
        }
        message = {"id": f"msg_{uuid.uuid4().hex[:24]}", "type": "message", "role": "assistant", "model": MODEL}
        self.tree({
            "type": "assistant",
            "message": message | {"content": [block], "stop_reason": stop_reason, "usage": usage},
            "apiBlockIndex": 0,
            "requestId": f"req_{uuid.uuid4().hex[:24]}",
            "madeBy": "model",
        })

    def tree(self, record):
        common = {
            "parentUuid": self.last,
            "isSidechain": False,
            "uuid": str(uuid.uuid4()),
            "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "userType": "external",
            "entrypoint": "cli",
            "cwd": str(self.cwd),
            "sessionId": self.id,
            "version": VERSION,
            "gitBranch": "main",
        }
        self.last = common["uuid"]
        self.write(common | record)

    def write(self, record):
        with open(self.transcript, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    # --- ends ---

    def kill(self):
        """SIGKILL: the registry file stays behind."""
        self.process.kill()
        self.process.wait()

    def exit(self):
        """`/exit`: the registry file goes first."""
        self.registry.unlink(missing_ok=True)
        self.process.terminate()
        self.process.wait()


def now_ms():
    return time.time_ns() // 1_000_000
