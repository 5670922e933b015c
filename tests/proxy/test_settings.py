"""Settings come from options, the environment and a file, and say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from majordomo_analytics.errors import SettingsError
from majordomo_proxy.settings import Settings, environment_names, load_settings
from majordomo_proxy.worker import settings_from_text, settings_to_text


def test_options_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    config = tmp_path / "majordomo.toml"
    config.write_text(
        'port = 1\nhost = "0.0.0.0"\nread_timeout_s = 7\n'
        '[providers.openai]\nbase_url = "http://file:1/"\n'
        '[providers.gemini]\nbase_url = "http://file:2"\n'
    )
    environment = {
        "MAJORDOMO_PORT": "2",
        "MAJORDOMO_HOST": "127.0.0.2",
        "MAJORDOMO_OPENAI_BASE_URL": "https://env:1/v1/",
        "UNRELATED": "x",
    }
    settings = load_settings(config=config, environment=environment, port=3, workers=None)

    assert (settings.port, settings.host, settings.read_timeout_s) == (3, "127.0.0.2", 7.0)
    assert settings.base_url("openai") == "https://env:1/v1"
    assert settings.base_url("gemini") == "http://file:2"
    assert settings.base_url("anthropic") == "https://api.anthropic.com"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("MAJORDOMO_PORT", "many", "MAJORDOMO_PORT is 'many'; it must be a whole number"),
        ("MAJORDOMO_PORT", "65536", "a port is at most 65535"),
        ("MAJORDOMO_WORKERS", "0", "it must be at least 1"),
        ("MAJORDOMO_SPOOL_WAIT_S", "-1", "it must be at least 0"),
        ("MAJORDOMO_SPOOL_WAIT_S", "nan", "it must be at least 0"),
        ("MAJORDOMO_LOG_LEVEL", "loud", "known levels: debug"),
        ("MAJORDOMO_OPENAI_BASE_URL", "api.openai.com", "no base address"),
        ("MAJORDOMO_OPENAI_BASE_URL", "http://user:pw@host", "without credentials"),
        ("MAJORDOMO_OPENAI_BASE_URL", "ftp://host", "http(s)://HOST"),
    ],
)
def test_a_bad_value_is_named_with_its_rule(variable: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(environment={variable: value})
    assert says in str(raised.value)
    assert "user:pw" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("porrt = 1", "did you mean 'port'"),
        ("port = true", "it must be a whole number"),
        ("port = 'x'", "it must be a whole number"),
        ("[providers.opnai]\nbase_url = 'http://x'", "did you mean 'openai'"),
        ("port = ", "cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_its_rule(tmp_path: Path, content: str, says: str) -> None:
    config = tmp_path / "majordomo.toml"
    config.write_text(content)
    with pytest.raises(SettingsError) as raised:
        load_settings(config=config, environment={})
    assert says in str(raised.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(config=tmp_path / "none.toml", environment={})


def test_settings_reach_a_worker_unchanged() -> None:
    settings = Settings(data=Path("x"), port=1, base_urls={"openai": "http://h"})
    assert settings_from_text(settings_to_text(settings)) == settings


def test_the_address_of_postgres_reaches_no_worker_and_no_repr() -> None:
    """It may hold a password, and workers have no use for it."""
    settings = load_settings(environment={"MAJORDOMO_POSTGRES": "postgresql://u:s3cr3t@h/d"})

    assert settings.postgres == "postgresql://u:s3cr3t@h/d"
    assert "s3cr3t" not in settings_to_text(settings) + repr(settings)
    assert settings_from_text(settings_to_text(settings)).postgres == ""


def test_every_setting_has_a_variable_and_a_meaning() -> None:
    names = environment_names()
    assert {"MAJORDOMO_DATA", "MAJORDOMO_PORT", "MAJORDOMO_GEMINI_BASE_URL"} <= names.keys()
    assert all(len(meaning) > 10 for meaning in names.values())
