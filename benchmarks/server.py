"""Serve a made-up account of any size, in a process of its own, until its input closes.

Prints its URL. Then each line of input is a command: `add N` adds N responses to every survey, and
`stats` prints what came in as JSON: `requests`, and the `seconds` from the first one to the last;
and the same of `pages` and `page_seconds`, the requests for responses alone.
"""

import argparse
import json
import sys
import threading
import time

from hotjar_assets.sandbox import SandboxAccount, SandboxServer

SAMPLE_SECONDS = 0.02


class Watch:
    """Notes when the first and the last request came, of all and of those for responses."""

    def __init__(self, server: SandboxServer) -> None:
        self._server = server
        self._seen = 0
        self._pages = 0
        self._times: dict[str, list[float]] = {"": [], "page_": []}

    def run(self) -> None:
        """Look at the requests from time to time, for ever."""
        while True:
            new = self._server.requests[self._seen :]
            self._seen += len(new)
            pages = sum(request.path.endswith("/responses") for request in new)
            self._pages += pages
            for kind, count in (("", len(new)), ("page_", pages)):
                if count:
                    self._times[kind] = [*self._times[kind][:1], time.monotonic()]
            time.sleep(SAMPLE_SECONDS)

    def stats(self) -> dict[str, float]:
        """Return what was noted."""
        spans = {f"{kind}seconds": times[-1] - times[0] for kind, times in self._times.items()}
        return {"requests": self._seen, "pages": self._pages, **spans}


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", type=int, required=True)
    parser.add_argument("--responses", type=int, required=True, help="for each survey")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--requests-per-minute", type=int, default=None)
    given = parser.parse_args()
    account = SandboxAccount.sized(surveys=given.surveys, responses=given.responses).build()
    with SandboxServer(
        account, latency_seconds=given.latency, requests_per_minute=given.requests_per_minute
    ) as server:
        watch = Watch(server)
        if given.requests_per_minute:
            threading.Thread(target=watch.run, daemon=True).start()
        print(server.url, flush=True)
        for line in sys.stdin:
            command, *argument = line.split()
            if command == "add":
                for survey_id in account.survey_ids():
                    account.add_responses(survey_id, int(argument[0]))
                print("added", flush=True)
            else:
                print(json.dumps(watch.stats()), flush=True)


if __name__ == "__main__":
    main()
