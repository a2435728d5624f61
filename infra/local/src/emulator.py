# Runs MiniStack for as long as standard input stays open; see emulator.rs.
import contextvars
import dataclasses
import functools
import html
import json
import os
import re
import shutil
import signal
import socketserver
import threading
import types
import urllib.parse


def end_with_standard_input():
    while os.read(0, 4096):
        pass
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with_standard_input, daemon=True).start()

# The Runtime API that functions poll answers in two small writes. With Nagle's
# algorithm the second waits for the function's delayed acknowledgement: 40 ms
# on every invocation.
socketserver.StreamRequestHandler.disable_nagle_algorithm = True

from ministack.services import apigateway

# MiniStack does not decode `%25` in the path that functions see. The front door
# has done what API Gateway does to a path, and needs it decoded once.
apigateway.decode_http_api_path = urllib.parse.unquote


# CloudFormation keeps the capitals of a CORS configuration's keys, and the gateway
# looks for them without.
def with_camel_case(answer):
    return lambda cors, origin: answer({key[0].lower() + key[1:]: value for key, value in cors.items()}, origin)


apigateway._cors_response_headers = with_camel_case(apigateway._cors_response_headers)
preflight_response = with_camel_case(apigateway._cors_preflight_response)


# MiniStack answers OPTIONS by 403 if there is no CORS configuration, or if it does not allow the origin. API Gateway
# looks for a route in the first case, and leaves the CORS headers out in the second.
def preflight_response_of_api(cors, origin):
    if not cors:
        return apigateway._http_api_not_found()
    allowed = apigateway._cors_response_headers(cors, origin)
    return preflight_response(cors, origin) if allowed else (204, {}, b"")


apigateway._cors_preflight_response = preflight_response_of_api

# The value of a path variable may hold a line feed, which the dot of MiniStack's pattern does not match.
patterns = types.SimpleNamespace(**vars(re))
patterns.fullmatch = lambda pattern, text: re.fullmatch(pattern, text, re.DOTALL)
apigateway.re = patterns

from ministack import app
from ministack.core import iam_evaluator, responses, router
from ministack.services import lambda_svc, s3
from ministack.services.cloudformation import handlers, provisioners


# A function's error is for its log. API Gateway tells clients only that there is one.
answer_of = lambda_svc.lambda_execute_result_to_api_proxy_response


def answer_for_clients(result):
    if result.get("request_too_large"):
        status, message = 413, "Request Entity Too Large"
    elif result.get("error") and not result.get("throttle"):
        status, message = 500, "Internal Server Error"
    else:
        return answer_of(result)
    headers = {"Content-Type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": f'{{"message":"{message}"}}'}, None


lambda_svc.lambda_execute_result_to_api_proxy_response = answer_for_clients


# `/@connections/` is for WebSocket APIs, which have no stage `$default`. MiniStack takes it out of the paths of HTTP
# APIs as well, unless it stands in the place of a stage.
parse_execute_api_url = app._parse_execute_api_url


def parse_url_of_api(host, path):
    parsed = parse_execute_api_url(host, path)
    if parsed and parsed[1] == "$default" and parsed[2].startswith("/@connections/"):
        return parsed[0], "@connections", parsed[2].removeprefix("/@connections")
    return parsed


app._parse_execute_api_url = parse_url_of_api

# `*` and `?` of a policy match every character, a line feed as well, and a pattern ends where the value does.
compile_pattern = iam_evaluator._fnmatch_compile


@functools.lru_cache(maxsize=4096)
def compile_pattern_for_every_character(pattern, ignore_case):
    compiled = compile_pattern(pattern, ignore_case)
    return re.compile(compiled.pattern.removesuffix("$") + r"\Z", compiled.flags | re.DOTALL)


iam_evaluator._fnmatch_compile = compile_pattern_for_every_character


# MiniStack encodes no keys in the list of versions, and writes control characters into XML that may not hold them.
list_object_versions = s3._list_object_versions


def list_versions_of_encoded_keys(bucket, query_params):
    status, headers, body = list_object_versions(bucket, query_params)
    if status == 200 and s3._qp(query_params, "encoding-type", "") == "url":
        body = re.sub(r"<(Key|Prefix|Delimiter|KeyMarker|NextKeyMarker)>([^<]*)<", encoded_element, body.decode())
        body = body.replace("<IsTruncated>", "<EncodingType>url</EncodingType><IsTruncated>", 1).encode()
    return status, headers, body


def encoded_element(element):
    return f"<{element[1]}>{s3._url_encode(html.unescape(element[2]))}<"


s3._list_object_versions = list_versions_of_encoded_keys


# GetTemplate answers with a `?` in the place of every character beyond ASCII.
get_template = handlers._get_template


def get_template_in_ascii(params):
    status, headers, body = get_template(params)
    return status, headers, re.sub(r"[^\x00-\x7f]", "?", body.decode()).encode()


handlers._ACTION_HANDLERS["GetTemplate"] = get_template_in_ascii


def json_response(status, body):
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode()


# The local Rekognition shows its callers' requests as they came, and asks in
# headers beside the signed ones whether their policies allow an action. Where
# this is called, MiniStack has checked the signature and the session token.
async def authorize(method, path, headers, body, query_params):
    action = headers.get("x-authorize-action", "")
    resource = json.loads(headers.get("x-authorize-resource", '"*"'))
    denied = iam_evaluator.enforce(
        router.extract_access_key_id(headers, query_params),
        action,
        "rekognition",
        router.extract_region(headers, query_params),
        resource_arn=resource,
        service_context=json.loads(headers.get("x-authorize-context", "{}")),
    )
    if denied is None:
        return json_response(200, {})
    if isinstance(denied, iam_evaluator.AuthError):
        return json_response(400, {"__type": denied.code, "message": denied.message})
    if denied.decision == "Deny":
        policy = "a resource-based policy" if denied.resource_policy_arn else "an identity-based policy"
        reason = f"with an explicit deny in {policy}"
    else:
        reason = f"because no identity-based policy allows the {action} action"
    message = f"User: {denied.principal_arn} is not authorized to perform: {action} on resource: {resource} {reason}"
    return json_response(400, {"__type": "AccessDeniedException", "message": message})


app.SERVICE_HANDLERS["rekognition"] = authorize
# Without it MiniStack reads the models of all of AWS's services, for seconds, to
# find out whether the first such request is for one of them.
router.SERVICE_PATTERNS["rekognition"] = {"target_prefixes": ["RekognitionService"], "host_patterns": []}

# Rekognition reads an object as its caller, about whom the bucket's policy has its say.
resource_policy = iam_evaluator._resource_policy
iam_evaluator._resource_policy = lambda service, arn: resource_policy(
    "s3" if service == "rekognition" and arn.startswith("arn:aws:s3:::") else service, arn
)

# A service that assumes a role has no access key here. The local Rekognition and the
# scheduler do it as root and say which service they are, and for whom they do it: MiniStack
# would let root assume the role of any service, and not know the condition keys.
sts = app.SERVICE_HANDLERS["sts"]
request_headers = contextvars.ContextVar("request_headers", default={})
evaluate_trust_policy = iam_evaluator.evaluate_trust_policy


async def assume_role(method, path, headers, body, query_params):
    token = request_headers.set(headers)
    try:
        return await sts(method, path, headers, body, query_params)
    finally:
        request_headers.reset(token)


def evaluate_trust_policy_of_service(trust_policy, caller_arn, context=None):
    headers = request_headers.get()
    service = headers.get("x-local-service-principal")
    if service and context and caller_arn.endswith(":root"):
        document = json.loads(trust_policy) if isinstance(trust_policy, str) else trust_policy
        statements = document.get("Statement", [])
        trust_policy = {
            "Statement": [
                statement
                for statement in ([statements] if isinstance(statements, dict) else statements)
                if iam_evaluator._service_principal_matches(statement.get("Principal"), service)
            ]
        }
        source = {
            "aws:sourceaccount": headers.get("x-amz-source-account"),
            "aws:sourcearn": headers.get("x-amz-source-arn"),
        }
        source = {key: value for key, value in source.items() if value is not None}
        context = dataclasses.replace(context, service_context={**context.service_context, **source})
    return evaluate_trust_policy(trust_policy, caller_arn, context)


app.SERVICE_HANDLERS["sts"] = assume_role
iam_evaluator.evaluate_trust_policy = evaluate_trust_policy_of_service

# The local stage delivers the records of DynamoDB streams itself, see streams/mod.rs.
lambda_svc._poll_dynamodb_streams = lambda: False
mapping_handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
create_mapping = lambda_svc._create_esm
create_mapping_of_stack = mapping_handlers["create"]
update_mapping_of_stack = mapping_handlers["update"]


# MiniStack has one default for queues and streams.
def with_batch_size(properties):
    return {"BatchSize": 100 if ":dynamodb:" in properties.get("EventSourceArn", "") else 10, **properties}


# MiniStack enables what a template disables, and drops a property that the poller warns of.
def complete_mapping(mapping_id, properties):
    mapping = lambda_svc._esms.get(mapping_id)
    mapping["State"] = "Enabled" if mapping["Enabled"] else "Disabled"
    if "TumblingWindowInSeconds" in properties:
        mapping["TumblingWindowInSeconds"] = properties["TumblingWindowInSeconds"]


def create_complete_mapping(properties):
    status, headers, body = create_mapping(with_batch_size(properties))
    if status == 202:
        complete_mapping(json.loads(body)["UUID"], properties)
    return status, headers, body


def create_complete_mapping_of_stack(logical_id, properties, stack_name):
    mapping_id, attributes = create_mapping_of_stack(logical_id, with_batch_size(properties), stack_name)
    complete_mapping(mapping_id, properties)
    return mapping_id, attributes


def update_complete_mapping_of_stack(mapping_id, old_properties, properties, stack_name):
    mapping_id, attributes = update_mapping_of_stack(
        mapping_id, with_batch_size(old_properties), with_batch_size(properties), stack_name
    )
    complete_mapping(mapping_id, properties)
    return mapping_id, attributes


lambda_svc._create_esm = create_complete_mapping
mapping_handlers["create"] = create_complete_mapping_of_stack
mapping_handlers["update"] = update_complete_mapping_of_stack

import asynchronous
import chaos
import debugging
import decisions
import deployed_code
import door
import keeping
import limits
import logs
import queues
import schedules


# MiniStack reads the model of a service from botocore's files at the service's first answer, and answers nobody else
# meanwhile. The first event would meet that for each service that its function calls.
def read_models():
    services = ["s3", "dynamodb"]
    if "AWS_ENDPOINT_URL_REKOGNITION" in os.environ:
        services.append("rekognition")
    for service in services:
        responses._service_model(service)


threading.Thread(target=read_models, daemon=True).start()

if keeping.RESTORED_FROM is not None:
    keeping.restore(keeping.RESTORED_FROM)

app.main()
