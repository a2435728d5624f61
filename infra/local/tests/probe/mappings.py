"""Prints what is listed of event source mappings that the API, a stack and an update of the stack made."""
import json

from functions import client

functions, stacks = client("lambda"), client("cloudformation")
stream = client("dynamodb").create_table(
    TableName="mapped",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
)["TableDescription"]["LatestStreamArn"]
queue_url = client("sqs").create_queue(QueueName="mapped")["QueueUrl"]
queue = client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def listed(mapping):
    mapping = functions.get_event_source_mapping(UUID=mapping)
    return [mapping.get(name) for name in ("State", "BatchSize", "TumblingWindowInSeconds")]


def made_by_api(**properties):
    return listed(functions.create_event_source_mapping(FunctionName="probe", **properties)["UUID"])


def made_by_stack(change, **properties):
    mapping = {"FunctionName": "probe", "EventSourceArn": stream, "StartingPosition": "LATEST", **properties}
    template = {
        "Resources": {"Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping}},
        "Outputs": {"Mapping": {"Value": {"Ref": "Mapping"}}},
    }
    getattr(stacks, f"{change}_stack")(StackName="mapped", TemplateBody=json.dumps(template))
    stacks.get_waiter(f"stack_{change}_complete").wait(StackName="mapped", WaiterConfig={"Delay": 1})
    outputs = stacks.describe_stacks(StackName="mapped")["Stacks"][0]["Outputs"]
    return listed(outputs[0]["OutputValue"])


print(
    json.dumps(
        {
            "queue": made_by_api(EventSourceArn=queue),
            "stream": made_by_api(EventSourceArn=stream, StartingPosition="LATEST"),
            "set": made_by_api(
                EventSourceArn=stream,
                StartingPosition="LATEST",
                Enabled=False,
                BatchSize=7,
                TumblingWindowInSeconds=30,
            ),
            "created": made_by_stack("create", Enabled=False, TumblingWindowInSeconds=30),
            "updated": made_by_stack("update", Enabled=True, TumblingWindowInSeconds=60),
        }
    )
)
