"""A data directory is opened or made; anything else is refused and left as it was."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from majordomo_analytics.datadir import LAYOUT_VERSION, MARKER, DataDirectory
from majordomo_analytics.errors import DataDirectoryError, NewerLayoutError
from majordomo_analytics.lake.table import appended_up_to, create_lake

if TYPE_CHECKING:
    from pathlib import Path


def everything_in(folder: Path) -> dict[str, tuple[int, int, bytes | None]]:
    """Return each path with its mode, time of change and content."""
    return {
        str(path): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else None,
        )
        for path in (folder, *sorted(folder.rglob("*")))
    }


def a_directory(parent: Path, marker: bytes | None, *others: str) -> Path:
    root = parent / "data"
    root.mkdir()
    if marker is not None:
        (root / MARKER).write_bytes(marker)
    for other in others:
        (root / other).write_text("somebody's")
    return root


NEWER = json.dumps({"layout": LAYOUT_VERSION + 1}).encode()
REFUSED = {
    "foreign folder": (None, ("thesis.txt",), "it has no majordomo.json"),
    "empty marker": (b"", (), "cannot be read as the marker"),
    "marker that is no JSON": (b"\xff\x00garbage", (), "cannot be read as the marker"),
    "marker without a layout": (b"{}", (), "cannot be read as the marker"),
    "marker that is a list": (b"[1]", (), "cannot be read as the marker"),
    "layout that is text": (b'{"layout": "1"}', (), "names the layout '1'"),
    "layout that is true": (b'{"layout": true}', (), "names the layout True"),
    "layout zero": (b'{"layout": 0}', (), "names the layout 0"),
    "newer layout": (NEWER, ("from-the-future",), "has layout 2, .* up to 1; upgrade"),
}


@pytest.mark.parametrize("verb", [DataDirectory.open, DataDirectory.create])
@pytest.mark.parametrize(("marker", "others", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_data_directory_of_ours_is_refused_and_unchanged(
    tmp_path: Path, verb: object, marker: bytes | None, others: tuple[str, ...], sentence: str
) -> None:
    assert callable(verb)
    root = a_directory(tmp_path, marker, *others)
    before = everything_in(tmp_path)

    with pytest.raises(DataDirectoryError, match=sentence) as caught:
        verb(root)

    assert str(root) in str(caught.value)
    assert isinstance(caught.value, NewerLayoutError) is (marker == NEWER)
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("verb", [DataDirectory.open, DataDirectory.create])
def test_a_file_is_refused_and_unchanged(tmp_path: Path, verb: object) -> None:
    assert callable(verb)
    file = tmp_path / "data"
    file.write_text("somebody's")
    before = everything_in(tmp_path)

    with pytest.raises(DataDirectoryError, match="is a file; a data directory is a folder"):
        verb(file)

    assert everything_in(tmp_path) == before


def test_opening_what_is_missing_says_how_to_make_one_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match=r"there is no data directory at .*mdm proxy"):
        DataDirectory.open(tmp_path / "data")

    assert list(tmp_path.iterdir()) == []


def test_opening_an_empty_folder_says_so_and_leaves_it_empty(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="is not a data directory: it is empty"):
        DataDirectory.open(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [True, False], ids=["empty folder", "nothing there"])
def test_one_is_made_for_its_owner_only(tmp_path: Path, there: bool) -> None:
    root = tmp_path / "deep" / "data"
    if there:
        root.mkdir(parents=True, mode=0o755)
    made = DataDirectory.create(root)

    assert json.loads((root / MARKER).read_text()) == {"layout": 1}
    assert sorted(path.name for path in root.iterdir()) == [MARKER, "spool"]
    assert [stat.S_IMODE(p.stat().st_mode) for p in (root, made.spool)] == [0o700, 0o700]
    assert stat.S_IMODE((root / MARKER).stat().st_mode) == 0o600


def test_making_one_that_is_there_opens_it_and_changes_nothing(tmp_path: Path) -> None:
    made = DataDirectory.create(tmp_path / "data")
    before = everything_in(tmp_path)

    assert DataDirectory.create(tmp_path / "data") == DataDirectory.open(made.root) == made
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("left", ["majordomo.new", "lost+found"])
def test_a_making_that_was_cut_short_or_a_fresh_disk_counts_as_empty(
    tmp_path: Path, left: str
) -> None:
    """A crash before the marker leaves its draft; a new volume has a lost+found."""
    root = tmp_path / "data"
    root.mkdir()
    if left == "lost+found":
        (root / left).mkdir()
    else:
        (root / left).write_text('{"lay')

    DataDirectory.create(root)

    assert DataDirectory.open(root).root == root
    assert not (root / "majordomo.new").exists()


def test_places_inside_are_where_other_readers_expect_them(tmp_path: Path) -> None:
    """The lake's place is a surface: any Delta reader is pointed at it."""
    directory = DataDirectory(tmp_path)

    assert directory.lake == tmp_path / "lake" / "llm_requests"
    assert directory.spool == tmp_path / "spool"
    assert directory.api_keys == tmp_path / "api_keys.sqlite"


@pytest.mark.parametrize(
    "name",
    ["a[b", "a]b", "a\\b", "a\nb", "a\x7fb", "a%41b", "a%20b", "a^b", "a|b", "a\udcffb"],
)
def test_a_path_that_no_lake_can_have_is_refused_and_not_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataDirectoryError, match="no lake can be made"):
        DataDirectory.create(tmp_path / name / "data")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "a%b", "a#b", "a?b", "a{b}", "100%", "é"])
def test_a_path_with_other_odd_characters_has_a_lake(tmp_path: Path, name: str) -> None:
    data = DataDirectory.create(tmp_path / name)
    create_lake(data.lake)

    assert (tmp_path / name / "lake" / "llm_requests" / "_delta_log").is_dir()
    assert appended_up_to(data.lake, "any") == 0
