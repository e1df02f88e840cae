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


def sandbox_settings(url: str) -> dict[str, str]:
    """Return the settings, by field name, that reach a sandbox at a URL, on each of its APIs."""
    return {
        "api_url": url,
        "client_id": SANDBOX_CLIENT_ID,
        "client_secret": SANDBOX_CLIENT_SECRET,
        "site_id": SANDBOX_SITE_ID,
        "project_id": SANDBOX_PROJECT_ID,
        "email": SANDBOX_EMAIL,
        "password": SANDBOX_PASSWORD,
    }
