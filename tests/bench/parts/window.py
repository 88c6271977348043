"""Row: from the start of the app's process to the first cards on the screen."""

import json
import os
import pathlib
import selectors
import signal
import statistics
import subprocess
import time

from . import stores
from .people import People
from .report import Line, milliseconds

START_TIMEOUT_S = 60


class Display:
    """A screen of its own with a window manager and a session bus; nothing of the person's desktop is touched."""

    def __init__(self, work):
        self.children = []
        self.runtime = work / "runtime"
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        read, write = os.pipe()
        xvfb = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
        self.children.append(subprocess.Popen(xvfb, pass_fds=[write], stderr=subprocess.DEVNULL))
        os.close(write)
        with os.fdopen(read) as number:
            self.name = ":" + number.readline().strip()
        bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address=1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.variables({"PATH": os.environ["PATH"], "HOME": str(work)}))
        self.children.append(bus)
        self.bus = bus.stdout.readline().strip()
        self.children.append(subprocess.Popen(["openbox"], env=self.variables({"PATH": os.environ["PATH"], "HOME": str(work)}), stderr=subprocess.DEVNULL))

    def variables(self, env):
        bus = {"DBUS_SESSION_BUS_ADDRESS": self.bus} if hasattr(self, "bus") else {}
        return env | bus | {"DISPLAY": self.name, "XDG_RUNTIME_DIR": str(self.runtime), "GDK_BACKEND": "x11", "NO_AT_BRIDGE": "1", "LIBGL_ALWAYS_SOFTWARE": "1"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
            child.wait()
            if child.stdout:
                child.stdout.close()


def one_start(binary, env, log):
    """Seconds from just before the process is made until it says that its page is there."""
    before_ms = time.time() * 1000
    process = subprocess.Popen([binary], env=env, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    try:
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        limit = time.monotonic() + START_TIMEOUT_S
        buffer = b""
        while b"\n" not in buffer:
            if not selector.select(max(0.0, limit - time.monotonic())):
                raise TimeoutError(f"{pathlib.Path(binary).name} showed nothing within {START_TIMEOUT_S} s")
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                raise RuntimeError(f"{pathlib.Path(binary).name} ended with {process.wait()}")
            buffer += chunk
        return (json.loads(buffer.split(b"\n")[0])["at_ms"] - before_ms) / 1000
    finally:
        for kind in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, kind)
                process.wait(10)
                break
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait()
        process.stdout.close()


def measure(setting):
    app = setting.binary("lamplight")
    bare = setting.binaries / "bare-window"
    home, data, known = setting.known()
    starts = 3 if setting.quick else 10
    ours, theirs = [], []
    with Display(setting.work) as display, People(setting, home, 20), open(setting.work / "window.log", "wb") as log:
        env = display.variables(stores.environment(home, data)) | {"LAMPLIGHT_TRACE_START": "1"}
        for number in range(starts + 1):
            seconds = one_start(app, env, log)
            bare_seconds = one_start(bare, env, log) if bare.exists() else None
            if number > 0:  # the first start warms the page cache
                ours.append(seconds)
                if bare_seconds is not None:
                    theirs.append(bare_seconds)
    p50 = statistics.median(ours)
    figures = {"seconds": ours, "yardstick_seconds": theirs}
    what = f"window: process start → first cards, {known} sessions known"
    if not theirs:
        return [Line("window", what, f"p50 {milliseconds(p50)}; yardstick missing", "≤ 500 ms above a bare window", figures=figures)]
    above = p50 - statistics.median(theirs)
    return [Line("window", what, f"p50 {milliseconds(p50)}; bare window {milliseconds(statistics.median(theirs))}: {milliseconds(above)} above", "≤ 500 ms above", above <= 0.5, figures=figures)]
