"""Declarative automation, for those who prefer conditions on the assets to schedules.

Conditions of our own making, because of what Dagster's `eager()` does here: it waits for as long as
any partition is missing, so that one survey that cannot be read would hold up everything.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from hotjar_assets.defs.assets import survey_responses, surveys

_IS = dg.AutomationCondition
_REFUSED = _IS.any_checks_match(_IS.check_failed(), blocking_only=True)

HOURLY = _IS.on_cron("0 * * * *") & ~_IS.in_progress()
"""For the surveys, which nothing is upstream of."""

AFTER_SURVEYS = (
    _IS.any_deps_updated().since_last_handled()
    & ~_IS.in_progress()
    & ~_IS.any_deps_in_progress()
    & ~_IS.any_deps_match(_REFUSED)
)
"""For the responses: once the surveys were updated, in a run that does not read them as well."""


def _either(condition: dg.AutomationCondition[Any]) -> dg.AutomationCondition[Any]:
    """Tell whether a condition holds for one of the two tables, or for any partition of it."""
    of_surveys, of_responses = (
        _IS.asset_matches(asset.key, condition) for asset in (surveys, survey_responses)
    )
    return of_surveys | of_responses


_RESPONSES_UPDATED: dg.AutomationCondition[Any] = _IS.asset_matches(
    survey_responses.key, _IS.newly_updated()
)
AFTER_RESPONSES = (
    _RESPONSES_UPDATED.since_last_handled()
    & ~_IS.in_progress()
    & ~_IS.any_deps_in_progress()
    & ~_either(_IS.in_progress())
    & ~_either(_REFUSED)
)
"""For the models, all of them in one run: once responses were updated and neither table is being
written. The surveys alone are no reason, because the responses follow them at once."""


def automated(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Give the two assets, and the models downstream of them, their conditions."""
    conditions = {surveys.key: HOURLY, survey_responses.key: AFTER_SURVEYS}

    def with_condition(spec: dg.AssetSpec) -> dg.AssetSpec:
        condition = conditions.get(spec.key, AFTER_RESPONSES)
        return spec.replace_attributes(automation_condition=condition)

    return list(dg.map_asset_specs(with_condition, assets))
