"""The SQL of the dbt models, for whoever has the two tables and cannot wait for dbt.

The formulas of the scores are written once, in `dbt_project/`. Here its templates become one query
over the tables, so that a number shown before the models are made is the number they will hold.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import jinja2

_relations: ContextVar[Mapping[str, str]] = ContextVar("_relations")
_PROJECT = Path(__file__).parent.parent / "dbt_project"


def render(sql: str, relations: Mapping[str, str]) -> str:
    """Render a query in which `ref('model')`, `source(…)` and the project's macros may stand.

    Args:
        sql: The query.
        relations: What stands for a table or model, by its name; a model that is not among them is
            put in as a query of its own.
    """
    token = _relations.set(relations)
    try:
        return _environment().from_string(sql).render()
    finally:
        _relations.reset(token)


def model_queries(relations: Mapping[str, str]) -> dict[str, str]:
    """Map each model to its query; see `render`."""
    return {name: render(sql, relations) for name, sql in _texts("models").items()}


def model_names() -> set[str]:
    """Return the names of all models."""
    return {path.stem for path in (_PROJECT / "models").rglob("*.sql")}


def _texts(kind: str) -> dict[str, str]:
    """Map the names of the project's files of one kind to what they hold."""
    files = (_PROJECT / kind).rglob("*.sql")
    return {path.stem: path.read_text(encoding="utf-8") for path in files}


@cache
def _environment() -> "jinja2.Environment":
    """Know what the project's templates ask dbt for, and its macros."""
    # It takes 70 ms to load, and few runs need it.
    import jinja2  # noqa: PLC0415

    project = yaml.safe_load((_PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    package = SimpleNamespace()
    environment = jinja2.Environment(  # noqa: S701 - what is rendered is SQL, and our own
        loader=jinja2.DictLoader(_texts("models")),
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.do"],
    )

    def ref(model: str) -> str:
        found = _relations.get().get(model)
        return found or f"(\n{environment.get_template(model).render()}\n)"

    # Macros use them too, so they are not of one query but of all, and look up which one it is.
    environment.globals |= {"ref": ref, "source": lambda _name, table: _relations.get()[table]}
    environment.globals |= {"var": _variable(project["vars"]), project["name"]: package}
    macros = environment.from_string("\n".join(_texts("macros").values())).module
    for name, macro in vars(macros).items():
        if isinstance(macro, jinja2.runtime.Macro):
            setattr(package, name, macro)
            environment.globals[name] = macro
    return environment


def _variable(given: Mapping[str, Any]) -> Callable[..., Any]:
    def var(name: str, default: Any = None) -> Any:
        return given.get(name, default)

    return var
