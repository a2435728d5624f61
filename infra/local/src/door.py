"""Whom the emulator answers.

MiniStack takes requests without a signature, the key `test` and any twelve digits for the account's root user, and
checks no signature of theirs. It answers pages of every origin, has paths that want no key at all, and derives the
keys of a function's role from the function's name. Whoever reaches its port can have it run a program as the user
who started it. So nothing reaches MiniStack that has not passed this door:

- The request is for this machine by name, and no page of another origin has sent it; for a bucket and an HTTP API,
  their own CORS configuration may allow the origin. See the crate `loopback`, which has the same rules.
- Its signature is that of a key which this emulator has made since it was started, and is right; that of a form is
  among its fields. What the stage's own servers pass on, which is a stranger's request to a public API, has the stage's key instead.
- Paths of MiniStack's own are for the root user and for the stage's servers.

The servers from which functions get their events answer only below a secret path.
"""
import asyncio
import contextvars
import hashlib
import hmac
import http.server
import json
import os
import re
import secrets
import types
import urllib.parse
import uuid

from ministack import app
from ministack.core import iam_evaluator, lambda_runtime, responses, router, sigv4
from ministack.services import apigateway, lambda_svc, s3

import chaos
import debugging
import decisions
import keeping
import news
import observed
import pages
import queues
import recorder
import schedules
import under_way

# Functions would be handed it as well.
STAGE_KEY = os.environ.pop("LOCAL_STAGE_KEY")
STAGE_KEY_HEADER = "x-local-stage-key"
SIGNED_PATH_HEADER = "x-local-stage-path"
REQUEST_ID_HEADER = "x-local-stage-request"
ROOT_KEY_ID = os.environ["AWS_ACCESS_KEY_ID"]
# Of the keys of functions' roles, and of the paths of their Runtime APIs.
SECRET = secrets.token_bytes(32)

HOST = re.compile(r"(?:(?:[a-z0-9_-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::\d+)?", re.IGNORECASE)
# MiniStack's own paths, and those by which EC2 tells an instance its credentials.
INTERNAL_PATHS = ("/_", "/health", "/latest/")
UNDER_WAY_PATH = "/_stage/under-way"
DECISIONS_PATH = "/_stage/decisions"
SCHEDULES_PATH = "/_stage/schedules"
DEBUGGING_PATH = "/_stage/debugging"
MESSAGES_PATH = "/_stage/messages"
KEEP_PATH = "/_stage/keep"
RESUME_PATH = "/_stage/resume"
OCCURRENCES_PATH = "/_stage/occurrences"
NEWS_PATH = "/_stage/news"
FAULTS_PATH = "/_stage/faults"
KILL_PATH = "/_stage/kill"
# What the stage's own servers may ask for by their key.
PATHS_OF_THE_STAGE = (
    "/_aws/execute-api/",
    "/_aws/lambda-url/",
    UNDER_WAY_PATH,
    DECISIONS_PATH,
    SCHEDULES_PATH,
    KEEP_PATH,
    RESUME_PATH,
    DEBUGGING_PATH,
    OCCURRENCES_PATH,
    NEWS_PATH,
    MESSAGES_PATH,
    FAULTS_PATH,
    KILL_PATH,
)

# There is one key of the root user, whose signature is checked as anybody's.
iam_evaluator.is_root_access_key = lambda key: key == ROOT_KEY_ID
iam_evaluator._is_root_key = lambda key: False
identity_of = iam_evaluator.resolve_caller_identity


def identity_of_caller(key):
    if key != ROOT_KEY_ID:
        return identity_of(key)
    account = responses.get_account_id()
    return {
        "accessKey": key,
        "accountId": account,
        "userArn": f"arn:aws:iam::{account}:root",
        "userId": account,
        "principalOrgId": iam_evaluator._principal_org_id(account),
        "session": None,
    }


iam_evaluator.resolve_caller_identity = identity_of_caller

# The path that the client has signed, where one of the stage's servers has made another of it.
signed_path = contextvars.ContextVar("signed_path", default=None)
pin_signed_request = iam_evaluator.pin_signed_request
app.pin_signed_request = lambda method, raw_path, *request: pin_signed_request(
    method, signed_path.get() or raw_path, *request
)


def keyed_hash(message=b""):
    return hmac.new(SECRET, message, hashlib.sha256)


# What MiniStack makes the keys of a function's role of, and nothing else in this module.
lambda_runtime.hashlib = types.SimpleNamespace(sha256=keyed_hash)


class Refused(Exception):
    def __init__(self, message, code=None):
        super().__init__(message)
        self.message, self.code = message, code


async def door(scope, receive, send):
    if scope["type"] == "lifespan":
        await inside(scope, receive, send)
    elif scope["type"] == "http":
        request = Request(scope, receive)
        try:
            await request.check()
        except Refused as refused:
            await answer(request, refused, send)
        except ConnectionError:
            pass
        else:
            if request.is_of_the_stage() and request.path == UNDER_WAY_PATH:
                await send_json(send, under_way.counts())
            elif request.is_of_the_stage() and request.path == DECISIONS_PATH:
                await send_json(send, decisions.counts())
            elif request.is_of_the_stage() and request.path == DEBUGGING_PATH:
                await send_json(send, debugging.waiting_processes())
            elif request.is_of_the_stage() and request.path == MESSAGES_PATH:
                await send_json(send, queues.listed(json.loads(await request.read_body())))
            elif request.is_of_the_stage() and request.path == SCHEDULES_PATH:
                await send_json(send, schedules.listed())
            elif request.is_of_the_stage() and request.path == OCCURRENCES_PATH:
                if request.method == "POST":
                    observed.add_call_of_rekognition(json.loads(await request.read_body()))
                    await send_json(send, {})
                else:
                    await send_text(send, await observed.answer(request.query))
            elif request.is_of_the_stage() and request.path == NEWS_PATH:
                await send_json(send, await news.answer(request.query))
            elif request.is_of_the_stage() and request.path in (FAULTS_PATH, KILL_PATH):
                # Processes take a while to end.
                change = chaos.want if request.path == FAULTS_PATH else chaos.kill
                await send_json(send, await asyncio.to_thread(change, json.loads(await request.read_body())))
            elif request.is_of_the_stage() and request.path == KEEP_PATH:
                await send_json(send, await keeping.keep(json.loads(await request.read_body())))
            elif request.is_of_the_stage() and request.path == RESUME_PATH:
                keeping.resume()
                await send_json(send, {})
            else:
                await keeping.pass_on(request, send, pass_on)
    elif scope["type"] == "websocket":
        # Nothing here serves any.
        await receive()
        await send({"type": "websocket.close", "code": 1008})


async def pass_on(request, send):
    await observed.pass_on(request, send, answered_inside)


async def answered_inside(request, send):
    if recorder.recorder is not None:
        await recorder.recorder.pass_on(inside, request, send)
    else:
        await inside(request.scope, request.receive, send)


class Request:
    def __init__(self, scope, receive):
        self.scope = scope
        self.method, self.path = scope["method"], scope["path"]
        self.raw_path = (scope.get("raw_path") or urllib.parse.quote(self.path).encode()).decode("latin-1")
        self.query = urllib.parse.parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        self.headers = {}
        for name, value in scope["headers"]:
            name, value = name.decode("latin-1").lower(), sigv4.decode_header_value(value)
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self.stage_key = self.headers.pop(STAGE_KEY_HEADER, "")
        self.signed_path = self.headers.pop(SIGNED_PATH_HEADER, None)
        request_id = self.headers.pop(REQUEST_ID_HEADER, None)
        self.request_id = request_id if self.is_of_the_stage() else None
        # Functions see the headers of requests.
        ours = (STAGE_KEY_HEADER.encode(), SIGNED_PATH_HEADER.encode(), REQUEST_ID_HEADER.encode())
        scope["headers"] = [header for header in scope["headers"] if header[0].lower() not in ours]
        self.next_message = receive
        self.read_ahead = []

    async def check(self):
        if not HOST.fullmatch(self.headers.get("host", "")):
            raise Refused("This server answers requests for 127.0.0.1, localhost and [::1] only")
        if self.is_of_the_stage():
            # An HTTP API answers OPTIONS without a function, and lets a page see of it what its CORS configuration allows.
            if self.method != "OPTIONS":
                self.check_origin(self.cors_of_api())
            pages.note_front_door(self.headers["host"], self.path)
            signed_path.set(self.signed_path)
            return
        if self.is_preflight() and self.bucket() is not None:
            # Browsers ask without a signature. MiniStack answers by the bucket's CORS configuration.
            return
        self.check_origin(self.cors_of_bucket())
        if pages.may_be_form(self):
            if not pages.note_form(self.headers["content-type"], await self.read_body()):
                raise Refused("Access Denied", "AccessDenied")
            return
        await self.check_signature()

    def is_preflight(self):
        return self.method == "OPTIONS" and {"origin", "access-control-request-method"} <= self.headers.keys()

    def is_of_the_stage(self):
        """Whether one of the stage's own servers passes this on to a public API."""
        is_shown = hmac.compare_digest(self.stage_key.encode(), STAGE_KEY.encode())
        return is_shown and self.path.startswith(PATHS_OF_THE_STAGE)

    def check_origin(self, cors):
        origin = self.headers.get("origin")
        if origin is None:
            if not self.is_of_the_stage() and self.headers.get("sec-fetch-site", "").lower() == "cross-site":
                raise Refused("This server does not answer pages of other origins")
        elif origin != f"http://{self.headers['host']}" and not cors:
            raise Refused("This server does not answer pages of other origins")

    def cors_of_api(self):
        """What the HTTP API or function URL lets a page of this origin see."""
        url = app._parse_lambda_url(self.headers["host"], self.path)
        if url is not None:
            found = lambda_svc.resolve_function_url(url[0])
            return lambda_svc._function_url_cors_headers(found[4], self.headers) if found else {}
        asked = app._parse_execute_api_url(self.headers["host"], self.path)
        scope = apigateway.find_api_scope(asked[0]) if asked else None
        api = apigateway._apis.get_scoped(*scope, asked[0]) if scope else None
        if api is None:
            return {}
        return apigateway._cors_response_headers(api.get("corsConfiguration") or {}, self.headers.get("origin"))

    def cors_of_bucket(self):
        bucket = self.bucket()
        return s3.cors_response_headers(bucket, self.method, self.headers) if bucket else {}

    def bucket(self):
        if router.detect_service(self.method, self.path, self.headers, self.query) != "s3":
            return None
        target = app._s3_cors_target(self.headers["host"], self.path)
        return target and target[0]

    async def check_signature(self):
        key = router.extract_access_key_id(self.headers, self.query)
        self.check_path(key)
        if iam_evaluator._s3_presigned_query(self.query) and "authorization" not in self.headers:
            self.check_presigned()
            return
        pin_signed_request(self.method, self.raw_path, self.query, self.scope["headers"])
        payload_hash = self.headers.get("x-amz-content-sha256", "")
        if not payload_hash or payload_hash.startswith("STREAMING-AWS4-"):
            # The signature is of the body itself.
            iam_evaluator.pin_signed_body(await self.read_body())
        checked = iam_evaluator.authenticate(key, responses.get_account_id()) if key else None
        if checked is None:
            raise Refused("Missing Authentication Token", "MissingAuthenticationToken")
        if isinstance(checked, iam_evaluator.AuthError):
            raise Refused(checked.message, checked.code)

    def check_path(self, key):
        if self.path.startswith(INTERNAL_PATHS) and key != ROOT_KEY_ID:
            raise Refused("This path is for the root user of the local stage")

    def check_presigned(self):
        path = urllib.parse.unquote(self.raw_path)
        refused = s3._verify_presigned_sigv4(self.method, path, self.headers, self.query)
        if refused is not None:
            raise Refused("The presigned URL has expired, or its signature does not match", "AccessDenied")

    async def read_body(self):
        while not self.read_ahead or self.read_ahead[-1].get("more_body", False):
            message = await self.next_message()
            if message["type"] != "http.request":
                raise ConnectionError("the client has gone")
            self.read_ahead.append(message)
        return b"".join(message.get("body", b"") for message in self.read_ahead)

    async def receive(self):
        return self.read_ahead.pop(0) if self.read_ahead else await self.next_message()


async def answer(request, refused, send):
    """403, which is the status of all such errors in AWS's list of common errors."""
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"message": refused.message}).encode()
    if refused.code is not None:
        # As the service would say it that was meant, for the caller may be an SDK with the keys of an earlier start.
        service = router.detect_service(request.method, request.path, request.headers, request.query)
        error = iam_evaluator.AuthError(refused.code, refused.message)
        _, headers, body = app._credential_failure(service, "", str(uuid.uuid4()), error, request.headers)
    headers = [(name.lower().encode(), str(value).encode()) for name, value in headers.items()]
    headers = [header for header in headers if header[0] != b"content-length"]
    headers += [(b"content-length", str(len(body)).encode()), (b"cross-origin-resource-policy", b"same-origin")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})


async def send_json(send, body):
    await send_text(send, json.dumps(body).encode())


async def send_text(send, text):
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


inside = app.app
app.app = door

# A request to a public API without a route is answered by the API. MiniStack would look for the caller's permission.
route_authorization = app._execute_api_authorization_type
app._execute_api_authorization_type = lambda *asked: route_authorization(*asked) or "NONE"

# Nor has who calls a public function URL a signature to be checked.
enforce = app._enforce_data_plane


def enforce_unless_public(*asked, service_context=None, **more):
    if (service_context or {}).get("lambda:FunctionUrlAuthType") == "NONE":
        return None
    return enforce(*asked, service_context=service_context, **more)


app._enforce_data_plane = enforce_unless_public

# Servers of the Runtime API. A page, or another user, would find the port and take a function's events.
environment_of = lambda_svc._provided_worker_env
parse_request = http.server.BaseHTTPRequestHandler.parse_request


def runtime_api_path(port):
    return f"/{keyed_hash(str(port).encode()).hexdigest()}"


def environment_with_path(config, code_dir, port):
    environment = environment_of(config, code_dir, port)
    # Lambda's own value is a host and a port. Clients of the Runtime API that take a path as well, as that of the
    # crate `lambda_runtime` does, take it in a whole URL only.
    environment["AWS_LAMBDA_RUNTIME_API"] = f"http://127.0.0.1:{port}{runtime_api_path(port)}"
    return environment


def parse_request_with_path(handler):
    if not parse_request(handler):
        return False
    path = runtime_api_path(handler.server.server_address[1])
    if not hmac.compare_digest(handler.path[: len(path)].encode("latin-1", "replace"), path.encode()):
        handler.send_error(403)
        return False
    handler.path = handler.path[len(path) :]
    return True


lambda_svc._provided_worker_env = environment_with_path
http.server.BaseHTTPRequestHandler.parse_request = parse_request_with_path
