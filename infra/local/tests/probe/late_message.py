"""Prints how many seconds after it was sent a message of the queue `late` came to a function."""
import json
import pathlib
import tempfile
import time

from functions import client, create_function

sqs = client("sqs")
function = create_function("takes-late-messages", "takes_messages.py")
url = sqs.create_queue(QueueName="late", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
client("lambda").create_event_source_mapping(FunctionName=function, EventSourceArn=arn)
file = pathlib.Path(tempfile.mkdtemp()) / "came"
sent = time.monotonic()
sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"name": "one", "answer": "", "file": str(file)}))
while not file.exists():
    time.sleep(0.05)
print(time.monotonic() - sent)
