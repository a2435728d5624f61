"""A function that appends to the file that its event names: when it begins, and when its answer is accepted."""
import json
import os
import urllib.request

RUNTIME = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"

while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(response)
    message = json.loads(event["Records"][0]["Sns"]["Message"])
    with open(message["file"], "a") as file:
        print("begin", message["number"], request_id, file=file, flush=True)
        urllib.request.urlopen(f"{RUNTIME}/{request_id}/response", data=b"null").close()
        print("end", message["number"], request_id, file=file, flush=True)
