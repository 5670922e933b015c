"""The closed list of oddities."""

from __future__ import annotations

from majordomo_analytics.records import flags


def test_every_flag_of_the_module_is_explained_and_named_by_its_constant() -> None:
    constants = {name: value for name, value in vars(flags).items() if name.isupper()}
    explained = constants.pop("FLAGS")

    assert {name.lower() for name in constants} == set(constants.values()) == set(explained)
    assert all(explained.values())
