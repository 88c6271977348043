"""Row: start with nothing new."""

import json
import statistics

from . import stores
from .engine import Engine, Stream
from .people import People
from .report import Line, milliseconds

TO_REACH_S = 0.300


def measure(setting):
    home, data, known = setting.known()
    lamp = setting.binary("lamp")
    with People(setting, home, 20) as people:
        # Those sessions are new to the database once; after this pass nothing is.
        stores.timed([lamp, "import", "--json"], stores.environment(home, data))
        _, _, output = stores.timed([lamp, "import", "--json"], stores.environment(home, data))
        read_again = json.loads(output)["bytes_read"]
        times, ready = [], []
        for _ in range(3 if setting.quick else 10):
            with Engine(setting, home, data) as engine:
                stream = Stream(engine)
                at = stream.wait_for_cards(people.session_ids())
                times.append(at - engine.started)
                ready.append(engine.ready_s)
                stream.close()
    middle = statistics.median(times)
    return [
        Line("warm", f"start with nothing new, {known} sessions known: process start → all 20 live cards", f"p50 {milliseconds(middle)}, max {milliseconds(max(times))}", "≤ 300 ms", middle <= TO_REACH_S, figures={"seconds": times, "ready_seconds": ready}),
        Line("warm", "  transcript bytes read again", str(read_again), "0", read_again == 0, figures={"bytes_read": read_again}),
    ]
