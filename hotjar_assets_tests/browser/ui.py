"""What a person does in Dagster's UI, in the words of the tests."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from playwright.sync_api import Locator, Page, expect

Theme = Literal["light", "dark"]
GROUNDS: dict[Theme, str] = {"light": "rgb(255, 255, 255)", "dark": "rgb(3, 6, 21)"}
"""The page's ground in each theme."""

# Without the first, a window about a newsletter covers the page.
_STORED = {"communityNux": '"1"'}
_THEMES: dict[Theme, str] = {"light": '"Light"', "dark": '"Dark"'}


def stored_script(theme: Theme) -> str:
    """Return the script that gives a page, before it loads, what the UI remembers in a browser."""
    stored = _STORED | {"dagster-theme": _THEMES[theme]}
    return "".join(f"localStorage.setItem({key!r}, {text!r});" for key, text in stored.items())


class Ui:
    """One window on a running `dagster dev`."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self._url = url
        self._pictures = pictures

    def open(self, path: str) -> None:
        """Open a page."""
        self.page.goto(self._url + path)

    def open_asset(self, key: Sequence[str], view: str = "overview") -> None:
        """Open a view of an asset."""
        self.open(f"/assets/{'/'.join(key)}?view={view}")

    def open_partition(self, key: Sequence[str], partition: str) -> None:
        """Open one partition of an asset."""
        self.open_asset(key, f"partitions&partition={partition}")

    def ground(self) -> str:
        """Return the colour of the page's ground."""
        return str(self.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))

    def picture(self, name: str) -> None:
        """Keep a picture of the page."""
        self.page.screenshot(path=self._pictures / f"{name}.png")

    def sees(self, text: str | re.Pattern[str]) -> None:
        """Wait until a text is to be seen."""
        expect(self.page.get_by_text(text).first).to_be_visible()

    def sees_figures(self, **figures: object) -> None:
        """Wait until the page has a table with these rows."""
        for name, value in figures.items():
            row = self.page.get_by_role("row").filter(
                has=self.page.get_by_role("cell", name=name, exact=True)
            )
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            expect(row.get_by_role("cell").nth(1), name).to_have_text(shown)

    def search_log(self, run_id: str, text: str) -> None:
        """Open a run and search its log; it is long, and only what is in view is there."""
        self.open(f"/runs/{run_id}")
        self.page.get_by_placeholder("Filter…").last.fill(text)

    def select_in_graph(self, name: str) -> None:
        """Open the asset graph and select an asset in it."""
        self.open("/asset-groups")
        graph = self.page.locator("svg").get_by_text(name, exact=True)
        expect(graph).to_be_visible()
        graph.click()
        expect(self.page.get_by_role("heading", name=f"hotjar / {name}")).to_be_visible()

    def materialize(self) -> str:
        """Click "Materialize" for an asset without partitions; return the run's id."""
        self._button(r"Materialize( selected)?$").click()
        return self._launched()

    def materialize_all_partitions(self) -> str:
        """Click "Materialize…", choose all partitions and launch; return the backfill's id."""
        self._button(r"Materialize…$").click()
        window = self.page.get_by_role("dialog")
        window.get_by_role("button", name="All", exact=True).click()
        expect(window.get_by_text("Backfills all partitions in a single run.")).to_be_visible()
        window.get_by_role("button", name="Launch backfill").click()
        return self._launched()

    def turn_on_sensor(self, name: str) -> None:
        """Open a sensor and turn its switch on."""
        self.open(f"/locations/hotjar_assets/sensors/{name}")
        switch = self.page.get_by_role("checkbox")
        expect(switch).to_be_attached()
        expect(switch).not_to_be_checked()
        # The switch itself is hidden; its label is what one clicks.
        self.page.locator("label", has=switch).click()
        expect(switch).to_be_checked()

    def _button(self, name: str) -> Locator:
        # A button's name begins with that of its icon.
        return self.page.get_by_role("button", name=re.compile(name)).first

    def _launched(self) -> str:
        """Return what the notification links to: a run, or a backfill."""
        link = self.page.get_by_label(re.compile("^Notifications")).get_by_role("link")
        expect(link).to_be_visible()
        return str(link.get_attribute("href")).rpartition("/")[2]
