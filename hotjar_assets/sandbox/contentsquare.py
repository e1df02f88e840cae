"""The sandbox's account as Contentsquare shows it: the same answers under ids of its own.

A site is a project there. Everything that happens to the account shows on both platforms, so that
moving an account from one to the other can be played.

Source: docs.contentsquare.com /en/api/responses/ (read on 2026-11-20): ids, `language`, the further
types, and that `url` and `responses_url` are paths of the API. How response ids look is not public;
here they are UUIDs.
"""

from uuid import NAMESPACE_URL, UUID, uuid5

from hotjar_assets.sandbox.account import SandboxAccount
from hotjar_assets.sandbox.catalog import JsonObject
from hotjar_assets.sandbox.codec import decode, encode
from hotjar_assets.sandbox.constants import (
    SANDBOX_PROJECT_ID,
    SANDBOX_SECOND_PROJECT_ID,
    SANDBOX_SECOND_SITE_ID,
    SANDBOX_SITE_ID,
)
from hotjar_assets.sandbox.pages import Cut, PageSlice

_SITES = {
    SANDBOX_PROJECT_ID: SANDBOX_SITE_ID,
    SANDBOX_SECOND_PROJECT_ID: SANDBOX_SECOND_SITE_ID,
}
_POPOVERS = ("popover", "button", "inline", "bubble", "mobile_popover")
"""What a popover of Hotjar may be here."""


class ContentsquareAccount:
    """An account of the sandbox, in the ids of Contentsquare; safe under threads as that is."""

    def __init__(self, account: SandboxAccount) -> None:
        """Show the given account."""
        self._account = account
        self._originals: dict[str, str] = {}

    # The truth, for whoever compares with it.

    def survey_ids(self, project_id: str = SANDBOX_PROJECT_ID) -> list[str]:
        """Return the ids of the project's surveys in the order the API lists them."""
        return [survey_id_here(each) for each in self._account.survey_ids(_SITES[project_id])]

    def surveys(self, project_id: str = SANDBOX_PROJECT_ID) -> list[JsonObject]:
        """Return the project's surveys, with questions, as the API lists them."""
        return [self._survey(each) for each in self._account.surveys(_SITES[project_id])]

    def responses(self, survey_id: str) -> list[JsonObject]:
        """Return the survey's responses, newest first, as the API gives them."""
        rows = self._account.responses(self._original(survey_id))
        return [_response(row, survey_id) for row in rows]

    # What the server asks for; see `SandboxAccount`.

    def has_site(self, site_id: str) -> bool:
        """Say whether there is the project."""
        return site_id in _SITES

    def has_survey(self, site_id: str, survey_id: str) -> bool:
        """Say whether the project has the survey."""
        try:
            return self._account.has_survey(_SITES[site_id], self._original(survey_id))
        except KeyError:
            return False

    def survey_body(self, survey_id: str) -> bytes:
        """Return the encoded survey with its questions."""
        return encode(self._survey(self._account.survey(self._original(survey_id))))

    def survey_page(self, site_id: str, cut: Cut, *, with_questions: bool) -> PageSlice:
        """Return a page of the project's surveys."""
        page = self._account.survey_page(_SITES[site_id], cut, with_questions=with_questions)
        surveys = [encode(self._survey(decode(row))) for row in page.rows]
        return PageSlice(surveys, page.next_position)

    def response_page(self, survey_id: str, cut: Cut) -> PageSlice:
        """Return a page of the survey's responses."""
        page = self._account.response_page(self._original(survey_id), cut)
        responses = [encode(_response(decode(row), survey_id)) for row in page.rows]
        return PageSlice(responses, page.next_position)

    def _original(self, survey_id: str) -> str:
        """Return the id that the survey has in the account; KeyError if it never had it."""
        if survey_id not in self._originals:
            for site_id in self._account.site_ids:
                for each in self._account.survey_ids(site_id):
                    self._originals[survey_id_here(each)] = each
        return self._originals[survey_id]

    def _survey(self, survey: JsonObject) -> JsonObject:
        original, survey_id = str(survey["id"]), survey_id_here(str(survey["id"]))
        kind = survey["type"]
        if kind == "popover":
            kind = _POPOVERS[_uuid(original).int % len(_POPOVERS)]
        projects = (each for each in _SITES if self._account.has_survey(_SITES[each], original))
        path = f"/v1/public/projects/{next(projects, SANDBOX_PROJECT_ID)}/surveys/{survey_id}"
        shown = survey | {
            "id": survey_id,
            "type": kind,
            "language": self._account.language(original),
            "url": path,
            "responses_url": f"{path}/responses",
        }
        if "questions" in survey:
            shown["questions"] = [
                question | {"id": _question_id(survey_id, question.get("id"))}
                for question in survey["questions"]
            ]
        return shown


def survey_id_here(survey_id: str) -> str:
    """Return the id that a survey of the account has at Contentsquare."""
    return f"survey_{_uuid(survey_id)}"


def _response(response: JsonObject, survey_id: str) -> JsonObject:
    return response | {
        "id": str(_uuid(f"{survey_id}/{response.get('id')}")),
        "answers": [
            answer | {"question_id": _question_id(survey_id, answer.get("question_id"))}
            for answer in response.get("answers") or ()
        ],
    }


def _question_id(survey_id: str, question_id: object) -> str:
    return f"question_{survey_id.removeprefix('survey_')}_{_uuid(str(question_id)).hex[:6]}"


def _uuid(text: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"contentsquare/{text}")
