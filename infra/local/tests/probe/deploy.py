"""Deploys bootstrap.py as a function behind an HTTP API, and prints the API's id."""
from functions import client, create_function

apis = client("apigatewayv2")
api = apis.create_api(Name="probe", ProtocolType="HTTP")["ApiId"]
integration = apis.create_integration(
    ApiId=api,
    IntegrationType="AWS_PROXY",
    IntegrationUri=create_function("probe", "bootstrap.py"),
    PayloadFormatVersion="2.0",
)
for route in ("GET /", "GET /{name+}", "POST /{name+}"):
    apis.create_route(
        ApiId=api, RouteKey=route, Target=f"integrations/{integration['IntegrationId']}"
    )
apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
print(api)
