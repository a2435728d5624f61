//! A request as API Gateway hands it to a function, in payload format 2.0.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use serde_json::{Map, Value, json};

use super::path;
use crate::trigger_word::Sample;

/// A request of a method, for the path of the text after the colon, with `1` for each parameter.
pub(super) fn request(about: &Sample<'_>, method: &str) -> Value {
    const API_ID: &str = "a1b2c3d4e5";
    let path = super::path_of(about.text);
    let host = format!("{API_ID}.execute-api.{}.amazonaws.com", about.names.region);
    let raw_path = path::pattern(path).replace('*', "1");
    let route_key = format!("{method} {path}");
    let mut request = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": raw_path,
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "host": host,
            "user-agent": "curl/8.5.0",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": about.names.account,
            "apiId": API_ID,
            "domainName": host,
            "domainPrefix": API_ID,
            "http": {
                "method": method,
                "path": raw_path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route_key,
            "stage": "$default",
            "time": "05/Jan/2026:09:30:00 +0000",
            "timeEpoch": 1_767_605_400_000_i64,
        },
        "isBase64Encoded": false,
    });
    let parameters: Map<String, Value> = path::parameters(path)
        .map(|name| (name.to_owned(), json!("1")))
        .collect();
    if !parameters.is_empty() {
        request["pathParameters"] = Value::Object(parameters);
    }
    if method != "GET" {
        request["headers"]["content-type"] = json!("application/json");
        request["body"] = json!("{}");
    }
    request
}
