"""Forgetting a person: everything beside and in the database that may hold their data.

Rows of `hotjar.survey_responses` are erased. What else is ours and can be made again is deleted or
made again; what is not is named, so that you can erase it. No Dagster: who runs the models is
given.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hotjar_assets.config import PiiMode, Settings
from hotjar_assets.errors import HotjarError
from hotjar_assets.person import Person, PersonSearch, is_looked_for_everywhere
from hotjar_assets.privacy import Privacy
from hotjar_assets.report.file import GENERATOR, default_path
from hotjar_assets.warehouse import Trace, Warehouse
from hotjar_assets.warehouse.models import model_names
from hotjar_assets.warehouse.personal import Row

_HEAD_BYTES = 1000
_AS_WRITTEN = (
    "Only the address or id is looked for, as URLs, JSON and HTML write it too: not a name, a "
    "telephone number, or an address in words (bob at x.com)."
)
_COMES_BACK = "what its API still has, the next run brings back, so erase it there too"
_NOT_LOOKED_AT = (
    "Not looked at: exports that were downloaded, reports in other folders or in the mail, copies "
    "of the database, and other databases."
)


@dataclass(frozen=True)
class Place:
    """Where data of the person was, or may be.

    Attributes:
        name: A table or a path.
        done: What became of it, or what is to be done about it.
        is_left: Whether it still holds, or may hold, data of the person.
        rows: How many rows of a table; None where there are none.
        columns: Where in these rows.
    """

    name: str
    done: str
    is_left: bool = False
    rows: int | None = None
    columns: tuple[str, ...] = ()


@dataclass
class Erasure:
    """What was erased, or would be.

    Attributes:
        rows: The responses.
        places: What else was looked at and held something.
        not_searched: What cannot be found, a sentence each.
    """

    rows: list[Row]
    places: list[Place] = field(default_factory=list)
    not_searched: list[str] = field(default_factory=list)


def forget_person(
    settings: Settings,
    person: Person,
    *,
    erase: bool,
    renew_models: Callable[[], str | None] | None,
) -> Erasure:
    """Erase a person's data, or tell what would be erased.

    Args:
        settings: The database and its privacy mode.
        person: The person.
        erase: Whether to erase.
        renew_models: Runs the dbt models and returns what went wrong; None where dbt is missing.

    Raises:
        HotjarStoreError: Nothing was erased.
    """
    warehouse = Warehouse(
        settings.database_path, lock_timeout_seconds=settings.lock_timeout_seconds
    )
    privacy = Privacy.from_settings(settings)
    # Hashed values are only found with the key they were made with.
    warehouse.adopt(privacy, rewrite=False)
    find = warehouse.erase_person if erase else warehouse.find_person
    done = Erasure(find(person, privacy), not_searched=_not_searched(person, privacy))
    # Who mentions an id is somebody else, with an id of their own.
    users = [user for *_, user in done.rows] if person.email else []
    search = PersonSearch(person, privacy, users)
    try:
        for place in _elsewhere(warehouse, search, done.rows, erase, renew_models):
            done.places.append(place)
    except HotjarError as error:
        problem = f"what else holds the person was not looked at to the end: {error}"
        done.places.append(Place(str(warehouse.path), problem, is_left=True))
    return done


def _elsewhere(
    warehouse: Warehouse,
    search: PersonSearch,
    rows: Sequence[Row],
    erase: bool,  # noqa: FBT001 - as in `forget_person`
    renew_models: Callable[[], str | None] | None,
) -> Iterator[Place]:
    """Yield what holds the person besides the rows that are erased, when it is dealt with."""
    yield from _spool(warehouse, erase=erase)
    yield from _reports(warehouse.path, search, erase=erase, is_due=bool(rows))
    for trace in warehouse.erase_declared(search) if erase else ():
        done = f"erased; {_COMES_BACK}"
        yield Place(_name_of(trace), done, rows=trace.rows, columns=trace.columns)
    traces = warehouse.find_traces(search, rows)
    is_renewed = False
    if erase and renew_models and (rows or any(map(_is_model, traces))):
        problem = renew_models()
        is_renewed = problem is None
        yield Place("dbt models", problem or "made the dbt models anew", is_left=not is_renewed)
        traces = warehouse.find_traces(search, rows)
    for trace in traces:
        yield _of_trace(trace, erase=erase, has_dbt=bool(renew_models))
    if erase:
        yield from _free_blocks(warehouse, is_due=is_renewed)


def _not_searched(person: Person, privacy: Privacy) -> list[str]:
    """Say what cannot be found."""
    texts = [_AS_WRITTEN, _NOT_LOOKED_AT]
    if not is_looked_for_everywhere(person):
        texts.append(
            "The id is so short that it is looked for in hotjar_user_id alone, and in the columns "
            "of streams whose `personal` says id."
        )
    if privacy.mode is PiiMode.HASH:
        texts.append(
            "HOTJAR_PII=hash: the query of a URL, a field of extra, and an attribute, comment or "
            "answer that holds more than the address and has no blanks are stored as one hash "
            "each, in which an address or id cannot be found."
        )
    if privacy.mode is PiiMode.DROP:
        texts.append(
            "HOTJAR_PII=drop: no ids are stored, so a response that does not hold the address in "
            "an answer, comment, tag or path of a URL cannot be told from others."
        )
    return texts


def _spool(warehouse: Warehouse, *, erase: bool) -> Iterator[Place]:
    """Delete what killed syncs left; name what belongs to one that runs."""
    root = warehouse.path.absolute().with_name(f".{warehouse.path.name}.spool")
    name = str(root)
    if not _entries(root):
        return
    if not erase:
        yield Place(name, "what killed syncs left there would be deleted")
        return
    try:
        # Opening it deletes what belongs to no process any more.
        with warehouse.spool():
            pass
    except HotjarError as error:
        yield Place(name, str(error), is_left=True)
        return
    if _entries(root):
        problem = "a sync is running, or left files that are not its own; erase again when it ended"
        yield Place(name, problem, is_left=True)
    else:
        yield Place(name, "deleted what killed syncs left")


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _reports(database: Path, search: PersonSearch, *, erase: bool, is_due: bool) -> Iterator[Place]:
    """Delete the report beside the database, and name other ones.

    A report counts and quotes everybody, so one that was made before the erasure holds the person.
    """
    default = default_path(database)
    for path in sorted(database.absolute().parent.iterdir()):
        if not _is_report(path):
            continue
        is_default = path.name == default.name
        text = path.read_text(encoding="utf-8", errors="replace")
        is_ours = is_default or str(database) in text or database.name in text
        if not is_ours or not (is_due or search.is_in(text)):
            continue
        is_whole = not path.name.startswith(".")
        if (is_whole and not is_default) or path.is_symlink():
            done = "is a report of this database; delete it, or write it again"
            yield Place(str(path), done, is_left=True)
        elif not erase:
            yield Place(str(path), "would be deleted")
        else:
            try:
                path.unlink()
            except OSError as error:
                yield Place(str(path), f"cannot be deleted ({error.strerror})", is_left=True)
            else:
                yield Place(str(path), "deleted; hotjar-assets report writes a new one")


def _is_report(path: Path) -> bool:
    # A report that was being written when its process was killed ends with .new.
    if path.suffix not in {".html", ".new"} or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


def _name_of(trace: Trace) -> str:
    return f"{trace.schema}.{trace.table}"


def _is_model(trace: Trace) -> bool:
    return trace.table in model_names()


def _of_trace(trace: Trace, *, erase: bool, has_dbt: bool) -> Place:
    name = _name_of(trace)
    if trace.is_of_other_key:
        done = "was hashed under another HOTJAR_PII_KEY, so nobody can be found in it; run "
        done += f"`hotjar-assets streams reload {name}` and erase again"
        return Place(name, done, is_left=True)
    if trace.is_declared and not erase:
        done = f"would be erased; {_COMES_BACK}"
        return Place(name, done, rows=trace.rows, columns=trace.columns)
    if _is_model(trace):
        if has_dbt and not erase:
            done = "is a dbt model and would be rebuilt"
        else:
            how = "erase again" if has_dbt else "install hotjar-assets[dbt] and erase again"
            done = f"is a dbt model that still holds the person; {how}, or drop it"
    else:
        done = "is not changed; delete the rows where they come from, then here"
    return Place(name, done, erase or not _is_model(trace), trace.rows, trace.columns)


def _free_blocks(warehouse: Warehouse, *, is_due: bool) -> Sequence[Place]:
    name = str(warehouse.path)
    try:
        is_compacted = warehouse.compact(is_due=is_due)
    except HotjarError as error:
        return [Place(name, str(error), is_left=True)]
    done = "rewritten, so that its free blocks hold nothing of what was erased"
    return [Place(name, done)] if is_compacted else []
