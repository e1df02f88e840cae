"""From sample records to the `schema:` that is pasted into a stream."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hotjar_assets.errors import HotjarSchemaError
from hotjar_assets.streams.inference import infer_schema, sample_records, schema_yaml
from hotjar_assets.streams.loading import load_source


def properties(*records):
    return infer_schema(records)["properties"]


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        ([1, 2], {"type": "integer"}),
        ([1, 2.5], {"type": "number"}),
        ([1.0, 2.5], {"type": "number"}),
        ([True, False], {"type": "boolean"}),
        (["a", "b"], {"type": "string"}),
        (["a", None], {"type": ["string", "null"]}),
        ([None], {"type": "null"}),
        ([1, "a"], {"type": ["integer", "string"]}),
        ([True, 1], {"type": ["boolean", "integer"]}),
        ([[], []], {"type": "array"}),
        ([[1], [2.5, 3]], {"type": "array", "items": {"type": "number"}}),
        ([{"a": 1}, {}], {"type": "object", "properties": {"a": {"type": "integer"}}}),
        (
            ["2026-01-31T09:00:00Z", "2026-01-31T09:00:00.123+02:00"],
            {"type": "string", "format": "date-time"},
        ),
        (["2026-01-31T09:00:00Z", None], {"type": ["string", "null"], "format": "date-time"}),
        (["2026-01-31", "2026-02-28"], {"type": "string", "format": "date"}),
        (["2026-01-31", "2026-02-30"], {"type": "string"}),
        (["2026-01-31T09:00:00Z", "2026-01-31"], {"type": "string"}),
        (["2026-01-31T09:00:00Z", "soon"], {"type": "string"}),
        (["ann@example.com"], {"type": "string", "format": "email"}),
        (["ann@example"], {"type": "string"}),
        (["https://example.com/a?b=c"], {"type": "string", "format": "uri"}),
        (["https:// no"], {"type": "string"}),
        (
            [[{"at": "2026-01-31"}], [{"at": "2026-02-01"}, {}]],
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"at": {"type": "string", "format": "date"}},
                },
            },
        ),
    ],
    ids=repr,
)
def test_values_have_their_type(values, schema):
    assert properties(*({"a": value} for value in values)) == {"a": schema}


def test_object_that_may_be_null_keeps_its_fields():
    found = properties({"a": {"at": "2026-01-31"}}, {"a": None})["a"]
    assert {"type": "null"} in found["anyOf"]
    assert {
        "type": "object",
        "properties": {"at": {"type": "string", "format": "date"}},
    } in found["anyOf"]


def test_fields_keep_their_order_and_none_is_required():
    schema = infer_schema([{"z": 1, "a": 1}, {"m": 1, "a": 2}])
    assert list(schema["properties"]) == ["z", "a", "m"]
    assert "required" not in json.dumps(schema)


SAMPLES = {
    "array": (b'[{"id": 1}, {"id": 2}]', {}),
    "lines": (b'{"id": 1}\n{"id": 2}\n', {}),
    "one object": (b'{"id": 1}', {}),
    "object with a path": (b'{"data": [{"id": 1}]}', {"path": "$.data[*]"}),
    "with a byte order mark": (b'\xef\xbb\xbf [{"id": 1}]', {}),
    "CSV": (b"id\n1\n2\n", {}),
    "CSV with a mark and quotes": (b'\xef\xbb\xbf"id"\n"1"\n', {}),
    "format named": (b'{"id": 1}', {"kind": "jsonl"}),
}


@pytest.mark.parametrize(("body", "options"), SAMPLES.values(), ids=SAMPLES)
def test_sample_may_be_of_any_format(body, options):
    records = sample_records(body, **options)
    assert records[0] == {"id": 1}
    assert infer_schema(records) == {"properties": {"id": {"type": "integer"}}}


def test_objects_are_flattened_as_in_the_stream():
    assert sample_records(b'{"id": 1, "of": {"a": 2}}', flatten=["of"]) == [{"id": 1, "of_a": 2}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_of_a_csv_is_found_out(delimiter):
    body = f'id{delimiter}name\n1{delimiter}"a,b;c"\n'.encode()
    assert sample_records(body) == sample_records(body, kind="csv") == [{"id": 1, "name": "a,b;c"}]


def test_cells_of_a_csv_say_their_type_by_column():
    body = (
        b"n,x,code,mixed,ok,empty,long\n1,2.5,007,1,true,,12345678901234567890\n,3,8,a,False,,1\n"
    )
    assert infer_schema(sample_records(body))["properties"] == {
        "n": {"type": ["integer", "null"]},
        "x": {"type": "number"},
        "code": {"type": "string"},
        "mixed": {"type": "string"},
        "ok": {"type": "boolean"},
        "empty": {"type": "null"},
        "long": {"type": "string"},
    }


def test_sample_whose_records_are_elsewhere_says_so():
    with pytest.raises(HotjarSchemaError, match="mend `records`"):
        sample_records(b'{"data": [1, 2]}', path="$.data[*]")
    with pytest.raises(ValueError, match="at 1"):
        sample_records(b"{broken")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(min_size=1), JSON), min_size=1, max_size=4).filter(any))
def test_every_sample_fits_its_schema(records):
    schema = infer_schema(records)
    for record in records:
        Draft202012Validator(schema).validate(record)
    assert yaml.safe_load(schema_yaml(records)) == {"schema": schema}


def test_block_can_be_pasted_into_a_stream(tmp_path):
    block = schema_yaml([{"id": 1, "at": "2026-01-31T09:00:00Z", "no: x": None}])
    text = "name: acme\nbase_url: https://example.com\nstreams:\n  - name: a\n    path: /a\n"
    text += "".join(f"    {line}\n" for line in block.splitlines())
    schema = load_source(tmp_path / "acme.yaml", text).streams[0].record_schema
    assert schema is not None
    assert list(schema.properties) == ["id", "at", "no: x"]
