"""What is fuzzed: each subject makes a bad input from a good one and hands it to the code that a command calls first.

An input is dealt with well when it is accepted, or refused by an error of ours in one clear line that names the file.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import typer
import yaml

from chaos.lease import lease
from chaos.specification import experiment as experiments
from chaos.toolkit import exporting, importing
from harness.adapter.checking.report import Description
from harness.cli.app import app
from harness.cli.judge import judge_record
from harness.cli.loading import load_planned
from harness.cli.platforms import require_fitting
from harness.errors import ExitCode, GatecrashError, InputError
from harness.judging import gate
from harness.rehearsal import adapter
from harness.scaffold.recording import har
from harness.scenario import FOLDER, Scenario
from harness.scenario import names as scenario_names
from harness.stack.owner import owner_of
from tests.builders import RunBuilder
from tests.fuzz import mutations

LINE_MAX: Final = 4000
COMMAND: Final = typer.main.get_command(app)


class Subject(Protocol):
    """One kind of input. `given`: what was made, for whoever wants to see it again."""

    name: str

    def make(self, dice: random.Random, room: Path) -> str:
        """Make one and put it into `room`; returns it in a form to show."""

    def take(self, room: Path) -> None:
        """Hand it over. Raises GatecrashError where it is refused."""


class _File:
    """A subject that is one file."""

    name = ""
    file = ""

    def __init__(self) -> None:
        self._good = self.good()

    def good(self) -> list[bytes]:
        raise NotImplementedError

    def mutate(self, good: bytes, dice: random.Random) -> bytes:
        return mutations.of_yaml(good.decode(), dice)

    def make(self, dice: random.Random, room: Path) -> str:
        content = self.mutate(dice.choice(self._good), dice)
        (room / self.file).write_bytes(content)
        return repr(content[:3000])


class ScenarioFiles(_File):
    """`scenario check FILE`, the adapter left out. What is accepted can be sent to the swarm and read back."""

    name = "scenario"
    file = "scenario.yaml"

    def good(self) -> list[bytes]:
        return [(FOLDER / f"{name}.yaml").read_bytes() for name in scenario_names()]

    def take(self, room: Path) -> None:
        for extra in ("little_shop",):
            with contextlib.suppress(FileExistsError):
                (room / extra).symlink_to(FOLDER / extra)
        source, _ = load_planned(str(room / self.file), [])
        require_fitting(source, "")
        sent = msgspec.json.encode(msgspec.to_builtins(source.scenario, str_keys=True))
        msgspec.json.decode(sent, type=Scenario, strict=False)


class ExperimentFiles(_File):
    """`experiment check FILE`, and `chaos export` of what is accepted."""

    name = "experiment"
    file = "experiment.yaml"

    def good(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(experiments.FOLDER.glob("*.yaml"))]

    def take(self, room: Path) -> None:
        msgspec.json.encode(experiments.load(room / self.file))


class Overrides:
    """`--set KEY=VALUE` on every command that has it."""

    name = "override"

    def __init__(self) -> None:
        found = [yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) for name in ("smoke", "playoff-presale")]
        self._keys = [".".join(map(str, place)) for data in found for place in _places_of(data)]

    def make(self, dice: random.Random, room: Path) -> str:
        key = dice.choice(self._keys)
        if dice.random() < 0.3:
            key = mutations.misspelt(key, dice)
        values = (str(dice.choice(mutations.VALUES)), dice.choice(mutations.RAW), mutations.bomb(9), "[" * 3000)
        given = f"{key}={dice.choice(values[:2] if dice.random() < 0.95 else values)}"
        (room / "override").write_text(given, encoding="utf-8", errors="surrogatepass")
        return repr(given[:500])

    def take(self, room: Path) -> None:
        text = (room / "override").read_text(encoding="utf-8", errors="surrogatepass")
        run_command(["scenario", "show", "smoke", "--set", text])


def _places_of(data: object) -> list[tuple[Any, ...]]:
    return mutations.places(data, ())


class CommandLines:
    """Commands with wrong options, values and files. None of them starts anything."""

    name = "command line"
    _WORDS: Final = (
        "scenario",
        "experiment",
        "chaos",
        "check",
        "show",
        "list",
        "status",
        "gate",
        "report",
        "compare",
        "import",
        "export",
        "--json",
        "--help",
        "--set",
        "--min-grade",
        "--edge",
        "--part",
        "--ms",
        "--percent",
        "--scenario",
        "--platform",
        "--stack",
        "--locustfile",
        "--nonsense",
        "-x",
        "--",
        "A",
        "Z",
        "smoke",
        "redis-down",
        "latency",
        "cut",
        "errors",
        "drill",
        "load.fans=1",
        "=",
        "a=b=c",
        "my.py:Class",
        "http://127.0.0.1:1",
        "http://[",
        "no-such-host:1",
        "0",
        "-1",
        "1e400",
    )
    _FIRST: Final = (
        ("scenario", "show"),
        ("scenario", "check"),
        ("experiment", "show"),
        ("experiment", "check"),
        ("gate",),
        ("report",),
        ("compare",),
        ("chaos", "import"),
        ("chaos", "export"),
        ("scenario",),
        ("experiment",),
        ("adapter",),
        ("runs", "--out"),
        ("findings", "--file"),
        ("report", "--out"),
    )

    def make(self, dice: random.Random, room: Path) -> str:
        pipe = room / "pipe"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(pipe)
        places = (str(room), str(pipe), "/dev/zero", "/dev/null", "/proc/self/mem", "/", "", str(room / "nothing"))
        texts = (*(str(value) for value in mutations.VALUES if "\0" not in str(value)), "\udcff", "run\udcff=x")
        words = [dice.choice(dice.choice((self._WORDS, self._WORDS, places, texts))) for _ in range(dice.randrange(4))]
        line = [*dice.choice(self._FIRST), *words]
        (room / "line.json").write_text(json.dumps(line))
        return repr(line)[:500]

    def take(self, room: Path) -> None:
        run_command(json.loads((room / "line.json").read_text()))


class Records:
    """`report RUN` and `gate RUN` of a record whose documents or tables were changed or cut."""

    name = "record"

    def __init__(self) -> None:
        self._good: Path | None = None

    def make(self, dice: random.Random, room: Path) -> str:
        if self._good is None:
            self._good = room.parent / "good-record"
            RunBuilder(fans=4, faulty=False).write(self._good)
        run = room / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self._good, run)
        files = sorted(path for path in run.rglob("*") if path.is_file())
        documents = [path for path in files if path.name in ("run.json", "faults.json")]
        path = dice.choice(documents if dice.random() < 0.7 else files)
        good = path.read_bytes()
        if path.suffix == ".json":
            content = mutations.of_json(self._unsealed(good, dice), dice, json.loads, _as_json)
        else:
            content = mutations.of_bytes(good, dice)
        path.write_bytes(content)
        return f"{path.name}: {content[:3000]!r}"

    def _unsealed(self, content: bytes, dice: random.Random) -> bytes:
        """Most without seals, which would refuse each change before anything is read."""
        data = json.loads(content)
        if dice.random() < 0.8 and isinstance(data, dict) and "sealed" in data:
            data |= {"sealed": {}, "seal": ""} if "seal" in data else {"sealed": {}}
        return json.dumps(data).encode()

    def take(self, room: Path) -> None:
        judge_record(room / "run")


class Verdicts(_File):
    """A verdict.json that `gate` finds beside the record."""

    name = "verdict"
    file = "verdict.json"

    def __init__(self) -> None:
        super().__init__()
        self._record: Path | None = None

    def good(self) -> list[bytes]:
        return [b'{"schema": "gatecrash.verdict/1", "verdict": "READY", "grade": "A", "slis": [], "record": {}}']

    def mutate(self, good: bytes, dice: random.Random) -> bytes:
        return mutations.of_json(good, dice, json.loads, _as_json)

    def take(self, room: Path) -> None:
        if self._record is None:
            self._record = room.parent / "verdict-record"
            RunBuilder(fans=1, faulty=False).write(self._record)
            self._verdict = judge_record(self._record).verdict
        shutil.copy(room / self.file, self._record / self.file)
        gate.decide(self._record, lambda _: self._verdict, None)


class Descriptions(_File):
    """What the process prints that loads an adapter: the adapter may print anything, too."""

    name = "adapter"
    file = "said"

    def good(self) -> list[bytes]:
        return [msgspec.json.encode(Description(uses_kit=True, capabilities=("queue", "order_export")))]

    def mutate(self, good: bytes, dice: random.Random) -> bytes:
        return mutations.of_json(good, dice, json.loads, _as_json)

    def take(self, room: Path) -> None:
        said = adapter._Said("describe", 0, (room / self.file).read_bytes(), "")
        adapter._decoded(said, Description, "shop.py:Shop")


class Imports(_File):
    """`chaos import FILE`."""

    name = "import"
    file = "imported.json"

    def good(self) -> list[bytes]:
        shipped = [experiments.load(name) for name in ("redis-down", "payment-latency-8s", "booking-node-loss")]
        return [msgspec.json.encode(exporting.export(one)) for one in shipped]

    def mutate(self, good: bytes, dice: random.Random) -> bytes:
        return mutations.of_json(good, dice, json.loads, _as_json)

    def take(self, room: Path) -> None:
        importing.read(room / self.file)


class Hars(_File):
    """`init --har FILE`."""

    name = "har"
    file = "browser.har"

    def good(self) -> list[bytes]:
        request = {
            "method": "POST",
            "url": "http://127.0.0.1/hold",
            "headers": [{"name": "A", "value": "b"}],
            "queryString": [],
            "postData": {"mimeType": "application/json", "text": '{"seat": "A-1"}'},
        }
        response = {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": '{"id": 7}'}}
        entry = {"startedDateTime": "2026-01-01T10:00:00Z", "time": 5, "request": request, "response": response}
        return [json.dumps({"log": {"version": "1.2", "entries": [entry, entry]}}).encode()]

    def mutate(self, good: bytes, dice: random.Random) -> bytes:
        return mutations.of_json(good, dice, json.loads, _as_json)

    def take(self, room: Path) -> None:
        har.read_har(room / self.file)


class Journals(_File):
    """A journal of faults in force, and the owner of a stack, as a crash or another version left them."""

    name = "journal"
    file = "one.journal"

    def good(self) -> list[bytes]:
        opened = {"record": "opened", "keeper": {"pid": 1, "started": "x:1"}, "lease_s": 10.0, "run": "/runs/x"}
        owner = {"process": {"pid": 1, "started": "x:1"}, "namespaces": "", "uid": 0}
        return [json.dumps(opened).encode() + b"\n", json.dumps(owner).encode()]

    def mutate(self, good: bytes, dice: random.Random) -> bytes:
        return mutations.of_json(good, dice, json.loads, _as_json)

    def take(self, room: Path) -> None:
        owner_of((room / self.file).read_bytes().decode("utf-8", "replace"))
        lease.read(room / self.file)


def _as_json(data: Any) -> bytes:
    return json.dumps(data, default=str).encode()


SUBJECTS: Final[dict[Callable[[], Subject], float]] = {
    ScenarioFiles: 0.1,
    ExperimentFiles: 0.2,
    Overrides: 0.04,
    CommandLines: 0.1,
    Records: 0.06,
    Verdicts: 0.1,
    Descriptions: 0.12,
    Imports: 0.05,
    Hars: 0.12,
    Journals: 0.11,
}
"""Each kind of input, and its share of all: less of what takes long."""


def run_command(words: list[str]) -> None:
    """A command in this process; raises GatecrashError where it is refused, be it by the parser of options."""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            COMMAND.main(words, prog_name="gatecrash", standalone_mode=False)
    except typer.Exit as done:
        if done.exit_code not in set(ExitCode):
            raise RuntimeError(f"exit code {done.exit_code}") from done
    except typer.TyperException as error:
        raise InputError(error.format_message().splitlines()[0]) from error


def complaints(error: GatecrashError, subject: Subject, room: Path) -> Iterator[str]:
    """What is wrong with how an input was refused."""
    said = str(error)
    if error.exit_code != ExitCode.BAD_INPUT:
        yield f"exit code {int(error.exit_code)}"
    if any(ord(character) < 32 or character in "\x7f\u2028\u2029\u202e" for character in said):
        yield "more than one plain line"
    if len(said) > LINE_MAX:
        yield f"a line of {len(said)} characters"
    if not said.strip():
        yield "silence"
    if isinstance(subject, ScenarioFiles | ExperimentFiles) and not getattr(error, "file", None):
        yield "no file is named"
