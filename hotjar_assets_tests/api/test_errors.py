"""The error tree: what catches what, what may help again, and how an error reads."""

import pytest

from hotjar_assets import errors


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        (errors.HotjarTransportError, True),
        (errors.HotjarBodyError, True),
        (errors.HotjarRateLimitError, True),
        (errors.HotjarServerError, True),
        (errors.HotjarStatusError, False),
        (errors.HotjarAuthError, False),
        (errors.HotjarNotFoundError, False),
        (errors.HotjarPaginationError, False),
        (errors.HotjarSchemaError, False),
    ],
)
def test_only_what_may_pass_is_retryable(kind, retryable):
    assert issubclass(kind, errors.HotjarApiError)
    assert kind.retryable is retryable


def test_every_error_is_drawn_and_caught_by_one_name():
    drawn = errors.__doc__ or ""
    kinds = {name: kind for name, kind in vars(errors).items() if name.startswith("Hotjar")}
    assert "HotjarError" in kinds
    assert [name for name in kinds if name not in drawn] == []
    assert [name for name, kind in kinds.items() if not issubclass(kind, errors.HotjarError)] == []


def test_config_error_begins_with_the_setting():
    error = errors.HotjarConfigError("HOTJAR_SITE_ID", "is empty; give one")
    assert str(error) == "HOTJAR_SITE_ID: is empty; give one"
    assert error.setting == "HOTJAR_SITE_ID"


def test_error_without_a_place_is_what_happened():
    assert str(errors.HotjarTransportError("cut")) == "cut"


def test_error_reads_what_then_where():
    error = errors.HotjarTransportError("cut").locate(method="GET", url="http://x/y")
    error.locate(page=3, tries=6).locate(request_id="req-7")
    assert str(error) == "cut [GET http://x/y, page 3, after 6 tries, request id req-7]"


def test_outer_room_does_not_wipe_what_an_inner_one_knew():
    error = errors.HotjarTransportError("cut").locate(method="GET", url="http://x", page=2)
    error.locate(method=None, url=None, page=None)
    assert (error.method, error.url, error.page) == ("GET", "http://x", 2)


def test_schema_error_shows_the_path():
    error = errors.HotjarSchemaError("results[3].id", "is missing")
    assert (str(error), error.path) == ("results[3].id: is missing", "results[3].id")


def test_unknown_survey_is_named_with_the_sites_asked():
    error = errors.HotjarUnknownSurveyError("typed", "on none of the sites 1, 2")
    assert "'typed' is on none of the sites 1, 2" in str(error)
