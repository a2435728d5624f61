"""A function that answers with a JSON string of as many bytes as its event says."""
import json
import os
import urllib.request

RUNTIME = f"{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"

while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(response)
    quotes = 2
    answer = json.dumps("x" * (event.get("answer_bytes", quotes) - quotes))
    request = urllib.request.Request(f"{RUNTIME}/{request_id}/response", data=answer.encode())
    urllib.request.urlopen(request).close()
