use super::*;
use crate::testing::{Shop, complaints, resolve, resources, shop};

#[test]
fn a_url_is_for_signed_requests_unless_it_is_public() {
    let Shop { app, sell, .. } = shop();
    sell.trigger(app.function_url("hook").requests());
    let count = app.function("count");
    count.trigger(app.function_url("open").public().requests());
    let resources = resources(&app, "");
    assert_eq!(
        resources["HookFunctionUrl"],
        json!({
            "Type": "AWS::Lambda::Url",
            "Properties": {
                "AuthType": "AWS_IAM",
                "TargetFunctionArn": {"Ref": "SellFunction"},
            },
        })
    );
    for part in ["Permission", "UrlPermission"] {
        assert!(resources[format!("HookFunctionUrl{part}")].is_null());
    }
    assert_eq!(
        resources["OpenFunctionUrl"]["Properties"]["AuthType"],
        "NONE"
    );
    let function = json!({"Fn::GetAtt": ["CountFunction", "Arn"]});
    assert_eq!(
        resources["OpenFunctionUrlUrlPermission"]["Properties"],
        json!({
            "Action": "lambda:InvokeFunctionUrl",
            "FunctionName": function,
            "FunctionUrlAuthType": "NONE",
            "Principal": "*",
        })
    );
    assert_eq!(
        resources["OpenFunctionUrlPermission"]["Properties"],
        json!({
            "Action": "lambda:InvokeFunction",
            "FunctionName": function,
            "InvokedViaFunctionUrl": true,
            "Principal": "*",
        })
    );
}

#[test]
fn a_canary_is_behind_the_url() {
    let Shop { app, sell, .. } = shop();
    sell.trigger(app.function_url("hook").public().requests());
    let resources = resources(&app, "alarms: true, canary: {percent: 10, minutes: 5}");
    let url = &resources["HookFunctionUrl"];
    assert_eq!(url["Properties"]["Qualifier"], "live");
    assert_eq!(url["DependsOn"], json!(["SellAlias"]));
    let permission = &resources["HookFunctionUrlPermission"]["Properties"];
    assert_eq!(permission["FunctionName"], json!({"Ref": "SellAlias"}));
}

#[test]
fn pages_of_other_origins_may_send_what_the_url_takes() {
    let Shop { app, sell, .. } = shop();
    let cors = || Cors::origins(["https://example.com"]).expose_headers(["next-cursor"]);
    sell.trigger(app.function_url("hook").cors(cors()).requests());
    let count = app.function("count");
    let open = app.function_url("open").public();
    count.trigger(open.cors(Cors::origins(["*"])).requests());
    let resources = resources(&app, "");
    assert_eq!(
        resources["HookFunctionUrl"]["Properties"]["Cors"],
        json!({
            "AllowOrigins": ["https://example.com"],
            "AllowMethods": ["*"],
            "AllowHeaders": [
                "content-type",
                "authorization",
                "x-amz-content-sha256",
                "x-amz-date",
                "x-amz-security-token",
            ],
            "ExposeHeaders": ["next-cursor"],
            "MaxAge": 3600,
        })
    );
    let open = &resources["OpenFunctionUrl"]["Properties"]["Cors"];
    assert_eq!(open["AllowHeaders"], json!(["content-type"]));
}

#[test]
fn a_url_has_one_function_and_a_function_one_url() {
    let Shop { app, sell, .. } = shop();
    let hook = app.function_url("hook");
    let other = app.function_url("other").cors(Cors::origins([]));
    app.function_url("lonely");
    sell.trigger(hook.requests()).trigger(other.requests());
    app.function("count").trigger(hook.requests());
    complaints(&app, "").are(&[
        "function `count` handles requests to function URL `hook`, which has a function",
        "function URL `other` has `Cors` for no origin",
        "function `sell` has two function URLs, but Lambda takes one",
        "function URL `lonely` leads to no function",
    ]);
}

#[test]
fn a_url_with_a_variable_is_an_endpoint() {
    let Shop { app, sell, .. } = shop();
    sell.trigger(app.function_url("hook").variable("HOOK_URL").requests());
    let app = resolve(&app, "");
    let endpoints: Vec<_> = app.endpoints().collect();
    assert_eq!(endpoints[0].noun, "function URL");
    assert_eq!(endpoints[0].url_output, "HookUrl");
    assert_eq!(app.http_apis().count(), 0);
    let output = app.template().to_value()["Outputs"]["HookUrl"]["Value"].clone();
    assert_eq!(
        output,
        json!({"Fn::GetAtt": ["HookFunctionUrl", "FunctionUrl"]})
    );
}
