"""Settings of the proxy: one table, read from a TOML file, `MAJORDOMO_*` and options."""

from __future__ import annotations

import json
import math
import os
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from majordomo_analytics.errors import SettingsError, did_you_mean, nearest
from majordomo_analytics.logs import LOG_FORMATS, LOG_LEVELS
from majordomo_analytics.records.providers import PROVIDERS, Provider
from majordomo_proxy.upstreams import Route, base_url_variable, read_upstreams

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_PREFIX = "MAJORDOMO_"
KIB = 2**10
MIB = 2**20
DEFAULT_DATA = Path("majordomo-data")
SETTINGS_VARIABLE = "MAJORDOMO_WORKER_SETTINGS"
"""Hands a worker its settings, as JSON."""

ABANDONED_POLICIES = ("drain", "cancel")
WHEN_SPOOL_FULL = ("refuse", "serve")
FEWEST_FILES = 3
"""Spool files a worker needs room for: one is written, one is drained, one is removed."""


def setting(
    default: Any,
    meaning: str,
    *,
    least: float | None = None,
    choices: tuple[str, ...] = (),
    is_secret: bool = False,
) -> Any:
    rules = {"meaning": meaning, "least": least, "choices": choices, "is_secret": is_secret}
    return field(default=default, repr=not is_secret, metadata=rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set; each name carries its unit."""

    data: Path = setting(DEFAULT_DATA, "data directory: spool, lake, API keys")  # noqa: RUF009
    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(7680, "port to listen on; 0 takes a free one", least=0)
    workers: int = setting(1, "worker processes", least=1)
    connect_timeout_s: float = setting(10.0, "longest wait for a provider's connection", least=0.1)
    read_timeout_s: float = setting(
        600.0, "longest time in which nothing moves, to a provider or back", least=0.1
    )
    spool_wait_s: float = setting(
        5.0, "longest wait for a row to be durable before the answer ends", least=0.0
    )
    spool_rotate_bytes: int = setting(64 * MIB, "size at which a new spool file is begun", least=1)
    spool_memory_bytes: int = setting(
        64 * MIB, "rows that may wait in memory for a failing disk; more are lost", least=1
    )
    spool_max_bytes: int = setting(
        8 * 2**30, "room that all spools may take on disk; over it the spool is full", least=1
    )
    when_spool_full: str = setting(
        "refuse",
        "a request while the spool is full: refuse answers 503, serve relays and counts the "
        "row as lost",
        choices=WHEN_SPOOL_FULL,
    )
    abandoned_policy: str = setting(
        "drain",
        "an answer whose caller left: drain reads on for its usage, cancel cuts it",
        choices=ABANDONED_POLICIES,
    )
    abandoned_read_s: float = setting(
        30.0, "with drain, how long such an answer is read on", least=0.0
    )
    abandoned_requests: int = setting(
        100, "with drain, how many of them at once; more are cut", least=0
    )
    ask_for_usage: bool = setting(
        True, "ask for the usage of streams that state it only on request, and take it out again"
    )
    edited_request_bytes: int = setting(
        8 * MIB,
        "largest request body that is held to ask for usage or to be routed",
        least=1,
    )
    max_request_bytes: int = setting(256 * MIB, "largest request body; over it: 413", least=1)
    request_memory_bytes: int = setting(
        512 * MIB,
        "request bodies that a worker holds until providers have taken them; over it: 503",
        least=1,
    )
    max_target_bytes: int = setting(
        16 * KIB, "longest request target, path and query; over it: 414", least=1
    )
    max_headers: int = setting(1000, "most headers of a request; over it: 431", least=1)
    max_header_bytes: int = setting(
        64 * KIB, "all headers of a request, with its target; over it: 431", least=1
    )
    max_connections: int = setting(
        10_000,
        "connections of callers to one worker; over it: 503. Fewer where a process may open "
        "fewer files",
        least=1,
    )
    max_requests_in_flight: int = setting(
        5_000, "requests that one worker relays at once; over it: 503", least=1
    )
    idle_timeout_s: float = setting(
        75.0, "how long a connection is kept that has no request on it", least=0.1
    )
    headers_timeout_s: float = setting(
        30.0, "longest time that the headers of a request may take; over it: 408", least=0.1
    )
    upload_idle_timeout_s: float = setting(
        30.0,
        "longest time in which nothing of a request body arrives that could; over it: 408",
        least=0.1,
    )
    upload_least_bytes_per_s: float = setting(
        500.0,
        "slowest average at which a request body may arrive once upload_idle_timeout_s is "
        "over; under it: 408; 0 for any",
        least=0.0,
    )
    stalled_answer_timeout_s: float = setting(
        120.0,
        "longest time in which a caller takes nothing of what was sent to him; then his "
        "connection is cut",
        least=0.1,
    )
    stop_timeout_s: float = setting(
        30.0, "how long open answers may go on after SIGTERM", least=0.0
    )
    postgres: str = setting(
        "",
        "a Postgres that gets every row too, and has the API keys: postgresql://…; without, none",
        is_secret=True,
    )
    postgres_schema: str = setting("public", "the schema of its tables there")
    price_book: str = setting(
        "", "a TOML file of your own prices; without, prices.toml in the data directory"
    )
    lake_upkeep: bool = setting(
        True,
        "have the drain compact the lake now and then, and remove files that were replaced a "
        "week ago",
    )
    log_level: str = setting(
        "warning", "debug, info, warning, error or critical", choices=LOG_LEVELS
    )
    log_format: str = setting(
        "console", "console for people, json for machines: one object a line", choices=LOG_FORMATS
    )
    access_log: bool = setting(
        False, "write a line for each request: id, provider, status, milliseconds"
    )
    providers: Mapping[str, Provider] = field(default_factory=lambda: PROVIDERS)
    credential_variables: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)


SCALARS = {f.name: f for f in fields(Settings) if f.metadata}
SECRETS = frozenset(name for name, f in SCALARS.items() if f.metadata["is_secret"])


def environment_names() -> dict[str, str]:
    """Return every environment variable that is read, with its meaning."""
    names = {
        ENV_PREFIX + name.upper(): f.metadata["meaning"] + _written(f.default)
        for name, f in SCALARS.items()
    }
    for name, provider in PROVIDERS.items():
        default = f"default {provider.base_url}" if provider.base_url else "needed to call it"
        names[base_url_variable(name)] = f"address of {name} ({default})"
    return names


def load_settings(
    *,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> Settings:
    """Return the settings: options beat the environment, which beats the TOML file.

    Raises
    ------
    SettingsError
        If a name is unknown or a value cannot be read, naming where it stood.
    """
    environment = os.environ if environment is None else environment
    content = {} if config is None else _read_file(config)
    tables, routes = content.pop("providers", {}), content.pop("routes", {})
    found: dict[str, Any] = {}
    for name, value in content.items():
        if name not in SCALARS:
            known = did_you_mean(nearest(name, SCALARS), SCALARS)
            message = f"{name!r} in {config} is no setting{known}"
            raise SettingsError(message)
        found[name] = _value(name, value, f"{name} in {config}")
    for name in SCALARS:
        variable = ENV_PREFIX + name.upper()
        if environment.get(variable):
            found[name] = _value(name, environment[variable], f"environment variable {variable}")
    for name, value in options.items():
        if value is not None:
            found[name] = _value(name, value, f"option --{name.replace('_', '-')}")
    upstreams = read_upstreams(tables, routes, environment, str(config))
    settings = Settings(
        **found,
        providers=upstreams.providers,
        credential_variables=upstreams.credential_variables,
        routes=upstreams.routes,
    )
    _check_room(settings)
    return settings


def _check_room(settings: Settings) -> None:
    """Raise for a spool that would be full for good: files go as a whole."""
    least = FEWEST_FILES * settings.workers * settings.spool_rotate_bytes
    if settings.spool_max_bytes < least:
        message = (
            f"spool_max_bytes is {settings.spool_max_bytes:,}; with {settings.workers} workers "
            f"and spool_rotate_bytes of {settings.spool_rotate_bytes:,} it must be at least "
            f"{least:,}"
        )
        raise SettingsError(message)


def settings_to_text(settings: Settings) -> str:
    """Return `settings` as JSON, for a worker's environment; workers need no secrets."""
    values = {name: value for name, value in asdict(settings).items() if name not in SECRETS}
    return json.dumps(values, default=str)


def settings_from_text(text: str) -> Settings:
    """Return the settings that `settings_to_text` wrote down."""
    values = json.loads(text)
    return Settings(
        **{
            **values,
            "data": Path(values["data"]),
            "providers": {n: Provider(**row) for n, row in values["providers"].items()},
            "routes": {model: Route(**row) for model, row in values["routes"].items()},
        }
    )


def _read_file(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"the settings file {str(config)!r} cannot be read: {error}"
        raise SettingsError(message) from error


def _value(name: str, value: Any, where: str) -> Any:
    kind: type = Path if name == "data" else type(SCALARS[name].default)
    rules = SCALARS[name].metadata
    if kind is bool:
        return _boolean(value, where)
    try:
        if isinstance(value, bool):  # an int to Python, but no number to us
            raise ValueError
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        converted: Any = kind(value)
    except (TypeError, ValueError, OverflowError):
        message = f"{where} is {value!r}; it must be {_article(kind.__name__)}"
        raise SettingsError(message) from None
    if kind is float and not math.isfinite(converted):
        message = f"{where} is {value!r}; it must be a finite number: for no limit, a large one"
        raise SettingsError(message)
    if rules["least"] is not None and not converted >= rules["least"]:
        message = f"{where} is {value!r}; it must be at least {rules['least']:g}"
        raise SettingsError(message)
    if name == "port" and converted > 65535:
        message = f"{where} is {value!r}; a port is at most 65535"
        raise SettingsError(message)
    if rules["choices"] and converted not in rules["choices"]:
        message = f"{where} is {value!r}; it must be one of {', '.join(rules['choices'])}"
        raise SettingsError(message)
    return converted


def _boolean(value: Any, where: str) -> bool:
    written = str(value).lower()
    if written not in {"true", "false"}:
        message = f"{where} is {value!r}; it must be true or false"
        raise SettingsError(message)
    return written == "true"


def _written(default: Any) -> str:
    if default == "":
        return ""
    return f" (default {str(default).lower() if isinstance(default, bool) else default})"


def _article(kind: str) -> str:
    return {"int": "a whole number", "float": "a number", "str": "text"}.get(kind, f"a {kind}")
