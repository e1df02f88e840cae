"""How much a request may ask of the sandbox. Python that holds the account is not bounded."""

MAX_TARGET_BYTES = 16_384
"""Path and query of a request; more is answered with 414."""
MAX_HEADER_BYTES = 65_536
"""Names and values of its headers; more is answered with 431."""
MAX_BODY_BYTES = 1_000_000
"""Its body; more is answered with 413."""
MAX_BODY_SECONDS = 10.0
"""How long its body may take to arrive; more is answered with 408."""
MAX_KEPT_REQUESTS = 100_000
MAX_KEPT_BYTES = 64_000_000
"""Requests kept for `SandboxServer.requests`, and their bodies; the oldest go first."""
MAX_SHOWN_REQUESTS = 1_000
"""Requests that `GET /_sandbox/requests` shows, the newest."""
MAX_EXPORTS = 1_000
"""Exports that can be downloaded, the newest."""
MAX_KEPT_LOOKUPS = 1_000
"""User lookups kept in `SandboxAccount.user_lookups`, the newest."""
MAX_TOKENS = 10_000
"""Tokens that are good at once, the newest."""

MAX_RESPONSES = 10_000
"""Responses that one control request adds."""
MAX_SURVEYS = 10_000
"""Surveys that control requests add to an account."""
MAX_ADDED_BYTES = 256_000_000
"""What all responses that control requests add may take, at 2,000 bytes each and their fields."""
RESPONSE_BYTES = 2_000
MAX_FAULTS = 1_000
"""Faults at once."""
MAX_FAULT_COUNT = 1_000_000
"""`times`, `after` and `page` of a fault."""
MAX_FAULT_ROWS = 1_000
MAX_FAULT_BYTES = 100_000_000
"""`size_bytes` of a fault."""
MAX_DELAY_SECONDS = 600.0
"""Latency, and `delay_seconds` of a fault."""
