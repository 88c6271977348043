"""Row: searching the archive."""

import json
import time
import urllib.parse

from .engine import Engine
from .report import Line, milliseconds, percentile


def measure(setting):
    home, data, known = setting.known()
    with Engine(setting, home, data) as engine:
        connection = engine.connection()

        def get(query):
            path = "/api/v1/sessions?" + urllib.parse.urlencode(query)
            started = time.monotonic()
            connection.request("GET", path, headers=engine.headers())
            response = connection.getresponse()
            body = response.read()
            seconds = time.monotonic() - started
            if response.status != 200:
                raise RuntimeError(f"{path} answered {response.status}: {body[:200]!r}")
            return seconds, json.loads(body)

        # Words to look for come from the sessions themselves: names, projects, branches, ids, and one that matches nothing.
        _, page = get({"limit": 200})
        words = {"no-such-word-anywhere"}
        for card in page["sessions"]:
            words.update([card["label"].split()[0], card["label"][:12], card["session_id"][:8], card["project"] or "", card["branch"] or ""])
        words = sorted(word for word in words if len(word) > 2)
        if len(words) < 5:
            raise RuntimeError(f"only {len(words)} words to search for among {len(page['sessions'])} sessions")
        times, found = [], 0
        for index in range(60 if setting.quick else 300):
            seconds, page = get({"q": words[index % len(words)], "limit": 50})
            times.append(seconds)
            found += bool(page["sessions"])
        connection.close()
    if found < len(times) // 2:
        raise RuntimeError(f"only {found} of {len(times)} searches found anything")
    p95 = percentile(times, 0.95)
    return [Line("search", f"archive search among {known} sessions", f"p50 {milliseconds(percentile(times, 0.5))}, p95 {milliseconds(p95)}, max {milliseconds(max(times))}", "≤ 30 ms", p95 <= 0.030, figures={"p50_s": percentile(times, 0.5), "p95_s": p95, "max_s": max(times), "searches": len(times)})]
