"""Who can be called, and at which address: providers and routes of the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit

from majordomo_analytics.errors import SettingsError, did_you_mean, nearest
from majordomo_analytics.records.providers import PROVIDERS, REGION, ROUTED, Dialect, Provider

if TYPE_CHECKING:
    from collections.abc import Mapping

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
CREDENTIAL_OF: dict[Dialect, str] = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}
"""The header for the credential of a provider of the user's own, if not Authorization."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_KEYS = ("base_url", "flavour", "ask_for_usage", "credential_env", "region")
_ROUTE_KEYS = ("provider", "model")


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests for one canonical model go.

    Attributes
    ----------
    provider
        The name of the provider.
    model
        What the model is called there.
    """

    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Who can be called.

    Attributes
    ----------
    providers
        By name, with the addresses that count here.
    credential_variables
        By name of a provider, the environment variable that holds the credential with
        which routed requests are sent to it.
    routes
        By canonical model.
    """

    providers: Mapping[str, Provider]
    credential_variables: Mapping[str, str]
    routes: Mapping[str, Route]


def base_url_variable(provider: str, prefix: str = "MAJORDOMO_") -> str:
    """Return the environment variable for the address of a provider."""
    return f"{prefix}{provider.upper().replace('-', '_')}_BASE_URL"


def read_upstreams(
    tables: Mapping[str, Any], routes: Mapping[str, Any], environment: Mapping[str, str], where: str
) -> Upstreams:
    """Return who can be called: the table, changed and added to by file and environment.

    Parameters
    ----------
    tables
        ``[providers.NAME]`` of the settings file.
    routes
        ``[routes."MODEL"]`` of it.
    environment
        ``MAJORDOMO_<NAME>_BASE_URL`` for every provider, which beat the file.
    where
        The file's name, for messages.

    Raises
    ------
    SettingsError
        If something is unknown or malformed, naming where it stood.
    """
    for name, given in (("providers", tables), ("routes", routes)):
        if not isinstance(given, dict):
            message = f"{name} in {where} is {given!r}; it must be tables [{name}.NAME]"
            raise SettingsError(message)
    providers = dict(PROVIDERS)
    credential_variables: dict[str, str] = {}
    for name, table in tables.items():
        place = f"[providers.{name}] in {where}"
        _check_keys(table, _KEYS, place)
        providers[name] = _provider(name, table, place)
        if "credential_env" in table:
            variable = credential_variables[name] = _text(table, "credential_env", place)
            held = environment.get(variable, "").strip()
            if not held or not (held.isascii() and held.isprintable()):
                fault = "holds characters that no header takes" if held else "is not set"
                message = f"{place}: the environment variable {variable} {fault}"
                raise SettingsError(message)
    for name in tuple(providers):
        variable = base_url_variable(name)
        if environment.get(variable):
            address = base_url(environment[variable], f"environment variable {variable}")
            providers[name] = replace(providers[name], base_url=address)
    _check_addresses(environment, providers)
    found = {model: _route(model, table, providers, where) for model, table in routes.items()}
    return Upstreams(providers, credential_variables, found)


def _check_addresses(environment: Mapping[str, str], providers: Mapping[str, Provider]) -> None:
    """Raise for an address of nobody: with a typing error, calls would go elsewhere."""
    known = [base_url_variable(name) for name in providers]
    for variable in environment:
        is_address = re.fullmatch(r"MAJORDOMO_.*_BASE_?URL", variable) is not None
        if is_address and variable not in known:
            hint = did_you_mean(nearest(variable, known), known)
            message = f"the environment variable {variable} is of no provider{hint}"
            raise SettingsError(message)


def _provider(name: str, table: Mapping[str, Any], where: str) -> Provider:
    known = PROVIDERS.get(name)
    if known is None:
        known = _own_provider(name, table, where)
    elif "flavour" in table:
        message = f"{where}: 'flavour' is for providers of your own; that of {name} is fixed"
        raise SettingsError(message)
    changes: dict[str, Any] = {}
    if "base_url" in table:
        changes["base_url"] = base_url(table["base_url"], where)
    if "region" in table:
        region = changes["default_region"] = _text(table, "region", where)
        if not re.fullmatch(r"[a-z0-9-]{1,40}", region):
            message = f"{where}: region is {region!r}; it must be of a-z, 0-9 and '-'"
            raise SettingsError(message)
    if "ask_for_usage" in table:
        if not isinstance(table["ask_for_usage"], bool):
            message = f"{where}: 'ask_for_usage' is {table['ask_for_usage']!r}; true or false"
            raise SettingsError(message)
        changes["asks_for_usage"] = table["ask_for_usage"]
    return replace(known, **changes)


def _own_provider(name: str, table: Mapping[str, Any], where: str) -> Provider:
    if "base_url" not in table or "flavour" not in table:
        missing = "base_url" if "base_url" not in table else "flavour"
        message = (
            f"{where}: unknown provider{did_you_mean(nearest(name, PROVIDERS), PROVIDERS)}; one of "
            f"your own needs base_url and flavour, and {missing} is missing"
        )
        raise SettingsError(message)
    if not _NAME.fullmatch(name) or name == ROUTED:
        message = f"{where}: a provider's name is of a-z, 0-9 and '-', and not {ROUTED!r}"
        raise SettingsError(message)
    dialect = table["flavour"]
    if dialect not in DIALECTS:
        message = f"{where}: flavour is {dialect!r}; known: {', '.join(DIALECTS)}"
        raise SettingsError(message)
    return Provider(
        name,
        table["base_url"],
        dialect=dialect,
        credential=CREDENTIAL_OF.get(dialect, "Authorization"),
        asks_for_usage=dialect == "openai",
    )


def _route(model: str, table: Any, providers: Mapping[str, Provider], where: str) -> Route:
    place = f'[routes."{model}"] in {where}'
    _check_keys(table, _ROUTE_KEYS, place)
    provider = _text(table, "provider", place)
    if provider not in providers:
        hint = did_you_mean(nearest(provider, providers), providers)
        message = f"{place}: unknown provider {provider!r}{hint}"
        raise SettingsError(message)
    return Route(provider, _text(table, "model", place))


def _check_keys(table: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict):
        message = f"{where} is {table!r}; it must be a table with {', '.join(known)}"
        raise SettingsError(message)
    for key in table:
        if key not in known:
            message = f"{where}: {key!r} is no setting{did_you_mean(nearest(key, known), known)}"
            raise SettingsError(message)


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        message = f"{where}: {key!r} is {value!r}; it must be text"
        raise SettingsError(message)
    return value


def base_url(value: Any, where: str) -> str:
    """Return a base address without a slash at its end.

    Raises
    ------
    SettingsError
        If it is none, or carries a credential; the value is not repeated, as it may.
    """
    try:
        parts = urlsplit(value.replace(REGION, "region")) if isinstance(value, str) else None
        is_address = parts is not None and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        parts, is_address = None, False
    if (
        parts is None
        or not is_address
        or parts.scheme not in {"http", "https"}
        or re.search(r"[?#\s]", value)
        or parts.username is not None
    ):
        message = (
            f"{where} is no base address: it must be http(s)://HOST[:PORT][/PATH] without "
            "credentials, query or fragment"
        )
        raise SettingsError(message)
    return str(value).rstrip("/")
