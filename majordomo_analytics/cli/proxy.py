"""`mdm proxy`: relay LLM calls and write down what they cost."""

from __future__ import annotations

import importlib.util
import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from majordomo_analytics.cli.options import require_postgres_extra
from majordomo_analytics.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from majordomo_proxy.settings import Settings

logger = logging.getLogger("majordomo_proxy.supervisor")

NEEDED = ("aiohttp", "brotli", "prometheus_client", "python_multipart", "starlette", "uvicorn")


def require_proxy_extra(feature: str) -> None:
    """Raise `MissingExtraError` unless what the proxy needs is installed."""
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise MissingExtraError(feature, "proxy")


def settings_help() -> str:
    """Return the settings that come from the environment, for the command's help."""
    try:
        require_proxy_extra("`mdm proxy`")
    except MissingExtraError as error:
        return str(error)
    from majordomo_proxy.settings import environment_names

    lines = [f"{name}: {meaning}." for name, meaning in environment_names().items()]
    intro = (
        "Every setting can also stand in the environment, or, without MAJORDOMO_ and in lower "
        "case, in the TOML file of --config; base addresses are there base_url in a table "
        "providers.NAME, beside flavour, region, credential_env and ask_for_usage. Routes are "
        "tables routes.MODEL with provider and model."
    )
    return "\n\n".join([intro, *lines])


def proxy(
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="MAJORDOMO_DATA",
            help="The data directory: spool, lake and API keys (default majordomo-data).",
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 7680).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (default 1).")] = None,
    postgres: Annotated[
        str | None,
        typer.Option(
            help="A Postgres that gets every row too, and has the API keys; better in "
            "MAJORDOMO_POSTGRES."
        ),
    ] = None,
    postgres_schema: Annotated[
        str | None, typer.Option(help="The schema of its tables there (default public).")
    ] = None,
    price_book: Annotated[
        Path | None, typer.Option(help="A TOML file of your own prices (default: see settings).")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings.")] = None,
) -> None:
    """Relay LLM calls to their providers and write one row for each.

    Runs the workers and the drain until SIGTERM or Ctrl-C; open answers are finished first.
    SIGHUP reads the settings anew.
    """
    require_proxy_extra("`mdm proxy`")
    from majordomo_analytics.datadir import keep_private
    from majordomo_analytics.logs import set_up
    from majordomo_analytics.redaction import redact_logs
    from majordomo_proxy.settings import load_settings
    from majordomo_proxy.supervisor import Supervisor

    def read() -> Settings:
        settings = load_settings(
            config=config,
            data=data,
            host=host,
            port=port,
            workers=workers,
            postgres=postgres,
            postgres_schema=postgres_schema,
            price_book=price_book,
        )
        check_what_children_need(settings)
        return settings

    keep_private()
    settings = read()
    set_up("supervisor", log_format=settings.log_format, log_level=settings.log_level)
    redact_logs()
    raise typer.Exit(Supervisor(settings, reread=read, alongside=copied_keys).run())


def check_what_children_need(settings: Settings) -> None:
    """Raise `MajordomoError` for what would end the drain or the workers, again and again.

    A drain that does holds up the lake, while callers notice nothing. Note which sinks the
    rows are for, before there are any.
    """
    from majordomo_analytics.apikeys import ApiKeyStore
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.pricing.bookfile import price_book_for

    book = Path(settings.price_book) if settings.price_book else None
    data = DataDirectory.create(settings.data)
    price_book_for(data, book)
    ApiKeyStore(data.api_keys)
    if settings.postgres:
        require_postgres_extra("--postgres")
        from majordomo_analytics.drain.address import read_address
        from majordomo_analytics.drain.removal import expect_sink

        read_address(settings.postgres, settings.postgres_schema)
        expect_sink(data, "postgres")


@contextmanager
def copied_keys(settings: Settings) -> Iterator[None]:
    """Copy API keys from Postgres, if one is named, while the block runs.

    In this process, so that no worker needs to know the address of Postgres.

    Raises
    ------
    SettingsError
        If the address of Postgres cannot be read.
    """
    if not settings.postgres:
        yield
        return
    from majordomo_analytics.apikeys.copying import copying
    from majordomo_analytics.datadir import DataDirectory
    from majordomo_analytics.drain.keystore import PostgresKeyStore

    source = PostgresKeyStore(settings.postgres, schema=settings.postgres_schema)
    with copying(DataDirectory.create(settings.data).api_keys, source, logger.warning):
        yield
