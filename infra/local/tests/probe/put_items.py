"""Puts 100 items into a table whose stream tells.py is invoked for, and prints the file that it writes."""
import tempfile

from functions import client, create_function

ITEMS = 100

dynamodb = client("dynamodb")
table = dynamodb.create_table(
    TableName="table",
    KeySchema=[{"AttributeName": "number", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "number", "AttributeType": "N"}],
    BillingMode="PAY_PER_REQUEST",
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
)
client("lambda").create_event_source_mapping(
    EventSourceArn=table["TableDescription"]["LatestStreamArn"],
    FunctionName=create_function("tells", "tells.py"),
    StartingPosition="TRIM_HORIZON",
    BatchSize=5,
)
file = tempfile.mkstemp()[1]
for number in range(ITEMS):
    item = {"number": {"N": str(number)}, "file": {"S": file}}
    dynamodb.put_item(TableName="table", Item=item)
print(file)
