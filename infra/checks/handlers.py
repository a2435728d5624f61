"""The deployer may do what CloudFormation's handlers do for each type of the templates.

CloudFormation creates, reads, updates and deletes resources with the permissions of its caller. A type's schema lists
those of each handler, for all properties of the type together. `handler-exceptions.yaml` says which of them the app
does without, and why. The handler `list` belongs to no stack operation.
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
"""
import fnmatch
import json
import pathlib

import aws_data
import yaml
from template import is_set

HANDLERS = ("create", "read", "update", "delete")
EXCEPTIONS = pathlib.Path(__file__).with_name("handler-exceptions.yaml")


class Exceptions:
    """What `handler-exceptions.yaml` holds, and which of it was needed."""

    def __init__(self, document, templates):
        self.entries = [(kind, entry) for kind, entries in document.items() for entry in entries]
        self.needed = set()
        self.properties = {}
        for template in templates:
            for _, kind, properties in template.of_types():
                self.properties.setdefault((template.app, kind), []).append(properties)

    @classmethod
    def read(cls, templates):
        return cls(yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8")), templates)

    def excepts(self, app, kind, permission, resource):
        for index, (of_kind, entry) in enumerate(self.entries):
            if of_kind == kind and permission in entry["permissions"] and self.applies(app, kind, entry, resource):
                self.needed.add((index, permission))
                return True
        return False

    def applies(self, app, kind, entry, resource):
        if "without" in entry:
            # A stage that loses a setting needs the permission once more. So no stage of the app may have it.
            uses = self.properties[app, kind]
            return not any(is_set(properties, path) for properties in uses for path in entry["without"])
        if "with" in entry:
            return all(is_set(resource.get("Properties", {}), path) for path in entry["with"])
        if "kept" in entry:
            return resource.get("DeletionPolicy", "").startswith("Retain")
        return bool(entry["reason"])

    def faults(self):
        for index, (kind, entry) in enumerate(self.entries):
            for path in [*entry.get("without", []), *entry.get("with", [])]:
                if path.split("/")[0] not in aws_data.schema(kind)["properties"]:
                    yield f"handler-exceptions.yaml: {kind} has no property {path}"
            for permission in entry["permissions"]:
                if (index, permission) not in self.needed:
                    yield f"handler-exceptions.yaml: {kind}: the exception of {permission} excepts nothing: delete it"


def check(pairs, exceptions):
    """`pairs`: each template with the deployer's policies of its stage."""
    faults = {}
    for template, policies in pairs:
        allowed = actions(policies)
        for logical_id, resource in template.resources.items():
            kind = resource["Type"]
            for handler, permission in permissions(kind):
                if allows(allowed, permission) or exceptions.excepts(template.app, kind, permission, resource):
                    continue
                handlers, where = faults.setdefault((kind, permission), (set(), set()))
                handlers.add(handler)
                where.add(f"{template.name}: {logical_id}")
    found = [
        f"{sorted(where)[0]} ({kind}): the deployer's policies do not allow {permission}, which the type's handlers "
        f"need to {', '.join(sorted(handlers))}"
        for (kind, permission), (handlers, where) in sorted(faults.items())
    ]
    return found + list(exceptions.faults())


def permissions(kind):
    handlers = aws_data.schema(kind).get("handlers", {})
    for handler in HANDLERS:
        for permission in handlers.get(handler, {}).get("permissions", []):
            yield handler, permission


def actions(policies):
    statements = (statement for policy in policies for statement in policy["Statement"])
    return {action.lower() for statement in statements for action in statement["Action"]}


def allows(allowed, permission):
    permission = permission.lower()
    return permission in allowed or any(fnmatch.fnmatchcase(permission, action) for action in allowed if "*" in action)


def read_policies(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
