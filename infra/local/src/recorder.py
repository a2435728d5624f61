"""Writes down what the emulator is asked, if `XTASK_RECORD_CALLS` names a folder: `infra/checks` compares the requests
with AWS's models of its services.

No credentials are among it: what a signature is in is left out, of headers and of a presigned URL. Neither are values
of parameters and secrets.
"""
import base64
import json
import os
import re
import urllib.parse

# Functions would be handed it as well.
FOLDER = os.environ.pop("XTASK_RECORD_CALLS", None)
SIGNED_FOR = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/")
# Signatures, and what differs between requests that are the same otherwise.
LEFT_OUT_HEADERS = {
    "accept",
    "accept-encoding",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "user-agent",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-user-agent",
    "x-amzn-trace-id",
}
LEFT_OUT_PARAMETERS = {
    "awsaccesskeyid",
    "expires",
    "signature",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
}
# Which member of a request holds a value of an operator, by the operation.
VALUES = {
    "AmazonSSM.PutParameter": ["Value"],
    "secretsmanager.CreateSecret": ["SecretString", "SecretBinary"],
    "secretsmanager.PutSecretValue": ["SecretString", "SecretBinary"],
    "secretsmanager.UpdateSecret": ["SecretString", "SecretBinary"],
}
# Zips of functions and files are not read anyway.
MAX_BODY_BYTES = 1 << 20


class Recorder:
    def __init__(self, folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        path = os.path.join(folder, f"emulator-{os.getpid()}.jsonl")
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    async def pass_on(self, inside, request, send):
        """Lets MiniStack answer, and writes down what was asked and the status of the answer."""
        body, size, status = [], 0, 0

        async def receive():
            nonlocal size
            message = await request.receive()
            part = message.get("body", b"")
            size += len(part)
            if size <= MAX_BODY_BYTES:
                body.append(part)
            return message

        async def answer(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await inside(request.scope, receive, answer)
        service = service_of(request)
        # The local Rekognition shows its callers' requests, and writes them down itself.
        if service is None or "x-authorize-action" in request.headers:
            return
        call = {
            "service": service,
            "method": request.method,
            "path": path_of(request, service),
            "query": without_signature(request.scope.get("query_string", b"").decode("latin-1")),
            "headers": {name: value for name, value in request.headers.items() if name not in LEFT_OUT_HEADERS},
            "body": base64.b64encode(without_value(request, b"".join(body))).decode() if size <= MAX_BODY_BYTES else None,
            "status": status,
        }
        os.write(self.file, json.dumps(call).encode() + b"\n")


def service_of(request):
    """What the request was signed for, if it is for a service. A browser's preflight is not, whatever URL it is of, nor
    is what the front door passes on to an API or a function URL."""
    if request.method == "OPTIONS" or request.raw_path.startswith("/_aws/"):
        return None
    signed = SIGNED_FOR.search(request.headers.get("authorization", ""))
    if signed:
        return signed[1]
    for name, values in request.query.items():
        if name.lower() == "x-amz-credential":
            return values[0].split("/")[3]
        if name.lower() == "awsaccesskeyid":
            # Only S3 takes signatures of version 2.
            return "s3"
    return None


def without_value(request, body):
    """The body, with as long a text in the place of a value that is not to be written down."""
    members = VALUES.get(request.headers.get("x-amz-target"))
    if members is None:
        return body
    try:
        content = json.loads(body)
    except ValueError:
        return b""
    for member in members:
        if isinstance(content, dict) and isinstance(content.get(member), str):
            content[member] = "x" * len(content[member])
    return json.dumps(content).encode()


def path_of(request, service):
    path = request.raw_path.partition("?")[0]
    bucket, _, of_service = request.headers["host"].partition(".")
    # A bucket may be in the host's name.
    return f"/{bucket}{path}" if service == "s3" and of_service.startswith(("localhost", "s3.")) else path


def without_signature(query):
    parts = (part for part in query.split("&") if part)
    names = ((part, urllib.parse.unquote(part.partition("=")[0]).lower()) for part in parts)
    return "&".join(part for part, name in names if name not in LEFT_OUT_PARAMETERS)


recorder = Recorder(FOLDER) if FOLDER else None
