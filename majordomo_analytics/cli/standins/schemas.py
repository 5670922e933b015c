"""JSON that fits a schema: what a model says when its answer has to have a given form.

Schemas come in JSON Schema's words and in Gemini's, which writes types in capitals and
says ``nullable``. What is left open is filled with the least that fits.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

ANY_OBJECT: Json = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
}
"""For callers who want JSON and do not say which."""

SAID = "thirty days"
DEEPEST = 12
"""Schemas may hold themselves; below this depth only what must be there is written."""
FORMATS = {
    "date": "2026-10-01",
    "date-time": "2026-10-01T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P30D",
    "email": "clerk@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example(schema: Json, root: Json | None = None, depth: int = 0) -> Any:
    """Return a value that fits `schema`.

    >>> example({"type": "object", "properties": {"days": {"type": "integer"}}})
    {'days': 0}
    """
    root = schema if root is None else root
    schema = _resolved(schema, root, depth)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if "default" in schema and "type" not in schema:
        return schema["default"]
    match _type_of(schema):
        case "object":
            return _object(schema, root, depth)
        case "array":
            return _array(schema, root, depth)
        case "string":
            return _string(schema)
        case "integer":
            return _number(schema, 1)
        case "number":
            return _number(schema, 0.5)
        case "boolean":
            return True
    return None


def _resolved(schema: Json, root: Json, depth: int) -> Json:
    """Follow references, choose among several schemas, and join those that all count."""
    for _ in range(DEEPEST):
        if "$ref" in schema:
            found: Any = root
            for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")] if part else found
            schema = {**found, **{k: v for k, v in schema.items() if k != "$ref"}}
        elif choices := schema.get("anyOf") or schema.get("any_of") or schema.get("oneOf"):
            # The last choice of a schema that holds itself is where it ends: `Node | None`.
            choice = choices[-1] if depth >= DEEPEST else choices[0]
            others = {k: v for k, v in schema.items() if k not in {"anyOf", "any_of", "oneOf"}}
            schema = {**others, **choice}
        elif "allOf" in schema:
            joined: Json = {k: v for k, v in schema.items() if k != "allOf"}
            for part in schema["allOf"]:
                part = _resolved(part, root, depth)
                properties = {**joined.get("properties", {}), **part.get("properties", {})}
                required = [*joined.get("required", []), *part.get("required", [])]
                joined |= part
                if properties:
                    joined |= {"properties": properties, "required": required}
            schema = joined
        else:
            break
    return schema


def _type_of(schema: Json) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if not kind:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind).lower()


def _object(schema: Json, root: Json, depth: int) -> Json:
    properties = schema.get("properties") or {}
    required = schema.get("required") or []
    wanted = [name for name in properties if depth < DEEPEST or name in required]
    made = {name: example(properties[name], root, depth + 1) for name in wanted}
    return made | {name: SAID for name in required if name not in made}


def _array(schema: Json, root: Json, depth: int) -> list[Any]:
    fixed = [example(item, root, depth + 1) for item in schema.get("prefixItems") or []]
    least = int(schema.get("minItems") or (1 if depth < DEEPEST and not fixed else 0))
    least = min(least, int(schema.get("maxItems", least)))
    items = schema.get("items")
    if not isinstance(items, dict):
        return fixed
    return fixed + [example(items, root, depth + 1) for _ in range(least - len(fixed))]


def _string(schema: Json) -> str:
    text = FORMATS.get(schema.get("format", ""), SAID)
    least = int(schema.get("minLength") or 0)
    most = int(schema.get("maxLength", max(len(text), least)))
    return (text * (least // len(text) + 1))[: max(least, min(len(text), most))]


def _number(schema: Json, usual_step: float) -> float:
    step: float = schema.get("multipleOf") or usual_step
    low: float | None = schema.get("minimum")
    high: float | None = schema.get("maximum")
    if schema.get("exclusiveMinimum") is not None:
        low = schema["exclusiveMinimum"] + step
    if schema.get("exclusiveMaximum") is not None:
        high = schema["exclusiveMaximum"] - step
    if low is not None and low > 0:
        return -(-low // step) * step
    if high is not None and high < 0:
        return high // step * step
    return 0
