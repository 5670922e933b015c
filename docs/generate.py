"""Write the parts of these pages that are made from the code: `make docs`.

A page holds each such part between ``<!-- made: NAME -->`` and ``<!-- end -->``; a test
compares what stands there with what the code says now.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import majordomo_analytics
from majordomo_analytics.cli.main import app
from majordomo_analytics.pricing import units
from majordomo_analytics.pricing.units import unit_of
from majordomo_analytics.records import metadata
from majordomo_analytics.records.columns import columns_markdown
from majordomo_analytics.records.flags import FLAGS
from majordomo_analytics.records.providers import PROVIDERS, infer_provider
from majordomo_proxy.meters import METERS
from majordomo_proxy.settings import environment_names
from majordomo_proxy.upstreams import base_url_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from majordomo_analytics.capture.flavours import Flavour

DOCS = Path(__file__).resolve().parent
PART = re.compile(r"(?<=<!-- made: )(?P<name>[\w-]+)( -->\n)(?P<text>.*?)(?=<!-- end -->)", re.S)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    titles = tuple(headings)
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("| --- ", "|---") for cells in lines)


def flags_table() -> str:
    return table(("flag", "meaning"), ((f"`{name}`", text) for name, text in FLAGS.items()))


def reserved_headers() -> str:
    named = ((name.decode().title(), text) for name, text in metadata.RESERVED.items())
    return table(("header", "meaning"), ((f"`{name}`", text) for name, text in named))


def metadata_bounds() -> str:
    dropped = "the names over it are left out, flag `metadata_dropped`"
    cut = "cut, flag `metadata_cut`"
    rows = (
        ("length of a name", f"{metadata.MAX_NAME_CHARACTERS:,} characters", cut),
        ("length of a value", f"{metadata.MAX_VALUE_CHARACTERS:,} characters", cut),
        ("names in a request", f"{metadata.MAX_KEYS_PER_REQUEST:,}", dropped),
        ("names an API key brings", f"{metadata.MAX_NAMES_PER_API_KEY:,}", dropped),
    )
    return table(("what", "at most", "over it"), rows)


def promoted_from_the_start() -> str:
    return ", ".join(f"`{name}`" for name in metadata.PROMOTED_FROM_THE_START) + ".\n"


def settings() -> str:
    rows = ((f"`{name}`", text) for name, text in environment_names().items())
    return table(("environment variable", "meaning"), rows)


def metrics() -> str:
    rows = (
        (
            f"`{meter.name}`",
            meter.kind,
            ", ".join(f"`{label}`" for label in meter.labels),
            meter.meaning,
            meter.writer,
        )
        for meter in METERS.values()
    )
    return table(("metric", "kind", "labels", "meaning", "counted by"), rows)


def panels() -> str:
    shown = json.loads((DOCS / "grafana" / "dashboard.json").read_text("utf-8"))["panels"]
    rows = (
        (panel["title"], ", ".join(f"`{target['expr']}`" for target in panel["targets"]))
        for panel in shown
    )
    return table(("panel", "query"), rows)


def price_keys() -> str:
    rows = (
        (f"`{key}`", f"{unit_of(key).per:,}", unit_of(key).usage_key.replace("_", " "))
        for key in units.price_keys()
        if unit_of(key).usage_key in units.COUNT_OF or key == "requests_kcount"
    )
    return table(("rate", "US dollars for", "of"), rows)


def commands() -> str:
    return "\n".join(command_part(path, command) for path, command in all_commands())


def all_commands() -> Iterator[tuple[str, Any]]:
    """Yield every command, groups left out, with its full name."""

    def walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for name, below in command.commands.items():
                yield from walk(f"{path} {name}", below)
        elif not command.hidden:
            yield path, command

    yield from walk("mdm", typer.main.get_command(app))


def options_of(command: Any) -> list[Any]:
    """Return the parameters of a command that its help shows."""
    return [param for param in command.params if not getattr(param, "hidden", False)]


def command_part(path: str, command: Any) -> str:
    """Return the heading, help and options of one command."""
    parts = [f"### `{path}`\n", f"{inspect.cleandoc(command.help or '')}\n"]
    rows = []
    for param in options_of(command):
        shown = param.metavar or param.name.upper()
        name = shown if param.param_type_name == "argument" else "`, `".join(param.opts)
        notes = [getattr(param, "help", None) or ""]
        if param.envvar:
            notes.append(f"Environment: `{param.envvar}`.")
        if param.default not in (None, False, ()) and not callable(param.default):
            notes.append(f"Default: `{param.default}`.")
        if param.required:
            notes.append("Required.")
        rows.append((f"`{name}`", " ".join(filter(None, notes)).replace("|", "\\|")))
    if rows:
        parts.append(table(("option", "meaning"), rows))
    return "\n".join(parts)


def public_names() -> str:
    """Return each public name with the first line of its docstring."""
    rows = []
    for name in majordomo_analytics.__all__:
        value = getattr(majordomo_analytics, name)
        explained = isinstance(value, type) or inspect.isroutine(value) or inspect.ismodule(value)
        text = (inspect.getdoc(value) or "").partition("\n")[0] if explained else KNOWN_VALUES[name]
        rows.append((f"`ma.{name}`", text.replace("|", "\\|")))
    return table(("name", "what it is"), rows)


KNOWN_VALUES = {"MEASURES": "Every measure that `query` knows, by name."}
"""Public names that are values and so have no docstring of their own."""

API_NAMES = {
    "openai": "OpenAI's API",
    "anthropic": "Anthropic's API",
    "gemini": "Gemini's API",
    "cohere": "Cohere's API",
    "bedrock": "Bedrock's API",
}


def providers() -> str:
    rows = (
        (
            f"`{p.name}`",
            f"`{p.base_url}`" if p.base_url else f"your own, `{base_url_variable(p.name)}`",
            API_NAMES[p.dialect],
            f"`{p.api_root}`" if p.dialect == "openai" else "",
            f"`{p.credential}`",
            "yes" if p.asks_for_usage else "",
        )
        for p in PROVIDERS.values()
    )
    titles = ("name", "address", "speaks", "bare paths", "credential", "asked for usage")
    return table(titles, rows)


def inferred_providers() -> str:
    """Return example paths with the provider that each is inferred to be for."""
    paths = (
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/images/generations",
        "/v1/audio/transcriptions",
        "/v1/messages",
        "/v1beta/models/MODEL:generateContent",
        "/v1/models/MODEL:streamGenerateContent",
        "/v2/chat",
        "/v2/embed",
        "/v2/rerank",
        "/model/ID/converse",
        "/model/ID/invoke-with-response-stream",
    )
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(str(infer_provider(path)), []).append(f"`{path}`")
    return table(("path", "provider"), ((", ".join(p), f"`{name}`") for name, p in found.items()))


FLAVOURS: dict[Flavour, str] = {
    "chat": "chat completions of OpenAI and hosts like it, streamed or not",
    "completions": "legacy completions",
    "responses": "responses, also incomplete and failed ones, and `/compact`",
    "background_response": "a background response that is read when it has finished",
    "embeddings": "embeddings",
    "images": "generated and edited images",
    "transcriptions": "transcribed and translated audio, by tokens or by its length",
    "speech": "speech from text, by the characters of the request",
    "assistants": "runs of assistants",
    "messages": "Anthropic messages, also on Vertex; iterations billed by their own models",
    "count_tokens": "free calls that count tokens; they have no usage",
    "generate_content": "Gemini and Vertex, as one object, an array or events",
    "embed_content": "embeddings of Gemini",
    "interactions": "Gemini interactions",
    "cohere_chat": "Cohere chat, v1 and v2, by billed units",
    "embed": "Cohere embeddings, by billed units",
    "rerank": "rerankings, by search units or tokens",
    "converse": "Bedrock Converse, also as AWS event stream",
    "invoke": "Bedrock InvokeModel, in the model's own shape or by headers",
    "invoke_agent": "Bedrock agents, the sum of their model calls",
    "ollama": "Ollama's own API",
}


def flavours() -> str:
    return table(("`api_flavour`", "what it is"), ((f"`{n}`", t) for n, t in FLAVOURS.items()))


PARTS: dict[str, Callable[[], str]] = {
    "columns": columns_markdown,
    "flags": flags_table,
    "reserved-headers": reserved_headers,
    "metadata-bounds": metadata_bounds,
    "promoted-from-the-start": promoted_from_the_start,
    "settings": settings,
    "metrics": metrics,
    "panels": panels,
    "price-keys": price_keys,
    "providers": providers,
    "inferred-providers": inferred_providers,
    "flavours": flavours,
    "commands": commands,
    "public-names": public_names,
}


def renewed(page: str) -> str:
    """Return a page with its made parts as the code has them now."""
    return PART.sub(lambda m: f"{m['name']} -->\n\n{PARTS[m['name']]()}\n", page)


def pages() -> list[Path]:
    """Return the pages that have made parts."""
    return [page for page in sorted(DOCS.glob("*.md")) if PART.search(page.read_text("utf-8"))]


def main() -> None:
    for page in pages():
        text = page.read_text("utf-8")
        if (new := renewed(text)) != text:
            page.write_text(new, "utf-8")
            print(f"wrote {page.name}")


if __name__ == "__main__":
    main()
