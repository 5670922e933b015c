"""The small fields of a form are read wherever it is cut, and its files are passed over."""

from __future__ import annotations

import email
import logging
import tracemalloc
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majordomo_analytics.capture import multipart
from majordomo_analytics.capture.multipart import FormFields, form_boundary

BOUNDARY = b"----formdata-0123456789"
AUDIO = bytes(range(256)) * 4 + b"\r\n--\r\n------formdata\r\n\r\n------formdata-01234\r"
WANTED = ("model", "stream")


def part(headers: str, content: bytes) -> bytes:
    head = "".join(f"{line}\r\n" for line in headers.split("\n"))
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + b"\r\n" + content + b"\r\n"


def field(name: str, value: str) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', value.encode())


FILE = part(
    'Content-Disposition: form-data; name="file"; filename="a; name=model.wav"\n'
    "Content-Type: audio/wav",
    AUDIO,
)
END = b"--" + BOUNDARY + b"--\r\n"


def fields(*chunks: bytes, boundary: bytes = BOUNDARY) -> dict[str, str]:
    reader = FormFields(boundary, WANTED)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish()


@pytest.mark.parametrize(
    "body",
    [
        FILE + field("model", "whisper-1") + field("stream", "true") + END,
        field("model", "whisper-1") + field("stream", "true") + FILE + END,
        field("prompt", "model") + field("stream", "true") + field("model", "whisper-1") + END,
        field("model", "first") + field("stream", "true") + field("model", "whisper-1") + END,
        field("model", "whisper-1") + field("stream", "true") + END + b"--after the end",
        b"\r\n" + field("model", "whisper-1") + field("stream", "true") + END,
    ],
)
def test_one_cut_anywhere_changes_nothing(body: bytes) -> None:
    """The fields are the same wherever the form is cut, and whatever stands around them."""
    expected = {"model": "whisper-1", "stream": "true"}
    for cut in range(len(body) + 1):
        assert fields(body[:cut], body[cut:]) == expected, f"cut at {cut}"
    assert fields(*(body[at : at + 1] for at in range(len(body)))) == expected


@given(
    sent=st.lists(
        st.tuples(
            st.sampled_from(["model", "stream", "prompt", "file"]),
            st.text(alphabet="ab-\r\n é😀", max_size=30),
        ),
        max_size=6,
    ),
    size=st.integers(1, 60),
)
def test_fields_are_those_that_a_mail_parser_finds(sent: list[tuple[str, str]], size: int) -> None:
    """Whatever the values hold, what is read is what the standard library reads."""
    body = b"".join(field(name, value) for name, value in sent) + END
    kind = b'Content-Type: multipart/form-data; boundary="' + BOUNDARY + b'"\r\n\r\n'
    expected: dict[str, str] = {}
    for one in email.message_from_bytes(kind + body, policy=HTTP).walk():
        name = one.get_param("name", header="content-disposition")
        if name in WANTED:
            content = one.get_payload(decode=True)
            assert isinstance(content, bytes)
            expected[str(name)] = content.decode()
    assert fields(*(body[at : at + size] for at in range(0, len(body), size))) == expected


@pytest.mark.parametrize(
    "headers",
    [
        'content-disposition: form-data; name="model"',
        "CONTENT-DISPOSITION: form-data; name=model",
        'Content-Disposition:form-data;name="model"',
        'Content-Disposition: form-data; NAME="model"',
        'Content-Type: text/plain; charset=utf-8\nContent-Disposition: form-data; name="model"',
        'Content-Disposition: form-data; name="model"\nContent-Length: 5',
        "\n".join([*["X-A: b"] * 31, 'Content-Disposition: form-data; name="model"']),
    ],
)
def test_headers_of_a_part_are_read_in_any_form(headers: str) -> None:
    """The name of a field is found in any spelling of the header, and among others."""
    assert fields(part(headers, b"gpt-5") + END) == {"model": "gpt-5"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        END,
        b'{"model": "gpt-5"}',
        part('Content-Disposition: form-data; name="model"; filename="m"', b"gpt-5") + END,
        part('Content-Disposition: form-data; filename="x; name=model"', b"gpt-5") + END,
        part('Content-Disposition: form-data; x="\\"; name=model; \\""', b"gpt-5") + END,
        part("Content-Type: text/plain", b"gpt-5") + END,
        part("no header", b"gpt-5") + END,
        part('Content-Disposition: form-data; name="model"\n' + "X: y" * 2000, b"gpt-5") + END,
        part("X: y\n" * 40 + 'Content-Disposition: form-data; name="model"', b"gpt-5") + END,
        field("model", "gpt-5").replace(b"\r\n", b"\n") + END,
        field("model", "gpt-5")[:-3],
        field("model", "gpt-5").replace(BOUNDARY, b"other") + END,
    ],
)
def test_what_is_no_field_says_nothing(body: bytes) -> None:
    """Files, other fields, broken parts and parts that are cut give no value."""
    assert fields(body) == {}


def test_fields_before_the_damage_are_kept() -> None:
    """A form that breaks off says what its whole fields said."""
    assert fields(field("model", "gpt-5") + FILE[:-600]) == {"model": "gpt-5"}
    assert fields(field("model", "gpt-5") + part("\x00: y", b"")) == {"model": "gpt-5"}


def test_a_value_is_cut_to_its_bound() -> None:
    """A field of megabytes is kept up to the bound, however it is cut."""
    body = field("model", "m" * 3_000_000) + field("stream", "é" * 3000) + END
    expected = {"model": "m" * multipart.MAX_FIELD_BYTES, "stream": "é" * 2000}
    for size in (1013, 65_536, len(body)):
        assert fields(*(body[at : at + size] for at in range(0, len(body), size))) == expected


def test_text_that_is_no_utf_8_is_replaced() -> None:
    """Bytes that are no UTF-8 are no reason to lose the rest of a value."""
    body = part('Content-Disposition: form-data; name="model"', b"a\xffb") + END
    assert fields(body) == {"model": "a\ufffdb"}


def test_upload_of_megabytes_needs_little_memory() -> None:
    """A file of any size goes by, and the field after it is read."""
    piece = b"\r\n--" + AUDIO * 50
    reader = FormFields(BOUNDARY, WANTED)
    tracemalloc.start()
    try:
        reader.feed(FILE[:-2])
        for _ in range(1000):
            reader.feed(piece)
        reader.feed(b"\r\n" + field("model", "whisper-1") + END)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.finish() == {"model": "whisper-1"}
    assert peak < 500_000 < 1000 * len(piece)


def test_damaged_forms_are_no_news_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What a caller sends wrongly is not logged: it would be up to callers what is."""
    with caplog.at_level(logging.WARNING):
        fields(b"--no form")
        fields(field("model", "x") + END + b"more" * 1000)
    assert caplog.records == []


@given(
    st.binary(max_size=200)
    | st.text(alphabet='-:;="\\\r\n name', max_size=200).map(
        lambda text: field("model", "x") + b"--" + BOUNDARY + b"\r\n" + text.encode()
    ),
    st.integers(1, 40),
)
def test_any_bytes_are_survived(body: bytes, size: int) -> None:
    """No form makes the reader raise."""
    fields(*(body[at : at + size] for at in range(0, len(body), size)))


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; Boundary="a b:c"', b"a b:c"),
        (' multipart/form-data ;charset=utf-8; boundary="x;y" ; z', b"x;y"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=" + "x" * 71, None),
        ("multipart/mixed; boundary=abc", None),
        ("application/json; boundary=abc", None),
        ("multipart/form-data; boundary=日本", None),
        ("", None),
        (None, None),
    ],
)
def test_boundary_stands_in_the_header(content_type: str | None, expected: bytes | None) -> None:
    """A form's parts are divided by what its type says; other types are no forms."""
    assert form_boundary(content_type) == expected


@given(st.text(max_size=60) | st.text(alphabet=';="\\ boundary', max_size=300))
def test_any_content_type_is_survived(value: str) -> None:
    """No header makes the look for a boundary raise."""
    boundary = form_boundary("multipart/form-data" + value)
    if boundary is not None:
        fields(field("model", "x") + END, boundary=boundary)
