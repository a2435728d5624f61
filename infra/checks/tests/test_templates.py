"""Each check of templates and policies finds a fault of its kind, and nothing in the app's own."""
import copy
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import actions
import aws_data
import check
import handlers
import properties
from template import ATTRIBUTES, NAMES, REFERENCES, Template

INFRA = pathlib.Path(__file__).parents[2]
GOLDENS = sorted(INFRA.glob("*/tests/golden/*.yaml"))


def template(resources, name="example.yaml"):
    return Template(name, {"Description": "app, stage dev", "Resources": resources})


class PropertyFaults(unittest.TestCase):
    def resources(self):
        return {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": 60}},
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}},
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": "bucket", "S3Key": "key"},
                    "FunctionName": {"Fn::Sub": "${AWS::StackName}-function"},
                    "LoggingConfig": {"LogFormat": "JSON"},
                    "MemorySize": 256,
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                },
            },
        }

    def faults(self, resource, *path, value):
        planted = copy.deepcopy(self.resources())
        of = planted[resource]["Properties"]
        for step in path[:-1]:
            of = of.setdefault(step, {})
        of[path[-1]] = value
        return properties.check([template(planted)])

    def assert_found(self, faults, text):
        self.assertEqual(len(faults), 1, faults)
        self.assertIn(text, faults[0])

    def test_a_right_template_has_none(self):
        self.assertEqual(properties.check([template(self.resources())]), [])

    def test_what_a_reference_returns_does_not_match_the_pattern(self):
        self.assert_found(self.faults("Function", "Role", value={"Ref": "Role"}), "Role is 'app-dev-Role-")

    def test_an_attribute_of_another_type_does_not_match_the_pattern(self):
        faults = self.faults("Function", "Role", value={"Fn::GetAtt": ["Queue", "Arn"]})
        self.assert_found(faults, "Role is 'arn:aws:sqs:")

    def test_a_value_is_none_of_an_enumeration(self):
        faults = self.faults("Function", "LoggingConfig", "LogFormat", value={"Fn::Sub": "${AWS::Region}"})
        self.assert_found(faults, "LoggingConfig/LogFormat is 'eu-west-1', which is none of")

    def test_a_number_is_out_of_range(self):
        self.assert_found(self.faults("Function", "Timeout", value=0), "Timeout is 0, beyond 1..")

    def test_a_property_is_unknown(self):
        self.assert_found(self.faults("Queue", "Retention", value=60), "Retention is not a property")

    def test_a_property_is_read_only(self):
        self.assert_found(self.faults("Queue", "Arn", value="arn:aws:sqs:eu-west-1:123456789012:q"), "Arn is read-only")

    def test_a_property_is_missing(self):
        resources = self.resources()
        del resources["Function"]["Properties"]["Code"]
        self.assert_found(properties.check([template(resources)]), "Code is missing")

    def test_a_named_resource_would_be_replaced(self):
        other = self.resources()
        other["Function"]["Properties"]["PackageType"] = "Zip"
        faults = properties.check([template(self.resources()), template(other, "other.yaml")])
        self.assert_found(faults, "PackageType is None and Zip. The property is create-only")

    def test_a_resource_with_data_would_be_replaced(self):
        other = self.resources()
        other["Queue"]["Properties"]["FifoQueue"] = True
        faults = properties.check([template(self.resources()), template(other, "other.yaml")])
        self.assert_found(faults, "must not replace it: the resource holds data")

    def test_an_unknown_type_is_named(self):
        with self.assertRaisesRegex(aws_data.Unknown, "AWS::SQS::Kew"):
            properties.check([template({"Queue": {"Type": "AWS::SQS::Kew"}})])


    def test_nothing_is_said_of_what_only_aws_knows(self):
        unknown = {"Type": "AWS::EC2::VPC", "Properties": {}}
        for value in (
            {"Ref": "Network"},
            {"Fn::GetAtt": ["Network", "VpcId"]},
            {"Fn::Sub": "${Network}/role"},
            {"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "Network"}]}]},
        ):
            function = {"Type": "AWS::Lambda::Function", "Properties": {"Code": {}, "Role": value}}
            read = template({"Function": function, "Network": unknown})
            self.assertEqual(properties.check([read]), [], value)


class HandlerFaults(unittest.TestCase):
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "topic"}}

    def faults(self, resource, missing=(), exceptions=()):
        read = template({"Resource": resource})
        kind = resource["Type"]
        allowed = {permission for _, permission in handlers.permissions(kind)} - set(missing)
        policy = {"Statement": [{"Action": sorted(allowed)}]}
        return handlers.check([(read, [policy])], handlers.Exceptions({kind: list(exceptions)}, [read]))

    def test_a_policy_with_every_permission_has_none(self):
        self.assertEqual(self.faults(self.topic), [])

    def test_a_permission_is_missing(self):
        (fault,) = self.faults(self.topic, missing=["sns:SetTopicAttributes"])
        self.assertIn("do not allow sns:SetTopicAttributes", fault)
        self.assertIn("need to update", fault)

    def test_a_permission_of_a_property_that_is_not_set_is_excepted(self):
        missing = ["sns:PutDataProtectionPolicy"]
        exceptions = [{"without": ["DataProtectionPolicy"], "permissions": missing}]
        self.assertEqual(self.faults(self.topic, missing, exceptions), [])
        protected = {"Type": "AWS::SNS::Topic", "Properties": {"DataProtectionPolicy": {}}}
        fault, unused = self.faults(protected, missing, exceptions)
        self.assertIn("sns:PutDataProtectionPolicy", fault)
        self.assertIn("excepts nothing", unused)

    def test_a_stage_that_loses_a_property_needs_its_permission(self):
        missing = ["sns:PutDataProtectionPolicy"]
        exceptions = {"AWS::SNS::Topic": [{"without": ["DataProtectionPolicy"], "permissions": missing}]}
        protected = template({"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DataProtectionPolicy": {}}}})
        plain = template({"Topic": self.topic})
        allowed = [permission for _, permission in handlers.permissions("AWS::SNS::Topic") if permission not in missing]
        policy = {"Statement": [{"Action": allowed}]}
        faults = handlers.check([(plain, [policy])], handlers.Exceptions(exceptions, [plain, protected]))
        self.assertIn("sns:PutDataProtectionPolicy", faults[0])

    def test_a_property_that_another_app_sets_changes_nothing(self):
        missing = ["sns:PutDataProtectionPolicy"]
        exceptions = {"AWS::SNS::Topic": [{"without": ["DataProtectionPolicy"], "permissions": missing}]}
        protected = template({"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DataProtectionPolicy": {}}}})
        protected.app = "another"
        plain = template({"Topic": self.topic})
        allowed = [permission for _, permission in handlers.permissions("AWS::SNS::Topic") if permission not in missing]
        policy = {"Statement": [{"Action": allowed}]}
        faults = handlers.check([(plain, [policy])], handlers.Exceptions(exceptions, [plain, protected]))
        self.assertEqual(faults, [])

    def test_an_exception_excepts_nothing(self):
        (fault,) = self.faults(self.topic, exceptions=[{"reason": "why", "permissions": ["sns:CreateTopic"]}])
        self.assertIn("sns:CreateTopic excepts nothing", fault)

    def test_an_exception_names_no_property(self):
        exceptions = [{"without": ["Policy"], "permissions": ["sns:CreateTopic"]}]
        self.assertIn("has no property Policy", self.faults(self.topic, ["sns:CreateTopic"], exceptions)[0])


class ActionFaults(unittest.TestCase):
    topic = "arn:aws:sns:eu-west-1:123456789012:app-*"

    def faults(self, action, resource, condition=None, exceptions=()):
        statement = {"Sid": "Example", "Effect": "Allow", "Action": action, "Resource": resource}
        if condition:
            statement["Condition"] = condition
        return actions.check([], {"dev": [{"Statement": [statement]}]}, actions.Exceptions(exceptions))

    def test_a_right_statement_has_none(self):
        self.assertEqual(self.faults(["sns:Publish", "sns:Subscribe"], self.topic), [])
        self.assertEqual(self.faults("sns:Unsubscribe", "*"), [])
        self.assertEqual(self.faults("sqs:*", "arn:aws:sqs:eu-west-1:123456789012:queue"), [])

    def test_an_action_does_not_exist(self):
        self.assertIn("has no action sns:Publisch", self.faults("sns:Publisch", "*")[0])
        self.assertIn("has no action sms:Publish", self.faults("sms:Publish", "*")[0])

    def test_an_action_takes_no_resource(self):
        for action in ("sns:Unsubscribe", "sns:GetSubscriptionAttributes"):
            self.assertIn(f"{action} takes no resource", self.faults([action, "sns:Publish"], self.topic)[0])

    def test_an_action_is_scoped_to_another_type(self):
        for action, resource in (("s3:GetObject", "arn:aws:s3:::bucket"), ("s3:ListBucket", "arn:aws:s3:::bucket/*")):
            fault, _ = self.faults(action, resource)
            self.assertIn(f"{action} applies to ", fault)
            self.assertIn(f"not to {resource}", fault)

    def test_no_action_applies_to_a_resource(self):
        faults = self.faults("sns:Publish", [self.topic, "arn:aws:sqs:eu-west-1:123456789012:app-*"])
        self.assertEqual(len(faults), 1)
        self.assertIn("no action of the statement applies to arn:aws:sqs", faults[0])

    def test_an_action_has_no_such_condition_key(self):
        condition = {"ArnLike": {"lambda:FunctionArn": "*"}}
        mapping = "arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:*"
        self.assertEqual(self.faults("lambda:DeleteEventSourceMapping", mapping, condition), [])
        (fault,) = self.faults("lambda:ListTags", mapping, condition)
        self.assertIn("lambda:ListTags has no condition key lambda:FunctionArn", fault)

    def test_a_condition_compares_another_type(self):
        condition = {"Bool": {"iam:PassedToService": "lambda.amazonaws.com"}}
        (fault,) = self.faults("iam:PassRole", "arn:aws:iam::123456789012:role/app-*", condition)
        self.assertIn("is of type String, which Bool does not compare", fault)

    def test_an_exception_excepts_nothing(self):
        exceptions = [{"action": "sns:Publish", "arns": ["arn:aws:sns:*"], "reason": "why"}]
        self.assertIn("excepts nothing", self.faults("sns:Publish", self.topic, exceptions=exceptions)[0])

    def test_policies_of_a_template_are_read(self):
        def statement(resource, action):
            return {"Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}

        read = template(
            {
                "Role": {
                    "Type": "AWS::IAM::Role",
                    "Properties": {
                        "AssumeRolePolicyDocument": {"Statement": [{"Action": "sts:Assume"}]},
                        "Policies": [{"PolicyName": "p", "PolicyDocument": statement("*", "sns:Publisch")}],
                    },
                },
                "Topic": {"Type": "AWS::SNS::Topic"},
                "TopicPolicy": {
                    "Type": "AWS::SNS::TopicPolicy",
                    "Properties": {"PolicyDocument": statement({"Ref": "Topic"}, "sns:Unsubscribe")},
                },
                "Permission": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:Invoke"}},
            }
        )
        faults = "\n".join(actions.check([read], {}, actions.Exceptions([])))
        for action in ("sts:Assume", "sns:Publisch", "sns:Unsubscribe", "lambda:Invoke"):
            self.assertIn(f"{action} ", f"{faults} ".replace("\n", " \n"))


class OwnKnowledge(unittest.TestCase):
    """What the checks and the tool know by heart is in the schemas."""

    def test_names_are_properties(self):
        for kind, name in NAMES.items():
            self.assertIn(name, aws_data.schema(kind)["properties"], kind)

    def test_attributes_are_names_or_read_only_properties(self):
        for kind, name in ATTRIBUTES:
            self.assertIn(name, [NAMES.get(kind), *aws_data.property_paths(kind, "readOnlyProperties")], kind)

    def test_a_reference_without_an_example_of_its_own_returns_the_name(self):
        # CodeDeploy's deployment groups are identified by their application as well, and referred to by their name.
        for kind in NAMES.keys() - REFERENCES.keys():
            identifier = [path.removeprefix("/properties/") for path in aws_data.schema(kind)["primaryIdentifier"]]
            self.assertIn(NAMES[kind], identifier, kind)

    def test_guarded_properties_are_properties(self):
        text = (INFRA / "manifest/src/overrides.rs").read_text(encoding="utf-8")
        rows = re.findall(r'\(\s*"(AWS::\w+::\w+)",\s*&\[([^]]*)\]', text)
        self.assertGreater(len(rows), 15)
        for kind, names in rows:
            known = aws_data.schema(kind)["properties"]
            for name in re.findall(r'"(\w+)"', names):
                self.assertIn(name, known, kind)

    def test_the_tool_asks_before_it_replaces_the_same_types(self):
        text = (INFRA / "deploy/src/change.rs").read_text(encoding="utf-8")
        body = text[text.index("fn endangers_state") :]
        kinds = set(re.findall(r'"(AWS::\w+::\w+)"', body[: body.index("\n    }\n")]))
        self.assertEqual(kinds, set(properties.STATEFUL))


class App(unittest.TestCase):
    def test_the_committed_templates_have_no_fault(self):
        faults, _ = check.templates(GOLDENS)
        self.assertEqual(faults, [])


if __name__ == "__main__":
    unittest.main()
