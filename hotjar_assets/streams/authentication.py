"""From what the YAML says of authentication to what the transport carries out."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, assert_never
from urllib.parse import quote_plus

from hotjar_assets.api.auth import (
    Auth,
    ClientCredentials,
    Credentials,
    FixedAuth,
    Login,
    basic_auth,
    check_header_value,
)
from hotjar_assets.api.refusals import Advice
from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.streams.spec import ApiKey, Basic, Bearer, NoAuthentication, OAuth2, Source
from hotjar_assets.streams.templates import Templates, as_text, secret
from hotjar_assets.streams.values import shown_env_name


def auth_of(
    source: Source,
    templates: Templates,
    environ: Mapping[str, str],
    clock: Callable[[], float],
) -> Auth:
    """Return how a source's requests prove who asks.

    Raises:
        HotjarConfigError: A secret is not set.
    """

    def held(name: str) -> str:
        return secret(environ, name, f"the authentication of {source.name}")

    def header_value(name: str) -> str:
        try:
            return check_header_value(held(name))
        except ValueError as error:
            raise HotjarConfigError(shown_env_name(name), str(error)) from None

    kind = source.authentication
    match kind:
        case NoAuthentication():
            return FixedAuth()
        case ApiKey():
            read = header_value if kind.place == "header" else held
            return _api_key(kind, read(kind.key_env), templates)
        case Basic():
            username = held(kind.username_env)
            return basic_auth(username, held(kind.password_env) if kind.password_env else "")
        case Bearer():
            token = header_value(kind.token_env)
            return FixedAuth(Credentials(headers={"Authorization": f"Bearer {token}"}), (token,))
        case OAuth2():
            return _oauth2(kind, held, templates, clock)
    assert_never(kind)


def advice_of(source: Source) -> Advice:
    """Return what the refusals of a source's API mean."""
    names = [
        value for name, value in source.authentication.model_dump().items() if name.endswith("_env")
    ]
    held = " and ".join(dict.fromkeys(shown_env_name(name) for name in names if name))
    return Advice(
        url_setting=f"base_url of {source.name}",
        pace_setting=f"requests_per_minute of {source.name}",
        unauthorized=f"the API rejected the credentials; check {held}"
        if held
        else f"the API wants credentials; give {source.name} an `authentication`",
        forbidden="not allowed: the credentials do not cover this"
        + (f"; check {held} and what the API's owner granted" if held else ""),
        not_found="not found; check base_url, path and the values in them",
    )


def _api_key(kind: ApiKey, key: str, templates: Templates) -> Auth:
    value = templates.text(kind.prefix) + key
    carried = {templates.text(kind.name): value}
    credentials = Credentials(
        headers=carried if kind.place == "header" else {},
        params=carried if kind.place == "query" else {},
    )
    return FixedAuth(credentials, (key,))


def _oauth2(
    kind: OAuth2, held: Callable[[str], str], templates: Templates, clock: Callable[[], float]
) -> Auth:
    client_id, client_secret = held(kind.client_id_env), held(kind.client_secret_env)
    fields: dict[str, Any] = {"grant_type": "client_credentials"}
    headers = {}
    if kind.client_authentication == "basic":
        # RFC 6749 escapes both before they are joined.
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        fields |= {"client_id": client_id, "client_secret": client_secret}
    if kind.scope:
        fields["scope"] = templates.text(kind.scope)
    fields |= templates.mapping(kind.token_fields)
    path = templates.base_url(kind.token_path)
    if kind.body == "form":
        form = {name: as_text(value) for name, value in fields.items()}
        login = Login(path, form=form, headers=headers)
    else:
        login = Login(path, json=fields, headers=headers)
    names = dict.fromkeys(map(shown_env_name, (kind.client_id_env, kind.client_secret_env)))
    refused = f"the login was refused; check {' and '.join(names)}"
    return ClientCredentials(login, secret=client_secret, refused=refused, clock=clock)
