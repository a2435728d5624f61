"""Lambda's limits on payloads, of which MiniStack has none.

They are those of "Lambda quotas" in Lambda's developer guide. The messages are Lambda's own. An answer may be 100 bytes
longer than the quota says.
"""
import json

from ministack import app
from ministack.core.responses import error_response_json
from ministack.services import lambda_svc

SYNCHRONOUS_BYTES_MAX = 6 * 1024 * 1024
ANSWER_BYTES_MAX = SYNCHRONOUS_BYTES_MAX + 100
EVENT_BYTES_MAX = {"RequestResponse": SYNCHRONOUS_BYTES_MAX, "Event": 1024 * 1024}

handle_request = app.SERVICE_HANDLERS["lambda"]
execute = lambda_svc._execute_function_with_config_scope


async def handle_request_within_limits(method, path, headers, body, query_params):
    if method == "POST" and path.rstrip("/").endswith("/invocations"):
        kind = headers.get("x-amz-invocation-type") or "RequestResponse"
        limit = EVENT_BYTES_MAX.get(kind)
        if limit is not None and len(body) > limit:
            return error_response_json(
                "RequestEntityTooLargeException",
                f"{len(body)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)",
                413,
                {"Type": "User"},
                content_type="application/json",
            )
    return await handle_request(method, path, headers, body, query_params)


def execute_within_limits(function, event):
    # An event that an API has made of a request; those of `Invoke` have passed above.
    if payload_bytes(event) > SYNCHRONOUS_BYTES_MAX:
        return {"error": True, "request_too_large": True, "body": None}
    result = execute(function, event)
    if result.get("error") or payload_bytes(result.get("body")) <= ANSWER_BYTES_MAX:
        return result
    error = {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({ANSWER_BYTES_MAX} bytes).",
    }
    return {**result, "error": True, "body": error}


def payload_bytes(payload):
    if isinstance(payload, bytes):
        return len(payload)
    return len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


app.SERVICE_HANDLERS["lambda"] = handle_request_within_limits
lambda_svc._execute_function_with_config_scope = execute_within_limits
