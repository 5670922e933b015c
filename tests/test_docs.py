"""The documentation is true: names occur, made parts are fresh, links and examples work.

Fenced blocks of `README.md` and of the pages in `docs/` are run, those of a page in their
order, in a folder that holds `majordomo-data` as `mdm demo` leaves it:

* ``python`` blocks share one namespace for the page;
* lines of ``console`` blocks that begin with ``$ mdm `` must exit with 0, other lines are
  output or commands of somebody else;
* a block behind the line ``<!-- not run: reason -->`` is left out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

import majordomo_analytics
from majordomo_analytics.capture.flavours import Flavour
from majordomo_analytics.pricing.bookfile import load_price_book
from majordomo_analytics.records.metadata import canonical_name
from majordomo_proxy.meters import METERS
from majordomo_proxy.settings import environment_names, load_settings
from tests.test_architecture import RANK

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
ALL_MARKDOWN = sorted({*PAGES, *ROOT.glob("*.md"), *DOCS.rglob("*.md")})
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)

FENCE = re.compile(
    r"^(?P<skip><!-- not run: .+? -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)
LINK = re.compile(r"\]\((?!https?://|mailto:|#)(?P<target>[^)#\s]+)")
VARIABLE = re.compile(r"\bMAJORDOMO_[A-Z][A-Z_]*[A-Z]\b")
INTERNAL_VARIABLES = {"MAJORDOMO_PROCESS", "MAJORDOMO_WORKER_SETTINGS"}
"""What the supervisor hands its own children; nobody else sets it."""

METRIC = re.compile(r"\bmajordomo_[a-z_]+\b")
SUFFIXES = re.compile(r"_(bucket|count|sum)$")


def generator() -> ModuleType:
    """Return `docs/generate.py`, which is in no package, as a module."""
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


GENERATE = generator()
COMMANDS: dict[str, Any] = dict(GENERATE.all_commands())


# Names


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented_with_its_options(command: str) -> None:
    page = (DOCS / "commands.md").read_text("utf-8")
    assert f"### `{command}`\n" in page
    part = page.partition(f"### `{command}`\n")[2].partition("###")[0]

    for param in GENERATE.options_of(COMMANDS[command]):
        for spelling in param.opts if param.param_type_name == "option" else [param.metavar]:
            assert f"`{spelling}`" in part or f"`{spelling}, " in part


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(command: str) -> None:
    help_text = COMMANDS[command].help or ""

    assert len(help_text.split()) > 3, f"{command} needs a help text"
    assert all(getattr(p, "help", "") for p in GENERATE.options_of(COMMANDS[command]))


@pytest.mark.parametrize("variable", environment_names())
def test_every_setting_is_documented(variable: str) -> None:
    assert f"`{variable}`" in TEXT


def test_every_environment_variable_in_the_code_is_documented() -> None:
    sources = [*ROOT.glob("majordomo_analytics/**/*.py"), *ROOT.glob("proxy/**/*.py")]
    named = {name for path in sources for name in VARIABLE.findall(path.read_text("utf-8"))}

    assert {name for name in named - INTERNAL_VARIABLES if f"`{name}`" not in TEXT} == set()


@pytest.mark.parametrize("name", majordomo_analytics.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert re.search(rf"\bma\.{name}\b", TEXT)


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    text = "\n".join(page.read_text("utf-8") for page in ALL_MARKDOWN)
    named = set(re.findall(r"`make ([a-z-]+)", text)) | set(
        re.findall(r"^\$ make (\S+)", text, re.M)
    )

    assert named - targets == set()
    assert {"demo", "test"} <= named


def test_the_ranks_in_the_contributing_page_are_those_that_are_tested() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    written = {
        room: int(rank)
        for rank, rooms in re.findall(r"^\| (-?\d) \| (.+?) \|", page, re.M)
        for room in re.findall(r"`(\w+)`", rooms)
    }

    assert written == {room: rank for room, rank in RANK.items() if not room.startswith("__")}


# Made parts


@pytest.mark.parametrize("page", GENERATE.pages(), ids=lambda page: page.name)
def test_made_parts_of_a_page_are_as_the_code_has_them(page: Path) -> None:
    """`make docs` writes them anew."""
    text = page.read_text("utf-8")

    assert text == GENERATE.renewed(text)


def test_every_made_part_is_on_a_page() -> None:
    shown = [
        match["name"]
        for page in GENERATE.pages()
        for match in GENERATE.PART.finditer(page.read_text("utf-8"))
    ]

    assert sorted(shown) == sorted(GENERATE.PARTS)


@pytest.mark.parametrize("page", ["operating.md", "grafana/dashboard.json"])
def test_every_metric_that_is_named_exists(page: str) -> None:
    named = set(METRIC.findall((DOCS / page).read_text("utf-8")))

    assert {name for name in named if SUFFIXES.sub("", name) not in METERS} == set()


def test_queries_use_only_labels_that_their_metrics_have() -> None:
    shown = json.loads((DOCS / "grafana" / "dashboard.json").read_text("utf-8"))
    queries = [target["expr"] for panel in shown["panels"] for target in panel["targets"]]
    for query in queries:
        named = [METERS[SUFFIXES.sub("", name)] for name in METRIC.findall(query)]
        labels = {label for meter in named for label in meter.labels} | {"le"}
        grouped = {
            label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")
        }
        selected = set(re.findall(r"[{,]\s*(\w+)\s*(?:=|!=|=~)", query))
        assert grouped | selected <= labels, query
        for meter in named:
            if meter.kind != "gauge":
                assert re.search(rf"(rate|increase)\({meter.name}", query), query


def test_names_of_headers_are_stored_as_the_page_says() -> None:
    page = (DOCS / "headers.md").read_text("utf-8")
    rows = re.findall(r"^\| `(X-Majordomo-[\w-]+)` \| `([\w-]+)` \|$", page, re.M | re.I)

    assert len(rows) == 3
    for sent, stored in rows:
        assert canonical_name(sent[len("x-majordomo-") :]) == stored


# Pages


@pytest.mark.parametrize("page", ALL_MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    targets = [match["target"] for match in LINK.finditer(page.read_text("utf-8"))]

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_decisions_are_numbered_listed_and_whole() -> None:
    decisions = sorted((DOCS / "adr").glob("[0-9]*.md"))
    index = (DOCS / "adr" / "README.md").read_text("utf-8")

    assert [int(page.name[:4]) for page in decisions] == list(range(1, len(decisions) + 1))
    for page in decisions:
        text = page.read_text("utf-8")
        title = text.partition("\n")[0].removeprefix(f"# {page.name[:4]}. ")
        assert f"| {page.name[:4]} | [{title}]({page.name}) |" in index
        assert re.search(r"^Status: .+\. Date: \d{4}-\d\d-\d\d\.$", text, re.M)
        for heading in ("Context", "Decision", "Consequences", "Refused"):
            assert f"\n## {heading}\n" in text


# Examples


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page, and the line its code begins on."""

    language: str
    code: str
    line: int
    skipped: bool


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(
            match["language"],
            match["code"],
            text.count("\n", 0, match.start("code")) + 1,
            match["skip"] is not None,
        )
        for match in FENCE.finditer(text)
    ]


def commands_in(code: str) -> list[str]:
    """Return the `mdm` command lines of a console block, continued lines joined."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ mdm ")]


def is_run(block: Block) -> bool:
    return not block.skipped and (block.language == "python" or bool(commands_in(block.code)))


PAGES_WITH_EXAMPLES = [page for page in PAGES if any(map(is_run, blocks_of(page)))]


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `majordomo-data` and `report.html`, as `mdm demo` leaves it."""
    folder = tmp_path_factory.mktemp("demo")
    run_command("mdm demo --requests 200", folder)
    return folder


def run_command(line: str, folder: Path) -> None:
    """Run a command line as a shell does, with the `mdm` of this environment."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_on_a_page_can_be_read(page: Path, tmp_path: Path) -> None:
    """A `toml` block is a settings file or, with `[[price]]` in it, a price book."""
    for block in blocks_of(page):
        if block.language == "toml" and not block.skipped:
            file = tmp_path / "shown.toml"
            file.write_text(block.code, "utf-8")
            if "[[price]]" in block.code:
                load_price_book(file)
            else:
                load_settings(config=file, environment={})


def test_every_flavour_is_explained() -> None:
    assert GENERATE.FLAVOURS.keys() == set(get_args(Flavour))


@pytest.mark.parametrize("page", PAGES_WITH_EXAMPLES, ids=lambda page: page.name)
def test_examples_of_a_page_run(
    page: Path, demo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo_folder)
    monkeypatch.setenv("MAJORDOMO_CACHE", str(demo_folder / "cache"))
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in filter(is_run, blocks_of(page)):
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.code  # so that a traceback names the line
            exec(compile(code, str(page), "exec"), namespace)
        else:
            for command in commands_in(block.code):
                run_command(command, demo_folder)
