"""Credentials are taken out of text by their shape; what is none stays readable."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from majordomo_analytics.capture.credentials import MASK, without_credentials

REST = "abcDEF123456ghiJKL789"
SECRETS = [
    f"sk-{REST}",
    f"sk-proj-{REST}_{REST}",
    f"sk-ant-api03-{REST}",
    f"sk-or-v1-{REST}",
    f"sk_live_{REST}",
    f"mdm_sk_{REST}",
    f"gsk_{REST}",
    f"xai-{REST}",
    f"csk-{REST}",
    f"hf_{REST}",
    f"r8_{REST}",
    f"fw_{REST}",
    f"pplx-{REST}",
    f"nvapi-{REST}",
    f"tgp_v1_{REST}",
    f"ghp_{REST}",
    "sk-abc***********wxyz",
    f"AIzaSy{REST}",
    f"ya29.{REST}-{REST}",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    f"ABSK{REST}+/=",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
]
PLACES = [
    "Incorrect API key provided: {}. See https://example.com/keys.",
    "Invalid key '{}'",
    '{{"key": "{}"}}',
    "({})",
    "{}",
    "键{}键",
    "OPENAI_{}",
    "%20{}%20",
    '{{"text": "a\\n{}"}}',
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", PLACES)
def test_credential_is_masked_wherever_it_stands(place: str, secret: str) -> None:
    """A credential of any provider's shape is gone, and the words around it are not."""
    shown = without_credentials(place.format(secret))
    assert secret not in shown
    assert secret[8:] not in shown
    words, _, others = place.format(MASK).partition(MASK)
    assert shown.startswith(words)
    assert shown.endswith(others.lstrip("."))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {MASK}"),
        ("Authorization: Basic dXNlcjpwYXNz", f"Authorization: Basic {MASK}"),
        ("https://h/v1?key=abc123&alt=sse", f"https://h/v1?key={MASK}&alt=sse"),
        ("https://h/v1?alt=sse&key=abc123", f"https://h/v1?alt=sse&key={MASK}"),
        ("GET /v1?api_key=a/b+c= failed", f"GET /v1?api_key={MASK} failed"),
        ("GET /v1?api-key=abc failed", f"GET /v1?api-key={MASK} failed"),
        ("?access_token=abc123", f"?access_token={MASK}"),
        ("X-Amz-Signature=abc123&x=1", f"X-Amz-Signature={MASK}&x=1"),
        ("x-api-key: abc123", f"x-api-key: {MASK}"),
        ("api-key: abc123", f"api-key: {MASK}"),
    ],
)
def test_credential_is_known_by_what_stands_before_it(text: str, shown: str) -> None:
    """In headers and addresses whatever stands in its place is taken for a credential."""
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "The model `gpt-5` does not exist",
        "risk-free task-based desk_top",
        "The Bearer is missing",
        "Incorrect API key provided",
        "max_tokens must be less than 4096, see https://example.com/?page=2",
        "tool sk_1 is unknown",
        "Request req_01abcdefghijklmnop was refused by org-abcdefghijkl",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """A message without a credential reads as the provider wrote it."""
    assert without_credentials(text) == text


@given(
    before=st.text(max_size=50),
    rest=st.text(alphabet="abcdefghijkmnpqrstuvwxyzABCDEFGH0123456789", min_size=20, max_size=60),
    prefix=st.sampled_from(["sk-", "sk-ant-", "gsk_", "xai-", "mdm_sk_", "AIza", "Bearer "]),
    after=st.text(max_size=50),
)
def test_no_part_of_a_credential_is_left(before: str, rest: str, prefix: str, after: str) -> None:
    """Whatever text surrounds it, of a credential nothing long enough to use is left."""
    assume(rest[:10] not in before + after)
    shown = without_credentials(f"{before} {prefix}{rest} {after}")
    assert rest[:10] not in shown
