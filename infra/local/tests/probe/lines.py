"""Invokes writes.py several times at once, and prints whether the log has all of its lines."""
import collections
import concurrent.futures
import json

from functions import client, create_function

INVOCATIONS = 8
LINES = 1200

create_function("writes", "writes.py", timeout_seconds=30)
functions = client("lambda")


def invoke(_):
    functions.invoke(FunctionName="writes", Payload=json.dumps({"lines": LINES}))


with concurrent.futures.ThreadPoolExecutor(INVOCATIONS) as pool:
    list(pool.map(invoke, range(INVOCATIONS)))
pages = client("logs").get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/writes")
messages = (event["message"].strip() for page in pages for event in page["events"])
lines = collections.Counter(message for message in messages if message.startswith("line"))
print(lines == {f"line {number}": INVOCATIONS for number in range(LINES)})
