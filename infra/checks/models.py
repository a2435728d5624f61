"""Which operation of which service a recorded request is, by botocore's models."""
import functools
import re
import urllib.parse

import botocore.session

# Services by the name that requests are signed for, where botocore has another, or more than one.
SIGNED_FOR = {
    "apigateway": ("apigatewayv2", "apigateway"),
    "dynamodb": ("dynamodb", "dynamodbstreams"),
    "monitoring": ("cloudwatch",),
}


class Unknown(Exception):
    """No operation of the models is like the request."""


@functools.cache
def service(name):
    return _session().get_service_model(name)


@functools.cache
def _session():
    return botocore.session.Session()


@functools.cache
def operation(service_name, name):
    return service(service_name).operation_model(name)


def find(call, body):
    """The operation of a request, and the values of its path's variables."""
    target = call["headers"].get("x-amz-target")
    if target:
        prefix, _, name = target.partition(".")
        for candidate in _by_signing_name(call["service"]):
            if service(candidate).metadata.get("targetPrefix") == prefix:
                return _named(candidate, name), {}
        raise Unknown(f"no service has the target {target}")
    candidates = _by_signing_name(call["service"])
    if call["headers"].get("content-type", "").startswith("application/x-www-form-urlencoded"):
        name = dict(urllib.parse.parse_qsl(body.decode())).get("Action", "")
        return _named(candidates[0], name), {}
    for candidate in candidates:
        found = _by_path(candidate, call)
        if found:
            return found
    raise Unknown(f"no operation of {' or '.join(candidates)} is {call['method']} {call['path']}")


def _by_signing_name(name):
    return SIGNED_FOR.get(name, (name,))


def _named(service_name, name):
    if name not in service(service_name).operation_names:
        raise Unknown(f"{service_name} has no operation {name!r}")
    return operation(service_name, name)


def _by_path(service_name, call):
    """The operation whose path, query and required members are most like the request's."""
    query = dict(urllib.parse.parse_qsl(call["query"], keep_blank_values=True))
    best = None
    for route in _routes(service_name):
        match = route.method == call["method"] and route.pattern.fullmatch(call["path"])
        if not match or not all(name in query and value in (None, query[name]) for name, value in route.query.items()):
            continue
        if not (route.query_members <= query.keys() and route.header_members <= call["headers"].keys()):
            continue
        named = len(route.query) + len(route.query_members) + len(route.header_members)
        score = named, len(route.pattern.pattern), not route.is_deprecated
        if best is None or score > best[0]:
            variables = dict(zip(route.variables, map(urllib.parse.unquote, match.groups()), strict=True))
            best = score, operation(service_name, route.name), variables
    return best and best[1:]


class Route:
    def __init__(self, model):
        self.name, self.method = model.name, model.http["method"]
        # Some operations of S3 have a successor with the same path.
        self.is_deprecated = model.deprecated
        path, _, query = model.http["requestUri"].partition("?")
        self.query = {}
        for item in filter(None, query.split("&")):
            name, equals, value = item.partition("=")
            self.query[name] = value if equals else None
        parts = re.split(r"(\{[^}]+\})", path)
        self.pattern = re.compile("".join(map(_part, parts)) + "/?")
        self.variables = [part[1:-1].rstrip("+") for part in parts if part.startswith("{")]
        self.query_members, self.header_members = set(), set()
        shape = model.input_shape
        for name in shape.required_members if shape else []:
            serialization = shape.members[name].serialization
            if serialization.get("location") == "querystring":
                self.query_members.add(serialization["name"])
            elif serialization.get("location") == "header":
                self.header_members.add(serialization["name"].lower())


def _part(text):
    if not text.startswith("{"):
        return re.escape(text)
    return "(.+)" if text.endswith("+}") else "([^/]+)"


@functools.cache
def _routes(service_name):
    model = service(service_name)
    return [Route(model.operation_model(name)) for name in model.operation_names]
