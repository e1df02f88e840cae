"""Sessions of requests: one for each thread and host, without what requests adds by itself.

No cookie is kept, no `~/.netrc` is read, no redirect is followed here.
"""

import threading
from http.cookiejar import DefaultCookiePolicy

import requests

from hotjar_assets.api.deadlines import DeadlineAdapter
from hotjar_assets.api.targets import Origin


class Sessions:
    """The sessions of one transport; requests does not promise that threads can share one.

    Args:
        use_environment: Whether proxies and certificates come from the environment.
    """

    def __init__(self, *, use_environment: bool) -> None:
        self._use_environment = use_environment
        self._local = threading.local()
        self._all: list[requests.Session] = []

    def get(self, origin: Origin) -> requests.Session:
        """Return this thread's session for a host."""
        sessions: dict[Origin, requests.Session] = self._local.__dict__.setdefault("sessions", {})
        if origin not in sessions:
            sessions[origin] = self._new(origin)
            self._all.append(sessions[origin])
        return sessions[origin]

    def close(self) -> None:
        """Close the connections of all threads."""
        for session in self._all:
            session.close()

    def _new(self, origin: Origin) -> requests.Session:
        session = _Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, DeadlineAdapter())
        # The cookies of a login are credentials: `recipients` decides who gets them.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        session.trust_env = self._use_environment
        # Once for a session: looked up for every request, as requests does by itself, the
        # environment costs as much as sending it.
        found = session.merge_environment_settings(str(origin), {}, None, None, None)
        session.proxies, session.verify = found["proxies"], found["verify"]
        session.trust_env = False
        # Without an auth of its own, requests would let a ~/.netrc replace the token.
        session.auth = _leave_as_is
        return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Leave redirects to the transport: requests would read their bodies, however large."""
        return None


def _leave_as_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
