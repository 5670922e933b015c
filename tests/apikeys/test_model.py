"""Any sequence of changes in two places, copies and restores ends as a small model says.

The model knows nothing of hashes, times or tokens. A place is a set of keys; a key is
whether it is revoked and, for each text, whether it ended. A copy gives both places what
either has: revoked or ended in one is so in both. Only what Postgres has had and has no
more it does not get again, unless it was set back: it was deleted there, and is
revoked here.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import closing
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from majordomo_analytics.apikeys import ApiKeyCache, ApiKeyStore
from majordomo_analytics.apikeys.copying import copy_keys
from majordomo_analytics.drain.keystore import PostgresKeyStore
from majordomo_analytics.errors import ApiKeyError
from tests.apikeys.test_copying import Backup
from tests.support.postgres import run

Known = dict[str, tuple[bool, dict[str, bool]]]
"""Id of a key to whether it is revoked, and text to whether it ended."""

HERE, THERE = "here", "there"
PLACES = st.sampled_from([HERE, THERE])
NUMBERS = st.integers(0, 1_000)
OVERLAPS = st.sampled_from([timedelta(0), timedelta(days=1)])


class KeysInTwoPlaces(RuleBasedStateMachine):
    """A data directory and a Postgres, and what each should know."""

    dsn: str
    there: PostgresKeyStore

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="majordomo-keys-"))
        self.path = self.folder / "keys.sqlite"
        self.here = ApiKeyStore(self.path)
        # As after making the tables: a line that names them, and no key.
        run(
            self.dsn,
            "truncate api_keys, api_key_secrets, api_key_changes",
            "insert into api_key_changes default values",
        )
        self.stores: dict[str, Any] = {HERE: self.here, THERE: self.there}
        self.known: dict[str, Known] = {HERE: {}, THERE: {}}
        self.copied: Known = {}  # what Postgres has had, as far as it is known here
        self.is_set_back = False
        self.made: dict[str, str] = {}  # every text to the id of its key

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def some_id(self, number: int) -> str | None:
        ids = sorted(self.known[HERE].keys() | self.known[THERE].keys())
        return ids[number % len(ids)] if ids else None

    @rule(place=PLACES)
    def create(self, place: str) -> None:
        issued = self.stores[place].create("a key")
        self.known[place][issued.id] = (False, {issued.key: False})
        self.made[issued.key] = issued.id

    @rule(place=PLACES, number=NUMBERS)
    def revoke(self, place: str, number: int) -> None:
        key_id = self.some_id(number)
        if key_id is None:
            return
        is_revoked, texts = self.known[place].get(key_id, (True, {}))
        if is_revoked:
            with pytest.raises(ApiKeyError):
                self.stores[place].revoke(key_id)
        else:
            self.stores[place].revoke(key_id)
            self.known[place][key_id] = (True, texts)

    @rule(place=PLACES, number=NUMBERS, overlap=OVERLAPS)
    def rotate(self, place: str, number: int, overlap: timedelta) -> None:
        key_id = self.some_id(number)
        if key_id is None:
            return
        is_revoked, texts = self.known[place].get(key_id, (True, {}))
        if is_revoked:
            with pytest.raises(ApiKeyError):
                self.stores[place].rotate(key_id, overlap)
            return
        issued = self.stores[place].rotate(key_id, overlap)
        ended = {text: over or not overlap for text, over in texts.items()}
        self.known[place][key_id] = (False, {**ended, issued.key: False})
        self.made[issued.key] = key_id

    @rule(number=NUMBERS)
    def delete_in_postgres(self, number: int) -> None:
        key_id = self.some_id(number)
        if self.known[THERE].pop(key_id or "", None):
            run(self.dsn, f"delete from api_keys where id = '{key_id}'")

    @rule(number=NUMBERS)
    def delete_a_text_in_postgres(self, number: int) -> None:
        texts = [(key_id, text) for key_id, (_, of) in self.known[THERE].items() for text in of]
        if not texts:
            return
        key_id, text = texts[number % len(texts)]
        del self.known[THERE][key_id][1][text]
        digest = hashlib.sha256(text.encode()).hexdigest()
        run(self.dsn, f"delete from api_key_secrets where key_hash = '\\x{digest}'")

    def believe_what_was_deleted(self) -> Known:
        """Drop here what is gone there; return the keys that are only held here now."""
        gone: Known = {}
        for key_id, (_, copied) in self.copied.items():
            is_revoked, texts = self.known[HERE][key_id]
            if key_id not in self.known[THERE]:
                gone[key_id] = (True, self.known[HERE].pop(key_id)[1])
                continue
            left = {
                text: is_over
                for text, is_over in texts.items()
                if text not in copied or text in self.known[THERE][key_id][1]
            }
            self.known[HERE][key_id] = (is_revoked, left)
        return gone

    @rule()
    def copy(self) -> None:
        copy_keys(self.here, self.there)
        gone = {} if self.is_set_back else self.believe_what_was_deleted()
        self.is_set_back = False
        both: Known = {}
        for place in (HERE, THERE):
            for key_id, (is_revoked, texts) in self.known[place].items():
                before, merged = both.get(key_id, (False, {}))
                for text, over in texts.items():
                    merged = {**merged, text: merged.get(text, False) or over}
                both[key_id] = (before or is_revoked, merged)
        self.known = {HERE: {**both, **gone}, THERE: deepcopy(both)}
        self.copied = deepcopy(self.known[HERE])

    @rule(changes=st.integers(0, 3), number=NUMBERS)
    def lose_what_was_copied_since_a_backup(self, changes: int, number: int) -> None:
        """Postgres is set back; the copy has all that it had."""
        self.copy()
        backup, before = Backup(self.dsn).take(), deepcopy(self.known[THERE])
        for turn in range(changes):
            self.create(THERE)
            self.rotate(THERE, number + turn, timedelta(0))
            self.revoke(THERE, number + 2 * turn)
        self.copy()
        backup.put_back()
        self.known[THERE] = before
        self.is_set_back = changes > 0

    @invariant()
    def a_worker_that_starts_now_believes_what_is_known_here(self) -> None:
        with closing(ApiKeyCache(self.path)) as cache:
            for text, key_id in self.made.items():
                is_revoked, texts = self.known[HERE].get(key_id, (True, {}))
                works = not is_revoked and not texts.get(text, True)
                assert cache.find(text.encode()) == (key_id if works else None)

    @invariant()
    def both_places_list_what_they_know(self) -> None:
        for place, store in self.stores.items():
            assert {key.id: key.revoked_at is not None for key in store.all_keys()} == {
                key_id: is_revoked for key_id, (is_revoked, _) in self.known[place].items()
            }


def run_model(postgres: str, examples: int) -> None:
    with closing(PostgresKeyStore(postgres)) as there:
        there.state()
        machine = type("Machine", (KeysInTwoPlaces,), {"dsn": postgres, "there": there})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_keys_in_two_places_are_as_a_model_says(postgres: str) -> None:
    run_model(postgres, examples=8)


@pytest.mark.slow
def test_keys_in_two_places_are_as_a_model_says_many_times(postgres: str) -> None:
    run_model(postgres, examples=100)
