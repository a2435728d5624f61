"""Prints, as JSON, what comes of invocations with large events and large answers."""
import json

from botocore.exceptions import ClientError

from functions import client, create_function

functions = client("lambda")
create_function("large", "large.py")
MB = 1024 * 1024
ANSWER_BYTES_MAX = 6 * MB + 100


def event_of(size):
    rest = len(json.dumps({"padding": ""}))
    return json.dumps({"padding": "x" * (size - rest)})


def invoke(payload, kind="RequestResponse"):
    try:
        answer = functions.invoke(FunctionName="large", InvocationType=kind, Payload=payload)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return f"{status} {error.response['Error']['Code']}: {error.response['Error']['Message']}"
    body = json.loads(answer["Payload"].read() or "null")
    if "FunctionError" in answer:
        return f"{answer['FunctionError']} {body['errorType']}: {body['errorMessage']}"
    return "accepted" if kind == "Event" else "answered"


def answer_of(size):
    return invoke(json.dumps({"answer_bytes": size}))


print(
    json.dumps(
        {
            "6 MB": invoke(event_of(6 * MB)),
            "more than 6 MB": invoke(event_of(6 * MB + 1)),
            "1 MB, asynchronous": invoke(event_of(MB), "Event"),
            "more than 1 MB, asynchronous": invoke(event_of(MB + 1), "Event"),
            "answer of 6 MB": answer_of(ANSWER_BYTES_MAX),
            "answer of more than 6 MB": answer_of(ANSWER_BYTES_MAX + 1),
        }
    )
)
