"""Recorded requests and answers: each kind of fault is found, and what botocore itself sends has none."""
import base64
import copy
import json
import pathlib
import sys
import tempfile
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import botocore.config
import botocore.session
import calls
import check

JSON = "application/x-amz-json-1.1"


def call(service, *, method="POST", path="/", query="", headers=None, body=b"", status=200, answer=None):
    recorded = {
        "service": service,
        "method": method,
        "path": path,
        "query": query,
        "headers": headers or {},
        "body": None if body is None else base64.b64encode(body).decode(),
        "status": status,
    }
    return recorded if answer is None else recorded | {"answer": base64.b64encode(json.dumps(answer).encode()).decode()}


def sent_by_botocore(service, operation, **parameters):
    """What botocore would send, as the emulator records it. Nothing is sent."""
    session = botocore.session.Session()
    session.set_credentials("key", "secret")
    config = botocore.config.Config(s3={"addressing_style": "path"})
    client = session.create_client(
        service, region_name="eu-west-1", endpoint_url="http://127.0.0.1:1", config=config
    )
    sent = []

    def keep(request, **_):
        sent.append(request)
        raise InterruptedError

    client.meta.events.register("before-send", keep)
    try:
        getattr(client, operation)(**parameters)
    except InterruptedError:
        pass
    (request,) = sent
    url = urllib.parse.urlsplit(request.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
    }
    body = request.body.read() if hasattr(request.body, "read") else request.body or b""
    body = body.encode() if isinstance(body, str) else body
    signed_for = headers["authorization"].split("/")[3]
    return call(signed_for, method=request.method, path=url.path, query=url.query, headers=headers, body=body)


def detect_labels(answer, status=200):
    headers = {"content-type": JSON, "x-amz-target": "RekognitionService.DetectLabels"}
    body = json.dumps({"Image": {"S3Object": {"Bucket": "photos", "Name": "a.jpg"}}}).encode()
    return call("rekognition", headers=headers, body=body, status=status, answer=answer)


def faults(*recorded):
    checked = calls.Checked()
    for one in recorded:
        calls.check_request(checked, one)
        if "answer" in one:
            calls.check_answer(checked, one)
    return list(checked.faults())


# One of each protocol, with members in every place that a request has.
SENT = {
    "cloudformation.CreateChangeSet": dict(
        StackName="app-dev",
        ChangeSetName="change",
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": "Key", "ParameterValue": "ü&="}],
        RollbackConfiguration={"RollbackTriggers": [], "MonitoringTimeInMinutes": 0},
        Tags=[{"Key": "app", "Value": "app"}, {"Key": "stage", "Value": "dev"}],
    ),
    "sns.Publish": dict(
        TopicArn="arn:aws:sns:eu-west-1:123456789012:topic",
        Message="message",
        MessageAttributes={"a": {"DataType": "String", "StringValue": "1"}},
    ),
    "dynamodb.PutItem": dict(TableName="table", Item={"id": {"S": "1"}, "raw": {"B": b"\x00"}, "n": {"NULL": True}}),
    "lambda.CreateFunction": dict(FunctionName="f", Role="arn:aws:iam::123456789012:role/r", Code={"ZipFile": b"zip"}),
    "lambda.Invoke": dict(FunctionName="f", InvocationType="Event", Payload=b"{}"),
    "s3.PutBucketNotificationConfiguration": dict(
        Bucket="bucket",
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": "arn:aws:sqs:eu-west-1:123456789012:queue", "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    ),
    "s3.PutBucketTagging": dict(Bucket="bucket", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]}),
    "s3.DeleteObjects": dict(Bucket="bucket", Delete={"Objects": [{"Key": "a/ü.jpg"}], "Quiet": True}),
    "s3.GetObject": dict(Bucket="bucket", Key="a/b c.jpg", Range="bytes=0-1"),
    "s3.ListObjectsV2": dict(Bucket="bucket", Prefix="a/", MaxKeys=10),
    "apigatewayv2.GetApis": dict(MaxResults="10"),
    "sqs.ReceiveMessage": dict(QueueUrl="https://sqs/123456789012/queue", MaxNumberOfMessages=10),
}
METHODS = {
    "CreateChangeSet": "create_change_set",
    "ListObjectsV2": "list_objects_v2",
}


def method(operation):
    return METHODS.get(operation) or "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).lstrip("_")


class RightRequests(unittest.TestCase):
    def test_what_botocore_sends_is_read_as_what_it_was_told(self):
        for name, parameters in SENT.items():
            with self.subTest(name):
                service, _, operation = name.partition(".")
                recorded = sent_by_botocore(service, method(operation), **copy.deepcopy(parameters))
                body = base64.b64decode(recorded["body"])
                model, variables = calls.models.find(recorded, body)
                self.assertEqual(calls.name_of(model), name)
                decoded = calls.wire.request(model, recorded, variables, body)
                self.assertEqual(decoded.unknown, [])
                told = {key: value for key, value in decoded.members.items() if key in parameters}
                self.assertEqual(told, parameters)
                self.assertEqual(faults(recorded), [])


class WrongRequests(unittest.TestCase):
    def dynamodb(self, body, **other):
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.Query"}
        return call("dynamodb", headers=headers, body=json.dumps(body).encode(), **other)

    def assert_fault(self, recorded, *texts):
        found = faults(recorded)
        self.assertEqual(len(found), len(texts), found)
        for fault, text in zip(found, sorted(texts), strict=True):
            self.assertIn(text, fault)

    def test_a_member_is_missing(self):
        self.assert_fault(self.dynamodb({}), "dynamodb.Query: TableName is missing")

    def test_a_member_is_unknown(self):
        self.assert_fault(self.dynamodb({"TableName": "table", "Tabel": 1}), "has Tabel, which the operation")

    def test_a_member_has_another_type(self):
        self.assert_fault(self.dynamodb({"TableName": "table", "Limit": "1"}), "Limit is '1', not of type integer")

    def test_a_number_is_out_of_range(self):
        self.assert_fault(self.dynamodb({"TableName": "table", "Limit": 0}), "Limit is 0, beyond 1..")

    def test_a_text_is_too_long(self):
        self.assert_fault(self.dynamodb({"TableName": "t" * 1025}), "TableName has 1025 characters, beyond 1..1024")

    def test_a_value_is_none_of_an_enumeration(self):
        self.assert_fault(self.dynamodb({"TableName": "table", "Select": "ALL"}), "Select is 'ALL', which is none of")

    def test_a_value_does_not_match_a_pattern(self):
        form = b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=a%20b"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        self.assert_fault(call("sts", headers=headers, body=form), "RoleSessionName is 'a b', which does not match")

    def test_an_operation_does_not_exist(self):
        headers = {"content-type": "application/x-www-form-urlencoded"}
        recorded = call("sns", headers=headers, body=b"Action=Publisch&Version=2010-03-31")
        self.assert_fault(recorded, "sns has no operation 'Publisch'")
        self.assert_fault(call("lambda", method="GET", path="/functions"), "is GET /functions")

    def test_a_query_has_a_parameter_that_the_operation_does_not_know(self):
        recorded = call("s3", method="GET", path="/bucket", query="list-type=2&max=1")
        self.assert_fault(recorded, "s3.ListObjectsV2: the request has max")

    def test_a_body_is_no_xml(self):
        recorded = call("s3", method="PUT", path="/bucket", query="tagging", body=b"{}")
        self.assert_fault(recorded, "the body is not XML")

    def test_a_request_that_was_refused_need_not_be_valid(self):
        self.assertEqual(faults(self.dynamodb({}, status=400)), [])

    def test_the_same_fault_is_told_once(self):
        requests = [self.dynamodb({"TableName": "table", "Limit": -number}) for number in range(1, 4)]
        (fault,) = faults(*requests)
        self.assertIn("(and 2 more like it)", fault)


class Answers(unittest.TestCase):
    def test_a_right_answer_has_none(self):
        label = {"Name": "Cat", "Confidence": 99.5, "Instances": [], "Parents": [{"Name": "Animal"}]}
        self.assertEqual(faults(detect_labels({"Labels": [label], "LabelModelVersion": "3.0"})), [])

    def test_a_number_is_out_of_range(self):
        (fault,) = faults(detect_labels({"Labels": [{"Name": "Cat", "Confidence": 101.0}]}))
        self.assertIn("rekognition.DetectLabels, answer: Labels[0].Confidence is 101.0, beyond 0..100", fault)

    def test_a_member_is_unknown(self):
        (fault,) = faults(detect_labels({"Labels": [{"Label": "Cat"}]}))
        self.assertIn("the answer has Labels.0.Label", fault)

    def test_an_error_is_none_of_the_operation(self):
        self.assertEqual(faults(detect_labels({"__type": "InvalidS3ObjectException"}, status=400)), [])
        (fault,) = faults(detect_labels({"__type": "ResourceNotFoundException"}, status=400))
        self.assertIn("'ResourceNotFoundException' is none of the operation's", fault)


class Recorded(unittest.TestCase):
    def test_a_folder_is_read_and_counted(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("no request was recorded", check.recorded_calls([folder])[0][0])
            refused = detect_labels({"__type": "InvalidParameterException"}, status=400)
            refused["body"] = base64.b64encode(b"{}").decode()
            unavailable = detect_labels({"__type": "ThrottlingException"}, status=400)
            answered = detect_labels({"Labels": []})
            text = "".join(json.dumps(line) + "\n" for line in (answered, answered, unavailable, refused))
            pathlib.Path(folder, "rekognition-1.jsonl").write_text(text + "{", encoding="utf-8")
            found, summary = check.recorded_calls([folder])
            self.assertEqual(found, [])
            self.assertIn("3 requests of 1 operations of 1 services, and 4 answers", summary)
            self.assertIn("1 more were not valid and refused", summary)


if __name__ == "__main__":
    unittest.main()
