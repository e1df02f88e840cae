"""Words of dlt, Airbyte and Singer for what a source says in other words here."""

from collections.abc import Collection

_IN_QUERY = "write it under `query` of the stream, by the name that the API has for it"
_IN_SOURCE = "write it in the source, outside of `streams`"

_OF_STREAM = {
    "data_selector": "records",
    "record_selector": "records",
    "records_path": "records",
    "json_path": "records",
    "jsonpath": "records",
    "extractor": "records",
    "field_path": "records",
    "data_path": "records",
    "selector": "records",
    "endpoint": "path",
    "url": "path",
    "url_path": "path",
    "params": "query",
    "request_parameters": "query",
    "http_method": "method",
    "request_body_json": "body",
    "json": "body",
    "request_headers": "headers",
    "primary_keys": "primary_key",
    "key_properties": "primary_key",
    "unique_key": "primary_key",
    "incremental_sync": "incremental",
    "replication_key": "incremental.cursor",
    "cursor": "incremental.cursor",
    "cursor_field": "incremental.cursor",
    "cursor_path": "incremental.cursor",
    "start_date": "incremental.start",
    "initial_value": "incremental.start",
    "paginator": "pagination",
    "next_page_token_jsonpath": "pagination.selector",
    "parent_stream": "parent.stream",
    "partition_router": "parent",
    "include_from_parent": "parent.fields",
    "columns": "schema",
    "json_schema": "schema",
    "schema_contract": "unknown_fields",
    "transformations": "transform",
}
_OF_PARENT = {
    "parent_stream": "stream",
    "parent_key": "fields",
    "partition_field": "fields",
    "include_from_parent": "fields",
}
_OF_PAGINATION = {
    "cursor_path": "selector",
    "next_url_path": "selector",
    "next_page_token_path": "selector",
    "next_page_token_jsonpath": "selector",
    "cursor_value": "selector",
    "cursor_param": "parameter",
    "cursor_body_path": "parameter",
    "page_param": "parameter",
    "offset_param": "parameter",
    "page_token_option": "parameter",
    "next_page_token_name": "parameter",
    "param": "parameter",
    "limit_param": "limit_parameter",
    "page_size": "limit",
    "limit": "limit",
    "base_page": "start",
    "start_page": "start",
    "start_from_page": "start",
    "total_path": "total_pages",
    "has_more_path": "has_more",
    "stop_condition": "has_more",
    "inject_into": "place",
    "param_location": "place",
}
_OF_INCREMENTAL = {
    "cursor_path": "cursor",
    "cursor_field": "cursor",
    "replication_key": "cursor",
    "start_param": "parameter",
    "param": "parameter",
    "initial_value": "start",
    "start_value": "start",
    "start_date": "start",
    "start_datetime": "start",
    "datetime_format": "format",
    "cursor_datetime_formats": "format",
    "lag": "lookback_seconds",
    "lookback_window": "lookback_seconds",
    "inject_into": "place",
}
_OF_AUTHENTICATION = {
    "token": "token_env key_env",
    "api_token": "token_env key_env",
    "access_token": "token_env key_env",
    "api_key": "key_env token_env",
    "username": "username_env",
    "password": "password_env",
    "client_id": "client_id_env",
    "client_secret": "client_secret_env",
    "header": "name",
    "location": "place",
    "inject_into": "place",
    "access_token_url": "token_path",
    "token_url": "token_path",
    "token_refresh_endpoint": "token_path",
    "scopes": "scope",
    "access_token_request_data": "token_fields",
    "refresh_request_body": "token_fields",
    "audience": "token_fields.audience",
    "resource": "token_fields.resource",
    "grant_type": "token_fields.grant_type",
    "token_auth_method": "client_authentication",
    "token_endpoint_auth_method": "client_authentication",
}
_OF_SOURCE = {
    "url_base": "base_url",
    "url": "base_url",
    "api_url": "base_url",
    "authenticator": "authentication",
    "resources": "streams",
    "endpoints": "streams",
    "cron": "schedule",
    "config": "parameters",
    "rate_limit": "requests_per_minute",
    "rate_limits": "requests_per_minute",
    "max_waiting_time_in_seconds": "max_wait_seconds",
}
WORDS = {
    "": _OF_SOURCE,
    "streams": _OF_STREAM,
    "parent": _OF_PARENT,
    "pagination": _OF_PAGINATION,
    "incremental": _OF_INCREMENTAL,
    "authentication": _OF_AUTHENTICATION,
}
"""Our fields for another word, by what it stands in. Of several, a kind of it has one."""
_ADVICE = {
    "": {
        "client": "write what is in it in the source itself",
        "paginator": "each stream has its own `pagination`",
        "pagination": "each stream has its own `pagination`",
        "resource_defaults": "write it in each stream",
    },
    "streams": {
        "data": "`records` is where the records are, `body` is what a POST sends",
        "limit": _IN_QUERY,
        "page_size": _IN_QUERY,
        "write_disposition": "with a `primary_key` rows are merged, without one the table is "
        "replaced",
        "replication_method": "with `incremental` a stream reads what is new, without it all",
        "retriever": "write what is in it in the stream itself",
        "requester": "write what is in it in the stream itself",
        "url_base": _IN_SOURCE,
        "auth": _IN_SOURCE,
        "authenticator": _IN_SOURCE,
    },
    "pagination": {"page_size": _IN_QUERY, "limit": _IN_QUERY, "limit_param": _IN_QUERY},
}
"""What to do where there is no such field."""
TYPES = {
    "pagination": {
        "next_url": "link",
        "json_link": "link",
        "header_link": "link",
        "json_response": "cursor",
        "header_cursor": "cursor",
        "cursorpagination": "cursor",
        "page_number": "page",
        "pageincrement": "page",
        "offsetincrement": "offset",
        "single_page": "none",
        "nopagination": "none",
    },
    "authentication": {
        "apikeyauthenticator": "api_key",
        "bearerauthenticator": "bearer",
        "basichttpauthenticator": "basic",
        "http_basic": "basic",
        "oauthauthenticator": "oauth2",
        "oauth2_client_credentials": "oauth2",
        "noauth": "none",
    },
}
"""Our kinds for those of other tools."""


def fix_for(word: str, place: tuple[str | int, ...], known: Collection[str]) -> str:
    """Return what to write instead of another tool's word; empty if it is not one.

    Args:
        word: The word, in any case.
        place: What it stands in, as pydantic names it: `("streams", 0, "pagination", "page")`.
        known: The fields that this has.
    """
    inside, word = _inside(place), word.lower()
    ours = WORDS.get(inside, {}).get(word, "").split()
    fitting = (field for field in ours if field.partition(".")[0] in known)
    if field := next(fitting, ""):
        return f"here it is `{field}`"
    advice = _ADVICE.get(inside, {}).get(word, "")
    return advice or (f"known here: {', '.join(known)}" if ours else "")


def type_for(word: str, place: tuple[str | int, ...]) -> str:
    """Return `here it is …` with our kind for another tool's; empty if there is none."""
    ours = TYPES.get(_inside(place), {}).get(word.lower())
    return f"here it is `{ours}`" if ours else ""


def _inside(place: tuple[str | int, ...]) -> str:
    """Return the part of a source, or of one of its streams, that a place is in."""
    names = [step for step in place if isinstance(step, str)]
    return "".join(names[1:2] or names if names[:1] == ["streams"] else names[:1])
