"""The wheel, installed in empty environments: what each extra promises, and no more.

Everything runs from another folder, so that nothing of the checkout is imported by
accident.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
START_S = 60

MAKE_A_LAKE = """
import sys
from datetime import datetime, timezone
from decimal import Decimal

import pyarrow as pa

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.lake.table import append_once, create_lake
from majordomo_analytics.records.metadata import PROMOTED_FROM_THE_START
from majordomo_analytics.records.schemas import arrow_schema

noon = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
common = dict(
    requested_at=noon, requested_date=noon.date(), provider="openai", model="gpt-5.5",
    request_method="POST", request_path="/v1/chat/completions", outcome="completed",
    status_code=200, input_tokens=10, output_tokens=5, usage_status="reported",
    cost_status="priced", flags=[], created_at=noon,
)
rows = [
    common | dict(
        id=f"row-{n}", total_cost=Decimal(cost), raw_metadata=[("Feature", feature)],
        indexed_Feature=feature,
    )
    for n, (feature, cost) in enumerate([("search", "0.5"), ("search", "0.25"), ("chat", "1")])
]
lake = DataDirectory.create(sys.argv[1]).lake
create_lake(lake)
schema = arrow_schema(PROMOTED_FROM_THE_START)
append_once(lake, pa.Table.from_pylist(rows, schema=schema), application="test", first=1, last=3)
"""

ASK = """
import sys
from decimal import Decimal

import majordomo_analytics as ma

result = ma.open(sys.argv[1]).query(dimensions=["Feature"])
frame = result.to_polars().sort("Feature")
assert frame["Feature"].to_list() == ["chat", "search"], frame
assert frame["total_cost"].to_list() == [Decimal("1"), Decimal("0.75")], frame
assert result.total["total_cost"] == Decimal("1.75"), result.total
assert result.plot().data
assert "search" in repr(result)
"""

SPARK = """
import polars as pl
import majordomo_analytics as ma

frame = pl.DataFrame({"requested_at": ["2026-10-05T09:00Z"]})
try:
    ma.open(frame, spark="sc://127.0.0.1:1").query(engine="spark")
except ma.SparkUnreachableError:
    print("nobody is there")
"""
"""Loads all of Spark's client, in an interpreter without a script."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment and a folder of its own to work in."""

    path: Path
    folder: Path

    def run(
        self, *command: str | Path, check: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; its output is in what is raised."""
        program, *arguments = map(str, command)
        done = subprocess.run(
            [str(self.path / "bin" / program), *arguments],
            cwd=self.folder,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def python(self, code: str, *arguments: str | Path) -> str:
        """Run Python code; a warning is an error."""
        return self.run("python", "-W", "error", "-c", code, *arguments).stdout

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment variables, without any that point into the checkout."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL_ENV", "MAJORDOMO_", "COV_"))
        }
        return kept | {"PATH": f"{self.path / 'bin'}:{kept['PATH']}", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once, with the hatchling of the development environment."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def installed(wheel: Path, extra: str, folder: Path) -> Environment:
    """Return a new environment with the wheel and what `extra` brings, nothing else."""
    environment = Environment(folder / "venv", folder / "elsewhere")
    environment.folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(environment.path)], check=True)
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    options = ["-qq", "--no-compile", "--disable-pip-version-check"]
    environment.run(
        "python", "-m", "pip", "install", *options, "-c", ROOT / "constraints.txt", wanted
    )
    return environment


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return installed(wheel, "", tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def with_proxy(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return installed(wheel, "proxy", tmp_path_factory.mktemp("proxy"))


@pytest.fixture(scope="session")
def with_all(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return installed(wheel, "all", tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="session")
def data(bare: Environment) -> Path:
    """Return a data directory with three requests, made by the installed package."""
    path = bare.folder / "majordomo-data"
    bare.python(MAKE_A_LAKE, path)
    return path


def test_the_wheel_holds_both_packages_the_licence_and_the_type_marker(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}

    assert tops == {
        "majordomo_analytics",
        "majordomo_proxy",
        f"{'-'.join(wheel.name.split('-')[:2])}.dist-info",
    }
    assert [name for name in names if name.endswith("/LICENSE")]
    assert "majordomo_analytics/py.typed" in names
    assert not [name for name in names if "test" in name or name.endswith((".pyc", ".sqlite"))]


def test_every_module_of_the_checkout_is_in_the_wheel(wheel: Path) -> None:
    packages = {"majordomo_analytics": ROOT, "majordomo_proxy": ROOT / "proxy"}
    expected = {
        str(path.relative_to(base))
        for package, base in packages.items()
        for pattern in ("*.py", "*.sql", "*.parquet", "*.json")
        for path in (base / package).rglob(pattern)
    }

    assert any(name.endswith(".sql") for name in expected)
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def test_without_an_extra_both_packages_are_found_outside_the_checkout(bare: Environment) -> None:
    code = "import {0}; print({0}.__file__)"

    for package in ("majordomo_analytics", "majordomo_proxy"):
        assert bare.python(code.format(package)).startswith(str(bare.path))


def test_no_package_is_named_proxy(bare: Environment) -> None:
    code = "import importlib.util; print(importlib.util.find_spec('proxy'))"

    assert bare.python(code).strip() == "None"


def test_without_an_extra_nothing_of_the_extras_is_installed(bare: Environment) -> None:
    """Else the tests below would prove nothing."""
    names = (
        *("aiohttp", "brotli", "python_multipart", "starlette", "uvicorn"),
        *("psycopg", "pandas", "pyspark", "jupyterlab"),
    )
    code = """
import importlib.util, sys
print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])
"""

    assert bare.python(code, *names).strip() == "[]"


def test_without_an_extra_a_lake_is_opened_asked_and_plotted(bare: Environment, data: Path) -> None:
    bare.python(ASK, data)


def test_without_an_extra_the_sample_is_there_and_more_is_made(bare: Environment) -> None:
    code = """
import majordomo_analytics as ma

assert ma.sample().query("requests").total == {"requests": 40_000}
assert ma.sample(rows=300).query("requests").total == {"requests": 300}
"""
    bare.run("python", "-W", "error", "-c", code, MAJORDOMO_CACHE=str(bare.folder / "cache"))


def test_without_an_extra_the_command_line_answers(bare: Environment, data: Path) -> None:
    assert "query" in bare.run("mdm", "--help").stdout
    done = bare.run("mdm", "query", "--data", data, "--by", "Feature", "--format", "json")
    answer = json.loads(done.stdout)
    costs = {row["Feature"]: Decimal(row["total_cost"]) for row in answer["rows"]}

    assert costs == {"search": Decimal("0.75"), "chat": Decimal(1)}
    assert Decimal(answer["total"]["total_cost"]) == Decimal("1.75")


def test_without_an_extra_python_m_is_the_command_line(bare: Environment) -> None:
    assert bare.run("python", "-m", "majordomo_analytics", "--version").stdout.endswith("0.1.0\n")


@pytest.mark.parametrize("command", ["proxy", "demo"])
def test_what_needs_the_proxy_extra_names_it_and_exits_with_2(
    bare: Environment, command: str
) -> None:
    done = bare.run("mdm", command, check=False)

    assert done.returncode == 2
    assert "pip install 'majordomo-analytics[proxy]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_needs_the_postgres_extra_names_it_and_exits_with_2(
    bare: Environment, data: Path
) -> None:
    arguments = ("--once", "--data", data, "--postgres", "postgresql://localhost/x")
    done = bare.run("mdm", "drain", *arguments, check=False)

    assert done.returncode == 2
    assert "pip install 'majordomo-analytics[postgres]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def proxy(with_proxy: Environment) -> Iterator[str]:
    """Start `mdm proxy` on a free port and yield its address."""
    port = free_port()
    with (with_proxy.folder / "proxy.log").open("w+") as log:
        process = subprocess.Popen(
            [
                str(with_proxy.path / "bin" / "mdm"),
                *("proxy", "--data", "proxy-data", "--port", str(port)),
            ],
            cwd=with_proxy.folder,
            env=with_proxy.variables,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(START_S)
        log.seek(0)
        assert status == 0, log.read()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_with_the_proxy_extra_the_proxy_starts_is_healthy_and_stops(proxy: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{proxy}/health", timeout=5) as answer:
                assert answer.status == 200
                break
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, "the proxy did not answer in time"
            time.sleep(0.1)


def test_with_the_proxy_extra_the_demo_needs_nothing_more(with_proxy: Environment) -> None:
    with_proxy.run("mdm", "demo", "--data", "demo-data", "--requests", "50")

    assert (with_proxy.folder / "report.html").stat().st_size > 10_000


def test_all_brings_every_optional_library(with_all: Environment, data: Path) -> None:
    with_all.python("import aiohttp, ipykernel, jupyterlab, pandas, psycopg, uvicorn")
    assert with_all.python(SPARK) == "nobody is there\n"
    with_all.python(ASK + "\nassert list(result.to_pandas().columns)[0] == 'Feature'", data)


def test_all_has_no_broken_requirements(with_all: Environment) -> None:
    assert "No broken requirements" in with_all.run("python", "-m", "pip", "check").stdout
