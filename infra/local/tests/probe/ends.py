"""A function that ends each invocation as its event says."""
import json
import os
import signal
import time
import urllib.request

RUNTIME = f"{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"

while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(response)
    end = event["end"]
    print(f"one line:\u2028{end}", flush=True)
    if end == "timeout":
        time.sleep(60)
    if end == "exit":
        os._exit(3)
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    kind = "error" if end == "error" else "response"
    answer = json.dumps({"errorType": "Failed", "errorMessage": "as it should"}).encode()
    urllib.request.urlopen(f"{RUNTIME}/{request_id}/{kind}", data=answer).close()
