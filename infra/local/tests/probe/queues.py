"""Prints, as JSON, the batches in which messages of queues came to a function, and which ended in the failure queue."""
import json
import pathlib
import tempfile
import time

from functions import client, create_function

sqs, functions = client("sqs"), client("lambda")
function = create_function("takes-messages", "takes_messages.py")
folder = pathlib.Path(tempfile.mkdtemp())
DONE, FAILED = '{"batchItemFailures": []}', '{"batchItemFailures": [{"itemIdentifier": "MESSAGE_ID"}]}'


def create_queue(name, **attributes):
    name += ".fifo" if "FifoQueue" in attributes else ""
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


class Queue:
    """A queue whose messages the function takes, and its failure queue."""

    def __init__(self, name, attributes=None, **mapping):
        attributes = attributes or {}
        self.file = folder / name
        self.file.touch()
        self.failures, failures = create_queue(f"{name}-failures", **attributes)
        redrive = json.dumps({"deadLetterTargetArn": failures, "maxReceiveCount": 2})
        self.url, arn = create_queue(name, **attributes, RedrivePolicy=redrive, VisibilityTimeout="60")
        self.arn = arn
        functions.create_event_source_mapping(
            FunctionName=function,
            EventSourceArn=arn,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            **mapping,
        )

    def send(self, *messages, **properties):
        entries = [
            {"Id": name, "MessageBody": json.dumps({"name": name, "answer": answer, "file": str(self.file)}), **more}
            for name, answer, more in messages
        ]
        sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    def outcome(self):
        """When nothing is left."""
        while any(map(int, self.depth().values())):
            time.sleep(0.1)
        failed = []
        while messages := sqs.receive_message(
            QueueUrl=self.failures, MaxNumberOfMessages=10, AttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                assert message["Attributes"]["DeadLetterQueueSourceArn"] == self.arn
                failed.append(json.loads(message["Body"])["name"])
                sqs.delete_message(QueueUrl=self.failures, ReceiptHandle=message["ReceiptHandle"])
        return {"came": self.file.read_text().splitlines(), "failed": sorted(failed)}

    def depth(self):
        names = ["", "NotVisible", "Delayed"]
        names = [f"ApproximateNumberOfMessages{name}" for name in names]
        return sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]


fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
groups = Queue("groups", fifo, BatchSize=1)
x, y = {"MessageGroupId": "x"}, {"MessageGroupId": "y"}
groups.send(("x1", FAILED, x), ("x2", DONE, x), ("y1", DONE, y))

answers = {
    "all done": DONE,
    "no list": "{}",
    "nothing": "null",
    "failed": FAILED,
    "of no message": '{"batchItemFailures": [{"itemIdentifier": "other"}]}',
    "without a name": '{"batchItemFailures": [{"itemIdentifier": ""}]}',
    "no failure": '{"batchItemFailures": [null]}',
    "no answer": '"hello"',
    "error": "error",
}
single = Queue("single", BatchSize=1)
single.send(*((name.replace(" ", "-"), answer, {}) for name, answer in answers.items()))

filling = Queue("filling", BatchSize=100, MaximumBatchingWindowInSeconds=1)
for numbers in (range(10), range(10, 12)):
    filling.send(*((str(number), DONE, {}) for number in numbers))

delayed = Queue("delayed", BatchSize=1)
delayed.send(("late", DONE, {"DelaySeconds": 2}), ("soon", DONE, {}))

outcomes = {"groups": groups.outcome(), "single": single.outcome(), "filling": filling.outcome()}
outcomes["single"]["came"].sort()
print(json.dumps({**outcomes, "delayed": delayed.outcome()}))
