"""Deploys bootstrap.py as a function behind an HTTP API, and prints the API's id."""
import io
import json
import pathlib
import sys
import zipfile

import botocore.session

session = botocore.session.get_session()
iam, functions, apis = (
    session.create_client(name) for name in ("iam", "lambda", "apigatewayv2")
)

code = io.BytesIO()
with zipfile.ZipFile(code, "w") as archive:
    bootstrap = pathlib.Path(__file__).with_name("bootstrap.py").read_text()
    archive.writestr("bootstrap", f"#!{sys.executable}\n{bootstrap}")

role = iam.create_role(RoleName="probe", AssumeRolePolicyDocument=json.dumps({
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "lambda.amazonaws.com"},
    }],
}))
function = functions.create_function(
    FunctionName="probe",
    Runtime="provided.al2023",
    Handler="bootstrap",
    Role=role["Role"]["Arn"],
    Timeout=10,
    Code={"ZipFile": code.getvalue()},
)
api = apis.create_api(Name="probe", ProtocolType="HTTP")["ApiId"]
integration = apis.create_integration(
    ApiId=api,
    IntegrationType="AWS_PROXY",
    IntegrationUri=function["FunctionArn"],
    PayloadFormatVersion="2.0",
)
for route in ("GET /", "GET /{name+}", "POST /{name+}"):
    apis.create_route(
        ApiId=api, RouteKey=route, Target=f"integrations/{integration['IntegrationId']}"
    )
apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
print(api)
