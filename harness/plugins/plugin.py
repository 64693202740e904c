"""What a plugin declares, as frozen types. `harness.plugins.loading` finds it, `harness.plugins.checks` refuses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from harness.audit.spec import InvariantSpec
from harness.record.reader import Record
from harness.record.verdict import Verdict
from harness.sli.indicators import IndicatorSpec

Plain: TypeAlias = str | int | float | bool
Prepared: TypeAlias = dict[str, Plain]
"""All that it takes to inject a fault and to undo it: plain data, since another process may have to undo it."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The component that a fault breaks.

    `address`: where it listens, host:port; "" for nowhere. `control`: of a proxy, the URL of its server's HTTP API, as
    Toxiproxy has it. `pid`, `container`: of a process; the container is "" for a process of this machine.
    """

    kind: Literal["proxy", "process"]
    name: str
    address: str
    control: str = ""
    pid: int = 0
    container: str = ""


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a fault kind that has no options."""


class FaultKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of fault. An experiment names it, and its canary proves it, as with our own.

    `options`: a frozen Struct, what an experiment may say of it. `prepare`: reads the state before the fault and
    changes nothing; what it returns is on disk before `inject` is called. `undo`: safe to do twice, also when nothing
    was injected; it may run in another process, long after ours was killed. All three raise an exception when they
    cannot do it.
    """

    name: str
    title: str
    on: Literal["proxy", "process"]
    prepare: Callable[[Place, Any], Prepared]
    inject: Callable[[Prepared], None]
    undo: Callable[[Prepared], None]
    options: type[msgspec.Struct] = NoOptions


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a report section: a paragraph, and rows of as many cells as there are columns."""

    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the report. `view` makes it from the record and the verdict, and from nothing else."""

    name: str
    title: str
    view: Callable[[Record, Verdict], Table]


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """All that one plugin adds. Its entry point in the group `gatecrash.plugins` leads to an instance."""

    indicators: tuple[IndicatorSpec, ...] = ()
    invariants: tuple[InvariantSpec, ...] = ()
    faults: tuple[FaultKind, ...] = ()
    sections: tuple[Section, ...] = ()
