"""Row: the first import of a store nobody has seen."""

import json
import statistics

from . import stores, yardstick
from .report import Line, megabytes

COUNTED = ("sessions", "messages", "prompts", "tool_calls", "subagents", "tokens")


def measure(setting):
    home, truth = setting.big_store()
    lamp = setting.binary("lamp")
    theirs = yardstick.ccusage(setting)
    size = stores.transcript_bytes(home)
    rounds = 1 if setting.quick else 3
    # Both read from the page cache: the first run of the yardstick, or of ours, fills it and is not counted.
    if theirs:
        yardstick.run(theirs, home)
    else:
        one_import(lamp, home, setting)
    ours_s, ours_peak, theirs_s, database, totals, sums = [], [], [], 0, {}, {}
    for _ in range(rounds):
        if theirs:
            seconds, _, sums = yardstick.run(theirs, home)
            theirs_s.append(seconds)
        seconds, peak, totals, database = one_import(lamp, home, setting)
        ours_s.append(seconds)
        ours_peak.append(peak)

    wrong = [key for key in COUNTED if totals.get(key) != truth[key]]
    ours, peak = statistics.median(ours_s), max(ours_peak)
    figures = {"seconds": ours_s, "yardstick_seconds": theirs_s, "peak_rss_bytes": peak, "database_bytes": database, "store_bytes": size}
    if theirs:
        limit = statistics.median(theirs_s)
        speed = Line("import", f"first import of {megabytes(size)}", f"{ours:.2f} s; ccusage {limit:.2f} s: {ours / limit:.2f} ×", "≤ 1.5 ×, then ≤ 1.0 ×", ours <= 1.5 * limit, figures=figures)
    else:
        speed = Line("import", f"first import of {megabytes(size)}", f"{ours:.2f} s; yardstick missing", "≤ 1.5 × ccusage", figures=figures)
    lines = [
        speed,
        Line("import", "  peak RSS", megabytes(peak), "≤ 200 MB", peak <= 200e6),
        Line("import", "  database", f"{megabytes(database)}, {database / size:.1%}", "≤ 12 % of the transcripts", database <= 0.12 * size),
        Line("import", "  totals", f"differ from the truth: {', '.join(wrong)}" if wrong else "equal the truth", "equal", not wrong, failed=bool(wrong)),
    ]
    if wrong:
        lines[-1].figures = {"truth": truth, "imported": {key: totals.get(key) for key in COUNTED}}
    if theirs:
        equal, models = yardstick.agreeing(truth, sums)
        lines.append(Line("import", "  ccusage's sums", f"equal ours for {len(equal)} of {len(models)} models", figures={"equal_models": equal}))
    return lines


def one_import(lamp, home, setting):
    data = setting.fresh("import-data")
    seconds, peak, output = stores.timed([lamp, "import", "--json"], stores.environment(home, data))
    return seconds, peak, json.loads(output), stores.database_bytes(data)
