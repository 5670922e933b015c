"""A price book goes before the public list; what is wrong in one is refused by its line."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.datadir import DataDirectory
from majordomo_analytics.errors import PriceBookError, SettingsError
from majordomo_analytics.pricing import lines
from majordomo_analytics.pricing.book import Pattern
from majordomo_analytics.pricing.bookfile import load_price_book, price_book_for
from majordomo_analytics.pricing.pricer import Pricer
from majordomo_analytics.records.money import Cost
from majordomo_analytics.records.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
USAGE = Usage(input_tokens=1_000_000, output_tokens=100_000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prices.toml"


def priced(
    file: Path,
    text: str,
    model: str | None,
    provider: str = "openai",
    usage: Usage = USAGE,
    **fields: Any,
) -> Cost:
    file.write_text(text, "utf-8")
    known: dict[str, Any] = {"requested_model": None, "requested_at": AT, **fields}
    return Pricer(load_price_book(file)).price(usage, provider=provider, model=model, **known)


def refused(file: Path, text: str) -> PriceBookError:
    file.write_text(text, "utf-8")
    with pytest.raises(PriceBookError) as caught:
        load_price_book(file)
    return caught.value


OWN = '[[price]]\nprovider = "openai"\nmodel = "gpt-4o"\ninput_mtok = 2\noutput_mtok = 7.5\n'


def test_rates_of_ones_own_go_before_the_public_ones(file: Path) -> None:
    """A million tokens at 2 dollars, a tenth of one at 7.50; the list has 2.50 and 10."""
    cost = priced(file, OWN, "gpt-4o")
    assert (cost.input_cost, cost.output_cost) == (Decimal(2), Decimal("0.75"))


def test_other_models_keep_the_public_price(file: Path) -> None:
    cost = priced(file, OWN, "gpt-4o-mini")
    assert (cost.input_cost, cost.output_cost) == (Decimal("0.15"), Decimal("0.06"))


def test_the_version_names_the_book_and_the_list(file: Path) -> None:
    cost = priced(file, OWN, "gpt-4o")
    digest = hashlib.sha256(OWN.encode()).hexdigest()[:12]
    assert cost.price_version == f"{Pricer().version}, price book {digest}"


def test_a_discount_is_a_share_off_every_part_of_the_public_price(file: Path) -> None:
    """15 % off 2.50, 10, 1.25 for cached tokens and 10 for a thousand searches."""
    text = '[[price]]\nprovider = "openai"\nmodel = "gpt-4o*"\ndiscount = 0.15\n'
    usage = Usage(
        input_tokens=1_000_000, cached_tokens=400_000, output_tokens=100_000, web_searches=100
    )
    cost = priced(file, text, "gpt-4o", usage=usage)
    assert cost.input_cost == (Decimal("1.5") + Decimal("0.5")) * Decimal("0.85")
    assert cost.output_cost == Decimal("0.85")
    assert cost.tool_cost == Decimal("0.85")


def test_a_discount_follows_tiers_and_service_tiers(file: Path) -> None:
    """Gemini 2.5 Pro over 200,000 tokens is 2.50, GPT-5 flex 0.625: half of each."""
    text = '[[price]]\nprovider = "*"\nmodel = "*"\ndiscount = 0.5\n'
    long = priced(file, text, "gemini-2.5-pro", "gemini")
    flex = Usage(input_tokens=1_000_000, output_tokens=0, service_tier="flex")
    cost = priced(file, text, "gpt-5", usage=flex)
    assert long.input_cost == Decimal("1.25")
    assert (cost.input_cost, cost.flags) == (Decimal("0.3125"), ())


def test_a_model_of_ones_own_costs_like_a_public_one(file: Path) -> None:
    text = (
        'providers = ["our-gpus"]\n[[price]]\nprovider = "our-gpus"\nmodel = "chat-*"\n'
        'like = "openai/gpt-4o"\ndiscount = 0.2\n'
    )
    cost = priced(file, text, "chat-large", "our-gpus")
    assert (cost.input_cost, cost.output_cost) == (Decimal(2), Decimal("0.8"))


def test_rates_of_ones_own_can_have_tiers(file: Path) -> None:
    text = (
        '[[price]]\nprovider = "openai"\nmodel = "m"\noutput_mtok = 0\n'
        "input_mtok = { base = 1, tiers = [{ start = 999_999, price = 3 }] }\n"
    )
    below = Usage(input_tokens=999_999, output_tokens=0)
    assert priced(file, text, "m", usage=below).input_cost == Decimal("0.999999")
    assert priced(file, text, "m").input_cost == Decimal(3)


def test_a_request_can_have_a_price_of_its_own(file: Path) -> None:
    """5 dollars for a thousand requests, whatever they say."""
    text = '[[price]]\nprovider = "openai"\nmodel = "m"\nrequests_kcount = 5\n'
    assert priced(file, text, "m").tool_cost == Decimal("0.005")


def test_rates_of_crossing_units_can_have_the_rate_of_both(file: Path) -> None:
    """Audio at 4 dollars, of which what a cache held at 1; text at 2 and 0.5."""
    rates = {"input_mtok": 2, "cache_read_mtok": 0.5, "input_audio_mtok": 4}
    text = '[[price]]\nprovider = "openai"\nmodel = "m"\noutput_mtok = 0\n'
    text += "".join(f"{key} = {rate}\n" for key, rate in rates.items())
    usage = Usage(
        input_tokens=1000,
        cached_tokens=300,
        input_audio_tokens=400,
        cached_audio_tokens=100,
        output_tokens=0,
    )
    assert "Missing join price" in str(refused(file, text))
    cost = priced(file, text + "cache_audio_read_mtok = 1\n", "m", usage=usage)
    by_hand = (400 * 2 + 200 * Decimal("0.5") + 300 * 4 + 100 * 1) / Decimal(10**6)
    assert cost.input_cost == by_hand


def test_the_books_on_the_page_about_prices_can_be_used(file: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "prices.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    file.write_text(example, "utf-8")
    assert [entry.provider for entry in load_price_book(file).entries] == [
        "openai", "anthropic", "anthropic", "our-gpus", "*",
    ]  # fmt: skip


def test_searches_that_the_list_has_no_price_for_can_have_one(file: Path) -> None:
    text = '[[price]]\nprovider = "cohere"\nmodel = "rerank-*"\nrerank_searches_kcount = 2\n'
    usage = Usage(rerank_searches=3)
    cost = priced(file, text, "rerank-v3.5", "cohere", usage)
    assert (cost.tool_cost, cost.flags) == (Decimal("0.006"), ())


FEE = '[[price]]\nprovider = "openai"\nmodel = "gpt-4o"\nweb_searches_kcount = 25\n'


def test_a_fee_alone_does_not_make_the_tokens_free(file: Path) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=100_000, web_searches=2)
    assert priced(file, FEE, "gpt-4o", usage=usage) == Cost("unpriced")
    stated = Usage(input_tokens=1, output_tokens=1, web_searches=2, stated_cost="0.5")
    assert priced(file, FEE, "gpt-4o", usage=stated).status == "stated"


def test_a_fee_alone_is_priced_where_there_are_no_tokens(file: Path) -> None:
    """Two searches at 25 dollars a thousand."""
    usage = Usage(input_tokens=0, output_tokens=0, web_searches=2)
    assert priced(file, FEE, "gpt-4o", usage=usage).total_cost == Decimal("0.05")


def test_a_price_of_each_request_or_of_a_measure_stands_for_its_tokens(file: Path) -> None:
    """A request at half a cent and a fee; three rerank searches at 2.5 cents."""
    usage = Usage(input_tokens=1_000_000, output_tokens=0, web_searches=2)
    each = priced(file, FEE + "requests_kcount = 5\n", "gpt-4o", usage=usage)
    assert each.total_cost == Decimal("0.055")
    text = FEE.replace("web_searches", "rerank_searches")
    ranked = Usage(input_tokens=500, output_tokens=0, rerank_searches=3)
    assert priced(file, text, "gpt-4o", usage=ranked).total_cost == Decimal("0.075")
    assert priced(file, text, "gpt-4o", usage=usage) == Cost("unpriced")


@pytest.mark.parametrize("price", ["input_mtok = 1\noutput_mtok = 1", 'like = "perplexity/sonar"'])
def test_a_book_says_all_that_a_model_costs_which_searches_each_time(
    file: Path, price: str
) -> None:
    """By rates, or by a model whose requests have a price; a discount lacks the fee."""
    text = f'[[price]]\nprovider = "openai"\nmodel = "gpt-5-search-api"\n{price}\n'
    usage = Usage(input_tokens=1000, output_tokens=0, stated_cost="0.5")
    cost = priced(file, text, "gpt-5-search-api", usage=usage)
    assert (cost.status, cost.flags) == ("priced", ())
    discounted = priced(file, text.replace(price, "discount = 0.1"), "gpt-5-search-api")
    assert (discounted.status, discounted.flags) == ("priced", ("price_incomplete",))


def test_a_price_counts_from_its_first_day_to_just_before_its_last(file: Path) -> None:
    text = OWN + "from = 2026-11-01\nuntil = 2026-12-01T01:00:00+01:00\n"
    prices = [
        priced(file, text, "gpt-4o", requested_at=moment).input_cost
        for moment in (
            datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(2026, 11, 1, tzinfo=UTC),
            datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(2026, 12, 1, tzinfo=UTC),
        )
    ]
    assert prices == [Decimal("2.5"), Decimal(2), Decimal(2), Decimal("2.5")]


def test_one_card_knows_both_sides_of_a_date(file: Path) -> None:
    """The price of a model is kept; a later date must still find its own."""
    file.write_text(OWN + "from = 2026-11-01\n", "utf-8")
    pricer = Pricer(load_price_book(file))
    moments = [datetime(2026, month, 15, tzinfo=UTC) for month in (10, 11, 10, 12)]
    costs = [
        pricer.price(
            USAGE, provider="openai", model="gpt-4o", requested_model=None, requested_at=moment
        ).input_cost
        for moment in moments
    ]
    assert costs == [Decimal("2.5"), Decimal(2), Decimal("2.5"), Decimal(2)]


def test_a_tier_without_a_price_in_the_book_costs_the_books_standard(file: Path) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=0, service_tier="flex")
    cost = priced(file, OWN, "gpt-4o", usage=usage)
    assert (cost.input_cost, cost.flags) == (Decimal(2), ("price_tier_unknown",))


@pytest.mark.parametrize(
    ("condition", "served"),
    [
        ('service_tier = "flex"', {"service_tier": "flex"}),
        ('processing = "batch"', {"service_tier": "batch"}),
        ('speed = "fast"', {"speed": "fast"}),
        ('inference_geo = "us"', {"inference_geo": "us"}),
    ],
)
def test_an_entry_for_a_tier_counts_for_that_tier_alone(
    file: Path, condition: str, served: dict[str, Any]
) -> None:
    text = f'{OWN}[[price]]\nprovider = "openai"\nmodel = "*"\ninput_mtok = 1\noutput_mtok = 1\n'
    text += condition
    usage = Usage(input_tokens=1_000_000, output_tokens=0, **served)
    cost = priced(file, text, "gpt-4o", usage=usage)
    assert (cost.input_cost, cost.flags) == (Decimal(1), ())
    assert priced(file, text, "gpt-4o").input_cost == Decimal(2)


# The entries stand in the order in which they go before each other.
LADDER = (
    ("openai", "gpt-4o"),
    ("*", "gpt-4o"),
    ("openai", "gpt-4*"),
    ("*", "gpt-4*"),
    ("openai", "g*"),
    ("*", "*"),
)


@pytest.mark.parametrize("first", range(len(LADDER)))
def test_the_more_particular_entry_goes_first(file: Path, first: int) -> None:
    """Whatever the order in the file."""
    entries = [
        f'[[price]]\nprovider = "{provider}"\nmodel = "{model}"\ninput_mtok = {place + 1}\n'
        for place, (provider, model) in enumerate(LADDER)
    ][first:]
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    for text in ("".join(entries), "".join(reversed(entries))):
        assert priced(file, text, "gpt-4o", usage=usage).input_cost == Decimal(first + 1)


def test_the_name_of_the_request_counts_as_well(file: Path) -> None:
    """A deployment's name, an alias: whatever the customer calls it."""
    cost = priced(file, OWN, "gpt-4o-2024-08-06", requested_model="gpt-4o")
    assert cost.input_cost == Decimal(2)


def entry(model: str, rate: int, provider: str = "anthropic", more: str = "") -> str:
    """Return an entry whose rate tells it from others."""
    text = f'[[price]]\nprovider = "{provider}"\nmodel = "{model}"\ninput_mtok = {rate}\n'
    return f"{text}output_mtok = {rate}\n{more}\n"


@pytest.mark.parametrize("provider", ["anthropic", "*"])
def test_the_name_in_the_answer_goes_before_a_longer_one_in_the_request(
    file: Path, provider: str
) -> None:
    text = entry("claude-sonnet-4-5", 3) + entry("claude-opus-4-5", 5, provider)
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    for answered, asked, dollars in (
        ("claude-opus-4-5", "claude-sonnet-4-5", 5),
        ("claude-sonnet-4-5", "claude-opus-4-5", 3),
    ):
        cost = priced(file, text, answered, "anthropic", usage, requested_model=asked)
        assert cost.input_cost == Decimal(dollars)


def test_an_undated_name_means_the_releases_that_have_no_entry(file: Path) -> None:
    text = entry("gpt-4o", 3, "openai") + entry("gpt-4o-2024-05-13", 6, "openai")
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    dated = [
        priced(file, text, model, usage=usage).input_cost
        for model in ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13", "gpt-4o-mini-2024-07-18")
    ]
    assert dated == [Decimal(3), Decimal(6), Decimal("0.15")]


@pytest.mark.parametrize("model", [None, "", "m" * 300])
def test_any_model_includes_one_without_a_usable_name(file: Path, model: str | None) -> None:
    text = 'providers = ["our"]\n' + entry("*", 2, "our")
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    assert priced(file, text, model, "our", usage).input_cost == Decimal(2)
    other = 'providers = ["our"]\n' + entry("m*", 2, "our")
    assert priced(file, other, model, "our", usage) == Cost("unpriced")


def test_the_model_inside_a_longer_name_counts_as_well(file: Path) -> None:
    text = '[[price]]\nprovider = "bedrock"\nmodel = "us.amazon.nova-pro-v1:0"\ninput_mtok = 1\n'
    arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0"
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    assert priced(file, text, arn, "bedrock", usage).input_cost == Decimal(1)


BAD = [
    (OWN.replace("2\n", "-2\n"), 4, "negative"),
    (OWN.replace("= 2\n", '= "2"\n'), 4, "no number"),
    (OWN.replace("= 2\n", "= true\n"), 4, "no number"),
    (OWN.replace("= 2\n", "= nan\n"), 4, "no price"),
    (OWN.replace("= 2\n", "= inf\n"), 4, "no price"),
    (OWN.replace("= 2\n", "= 1e999999999\n"), 4, "no price"),
    (OWN.replace("= 2\n", "= 1e-999999999\n"), 4, "no price"),
    (OWN + "from = 0001-01-01T00:00:00+10:00\n", 6, "out of the calendar"),
    (OWN.replace("input_mtok", "inputs_mtok"), 4, "did you mean 'input_mtok'"),
    (OWN.replace("input_mtok", "input_text_mtok"), 4, "nothing is named 'input_text"),
    (OWN.replace("input_mtok", "per_request"), 4, "did you mean 'requests_kcount'"),
    (OWN.replace("openai", "openia"), 2, "did you mean 'openai'"),
    (OWN.replace('"openai"', "7"), 2, "no name"),
    (OWN.replace('provider = "openai"\n', ""), 1, "has no provider"),
    (OWN.replace('model = "gpt-4o"\n', ""), 1, "has no model"),
    (OWN.replace("input_mtok = 2\n", "cache_read_mtok = 1\n"), 4, "cache_read_mtok: input_mtok"),
    (OWN + "from = 2026-07-01\nuntil = 2026-07-01\n", 7, "not after"),
    (OWN + "from = 2026-07-01T00:00:00\n", 6, "no offset"),
    (OWN + 'from = "2026-07-01"\n', 6, "no date"),
    (OWN + "discount = 0.1\n", 6, "keep either"),
    (OWN + 'like = "openai/gpt-4o"\n', 6, "keep either"),
    (OWN + OWN, 6, "overlaps the price in line 1"),
    ('[[price]]\nprovider = "*"\nmodel = "m"\n', 1, "has no price"),
    ('[[price]]\nprovider = "*"\nmodel = "a*c"\ninput_mtok = 1\n'
     '[[price]]\nprovider = "*"\nmodel = "*bc"\ninput_mtok = 1\n', 5, "overlaps"),
    ('[[price]]\nprovider = "*"\nmodel = "m"\ndiscount = 1.5\n', 4, "15 percent off is 0.15"),
    ('[[price]]\nprovider = "*"\nmodel = "m"\ndiscount = 15\n', 4, "more than all"),
    ('[[price]]\nprovider = "openai"\nmodel = "gpt-4oo"\ndiscount = 0.1\n', 3, "'gpt-4o'"),
    ('[[price]]\nprovider = "*"\nmodel = "m"\nlike = "gpt-4o"\n', 4, '"openai/gpt-4o"'),
    ('[[price]]\nprovider = "*"\nmodel = "m"\nlike = "opanai/gpt-4o"\n', 4, "'openai'"),
    ('[[price]]\nprovider = "*"\nmodel = "m"\nlike = "openai/gpt-4oo"\n', 4, "'gpt-4o'"),
    ('[[price]]\nprovider = "*"\nmodel = "m"\ninput_mtok = { base = 1 }\n', 4, "by length"),
    ('[[price]]\nprovider = "*"\nmodel = "m"\n'
     "input_mtok = { base = 1, tiers = [{ start = 1.5, price = 2 }] }\n", 4, "a tier of"),
    ('[[price]]\nprovider = "*"\nmodel = "m"\n'
     "input_mtok = { base = 1, tiers = [{ start = 5, price = -2 }] }\n", 4, "negative"),
    ('providers = ["x"]\n[[price]]\nprovider = "x"\nmodel = "*"\ndiscount = 0\n', 5, "list of 'x'"),
    (OWN.replace("input_mtok = 2\n", ""), 4, "output_mtok alone prices no request"),
    ('[[price]]\nprovider = "*"\nmodel = "m"\ninput_mtok = { base = 1, tiers = '
     "[{ start = 5, price = 2 }, { start = 5, price = 4 }] }\n", 4, "two tiers that start at 5 "),
    ('[[price]]\nprovider = "openai"\nmodel = "gpt4*"\ndiscount = 0.1\n', 3, "like 'gpt4*'"),
    ('[[price]]\nprovider = "*"\nmodel = "zzz*"\ndiscount = 0.1\n', 3, "like 'zzz*'"),
    ('[[price]]\nprovider = "huggingface"\nmodel = "zzz*"\ndiscount = 0.1\n', 3, "'zzz*'"),
    ('[[price]]\nprovider = "bedrock"\nmodel = "us.zzz*"\ndiscount = 0.1\n', 3, "'us.zzz*'"),
    (OWN + 'service_tier = "standard"\n', 6, "leave service_tier out"),
    (OWN + 'service_tier = "scale"\n', 6, "leave service_tier out"),
    (OWN + 'service_tier = "provisioned_throughput"\n', 6, "leave service_tier out"),
    (OWN + 'speed = "standard"\n', 6, "leave speed out"),
    (OWN + 'inference_geo = "global"\n', 6, "leave inference_geo out"),
    (OWN + 'processing = "Batches"\n', 6, 'write processing = "batch"'),
    (OWN + 'processing = "batch"\nservice_tier = "flex"\n', 6, "only one of them"),
    (OWN.replace("openai", "quite-unlike-any"), 2, ". One of your own is declared"),
    ("prices = []\n", 1, "did you mean 'price'"),
    ('\nproviders = "x"\n', 2, "no list of names"),
    ("[price]\nmodel = 1\n", 1, "[[price]]"),
    ("\n[[price]\n", 2, "is not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), BAD)
def test_a_wrong_book_is_refused_with_its_line(
    file: Path, text: str, line: int | None, said: str
) -> None:
    error = refused(file, text)
    assert said in str(error)
    assert (error.path, error.line) == (str(file), line)
    assert str(file) in str(error)
    assert line is None or f"line {line}:" in str(error)
    assert isinstance(error, SettingsError)


@pytest.mark.parametrize(
    ("condition", "served"),
    [
        ('service_tier = "batch"', {"service_tier": "batch"}),
        ('service_tier = "my-tier"', {"service_tier": "my-tier"}),
        ('service_tier = "ON_DEMAND_PRIORITY"', {"traffic_type": "ON_DEMAND_PRIORITY"}),
        ('inference_geo = "us-east"', {"inference_geo": "us-east"}),
        ('processing = "Batch"', {"service_tier": "batch"}),
    ],
)
def test_an_entry_means_what_the_provider_calls_a_tier(
    file: Path, condition: str, served: dict[str, Any]
) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=0, **served)
    cost = priced(file, entry("gpt-4o", 99, "openai", condition), "gpt-4o", usage=usage)
    assert (cost.input_cost, cost.flags) == (Decimal(99), ())


BATCH, US = 'processing = "batch"', 'inference_geo = "us"'


@pytest.mark.parametrize("conditions", [(BATCH, US), (US, BATCH), (US, 'speed = "fast"')])
def test_entries_for_two_ways_at_once_that_say_neither_goes_first_are_refused(
    file: Path, conditions: tuple[str, str]
) -> None:
    first, second = conditions
    text = entry("gpt-4o", 1, "openai", first) + entry("gpt-4o", 7, "openai", second)
    error = refused(file, text)
    assert "overlaps the price in line 1" in str(error)
    assert f"add one for both ({first}, {second})" in str(error)


@pytest.mark.parametrize(
    ("of_both", "is_settled"),
    [
        ("", True),
        ("from = 2026-03-01\nuntil = 2026-09-01\n", True),
        ("from = 2026-05-01\n", False),
        ("until = 2026-05-01\n", False),
    ],
)
def test_an_entry_for_both_ways_settles_what_two_leave_open_while_it_counts(
    file: Path, of_both: str, is_settled: bool
) -> None:
    """The two overlap from April to July of 2026."""
    text = entry("gpt-4o", 1, "openai", f"{BATCH}\nfrom = 2026-04-01")
    text += entry("gpt-4*", 2, "openai", BATCH) + entry(
        "gpt-4o", 7, "openai", f"{US}\nuntil = 2026-07-01"
    )
    text += entry("gpt-4o", 3, "openai", f"{BATCH}\n{US}\n{of_both}")
    if not is_settled:
        assert "overlaps the price in line 1" in str(refused(file, text))
        return
    usage = Usage(input_tokens=1_000_000, output_tokens=0, service_tier="batch", inference_geo="us")
    at = datetime(2026, 5, 1, tzinfo=UTC)
    assert priced(file, text, "gpt-4o", usage=usage, requested_at=at).input_cost == Decimal(3)


def test_a_batch_and_a_service_tier_do_not_overlap(file: Path) -> None:
    text = entry("gpt-4o", 1, "openai", BATCH)
    file.write_text(text + entry("gpt-4o", 2, "openai", 'service_tier = "flex"'), "utf-8")
    assert len(load_price_book(file).entries) == 2


@pytest.mark.parametrize(
    ("provider", "pattern"),
    [
        ("openai", "gpt-4o-2031*"),
        ("anthropic", "claude-*"),
        ("azure", "claude-*"),
        ("bedrock", "us.anthropic.claude-*"),
        ("bedrock", "*:application-inference-profile/*"),
        ("bedrock", "arn:aws:*"),
        ("vertex", "projects/ours/*"),
        ("vertex", "*gemini-2.5*"),
        ("vertex", "publishers/google/models/gemini-*"),
        ("huggingface", "meta-llama/*"),
        ("huggingface", "meta-llama/*:groq"),
        ("openrouter", "openai/gpt-4o*:nitro"),
        ("*", "?pt-4*"),
    ],
)
def test_a_discount_on_models_that_are_listed_is_taken(
    file: Path, provider: str, pattern: str
) -> None:
    file.write_text(
        f'[[price]]\nprovider = "{provider}"\nmodel = "{pattern}"\ndiscount = 0.1\n', "utf-8"
    )
    assert len(load_price_book(file).entries) == 1


def test_a_file_is_gone_through_once_however_many_entries_it_has(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone_through = []

    def counting(text: str) -> Iterator[lines.Statement]:
        gone_through.append(text)
        return statements(text)

    statements = lines.statements
    monkeypatch.setattr(lines, "statements", counting)
    text = "".join(entry(f"model-{number}", number) for number in range(300))
    file.write_text(text, "utf-8")
    found = [each.line for each in load_price_book(file).entries]
    assert found == [number + 1 for number, line in enumerate(text.split("\n")) if line[:1] == "["]
    assert gone_through == [text]


def test_the_mark_that_windows_puts_before_a_text_is_no_part_of_it(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + OWN.encode())
    assert len(load_price_book(file).entries) == 1
    file.write_bytes(b"\xef\xbb\xbf# ok\n\xff\n")
    with pytest.raises(PriceBookError, match=r"line 2: is not UTF-8"):
        load_price_book(file)


def test_what_is_for_different_times_or_tiers_does_not_overlap(file: Path) -> None:
    text = (
        OWN + "until = 2026-07-01\n" + OWN + "from = 2026-07-01\n" + OWN + 'service_tier = "flex"\n'
    )
    file.write_text(text, "utf-8")
    assert len(load_price_book(file).entries) == 3


def test_a_pattern_beside_a_name_that_it_means_does_not_overlap(file: Path) -> None:
    file.write_text(OWN + OWN.replace("gpt-4o", "gpt-4?"), "utf-8")
    assert len(load_price_book(file).entries) == 2


def test_a_line_counts_with_the_line_ends_of_windows(file: Path) -> None:
    file.write_bytes(OWN.replace("2\n", "-2\n").replace("\n", "\r\n").encode())
    with pytest.raises(PriceBookError) as caught:
        load_price_book(file)
    assert caught.value.line == 4


def test_a_file_that_is_not_there_or_not_text_is_refused(file: Path) -> None:
    with pytest.raises(PriceBookError, match="cannot be read"):
        load_price_book(file)
    file.write_bytes(b"# ok\n\xff\n")
    with pytest.raises(PriceBookError, match=r"line 2: is not UTF-8"):
        load_price_book(file)


def test_the_book_of_a_data_directory_counts_unless_another_is_named(tmp_path: Path) -> None:
    data = DataDirectory.create(tmp_path / "data")
    assert price_book_for(data) is None
    data.price_book.write_text(OWN, "utf-8")
    other = tmp_path / "other.toml"
    other.write_text("", "utf-8")
    of_data, of_other = price_book_for(data), price_book_for(data, other)
    assert of_data is not None
    assert of_other is not None
    assert (len(of_data.entries), len(of_other.entries)) == (1, 0)


VALUES = (
    *('"openai"', '"*"', '"gpt-4o"', '"gpt-*"', '"openai/gpt-4o"', '""', '"flex"', "''"),
    *("0", "2", "0.15", "-1", "nan", "1e400", "1e-400", "true", "[]", "{}", "[1]", '[{a = "b"}]'),
    *("2026-07-01", "2026-07-01T00:00:00Z", "2026-07-01T00:00:00", "07:32:00", "9999-12-31"),
    *("{ base = 1, tiers = [] }", "{ base = 1, tiers = [{ start = 1, price = 2 }] }"),
    *("{ base = {}, tiers = [[]] }", "9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"),
)
KEYS = (
    *("provider", "model", "from", "until", "discount", "like", "service_tier", "processing"),
    *(
        "input_mtok",
        "output_mtok",
        "cache_read_mtok",
        "input_audio_mtok",
        "other",
        "requests_kcount",
    ),
)


@given(
    entries=st.lists(
        st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=6), max_size=3
    )
)
def test_a_book_is_read_or_refused_whatever_it_says(
    tmp_path_factory: pytest.TempPathFactory, entries: list[dict[str, str]]
) -> None:
    file = tmp_path_factory.mktemp("book") / "prices.toml"
    sound = {"provider": '"openai"', "model": '"gpt-4o"', "input_mtok": "1"}
    text = "".join(
        "[[price]]\n" + "".join(f"{key} = {value}\n" for key, value in (sound | entry).items())
        for entry in entries
    )
    file.write_text(text, "utf-8")
    refused_line = None
    try:
        book = load_price_book(file)
    except PriceBookError as error:
        refused_line = error.line or 0
    if refused_line is not None:
        assert 1 <= refused_line <= text.count("\n")
        return
    assert len(book.entries) == len(entries)
    cost = Pricer(book).price(
        USAGE, provider="openai", model="gpt-4o", requested_model=None, requested_at=AT
    )
    assert cost.status in {"priced", "unpriced", "error"}


words = st.text("ab?*", max_size=5)
NAMES = ["".join(letters) for size in range(6) for letters in product("ab", repeat=size)]


@given(text=words)
def test_a_pattern_means_what_a_shell_means_by_it(text: str) -> None:
    pattern = Pattern(text)
    assert [pattern.matches(name) for name in NAMES] == [fnmatchcase(name, text) for name in NAMES]


@given(one=words, other=words)
def test_two_patterns_meet_if_some_name_is_meant_by_both(one: str, other: str) -> None:
    """Names of five letters are enough for five characters of each."""
    names = [
        *NAMES,
        *("".join(letters) for n in (6, 7, 8, 9, 10) for letters in product("ab", repeat=n)),
    ]
    both = any(fnmatchcase(name, one) and fnmatchcase(name, other) for name in names)
    assert Pattern(one).meets(Pattern(other)) == both
