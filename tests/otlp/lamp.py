"""A `lamp serve` of its own, in a home of its own, as a client on this machine meets it."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

import shop

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LAMPLIGHT_LAMP", REPOSITORY / "target" / "debug" / "lamp"))

# Prices of our own, so that what a test expects to pay rests on no table.
CONFIG = '[prices."shop-model-*"]\n' + "".join(f"{kind} = {dollars}\n" for kind, dollars in shop.PRICES.items())


class Lamp:
    """Killed at the end of a `with`; its data outlive a kill in between."""

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="lamplight-otlp-"))
        (self.home / "config.toml").write_text(CONFIG)
        self.start()

    def start(self):
        variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "LAMPLIGHT_DATA": str(self.data),
            "LAMPLIGHT_CONFIG": str(self.home / "config.toml"),
            # Where it is about noon: what is summed since midnight holds what was sent a minute ago.
            "TZ": f"NOON{time.gmtime().tm_hour - 12}",
        }
        command = [BINARY, "serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        with open(self.home / "serve.log", "ab") as log:
            self.process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"lamp serve ended with {self.process.wait()}: {(self.home / 'serve.log').read_text()}")
        ready = json.loads(line)
        self.http, self.grpc = ready["http"], ready["grpc"]
        self.token = pathlib.Path(ready["token_file"]).read_text().strip()

    @property
    def data(self):
        return self.home / "data"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.home)

    def get(self, path):
        request = urllib.request.Request(f"http://{self.http}{path}", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def services(self):
        return {service["name"]: service for service in self.get("/api/v1/status")["services"]}

    def service(self, name, shows=lambda service: True, timeout_s=20):
        """The service, once it shows what is waited for. Its figures are told once a second."""
        limit = time.monotonic() + timeout_s
        while True:
            service = self.services().get(name)
            if service is not None and shows(service):
                return service
            if time.monotonic() > limit:
                raise AssertionError(f"{name} within {timeout_s} s: {service}")
            time.sleep(0.05)

    def source(self):
        """How the receiver itself is."""
        return next(source for source in self.get("/api/v1/status")["sources"] if source["name"] == "otlp")
