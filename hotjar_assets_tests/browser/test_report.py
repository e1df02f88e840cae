"""The report in a real Chromium: no request leaves, light, dark, narrow and on paper."""

import re

import pytest
from playwright.sync_api import expect

from hotjar_assets_tests.models.model import odd_account
from hotjar_assets_tests.report.model import SCRIPT, hard_account, page, stored

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# Every text against the nearest ground behind it, by the formula of WCAG 2.
CONTRASTS = """() => {
  const rgba = text => text.match(/[\\d.]+/g).map(Number);
  const part = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const found = rgba(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const worst = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement, style = getComputedStyle(element);
    if (!node.data.trim() || element.closest('.unseen')) continue;
    const ink = rgba(element.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) worst.push([ratio, element.className, node.data.trim().slice(0, 40)]);
  }
  return worst;
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report of odd answers, and one of surveys that are hard to show."""
    folder = tmp_path_factory.mktemp("reports")
    found = {}
    for name, account in (("odd", odd_account()), ("hard", hard_account())):
        found[name] = folder / f"{name}.html"
        html = page(stored(account, folder / f"{name}.duckdb"))
        found[name].write_text(html, encoding="utf-8")
    return found


@pytest.fixture
def open_page(chromium):
    """Opens a report in a window; at the end nothing was requested, nor said in the console."""
    windows, said, requested = [], [], []

    def open_window(path, **options):
        context = chromium.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        windows.append(context)
        opened = context.new_page()
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("dialog", lambda dialog: said.append(dialog.message))
        opened.on("request", lambda request: requested.append(request.url))
        opened.goto(path.as_uri())
        assert requested == [path.as_uri()]
        requested.clear()
        return opened

    yield open_window
    for context in windows:
        context.close()
    assert (said, requested) == ([], [])


@pytest.mark.parametrize("name", ["odd", "hard"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(open_page, pages, name, scheme):
    opened = open_page(pages[name], color_scheme=scheme)

    ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(245, 246, 248)", "dark": "rgb(15, 19, 24)"}[scheme]
    assert opened.locator(".chart text").count() > 10
    assert opened.evaluate(CONTRASTS) == []


def test_a_script_in_an_answer_is_shown_and_does_not_run(open_page, pages):
    opened = open_page(pages["hard"])

    assert opened.get_by_text(SCRIPT).first.is_visible()
    assert opened.title() == "Survey report"
    assert opened.locator("script, img").count() == 0


def test_a_link_of_the_overview_leads_to_the_survey(open_page, pages):
    opened = open_page(pages["odd"])
    heading = opened.get_by_role("heading", name="Checkout NPS")
    expect(heading).not_to_be_in_viewport()
    opened.get_by_role("link", name="Checkout NPS").click()

    expect(heading).to_be_in_viewport()
    assert opened.url.endswith("#" + str(heading.get_attribute("id")))


@pytest.mark.parametrize("name", ["odd", "hard"])
def test_a_narrow_window_is_not_wider_than_it_is(open_page, pages, name):
    opened = open_page(pages[name], viewport={"width": 360, "height": 700})

    assert opened.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("name", ["odd", "hard"])
def test_it_prints_on_white_and_on_a4(open_page, pages, name):
    opened = open_page(pages[name], color_scheme="dark")
    opened.emulate_media(media="print", color_scheme="dark")

    assert (
        opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )
    assert opened.evaluate(CONTRASTS) == []
    assert opened.locator("details").first.is_hidden()
    pdf = opened.pdf(prefer_css_page_size=True)
    sheets = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert len(sheets) > 5
    assert {(round(float(wide)), round(float(high))) for wide, high in sheets} == {(595, 842)}
