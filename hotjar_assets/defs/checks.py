"""Checks on the assets' own health, cheap enough to run with every sync."""

from datetime import UTC, date, datetime

import dagster as dg

from hotjar_assets.config import Platform, Source
from hotjar_assets.defs.assets import surveys
from hotjar_assets.resources import HotjarResource, as_failure

KEY_LIFETIME_DAYS = 365
"""Source: help.hotjar.com "How to set up the Hotjar API", read 2026-11-20."""
WARN_DAYS = 30


def key_age(created_on: date | None, *, today: date) -> dg.AssetCheckResult:
    """Judge the age of the API key: a warning 30 days before it dies, an error afterwards."""
    if created_on is None:
        return dg.AssetCheckResult(
            passed=True, description="unknown: HOTJAR_KEY_CREATED_ON is not set"
        )
    days_left = KEY_LIFETIME_DAYS - (today - created_on).days
    is_dead = days_left <= 0
    advice = "make a new key in Hotjar and put it into the settings"
    return dg.AssetCheckResult(
        passed=days_left > WARN_DAYS,
        severity=dg.AssetCheckSeverity.ERROR if is_dead else dg.AssetCheckSeverity.WARN,
        description=f"the API key has expired; {advice}"
        if is_dead
        else f"the API key expires in {days_left} days"
        + (f"; {advice} before" if days_left <= WARN_DAYS else ""),
        metadata={"days_left": days_left},
    )


@dg.asset_check(
    asset=surveys,
    description="The API key is not about to expire (at Hotjar, one year after it was made).",
)
def api_key_age(hotjar: HotjarResource) -> dg.AssetCheckResult:
    """Judge the age of the API key by HOTJAR_KEY_CREATED_ON; no request is made."""
    with as_failure():
        settings = hotjar.settings
    if settings.source is Source.INSIGHTS:
        return dg.AssetCheckResult(
            passed=True, description="the export is read by e-mail and password, without an API key"
        )
    if settings.platform is Platform.CONTENTSQUARE:
        # Nothing public says that its credentials expire, and a made-up end would be a false alarm.
        return dg.AssetCheckResult(
            passed=True, description="Contentsquare does not document that API credentials expire"
        )
    return key_age(settings.key_created_on, today=datetime.now(UTC).date())
