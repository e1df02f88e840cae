"""What the catalogue says of an asset, and what a partition shows of its survey, in both themes."""

import re

import pytest
from playwright.sync_api import expect

from hotjar_assets_tests.browser.conftest import NPS
from hotjar_assets_tests.browser.dagster_dev import RESPONSES, SURVEYS
from hotjar_assets_tests.browser.test_ui import sync
from hotjar_assets_tests.browser.ui import GROUNDS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

MART = ("hotjar_marts", "hotjar__nps")
WITH_MODELS = """
import dagster as dg
from hotjar_assets.definitions import build_defs

defs = dg.Definitions.merge(build_defs(), dg.Definitions(executor=dg.in_process_executor))
"""


def picture_of(ui):
    """Return the picture of the partition that is open, once it has been painted."""
    picture = ui.page.get_by_role("img", name="responses and NPS")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    return picture


def test_a_partition_shows_its_picture_and_its_answers_in_both_themes(
    window, start_dev, folder, environ, server
):
    sync(folder, environ)
    nps = [response["answers"][0]["answer"] for response in server.account.responses(NPS)]
    with start_dev() as dev:
        for theme, ground in GROUNDS.items():
            ui = window(dev, theme)
            ui.page.set_viewport_size({"width": 1500, "height": 1500})
            ui.open_partition(RESPONSES, NPS)
            picture = picture_of(ui)
            assert picture.bounding_box()["width"] > 300
            assert ui.ground() == ground
            row = ui.page.get_by_role("row").filter(
                has=ui.page.get_by_role("cell", name="10", exact=True)
            )
            *_, answers, percent = row.last.get_by_role("cell").all()
            expect(answers).to_have_text(str(nps.count("10")))
            expect(percent).to_have_text(str(round(100 * nps.count("10") / len(nps), 1)))
            ui.sees(re.compile("^https:..shop.example"))
            ui.picture(f"partition-picture-{theme}")


def test_the_catalogue_says_what_rows_columns_owners_and_files_are(
    window, start_dev, folder, environ
):
    environ["HOTJAR_OWNERS"] = "team:research, somebody@example.com"
    (folder / "core.py").write_text(WITH_MODELS, encoding="utf-8")
    sync(folder, environ, models=True)
    with start_dev() as dev:
        ui = window(dev)
        ui.page.set_viewport_size({"width": 1500, "height": 2200})
        for key, row, column, tag, rows in (
            (SURVEYS, "One row is a survey of a configured site", "survey_id", "raw", "12"),
            (
                RESPONSES,
                "One row is a response to a survey",
                "response_id",
                "personal_data",
                "12,160",
            ),
            (MART, "One row is the NPS of a question", "nps", "marts", None),
        ):
            ui.open_asset(key)
            ui.sees(re.compile(row))
            ui.sees("research")
            ui.sees("somebody@example.com")
            ui.sees(re.compile(f"^{tag}$"))
            ui.sees(re.compile(f"^{column}$"))
            ui.sees(re.compile(r"^Row count$"))
            if rows:
                ui.sees(re.compile(f"^{rows}$"))
            ui.sees(re.compile("in editor$"))
            ui.picture("catalogue-" + key[-1])
