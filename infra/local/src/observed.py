"""What happens in the emulator, as occurrences; loaded by emulator.py, asked for by traces.rs. The crate `traces` has
their words and makes traces of them.

They are kept in the ring of ring.py. Nobody is told of them: who wants to know asks.

Causes are exact. A request has a variable of its context, which threads that it starts for events inherit. An invocation
has a trace header, as on AWS, which AWS's SDKs in the function send on with each call. Messages and records of streams
have identifiers of their own.
"""
import asyncio
import collections
import contextvars
import functools
import json
import re
import secrets
import threading
import time
import urllib.parse

from ministack.core import iam_evaluator, router
from ministack.services import dynamodb, lambda_svc, sqs

import logs
import recorder
from ring import MOST_OCCURRENCES, Ring, now_ms

# Wrapped here.
import decisions  # noqa: F401  isort: skip

# Of a request, an answer or an event.
MAX_PAYLOAD_BYTES = 4096
MAX_LOG_LINES = 200
MAX_LINE_BYTES = 1024
MAX_PATIENCE_SECONDS = 10
POLL_SECONDS = 0.05

# By which the stage's own clients are known, in the header `user-agent`: what they ask for is nobody's event.
STAGE_AGENT = "app/local-stage"
# By which `cargo xtask` is known. Of what it asks for, only an invocation is an event.
XTASK_AGENT = "app/cargo-xtask"
# Says what has caused a call, where only the caller knows.
CAUSE_HEADER = "x-local-stage-cause"

# Services whose requests and answers may be shown. Others have values of operators in them, and credentials.
SHOWN = {"dynamodb", "sqs", "sns", "events", "lambda", "rekognition"}
HIDDEN = "[hidden]"
SECRETS = re.compile(
    r"((?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId)(?:=|%3D))[^&\s\"'\\<]+"
    # A member of an object, a header or a cookie, which may be cut off. In texts within texts, quotes are escaped.
    r'|(\\*"(?:authorization|proxy-authorization|cookie|set-cookie|x-api-key|x-amz-security-token|SecretAccessKey|'
    r'SessionToken|password|X-Amz-Signature|X-Amz-Credential|Signature|AWSAccessKeyId)\\*"\s*:\s*\\*")[^"\\]*'
    r'|("cookies"\s*:\s*\[)[^\]]*',
    re.IGNORECASE,
)

# What people and programs do that functions may handle. Whatever else they call is no event.
INCOMING = {
    "s3": {"PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject", "DeleteObjects"},
    "dynamodb": {
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "TransactWriteItems",
        "ExecuteStatement",
        "BatchExecuteStatement",
        "ExecuteTransaction",
    },
    "sns": {"Publish", "PublishBatch"},
    "sqs": {"SendMessage", "SendMessageBatch"},
    "events": {"PutEvents"},
    "lambda": {"Invoke"},
}
ACTION = re.compile(r"(?:^|&)Action=(\w+)")
SENT_ID = re.compile(r'"MessageId"\s*:\s*"([^"]+)"|<MessageId>([^<]+)</MessageId>')
COUNT = re.compile(r'"Count"\s*:\s*(\d+)')
ERROR_CODE = re.compile(r'"__type"\s*:\s*"(?:[^"#]*#)?([^":]+)|<Code>([^<]+)</Code>')
ERROR_MESSAGE = re.compile(r'"[Mm]essage"\s*:\s*"((?:[^"\\]|\\.)*)|<Message>([^<]*)</Message>')
DENIED = re.compile(r"is not authorized to perform: (\S+) on resource: (\S+)")
JOB_OF_MESSAGE = re.compile(r'"JobId"\s*:\s*"([^"]+)"')
PARENT = re.compile(r"Parent=([0-9a-f]{16})")

ring = Ring()
ids_lock = threading.Lock()
last_id = 0

# The call that is answered, which may begin invocations of functions.
current_call = contextvars.ContextVar("current_call", default=None)
# What an event comes from that is not of the current call.
given_causes = contextvars.ContextVar("given_causes", default=None)
attempt_number = contextvars.ContextVar("attempt_number", default=1)

# The function of each of the last attempts.
attempts = collections.OrderedDict()
# In the thread that invokes: its last attempt.
own = threading.local()


def new_id():
    global last_id
    with ids_lock:
        last_id += 1
        return f"e{ring.run}-{last_id}"


def scrubbed(text):
    return SECRETS.sub(lambda found: f"{found[1] or found[2] or found[3]}{HIDDEN}", text)


def payload(text, size=None):
    """A payload of a text, of which no more is looked at than is kept."""
    kept = scrubbed(text[:MAX_PAYLOAD_BYTES])
    size = len(text.encode("utf-8", "replace")) if size is None else size
    # What is hidden is not cut.
    return {"text": kept, "bytes": size if len(text) > MAX_PAYLOAD_BYTES or not text else len(kept.encode("utf-8", "replace"))}


def payload_of_value(value):
    return payload(json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str))


class Call:
    """A request to a service, from its first byte to the last of its answer."""

    def __init__(self, request, service):
        self.id = new_id()
        self.request, self.service = request, service
        self.started, self.started_ms = time.monotonic(), now_ms()
        self.body, self.body_bytes = bytearray(), 0
        self.answer, self.answer_bytes, self.tail = bytearray(), 0, b""
        self.status, self.headers = 0, {}
        self.decided, self.denied = None, None
        self.records = []
        # Lambda's identifier of what it has invoked.
        self.invoked = None

    def take(self, message):
        part = message.get("body", b"")
        self.body_bytes += len(part)
        missing = MAX_PAYLOAD_BYTES - len(self.body)
        if missing > 0 and self.service in SHOWN:
            self.body += part[:missing]

    def take_answer(self, message):
        part = message.get("body", b"")
        self.answer_bytes += len(part)
        missing = MAX_PAYLOAD_BYTES - len(self.answer)
        # Errors tell nothing that is not for everybody.
        if missing > 0 and (self.service in SHOWN or self.status >= 400):
            self.answer += part[:missing]
        self.tail = (self.tail + part)[-64:]

    @functools.cached_property
    def operation(self):
        headers, request = self.request.headers, self.request
        if self.service == "s3":
            return operation_of_s3(request, self.decided)
        target = headers.get("x-amz-target", "").rpartition(".")[2]
        if target:
            return target
        action = request.query.get("Action", [None])[0]
        found = ACTION.search(self.body.decode("utf-8", "replace")) if action is None else None
        if found or action:
            return action or found[1]
        if self.service == "lambda" and request.path.endswith("/invocations"):
            return "Invoke"
        return self.decided[0].partition(":")[2] if self.decided else request.method

    @functools.cached_property
    def resource(self):
        if self.service == "s3":
            path = urllib.parse.unquote(recorder.path_of(self.request, "s3")).lstrip("/")
            return f"arn:aws:s3:::{path.rstrip('/')}" if path else None
        return self.decided[1] if self.decided else None

    @functools.cached_property
    def caller(self):
        """The principal's ARN, and Lambda's name of the function if it is one."""
        key = router.extract_access_key_id(self.request.headers, self.request.query)
        return caller_of(key)

    @functools.cached_property
    def causes(self):
        return causes_of(self.request.headers, self.body if self.service == "sns" else b"")

    @functools.cached_property
    def is_known(self):
        """Whether it is told of. Asked when the body has been read."""
        agent = self.request.headers.get("user-agent", "")
        if STAGE_AGENT in agent or (XTASK_AGENT in agent and self.operation != "Invoke"):
            return False
        if self.caller[1] is not None or self.causes:
            return True
        if self.caller[0].endswith(":root"):
            return self.operation in INCOMING.get(self.service, ())
        return self.denied is not None or self.operation in INCOMING.get(self.service, ())

    def add_to_ring(self):
        if not self.is_known:
            return
        principal, function = self.caller
        answer = self.answer.decode("utf-8", "replace")
        is_error = self.status >= 400
        sent = []
        if self.service == "sqs" and self.operation.startswith("SendMessage"):
            sent = [found[1] or found[2] for found in SENT_ID.finditer(answer)]
        ring.add(
            "call",
            id=self.id,
            service=self.service,
            operation=self.operation,
            resource=self.resource,
            principal=principal,
            function=function,
            causes=self.causes,
            started_ms=self.started_ms,
            duration_ms=(time.monotonic() - self.started) * 1000,
            status=self.status,
            error=self.error(answer) if is_error else None,
            message=first_of(ERROR_MESSAGE.search(answer)) if is_error else None,
            attempt=attempt_of_sdk(self.request.headers),
            items=self.items(answer),
            request=self.shown(self.body, self.body_bytes),
            response=self.shown(self.answer, self.answer_bytes),
            request_id=self.headers.get("x-amzn-requestid"),
            denied=self.denied,
            records=self.records,
            messages=[{"message_id": id, "queue": self.resource} for id in sent],
        )

    def shown(self, body, size):
        if not size:
            return None
        return payload(body.decode("utf-8", "replace") if self.service in SHOWN else "", size)

    def error(self, answer):
        told = self.headers.get("x-amzn-errortype", "").partition(":")[0]
        return told or first_of(ERROR_CODE.search(answer)) or None

    def items(self, answer):
        if self.service == "dynamodb":
            found = COUNT.search(self.tail.decode("utf-8", "replace")) or COUNT.search(answer)
            return int(found[1]) if found else None
        if self.service == "sqs" and self.operation == "ReceiveMessage":
            return len(SENT_ID.findall(answer)) if self.answer_bytes <= MAX_PAYLOAD_BYTES else None
        return None


def first_of(found):
    return next((group for group in found.groups() if group is not None), None) if found else None


def attempt_of_sdk(headers):
    found = re.search(r"attempt=(\d+)", headers.get("amz-sdk-request", ""))
    return int(found[1]) if found else None


def caller_of(key):
    identity = iam_evaluator.resolve_caller_identity(key) if key else None
    arn = identity["userArn"] if identity else ""
    session = arn.partition(":assumed-role/")[2].partition("/")[2]
    return arn, session if session and session in lambda_svc._functions else None


def causes_of(headers, message=b""):
    """What has made a call: an invocation by its trace header, or what one of the stage's servers says."""
    trace = urllib.parse.unquote(headers.get("x-amzn-trace-id", ""))
    found = PARENT.search(trace)
    if found and found[1] in attempts:
        return [{"invocation": found[1]}]
    told = headers.get(CAUSE_HEADER)
    if told:
        try:
            return [json.loads(told)]
        except ValueError:
            return []
    # Rekognition says in the message which job has ended.
    text = urllib.parse.unquote_plus(message.decode("utf-8", "replace"))
    if '"API"' in text and '"Video"' in text:
        job = JOB_OF_MESSAGE.search(text)
        return [{"job": job[1]}] if job else []
    return []


def operation_of_s3(request, decided):
    method, query, headers = request.method, request.query, request.headers
    bucket, _, key = recorder.path_of(request, "s3").lstrip("/").partition("/")
    named = {name for name in query if name in ("tagging", "acl", "retention", "legal-hold", "torrent", "attributes")}
    if named or not bucket:
        return decided[0].partition(":")[2] if decided else f"{method} {'/'.join(sorted(named))}".strip()
    if key:
        if method == "PUT":
            if "partNumber" in query:
                return "UploadPartCopy" if "x-amz-copy-source" in headers else "UploadPart"
            return "CopyObject" if "x-amz-copy-source" in headers else "PutObject"
        if method == "POST":
            if "uploads" in query:
                return "CreateMultipartUpload"
            return "CompleteMultipartUpload" if "uploadId" in query else "RestoreObject"
        if method == "DELETE":
            return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
        if method == "GET" and "uploadId" in query:
            return "ListParts"
        return {"GET": "GetObject", "HEAD": "HeadObject"}.get(method, method)
    if method == "POST":
        return "DeleteObjects" if "delete" in query else "PostObject"
    if method == "HEAD":
        return "HeadBucket"
    if method == "GET" and query.keys() <= {"prefix", "delimiter", "marker", "max-keys", "encoding-type", "x-id"}:
        return "ListObjects"
    if "list-type" in query:
        return "ListObjectsV2"
    return decided[0].partition(":")[2] if decided else method


async def pass_on(request, send, inside):
    """Has a request answered, and tells of it."""
    if request.request_id is not None:
        # One of the stage's front doors tells of it.
        given_causes.set([{"http": request.request_id}])
        await inside(request, send)
        return
    service = recorder.service_of(request)
    # The local Rekognition shows its callers' requests, and tells of them itself.
    if service is None or "x-authorize-action" in request.headers:
        await inside(request, send)
        return
    call = Call(request, service)
    current_call.set(call)
    receive = request.receive

    async def receive_and_look():
        message = await receive()
        call.take(message)
        return message

    async def send_and_look(message):
        if message["type"] == "http.response.start":
            call.status = message["status"]
            if call.invoked is not None and call.operation == "Invoke":
                message = {**message, "headers": with_request_id(message["headers"], call.invoked)}
            call.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in message["headers"]
                if name.lower() in (b"x-amzn-requestid", b"x-amzn-errortype")
            }
        elif message["type"] == "http.response.body":
            call.take_answer(message)
        await send(message)

    request.receive = receive_and_look
    try:
        await inside(request, send_and_look)
    finally:
        call.add_to_ring()


def with_request_id(headers, request_id):
    """Lambda's answer has the identifier that the function is told, and that its log has."""
    names = (b"x-amzn-requestid", b"x-amz-request-id")
    value = request_id.encode()
    return [(name, value if name.lower() in names else old) for name, old in headers]


async def answer(query):
    """What has occurred since: at once if anything has, or else after a moment."""
    number = int(query.get("after", ["0"])[0])
    patience = min(float(query.get("patience", ["0"])[0]), MAX_PATIENCE_SECONDS)
    give_up_at = time.monotonic() + patience
    while ring.next <= number and time.monotonic() < give_up_at:
        await asyncio.sleep(POLL_SECONDS)
    if "wait" in query:
        return b'{"next":%d}' % ring.next
    return ring.after(number)


def add_call_of_rekognition(told):
    """What the local Rekognition tells of a call that it has answered."""
    principal, function = caller_of(told["access_key_id"])
    denied = DENIED.search(told.get("message") or "")
    ring.add(
        "call",
        at_ms=told["started_ms"] + told["duration_ms"],
        id=new_id(),
        service="rekognition",
        operation=told["operation"],
        resource=told.get("resource"),
        principal=principal,
        function=function,
        causes=causes_of({"x-amzn-trace-id": told.get("trace") or ""}),
        started_ms=told["started_ms"],
        duration_ms=told["duration_ms"],
        status=told["status"],
        error=told.get("error"),
        message=told.get("message"),
        attempt=attempt_of_sdk({"amz-sdk-request": told.get("attempt") or ""}),
        request=payload(told["request"], told["request_bytes"]),
        response=payload(told["response"], told["response_bytes"]),
        denied={"action": denied[1], "resource": denied[2]} if denied else None,
        job=told.get("job"),
    )


# Decisions.

enforce = iam_evaluator.enforce


def enforce_and_note(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
    denied = enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
    call = current_call.get()
    if call is not None:
        if call.decided is None:
            call.decided = iam_action, resource_arn
        if denied is not None and not isinstance(denied, iam_evaluator.AuthError) and call.denied is None:
            call.denied = {"action": iam_action, "resource": resource_arn}
    return denied


iam_evaluator.enforce = enforce_and_note

# Records of streams.

emit = dynamodb._emit_stream_event


def emit_and_note(table_name, event_name, old_item, new_item, replicate=True):
    kept = dynamodb._stream_records.get(table_name)
    last = kept[-1] if kept else None
    emit(table_name, event_name, old_item, new_item, replicate)
    kept = dynamodb._stream_records.get(table_name)
    if not kept or kept[-1] is last:
        return
    record = {
        "stream": kept[-1]["eventSourceARN"],
        "sequence_number": kept[-1]["dynamodb"]["SequenceNumber"],
        "event_name": kept[-1]["eventName"],
        "keys": json.dumps(kept[-1]["dynamodb"]["Keys"], ensure_ascii=False, default=str)[:MAX_LINE_BYTES],
    }
    call = current_call.get()
    if call is not None and call.is_known:
        call.records.append(record)
    else:
        ring.add("record", **record)


dynamodb._emit_stream_event = emit_and_note

# Messages that services put into queues, and those that end in dead-letter queues.

complete_message = sqs._ensure_msg_fields
sweep = sqs._dlq_sweep


def complete_and_note(message):
    complete_message(message)
    call = current_call.get()
    # SQS itself looks at messages again and again.
    if call is not None and call.service != "sqs":
        ring.add("sent", message_id=message["id"], queue=None, causes=[{"call": call.id}] if call.is_known else [])


def sweep_and_tell(queue):
    before = queue["messages"]
    sweep(queue)
    after = queue["messages"]
    if len(after) == len(before):
        return
    kept = {message["id"] for message in after}
    policy = json.loads(queue["attributes"]["RedrivePolicy"])
    for message in before:
        if message["id"] not in kept:
            ring.add(
                "moved",
                message_id=message["id"],
                **{"from": queue["attributes"]["QueueArn"], "to": policy["deadLetterTargetArn"]},
            )


sqs._ensure_msg_fields = complete_and_note
sqs._dlq_sweep = sweep_and_tell

# Invocations.

execute = lambda_svc._execute_function_provided_warm


def causes_here():
    """What an event comes from that begins here."""
    given = given_causes.get()
    if given is not None:
        return given
    call = current_call.get()
    return [{"call": call.id}] if call is not None and call.is_known else []


def invokes(request_id):
    """Notes which event the current call has begun."""
    call = current_call.get()
    if call is not None:
        call.invoked = request_id


def execute_and_observe(function, event, request_id):
    config = function.get("config") or function
    name = config.get("FunctionName", "")
    attempt = secrets.token_hex(8)
    attempts[attempt] = name
    while len(attempts) > MOST_OCCURRENCES:
        attempts.popitem(last=False)
    trigger, causes = origin(event)
    own.attempt, own.request_id = attempt, request_id
    if given_causes.get() is None:
        invokes(request_id)
    ring.add(
        "invocation",
        id=attempt,
        request_id=request_id,
        function=name,
        attempt=attempt_number.get(),
        trigger=trigger,
        causes=causes_here() + causes,
        started_ms=now_ms(),
        event=payload_of_value(event),
    )
    logs.own.invocation = None
    result = {"error": True, "body": {"errorType": "Runtime.Unknown", "errorMessage": "the emulator failed"}}
    try:
        result = execute(function, event, request_id)
        return result
    finally:
        own.attempt = None
        end(attempt, config, result, logs.own.invocation)


def end(attempt, config, result, measured):
    lines = [] if measured is None else measured.lines
    kept = lines[:MAX_LOG_LINES]
    duration_ms = init_ms = 0
    if measured is not None and measured.ended is not None:
        duration_ms = (measured.ended - measured.began) * 1000
        init_ms = (measured.init_seconds or 0) * 1000
    body = result.get("body")
    error = body if result.get("error") and isinstance(body, dict) else {}
    ring.add(
        "ended",
        id=attempt,
        init_ms=init_ms or None,
        duration_ms=duration_ms,
        # AWS bills the start as well: https://aws.amazon.com/lambda/pricing/
        billed_ms=int(-(-(duration_ms + init_ms) // 1)),
        memory_mb=int(config.get("MemorySize", 128)),
        max_memory_mb=measured.peak_memory_mb if measured is not None else None,
        log=[{"at_ms": at_ms, "text": scrubbed(text[:MAX_LINE_BYTES])} for at_ms, text in kept],
        lines_left_out=len(lines) - len(kept),
        result={
            "result": "error",
            "error_type": str(error.get("errorType") or error.get("__type") or "Unhandled"),
            "message": scrubbed(str(error.get("errorMessage") or error.get("message") or body)[:MAX_LINE_BYTES]),
        }
        if result.get("error")
        else {"result": "ok"},
        answer=payload_of_value(body),
    )


def origin(event):
    """What has invoked a function, and the records or messages that its event holds. People may send what they like."""
    try:
        return origin_of_service(event)
    except (AttributeError, IndexError, KeyError, TypeError):
        return {"kind": "invoke", "source": None, "detail": None}, []


def origin_of_service(event):
    if not isinstance(event, dict):
        return {"kind": "invoke", "source": None, "detail": None}, []
    if "http" in event.get("requestContext", {}):
        http = event["requestContext"]["http"]
        detail = f"{http['method']} {http['path']}"
        return {"kind": "http", "source": event.get("routeKey"), "detail": detail}, []
    if "detail-type" in event:
        kind = "schedule" if event.get("source") == "aws.scheduler" else "event_bridge"
        return {"kind": kind, "source": event.get("source"), "detail": event["detail-type"]}, []
    records = event.get("Records", [])
    first = records[0]
    source = first.get("eventSource") or first.get("EventSource")
    count = len(records)
    if source == "aws:s3":
        key = urllib.parse.unquote_plus(first["s3"]["object"]["key"])
        return {"kind": "s3", "source": first["s3"]["bucket"]["arn"], "detail": f"{first['eventName']} {key}"}, []
    if source == "aws:sns":
        return {"kind": "sns", "source": first["Sns"]["TopicArn"], "detail": first["Sns"].get("Subject")}, []
    if source == "aws:sqs":
        causes = [{"message": record["messageId"]} for record in records]
        detail = "1 message" if count == 1 else f"{count} messages"
        return {"kind": "sqs", "source": first["eventSourceARN"], "detail": detail}, causes
    if source == "aws:dynamodb":
        causes = [record_cause(record) for record in records]
        detail = "1 record" if count == 1 else f"{count} records"
        return {"kind": "stream", "source": first["eventSourceARN"], "detail": detail}, causes
    return {"kind": "invoke", "source": None, "detail": None}, []


def record_cause(record):
    return {"record": {"stream": record["eventSourceARN"], "sequence_number": record["dynamodb"]["SequenceNumber"]}}


def trace_header(config, inbound_trace_header=None):
    """Lambda has one for every invocation: whether X-Ray samples it is another matter."""
    attempt = getattr(own, "attempt", None)
    if attempt is None:
        return None
    is_sampled = (config.get("TracingConfig") or {}).get("Mode") == "Active"
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={attempt};Sampled={int(is_sampled)}"


lambda_svc._execute_function_provided_warm = execute_and_observe
lambda_svc._xray_trace_id_for_invocation = trace_header
