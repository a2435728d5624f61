"""Lambda's asynchronous invocation, by which S3, SNS, EventBridge and `Invoke` with the type `Event` run functions.

MiniStack has one, but its failure record lacks half of the documented fields and says three attempts
whatever happened, each attempt has a request ID of its own, throttling uses up the retries, and anybody's
queue will do as a destination. This does as "How Lambda handles errors and retries with asynchronous
invocation" and "Capturing records of Lambda asynchronous invocations" in Lambda's developer guide say.
The waits are shorter, see below.
"""
import contextvars
import datetime
import functools
import json
import logging
import os
import threading
import time
import types
import uuid

import botocore.config
import botocore.session

from ministack.core import lambda_runtime
from ministack.core.arn import parse_arn
from ministack.core.responses import request_scope
from ministack.services import eventbridge, lambda_svc, sns

import observed
from under_way import CountedThread, HandlingThread

# Before the second and the third attempt. On AWS it is one minute and two.
FUNCTION_ERROR_WAITS_SECONDS = (1, 2)
# Of the wait after throttling, which begins at a second and doubles. On AWS it is five minutes.
MAX_THROTTLING_WAIT_SECONDS = 5

# It is the stage that calls, not the function.
CLIENT = botocore.config.Config(user_agent_appid="local-stage")
ENDPOINT = f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}"

logger = logging.getLogger("asynchronous")
session_lock = threading.Lock()
session = functools.cache(botocore.session.get_session)


# What keeping.py writes down: events that are neither handled nor recorded in a failure destination.
under_way = {}
held = []
is_held = False
hold_lock = threading.Lock()


def note(function, event):
    """Has the event written down, until `forget`."""
    noted = {
        "function": function["config"]["FunctionArn"],
        "event": event,
        "request_id": str(uuid.uuid4()),
        "errors": 0,
        "throttles": 0,
        "given_up": None,
        "causes": observed.causes_here(),
    }
    under_way[noted["request_id"]] = noted
    return noted


def forget(noted):
    under_way.pop(noted["request_id"], None)


def events_under_way():
    return [dict(noted) for noted in list(under_way.values())]


def invoke(function, event):
    """Returns at once; `event` is then handled, or is recorded in the function's on-failure destination."""
    noted = note(function, event)
    observed.invokes(noted["request_id"])
    with hold_lock:
        if is_held:
            held.append(noted)
            return
    begin(function, noted)


def begin(function, noted):
    context = contextvars.copy_context()
    work = lambda_svc._run_with_function_config_scope
    HandlingThread(target=context.run, args=(work, function, handle, function, noted), daemon=True).start()


def hold(events):
    """Begins with the events of an earlier start, and lets them wait, and others, for `resume`."""
    global is_held
    is_held = True
    under_way.update((noted["request_id"], noted) for noted in events)
    held.extend(under_way.values())


def resume():
    """Has held events handled, by their functions as they are now. The attempts that ended before count, ages do not."""
    global is_held
    with hold_lock:
        is_held = False
    while held:
        noted = held.pop(0)
        function = function_of(noted["function"])
        if function is None:
            # Lambda drops the events of a deleted function as well.
            logger.error("An event is dropped, there is no function %s any more: %s", noted["function"], noted["event"])
            forget(noted)
        else:
            begin(function, noted)


def function_of(arn):
    target = parse_arn(arn)
    with request_scope(target.account_id, target.region):
        function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    return lambda_svc._execution_record_for_config(function, config) if function and config else None


def handle(function, noted):
    event, request_id = noted["event"], noted["request_id"]
    # What an earlier start has kept may have none.
    observed.given_causes.set(noted.get("causes", []))
    settings = function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get("$LATEST") or {}
    if noted["given_up"] is None:
        noted["given_up"] = failure(function, noted, settings)
    if noted["given_up"] is None:
        forget(noted)
        return
    given_up = noted["given_up"]
    destination = settings.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if destination:
        body = failure_record(function, event, request_id, given_up["condition"], noted["errors"], given_up["result"])
        message_id, error = record(function, event, destination, body)
    else:
        message_id = error = None
    observed.ring.add(
        "given_up",
        events=[{"request": request_id}],
        function=function["config"]["FunctionName"],
        condition=given_up["condition"],
        destination=destination,
        message_id=message_id,
        error=error,
    )
    forget(noted)


def failure(function, noted, settings):
    """Nothing if the function has handled the event, or else why it is given up, and the last answer."""
    retries = int(settings.get("MaximumRetryAttempts", len(FUNCTION_ERROR_WAITS_SECONDS)))
    give_up_at = time.time() + int(settings.get("MaximumEventAgeInSeconds", 6 * 60 * 60))
    while True:
        observed.attempt_number.set(noted["errors"] + 1)
        result = attempt(function, noted["event"], noted["request_id"])
        if not result.get("error"):
            return None
        if result.get("throttle"):
            noted["throttles"] += 1
            wait_seconds = min(2 ** (noted["throttles"] - 1), MAX_THROTTLING_WAIT_SECONDS)
        else:
            noted["errors"] += 1
            if noted["errors"] > retries:
                condition = "RetriesExhausted"
                break
            wait_seconds = FUNCTION_ERROR_WAITS_SECONDS[noted["errors"] - 1]
        if time.time() + wait_seconds > give_up_at:
            condition = "EventAgeExceeded"
            break
        observed.ring.add(
            "retry",
            request_id=noted["request_id"],
            function=function["config"]["FunctionName"],
            is_throttled=bool(result.get("throttle")),
            not_before_ms=observed.now_ms() + wait_seconds * 1000,
        )
        time.sleep(wait_seconds)
    return {"condition": condition, "result": {"body": result.get("body")}}


def attempt(function, event, request_id):
    """As MiniStack does it, but for the request ID, which stays the same when an event is tried again."""
    config = function["config"]
    slot, _ = lambda_svc._acquire_execution_slot(function, config)
    if slot is None:
        return {"error": True, "throttle": True}
    try:
        return lambda_svc._execute_function_dispatch(function, config, event, request_id, time.time())
    finally:
        lambda_svc._release_execution_slot(slot)


def failure_record(function, event, request_id, condition, invocations, result):
    config = function["config"]
    version = config.get("Version", "$LATEST")
    arn = config["FunctionArn"]
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "version": "1.0",
        "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": request_id,
            "functionArn": arn if arn.count(":") == 7 else f"{arn}:{version}",
            "condition": condition,
            "approximateInvokeCount": invocations,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": version, "functionError": "Unhandled"},
        "responsePayload": result.get("body"),
    }


def record(function, event, destination, body):
    """Sends as the function's execution role, which needs the permission, as on AWS. Returns the message's identifier if
    it is in a queue, and why it is not there."""
    name = function["config"]["FunctionName"]
    target = parse_arn(destination)
    try:
        if target.service == "sqs":
            url = f"{ENDPOINT}/{target.account_id}/{target.resource}"
            sent = client(function, target).send_message(QueueUrl=url, MessageBody=json.dumps(body))
            return sent["MessageId"], None
        elif target.service == "sns":
            client(function, target).publish(TopicArn=destination, Message=json.dumps(body))
        else:
            raise ValueError("only queues and topics are destinations of the local stage")
    except Exception as error:
        # On AWS it would be counted as DestinationDeliveryFailures.
        logger.error("An event of %s failed, and %s did not take its record: %s", name, destination, error)
        return None, str(error)
    return None, None


def client(function, target):
    role = lambda_runtime.execution_credentials(function["config"])
    with session_lock:
        return session().create_client(
            target.service,
            region_name=target.region,
            endpoint_url=ENDPOINT,
            config=CLIENT,
            aws_access_key_id=role["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=role["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=role["AWS_SESSION_TOKEN"],
        )


lambda_svc.invoke_async_with_retry = invoke

# SNS in MiniStack runs functions itself, once, whatever comes of it.
sns._lambda_svc = types.SimpleNamespace(
    _get_func_record_for_ref=lambda_svc._get_func_record_for_ref,
    _execution_record_for_config=lambda_svc._execution_record_for_config,
    _execute_function_with_config_scope=lambda function, event: lambda_svc.invoke_async_with_retry(function, event),
)


# EventBridge in MiniStack does the same, and knows no dead-letter queues.
invoke_target = eventbridge._invoke_target
target_of_event = contextvars.ContextVar("target_of_event", default={})


def invoke_known_target(target, event, rule, view=None):
    token = target_of_event.set({"RULE_ARN": rule.get("Arn", ""), **target})
    try:
        invoke_target(target, event, rule, view)
    finally:
        target_of_event.reset(token)


def dispatch_to_lambda(arn, payload):
    function, config, name = lambda_svc._get_func_record_for_ref(arn)
    if function and config:
        record_of_function = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record_of_function, json.loads(payload))
        return
    target = target_of_event.get()
    queue = target.get("DeadLetterConfig", {}).get("Arn")
    if queue:
        attributes = {
            "ERROR_CODE": "NO_RESOURCE",
            "ERROR_MESSAGE": f"Function not found: {arn}",
            "RETRY_ATTEMPTS": "0",
            "RULE_ARN": target["RULE_ARN"],
            "TARGET_ARN": arn,
        }
        CountedThread(target=send_dead_letter, args=(queue, payload, attributes), daemon=True).start()
    else:
        # On AWS it would be counted as FailedInvocations.
        logger.error("An event is lost, there is no function %s: %s", name, payload)


def send_dead_letter(queue, event, attributes):
    """As the account's root user: the queue's policy, which lets EventBridge do it, is not enforced."""
    target = parse_arn(queue)
    with session_lock:
        sqs = session().create_client(
            "sqs",
            region_name=target.region,
            endpoint_url=ENDPOINT,
            config=CLIENT,
            aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        )
    try:
        sqs.send_message(
            QueueUrl=f"{ENDPOINT}/{target.account_id}/{target.resource}",
            MessageBody=event,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
    except Exception as error:
        # On AWS it would be counted as InvocationsFailedToBeSentToDlq.
        logger.error("An event is lost, %s did not take it: %s: %s", queue, error, event)


eventbridge._invoke_target = invoke_known_target
eventbridge._dispatch_to_lambda = dispatch_to_lambda
