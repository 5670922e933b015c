"""From a question to an answer: everything is drawn from a hash of the question.

The same question has the same answer, whoever asks, in whatever order, streamed or not.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from majordomo_analytics.cli.standins.prices import Tokens
from majordomo_analytics.cli.standins.schemas import ANY_OBJECT, example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]
Kept = Literal["5m", "1h"]

CHARACTERS_PER_TOKEN = 4
IMPLICIT_CACHE_FROM = 1024
"""Prompts from this many tokens on may be read from the cache that needs no asking."""
CACHE_STEP = 128
USUAL_OUTPUT_LIMIT = 400
TOKENS_OF_AN_IMAGE = 272
TOKENS_OF_AN_INPUT_IMAGE = 194
GZIP_SHARE = 0.4
JSON_IN_WORDS = b"JSON"
"""A prompt that has this word wants it, as some clients say it in no other way."""
NOT_THE_QUESTION = {"stream", "stream_options"}
"""Fields that say how to send the answer, not what was asked."""

PROSE = (
    "The notice period is thirty days from the end of the month. Refunds reach the card "
    "within five working days; a receipt follows by mail. Two clauses differ from the "
    "template: liability is capped at twelve months of fees — and the governing law is "
    "German. Nothing else needs a decision today. "
)


@dataclass(frozen=True, slots=True)
class Question:
    """One call, as far as the answer depends on it.

    Attributes
    ----------
    flavour
        Which API was called.
    model
        The model that was asked for.
    body
        The request's JSON object.
    prompt_characters
        Length of everything the model has to read.
    cacheable_characters
        The part of it that the caller marked for caching; 0 where that is implicit.
    kept
        For how long what is written to the cache stays; None where that is implicit.
    provider
        Who was called.
    caches
        Whether a long prompt may be read from a cache without asking.
    output_limit
        Most tokens the caller wants back; 0 where no text is written.
    thinks
        Whether the model reasons before it answers.
    streamed
        Whether the caller wants a stream of events.
    schema
        The JSON Schema that the answer has to fit, None for prose.
    tool
        The tool that is to be called with that JSON, None if it is the text itself.
    input_images, output_images
        How many images the model has to look at, and to draw.
    searches
        How many searches are billed; they have no tokens.
    """

    flavour: str
    model: str
    body: Json
    prompt_characters: int
    provider: str = "openai"
    caches: bool = True
    cacheable_characters: int = 0
    kept: Kept | None = None
    output_limit: int = USUAL_OUTPUT_LIMIT
    thinks: bool = False
    streamed: bool = False
    schema: Json | None = None
    tool: str | None = None
    input_images: int = 0
    output_images: int = 0
    searches: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back, in no provider's format yet.

    Attributes
    ----------
    id
        Hexadecimal digits, for the ids in answers.
    tokens
        What the answer used.
    text
        What the model says, or gives to the tool.
    error
        HTTP status of a refusal, or None.
    gzipped
        Whether a caller who accepts gzip gets it.
    seconds_to_first, seconds_in_all
        How long the model takes to begin and to end.
    """

    id: str
    tokens: Tokens
    text: str
    error: int | None
    gzipped: bool
    seconds_to_first: float
    seconds_in_all: float

    def pieces(self, most: int = 8) -> list[str]:
        """Return the text cut for streaming."""
        size = max(24, -(-len(self.text) // most))
        return [self.text[i : i + size] for i in range(0, len(self.text), size)]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one API says an answer.

    Attributes
    ----------
    body
        Writes the whole answer as one JSON object.
    events
        Yields the parts of a streamed answer.
    error_body
        Writes the JSON object that goes with an error's HTTP status.
    id_header
        The response header with the provider's id of the request, "" where there is none.
    media_type
        The content type of a streamed answer.
    count_headers
        Writes the response headers that state usage a second time.
    """

    body: Callable[[Question, Answer], Json]
    events: Callable[[Question, Answer], Iterator[bytes]]
    error_body: Callable[[int], Json]
    id_header: str = ""
    media_type: str = "text/event-stream"
    count_headers: Callable[[Answer], dict[str, str]] = lambda _: {}


def characters(value: object) -> int:
    """Return how many characters of text are anywhere within a JSON value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(characters(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(characters(inner) for inner in value)
    return 0


def answer(question: Question, *, error_share: float = 0.0) -> Answer:
    """Return the one answer to `question`; a share `error_share` of them is an error."""
    asked = {k: v for k, v in question.body.items() if k not in NOT_THE_QUESTION}
    seed = json.dumps([question.model, asked], sort_keys=True).encode()
    digest = hashlib.sha256(seed).hexdigest()
    schema = question.schema or (ANY_OBJECT if JSON_IN_WORDS in seed else None)
    draw = random.Random(int(digest, 16))  # noqa: S311 - repeatable on purpose
    refused = draw.random() < error_share
    error = draw.choice([429, 429, 500]) if refused else None
    gzipped = draw.random() < GZIP_SHARE
    tokens = _tokens(question, draw)
    first = 0.004 + 0.012 * draw.random() + tokens.input * 4e-7
    return Answer(
        id=digest[:24],
        tokens=tokens,
        text=_text(tokens.output - tokens.reasoning)
        if schema is None
        else json.dumps(example(schema), ensure_ascii=False),
        error=error,
        gzipped=gzipped,
        seconds_to_first=first,
        seconds_in_all=first + tokens.output * (4e-5 + 4e-5 * draw.random()),
    )


def _tokens(question: Question, draw: random.Random) -> Tokens:
    if question.searches:
        return Tokens(searches=question.searches)
    whole = 7 + question.prompt_characters // CHARACTERS_PER_TOKEN + draw.randrange(9)
    cached = written = 0
    if question.kept:
        marked = min(whole - 4, question.cacheable_characters // CHARACTERS_PER_TOKEN)
        share_read = draw.choice([0.0, 0.5, 1.0, 1.0, 1.0, 1.0])
        cached = int(marked * share_read)
        written = marked - cached
    elif question.caches and whole >= IMPLICIT_CACHE_FROM and draw.random() < 0.6:
        cached = int(whole * draw.uniform(0.3, 0.95)) // CACHE_STEP * CACHE_STEP
    looked_at = question.input_images * TOKENS_OF_AN_INPUT_IMAGE
    drawn = question.output_images * TOKENS_OF_AN_IMAGE
    output = drawn
    if question.output_limit:
        output = max(1, int(question.output_limit * draw.uniform(0.25, 1.0)))
    reasoning = int(output * draw.uniform(0.2, 0.7)) if question.thinks else 0
    return Tokens(
        input=whole + looked_at,
        cached=cached,
        written_5m=written if question.kept == "5m" else 0,
        written_1h=written if question.kept == "1h" else 0,
        output=output,
        reasoning=reasoning,
        input_image=looked_at,
        output_image=drawn,
    )


def _text(tokens: int) -> str:
    length = max(1, tokens) * CHARACTERS_PER_TOKEN
    return (PROSE * (length // len(PROSE) + 1))[:length]
