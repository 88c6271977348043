"""ccusage: the time that summing the same store takes elsewhere."""

import json
import os
import subprocess

from . import stores

PACKAGE = "@ccusage/ccusage-linux-x64"
VERSION = "20.0.24"


def ccusage(setting):
    """Path of its binary, installed if need be; None when it cannot be had."""
    folder = setting.work / "ccusage"
    binary = folder / "node_modules" / PACKAGE / "bin" / "ccusage"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"{PACKAGE}@{VERSION}"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError):
            return None
    if not binary.exists():
        return None
    os.chmod(binary, 0o755)
    return binary


def run(binary, home):
    """(seconds, peak resident bytes, tokens by model) of one run over the store."""
    seconds, peak, output = stores.timed([binary, "daily", "--offline", "--json"], stores.environment(home, home))
    sums = {}
    for day in json.loads(output)["daily"]:
        for model in day["modelBreakdowns"]:
            sum_ = sums.setdefault(model["modelName"], {"input": 0, "output": 0, "cache_write": 0, "cache_read": 0})
            sum_["input"] += model["inputTokens"]
            sum_["output"] += model["outputTokens"]
            sum_["cache_write"] += model["cacheCreationTokens"]
            sum_["cache_read"] += model["cacheReadTokens"]
    return seconds, peak, sums


def agreeing(truth, sums):
    """Models whose sums are equal, and all that either knows.

    Two known differences are no fault of the store: ccusage counts every line of a Claude 1.0 response without
    request id, and takes Codex's cache writes out of its input.
    """
    equal = []
    for model, tokens in truth["tokens"].items():
        writes = tokens["cache_write_5m"] + tokens["cache_write_1h"]
        theirs = sums.get(model)
        taken_out = writes if model.startswith("gpt-") else 0
        ours = {"input": tokens["input"] - taken_out, "output": tokens["output"], "cache_write": writes, "cache_read": tokens["cache_read"]}
        if theirs == ours:
            equal.append(model)
    return equal, sorted(set(truth["tokens"]) | set(sums))
