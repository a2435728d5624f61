"""Every generated policy says what IAM knows, by the Service Authorization Reference.

Its actions exist, apply to the resources that they are scoped to, and know the condition keys of their statement. A
statement that allows an action on a resource of the wrong type, or under a condition key that the action does not
have, allows nothing, and IAM takes it without a word.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""
import fnmatch
import functools
import pathlib
import re

import aws_data
import yaml
from template import Opaque

EXCEPTIONS = pathlib.Path(__file__).with_name("action-exceptions.yaml")

# Keys that every request has, or those of a service on behalf of a resource, with their types.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
GLOBAL_KEYS = {"aws:SecureTransport": "Bool", "aws:SourceAccount": "String", "aws:SourceArn": "ARN"}
OPERATORS = {"ARN": ("Arn", "String"), "Bool": ("Bool",), "String": ("String",), "ArrayOfString": ("String",)}
# Variables of the reference's ARNs that stand for text with a slash, or with a colon.
WITH_SLASHES = re.compile(r"Path|ObjectName|LogGroupName|RelativeId|ParameterName|SecretId|^\*$")
WITH_COLONS = re.compile(r"StreamLabel|ObjectName|^\*$")
DOCUMENTS = {
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}


class Exceptions:
    """What `action-exceptions.yaml` holds, and which of it was needed."""

    def __init__(self, entries):
        self.arns = {entry["action"]: entry["arns"] for entry in entries if entry["reason"]}
        self.needed = set()

    @classmethod
    def read(cls):
        return cls(yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8")))

    def faults(self):
        for action in self.arns.keys() - self.needed:
            yield f"action-exceptions.yaml: the exception of {action} excepts nothing: delete it"


def check(templates, deployers, exceptions):
    """`deployers`: the deployer's policies of each stage, by the stage's name."""
    faults = []
    for template in templates:
        for where, document in documents_of(template):
            faults += [f"{template.name}: {where}: {fault}" for fault in document_faults(document, exceptions)]
    for stage, policies in deployers.items():
        for document in policies:
            faults += [f"the deployer's policy of {stage}: {fault}" for fault in document_faults(document, exceptions)]
    return faults + sorted(exceptions.faults())


def documents_of(template):
    """Policy documents of a template, with examples of their ARNs."""
    for logical_id, kind, properties in template.of_types():
        if kind == "AWS::IAM::Role":
            yield f"{logical_id}, trust policy", template.example(properties["AssumeRolePolicyDocument"])
            for policy in properties.get("Policies", []):
                yield f"{logical_id}, {policy['PolicyName']}", template.example(policy["PolicyDocument"])
        elif kind in DOCUMENTS:
            yield logical_id, template.example(properties[DOCUMENTS[kind]])
        elif kind == "AWS::Lambda::Permission":
            example = template.example(properties)
            # The name of a function will do here, where a policy has its ARN.
            yield logical_id, {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": example["Action"]}]}


def document_faults(document, exceptions):
    for index, statement in enumerate(document["Statement"]):
        for fault in statement_faults(statement, exceptions):
            yield f"statement {statement.get('Sid', index)}: {fault}"


def statement_faults(statement, exceptions):
    known = []
    for name in as_list(statement["Action"]):
        actions = [Action(service, privilege) for service, privilege in find(name)]
        if not actions and name in exceptions.arns:
            exceptions.needed.add(name)
            actions = [Action(aws_data.authorization()[name.partition(":")[0]], {"resource_types": {}})]
        if not actions:
            yield f"the Service Authorization Reference has no action {name}"
        known += [(name, action) for action in actions]
    resources = as_list(statement.get("Resource", []))
    if "Resource" in statement and not any(isinstance(resource, Opaque) for resource in resources):
        yield from resource_faults(known, resources, exceptions)
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            yield from condition_faults(known, operator, key)


class Action:
    """An action of the reference."""

    def __init__(self, service, privilege):
        self.service = service
        self.uses = privilege["resource_types"]
        self.types = [name for name in self.uses if name]
        self.arns = [service["resources"][name]["arn"] for name in self.types]


def find(name):
    """Actions of the reference by a name, which may have wildcards."""
    prefix, _, pattern = name.partition(":")
    service = aws_data.authorization().get(prefix)
    if service is None:
        return
    pattern = pattern.lower()
    for action, privilege in service["privileges"].items():
        if fnmatch.fnmatchcase(action.lower(), pattern):
            yield service, privilege


def resource_faults(actions, resources, exceptions):
    matched = set()
    for name, action in actions:
        matching = {resource for resource in resources for arn in action.arns if intersects(resource, arn)}
        if not action.types and "*" in resources:
            matching.add("*")
        extra = exceptions.arns.get(name, [])
        excepted = {resource for resource in resources for arn in extra if intersects(resource, arn)}
        if excepted - matching:
            exceptions.needed.add(name)
        matching |= excepted
        matched |= matching
        if matching or "*" in name:
            continue
        on = ", ".join(resources)
        if action.types:
            yield f"{name} applies to {', '.join(action.types)} ({', '.join(action.arns)}), not to {on}"
        else:
            yield f'{name} takes no resource, and is allowed on "*" only, not on {on}'
    for resource in resources:
        if actions and resource not in matched:
            yield f"no action of the statement applies to {resource}"


@functools.cache
def intersects(pattern, arn):
    """Whether a policy's pattern and an ARN of the reference can mean the same resource."""
    tokens = []
    for part in re.split(r"(\$\{[^}]+\})", arn):
        if part.startswith("${"):
            tokens.append(_variable(part[2:-1]))
        else:
            tokens += part
    if "*" in pattern or "?" in pattern:
        return _intersects(tuple(pattern), tuple(tokens))
    return re.fullmatch("".join(t if len(t) > 1 else re.escape(t) for t in tokens), pattern) is not None


def _variable(name):
    """A regular expression of what a variable stands for."""
    excluded = ("" if WITH_SLASHES.search(name) else "/") + ("" if WITH_COLONS.search(name) else ":")
    return f"[^{excluded}]*" if excluded else "(?:.|\n)*"


def _intersects(pattern, tokens):
    """Whether a glob and a list of letters and variables have a text in common."""

    @functools.cache
    def common(i, j):
        if i == len(pattern) and j == len(tokens):
            return True
        if i < len(pattern) and pattern[i] == "*":
            # The wildcard ends here, or takes what comes next.
            return common(i + 1, j) or (j < len(tokens) and common(i, j + 1))
        if j < len(tokens) and len(tokens[j]) > 1:
            letter = pattern[i] if i < len(pattern) else None
            takes = letter is not None and (letter == "?" or re.fullmatch(tokens[j], letter))
            return common(i, j + 1) or bool(takes and common(i + 1, j))
        if i == len(pattern) or j == len(tokens):
            return False
        return pattern[i] in ("?", tokens[j]) and common(i + 1, j + 1)

    return common(0, 0)


def condition_faults(actions, operator, key):
    for name, action in actions:
        kind = key_type(action, key)
        if kind is None and "*" not in name:
            yield f"{name} has no condition key {key}, so the statement does not apply to it"
        elif kind and not operator.split(":")[-1].startswith(OPERATORS.get(kind, ())):
            yield f"{key} is of type {kind}, which {operator} does not compare"


def key_type(action, key):
    """The type of a condition key, if the action has it."""
    for name, kind in GLOBAL_KEYS.items():
        if name.lower() == key.lower():
            return kind
    keys = {name for use in action.uses.values() for name in use["condition_keys"]}
    keys |= {name for kind in action.types for name in action.service["resources"][kind]["condition_keys"]}
    for name in keys:
        if _same_key(name, key):
            return action.service["conditions"].get(name, {}).get("type", "String")
    return None


def _same_key(name, key):
    """`aws:ResourceTag/${TagKey}` is any tag's."""
    name, _, variable = name.lower().partition("${")
    return key.lower().startswith(name) if variable else key.lower() == name


def as_list(value):
    return value if isinstance(value, list) else [value]
