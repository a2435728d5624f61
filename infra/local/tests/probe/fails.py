"""A function that takes the seconds of its event, then fails, saying at which attempt of the same request."""
import collections
import json
import os
import time
import urllib.request

RUNTIME = f"{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
attempts = collections.Counter()

while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(response)
    attempts[request_id] += 1
    time.sleep(event.get("seconds", 0))
    error = {"errorType": "Failed", "errorMessage": f"{request_id} at attempt {attempts[request_id]}"}
    request = urllib.request.Request(f"{RUNTIME}/{request_id}/error", data=json.dumps(error).encode())
    urllib.request.urlopen(request).close()
