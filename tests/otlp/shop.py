"""What an instrumented program of the tests does, and what a person is to see of it: shop.json, which JavaScript reads too."""

import json
import pathlib
import time
import urllib.parse

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
TRACER = "shop.tracer"

_STORY = json.loads((pathlib.Path(__file__).parent / "shop.json").read_text(encoding="utf-8"))
NAME, NAMESPACE = _STORY["name"], _STORY["namespace"]
CALLS, AROUND, SHOWN, PRICES = _STORY["calls"], _STORY["around"], _STORY["shown"], _STORY["prices"]
SECONDS_PER_CALL = _STORY["seconds_per_call"]


def cost_usd(tokens):
    """What tokens cost by the prices of the tests' own configuration, which are per million."""
    return sum(count * PRICES[kind] for kind, count in tokens.items()) / 1e6


def last_minute():
    """A moment in the minute before this one, so that no call falls into two."""
    return (time.time_ns() // MINUTE - 1) * MINUTE + 5 * SECOND


def holds(test, service, at_ns):
    """Holds what is shown against what was done, all of it within the minute of `at_ns`."""
    test.assertEqual((service["name"], service["namespace"]), (NAME, NAMESPACE))
    test.assertEqual((service["state"], service["measures"]), ("live", "model_calls"))
    calls, errors = SHOWN["calls"], SHOWN["errors"]
    test.assertEqual((service["calls"], service["errors"], service["error_rate"]), (calls, errors, errors / calls))
    test.assertEqual(sorted(service["models"]), SHOWN["models"])
    test.assertEqual(service["tokens"], SHOWN["tokens"])
    test.assertAlmostEqual(service["cost_usd"], cost_usd(SHOWN["tokens"]), places=9)
    test.assertEqual(service["cost_source"], "table")
    for quantile in ("p50_ms", "p95_ms"):
        test.assertLessEqual(abs(service[quantile] - SECONDS_PER_CALL * 1_000), SECONDS_PER_CALL * 125, quantile)
    series = service["series"]
    minute = (at_ns // MINUTE * 60_000 - series["from_ms"]) // 60_000
    test.assertEqual(len(series["calls"]), 60)
    test.assertEqual({i: n for i, n in enumerate(series["calls"]) if n}, {minute: calls})
    test.assertEqual({i: n for i, n in enumerate(series["errors"]) if n}, {minute: errors})
    test.assertAlmostEqual(series["cost_usd"][minute], cost_usd(SHOWN["tokens"]), places=9)
    test.assertAlmostEqual(sum(series["cost_usd"]), cost_usd(SHOWN["tokens"]), places=9)


def trace_holds(test, lamp):
    """Holds the one trace of the visit against what was done: its spans once each, under the agent that made them."""
    page = lamp.get("/api/v1/traces?" + urllib.parse.urlencode({"service": NAME}))
    test.assertEqual([trace["name"] for trace in page["traces"]], ["invoke_agent shop"])
    summary = page["traces"][0]
    test.assertEqual((summary["spans"], summary["errors"], summary["has_root"]), (1 + len(CALLS) + len(AROUND), 1, True))
    test.assertEqual(sorted(summary["models"]), SHOWN["models"])
    test.assertEqual(summary["tokens"], SHOWN["tokens"])
    found = lamp.get(f"/api/v1/traces/{summary['trace_id']}")
    root, *inside = found["spans"]
    test.assertEqual((root["name"], root["parent_span_id"], root["depth"]), ("invoke_agent shop", None, 0))
    test.assertEqual(sorted(span["name"] for span in inside), sorted(told["name"] for told in CALLS + AROUND))
    for span in inside:
        test.assertEqual((span["parent_span_id"], span["depth"], span["is_orphan"]), (root["span_id"], 1, False))
    test.assertEqual([span["message"] for span in inside if span["is_error"]], ["429"])
    test.assertEqual([span["tool"] for span in inside if span["tool"]], ["search"])
    test.assertEqual({span["duration_us"] for span in inside if span["model"]}, {SECONDS_PER_CALL * 1_000_000})
