"""The client-server OpenAPI documents: which operations exist and what their responses must look like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from jsonschema import Draft202012Validator, FormatChecker, validators
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

METHODS = ("get", "put", "post", "delete", "patch")

# The spec gives these only in comments (string-formats.yaml).
FORMATS = {
    "mx-user-id": r"^@",
    "mx-event-id": r"^\$",
    "mx-room-id": r"^!",
    "mx-room-alias": r"^#",
    "mx-mxc-uri": r"^mxc://",
    "mx-unpadded-base64": r"^[A-Za-z0-9+/]*$",
    "mx-urlsafe-unpadded-base64": r"^[A-Za-z0-9_-]*$",
}


# Where the spec says `oneOf` its alternatives often overlap (any object, or an event); it means `anyOf`.
Validator = validators.extend(Draft202012Validator, {"oneOf": Draft202012Validator.VALIDATORS["anyOf"]})


@dataclass(frozen=True)
class Operation:
    """One method on one path."""

    id: str
    method: str
    path: str
    uri: str
    authenticated: bool
    deprecated: bool
    responses: dict[str, Any]
    has_json_body: bool
    body_schema: dict[str, Any] | None


class Spec:
    """Everything read from `<root>/api/client-server` and `<root>/event-schemas`."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._documents: dict[str, Any] = {}
        self._registry: Registry = Registry(retrieve=self._retrieve)
        self._formats = FormatChecker(formats=())
        for name, pattern in FORMATS.items():
            self._formats.checks(name)(lambda value, p=re.compile(pattern): not isinstance(value, str) or bool(p.search(value)))
        self._validators: dict[str, Validator] = {}
        self.operations: dict[str, Operation] = {}
        self.paths: dict[str, set[str]] = {}
        for file in sorted((self.root / "api/client-server").glob("*.yaml")):
            self._read_operations(file)

    def _document(self, uri: str) -> Any:
        if uri not in self._documents:
            path = Path(unquote(uri.removeprefix("file://")))
            self._documents[uri] = yaml.safe_load(path.read_text())
        return self._documents[uri]

    def _retrieve(self, uri: str) -> Resource:
        return Resource.from_contents(self._document(uri), default_specification=DRAFT202012)

    def _read_operations(self, file: Path) -> None:
        uri = file.as_uri()
        document = self._document(uri)
        base = document["servers"][0]["variables"]["basePath"]["default"]
        for path, item in document["paths"].items():
            for method in METHODS:
                if method not in item:
                    continue
                op = item[method]
                pointer = f"{uri}#/paths/{escape(path)}/{method}"
                security = op.get("security", [])
                content = op.get("requestBody", {}).get("content", {})
                json_body = content.get("application/json", {})
                full = (base + path).strip()  # two paths end in a blank, to tell them from their twins
                self.operations[self._unique(op["operationId"], method)] = Operation(
                    id=op["operationId"],
                    method=method.upper(),
                    path=full,
                    uri=pointer,
                    authenticated=bool(security) and {} not in security and any("accessTokenBearer" in s for s in security),
                    deprecated=bool(op.get("deprecated")),
                    responses={str(k): v for k, v in op["responses"].items()},
                    has_json_body="application/json" in content,
                    body_schema=json_body.get("schema"),
                )
                self.paths.setdefault(full, set()).add(method.upper())

    def _unique(self, name: str, method: str) -> str:
        return name if name not in self.operations else f"{name}:{method}"

    def response_schema(self, op: Operation, status: int) -> str | None:
        """The address of the JSON schema of a response, if the spec gives one."""
        key = next((k for k in (str(status), f"{status // 100}xx", "default") if k in op.responses), None)
        if key is None:
            return None
        response, where = op.responses[key], f"{op.uri}/responses/{key}"
        if "application/json" not in response.get("content", {}):
            return None
        if "schema" not in response["content"]["application/json"]:
            return None
        return f"{where}/content/application~1json/schema"

    def violations(self, schema_uri: str, body: Any) -> list[str]:
        """What in `body` does not fit the schema at `schema_uri`, one sentence each."""
        if schema_uri not in self._validators:
            self._validators[schema_uri] = Validator({"$ref": schema_uri}, registry=self._registry, format_checker=self._formats)
        return [describe(e) for e in self._validators[schema_uri].iter_errors(body)]

    def event_schema(self, event: dict[str, Any]) -> str | None:
        """The address of the schema of an event's type, if the spec has that type."""
        folder = self.root / "event-schemas/schema"
        kind, content = event["type"], event.get("content", {})
        names = [kind]
        if kind == "m.room.message" and isinstance(content.get("msgtype"), str):
            names.insert(0, f"{kind}${content['msgtype']}")
        for name in names:
            file = folder / f"{name}.yaml"
            if "/" not in name and file.is_file():
                return file.as_uri()
        return None


def escape(part: str) -> str:
    """A JSON pointer segment inside a URI fragment."""
    return part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def describe(error: Any) -> str:
    """One line for a jsonschema error, naming the place and, for `allOf`/`anyOf`, the deepest cause."""
    if error.context:
        best = max(error.context, key=lambda e: len(e.absolute_path))
        return describe(best)
    where = "/".join(str(p) for p in error.absolute_path) or "(root)"
    return f"{where}: {error.message[:300]}"
