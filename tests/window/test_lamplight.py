"""The window, tray, notifications and clipboard of the real app, on a desktop of their own."""

import json
import os
import shlex
import signal
import time
import unittest
import urllib.request
from pathlib import Path

from agent import Elsewhere, FakeClaude
from desktop import Desktop, wait_for
from webdriver import App

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("LAMPLIGHT_BINARY", ROOT / "target/debug/lamplight")).resolve()
RESULTS = ROOT / "test-results/window"

# Where the panel shows the lamp: its only tray item, in the lower right corner.
LAMP = (-18, -18)
HEADLINE = "[data-testid=headline]"
TOAST = "[data-testid=toast]"
COMMAND = "kubectl --context prod-eu -n payments rollout restart deploy/billing-worker"


def part(session, name):
    """Returns the selector of a part of a session's card."""
    return f'[data-testid="{session.card}"] [data-testid="{name}"]'


def held_back(desktop, session):
    """Why the session's latest permission request was not told; None while that is open, or when it was."""
    entries = [e for e in desktop.notices() if e["session"].endswith(session.id) and e["cause"] == "permission"]
    return entries[0]["why"] if entries else None


class Window(unittest.TestCase):
    """A desktop and the app on it, steered by the driver."""

    def desktop(self, **kind):
        self.assertTrue(BINARY.exists(), f"{BINARY} is not built")
        desktop = Desktop(**kind).__enter__()
        self.addCleanup(desktop.__exit__, None, None, None)
        self.addCleanup(self.keep_logs, desktop)
        return desktop

    def keep_logs(self, desktop):
        """What the app and the desktop said, for whoever has to find out why."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        parts = [f"== {child.name}\n{child.output()}" for child in desktop.children if child.output().strip()]
        (RESULTS / f"{self._testMethodName}.log").write_text("\n".join(parts))
        self.picture(desktop, f"{self._testMethodName}-end")

    def session(self, desktop, folder, **given):
        session = FakeClaude(desktop.claude, desktop.home / "projects" / folder, **given)
        self.addCleanup(session.exit)
        return session

    def picture(self, desktop, name):
        desktop.screenshot(RESULTS / f"{name}.png")


class Story(Window):
    """One session from its first prompt to its death, and the app closed, reopened, quit and started again."""

    def test_a_session_from_prompt_to_crash(self):
        desktop = self.desktop()
        app = App(desktop, BINARY)

        # Nothing there: the window says how to begin.
        wait_for("the empty state", lambda: "No session is open right now" in app.text("body"))
        lamp = wait_for("the lamp in the tray", desktop.lamp)
        wait_for("a lamp that is out", lambda: desktop.item(lamp, "Title") == "Lamplight: All clear")
        self.picture(desktop, "1-empty")

        # An agent starts and works.
        session = self.session(desktop, "billing")
        session.prompt("Restart the billing worker")
        state = part(session, "state")
        call = session.calls("cargo test --workspace")
        wait_for("a card that says it runs something", lambda: "Running" in app.text(state))
        wait_for("a lamp that works", lambda: "1 working" in desktop.item(lamp, "ToolTip")[3])
        session.runs(call)

        # It asks: card, tray and a notification say so.
        session.asks_permission(COMMAND)
        wait_for("a card that asks", lambda: "Permission to run a command" in app.text(state))
        wait_for("the command on it", lambda: COMMAND in app.text(f'[data-testid="{session.card}"]'))
        wait_for("the tray's count", lambda: desktop.item(lamp, "Title") == "Lamplight: 1 session needs you")
        self.assertEqual(desktop.item(lamp, "Status"), "NeedsAttention")
        wait_for("the headline", lambda: "1 session needs you" in app.text(HEADLINE))
        notice = wait_for("a notification", desktop.monitor.shown)[0]
        self.assertIn("Needs permission to run a command", notice.body)
        self.assertIn(COMMAND, notice.body)
        self.assertEqual(notice.actions[2::2], ["open", "copy", "snooze"])
        self.picture(desktop, "2-permission")

        # The menu leads there.
        need = desktop.menu(lamp).find("Permission: ")
        offered = ["Open", "Copy resume command", "Snooze 15 min", "Snooze 1 h", "Snooze until tomorrow", "Snooze until it changes", "Mark as handled"]
        self.assertEqual([item.label for item in need.items if not item.is_separator], offered)

        # Renamed by right click; every surface follows.
        app.right_click(f'[data-testid="{session.card}"]')
        self.picture(desktop, "3-menu")
        app.click("[data-testid=menu-rename]")
        app.find("[data-testid=rename]")
        desktop.type("Billing rollout", "Return")
        wait_for("the new name on the card", lambda: "Billing rollout" in app.text(f'[data-testid="{session.card}"]'))
        wait_for("the new name in the tray", lambda: desktop.menu(lamp).find("Permission: Billing rollout"))

        # Copied with one click; the clipboard holds the exact line, and the toast shows it.
        expected = f"cd {shlex.quote(str(session.cwd))} && claude --resume {session.id}"
        app.click(part(session, "copy-resume"))
        wait_for("the toast", lambda: expected in app.text(TOAST))
        self.assertEqual(desktop.clipboard(), expected)
        self.picture(desktop, "4-copied")
        desktop.set_clipboard("something else")

        def copies():
            # Whoever hears late that another one copied takes that for the end of its own copy.
            desktop.choose(lamp, "Permission: Billing rollout", "Copy")
            return desktop.clipboard() == expected

        wait_for("the tray's copy", copies)

        # The window closes; the lamp stays lit and the webview is gone.
        pid = int(desktop.busctl("call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID", "s", lamp)[0])
        desktop.close_window(desktop.windows()[0])
        wait_for("no window", lambda: not desktop.windows())
        wait_for("no web process", lambda: not children_named(pid, "WebKitWebProcess"))
        self.assertEqual(desktop.lamp(), lamp)
        self.picture(desktop, "5-closed")

        # A click on the lamp opens it again; so does a second start, which then ends.
        desktop.click(*LAMP)
        wait_for("the window again", desktop.windows)
        desktop.close_window(desktop.windows()[0])
        wait_for("no window", lambda: not desktop.windows())
        second = desktop.start("second", [str(BINARY)])
        wait_for("the window again", desktop.windows)
        self.assertEqual(second.popen.wait(60), 0)
        self.assertEqual(desktop.lamp(), lamp)

        # Quit in the tray ends the app and takes its notifications along.
        shown = len(desktop.monitor.shown())
        desktop.choose(lamp, "Quit")
        wait_for("the end of the app", lambda: not Path(f"/proc/{pid}").exists() or is_zombie(pid))
        self.assertFalse((desktop.data / "endpoint.json").exists(), "the address of an engine that is gone")
        self.assertEqual(desktop.monitor.withdrawn() != [], True)
        app.quit()

        # Started again: the name is kept, and nothing is told twice.
        app = App(desktop, BINARY)
        wait_for("the kept name", lambda: "Billing rollout" in app.text(f'[data-testid="{session.card}"]'))
        wait_for("the same need", lambda: "Permission to run a command" in app.text(state))
        lamp = wait_for("the lamp in the tray", desktop.lamp)

        # Killed: no Esc, no exit, no registry file removed.
        session.kill()
        wait_for("a card that says so", lambda: "Process gone" in app.text(state))
        self.picture(desktop, "6-crashed")
        # Its notice is the only one since the quit: the permission request was told before.
        later = wait_for("a notification of the crash", lambda: desktop.monitor.shown()[shown:])
        self.assertEqual([notice.title for notice in later], ["Billing rollout"])
        self.assertIn("process is gone", later[0].body)
        app.quit()


class Telemetry(Window):
    """What a program sends, and what set-up would write, in the real window: its commands reach the engine."""

    def test_a_service_from_its_first_span_to_its_waterfall_and_set_up(self):
        desktop = self.desktop()
        desktop.claude.mkdir(exist_ok=True)
        app = App(desktop, BINARY)
        wait_for("the empty state", lambda: "No session is open right now" in app.text("body"))
        address = wait_for("the address", lambda: json.loads((desktop.data / "endpoint.json").read_text())["http"])
        trace, root = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        now = time.time_ns()

        def span(name, own, parent, ago_ms, **attributes):
            start = now - ago_ms * 1_000_000
            values = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
            return {"traceId": trace, "spanId": own, "parentSpanId": parent, "name": name, "kind": 1, "startTimeUnixNano": str(start), "endTimeUnixNano": str(now), "attributes": values}

        spans = [
            span("invoke_agent billing", root, "", 900, **{"gen_ai.operation.name": "invoke_agent"}),
            span("execute_tool refund", "00f067aa0ba902b7", root, 400, **{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"}),
        ]
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "billing-bot"}}]}
        body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]}]}).encode()
        request = urllib.request.Request(f"http://{address}/v1/traces", data=body, headers={"Content-Type": "application/json"})
        self.assertEqual(urllib.request.urlopen(request, timeout=10).status, 200)

        app.click("[data-testid=nav-services]")
        wait_for("the service", lambda: "1 service live" in app.text(HEADLINE))
        app.click('[data-testid="service-billing-bot"] [data-open]')
        app.click(f'[data-testid="trace-{trace}"] [data-open]')
        wait_for("the waterfall", lambda: "execute_tool refund" in app.text("[data-testid=waterfall]"))
        self.picture(desktop, "telemetry-1-trace")

        app.click("[data-testid=nav-setup]")
        app.click("[data-testid=setup-show]")
        wait_for("what would change", lambda: "would change" in app.text("[data-testid=setup-plan]"))
        self.picture(desktop, "telemetry-2-set-up")
        app.quit()


class Notifications(Window):
    """What a person does on a notification, and what takes it back."""

    def test_actions_and_withdrawal(self):
        desktop = self.desktop()
        desktop.start("lamplight", [str(BINARY), "--hidden"])
        wait_for("the lamp in the tray", desktop.lamp)
        wait_for("the engine", (desktop.data / "endpoint.json").exists)
        self.assertEqual(desktop.windows(), [], "--hidden opens no window")

        session = self.session(desktop, "refund-flow", name="Refund <b>flow</b> & more")
        session.prompt("Do it")
        call = session.asks_permission("rm -rf <build> & echo \u202edone")
        notice = wait_for("a notification", desktop.monitor.shown)[0]
        self.assertEqual(notice.title, "Refund <b>flow</b> & more")
        self.assertIn("rm -rf &lt;build&gt; &amp; echo done", notice.body, "markup is shown, not obeyed; nothing turns the line around")
        self.picture(desktop, "7-notification")

        desktop.choose_action("Copy resume")
        wait_for("the copied line", lambda: f"claude --resume {session.id}" in desktop.clipboard())
        self.assertEqual(desktop.windows(), [], "copying opens no window")

        # Answered at the terminal: the next notification is for the turn's end, and the first is gone.
        session.runs(call)
        session.says("Done. Shall I go on?")
        notice = wait_for("the end of the turn", lambda: desktop.monitor.shown()[1:])[0]
        self.assertIn("Awaits your reply", notice.body)
        desktop.click_notification()
        wait_for("the window", desktop.windows)
        wait_for("the window in front", lambda: desktop.active_title() == "Lamplight")

        # It asks again under the person's eyes: that is no news to them.
        session.prompt("Yes")
        call = session.asks_permission("make deploy")
        wait_for("the request to be held back", lambda: held_back(desktop, session) == "attended")
        session.runs(call)
        desktop.close_window(desktop.windows()[0])
        wait_for("no window", lambda: not desktop.windows())

        # And again with nobody looking: the only notification since. Answered, it is taken back.
        call = session.asks_permission("make announce")
        last = wait_for("another notification", lambda: desktop.monitor.shown()[2:])[-1]
        self.assertIn("make announce", last.body)
        self.assertEqual(len(desktop.monitor.shown()), 3)
        before = len(desktop.monitor.withdrawn())
        session.runs(call)
        wait_for("its withdrawal", lambda: len(desktop.monitor.withdrawn()) > before)

    def test_snooze_pause_and_start_at_login_in_the_menu(self):
        desktop = self.desktop()
        desktop.start("lamplight", [str(BINARY), "--hidden"])
        lamp = wait_for("the lamp in the tray", desktop.lamp)
        wait_for("the engine", (desktop.data / "endpoint.json").exists)

        desktop.choose(lamp, "Start at login")
        entry = desktop.home / ".config/autostart/Lamplight.desktop"
        wait_for("the entry of the session manager", lambda: "--hidden" in entry.read_text())
        desktop.choose(lamp, "Start at login")
        wait_for("no entry", lambda: not entry.exists())

        # Put off: the lamp goes out and the notification with it.
        session = self.session(desktop, "snoozed")
        session.prompt("Go")
        call = session.asks_permission("make")
        wait_for("a notification", desktop.monitor.shown)
        desktop.choose(lamp, "Permission: ", "Snooze 1 h")
        wait_for("a lamp that went out", lambda: desktop.item(lamp, "Title") == "Lamplight: All clear")
        wait_for("the withdrawal", desktop.monitor.withdrawn)
        session.runs(call)

        # Paused: the lamp lights, and nothing is shown.
        desktop.choose(lamp, "Pause notifications", "Until I turn")
        session.asks_permission("make install")
        wait_for("the tray's count", lambda: desktop.item(lamp, "Title") == "Lamplight: 1 session needs you")
        wait_for("the moment it would have been told", lambda: held_back(desktop, session) == "paused")
        self.assertEqual(len(desktop.monitor.shown()), 1)
        desktop.choose(lamp, "Pause notifications", "Turn them on")
        held = wait_for("what the pause held back", lambda: desktop.monitor.shown()[1:])
        self.assertIn("make install", held[0].body)
        other = self.session(desktop, "after-the-pause")
        other.prompt("Go")
        other.asks_permission("make clean")
        later = wait_for("a notification of its own", lambda: desktop.monitor.shown()[2:])
        self.assertIn("make clean", later[0].body)


class Terminals(Window):
    """Sessions in terminals that can be brought to the front, and the strip above everything."""

    def in_terminal(self, desktop, title):
        """A client in an xterm of its own."""
        pid = desktop.home / f"{title}.pid"
        desktop.start(title, ["xterm", "-T", title, "-geometry", "80x12", "-e", "sh", "-c", f"echo $$ >{shlex.quote(str(pid))}.new; mv {shlex.quote(str(pid))}.new {shlex.quote(str(pid))}; exec sleep 600"])
        wait_for("the terminal", pid.exists)
        return self.session(desktop, title, process=Elsewhere(int(pid.read_text())))

    def test_go_to_it_and_the_strip(self):
        desktop = self.desktop()
        app = App(desktop, BINARY)
        lamp = wait_for("the lamp in the tray", desktop.lamp)
        session, other = self.in_terminal(desktop, "billing"), self.in_terminal(desktop, "shop")
        for one in (session, other):
            one.prompt("Go")
        # Before it asks: a notice leads to the terminal that was known when it was shown.
        wait_for("its terminal", lambda: (desktop.card(session.id)["terminal"] or {}).get("can_focus"))
        call = session.asks_permission("make deploy")
        wait_for("the card's way there", lambda: "Go to it" in app.text(part(session, "go-to")))
        self.assertNotEqual(desktop.active_title(), "billing")
        self.picture(desktop, "9-terminals")

        notice = wait_for("a notification", desktop.monitor.shown)[0]
        self.assertEqual(notice.actions[2::2], ["open", "go-to", "copy", "snooze"])

        # From the notification, the tray, and the card.
        desktop.choose_action("Go to it")
        wait_for("its terminal in front, from the notification", lambda: desktop.active_title() == "billing")
        desktop.press(desktop.windows("^shop$")[0], "space")
        desktop.choose(lamp, "Permission: ", "Go to it")
        wait_for("its terminal in front", lambda: desktop.active_title() == "billing")
        desktop.press(desktop.windows("^shop$")[0], "space")
        wait_for("the other one in front", lambda: desktop.active_title() == "shop")
        app.click(part(session, "go-to"))
        wait_for("its terminal in front again", lambda: desktop.active_title() == "billing")

        # Whoever looks at the terminal needs no word of what it asks.
        session.runs(call)
        wait_for("that it goes on", lambda: desktop.card(session.id)["attention"] is None)
        told = len(desktop.monitor.shown())
        session.asks_permission("make announce")
        wait_for("the request to be held back", lambda: held_back(desktop, session) == "attended")
        self.assertEqual(len(desktop.monitor.shown()), told)
        self.picture(desktop, "10-terminal-in-front")

        # The strip: small, above the others, gone when it is not wanted.
        app.script("return window.__TAURI_INTERNALS__.invoke('set_strip', { on: true })")
        strip = wait_for("the strip", lambda: desktop.windows("^Lamplight strip$"))[0]
        self.assertEqual(desktop.active_title(), "billing", "it takes nothing from whoever types")
        states = desktop.run(["xprop", "-id", strip, "_NET_WM_STATE"])
        self.assertIn("_NET_WM_STATE_ABOVE", states)
        time.sleep(2)
        self.picture(desktop, "11-strip")
        app.script("return window.__TAURI_INTERNALS__.invoke('set_strip', { on: false })")
        wait_for("no strip", lambda: not desktop.windows("^Lamplight strip$"))
        app.quit()


class Bare(Window):
    """A desktop without a tray, without notifications, or with another engine at the data."""

    def test_without_tray_and_notifications_the_window_works_on(self):
        desktop = self.desktop(has_panel=False, has_notifications=False)
        app = App(desktop, BINARY)
        wait_for("a word about the tray", lambda: "shows no tray icon" in app.text("body"))
        session = self.session(desktop, "plain")
        session.prompt("Hello")
        session.asks_permission("make")
        wait_for("the card", lambda: "Permission" in app.text(part(session, "state")))
        info = wait_for("that nobody shows notifications", lambda: self.info(app, "notifications"))
        self.assertEqual((info["tray"], info["closing_quits"]), (False, True))
        self.picture(desktop, "8-bare")

        # A panel that starts later finds the lamp.
        desktop.start_panel()
        wait_for("the lamp in the tray", desktop.lamp)
        self.assertFalse(app.script("return window.__TAURI_INTERNALS__.invoke('shell_info')")["closing_quits"])
        app.quit()

    @staticmethod
    def info(app, known):
        info = app.script("return window.__TAURI_INTERNALS__.invoke('shell_info')")
        return info if info[known] is False else None

    def test_without_tray_closing_the_window_ends_the_app(self):
        desktop = self.desktop(has_panel=False)
        app = desktop.start("lamplight", [str(BINARY)])
        window = wait_for("the window", desktop.windows)[0]
        # Keys pressed before the window manager has put it in front go nowhere.
        wait_for("the window in front", lambda: desktop.active_title() == "Lamplight")
        desktop.close_window(window)
        self.assertEqual(app.popen.wait(60), 0)

    def test_a_second_engine_is_refused_in_words(self):
        desktop = self.desktop()
        first = desktop.start("first", [str(BINARY), "--hidden"])
        wait_for("the engine", (desktop.data / "endpoint.json").exists)
        # Another session of the same person: its own bus, so the two starts do not know of each other.
        other = self.desktop(has_panel=False, has_notifications=False)
        second = other.start("lamplight", [str(BINARY)], env={"LAMPLIGHT_DATA": str(desktop.data)})
        dialog = wait_for("the reason on the screen", lambda: other.windows("cannot start"))[0]
        self.picture(other, "9-refused")
        other.press(dialog, "Return")
        self.assertEqual(second.popen.wait(60), 1)
        self.assertIn(str(first.pid), second.output(), "which process holds it")
        self.assertTrue(first.is_running())

    def test_sigterm_ends_in_order(self):
        desktop = self.desktop()
        app = desktop.start("lamplight", [str(BINARY)])
        wait_for("the engine", (desktop.data / "endpoint.json").exists)
        self.assertEqual(app.end(signal.SIGTERM), 0)
        self.assertFalse((desktop.data / "endpoint.json").exists())


def children_named(pid, name):
    """Returns the process's children whose program has this name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text()
            except OSError:
                continue
            program, rest = fields.partition("(")[2].rsplit(")", 1)
            if program == name[:15] and rest.split()[1] == str(pid) and rest.split()[0] != "Z":
                found.append(int(entry.name))
    return found


def is_zombie(pid):
    """The driver may not have asked after its child yet."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


if __name__ == "__main__":
    unittest.main()
