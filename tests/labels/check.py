#!/usr/bin/env python3
"""Checks the label files against the fixtures: python3 tests/labels/check.py

Every label names a known state and session, is in order of time, and cites a driver or model row that stands in the
scenario's timeline at exactly that time; every session id occurs in the scenario's fixtures.
"""

import json
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
STATES = {
    "starting", "working", "awaiting_permission", "awaiting_answer", "awaiting_reply", "background",
    "interrupted", "errored", "ended", "crashed", "unknown",
}
DETAILS = {"question", "plan", "elicitation"}
# Rows of the driver and of the fake model; everything else is what the program under test reads, and proves nothing.
CODEX_ROWS = {"driver", "model_request", "proc_start", "proc_end", "exec_end"}


def evidence(agent, folder):
    """Returns the citable rows as (seconds, text), and the last second of the timeline."""
    rows, end = [], 0.0
    if agent == "claude-code":
        for line in (folder / "timeline.txt").read_text().splitlines():
            words = line.split()
            if len(words) < 2 or not words[0].replace(".", "").isdigit():
                continue
            end = max(end, float(words[0]))
            if words[1] in ("driver", "model"):
                rows.append((float(words[0]), " ".join(words)))
        return rows, end
    for line in (folder / "timeline.jsonl").read_text().splitlines():
        row = json.loads(line)
        end = max(end, row["dt"])
        if row["what"] in CODEX_ROWS:
            rows.append((row["dt"], line))
    return rows, end


def problems(path):
    """Yields what is wrong with one label file."""
    labels = json.loads(path.read_text())
    agent, scenario = path.parent.name, path.stem
    if (labels["agent"], labels["scenario"]) != (agent, scenario):
        yield "agent or scenario is not that of the file name"
    folder = TESTS / "fixtures" / agent / scenario
    rows, end = evidence(agent, folder)
    if labels["end_at"] != end:
        yield f"end_at {labels['end_at']} is not the timeline's end {end}"
    material = "".join(p.read_text(errors="replace") + p.name for p in folder.rglob("*") if p.is_file())
    for name, session in labels["sessions"].items():
        if session not in material:
            yield f"session {name}: {session} occurs nowhere in the fixtures"
    if not labels["labels"]:
        yield "no labels"
    before = 0.0
    for label in labels["labels"]:
        where = f"{label['at']} {label['session']}"
        states = [label["state"]] if "state" in label else label["any_of"]
        if "state" in label and "any_of" in label or not states or not STATES.issuperset(states):
            yield f"{where}: states {states}"
        if label["session"] not in labels["sessions"]:
            yield f"{where}: no such session"
        if label["at"] < before:
            yield f"{where}: out of order"
        before = label["at"]
        if label.get("by", label["at"]) < label["at"]:
            yield f"{where}: by {label['by']} is before it"
        session = labels["sessions"].get(label["session"])
        following = [
            other["at"] for other in labels["labels"]
            if labels["sessions"].get(other["session"]) == session and other["at"] > label["at"]
        ]
        until = label.get("until", label["at"])
        if not label.get("by", label["at"]) <= until <= min(following, default=end) and "until" in label:
            yield f"{where}: until {until} is no moment between it and the next label"
        if not any(at == label["at"] and text.startswith(label["row"]) for at, text in rows):
            yield f"{where}: no such driver or model row: {label['row']}"
        if "awaiting_answer" in states and len(states) == 1 and label.get("detail") not in DETAILS:
            yield f"{where}: an awaited answer needs its detail"
    for never in labels.get("never", []):
        where = f"never {never['session']} {never['from']}"
        if never["session"] not in labels["sessions"] or not STATES.issuperset(never["states"]):
            yield f"{where}: session or states"
        if not 0 <= never["from"] < never["to"] <= end:
            yield f"{where}: interval"
        session = labels["sessions"][never["session"]]
        for label in labels["labels"]:
            same = labels["sessions"][label["session"]] == session
            inside = never["from"] < label["at"] < never["to"]
            allowed = {label["state"]} if "state" in label else set(label["any_of"])
            if same and inside and allowed <= set(never["states"]):
                yield f"{where}: contradicts the label at {label['at']}"


def main():
    files = sorted((TESTS / "labels").glob("*/*.json"))
    found = [(f, p) for f in files for p in problems(f)]
    for path, problem in found:
        print(f"{path.parent.name}/{path.name}: {problem}", file=sys.stderr)
    count = sum(len(json.loads(f.read_text())["labels"]) for f in files)
    print(f"{len(files)} scenarios, {count} labels, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
