"""Serve a made-up account of any size, in a process of its own, until its input closes.

Prints its URL. Then each line of input is a command: `add N` adds N responses to every survey, and
`stats` prints what came in as JSON: `requests`, and the seconds between the first and the last.
"""

import argparse
import json
import sys
import threading
import time

from hotjar_assets.sandbox import SandboxAccount, SandboxServer

SAMPLE_SECONDS = 0.02


def watch(server: SandboxServer, changes: list[tuple[float, int]]) -> None:
    """Note when the number of requests was seen to change."""
    while True:
        count = len(server.requests)
        if not changes or changes[-1][1] != count:
            changes.append((time.monotonic(), count))
        time.sleep(SAMPLE_SECONDS)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", type=int, required=True)
    parser.add_argument("--responses", type=int, required=True, help="for each survey")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--requests-per-minute", type=int, default=None)
    given = parser.parse_args()
    account = SandboxAccount.sized(surveys=given.surveys, responses=given.responses).build()
    changes: list[tuple[float, int]] = []
    with SandboxServer(
        account, latency_seconds=given.latency, requests_per_minute=given.requests_per_minute
    ) as server:
        if given.requests_per_minute:
            threading.Thread(target=watch, args=(server, changes), daemon=True).start()
        print(server.url, flush=True)
        for line in sys.stdin:
            command, *argument = line.split()
            if command == "add":
                for survey_id in account.survey_ids():
                    account.add_responses(survey_id, int(argument[0]))
                print("added", flush=True)
            else:
                busy = changes[-1][0] - changes[1][0] if len(changes) > 1 else 0.0
                print(
                    json.dumps({"requests": len(server.requests), "busy_seconds": busy}),
                    flush=True,
                )


if __name__ == "__main__":
    main()
