"""Prints, as JSON, the failure records of an event from a topic, of one from `Invoke`, and of two that come at
once to a function that runs once at a time. One more is of a function that may not send it."""
import json

from functions import client, create_function

sqs, sns, functions = client("sqs"), client("sns"), client("lambda")
url = sqs.create_queue(QueueName="failures")["QueueUrl"]
queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue}


def failing_function(name, statements, retries):
    arn = create_function(name, "fails.py", statements)
    functions.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=retries,
        DestinationConfig={"OnFailure": {"Destination": queue}},
    )
    return arn


def next_record():
    messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return json.loads(message["Body"])


failing_function("may-not-send", [], 0)
functions.invoke(FunctionName="may-not-send", InvocationType="Event", Payload="{}")

failing_function("by-hand", [send], 0)
functions.invoke(FunctionName="by-hand", InvocationType="Event", Payload='{"by": "hand"}')
by_hand = next_record()

topic = sns.create_topic(Name="topic")["TopicArn"]
sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=failing_function("of-topic", [send], 2))
sns.publish(TopicArn=topic, Message="hello")
of_topic = next_record()

failing_function("one-at-a-time", [send], 0)
functions.put_function_concurrency(FunctionName="one-at-a-time", ReservedConcurrentExecutions=1)
for _ in range(2):
    functions.invoke(FunctionName="one-at-a-time", InvocationType="Event", Payload='{"seconds": 0.5}')
one_at_a_time = [next_record(), next_record()]

print(json.dumps({"by hand": by_hand, "of topic": of_topic, "one at a time": one_at_a_time}))
