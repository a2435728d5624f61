"""Ends invocations in every way, and prints what the log says of each, with N for every figure that is not zero."""
import base64
import json
import re

from functions import client, create_function

create_function("ends", "ends.py", timeout_seconds=1)
create_function("breaks", "breaks.py")
functions, logs = client("lambda"), client("logs")


def log_of(function, end):
    answer = functions.invoke(FunctionName=function, Payload=json.dumps({"end": end}), LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()
    events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    request_id = re.search("RequestId: ([-0-9a-f]+)", tail)[1]
    starts = [at for at, event in enumerate(events) if event["message"].startswith(f"START RequestId: {request_id}")]
    lines = [event["message"] for event in events[starts[0] :]]
    assert lines == tail.split("\n"), (lines, tail)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", tail.replace(request_id, "ID"))
    return re.sub(r"\b(0\.\d*[1-9]\d*|[1-9]\d*(\.\d+)?)\b", "N", text).split("\n")


ends = ["answer", "answer", "error", "timeout", "exit", "kill"]
print(json.dumps([log_of("ends", end) for end in ends] + [log_of("breaks", "start")]))
