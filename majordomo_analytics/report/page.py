"""The report as HTML: one file with its style, its script and its figures inside."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from majordomo_analytics.plots.page import figure_html, plotly_script
from majordomo_analytics.report.table import table_html
from majordomo_analytics.times import utc_now

if TYPE_CHECKING:
    from majordomo_analytics.report.content import Contents, Section

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""Nothing is fetched from anywhere, whatever a metadata value holds."""


def page(contents: Contents) -> str:
    """Return the whole page."""
    style = files("majordomo_analytics.report").joinpath("page.css").read_text("utf-8")
    findings = "\n".join(f"<li>{escape(finding)}</li>" for finding in contents.findings)
    sections = "\n".join(
        _section(section, f"figure-{number}") for number, section in enumerate(contents.sections, 1)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(contents.headline)}</title>
<style>
{style}</style>
{plotly_script() if contents.sections else ""}
</head>
<body>
<header>
<p class="kicker">What the LLM calls cost</p>
<h1>{escape(contents.headline)}</h1>
<ul class="findings">
{findings}
</ul>
</header>
<main>
{sections}
</main>
<footer>Written by majordomo-analytics on {utc_now():%Y-%m-%d at %H:%M} UTC. Money is US dollars,
days are those of UTC. Input tokens include what a cache read or wrote, output tokens include
reasoning.</footer>
</body>
</html>
"""


def _section(section: Section, name: str) -> str:
    parts = [f"<h2>{escape(section.heading)}</h2>", f"<p>{escape(section.says)}</p>"]
    if section.drawn is not None:
        parts.append(figure_html(section.drawn.plot(), name=name, says=section.heading))
    if section.listed is not None:
        parts.append(table_html(section.listed))
    body = "\n".join(parts)
    return f"<section{' class=wide' if section.wide else ''}>\n{body}\n</section>"
