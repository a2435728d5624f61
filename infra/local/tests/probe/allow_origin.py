"""Lets pages of one origin call the HTTP API."""
from functions import client

apis = client("apigatewayv2")
for api in apis.get_apis()["Items"]:
    apis.update_api(ApiId=api["ApiId"], CorsConfiguration={"AllowOrigins": ["http://allowed.test"]})
