"""What a client needs to know to reach the sandbox; importable without a web framework."""

SANDBOX_CLIENT_ID = "sandbox"
SANDBOX_CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - opens nothing but made-up data
SANDBOX_EMAIL = "sandbox@example.com"
SANDBOX_PASSWORD = "sandbox-password"  # noqa: S105 - the same
SANDBOX_SITE_ID = "1001"
SANDBOX_SECOND_SITE_ID = "1002"
SANDBOX_PROJECT_ID = "2001"
SANDBOX_SECOND_PROJECT_ID = "2002"
"""The two sites as projects of Contentsquare."""
SANDBOX_ORGANIZATION_ID = "501"
SANDBOX_HEADER = "Hotjar-Assets-Sandbox"
"""Every answer of the sandbox carries this header, so that nobody mistakes it for Hotjar."""
