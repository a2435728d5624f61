"""A function that answers with what it sees: its event, environment and processes.

With the query `list-buckets` it also tries a call that its role does not allow.
"""
import json
import os
import urllib.request

import botocore.exceptions
import botocore.session

RUNTIME = f"{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def list_buckets():
    try:
        botocore.session.get_session().create_client("s3").list_buckets()
        return "allowed"
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(response)
    seen = {
        "event": event,
        "environment": dict(os.environ),
        "function_pid": os.getpid(),
        "emulator_pid": os.getppid(),
    }
    if event.get("rawQueryString") == "list-buckets":
        seen["list_buckets"] = list_buckets()
    result = {"statusCode": 200, "body": json.dumps(seen)}
    request = urllib.request.Request(
        f"{RUNTIME}/{request_id}/response", data=json.dumps(result).encode()
    )
    urllib.request.urlopen(request).close()
