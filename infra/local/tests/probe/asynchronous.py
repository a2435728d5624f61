"""Prints, as JSON, the failure records of an event from a topic, one from `Invoke`, and one that may not be kept."""
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

print(json.dumps({"by hand": by_hand, "of topic": of_topic}))
