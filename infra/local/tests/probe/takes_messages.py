"""A function of a queue. Each message says where to write down that it came, and what to answer."""
import json
import os
import urllib.request

RUNTIME = f"{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"

while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        records = json.load(response)["Records"]
    messages = [json.loads(record["body"]) for record in records]
    with open(messages[0]["file"], "a") as file:
        file.write(" ".join(message["name"] for message in messages) + "\n")
    answer = messages[0]["answer"].replace("MESSAGE_ID", records[0]["messageId"])
    kind = "error" if answer == "error" else "response"
    urllib.request.urlopen(urllib.request.Request(f"{RUNTIME}/{request_id}/{kind}", data=answer.encode())).close()
