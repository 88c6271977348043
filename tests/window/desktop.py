"""A throw-away desktop: X server, session bus, window manager, notification daemon and a panel with a tray.

Everything is started on its own, lives in one temporary directory and is ended by its own pid. Nothing of the
real HOME is read or written.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

DUNST = """
[global]
    width = 380
    origin = bottom-right
    offset = 16x56
    font = Sans 10
    markup = full
    ignore_dbusclose = false
    # The daemon shows the actions of a notification in a menu program, which answers with the chosen line.
    dmenu = grep --max-count=1 --file={choice}
[urgency_normal]
    timeout = 0
"""

# No service is started on demand: nothing of the machine's own desktop, and no daemon that would outlive the tests.
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={runtime}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
# Says where the panel's settings daemon is: the folder differs between machines.
XFCONF_SERVICE = Path("/usr/share/dbus-1/services/org.xfce.Xfconf.service")

PANEL = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="true"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=8;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="icon-size" type="uint" value="24"/>
      <property name="size" type="uint" value="36"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/>
        <value type="int" value="2"/>
        <value type="int" value="3"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="tasklist"/>
    <property name="plugin-2" type="string" value="separator">
      <property name="expand" type="bool" value="true"/>
      <property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-3" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
    </property>
  </property>
</channel>
"""

WATCHER = "org.kde.StatusNotifierWatcher"


class Timeout(AssertionError):
    """Something that had to happen did not."""


def wait_for(what, probe, seconds=60.0):
    """Returns the first truthy value of `probe`, or fails naming `what` and what was seen last."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = probe()
            if value:
                return value
            last = value
        except (OSError, StopIteration, subprocess.CalledProcessError, LookupError, ValueError) as error:
            last = error
        if time.monotonic() > end:
            raise Timeout(f"waited {seconds:.0f} s for: {what}; last seen: {last!r}")
        # The desktop offers no single event for "the screen now shows"; this is the pace of looking, not a timing.
        time.sleep(0.05)


class Process:
    """A child with its output in a file, ended by its pid."""

    def __init__(self, name, command, env, log_dir, keep=()):
        self.name = name
        self.log = log_dir / f"{name}.log"
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, pass_fds=keep)

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen.poll() is None

    def end(self, how=signal.SIGTERM, seconds=10):
        """Ends it and returns its exit code."""
        if self.is_running():
            self.popen.send_signal(how)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait(seconds)

    def output(self):
        return self.log.read_text(errors="replace")


class Desktop:
    """The running desktop. Use as a context manager."""

    def __init__(self, has_panel=True, has_notifications=True, size="1360x900"):
        self.root = Path(tempfile.mkdtemp(prefix="lamplight-window-"))
        self.has_panel, self.has_notifications, self.size = has_panel, has_notifications, size
        self.children = []
        self.monitor = None
        home = self.root / "home"
        self.home, self.claude, self.codex = home, home / ".claude", home / ".codex"
        self.data, self.config = self.root / "data", self.root / "config.toml"
        # The action that is chosen from a notification's menu.
        self.choice = self.root / "choice"
        self.runtime = self.root / "run"
        for folder in (home, self.runtime):
            folder.mkdir(mode=0o700)
        self.config.touch()
        self.choice.touch()
        keep = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "TZ", "RUST_BACKTRACE")}
        self.env = keep | {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_DATA_HOME": str(home / ".local/share"),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "XDG_CURRENT_DESKTOP": "XFCE",
            "CLAUDE_CONFIG_DIR": str(self.claude),
            "CODEX_HOME": str(self.codex),
            "LAMPLIGHT_DATA": str(self.data),
            "LAMPLIGHT_CONFIG": str(self.config),
            "GDK_BACKEND": "x11",
            "NO_AT_BRIDGE": "1",
            # The virtual screen has no GPU.
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "WEBKIT_DISABLE_DMABUF_RENDERER": "1",
        }

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.monitor:
            self.monitor.stop()
        for child in reversed(self.children):
            child.end()
        # WebKit's helpers may still be writing their caches.
        shutil.rmtree(self.root, ignore_errors=True)

    def start(self, name, command, env=None):
        """Starts a child that ends with the desktop."""
        child = Process(name, command, self.env | (env or {}), self.root)
        self.children.append(child)
        return child

    def _start(self):
        self._start_display()
        self._start_bus()
        self.start("openbox", ["openbox"])
        wait_for("a window manager", lambda: "WINDOW" in self.run(["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"]))
        if self.has_notifications:
            rc = self.home / ".config/dunst/dunstrc"
            rc.parent.mkdir(parents=True)
            rc.write_text(DUNST.format(choice=self.choice))
            self.start("dunst", ["dunst", "-config", str(rc)])
            wait_for("a notification daemon", lambda: self.has_name("org.freedesktop.Notifications"))
        if self.has_panel:
            self.start_panel()
        self.monitor = Monitor(self)

    def _start_display(self):
        xvfb = ["Xvfb", "-screen", "0", f"{self.size}x24", "-nolisten", "tcp", "-noreset", "-displayfd"]
        self.env["DISPLAY"] = f":{self._start_and_listen('xvfb', xvfb)}"

    def _start_bus(self):
        conf = self.root / "bus.conf"
        conf.write_text(BUS.format(runtime=self.runtime))
        bus = ["dbus-daemon", "--nofork", "--nosyslog", f"--config-file={conf}", "--print-address"]
        self.env["DBUS_SESSION_BUS_ADDRESS"] = self._start_and_listen("bus", bus)

    def _start_and_listen(self, name, command):
        """Starts a child that takes a file descriptor as its last argument and writes one line there when it is ready."""
        reader, writer = os.pipe()
        self.children.append(Process(name, [*command, str(writer)], self.env, self.root, keep=[writer]))
        os.close(writer)
        with os.fdopen(reader) as ready:
            return ready.readline().strip()

    def start_panel(self):
        """Starts the panel with its tray."""
        conf = self.home / ".config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml"
        conf.parent.mkdir(parents=True, exist_ok=True)
        conf.write_text(PANEL)
        daemon = re.search(r"^Exec=(.+)$", XFCONF_SERVICE.read_text(), re.MULTILINE).group(1)
        self.start("xfconfd", daemon.split())
        wait_for("the panel's settings", lambda: self.has_name("org.xfce.Xfconf"))
        panel = self.start("panel", ["xfce4-panel", "--disable-wm-check"])
        wait_for("a tray", lambda: self.has_name(WATCHER))
        return panel

    # --- what is on the bus ---

    def run(self, command):
        """Runs a small tool on this desktop and returns its output."""
        return subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=20).stdout

    def busctl(self, *args):
        answer = self.run(["busctl", f"--address={self.env['DBUS_SESSION_BUS_ADDRESS']}", "--json=short", *args])
        return json.loads(answer)["data"] if answer.strip() else None

    def has_name(self, name):
        return self.busctl("call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", "s", name)[0]

    def tray_items(self):
        """Returns the bus names of the items in the tray."""
        items = self.busctl("get-property", WATCHER, "/StatusNotifierWatcher", WATCHER, "RegisteredStatusNotifierItems")
        return [re.match(r"([^/]+)", item).group(1) for item in items]

    def lamp(self):
        """Returns the lamp's bus name, `None` while there is none."""
        for item in self.tray_items():
            if self.item(item, "Id") == "lamplight":
                return item
        return None

    def item(self, name, prop):
        return self.busctl("get-property", name, "/StatusNotifierItem", "org.kde.StatusNotifierItem", prop)

    def menu(self, name):
        """Returns the lamp's menu as nested `(id, label, enabled, children)`, freshly laid out."""
        path = "/MenuBar"
        self.busctl("call", name, path, "com.canonical.dbusmenu", "AboutToShow", "i", "0")
        _, layout = self.busctl("call", name, path, "com.canonical.dbusmenu", "GetLayout", "iias", "0", "--", "-1", "0")
        return MenuItem(layout)

    def choose(self, name, *labels):
        """Clicks what these labels lead to. The menu may be laid out anew in between, as when a session changes: then the
        item is another one, and is found again."""

        def clicked():
            item = self.menu(name)
            for label in labels:
                item = item.find(label)
            self.busctl("call", name, "/MenuBar", "com.canonical.dbusmenu", "Event", "isvu", str(item.id), "clicked", "i", "0", "0")
            return True

        wait_for(f"a click on {' / '.join(labels)}", clicked)

    def click_notification(self):
        """Clicks the notification on the screen itself."""
        self.run(["dunstctl", "action"])

    def choose_action(self, label):
        """Opens the menu of the notification on the screen and chooses what has this label."""
        self.choice.write_text(f"{label}\n")
        self.run(["dunstctl", "context"])

    # --- what the engine says ---

    def status(self):
        """Returns the engine's status."""
        return self.ask("/api/v1/status")

    def notices(self):
        """Returns what became of telling, the newest first."""
        return self.ask("/api/v1/notices")["notices"]

    def ask(self, path):
        """Returns what the engine answers, asked through its socket."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(self.data / "lamp.sock"))
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = http.client.HTTPResponse(line)
            answer.begin()
            return json.load(answer)

    def card(self, session_id):
        """Returns a session's card."""
        return next(card for card in self.status()["sessions"] if card["session_id"] == session_id)

    # --- what is on the screen ---

    def windows(self, title="^Lamplight$"):
        """Returns the ids of the visible windows with this title."""
        found = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", title], env=self.env, capture_output=True, text=True)
        return found.stdout.split()

    def active_title(self):
        return self.run(["xdotool", "getactivewindow", "getwindowname"]).strip()

    def click(self, x, y):
        """Clicks with the mouse; negative places count from the right and the bottom."""
        width, height = map(int, self.size.split("x"))
        self.run(["xdotool", "mousemove", "--sync", str(x % width), str(y % height), "click", "1"])

    def press(self, window, keys):
        """Presses keys on the keyboard, with this window in front."""
        self.run(["xdotool", "windowactivate", "--sync", window, "key", "--clearmodifiers", keys])

    def type(self, text, key):
        """Types on the keyboard, into whatever has the focus, then presses a key. WebKit's driver knows no capitals."""
        self.run(["xdotool", "type", "--delay", "8", text])
        self.run(["xdotool", "key", key])

    def close_window(self, window):
        """Closes it as the window manager's key does, pressed again when it did not get there."""
        for presses in range(1, 5):
            self.press(window, "alt+F4")
            try:
                return wait_for("no window", lambda: window not in self.windows(), seconds=15)
            except Timeout:
                print(f"alt+F4 number {presses} closed nothing; in front: {self.active_title()!r}")
        raise Timeout(f"window {window} does not close")

    def clipboard(self):
        return self.run(["xclip", "-selection", "clipboard", "-o"])

    def set_clipboard(self, text):
        """Puts something there. The tool stays behind to serve it, until someone else copies."""
        quiet = subprocess.DEVNULL
        subprocess.run(["xclip", "-selection", "clipboard", "-i"], env=self.env, input=text, text=True, stdout=quiet, stderr=quiet, check=True, timeout=20)

    def screenshot(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.run(["import", "-window", "root", str(path)])


class MenuItem:
    """An item of the lamp's menu."""

    def __init__(self, layout):
        self.id, properties, children = layout
        properties = {key: value["data"] for key, value in properties.items()}
        self.label = properties.get("label", "")
        self.is_enabled = properties.get("enabled", True)
        self.is_separator = properties.get("type") == "separator"
        self.items = [MenuItem(child["data"]) for child in children]

    def find(self, start):
        """Returns the first item below this one whose label begins so."""
        for item in self.items:
            if item.label.startswith(start):
                return item
        raise LookupError(f"no {start!r} in {[item.label for item in self.items]}")


class Monitor:
    """Records what is said to and by the notification daemon."""

    def __init__(self, desktop):
        address = desktop.env["DBUS_SESSION_BUS_ADDRESS"]
        match = "--match=interface='org.freedesktop.Notifications'"
        command = ["busctl", f"--address={address}", "--json=short", match, "monitor"]
        self.popen = subprocess.Popen(command, env=desktop.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.messages = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        # The monitor has no "ready"; it is when it hears the question asked here.
        if desktop.has_notifications:
            ask = ["call", "org.freedesktop.Notifications", "/org/freedesktop/Notifications", "org.freedesktop.Notifications", "GetServerInformation"]
            wait_for("the monitor of notifications", lambda: desktop.busctl(*ask) and self.messages)

    def _read(self):
        for line in self.popen.stdout:
            self.messages.append(json.loads(line))

    def stop(self):
        self.popen.terminate()
        self.popen.wait()
        self.thread.join()
        self.popen.stdout.close()

    def shown(self):
        """Returns what was asked to be shown: `(title, body, actions, hints)` each."""
        calls = [m["payload"]["data"] for m in list(self.messages) if m.get("member") == "Notify" and m["type"] == "method_call"]
        return [Notification(title=c[3], body=c[4], actions=c[5], hints=c[6]) for c in calls]

    def withdrawn(self):
        """Returns the ids that were asked to be taken back."""
        return [m["payload"]["data"][0] for m in list(self.messages) if m.get("member") == "CloseNotification"]


class Notification:
    def __init__(self, title, body, actions, hints):
        self.title, self.body, self.actions, self.hints = title, body, actions, hints

    def __repr__(self):
        return f"Notification({self.title!r}, {self.body!r}, {self.actions!r})"
