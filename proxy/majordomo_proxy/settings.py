"""Settings of the proxy: one table, read from a TOML file, `MAJORDOMO_*` and options."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from majordomo_analytics.errors import SettingsError, did_you_mean, nearest
from majordomo_analytics.records.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_PREFIX = "MAJORDOMO_"
MIB = 2**20
DEFAULT_DATA = Path("majordomo-data")


def setting(
    default: Any, meaning: str, *, least: float | None = None, is_secret: bool = False
) -> Any:
    return field(
        default=default,
        repr=not is_secret,
        metadata={"meaning": meaning, "least": least, "is_secret": is_secret},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set; each name carries its unit."""

    data: Path = setting(DEFAULT_DATA, "data directory: spool, lake, API keys")  # noqa: RUF009
    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(7680, "port to listen on; 0 takes a free one", least=0)
    workers: int = setting(1, "worker processes", least=1)
    connect_timeout_s: float = setting(10.0, "longest wait for a provider's connection", least=0.1)
    read_timeout_s: float = setting(
        600.0, "longest silence of a provider, before and between bytes", least=0.1
    )
    spool_wait_s: float = setting(
        5.0, "longest wait for a row to be durable before the answer ends", least=0.0
    )
    spool_rotate_bytes: int = setting(64 * MIB, "size at which a new spool file is begun", least=1)
    spool_memory_bytes: int = setting(
        64 * MIB, "rows that may wait in memory for a failing disk; more are lost", least=1
    )
    abandoned_read_s: float = setting(
        30.0, "how long an answer whose caller left is read on for its usage", least=0.0
    )
    abandoned_requests: int = setting(
        100, "how many such answers are read on at once; more are cut", least=0
    )
    max_request_bytes: int = setting(256 * MIB, "largest request body; over it: 413", least=1)
    stop_timeout_s: float = setting(
        30.0, "how long open answers may go on after SIGTERM", least=0.0
    )
    postgres: str = setting(
        "", "a Postgres that gets every row too: postgresql://…; without, none", is_secret=True
    )
    postgres_schema: str = setting("public", "the schema of its tables there")
    log_level: str = setting("warning", "debug, info, warning, error or critical")
    base_urls: Mapping[str, str] = field(
        default_factory=dict, metadata={"meaning": "addresses of providers, by name"}
    )

    def base_url(self, provider: str) -> str:
        """Return the address of a known provider: the configured one, else its own."""
        return self.base_urls.get(provider, PROVIDERS[provider].base_url)


LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
SCALARS = {f.name: f for f in fields(Settings) if f.name != "base_urls"}
SECRETS = frozenset(name for name, f in SCALARS.items() if f.metadata["is_secret"])


def environment_names() -> dict[str, str]:
    """Return every environment variable that is read, with its meaning."""
    names = {
        ENV_PREFIX + name.upper(): f"{f.metadata['meaning']} (default {f.default})"
        for name, f in SCALARS.items()
    }
    for name, provider in PROVIDERS.items():
        names[_base_url_variable(name)] = f"address of {name} (default {provider.base_url})"
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
    found: dict[str, Any] = {}
    base_urls: dict[str, str] = {}
    if config is not None:
        _read_file(config, found, base_urls)
    for name in SCALARS:
        variable = ENV_PREFIX + name.upper()
        if environment.get(variable):
            found[name] = _value(name, environment[variable], f"environment variable {variable}")
    for provider in PROVIDERS:
        variable = _base_url_variable(provider)
        if environment.get(variable):
            where = f"environment variable {variable}"
            base_urls[provider] = _base_url(environment[variable], where)
    for name, value in options.items():
        if value is not None:
            found[name] = _value(name, value, f"option --{name.replace('_', '-')}")
    return Settings(**found, base_urls=base_urls)


def _read_file(config: Path, found: dict[str, Any], base_urls: dict[str, str]) -> None:
    try:
        content = tomllib.loads(config.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"the settings file {str(config)!r} cannot be read: {error}"
        raise SettingsError(message) from error
    for name, table in content.pop("providers", {}).items():
        where = f"[providers.{name}] in {config}"
        if name not in PROVIDERS:
            message = (
                f"{where}: unknown provider{did_you_mean(nearest(name, PROVIDERS), PROVIDERS)}"
            )
            raise SettingsError(message)
        base_urls[name] = _base_url(table.get("base_url", PROVIDERS[name].base_url), where)
    for name, value in content.items():
        if name not in SCALARS:
            known = did_you_mean(nearest(name, SCALARS), SCALARS)
            message = f"{name!r} in {config} is no setting{known}"
            raise SettingsError(message)
        found[name] = _value(name, value, f"{name} in {config}")


def _value(name: str, value: Any, where: str) -> Any:
    kind: type = Path if name == "data" else type(SCALARS[name].default)
    try:
        if isinstance(value, bool):  # an int to Python, but no number to us
            raise ValueError
        converted: Any = kind(value)
    except (TypeError, ValueError):
        message = f"{where} is {value!r}; it must be {_article(kind.__name__)}"
        raise SettingsError(message) from None
    least = SCALARS[name].metadata["least"]
    if least is not None and not converted >= least:
        message = f"{where} is {value!r}; it must be at least {least:g}"
        raise SettingsError(message)
    if name == "port" and converted > 65535:
        message = f"{where} is {value!r}; a port is at most 65535"
        raise SettingsError(message)
    if name == "log_level" and converted not in LOG_LEVELS:
        message = f"{where} is {value!r}; known levels: {', '.join(LOG_LEVELS)}"
        raise SettingsError(message)
    return converted


def _base_url(value: Any, where: str) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if (
        parts is None
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.query
        or parts.fragment
        or parts.username is not None
    ):
        message = (
            f"{where} is no base address: it must be http(s)://HOST[:PORT][/PATH] without "
            "credentials, query or fragment"
        )
        raise SettingsError(message)
    return str(value).rstrip("/")


def _base_url_variable(provider: str) -> str:
    return f"{ENV_PREFIX}{provider.upper().replace('-', '_')}_BASE_URL"


def _article(kind: str) -> str:
    return {"int": "a whole number", "float": "a number", "str": "text"}.get(kind, f"a {kind}")
