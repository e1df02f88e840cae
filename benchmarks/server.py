"""Serve a made-up account of any size, in a process of its own, until its input closes."""

import argparse
import sys

from hotjar_assets.sandbox import SandboxAccount, SandboxServer

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
    print(server.url, flush=True)
    for line in sys.stdin:
        # Each line adds that many responses to every survey, for the runs that read what is new.
        for survey_id in account.survey_ids():
            account.add_responses(survey_id, int(line))
        print("added", flush=True)
