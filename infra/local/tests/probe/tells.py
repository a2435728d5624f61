"""A function that appends to the file that its event names: when it begins with each message of a topic or item of
a table, and when its answer is accepted."""
import json
import os
import urllib.request

RUNTIME = f"{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def message(record):
    if "Sns" in record:
        return json.loads(record["Sns"]["Message"])
    item = record["dynamodb"]["NewImage"]
    return {"file": item["file"]["S"], "number": item["number"]["N"]}


while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(response)
    messages = [message(record) for record in event["Records"]]
    with open(messages[0]["file"], "a") as file:
        for each in messages:
            print("begin", each["number"], request_id, file=file, flush=True)
        urllib.request.urlopen(f"{RUNTIME}/{request_id}/response", data=b"null").close()
        for each in messages:
            print("end", each["number"], request_id, file=file, flush=True)
