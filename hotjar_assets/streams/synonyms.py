"""Words of dlt, Airbyte and Singer for what a source says in other words here."""

_OF_STREAM = {
    "data_selector": "records",
    "record_selector": "records",
    "records_path": "records",
    "json_path": "records",
    "jsonpath": "records",
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
    "replication_key": "incremental.cursor",
    "cursor_field": "incremental.cursor",
    "cursor_path": "incremental.cursor",
    "start_date": "incremental.start",
    "initial_value": "incremental.start",
    "paginator": "pagination",
    "page_size": "pagination.limit` or a value of `query",
    "parent_stream": "parent.stream",
    "columns": "schema",
    "json_schema": "schema",
    "schema_contract": "unknown_fields",
}
_OF_PAGINATION = {
    "cursor_path": "selector",
    "next_url_path": "selector",
    "next_page_token_path": "selector",
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
    "token": "token_env",
    "api_key": "key_env",
    "api_token": "key_env",
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
    "max_waiting_time_in_seconds": "max_wait_seconds",
}
_WORDS = {
    "pagination": _OF_PAGINATION,
    "incremental": _OF_INCREMENTAL,
    "authentication": _OF_AUTHENTICATION,
}


def word_for(word: str, place: tuple[str | int, ...]) -> str:
    """Return our word for another tool's; empty if there is none.

    Args:
        word: The word, in any case.
        place: What it stands in, as pydantic names it: `("streams", 0, "pagination", "page")`.
    """
    names = [step for step in place if isinstance(step, str)]
    inside = next((_WORDS[name] for name in names if name in _WORDS), None)
    if inside is None:
        inside = {(): _OF_SOURCE, ("streams",): _OF_STREAM}.get(tuple(names), {})
    return inside.get(word.lower(), "")
