"""What the other scripts share: making functions of the programs in this folder."""
import io
import json
import pathlib
import sys
import zipfile

import botocore.session

SESSION = botocore.session.get_session()


def client(service):
    return SESSION.create_client(service)


def create_function(name, program, statements=(), timeout_seconds=10):
    """A function whose role allows what the statements say. Returns its ARN."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        bootstrap = pathlib.Path(__file__).with_name(program).read_text()
        archive.writestr("bootstrap", f"#!{sys.executable}\n{bootstrap}")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
    if statements:
        client("iam").put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=document(*statements))
    function = client("lambda").create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Handler="bootstrap",
        Role=role["Role"]["Arn"],
        Timeout=timeout_seconds,
        Code={"ZipFile": code.getvalue()},
    )
    return function["FunctionArn"]


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
