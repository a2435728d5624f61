"""From the bytes of a request or an answer to members of its shape, for each protocol of AWS.

This is what botocore's serializers do, the other way round. What has no place in the shape is a fault; values of a
wrong type are left as they are, for `constraints` to tell.
https://smithy.io/2.0/aws/protocols/index.html
"""
import base64
import binascii
import json
import urllib.parse
import xml.etree.ElementTree

class Malformed(Exception):
    """It is not of the protocol's form."""


class Decoded:
    """The members of a request, and what of it has no place in the model."""

    def __init__(self, members, unknown):
        self.members, self.unknown = members, unknown


def request(operation, call, variables, body):
    shape = operation.input_shape
    protocol = operation.service_model.metadata["protocol"]
    headers = call["headers"]
    if protocol.startswith("rest-"):
        return Rest(operation, call, variables, body).decoded()
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return form(shape, body)
    if "json" in headers.get("content-type", ""):
        return json_body(shape, body)
    raise Malformed(f"the checks do not read {headers.get('content-type')}: add it to wire.py")


def json_body(shape, body):
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    unknown = []
    return Decoded(_json(shape, value, "", unknown) if shape else {}, unknown)


def _json(shape, value, path, unknown):
    if value is None:
        return None
    if shape.type_name == "structure" and isinstance(value, dict):
        if getattr(shape, "is_document_type", False):
            return value
        members = {_json_name(member, name): (name, member) for name, member in shape.members.items()}
        decoded = {}
        for key, item in value.items():
            if key not in members:
                unknown.append(f"{path}{key}")
            elif item is not None:
                name, member = members[key]
                decoded[name] = _json(member, item, f"{path}{name}.", unknown)
        return decoded
    if shape.type_name == "list" and isinstance(value, list):
        return [_json(shape.member, item, f"{path}{index}.", unknown) for index, item in enumerate(value)]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _json(shape.value, item, f"{path}{key}.", unknown) for key, item in value.items()}
    if shape.type_name == "blob" and isinstance(value, str):
        return _base64(value)
    return value


def _json_name(member, name):
    return member.serialization.get("name", name)


def _base64(text):
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text


def form(shape, body):
    """The query protocol: `Tags.member.1.Key=app&…`."""
    tree = {}
    for name, value in urllib.parse.parse_qsl(body.decode(), keep_blank_values=True):
        if name in ("Action", "Version"):
            continue
        of = tree
        for step in name.split("."):
            of = of.setdefault(step, {})
        of[""] = value
    unknown = []
    return Decoded(_form(shape, tree, "", unknown) if shape else {}, unknown)


def _form(shape, tree, path, unknown):
    kind = shape.type_name
    if kind == "structure":
        decoded, left = {}, dict(tree)
        for name, member in shape.members.items():
            key = member.serialization.get("name", name)
            if member.type_name == "list" and member.serialization.get("flattened"):
                key = member.member.serialization.get("name", key)
            if key in left:
                decoded[name] = _form(member, left.pop(key), f"{path}{name}.", unknown)
        unknown += [f"{path}{name}" for name in left if name]
        return decoded
    if kind == "list":
        if not shape.serialization.get("flattened"):
            # An empty list is the name alone.
            tree = tree.get(shape.member.serialization.get("name", "member"), {})
        return [_form(shape.member, tree[key], f"{path}{key}.", unknown) for key in _numbers(tree)]
    if kind == "map":
        entries = tree if shape.serialization.get("flattened") else tree.get("entry", {})
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        decoded = {}
        for number in _numbers(entries):
            key = entries[number][key_name][""]
            decoded[key] = _form(shape.value, entries[number][value_name], f"{path}{key}.", unknown)
        return decoded
    return _scalar(shape, tree.get("", ""))


def _numbers(tree):
    return sorted((key for key in tree if key.isdigit()), key=int)


def _scalar(shape, text):
    """Text as a header, a query or XML has it."""
    kind = shape.type_name
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in ("integer", "long", "float", "double"):
        try:
            return float(text) if kind in ("float", "double") else int(text)
        except ValueError:
            return text
    return _base64(text) if kind == "blob" else text


class Rest:
    """`rest-json` and `rest-xml`: members in path, query and headers, and the rest in the body."""

    def __init__(self, operation, call, variables, body):
        self.shape, self.call, self.variables, self.body = operation.input_shape, call, variables, body
        self.is_xml = operation.service_model.metadata["protocol"] == "rest-xml"
        self.static = {item.partition("=")[0] for item in operation.http["requestUri"].partition("?")[2].split("&")}
        self.query = {}
        for name, value in urllib.parse.parse_qsl(call["query"], keep_blank_values=True):
            self.query.setdefault(name, []).append(value)

    def decoded(self):
        if self.shape is None:
            return Decoded({}, [])
        decoded, known, in_body, unknown = {}, set(self.static), {}, []
        payload = self.shape.serialization.get("payload")
        for name, member in self.shape.members.items():
            location = member.serialization.get("location")
            wire_name = member.serialization.get("name", name)
            if location == "uri":
                value = self.variables.get(wire_name)
                decoded |= {} if value is None else {name: _scalar(member, value)}
            elif location == "querystring":
                known.add(wire_name)
                decoded |= self.of_query(name, member, wire_name)
            elif location == "header":
                decoded |= self.of_header(name, member, wire_name.lower())
            elif location == "headers":
                prefix = wire_name.lower()
                of = {key[len(prefix) :]: text for key, text in self.call["headers"].items() if key.startswith(prefix)}
                decoded |= {name: of} if of else {}
            elif name != payload:
                in_body[name] = member
        if payload:
            decoded |= self.of_payload(payload, unknown)
        elif in_body and self.body:
            decoded |= self.of_body(self.shape, unknown, in_body)
        # `x-id` names the operation for logs.
        unknown += sorted(self.query.keys() - known - {"x-id"})
        return Decoded(decoded, unknown)

    def of_query(self, name, member, wire_name):
        if wire_name not in self.query:
            return {}
        values = self.query[wire_name]
        if member.type_name == "list":
            return {name: [_scalar(member.member, value) for value in values]}
        return {name: _scalar(member, values[0])}

    def of_header(self, name, member, wire_name):
        text = self.call["headers"].get(wire_name)
        if text is None:
            return {}
        if member.type_name == "list":
            return {name: [item.strip() for item in text.split(",")]}
        return {name: _scalar(member, text)}

    def of_payload(self, name, unknown):
        member = self.shape.members[name]
        if member.type_name == "blob":
            return {name: self.body} if self.body else {}
        if member.type_name == "string":
            return {name: self.body.decode()} if self.body else {}
        return {name: self.of_body(member, unknown, member.members)} if self.body else {}

    def of_body(self, shape, unknown, members):
        if not self.is_xml:
            decoded = json_body(shape, self.body)
            unknown += decoded.unknown
            return {name: value for name, value in decoded.members.items() if name in members}
        try:
            root = xml.etree.ElementTree.fromstring(self.body)
        except xml.etree.ElementTree.ParseError as error:
            raise Malformed(f"the body is not XML: {error}") from error
        return _xml(shape, root, "", unknown)


def _xml(shape, element, path, unknown):
    kind = shape.type_name
    if kind == "structure":
        children = {}
        for child in element:
            children.setdefault(_local(child.tag), []).append(child)
        attributes = {_local(name): value for name, value in element.attrib.items()}
        decoded = {}
        for name, member in shape.members.items():
            wire_name = member.serialization.get("name", name)
            if member.type_name == "list" and member.serialization.get("flattened"):
                wire_name = member.member.serialization.get("name", wire_name)
                found = children.pop(wire_name, None)
                if found:
                    decoded[name] = [_xml(member.member, item, f"{path}{name}.", unknown) for item in found]
            elif member.serialization.get("xmlAttribute"):
                value = attributes.get(wire_name.rpartition(":")[2])
                decoded |= {} if value is None else {name: value}
            elif wire_name in children:
                decoded[name] = _xml(member, children.pop(wire_name)[0], f"{path}{name}.", unknown)
        unknown += [f"{path}{name}" for name in children]
        return decoded
    if kind == "list":
        return [_xml(shape.member, item, path, unknown) for item in element]
    if kind == "map":
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        decoded = {}
        for entry in element:
            parts = {_local(part.tag): part for part in entry}
            decoded[parts[key_name].text] = _xml(shape.value, parts[value_name], path, unknown)
        return decoded
    return _scalar(shape, element.text or "")


def _local(tag):
    return tag.rpartition("}")[2]
