"""What the YAML leaves open: the values of its parameters and secrets, and `{{ name }}` in text.

A value comes from the environment, else from its default. Whatever is missing is named before any
request is made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import quote

from hotjar_assets.errors import HotjarConfigError, HotjarSchemaError
from hotjar_assets.streams.checks import TEMPLATE
from hotjar_assets.streams.spec import Parameter, Source
from hotjar_assets.streams.values import shown_env_name

Scalar = str | int | float | bool
MISSING = object()
"""What an optional parameter without a value becomes: whatever it is the whole of is left out."""


def environment_variable(source: Source, parameter: Parameter) -> str:
    """Return the environment variable of a parameter: `store` of `acme` is `ACME_STORE`."""
    return parameter.env or f"{source.name}_{parameter.name}".upper()


def secret(environ: Mapping[str, str], name: str, purpose: str) -> str:
    """Return a secret from the environment.

    Raises:
        HotjarConfigError: The variable is not set, or cannot stand in a request.
    """
    value, shown = environ.get(name, ""), shown_env_name(name)
    if not value.strip():
        raise HotjarConfigError(shown, f"is not set; {purpose} needs it")
    if not value.isprintable():
        raise HotjarConfigError(
            shown, "holds a line break or another sign that no request can hold"
        )
    return value


@dataclass(frozen=True)
class Templates:
    """The values of a source's parameters, and what they make of text.

    Attributes:
        values: Value by parameter; None where an optional one has none.
        secrets: The values that must never be shown.
    """

    values: Mapping[str, Scalar | None] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, source: Source, environ: Mapping[str, str]) -> "Templates":
        """Find the value of every parameter.

        Raises:
            HotjarConfigError: A required one has none, or one is not of its type.
        """
        values = {item.name: _value(source, item, environ) for item in source.parameters}
        # As the environment has it, and as a request holds it: `True` is sent as `true`.
        secrets = tuple(
            form
            for item in source.parameters
            if item.secret and (value := values[item.name]) is not None
            for form in (as_text(value), environ.get(environment_variable(source, item), ""))
        )
        return cls(values, secrets)

    def text(self, text: str, parent: Mapping[str, Any] | None = None) -> str:
        """Return text with its values; see `value` for errors."""
        return TEMPLATE.sub(lambda found: as_text(self._named(found[1], parent)), text)

    def path(self, path: str, parent: Mapping[str, Any] | None = None) -> str:
        """Return a path with its values, each escaped so that it stays within its segment.

        Raises:
            HotjarSchemaError: A value is empty or all dots, which would name another resource.
        """

        def segment(name: str) -> str:
            value = as_text(self._named(name, parent))
            if not value.strip("."):
                raise HotjarSchemaError(name, "is empty or all dots, which no path can hold")
            return quote(value, safe="")

        return TEMPLATE.sub(lambda found: segment(found[1]), path)

    def base_url(self, base_url: str) -> str:
        """Return a base URL with its values; one that begins it is itself the beginning of a URL.

        Raises:
            HotjarConfigError: A value cannot stand in the place of a host.
        """
        found = TEMPLATE.match(base_url)
        begin = as_text(self._named(found[1], None)) if found else ""
        return begin.rstrip("/") + self.path(base_url[found.end() if found else 0 :])

    def value(self, value: Any, parent: Mapping[str, Any] | None = None) -> Any:
        """Return a JSON value with its values filled in; a template alone keeps the value's type.

        Raises:
            HotjarConfigError: An optional parameter that has no value is a part of a text.
            HotjarSchemaError: The parent's record has no such field.
        """
        if isinstance(value, str):
            alone = TEMPLATE.fullmatch(value.strip())
            if alone is None:
                return self.text(value, parent)
            found = self._find(alone[1], parent)
            return MISSING if found is None else found
        if isinstance(value, dict):
            return self.mapping(value, parent)
        if isinstance(value, list | tuple):
            items = [self.value(item, parent) for item in value]
            return [item for item in items if item is not MISSING]
        return value

    def mapping(
        self, values: Mapping[str, Any], parent: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return a mapping with its values, without those that have none; errors as in `value`."""
        filled = {name: self.value(value, parent) for name, value in values.items()}
        return {name: value for name, value in filled.items() if value is not MISSING}

    def _named(self, name: str, parent: Mapping[str, Any] | None) -> Scalar:
        found = self._find(name, parent)
        if found is None:
            raise HotjarConfigError(f"{{{{ {name} }}}}", "has no value; set one, or a default")
        return found

    def _find(self, name: str, parent: Mapping[str, Any] | None) -> Scalar | None:
        if not name.startswith("parent."):
            return self.values[name]
        value: Any = parent
        for step in name.split(".")[1:]:
            value = value.get(step) if isinstance(value, Mapping) else None
        if not isinstance(value, str | int | float):
            raise HotjarSchemaError(name, "the parent's record has no such text or number")
        return value


def as_text(value: Scalar) -> str:
    """Return a value as a URL or a header holds it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(source: Source, parameter: Parameter, environ: Mapping[str, str]) -> Scalar | None:
    name = environment_variable(source, parameter)
    text, name = environ.get(name, "").strip(), shown_env_name(name)
    if not text:
        if parameter.required:
            what = parameter.description or f"parameter {parameter.name} of {source.name}"
            raise HotjarConfigError(name, f"is not set; it is required: {what}")
        return parameter.default
    if not text.isprintable():
        raise HotjarConfigError(name, "holds a line break or another sign that no request can hold")
    try:
        return _TYPES[parameter.type](text)
    except (KeyError, ValueError):
        problem = f"is no {parameter.type}; it looks like {_SAMPLES[parameter.type]}"
        raise HotjarConfigError(name, problem) from None


_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_TYPES: Mapping[str, Callable[[str], Scalar]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": lambda text: _BOOLEANS[text.lower()],
    "date": lambda text: date.fromisoformat(text).isoformat(),
}
_SAMPLES = {"integer": "100", "number": "0.5", "boolean": "true", "date": "2026-01-31"}
