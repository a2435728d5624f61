"""A synthesized template, and examples of the values that CloudFormation makes of its intrinsic functions."""
import pathlib
import re

import yaml

import aws_data

ACCOUNT, REGION, PARTITION = "123456789012", "eu-west-1", "aws"
# What CloudFormation makes up for the rest of a name.
SUFFIX = "AbCdEfGhIjKl"
IDENTIFIER = "a1b2c3d4e5"

# What a reference to a resource returns, where that is not its name. AWS documents it on the page of each type, under
# "Return values".
REFERENCES = {
    "AWS::ApiGatewayV2::Api": IDENTIFIER,
    "AWS::ApiGatewayV2::Authorizer": IDENTIFIER,
    "AWS::ApiGatewayV2::Integration": IDENTIFIER,
    # On the default event bus. On another one, the bus's name and a bar stand before it.
    "AWS::Events::Rule": "{name}",
    "AWS::Lambda::Alias": "arn:{partition}:lambda:{region}:{account}:function:{function}:{name}",
    "AWS::Lambda::Version": "arn:{partition}:lambda:{region}:{account}:function:{function}:1",
    "AWS::SNS::Topic": "arn:{partition}:sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "https://sqs.{region}.amazonaws.com/{account}/{name}",
}
ATTRIBUTES = {
    ("AWS::ApiGatewayV2::Api", "ApiEndpoint"): f"https://{IDENTIFIER}.execute-api.{{region}}.amazonaws.com",
    ("AWS::CloudWatch::Alarm", "Arn"): "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}",
    ("AWS::CloudWatch::CompositeAlarm", "Arn"): "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}",
    ("AWS::DynamoDB::Table", "Arn"): "arn:{partition}:dynamodb:{region}:{account}:table/{name}",
    ("AWS::DynamoDB::Table", "StreamArn"): (
        "arn:{partition}:dynamodb:{region}:{account}:table/{name}/stream/2026-01-31T12:00:00.000"
    ),
    ("AWS::Events::EventBus", "Arn"): "arn:{partition}:events:{region}:{account}:event-bus/{name}",
    ("AWS::Events::Rule", "Arn"): "arn:{partition}:events:{region}:{account}:rule/{name}",
    ("AWS::IAM::Role", "Arn"): "arn:{partition}:iam::{account}:role/{name}",
    ("AWS::Lambda::Function", "Arn"): "arn:{partition}:lambda:{region}:{account}:function:{name}",
    ("AWS::Lambda::Version", "Version"): "1",
    ("AWS::Logs::LogGroup", "Arn"): "arn:{partition}:logs:{region}:{account}:log-group:{name}:*",
    ("AWS::S3::Bucket", "Arn"): "arn:{partition}:s3:::{name}",
    ("AWS::Scheduler::Schedule", "Arn"): "arn:{partition}:scheduler:{region}:{account}:schedule/default/{name}",
    ("AWS::SNS::Topic", "TopicArn"): "arn:{partition}:sns:{region}:{account}:{name}",
    ("AWS::SNS::Topic", "TopicName"): "{name}",
    ("AWS::SQS::Queue", "Arn"): "arn:{partition}:sqs:{region}:{account}:{name}",
    ("AWS::SQS::Queue", "QueueName"): "{name}",
    ("AWS::SQS::Queue", "QueueUrl"): "https://sqs.{region}.amazonaws.com/{account}/{name}",
}
# Properties by which a template names a resource.
NAMES = {
    "AWS::ApiGatewayV2::Stage": "StageName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CodeDeploy::Application": "ApplicationName",
    "AWS::CodeDeploy::DeploymentConfig": "DeploymentConfigName",
    "AWS::CodeDeploy::DeploymentGroup": "DeploymentGroupName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Alias": "Name",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
}
PARAMETER = "example-parameter"


class Opaque(str):
    """What only AWS knows, of types that the framework does not generate: nothing can be said of it."""


OPAQUE = Opaque("opaque")


def is_generated(kind):
    """Whether the tables above know a type."""
    return kind in REFERENCES or kind in NAMES or any(kind == of_kind for of_kind, _ in ATTRIBUTES)


class Template:
    def __init__(self, name, document):
        self.name = name
        self.resources = document["Resources"]
        self.parameters = document.get("Parameters", {})
        self.app, _, stage = document.get("Description", "").partition(", stage ")
        self.stack = f"{self.app}-{stage}" if stage else "example-stack"
        self.pseudo_parameters = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": PARTITION,
            "AWS::Region": REGION,
            "AWS::StackName": self.stack,
        }

    @classmethod
    def read(cls, path):
        path = pathlib.Path(path)
        # By libyaml, which is ten times as fast, where PyYAML has it.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return cls(path.name, yaml.load(path.read_text(encoding="utf-8"), loader))

    def of_types(self):
        """Each resource: its logical ID, type, and properties as they stand in the template."""
        for logical_id, resource in self.resources.items():
            yield logical_id, resource["Type"], resource.get("Properties", {})

    def example(self, value):
        """The value with an example in the place of each intrinsic function."""
        if isinstance(value, list):
            return [self.example(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref":
                return self.reference(argument)
            if name == "Fn::GetAtt":
                return self.attribute(*(argument.split(".", 1) if isinstance(argument, str) else argument))
            if name == "Fn::Sub" and isinstance(argument, str):
                return self.substitute(argument)
            if name.startswith("Fn::"):
                return OPAQUE
        return {key: self.example(item) for key, item in value.items()}

    def reference(self, name):
        if name in self.pseudo_parameters:
            return self.pseudo_parameters[name]
        if name in self.parameters:
            return PARAMETER
        kind = self.resources[name]["Type"]
        if not is_generated(kind):
            return OPAQUE
        return self.fill(REFERENCES.get(kind, "{name}"), name)

    def attribute(self, logical_id, name):
        kind = self.resources[logical_id]["Type"]
        form = ATTRIBUTES.get((kind, name))
        if form is None and not is_generated(kind):
            return OPAQUE
        if form is None:
            raise aws_data.Unknown(f"{self.name}: the checks have no example of {kind}'s {name}: add it to template.py")
        return self.fill(form, logical_id)

    def substitute(self, text):
        values = []

        def value(match):
            logical_id, _, attribute = match[1].partition(".")
            values.append(self.attribute(logical_id, attribute) if attribute else self.reference(logical_id))
            return values[-1]

        text = re.sub(r"\$\{([^!}]+)\}", value, text)
        return OPAQUE if any(isinstance(value, Opaque) for value in values) else text

    def fill(self, form, logical_id):
        properties = self.resources[logical_id].get("Properties", {})
        return form.format(
            partition=PARTITION,
            region=REGION,
            account=ACCOUNT,
            name=self.resource_name(logical_id),
            function=self.example(properties["FunctionName"]) if "{function}" in form else "",
        )

    def resource_name(self, logical_id):
        """The name that the template gives a resource, or one as CloudFormation makes up."""
        resource = self.resources[logical_id]
        given = resource.get("Properties", {}).get(NAMES.get(resource["Type"], ""))
        if given is not None:
            return self.example(given)
        made_up = f"{self.stack}-{logical_id}-{SUFFIX}"
        return made_up.lower() if resource["Type"] == "AWS::S3::Bucket" else made_up


def is_set(properties, path):
    """Whether a resource has a property: `Code/S3Bucket`, with `*` for each item of a list."""
    for step in path.split("/"):
        if step == "*":
            properties = properties[0] if isinstance(properties, list) and properties else None
        else:
            properties = properties.get(step) if isinstance(properties, dict) else None
        if properties is None:
            return False
    return True
