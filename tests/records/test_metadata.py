"""From `X-Majordomo-*` headers to metadata keys: names, bounds and what is flagged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.records import flags, metadata
from majordomo_analytics.records.metadata import (
    MAX_KEYS_PER_REQUEST,
    MAX_NAME_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    NO_METADATA,
    PREFIX,
    PROMOTED_FROM_THE_START,
    RESERVED,
    KeyNameQuota,
    RequestMetadata,
    canonical_name,
    clean_text,
    lookup_name,
    read_metadata,
)

latin_names = st.text(st.characters(codec="latin-1"))
ascii_names = st.text("abcXYZ019-_", max_size=30)


@pytest.mark.parametrize(
    ("header", "stored"),
    [
        ("feature", "Feature"),
        ("user-tier", "User-Tier"),
        ("USER_TIER", "User-Tier"),
        ("request-id", "Request-Id"),
        ("ab2c-3d", "Ab2c-3d"),
        ("a--b", "A--B"),
    ],
)
def test_a_name_is_stored_with_each_part_capitalised(header: str, stored: str) -> None:
    assert canonical_name(header) == stored


@given(name=latin_names)
def test_the_canonical_form_of_a_canonical_name_is_itself(name: str) -> None:
    once = canonical_name(name)

    assert canonical_name(once) == once


@given(name=ascii_names)
def test_every_spelling_of_a_name_is_looked_up_as_one(name: str) -> None:
    for spelling in (name.upper(), name.lower(), name.replace("-", "_"), canonical_name(name)):
        assert lookup_name(spelling) == lookup_name(name)


@given(name=latin_names)
def test_a_stored_name_is_found_by_the_name_that_was_sent(name: str) -> None:
    assert lookup_name(canonical_name(name)) == lookup_name(name)


def test_the_keys_promoted_from_the_start_are_canonical() -> None:
    assert [canonical_name(key) for key in PROMOTED_FROM_THE_START] == [*PROMOTED_FROM_THE_START]


def test_only_headers_with_the_exact_prefix_are_metadata() -> None:
    found = read_metadata(
        [
            (b"x-majordomo-team", b"legal"),
            (b"x-majordomo", b"no hyphen"),
            (b"x-majordomo-", b"no name"),
            (b"x-majordomoteam", b"no"),
            (b"my-x-majordomo-team", b"no"),
            (b"authorization", b"Bearer secret"),
        ]
    )

    assert found == RequestMetadata({"Team": "legal"})


@pytest.mark.parametrize("header", sorted(RESERVED))
def test_a_reserved_header_is_never_metadata(header: bytes) -> None:
    """Above all the caller's API key must not end in a row."""
    assert read_metadata([(header, b"mdm_sk_secret")]) is NO_METADATA


def test_the_first_of_repeated_headers_counts_and_the_row_says_so() -> None:
    found = read_metadata(
        [
            (b"x-majordomo-user-tier", b"gold"),
            (b"x-majordomo-user_tier", b"silver"),
            (b"x-majordomo-user-tier", b"bronze"),
        ]
    )

    assert found == RequestMetadata({"User-Tier": "gold"}, (flags.METADATA_REPEATED,))


def test_a_value_is_read_as_utf8_and_else_as_latin1() -> None:
    found = read_metadata(
        [(b"x-majordomo-a", "Zürich ✓".encode()), (b"x-majordomo-b", "Zürich".encode("latin-1"))]
    )

    assert found == RequestMetadata({"A": "Zürich ✓", "B": "Zürich"}, (flags.METADATA_NOT_UTF8,))


def test_a_value_over_the_bound_is_cut() -> None:
    long = b"v" * (MAX_VALUE_CHARACTERS + 1)
    found = read_metadata([(b"x-majordomo-a", long), (b"x-majordomo-b", long[:-1])])

    assert found.values == {"A": "v" * MAX_VALUE_CHARACTERS, "B": "v" * MAX_VALUE_CHARACTERS}
    assert found.flags == (flags.METADATA_CUT,)


def test_a_name_over_the_bound_is_cut() -> None:
    found = read_metadata([(PREFIX + b"n" * (MAX_NAME_CHARACTERS + 1), b"1")])

    assert found.values == {"N" + "n" * (MAX_NAME_CHARACTERS - 1): "1"}
    assert found.flags == (flags.METADATA_CUT,)


def test_names_of_any_length_cost_no_memory_beyond_the_bound() -> None:
    """Stored names are cached; only names within the bound may reach the cache."""
    metadata._stored_name.cache_clear()
    read_metadata([(PREFIX + b"n" * 100_000, b"1"), (PREFIX + b"n" * 200_000, b"1")])

    assert metadata._stored_name.cache_info().currsize == 1


def test_keys_over_the_bound_are_left_out() -> None:
    headers = [(PREFIX + b"k%d" % n, b"v") for n in range(MAX_KEYS_PER_REQUEST + 3)]
    found = read_metadata(headers)

    assert list(found.values) == [f"K{n}" for n in range(MAX_KEYS_PER_REQUEST)]
    assert found.flags == (flags.METADATA_DROPPED,)


def test_a_flag_is_carried_once_in_the_order_it_came_up() -> None:
    long = b"v" * (MAX_VALUE_CHARACTERS + 1)
    found = read_metadata(
        [
            (b"x-majordomo-a", b"\xff"),
            (b"x-majordomo-a", b"again"),
            (b"x-majordomo-b", long),
            (b"x-majordomo-c", long),
        ]
    )

    assert found.flags == (flags.METADATA_NOT_UTF8, flags.METADATA_REPEATED, flags.METADATA_CUT)


@given(headers=st.lists(st.tuples(st.binary(max_size=300).map(PREFIX.__add__), st.binary())))
def test_any_bytes_give_metadata_that_every_store_takes(headers: list[tuple[bytes, bytes]]) -> None:
    """Never an exception, never NUL or half a character, never over a bound."""
    found = read_metadata(headers)

    assert len(found.values) <= MAX_KEYS_PER_REQUEST
    assert set(found.flags) <= set(flags.FLAGS)
    for name, value in found.values.items():
        assert 0 < len(name) <= MAX_NAME_CHARACTERS
        assert len(value) <= MAX_VALUE_CHARACTERS
        assert canonical_name(name) == name
        for text in (name, value):
            assert "\x00" not in text
            assert text.encode("utf-8").decode("utf-8") == text


@given(text=st.text())
def test_cleaning_removes_nul_and_lone_surrogates_and_nothing_else(text: str) -> None:
    kept = [c for c in text if c != "\x00" and not 0xD800 <= ord(c) <= 0xDFFF]

    assert clean_text(text) == "".join(kept)


def test_an_api_key_brings_so_many_names_and_no_more() -> None:
    quota = KeyNameQuota(most=2)
    first = quota.admit("one", RequestMetadata({"A": "1", "B": "2", "C": "3"}))

    assert first == RequestMetadata({"A": "1", "B": "2"}, (flags.METADATA_DROPPED,))


def test_names_an_api_key_has_used_before_go_on_counting() -> None:
    quota = KeyNameQuota(most=2)
    quota.admit("one", RequestMetadata({"A": "1", "B": "2"}))
    again = RequestMetadata({"B": "x", "A": "y"})

    assert quota.admit("one", again) is again


def test_the_names_of_one_api_key_leave_another_alone() -> None:
    quota = KeyNameQuota(most=1)
    quota.admit("one", RequestMetadata({"A": "1"}))
    other = RequestMetadata({"B": "1"})

    assert quota.admit("two", other) is other
    assert quota.admit("one", other).values == {}


def test_dropping_names_keeps_the_flags_a_request_already_has() -> None:
    quota = KeyNameQuota(most=0)
    odd = RequestMetadata({"A": "1"}, (flags.METADATA_CUT, flags.METADATA_DROPPED))

    assert quota.admit("one", odd).flags == (flags.METADATA_CUT, flags.METADATA_DROPPED)
