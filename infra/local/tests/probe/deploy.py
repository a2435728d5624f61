"""Deploys bootstrap.py, and for one method fails.py, as functions behind an HTTP API; prints the API's id."""
from functions import client, create_function

apis = client("apigatewayv2")
api = apis.create_api(Name="probe", ProtocolType="HTTP")["ApiId"]
functions = (
    ("probe", "bootstrap.py", ("GET /", "GET /{name+}", "POST /{name+}")),
    ("probe-fails", "fails.py", ("PUT /{name+}",)),
)
for name, program, route_keys in functions:
    integration = apis.create_integration(
        ApiId=api,
        IntegrationType="AWS_PROXY",
        IntegrationUri=create_function(name, program),
        PayloadFormatVersion="2.0",
    )
    for route_key in route_keys:
        apis.create_route(ApiId=api, RouteKey=route_key, Target=f"integrations/{integration['IntegrationId']}")
apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
print(api)
