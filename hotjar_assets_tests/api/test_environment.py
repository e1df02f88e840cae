"""What the environment may change (proxies, certificates) and what it may not (the token)."""

import pytest

from hotjar_assets.errors import HotjarConfigError, HotjarTransportError
from hotjar_assets_tests.api.model import SITE_ID, SURVEY_ID, SURVEY_PATH, survey_row
from hotjar_assets_tests.api.scripted_server import TOKEN_PATH, json_reply

SURVEY = json_reply(survey_row())
BEHIND = "http://api.hotjar.invalid"
"""An address that only a proxy could reach."""


def read_survey(client):
    return client.get_survey(SITE_ID, SURVEY_ID)


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login somebody password else\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.usefixtures("netrc")
def test_netrc_never_replaces_the_token(client, api):
    api.answers(SURVEY)
    read_survey(client)
    assert [sent.headers.get_all("Authorization") for sent in api.sent] == [
        None,
        ["Bearer token-1"],
    ]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_proxy_of_the_environment_is_used(name, connect, elsewhere, monkeypatch):
    monkeypatch.setenv(name, elsewhere.url)
    elsewhere.answers(SURVEY)
    assert read_survey(connect(BEHIND)).id == SURVEY_ID
    assert [(sent.target, sent.headers["Host"]) for sent in elsewhere.sent] == [
        (f"{BEHIND}{TOKEN_PATH}", "api.hotjar.invalid"),
        (f"{BEHIND}{SURVEY_PATH}", "api.hotjar.invalid"),
    ]


def test_proxy_gets_its_own_credentials(connect, elsewhere, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", elsewhere.url.replace("//", "//user:word@"))
    elsewhere.answers(SURVEY)
    read_survey(connect(BEHIND))
    assert [sent.headers["Proxy-Authorization"] for sent in elsewhere.sent] == [
        "Basic dXNlcjp3b3Jk"
    ] * 2
    assert elsewhere.data_requests[0].token == "token-1"


def test_no_proxy_of_the_environment_is_respected(client, api, elsewhere, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", elsewhere.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    api.answers(SURVEY)
    read_survey(client)
    assert len(api.sent) == 2
    assert elsewhere.sent == []


def test_proxy_is_left_out_without_the_environment(connect, api, elsewhere, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", elsewhere.url)
    api.answers(SURVEY)
    read_survey(connect(use_environment=False))
    assert len(api.sent) == 2
    assert elsewhere.sent == []


def test_proxy_that_is_down_is_an_error_without_its_credentials(connect, time, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://user:word@proxy.invalid:3128")
    with pytest.raises(HotjarTransportError, match="ProxyError") as caught:
        read_survey(connect(BEHIND))
    assert "word" not in str(caught.value)
    assert len(time.slept) == 5


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment_must_be_there(name, connect, api, time, monkeypatch):
    for other in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "missing.pem")
    with pytest.raises(HotjarConfigError, match=r"REQUESTS_CA_BUNDLE: .*missing\.pem"):
        read_survey(connect(api.url.replace("http:", "https:")))
    assert api.sent == []
    assert time.slept == []


def test_certificates_of_the_environment_are_left_out_without_it(connect, api, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "missing.pem")
    client = connect(api.url.replace("http:", "https:"), use_environment=False)
    with pytest.raises(HotjarTransportError, match="SSLError"):
        read_survey(client)
    assert api.sent == []
