"""Row: what a hook costs the agent that waits for it."""

import json
import os
import shutil
import time
import uuid

from . import stores
from .report import Line, milliseconds, percentile


def cost(command, environment, payload):
    """Seconds from just before the process is made until it has ended."""
    given = os.open(payload, os.O_RDONLY)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, nowhere, 1), (os.POSIX_SPAWN_DUP2, nowhere, 2)]
        began = time.monotonic()
        process = os.posix_spawn(command[0], command, environment, file_actions=actions)
        _, status = os.waitpid(process, 0)
        seconds = time.monotonic() - began
    finally:
        os.close(given)
        os.close(nowhere)
    if status != 0:
        raise RuntimeError(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return seconds


def measure(setting):
    data = setting.fresh("hook-data")
    payload = data / "payload.json"
    # A call with what an edit of a large file brings along.
    told = {"hook_event_name": "PostToolUse", "session_id": str(uuid.uuid4()), "cwd": "/srv/shop", "permission_mode": "default", "tool_name": "Edit", "tool_use_id": "toolu_bench", "tool_input": {"file_path": "/srv/shop/orders.py", "old_string": "a" * 8_000, "new_string": "b" * 8_000}, "tool_response": {"filePath": "/srv/shop/orders.py"}}
    payload.write_text(json.dumps(told))
    environment = stores.environment(setting.fresh("hook-home"), data)
    hook = [str(setting.binary("lamp")), "hook", "--agent", "claude-code"]
    nothing = [shutil.which("true")]
    samples = 50 if setting.quick else 500
    ours, theirs = [], []
    for number in range(samples + 5):
        for command, took in ((hook, ours), (nothing, theirs)):
            seconds = cost(command, environment, payload)
            if number >= 5:  # the first starts warm the page cache
                took.append(seconds)
    written = sum(1 for path in (data / "spool").iterdir() if path.suffix == ".json")
    if written != samples + 5:
        raise RuntimeError(f"{written} of {samples + 5} hooks are in the spool")
    p50, p99 = percentile(ours, 0.5), percentile(ours, 0.99)
    figures = {"p50_s": p50, "p99_s": p99, "max_s": max(ours), "nothing_p50_s": percentile(theirs, 0.5), "samples": samples}
    told = f"p50 {milliseconds(p50)}, p99 {milliseconds(p99)}; a process that does nothing {milliseconds(percentile(theirs, 0.5))}, p99 {milliseconds(percentile(theirs, 0.99))}"
    return [Line("hook", "`lamp hook`: process made → ended, 16 KB given", told, "< 10 ms", p99 < 0.010, figures=figures)]
