"""Settings come from options, the environment and a file, and say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from majordomo_analytics.errors import SettingsError
from majordomo_analytics.records.providers import PROVIDERS
from majordomo_proxy.settings import (
    environment_names,
    load_settings,
    settings_from_text,
    settings_to_text,
)
from majordomo_proxy.upstreams import Route

OWN_PROVIDER = """
ask_for_usage = false
[providers.corp]
base_url = "https://llm.corp/api/v1"
flavour = "openai"
ask_for_usage = false
credential_env = "CORP_KEY"
[providers.bedrock]
region = "eu-west-1"
[routes."fast"]
provider = "corp"
model = "gpt-4o-mini"
"""


def test_a_provider_of_ones_own_and_a_route_to_it(tmp_path: Path) -> None:
    """Only its address and whose API it speaks are needed; the table stays as it is."""
    config = tmp_path / "majordomo.toml"
    config.write_text(OWN_PROVIDER)
    environment = {"CORP_KEY": "k", "MAJORDOMO_CORP_BASE_URL": "http://127.0.0.1:1/v1"}
    settings = load_settings(config=config, environment=environment)

    corp = settings.providers["corp"]
    assert (corp.base_url, corp.dialect, corp.asks_for_usage) == (
        "http://127.0.0.1:1/v1",
        "openai",
        False,
    )
    assert settings.ask_for_usage is False
    assert settings.providers["bedrock"].default_region == "eu-west-1"
    assert settings.credential_variables == {"corp": "CORP_KEY"}
    assert settings.routes == {"fast": Route("corp", "gpt-4o-mini")}
    assert settings.providers.keys() - PROVIDERS.keys() == {"corp"}


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
    assert settings.providers["openai"].base_url == "https://env:1/v1"
    assert settings.providers["gemini"].base_url == "http://file:2"
    assert settings.providers["anthropic"].base_url == "https://api.anthropic.com"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("MAJORDOMO_PORT", "many", "MAJORDOMO_PORT is 'many'; it must be a whole number"),
        ("MAJORDOMO_PORT", "65536", "a port is at most 65535"),
        ("MAJORDOMO_WORKERS", "0", "it must be at least 1"),
        ("MAJORDOMO_SPOOL_WAIT_S", "-1", "it must be at least 0"),
        ("MAJORDOMO_SPOOL_WAIT_S", "nan", "it must be a finite number"),
        ("MAJORDOMO_READ_TIMEOUT_S", "inf", "it must be a finite number: for no limit, a large"),
        ("MAJORDOMO_MAX_HEADERS", "inf", "it must be a whole number"),
        ("MAJORDOMO_LOG_LEVEL", "loud", "one of debug, info"),
        ("MAJORDOMO_OPENAI_BASE_URL", "api.openai.com", "no base address"),
        ("MAJORDOMO_OPENAI_BASE_URL", "http://user:pw@host", "without credentials"),
        ("MAJORDOMO_OPENAI_BASE_URL", "ftp://host", "http(s)://HOST"),
        ("MAJORDOMO_OPENAI_BASE_URL", "http://host/?", "http(s)://HOST"),
        ("MAJORDOMO_OPENAI_BASE_URL", "http://ho st", "http(s)://HOST"),
        ("MAJORDOMO_OPNAI_BASE_URL", "http://host", "did you mean 'MAJORDOMO_OPENAI_BASE_URL'"),
        ("MAJORDOMO_OPENAI_BASEURL", "http://host", "is of no provider"),
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
        ("max_headers = inf", "is inf; it must be a whole number"),
        ("max_headers = nan", "is nan; it must be a whole number"),
        ("workers = 1.5", "is 1.5; it must be a whole number"),
        ("read_timeout_s = inf", "is inf; it must be a finite number"),
        (f"read_timeout_s = 1{'0' * 400}", "it must be a number"),
        ("[providers.opnai]\nbase_url = 'http://x'", "did you mean 'openai'"),
        ("[providers.corp]\nflavour = 'openai'", "base_url is missing"),
        ("[providers.corp]\nbase_url = 'http://x'", "flavour is missing"),
        ("[providers.corp]\nbase_url = 'http://x'\nflavour = 'grpc'", "known: openai, anthropic"),
        ("[providers.corp]\nbase_url = 'corp'\nflavour = 'openai'", "no base address"),
        ("[providers.majordomo]\nbase_url = 'http://x'\nflavour = 'openai'", "not 'majordomo'"),
        ("[providers.'A B']\nbase_url = 'http://x'\nflavour = 'openai'", "is of a-z"),
        ("[providers.openai]\nflavour = 'anthropic'", "that of openai is fixed"),
        ("[providers.openai]\nbase_ulr = 'http://x'", "did you mean 'base_url'"),
        ("[providers.openai]\nask_for_usage = 'no'", "true or false"),
        ("[providers.openai]\ncredential_env = 'UNSET_KEY'", "UNSET_KEY is not set"),
        ("providers = {openai = 1}", "it must be a table"),
        ("providers = 3", "it must be tables [providers.NAME]"),
        ("routes = [1]", "it must be tables [routes.NAME]"),
        ("[providers.bedrock]\nregion = '../x'", "it must be of a-z"),
        ("[routes.fast]\nprovider = 'opnai'\nmodel = 'x'", "did you mean 'openai'"),
        ("[routes.fast]\nprovider = 'openai'", "'model' is None; it must be text"),
        ("ask_for_usage = 1", "it must be true or false"),
        ("abandoned_policy = 'wait'", "one of drain, cancel"),
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


def test_settings_reach_a_worker_unchanged(tmp_path: Path) -> None:
    config = tmp_path / "majordomo.toml"
    config.write_text(OWN_PROVIDER)
    environment = {"MAJORDOMO_OPENAI_BASE_URL": "http://h", "CORP_KEY": "k"}
    settings = load_settings(config=config, environment=environment, data=Path("x"), port=1)
    assert settings.providers["openai"].base_url == "http://h"
    assert settings.routes["fast"].model == "gpt-4o-mini"
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
