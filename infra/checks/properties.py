"""What the registry schemas say of a template's properties and cfn-lint does not check.

cfn-lint checks literals and what it can make of `Fn::Sub`. It does not look at what `Ref` and `Fn::GetAtt` return, at
properties that only AWS sets, and at which resources a change of a stage's settings would replace.
"""
import itertools
import json

import aws_data
import regex
from template import NAMES, Opaque, is_set

# Types that hold something, or that others know by an identifier: those of `endangers_state` in
# infra/deploy/src/change.rs.
STATEFUL = (
    "AWS::ApiGatewayV2::Api",
    "AWS::DynamoDB::Table",
    "AWS::Lambda::Url",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::Cognito::UserPool",
    "AWS::DynamoDB::GlobalTable",
    "AWS::EFS::FileSystem",
    "AWS::KMS::Key",
    "AWS::Kinesis::Stream",
    "AWS::OpenSearchService::Domain",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::SecretsManager::Secret",
)


def check(templates):
    faults = []
    for template in templates:
        for logical_id, kind, properties in template.of_types():
            where = f"{template.name}: {logical_id} ({kind})"
            example = template.example(properties)
            faults += [f"{where}: {fault}" for fault in read_only(kind, properties)]
            faults += [f"{where}: {fault}" for fault in values(kind, example)]
    return faults + list(replacements(templates))


def read_only(kind, properties):
    """Properties that only AWS sets."""
    settable = aws_data.property_paths(kind, "createOnlyProperties", "writeOnlyProperties")
    for path in aws_data.property_paths(kind, "readOnlyProperties"):
        if path not in settable and is_set(properties, path):
            yield f"{path} is read-only by the type's schema"


def values(kind, example):
    schema = aws_data.schema(kind)
    yield from _values(schema, schema, example, [])


def _values(schema, root, value, path):
    """Where a value is not what a schema asks for: patterns, enumerations, lengths, ranges, and unknown properties."""
    if isinstance(value, Opaque):
        return
    while "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        schema = target
    at = "/".join(map(str, path))
    alternatives = schema.get("anyOf", []) + schema.get("oneOf", [])
    if alternatives:
        found = [list(_values(alternative, root, value, path)) for alternative in alternatives]
        if all(found):
            yield from min(found, key=len)
    for part in schema.get("allOf", []):
        yield from _values(part, root, value, path)
    if "enum" in schema and not isinstance(value, (dict, list)) and str(value) not in map(str, schema["enum"]):
        yield f"{at} is {value!r}, which is none of {schema['enum']}"
    if isinstance(value, str):
        yield from _text(schema, value, at)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            yield f"{at} is {value}, beyond {schema.get('minimum', '')}..{schema.get('maximum', '')}"
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0) or len(value) > schema.get("maxItems", len(value)):
            yield f"{at} has {len(value)} items, beyond {schema.get('minItems', '')}..{schema.get('maxItems', '')}"
        for index, item in enumerate(value):
            yield from _values(schema.get("items", {}), root, item, [*path, index])
    elif isinstance(value, dict):
        yield from _members(schema, root, value, path)


def _text(schema, value, at):
    pattern = schema.get("pattern")
    if pattern and not regex.search(pattern, value):
        yield f"{at} is {value!r}, which does not match {pattern}"
    if len(value) < schema.get("minLength", 0) or len(value) > schema.get("maxLength", len(value)):
        yield f"{at} has {len(value)} characters, beyond {schema.get('minLength', '')}..{schema.get('maxLength', '')}"


def _members(schema, root, value, path):
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in schema.get("required", []):
        if name not in value:
            yield f"{'/'.join([*map(str, path), name])} is missing"
    for name, item in value.items():
        matching = [part for pattern, part in patterns.items() if regex.search(pattern, name)]
        if name in known:
            matching.append(known[name])
        elif not matching and schema.get("additionalProperties") is False:
            yield f"{'/'.join([*map(str, path), name])} is not a property of the type"
        for part in matching:
            yield from _values(part, root, item, [*path, name])


def replacements(templates):
    """Create-only properties that differ between stages, where CloudFormation could not, or must not, replace.

    A resource with a name of its own is not replaced: there would be two of the name. One that holds data is lost.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html
    """
    resources = {}
    for template in templates:
        for logical_id, kind, properties in template.of_types():
            resources.setdefault((logical_id, kind), []).append((template, properties))
    for (logical_id, kind), uses in resources.items():
        create_only = aws_data.property_paths(kind, "createOnlyProperties", "conditionalCreateOnlyProperties")
        named = NAMES.get(kind) in create_only and any(is_set(properties, NAMES[kind]) for _, properties in uses)
        if not named and kind not in STATEFUL:
            continue
        for path, ((one, before), (other, after)) in itertools.product(create_only, itertools.combinations(uses, 2)):
            before, after = ([_at(properties, path)] for properties in (before, after))
            if json.dumps(before) != json.dumps(after):
                reason = "the template names the resource" if named else "the resource holds data or has users"
                yield (
                    f"{one.name} and {other.name}: {logical_id} ({kind}): {path} is {before[0]} and {after[0]}. The "
                    f"property is create-only by the type's schema, and CloudFormation must not replace it: {reason}"
                )
                break


def _at(properties, path):
    for step in path.split("/"):
        properties = properties.get(step) if isinstance(properties, dict) else None
    return properties
