"""Sends 100 messages by a topic to tells.py, and prints the file that it writes."""
import json
import tempfile

from functions import client, create_function

MESSAGES = 100

sns = client("sns")
topic = sns.create_topic(Name="topic")["TopicArn"]
sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=create_function("tells", "tells.py"))
file = tempfile.mkstemp()[1]
for number in range(MESSAGES):
    sns.publish(TopicArn=topic, Message=json.dumps({"file": file, "number": number}))
print(file)
