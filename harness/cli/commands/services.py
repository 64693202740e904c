"""`target` and `toxiproxy`: the reference booking system and the fault proxy, each by itself."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from harness.cli.app import app, print_json, print_table, say, target_app
from harness.cli.options import AsJson, StackName
from harness.errors import GatecrashError
from harness.input_file import path_of

if TYPE_CHECKING:
    from harness.stack import Addresses


@target_app.command("up", short_help="Raise the reference booking system.")
def target_up(
    scenario: Annotated[str, typer.Option("--scenario", help="Whose on_sale settings to use.")] = "playoff-presale",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the booking API; 0 takes a free one.")] = 0,
    logs: Annotated[
        Path, typer.Option("--logs", metavar="DIR", parser=path_of, help="Where the processes write their logs.")
    ] = Path("runs/target-logs"),
    stack: StackName = "embedded",
    plant_bug: Annotated[str, typer.Option("--plant-bug", metavar="NAME", help="Break it on purpose.")] = "",
    json: AsJson = False,
) -> None:
    """Raise the reference booking system in the foreground and print its addresses; Ctrl-C takes it down.

    \b
    gatecrash target up --port 8000
    """
    from harness import scenario as scenarios
    from harness.processes.machine import raise_descriptors
    from harness.record.paths import PRIVATE
    from harness.stack.choice import stack_of
    from harness.stack.reference import workspace
    from harness.stack.reference.planted_bugs import require_bug

    raise_descriptors()
    require_bug(plant_bug, "--plant-bug")
    on_sale = scenarios.load(scenario).scenario.on_sale
    try:
        logs.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        raise workspace.disk_problem(logs, error) from error
    with stack_of(stack, on_sale, logs, bug=plant_bug, booking_port=port, announce=say) as raised:
        _print_addresses(raised.addresses, as_json=json)
        while not (deaths := raised.deaths()):
            threading.Event().wait(0.5)
    raise GatecrashError("; ".join(death.text for death in deaths), hint=f"see {logs}")


@target_app.command("down", short_help="Take down containers that a killed run left.")
def target_down(json: AsJson = False) -> None:
    """Take down the containers that a gatecrash left which was killed outright; all that is not surely so stays.

    \b
    gatecrash target down
    """
    from harness.stack.compose import leftovers
    from harness.stack.compose.stack import engine

    with contextlib.closing(engine()) as ours:
        every = tuple(leftovers.sweep(ours))
    if json:
        print_json(every)
    else:
        typer.echo("\n".join(swept.in_words for swept in every) or "nothing was left")
    if any(swept.trouble for swept in every):
        raise GatecrashError("not all of it could be taken down", hint="see above, and `docker ps -a`")


@target_app.command("bugs", short_help="The bugs that can be planted in it.")
def target_bugs(json: AsJson = False) -> None:
    """The bugs that can be planted in the reference system, and the invariant that each breaks.

    \b
    gatecrash target bugs
    gatecrash rehearse smoke --plant-bug lost_ack
    """
    from harness.stack.reference.planted_bugs import planted_bugs

    bugs = planted_bugs()
    if json:
        print_json(bugs)
        return
    print_table(("bug", "breaks", "what it does"), ((bug.name, bug.breaks, bug.description) for bug in bugs))


@app.command(short_help="Run the fault proxy alone.")
def toxiproxy(
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Address of the HTTP API.")] = "localhost",
    port: Annotated[int, typer.Option("--port", metavar="N", help="Port of the HTTP API.", min=0, max=65535)] = 8474,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", parser=path_of, help="JSON array of proxies.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Repeatable toxicity, jitter, drops.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Only what Toxiproxy has, no extension.")] = False,
    proxy_metrics: Annotated[bool, typer.Option("--proxy-metrics", help="/metrics in strict mode too.")] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Answer to this Host too; * for every one. Repeatable."),
    ] = None,
) -> None:
    """Run the Toxiproxy-compatible fault proxy alone; Ctrl-C ends it.

    \b
    gatecrash toxiproxy --port 8474 --config proxies.json
    """
    from chaos.proxy.server import ServerSettings, serve

    say(f"fault proxy at http://{host}:{port}; Ctrl-C ends it")
    serve(
        ServerSettings(
            host=host,
            port=port,
            config=config,
            seed=seed,
            strict=strict,
            proxy_metrics=proxy_metrics,
            allow_host=tuple(allow_host or ()),
        )
    )


def _print_addresses(addresses: Addresses, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(addresses).decode())
        return
    typer.echo(f"booking      {addresses.booking}   queue page: {addresses.booking}/queue/{addresses.event}")
    for feed in addresses.feeds:
        typer.echo(f"feed         {feed}/feed/{addresses.event}")
    typer.echo(f"operator     {addresses.admin}   Authorization: Bearer {addresses.admin_token}")
    typer.echo(f"payments     {addresses.ledger}")
    typer.echo(f"fault proxy  {addresses.toxiproxy}")
    typer.echo("Ctrl-C takes everything down.")
