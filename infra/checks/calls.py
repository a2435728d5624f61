"""Requests that were recorded on local stages, and answers of the local Rekognition, are valid by botocore's models.

The emulator and the local Rekognition record what they are asked if XTASK_RECORD_CALLS names a folder. A request that
is not valid is a fault if it was answered, because AWS would have refused it. If it was refused, it is as it should
be: that is what some tests are about.
"""
import base64
import collections
import json
import pathlib

import constraints
import models
import wire

# Errors that every service has, beside those of an operation's model.
# https://docs.aws.amazon.com/rekognition/latest/APIReference/CommonErrors.html
COMMON_ERRORS = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "UnknownOperationException",
    "UnrecognizedClientException",
}


class Checked:
    """What was looked at, and what is wrong with it: an example of each fault, and how often there was one."""

    def __init__(self):
        self.requests = collections.Counter()
        self.answers = collections.Counter()
        # Those that are not valid, and were refused.
        self.refused = self.too_large = 0
        self.found = {}

    def fault(self, operation, text):
        example, count = self.found.get((operation, _form(text)), (text, 0))
        self.found[operation, _form(text)] = example, count + 1

    def faults(self):
        for (operation, _), (example, count) in sorted(self.found.items()):
            yield f"{operation}: {example}" + (f" (and {count - 1} more like it)" if count > 1 else "")

    def summary(self):
        services = {name.partition(".")[0] for name in self.requests}
        return (
            f"{sum(self.requests.values())} requests of {len(self.requests)} operations of {len(services)} services, "
            f"and {sum(self.answers.values())} answers of the local Rekognition, with botocore's models; "
            f"{self.refused} more were not valid and refused, {self.too_large} too large to be recorded"
        )


def _form(text):
    """A fault without what differs from request to request."""
    return "".join(letter for letter in text if not letter.isdigit())[:60]


def check(folder):
    checked = Checked()
    # Many requests are the same to the byte.
    seen = {}
    for file in sorted(pathlib.Path(folder).glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                # A stage may have been killed while it wrote.
                if line.endswith("\n"):
                    seen[line] = seen.get(line, 0) + 1
    for line, times in seen.items():
        call = json.loads(line)
        check_request(checked, call, times)
        if "answer" in call:
            check_answer(checked, call, times)
    return checked


def check_request(checked, call, times=1):
    body = _bytes(call["body"])
    name, found = call["service"], []
    try:
        operation, variables = models.find(call, body or b"")
        name = name_of(operation)
        if body is None and not _has_blob_payload(operation):
            checked.too_large += times
            return
        found = list(request_faults(operation, call, variables, body or b""))
    except (models.Unknown, wire.Malformed) as error:
        found = [str(error)]
    if found and call["status"] >= 400:
        checked.refused += times
        return
    checked.requests[name] += times
    for fault in found:
        checked.fault(name, fault)


def request_faults(operation, call, variables, body):
    decoded = wire.request(operation, call, variables, body)
    for member in decoded.unknown:
        yield f"the request has {member}, which the operation does not know"
    if operation.input_shape:
        yield from constraints.faults(operation.input_shape, decoded.members)


def check_answer(checked, call, times=1):
    body = _bytes(call["answer"])
    try:
        operation, _ = models.find(call, b"")
    except models.Unknown:
        # It is refused as an unknown operation.
        return
    name = f"{name_of(operation)}, answer"
    checked.answers[name] += times
    if call["status"] >= 400:
        check_error(checked, name, operation, json.loads(body))
        return
    decoded = wire.json_body(operation.output_shape, body)
    for member in decoded.unknown:
        checked.fault(name, f"the answer has {member}, which the operation does not know")
    for fault in constraints.faults(operation.output_shape, decoded.members):
        checked.fault(name, fault)


def check_error(checked, name, operation, error):
    known = {shape.error_code or shape.name for shape in operation.error_shapes} | COMMON_ERRORS
    code = error.get("__type", "").rpartition("#")[2]
    if code not in known:
        checked.fault(name, f"the error {code!r} is none of the operation's: {', '.join(sorted(known))}")


def name_of(operation):
    return f"{operation.service_model.service_name}.{operation.name}"


def _bytes(text):
    return None if text is None else base64.b64decode(text)


def _has_blob_payload(operation):
    shape = operation.input_shape
    payload = shape and shape.serialization.get("payload")
    return bool(payload) and shape.members[payload].type_name == "blob"
