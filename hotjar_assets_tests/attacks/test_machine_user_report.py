"""Another user of the machine prepares links where the report is written, so that it overwrites
other files or is written where that user can read it.

`check_path` and `replace_file` hold: no link is followed, and the file in the making has a name
that cannot be guessed.
"""

import os
import stat

import pytest

from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.report.file import GENERATOR, check_path, write_page
from hotjar_assets_tests.attacks.machine import shared_folder

PAGE = f"<meta content='{GENERATOR}'> what somebody answered"


@pytest.fixture
def shared(tmp_path):
    return shared_folder(tmp_path / "shared")


@pytest.fixture
def precious(tmp_path):
    path = tmp_path / "precious"
    path.write_text("a file of the user")
    return path


def test_a_link_of_the_guessed_name_of_the_file_in_the_making_is_not_followed(shared, precious):
    for suffix in ("new", "tmp"):
        (shared / f".report.html.{os.getpid()}.{suffix}").symlink_to(precious)
        (shared / f"report.html.{suffix}").symlink_to(precious)

    write_page(shared / "report.html", PAGE)

    assert precious.read_text() == "a file of the user"
    assert (shared / "report.html").read_text() == PAGE


@pytest.mark.parametrize("target", ["report", "other file", "nothing", "folder"])
def test_a_link_in_place_of_the_report_is_refused(shared, precious, tmp_path, target):
    if target == "report":
        precious.write_text(PAGE)
    targets = {"nothing": tmp_path / "nothing", "folder": tmp_path}
    link = shared / "report.html"
    link.symlink_to(targets.get(target, precious))

    with pytest.raises(HotjarConfigError, match=r"report\.html is a link"):
        check_path(link)


def test_a_link_that_comes_after_the_check_is_replaced_and_not_followed(shared, precious):
    link = shared / "report.html"
    check_path(link)
    link.symlink_to(precious)

    write_page(link, PAGE)

    assert precious.read_text() == "a file of the user"
    assert not link.is_symlink()


def test_a_pipe_in_place_of_the_report_is_refused_without_waiting(shared):
    pipe = shared / "report.html"
    os.mkfifo(pipe)

    with pytest.raises(HotjarConfigError, match="is not replaced"):
        check_path(pipe)


@pytest.mark.parametrize("umask", [0, 0o022, 0o777], ids=oct)
def test_only_its_owner_can_read_a_report(shared, umask):
    page = shared / "report.html"
    page.write_text(PAGE)
    page.chmod(0o666)
    before = os.umask(umask)
    try:
        write_page(page, PAGE)
    finally:
        os.umask(before)

    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert [path.name for path in shared.iterdir()] == ["report.html"]
