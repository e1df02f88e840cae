"""From a YAML file to a `Source`, or to one line that says where it is wrong and how to mend it.

What may stand in it is in `spec` and `checks`; here a mistake gets its file, line and field.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from hotjar_assets.did_you_mean import meant
from hotjar_assets.errors import HotjarConfigError, HotjarSourceError
from hotjar_assets.streams.checks import MisfitError, Place, check_size
from hotjar_assets.streams.spec import Source
from hotjar_assets.streams.synonyms import fix_for, type_for


def load_source(path: Path, text: str | None = None) -> Source:
    """Read the YAML of one source.

    Args:
        path: The file, which every error names.
        text: What is in it, if that was read already.

    Raises:
        HotjarSourceError: The first mistake, with its line, field and fix.
    """
    text, node = _read(path) if text is None else text, None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            line = node.start_mark.line + 1 if node else 1
            problem = "a source is a mapping that begins with `name: …` and `base_url: …`"
            raise HotjarSourceError(path, line, "", problem)
        _check_size(path, node)
        _refuse_repeated_keys(path, node)
        return Source.model_validate(loader.construct_document(node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise HotjarSourceError(path, line, "", f"not YAML: {_reason(error)}") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        problem = f"not YAML: the character {error.character:#x} may not stand in it"
        raise HotjarSourceError(path, line, "", problem) from None
    except RecursionError:
        raise HotjarSourceError(path, 1, "", "not YAML that fits: it is nested too deep") from None
    except ValidationError as error:
        assert node is not None  # noqa: S101 - only a document that was composed is validated
        raise _mistake(path, node, error) from None


def mistake_at(path: Path, name: str, place: Place, problem: str) -> HotjarSourceError:
    """Return the error for a mistake in a source that is not all of its file.

    Args:
        path: The file: one YAML document or several, each with a source under `attributes`.
        name: The source.
        place: Where in the source.
        problem: What is wrong and how to mend it.
    """
    for root in yaml.compose_all(_read(path), _Loader):
        below = _child(root, "attributes")
        named = below and _child(below[1], "name")
        if named and str(named[1].value) == name:
            place = ("attributes", *place)
            line, found, _ = _find(root, place)
            return HotjarSourceError(path, line, _text(root, found), problem)
    return HotjarSourceError(path, 1, _text(yaml.MappingNode("", []), place), problem)


@dataclass(frozen=True)
class StreamsFolder:
    """The YAML files of a folder, in the order of their names.

    Attributes:
        sources: The sources, by file.
        mistakes: Why a file is not among them: an invalid one keeps no other from being read.
    """

    sources: dict[Path, Source] = field(default_factory=dict)
    mistakes: dict[Path, HotjarConfigError] = field(default_factory=dict)


def load_folder(folder: Path) -> StreamsFolder:
    """Read every YAML file of a folder; none if there is no such folder.

    A file is invalid too if an earlier one has a source of the same name.
    """
    found = StreamsFolder()
    names: dict[str, Path] = {}
    for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        try:
            source = load_source(path)
        except HotjarSourceError as error:
            found.mistakes[path] = error
            continue
        other = names.setdefault(source.name, path)
        if other == path:
            found.sources[path] = source
        else:
            problem = f"{other} has a source named {source.name} too; rename one"
            found.mistakes[path] = HotjarSourceError(path, 1, "name", problem)
    return found


MAX_FILE_BYTES = 1024**2


class _Loader(yaml.SafeLoader):
    """Reads scalars as YAML 1.2 does: `no`, `12:30`, `010` and `2026-01-31` are text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as in the base class
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag.rpartition(":")[2] not in {"bool", "int", "timestamp"}
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            problem = f"is larger than {MAX_FILE_BYTES // 1024**2} MiB; one file is one source"
            raise HotjarSourceError(path, 1, "", problem)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise HotjarSourceError(path, 1, "", "is not UTF-8 text; save it as that") from None
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); check the path"
        raise HotjarSourceError(path, 1, "", problem) from None


_REASONS = {
    "another document": "a second document begins here; one file is one source",
    "'\\t'": "a tab begins a value or indents a line; use spaces",
    "mapping values are not allowed": "a second `:` in one value; indent the line, or put the "
    "value in quotes",
    "expected <block end>": "the indentation does not fit the lines above; align what belongs "
    "together",
    "could not find expected ':'": "a `name: value` was expected; add the colon, or indent the "
    "line",
}


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "it cannot be parsed"
    known = (reason for words, reason in _REASONS.items() if words in problem)
    return next(known, f"{problem}; put text with special characters in quotes")


def _refuse_repeated_keys(path: Path, root: yaml.Node) -> None:
    for place, node in _mappings(root, (), set()):
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problem = "a name was expected; put text with {{ }} in quotes"
                raise HotjarSourceError(path, key.start_mark.line + 1, _text(root, place), problem)
            if key.value in seen:
                line, field = key.start_mark.line + 1, _text(root, (*place, key.value))
                problem = "stands here a second time; keep one"
                raise HotjarSourceError(path, line, field, problem)
            seen.add(key.value)


def _check_size(path: Path, root: yaml.Node) -> None:
    try:
        check_size(root, _inner_nodes)
    except ValueError as error:
        raise HotjarSourceError(path, root.start_mark.line + 1, "", str(error)) from None


def _inner_nodes(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _mappings(
    node: yaml.Node, place: Place, seen: set[int]
) -> Iterator[tuple[Place, yaml.MappingNode]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield place, node
        for key, value in node.value:
            yield from _mappings(value, (*place, str(key.value)), seen)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _mappings(value, (*place, number), seen)


# --- Places ------------------------------------------------------------------------------------


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return (where it begins, what it is) of one item of a mapping or a sequence."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return (node.value[step], node.value[step]) if step < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    return None


def _find(root: yaml.Node, place: Place) -> tuple[int, Place, str]:
    """Return the line of a place, the place without what pydantic adds to it, and its text."""
    node, line, found = root, root.start_mark.line + 1, []
    for step in place:
        child = _child(node, step)
        if child is not None:
            line, node = child[0].start_mark.line + 1, child[1]
            found.append(step)
    return line, tuple(found), str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _text(root: yaml.Node, place: Place) -> str:
    """Return a place as people write it, `streams[orders].pagination.type`."""
    text, node = "", root
    for step in place:
        child = _child(node, step)
        node = child[1] if child else yaml.ScalarNode("", "")
        if isinstance(step, int):
            name = _child(node, "name")
            text += f"[{name[1].value if name else step}]"
        else:
            text += f".{step}" if text else step
    return text


# --- Mistakes ----------------------------------------------------------------------------------


def _mistake(path: Path, root: yaml.Node, error: ValidationError) -> HotjarSourceError:
    """Return the first mistake.

    An unknown field may be why another is missing, and pydantic does not count items with a mistake
    in them: what a mistake elsewhere explains comes last.
    """
    mistakes = []
    for details in error.errors(include_url=False, include_input=False):
        kind, place = details["type"], details["loc"]
        reason = details.get("ctx", {}).get("error")
        if isinstance(reason, MisfitError):
            place += reason.place
        elif kind == "union_tag_invalid":
            place += ("type",)
        line, found, word = _find(root, place)
        if kind in {"missing", "union_tag_not_found"}:
            found += ("type",) if kind == "union_tag_not_found" else place[-1:]
        rank = {"missing": 1, "too_short": 2}.get(kind, 0)
        mistakes.append((rank, line, _text(root, found), _problem(details, word)))
    _, line, field, problem = min(mistakes, key=lambda mistake: mistake[:2])
    return HotjarSourceError(path, line, field, problem)


def _problem(details: Mapping[str, Any], word: str) -> str:
    kind, context, place = details["type"], details.get("ctx", {}), details["loc"]
    if kind == "extra_forbidden":
        known, word = _known_fields(place[:-1]), str(place[-1])
        fix = fix_for(word, place[:-1], known) or meant(word, known)
        fix = fix or f"known here: {', '.join(known)}"
        return f"unknown field; {fix}"
    if kind in {"literal_error", "union_tag_invalid"}:
        expected = context.get("expected") or context["expected_tags"]
        words = re.findall(r"'([^']*)'", expected) or re.findall(r"\d+", expected)
        fix = type_for(word, place) or meant(word, words)
        return f"must be one of {', '.join(words)}{f'; {fix}' if fix else ''}"
    if kind == "union_tag_not_found":
        return f"is missing; it is one of {', '.join(_tags(place))}"
    return _PROBLEMS.get(kind) or _message(details)


_MAPPING = "must be a mapping: `name: value` lines, indented"
_PROBLEMS = {
    "missing": "is missing; add it",
    "string_type": "must be text; put it in quotes",
    "string_pattern_mismatch": "must be snake_case: small letters, digits and _, at most 63",
    "string_too_short": "is empty; give it a value",
    "string_too_long": 'must be one character; a tab is written "\\t", in double quotes',
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list: [one, two], or lines that begin with `- `",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "too_short": "is empty; it needs at least one",
    "invalid_key": "must be text; put the name in quotes",
}


def _message(details: Mapping[str, Any]) -> str:
    reason = details.get("ctx", {}).get("error")
    if isinstance(reason, MisfitError):
        return reason.problem
    text = str(details["msg"]).removeprefix("Value error, ")
    return text.replace("Input should be", "must be")


def _known_fields(place: Place) -> list[str]:
    """List the fields that the part of a source at `place` has."""
    fields = (item for model in _models_at(place) for item in model.model_fields.items())
    return sorted({field.alias or name for name, field in fields})


def _tags(place: Place) -> list[str]:
    """List the kinds of what is at `place`."""
    return [tag for model in _models_at(place) if (tag := _tag(model))]


def _models_at(place: Place) -> list[type[BaseModel]]:
    models: list[type[BaseModel]] = [Source]
    for step in place:
        if isinstance(step, int):
            continue
        tagged = [model for model in models if _tag(model) == step]
        inside = [
            inner
            for model in models
            for name, field in model.model_fields.items()
            if step == (field.alias or name)
            for inner in _models(field.annotation)
        ]
        # What is no field is a key of a mapping, such as a column of `personal`.
        models = tagged or inside or models
    return models


def _tag(model: type[BaseModel]) -> str | None:
    kind = model.model_fields.get("type")
    tags = get_args(kind.annotation) if kind else ()
    return str(tags[0]) if tags else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
