"""The few words of the W3C WebDriver protocol that the tests need."""

import base64
import json
import urllib.error
import urllib.request

from desktop import Timeout, wait_for

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
RIGHT_BUTTON = 2


class WebDriverError(OSError):
    """The driver refused; an OSError, so that waiting goes on."""


class App:
    """The app, started and steered by WebKitWebDriver."""

    def __init__(self, desktop, binary, args=(), port=None):
        self.desktop = desktop
        # Somebody may take the port before the driver has it: then another one is tried.
        for is_last in (False, True):
            if self._start_driver(port or free_port(), is_last):
                break
        options = {"binary": str(binary), "args": list(args)}
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}, seconds=60)
        self.session = f"/session/{answer['sessionId']}"

    def _start_driver(self, port, is_last):
        """Starts the driver and returns whether it answers; the last one has to."""
        self.driver = self.desktop.start("webdriver", ["WebKitWebDriver", f"--port={port}"], env={"TAURI_WEBVIEW_AUTOMATION": "true"})
        self.base = f"http://127.0.0.1:{port}"
        if is_last:
            return wait_for("the driver", self._answers)
        try:
            wait_for("the driver, or its end", lambda: not self.driver.is_running() or self._answers())
        except Timeout:
            self.driver.end()
        return self.driver.is_running()

    def _answers(self):
        return self._send("GET", "/status") is not None

    def _send(self, method, path, body=None, seconds=30):
        data = None if method == "GET" or method == "DELETE" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise WebDriverError(error.read().decode(errors="replace")) from None

    def send(self, method, path, body=None):
        return self._send(method, self.session + path, body)

    def script(self, source, *args):
        return self.send("POST", "/execute/sync", {"script": source, "args": list(args)})

    def find(self, css):
        """Returns the element, waiting for it."""
        return wait_for(f"an element {css}", lambda: self.send("POST", "/element", {"using": "css selector", "value": css})[ELEMENT])

    def find_all(self, css):
        return [e[ELEMENT] for e in self.send("POST", "/elements", {"using": "css selector", "value": css})]

    def text(self, css):
        return self.send("GET", f"/element/{self.find(css)}/text")

    def click(self, css):
        self.send("POST", f"/element/{self.find(css)}/click")

    def right_click(self, css):
        """Presses the right button over the element's middle."""
        origin = {ELEMENT: self.find(css)}
        actions = [
            {"type": "pointerMove", "origin": origin, "x": 0, "y": 0},
            {"type": "pointerDown", "button": RIGHT_BUTTON},
            {"type": "pointerUp", "button": RIGHT_BUTTON},
        ]
        pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self.send("POST", "/actions", {"actions": [pointer]})

    def screenshot(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.send("GET", "/screenshot")))

    def quit(self):
        """Ends driver and app."""
        try:
            self._send("DELETE", self.session)
        except OSError:
            pass  # The window was closed: the driver has no session to end.
        self.driver.end()


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
