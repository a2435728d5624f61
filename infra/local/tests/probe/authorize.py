# Prints, as JSON, what the emulator answers to the local Rekognition's questions; see emulator.py.
import json

import botocore.session
from botocore.exceptions import ClientError

SESSION = botocore.session.get_session()
ROLE = "arn:aws:iam::000000000000:role/"
SERVICE = "rekognition.amazonaws.com"


def client(service, headers=None, **credentials):
    made = SESSION.create_client(service, **credentials)
    # After the request has been signed.
    made.meta.events.register("before-send", lambda request, **_: request.headers.update(headers or {}))
    return made


def role(name, principal, statements, condition=None):
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition or {}}
    client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust}))
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    client("iam").put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy)


def outcome(operation, **parameters):
    try:
        operation(**parameters)
        return "allowed"
    except ClientError as error:
        return error.response["Error"]["Code"]


def asks(credentials, action, resource="*", context=None):
    headers = {
        "x-authorize-action": action,
        "x-authorize-resource": json.dumps(resource),
        "x-authorize-context": json.dumps(context or {}),
    }
    return outcome(client("rekognition", headers, **credentials).get_label_detection, JobId="job")


def assumes(name, account):
    headers = {"x-local-service-principal": SERVICE, "x-amz-source-account": account}
    return outcome(client("sts", headers).assume_role, RoleArn=ROLE + name, RoleSessionName="service")


publish = {"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}
condition = {"StringEquals": {"aws:SourceAccount": "000000000000"}}
role("publisher", {"Service": SERVICE}, publish, condition)
role("function", {"Service": "lambda.amazonaws.com"}, publish)
pass_role = {
    "Effect": "Allow",
    "Action": "iam:PassRole",
    "Resource": ROLE + "publisher",
    "Condition": {"StringEquals": {"iam:PassedToService": SERVICE}},
}
get = {"Effect": "Allow", "Action": "rekognition:GetLabelDetection", "Resource": "*"}
read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::videos/é*"}
role("caller", {"AWS": "000000000000"}, [get, read, pass_role])
session = client("sts").assume_role(RoleArn=ROLE + "caller", RoleSessionName="caller")["Credentials"]
caller = {
    "aws_access_key_id": session["AccessKeyId"],
    "aws_secret_access_key": session["SecretAccessKey"],
    "aws_session_token": session["SessionToken"],
}
passed = {"iam:PassedToService": SERVICE}

videos = "arn:aws:s3:::videos"
session_of_caller = "arn:aws:sts::000000000000:assumed-role/caller/caller"
client("s3").create_bucket(Bucket="videos")
statements = [
    {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{videos}/é-denied*"},
    {"Effect": "Allow", "Principal": {"AWS": session_of_caller}, "Action": "s3:GetObject", "Resource": f"{videos}/shared*"},
    {"Effect": "Allow", "Principal": {"AWS": ROLE + "function"}, "Action": "s3:GetObject", "Resource": f"{videos}/other*"},
]
policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
client("s3").put_bucket_policy(Bucket="videos", Policy=policy)
print(
    json.dumps(
        {
            "root": asks({}, "rekognition:StartLabelDetection"),
            "granted": asks(caller, "rekognition:GetLabelDetection"),
            "not granted": asks(caller, "rekognition:StartLabelDetection"),
            "object": asks(caller, "s3:GetObject", "arn:aws:s3:::videos/é.mp4"),
            "object with a line feed": asks(caller, "s3:GetObject", f"{videos}/é\n.mp4\n"),
            "another object": asks(caller, "s3:GetObject", "arn:aws:s3:::videos/e.mp4"),
            "object that the bucket denies": asks(caller, "s3:GetObject", f"{videos}/é-denied\n.mp4"),
            "object that the bucket allows": asks(caller, "s3:GetObject", f"{videos}/shared.mp4"),
            "object that the bucket allows another": asks(caller, "s3:GetObject", f"{videos}/other.mp4"),
            "pass": asks(caller, "iam:PassRole", ROLE + "publisher", passed),
            "pass another role": asks(caller, "iam:PassRole", ROLE + "function", passed),
            "pass a role with a line feed behind it": asks(caller, "iam:PassRole", ROLE + "publisher\n", passed),
            "pass to another service": asks(caller, "iam:PassRole", ROLE + "publisher", {"iam:PassedToService": "x"}),
            "wrong secret": asks({**caller, "aws_secret_access_key": "guessed"}, "rekognition:GetLabelDetection"),
            "wrong token": asks({**caller, "aws_session_token": "guessed"}, "rekognition:GetLabelDetection"),
            "unknown key": asks({**caller, "aws_access_key_id": "ASIAUNKNOWN000000000"}, "rekognition:GetLabelDetection"),
            "assume": assumes("publisher", "000000000000"),
            "assume for another account": assumes("publisher", "111111111111"),
            "assume another service's role": assumes("function", "000000000000"),
        }
    )
)
