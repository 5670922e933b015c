"""`mdm demo`: the whole road with no account and no server, and proof that it is true."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from majordomo_analytics.cli.options import DEFAULT_DATA, DataOption
from majordomo_analytics.cli.standins.comparison import SUMS, differences, sums_of
from majordomo_analytics.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from majordomo_analytics.apikeys import IssuedKey
    from majordomo_analytics.cli.standins.comparison import Sums
    from majordomo_analytics.cli.standins.truth import Call
    from majordomo_analytics.cli.traffic import Call as PlannedCall
    from majordomo_analytics.datadir import DataDirectory

ERROR_SHARE = 0.02
NOT_EQUAL = 1
HEADINGS = ("Requests", "Errors", "Input", "Cached", "Output", "Spend, USD")
UNTAGGED = "(untagged)"
WIDER_THAN_THE_TABLE = 200
"""A narrow terminal may wrap lines; it must not shorten numbers."""


def demo(
    data: DataOption = DEFAULT_DATA,
    requests: Annotated[int, typer.Option(min=1, help="How many calls to make.")] = 3000,
    report: Annotated[
        Path, typer.Option("--report", help="Where to write the page.", show_default=True)
    ] = Path("report.html"),
) -> None:
    """Send made-up traffic through a real proxy, and show what it cost, for whom.

    Starts local stand-ins for the providers and a proxy before them, sends tagged calls in
    the formats of OpenAI, Anthropic, Gemini, Cohere and Bedrock, drains the rows into the
    lake and compares the ledger's sums with what the stand-ins know. Ends with 1 if they
    differ in any decimal. Earlier traffic in the data directory stays; only the comparison
    leaves it out.
    """
    from majordomo_analytics.apikeys import ApiKeyStore
    from majordomo_analytics.cli.children import sigterm_raises
    from majordomo_analytics.cli.proxy import require_proxy_extra
    from majordomo_analytics.cli.screen import warn
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.loop import drain_once
    from majordomo_analytics.ledger.opening import open as open_ledger
    from majordomo_analytics.report import write_report

    require_proxy_extra("`mdm demo`")
    if not report.parent.is_dir():
        message = f"there is no folder {str(report.parent)!r} to write the report into"
        raise SettingsError(message)
    directory = DataDirectory.create(data)
    api_key = ApiKeyStore(directory.api_keys).create("demo")
    with sigterm_raises():
        answered, troubles = _make_traffic(directory, api_key, requests)
        troubles += drain_once(directory).troubles

    ledger = open_ledger(directory.root)
    result = ledger.query(
        measures=SUMS,
        dimensions=["Feature"],
        filters={"majordomo_api_key_id": api_key.id},
        order_by="-total_cost",
    )
    said = {row["Feature"]: row for row in result.to_polars().to_dicts()}
    truth = {feature: sums_of(calls) for feature, calls in answered.items()}
    whole_truth = sums_of(call for calls in answered.values() for call in calls)
    troubles += differences(said, truth)
    _show(said, result.total, whole_truth)
    for trouble in troubles:
        warn(trouble)
    if troubles:
        warn("the lake and the stand-ins do not agree")
        raise typer.Exit(NOT_EQUAL)
    write_report(ledger, report)
    _say_what_next(directory.root, report)


def _make_traffic(
    directory: DataDirectory, api_key: IssuedKey, requests: int
) -> tuple[dict[str, list[Call]], list[str]]:
    """Return what the stand-ins answered, by Feature, and what went wrong on the way."""
    import asyncio

    from majordomo_analytics.cli.children import running_proxy
    from majordomo_analytics.cli.screen import say
    from majordomo_analytics.cli.standins.process import running_standins
    from majordomo_analytics.cli.traffic import plan_calls, send_calls

    features: dict[str, str] = {}

    def planned() -> Iterator[PlannedCall]:
        for call in plan_calls(requests):
            features[call.name] = call.feature or UNTAGGED
            yield call

    with (
        running_standins(error_share=ERROR_SHARE) as standins,
        running_proxy(directory.root, standins.environment) as url,
    ):
        say(f"Stand-ins for the providers on {standins.url}, the proxy on {url}.")
        started = time.monotonic()
        with _bar(requests) as advance:
            troubles = asyncio.run(send_calls(planned(), url, api_key.key, on_answer=advance))
        seconds = time.monotonic() - started
        say(f"{requests:,} calls in {seconds:.1f} s, {requests / seconds:,.0f} a second.")
        answered = defaultdict(list)
        for call in standins.truth():
            if call.majordomo_headers:
                troubles.append(f"{call.name} reached a provider with {call.majordomo_headers}")
            answered[features.get(call.name or "", UNTAGGED)].append(call)
    return dict(answered), troubles


@contextmanager
def _bar(requests: int) -> Iterator[Callable[[], None]]:
    """Show how far the calls are, on a terminal only; yield what counts one."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from majordomo_analytics.cli.screen import err

    columns = (
        TextColumn("calling"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=requests)
        yield lambda: bar.advance(task)


def _show(said: Mapping[str, Sums], total: Sums, truth: Sums) -> None:
    """Print the spend by Feature, its total, and the truth below it."""
    from rich import box
    from rich.table import Table

    from majordomo_analytics.cli.screen import out

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("Feature")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for feature, sums in said.items():
        table.add_row(feature, *_cells(sums))
    table.add_section()
    table.add_row("the lake", *_cells(total), style="bold")
    table.add_row("the stand-ins", *_cells(truth), style="bold")
    out.line()
    out.print(table, markup=False, width=WIDER_THAN_THE_TABLE, crop=False)
    out.line()


def _cells(sums: Sums) -> list[str]:
    *counts, cost = (sums[measure] or 0 for measure in SUMS)
    return [*(f"{count:,}" for count in counts), f"{cost:,.10f}"]


def _say_what_next(data: Path, report: Path) -> None:
    from majordomo_analytics.cli.screen import out

    out.print(
        f"Every sum of every Feature is what the stand-ins answered, to the last decimal.\n"
        f"\n"
        f"Open {report} in a browser. The lake stays in {data}; ask it in a notebook:\n"
        f"\n"
        f"    import majordomo_analytics as ma\n"
        f"\n"
        f"    ledger = ma.open({json.dumps(str(data.resolve()))})\n"
        f'    ledger.query(dimensions=["Team", "model"], limit=10).plot()\n'
        f"\n"
        f"or in a shell:\n"
        f"\n"
        f"    {_mdm()} query --data {shlex.quote(str(data))} --by Team --measure total_cost "
        f"--measure requests",
        markup=False,
    )


def _mdm() -> str:
    """Return how the shell finds this `mdm`: by its path unless its folder is searched."""
    beside = Path(sys.executable).parent / "mdm"
    if shutil.which("mdm") or not beside.exists():
        return "mdm"
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))
