"""Stores, databases and binaries: where they are, and how they are made once."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
RELEASE = REPOSITORY / "target" / "release"


class Setting:
    """What all rows share."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.quick = arguments.quick
        self.binaries = pathlib.Path(arguments.binaries or RELEASE)
        self.work = pathlib.Path(arguments.work or REPOSITORY / "target" / "bench").resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self._known = None

    def binary(self, name):
        path = self.binaries / name
        if not path.exists():
            raise FileNotFoundError(f"{name} is missing in {self.binaries.name}: run `make release`")
        return path

    def big_store(self):
        """The store of the import row: (home, truth)."""
        a = self.arguments
        return self.store(f"store-{a.bytes}-{a.files}-{a.seed}", ["--bytes", a.bytes, "--files", str(a.files), "--seed", str(a.seed)])

    def known(self):
        """A home with many small sessions, and a database that knows them: (home, data, sessions)."""
        if self._known is None:
            # Of the generator's transcripts about three in four are sessions; the rest are subagents. The table says
            # how many it came to.
            files = self.arguments.known * 7 // 5
            flags = ["--bytes", f"{files * 30}KB", "--files", str(files), "--seed", "11"]
            home, _ = self.store(f"known-{self.arguments.known}", flags)
            data = self.fresh("known-data")
            done = subprocess.run([self.binary("lamp"), "import", "--json"], env=environment(home, data), capture_output=True, check=True)
            self._known = home, data, json.loads(done.stdout)["sessions"]
            if self._known[2] < 0.9 * self.arguments.known:
                raise ValueError(f"{self._known[2]} sessions were imported, not about {self.arguments.known}")
        return self._known

    def store(self, name, flags):
        home = self.work / name
        truth = self.work / f"{name}.truth.json"
        generator = self.generator()
        made_by = f"{generator.stat().st_mtime_ns} {' '.join(flags)}"
        stamp = self.work / f"{name}.made-by"
        if not (truth.exists() and stamp.exists() and stamp.read_text() == made_by):
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            done = subprocess.run([generator, "--out", home, *flags], stdout=subprocess.PIPE, check=True)
            truth.write_bytes(done.stdout)
            stamp.write_text(made_by)
        return home, json.loads(truth.read_text())

    def generator(self):
        path = RELEASE / "generate-store"
        if not path.exists():
            build = ["cargo", "build", "--release", "--quiet", "--package", "lamplight-store-generator"]
            subprocess.run(build, cwd=REPOSITORY, check=True)
        return path

    def fresh(self, name):
        """An empty folder."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def environment(home, data):
    """Only what the program may know: no variable of the person who runs this."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), "LAMPLIGHT_DATA": str(data), "LANG": "C.UTF-8"}


def transcript_bytes(home):
    return sum(path.stat().st_size for folder in (".claude/projects", ".codex") for path in (home / folder).rglob("*.jsonl"))


def database_bytes(data):
    """The database with its log and index files."""
    return sum(path.stat().st_size for path in data.rglob("*") if path.is_file() and (".db" in path.name or ".sqlite" in path.name))


def timed(command, env):
    """Runs a program to its end: (seconds, peak resident bytes, standard output)."""
    # Files, not pipes: nobody reads while the program runs, and a full pipe would stop it for ever.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(command, env=env, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, errors = out.read(), err.read().decode(errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"{pathlib.Path(command[0]).name} ended with {process.returncode}: {errors[-400:]}")
    return seconds, usage.ru_maxrss * 1024, output
