"""Where a request goes: which provider, at which address, in which region, by which route.

A name only ever maps to a configured address, and of a region only letters, digits and
hyphens are taken: nothing in a request names a host.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from yarl import URL

from majordomo_analytics.records import metadata
from majordomo_analytics.records.providers import (
    REGION,
    ROUTED,
    Provider,
    infer_provider,
    regional,
    upstream_path,
)
from majordomo_proxy.refusals import RefusedError
from majordomo_proxy.upstreams import base_url_variable

if TYPE_CHECKING:
    from majordomo_proxy.headers import RequestHeaders
    from majordomo_proxy.settings import Settings
    from majordomo_proxy.upstreams import Route

_REGION = re.compile(r"[a-z0-9-]{1,40}")
_LOCATION = re.compile(r"/locations/([^/]+)/")
_API_VERSION = re.compile(rb"(?:^|&)api-version=(\d{4}-\d{2}-\d{2})")
MOST_DECODED = 3
"""How often a path may have been percent-encoded by somebody for us to see through it."""

FIRST_AZURE_VERSION_WITH_USAGE = b"2024-09-01"
"""Older versions of Azure's API refuse `stream_options`."""


TO_BE_ROUTED = Provider(ROUTED, "")
"""Stands for the provider that the routing table will name."""


def credentials_of(settings: Settings) -> dict[str, str]:
    """Return the credentials with which routed requests are sent, by provider."""
    variables = settings.credential_variables
    return {name: os.environ[variable].strip() for name, variable in variables.items()}


class Targets:
    """Finds the provider of a request and the URL to ask it.

    Parameters
    ----------
    settings
        The providers and routes.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known = ", ".join((*settings.providers, ROUTED))
        self._credentials = credentials_of(settings)
        self._base_paths = {
            name: urlsplit(provider.base_url).path.rstrip("/")
            for name, provider in settings.providers.items()
        }

    def find(self, named: bytes | None, path: str) -> Provider:
        """Return the provider that a request names or its path shows, or `TO_BE_ROUTED`.

        Raises
        ------
        RefusedError
            400 if there is none of that name, or none has that path.
        """
        if not path.startswith("/"):
            raise RefusedError(400, "bad_path", "the request target must begin with '/'")
        if metadata.API_KEY_MARK in unquote(path):
            raise RefusedError(400, "bad_path", "the request target holds an API key")
        if named:
            name = named.decode("latin-1").strip().lower()
            said = f"X-Majordomo-Provider names {name[:100]!r}, which is no provider"
        else:
            name = infer_provider(path) or ""
            said = (
                f"the path {path[:200]!r} belongs to no provider; name one in X-Majordomo-Provider"
            )
        if name == ROUTED:
            return TO_BE_ROUTED
        provider = self._settings.providers.get(name)
        if provider is None:
            raise RefusedError(400, "unknown_provider", f"{said}; known: {self._known}")
        return provider

    def route(self, model: str | None) -> tuple[Provider, Route]:
        """Return whom the routing table names for a canonical model.

        Raises
        ------
        RefusedError
            400 if there is no table, or the model is not in it.
        """
        routes = self._settings.routes
        if not routes:
            message = (
                f"the provider {ROUTED!r} needs a routing table in the settings of this proxy: "
                '[routes."MODEL"] with provider and model'
            )
            raise RefusedError(400, "no_route", message)
        route = routes.get(model or "")
        if route is None:
            asked = "the request names no model" if model is None else f"{model[:200]!r} has none"
            message = f"no route: {asked}; models with a route: {', '.join(routes)}"
            raise RefusedError(400, "no_route", message)
        return self._settings.providers[route.provider], route

    def credential(self, provider: Provider) -> tuple[str, str] | None:
        """Return the header with which routed requests are sent, None if none is set."""
        credential = self._credentials.get(provider.name)
        if credential is None:
            return None
        bearer = "Bearer " if provider.credential == "Authorization" else ""
        return provider.credential, bearer + credential

    def asks_for_usage(self, provider: Provider, path: str, query: bytes) -> bool:
        """Return whether a stream of this provider is asked for its usage."""
        if not (self._settings.ask_for_usage and provider.asks_for_usage):
            return False
        if provider.name == "azure" and "/deployments/" in path:
            version = _API_VERSION.search(query)
            return version is not None and version[1] >= FIRST_AZURE_VERSION_WITH_USAGE
        return True

    def url(self, provider: Provider, path: str, query: bytes, headers: RequestHeaders) -> URL:
        """Return what to ask, percent-encoding untouched.

        Raises
        ------
        RefusedError
            400 if the provider has no address, or one in each region and none is named; or
            if the path leads out of the address with dot segments.
        """
        base_url = provider.base_url
        if not base_url:
            variable = base_url_variable(provider.name)
            message = f"the provider {provider.name!r} has no address here; set {variable}"
            raise RefusedError(400, "no_address", message)
        if REGION in base_url:
            base_url = regional(base_url, _region(provider, path, headers))
        path = upstream_path(provider, self._base_paths[provider.name], path)
        if climbs(path):
            message = "the request target leads out of its provider's address with '..'"
            raise RefusedError(400, "bad_path", message)
        target = base_url + path
        if query:
            target = f"{target}?{query.decode('latin-1')}"
        return URL(target, encoded=True)


def climbs(path: str) -> bool:
    """Return whether dot segments lead above where `path` begins, however coded."""
    for _ in range(MOST_DECODED):
        if "%" not in path:
            break
        path = unquote(path)
    if ".." not in path:
        return False
    depth = 0
    for segment in re.split(r"[/\\]+", path.strip("/\\")):
        depth += -1 if segment == ".." else segment not in {"", "."}
        if depth < 0:
            return True
    return False


def _region(provider: Provider, path: str, headers: RequestHeaders) -> str:
    location = _LOCATION.search(path)
    if location is not None:
        region = location[1]
    elif headers.region is not None:
        region = headers.region.decode("latin-1").strip().lower()
    else:
        region = provider.default_region
    if not region:
        message = (
            f"the provider {provider.name!r} has an address in each region; name one in "
            "X-Majordomo-Bedrock-Region, or set region in its settings"
        )
        raise RefusedError(400, "no_region", message)
    if not _REGION.fullmatch(region):
        message = f"{region[:100]!r} is no region: letters, digits and '-' only"
        raise RefusedError(400, "no_region", message)
    return region
