"""`mdm proxy` refuses to start where its drain could not go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from majordomo_analytics.datadir import DataDirectory
from tests.support.proxy import mdm


def test_a_price_book_that_cannot_be_used_is_refused_at_start(tmp_path: Path) -> None:
    """With its file, line and rule, instead of a drain that ends again and again."""
    book = tmp_path / "prices.toml"
    book.write_text('[[price]]\nprovider = "openai"\nmodel = "gpt-4o"\ninput_mtok = -1\n')
    ended = mdm("proxy", "--data", str(tmp_path / "data"), "--price-book", str(book), check=False)

    assert ended.returncode == 2
    assert f"{book}" in ended.stderr
    assert "line 4" in ended.stderr
    assert "input_mtok" in ended.stderr


def test_the_book_in_the_data_directory_is_checked_too(tmp_path: Path) -> None:
    data = DataDirectory.create(tmp_path / "data")
    data.price_book.write_text("[[prise]]\n")
    ended = mdm("proxy", "--data", str(tmp_path / "data"), check=False)

    assert ended.returncode == 2
    assert "did you mean" in ended.stderr


def test_the_data_directory_can_stand_in_the_file_of_settings(tmp_path: Path) -> None:
    """What is wrong in the book of that directory is what the command complains of."""
    data = DataDirectory.create(tmp_path / "elsewhere")
    data.price_book.write_text("[[prise]]\n")
    config = tmp_path / "majordomo.toml"
    config.write_text(f'data = "{data.root}"\n')
    ended = mdm("proxy", "--config", str(config), check=False)

    assert ended.returncode == 2
    assert str(data.price_book) in ended.stderr


@pytest.mark.parametrize("folder", ["/proc/nothing", "/dev/null/data"])
def test_a_place_where_nothing_can_be_made_is_refused_at_start(folder: str) -> None:
    ended = mdm("proxy", "--data", folder, check=False)

    assert ended.returncode == 2
    assert folder in ended.stderr
    assert "Traceback" not in ended.stderr
