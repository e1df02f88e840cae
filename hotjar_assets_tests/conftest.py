"""What holds for every test: loopback only, nothing of the user's environment, no silent skip."""

import ipaddress
import os
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, cast

import hypothesis
import pytest

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

# The default is the same at every run, so that a red suite means a change in the code; the soak
# looks for what nobody thought of. Deadlines measure the machine, not the code.
hypothesis.settings.register_profile(
    "default", derandomize=True, database=None, deadline=None, print_blob=True
)
hypothesis.settings.register_profile(
    "soak",
    max_examples=2_000,
    stateful_step_count=100,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# --- Loopback only ---------------------------------------------------------------------------


class NetworkBlockedError(Exception):
    """A test tried to leave this machine.

    Not an OSError: code that retries a failed connection must not take this for one.
    """


def is_loopback(host: str) -> bool:
    """Return whether `host` names this machine without asking anybody."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def check_address(address: Any, attempts: list[str]) -> None:
    """Raise, and keep the attempt, if a socket's `address` is one of another machine."""
    if isinstance(address, tuple) and not is_loopback(str(address[0])):
        attempts.append(f"{address[0]}:{address[1]}")
        raise NetworkBlockedError(f"a test tried to reach {attempts[-1]}")


def check_name(host: str | bytes | None, attempts: list[str]) -> None:
    """Raise, and keep the attempt, if `host` would have to be looked up.

    Names under .invalid never exist: they get the answer a resolver gives.
    """
    name = host.decode() if isinstance(host, bytes) else (host or "")
    if name.endswith(".invalid"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if name not in {"", "0.0.0.0", "::"} and not is_loopback(name):  # noqa: S104 - bound to, not reached
        attempts.append(name)
        raise NetworkBlockedError(f"a test tried to look up {name}")


def guarded(real: Callable[..., Any], check: Callable[[Any], None]) -> Callable[..., Any]:
    """Return `real`, preceded by `check` of its first argument."""

    def call(first: Any, *args: Any, **kwargs: Any) -> Any:
        check(first)
        return real(first, *args, **kwargs)

    return call


def guarded_method(real: Callable[..., Any], attempts: list[str]) -> Callable[..., Any]:
    """Return the socket method `real`, preceded by a check of the address, its last argument."""

    def call(self: socket.socket, *args: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6} and args:
            check_address(args[-1], attempts)
        return real(self, *args)

    return call


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[list[str]]:
    """Let no socket of this process reach another machine; yield what was tried."""
    attempts: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for method in ("connect", "connect_ex", "sendto"):
            real = getattr(socket.socket, method)
            patch.setattr(socket.socket, method, guarded_method(real, attempts))
        for function in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            real = getattr(socket, function)
            patch.setattr(socket, function, guarded(real, lambda host: check_name(host, attempts)))
        yield attempts


@pytest.fixture(autouse=True)
def blocked_attempts(_loopback_only: list[str]) -> Iterator[list[str]]:
    """Fail a test that tried to leave this machine, even where its code swallowed the error.

    A test that does so on purpose empties the list.
    """
    _loopback_only.clear()
    yield _loopback_only
    assert not _loopback_only, f"the test tried to reach {', '.join(_loopback_only)}"


# --- Nothing of the user's environment ---------------------------------------------------------


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hide the user's settings, secrets, Dagster instance and proxies; work in an empty folder.

    The empty folder keeps the project's .env out of sight and the project free of what a test
    writes to a relative path.
    """
    for name in os.environ:
        if name.startswith(("HOTJAR_", "DAGSTER_")) or name.lower() in PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture(autouse=True, scope="session")
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the parsed dbt project out of the user's cache; it is parsed once for all tests.

    A worker of pytest-xdist has a folder of its own in the one of the session.
    """
    folder = tmp_path_factory.getbasetemp()
    session = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(session / "cache"))
        yield


# --- No silent skip ----------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fail-on-skip, for runs that must not pass by leaving something out."""
    parser.addoption(
        "--fail-on-skip", action="store_true", help="count a skipped test or module as failed"
    )


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure; an expected failure (xfail) is no skip."""
    if report.skipped and not hasattr(report, "wasxfail"):
        place, line, reason = cast("tuple[str, int, str]", report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{place}:{line}: {reason} (--fail-on-skip)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Apply --fail-on-skip to a test."""
    report = yield
    if item.config.getoption("fail_on_skip"):
        fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Apply --fail-on-skip to a module."""
    report = yield
    if collector.config.getoption("fail_on_skip"):
        fail_if_skipped(report)
    return report


@pytest.fixture(scope="session")
def project() -> Path:
    """Return the folder that holds pyproject.toml."""
    return Path(__file__).resolve().parent.parent


# --- No waiting ------------------------------------------------------------------------------


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a request again at once; `api/` tests how long is waited otherwise."""
    monkeypatch.setattr("hotjar_assets.api.retries.random.uniform", lambda *_: 0.0)
