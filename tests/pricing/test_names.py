"""The list and the name under which a model's price stands."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices.types import TieredPrices
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.pricing.lists import current_prices
from majordomo_analytics.pricing.names import (
    MAX_NAME_CHARACTERS,
    candidates,
    is_fine_tuned,
    price_list_of,
    routed_host,
)
from majordomo_analytics.records.providers import PROVIDERS
from tests.pricing.public import MODELS

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRICES = current_prices()
ARN = "arn:aws:bedrock:eu-west-1:123456789012"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def listed(
    provider: str, model: str | None, requested: str | None = None, path: str = "/v1/x"
) -> tuple[str, Decimal] | None:
    """Return the list a model was found in, and its price of a million input tokens."""
    host = routed_host(path) if provider == "huggingface" else ""
    found = PRICES.first(candidates(provider, model, requested, host))
    if found is None:
        return None
    rate = found.rates(AT, ())[0].get("input_mtok", Decimal(0))
    return found.price_list.id, rate.base if isinstance(rate, TieredPrices) else rate


@pytest.mark.parametrize(
    ("provider", "model", "price_list", "input_mtok"),
    [
        ("openai", "gpt-4o-2024-08-06", "openai", "2.5"),
        ("openai", "gpt-4o-2024-05-13", "openai", "5"),
        ("openai", "GPT-4o", "openai", "2.5"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:shop::abc", "openai", "0.3"),
        ("azure", "gpt-4o-2024-08-06", "azure", "2.5"),
        ("anthropic", "claude-3-5-sonnet-20241022", "anthropic", "3"),
        ("gemini", "models/gemini-2.5-pro", "google", "1.25"),
        ("gemini-openai", "models/gemini-2.5-flash", "google", "0.3"),
        ("vertex", "gemini-2.5-pro@001", "google", "1.25"),
        ("vertex", "google/gemini-2.5-flash", "google", "0.3"),
        ("vertex", "claude-sonnet-4-5@20250929", "google", "3"),
        ("vertex", "projects/p/locations/l/publishers/google/models/gemini-2.5-pro",
         "google", "1.25"),
        ("openrouter", "openai/gpt-4o-mini", "openrouter", "0.15"),
        ("openrouter", "openai/gpt-4o:nitro", "openrouter", "2.5"),
        ("openrouter", "openai/gpt-4o:extended", "openrouter", "6"),
        ("openrouter", "deepseek/deepseek-chat:free", "openrouter", "0"),
        ("openrouter", "openai/gpt-5.2-20251211", "openrouter", "1.75"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "together", "0.88"),
        ("xai", "grok-4-0709", "x-ai", "3"),
        ("voyageai", "voyage-3.5", "voyageai", "0.06"),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:groq", "huggingface_groq", "0.59"),
        ("bedrock", SONNET, "aws", "3.3"),
        ("bedrock", f"us.{SONNET}", "aws", "3.3"),
        ("bedrock", f"apac.{SONNET}", "aws", "3.3"),
        ("bedrock", f"ca.{SONNET}", "aws", "3.3"),
        ("bedrock", f"global.{SONNET}", "aws", "3"),
        ("bedrock", f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}", "aws", "3.3"),
        ("bedrock", f"{ARN}:inference-profile/eu.{SONNET}", "aws", "3.3"),
        ("bedrock", f"{ARN}:inference-profile/global.{SONNET}", "aws", "3"),
        ("bedrock", f"{ARN}:inference-profile/eu.anthropic.claude-opus-5", "aws", "5.5"),
        ("bedrock", "amazon.nova-pro-v1:0:300k", "aws", "0.8"),
        ("bedrock-mantle", "anthropic.claude-opus-5", "aws", "5.5"),
        ("bedrock-mantle", "global.anthropic.claude-opus-5", "aws", "5"),
    ],
)  # fmt: skip
def test_a_name_leads_to_its_price(
    provider: str, model: str, price_list: str, input_mtok: str
) -> None:
    assert listed(provider, model) == (price_list, Decimal(input_mtok))
    assert listed(provider, None, model) == (price_list, Decimal(input_mtok))


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "ft:davinci-002:shop::abc"),
        ("openai", "davinci:ft-shop-2023-01-01"),
        ("azure", "gpt-4o-2024-08-06.ft-0123456789"),
        ("azure", "our-deployment"),
        ("mistral", "ft:open-mistral-7b:abc:20240101"),
        ("vertex", "tunedModels/gemini-2.5-flash-ours"),
        ("vertex", "publishers/meta/models/llama-3.3-70b-instruct-maas"),
        ("bedrock", f"{ARN}:application-inference-profile/abcd1234"),
        ("bedrock", f"{ARN}:provisioned-model/abcd1234"),
        ("bedrock", f"{ARN}:custom-model-deployment/abcd1234"),
        ("openrouter", "openai/gpt-4o:free"),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct"),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:fastest"),
        ("my-openai", "gpt-4o"),
        ("openai", "x" * (MAX_NAME_CHARACTERS + 1)),
        ("openai", ""),
    ],
)
def test_a_name_that_says_too_little_has_no_price(provider: str, model: str) -> None:
    assert listed(provider, model) is None


def test_the_path_of_a_router_names_the_host() -> None:
    model = "meta-llama/Llama-3.3-70B-Instruct"
    path = "/together/v1/chat/completions"
    found = listed("huggingface", model, path=path)
    assert found is not None
    assert found[0] == "huggingface_together"


def test_a_deployments_name_does_not_price_what_runs_in_it() -> None:
    """A deployment may be called gpt-4o and run anything."""
    assert listed("azure", "some-new-model", "gpt-4o") is None


@pytest.mark.parametrize(
    ("provider", "answered", "asked"),
    [
        ("openai", "gpt-99-ultra", "gpt-4o"),
        ("openai", "gpt-4o-ultra", "gpt-4o"),
        ("openai", "ft:davinci-002:shop::abc", "ft:gpt-4o-mini-2024-07-18:shop::abc"),
        ("anthropic", "claude-zeus-9", "claude-haiku-4-5"),
        ("openrouter", "mistralai/mistral-brand-new-9", "openai/gpt-4o"),
        ("openrouter", "nobody/new-2029-01-01", "openai/gpt-4o"),
    ],
)
def test_another_model_that_answered_does_not_cost_what_was_asked_for(
    provider: str, answered: str, asked: str
) -> None:
    assert listed(provider, None, asked) is not None
    assert listed(provider, answered, asked) is None


@pytest.mark.parametrize(
    ("provider", "answered", "asked"),
    [
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-4o-2029-01-01", "gpt-4o"),
        ("openai", "gpt-4o-0199", "gpt-4o"),
        ("openai", "davinci:2023-07-21-v2", "davinci-002"),
        ("anthropic", "claude-sonnet-4-5-20290101", "claude-sonnet-4-5"),
        ("anthropic", "claude-3-7-sonnet-20290101", "claude-3-7-sonnet-latest"),
        ("mistral", "mistral-large-2999", "mistral-large-latest"),
        ("openai", "x" * (MAX_NAME_CHARACTERS + 1), "gpt-4o"),
    ],
)
def test_a_release_that_is_not_listed_costs_what_was_asked_for(
    provider: str, answered: str, asked: str
) -> None:
    of_asked = listed(provider, None, asked)
    assert of_asked is not None
    assert listed(provider, answered, asked) == of_asked


def test_one_release_is_not_priced_as_another() -> None:
    """The first GPT-4o cost 5 dollars; a later one that is not listed costs as GPT-4o."""
    assert listed("openai", "gpt-4o-2029-01-01", "gpt-4o-2024-05-13") == (
        "openai", Decimal("2.5"),
    )  # fmt: skip


def test_the_profile_that_was_asked_for_decides_on_bedrock() -> None:
    """The answer names the bare model, which would be the dearer price of a region."""
    assert listed("bedrock", "claude-sonnet-4-5-20250929", f"global.{SONNET}") == (
        "aws", Decimal(3),
    )  # fmt: skip
    profile = f"{ARN}:application-inference-profile/abcd1234"
    assert listed("bedrock", "claude-sonnet-4-5-20250929", profile) == ("aws", Decimal("3.3"))


def test_a_free_variant_stays_free_when_the_answer_drops_the_suffix() -> None:
    found = listed("openrouter", "deepseek/deepseek-chat", "deepseek/deepseek-chat:free")
    assert found == ("openrouter", Decimal(0))


def test_a_free_variant_that_is_not_listed_is_not_billed_as_the_dear_one() -> None:
    assert listed("openrouter", "openai/gpt-4o") == ("openrouter", Decimal("2.5"))
    assert listed("openrouter", "openai/gpt-4o", "openai/gpt-4o:free") is None


def test_a_new_release_costs_what_its_model_does() -> None:
    assert listed("openai", "gpt-4o-2029-01-01") == ("openai", Decimal("2.5"))


@given(name=st.sampled_from([model.id for provider, model in MODELS if provider.id != "openai"]))
def test_no_fine_tune_is_priced_as_its_base(name: str) -> None:
    for tuned in (f"ft:{name}:shop::abc", f"{name}:ft-shop-1", f"{name}.ft-0123"):
        for provider in PROVIDERS:
            found = PRICES.first(candidates(provider, tuned, None))
            assert found is None or is_fine_tuned(found.model.id), (provider, tuned)


@given(name=st.text(max_size=300), provider=st.sampled_from([*PROVIDERS, "huggingface", "new"]))
def test_no_name_raises(name: str, provider: str) -> None:
    for _, spelled in candidates(provider, name, name, routed_host(name)):
        assert len(spelled) <= MAX_NAME_CHARACTERS


def test_every_provider_with_a_list_of_another_name_has_that_list() -> None:
    """A list that is renamed upstream would leave a provider without prices."""
    for provider in PROVIDERS.values():
        if provider.price_list:
            assert price_list_of(provider.name) in PRICES.names


def test_a_bare_bedrock_id_costs_what_a_geography_does_and_never_less_than_global() -> None:
    """AWS bills calls in a region and within a geography alike, 10 % above global ones."""
    compared = 0
    for provider, model in MODELS:
        if provider.id != "aws" or not model.id.startswith("global."):
            continue
        bare = model.id.removeprefix("global.")
        of_region, of_globe = listed("bedrock", bare), listed("bedrock", model.id)
        of_geography = listed("bedrock", f"us.{bare}")
        assert of_globe is not None
        if of_region is not None:
            assert of_region == of_geography
            assert of_region[1] >= of_globe[1]
            compared += of_region[1] == of_globe[1] * Decimal("1.1")
    assert compared > 10
