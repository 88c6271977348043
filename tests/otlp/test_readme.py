"""The example of the README, word for word, as a person would run it."""

import re
import subprocess
import sys
import unittest

from lamp import REPOSITORY, Lamp

SNIPPET = re.compile(r"return `# pip install [^\n]*\n(.*?)`;", re.DOTALL)
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples():
    return EXAMPLE.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))


class Readme(unittest.TestCase):
    def test_the_screen_shows_the_same_lines(self):
        source = (REPOSITORY / "frontend" / "src" / "lib" / "snippets.ts").read_text(encoding="utf-8")
        shown = [snippet.replace("${exporter}", "OTLPSpanExporter()") + "\n" for snippet in SNIPPET.findall(source)]
        self.assertEqual(shown, examples())

    def test_the_service_of_the_example_shows_up_with_its_sparkline(self):
        (example,) = examples()
        statements = [line for line in example.splitlines() if line.strip()]
        self.assertLessEqual(len(statements), 10, "ten lines are what is promised")
        with Lamp() as lamp:
            # The one difference: the receiver of this test is not at the usual port.
            environment = {"PATH": "/usr/bin:/bin", "HOME": str(lamp.home), "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{lamp.http}"}
            done = subprocess.run([sys.executable, "-c", example], env=environment, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            service = lamp.service("shop-assistant")
        self.assertEqual((service["state"], service["measures"], service["errors"]), ("live", "model_calls", 0))
        self.assertEqual(service["models"], ["claude-opus-5-5"])
        self.assertEqual((service["tokens"]["input"], service["tokens"]["output"]), (800, 120))
        self.assertGreater(service["cost_usd"], 0)
        self.assertIsNotNone(service["p50_ms"])
        # The minute it ran in, which may just have ended.
        self.assertEqual((sum(service["series"]["calls"]), sum(service["series"]["calls"][-2:])), (1, 1))


if __name__ == "__main__":
    unittest.main()
