use serde_json::Value;

use super::rules::ROUTES_MAX;
use super::*;
use crate::Stage;
use crate::testing::{Shop, complaints, resolve, resources, shop};

#[test]
fn a_described_api_has_its_routes() {
    let app = Manifest::new("shop");
    let api = app.http_api("orders").openapi(|| "{}".to_owned());
    app.http_api("others");
    app.function("order")
        .trigger(api.post("/orders"))
        .trigger(api.get("/orders/{id}"));
    let app = app.resolve(&Stage::with_defaults("dev")).unwrap();
    let described: Vec<_> = app.described_apis().collect();
    assert_eq!(described.len(), 1);
    assert_eq!(
        (described[0].name.as_str(), described[0].document.as_str()),
        ("orders", "{}")
    );
    assert_eq!(described[0].routes, ["POST /orders", "GET /orders/{id}"]);
}

#[test]
fn cors_names_origins_and_headers() {
    let with = |cors: Cors| {
        let Shop {
            app,
            http_api,
            sell,
            ..
        } = shop();
        sell.trigger(http_api.cors(cors).get("/"));
        complaints(&app, "")
    };
    for origins in [
        ["https://example.com", "http://localhost:3000"],
        ["https://*", "http://[::1]:80"],
    ] {
        with(Cors::origins(origins).expose_headers(["next-cursor"])).are(&[]);
    }
    with(Cors::origins(["*"])).are(&[]);
    with(Cors::origins([])).are(&["HTTP API `shop` has `Cors` for no origin"]);
    for origin in [
        "",
        "example.com",
        "https://",
        "https://a.b/",
        "https://*.a.b",
        "null",
    ] {
        with(Cors::origins([origin])).are(&["which is not an origin"]);
    }
    with(Cors::origins(["https://a.b", "*"])).are(&[
        "allows the CORS origin `*`, which is not an origin; write one like `https://example.com`, without a path, or `*` alone",
    ]);
    with(Cors::origins(["*"]).expose_headers(["", "next cursor", "x"])).are(&[
        "exposes ``, which is not a name of a header",
        "exposes `next cursor`",
    ]);
}

#[test]
fn a_route_is_served_once() {
    let shop = shop();
    shop.sell.trigger(shop.http_api.get("/{id}"));
    shop.app
        .function("serve")
        .trigger(shop.http_api.get("/{name}"))
        .trigger(shop.http_api.get("/{name+}"));
    complaints(&shop.app, "").are(&[
        "function `serve` serves `GET /{name}` of HTTP API `shop`, as function `sell` does",
    ]);
}

#[test]
fn routes_have_paths_that_api_gateway_takes() {
    for path in [
        "", "orders", "/a//b", "/a/", "/{a+}/b", "/{}", "/{+}", "/a b", "/{a", "/?x",
    ] {
        let shop = shop();
        shop.sell.trigger(shop.http_api.get(path));
        complaints(&shop.app, "").are(&["which is not a path"]);
    }
}

#[test]
fn an_api_has_a_limited_number_of_routes() {
    let shop = shop();
    for number in 0..=ROUTES_MAX {
        shop.sell.trigger(shop.http_api.get(&format!("/r{number}")));
    }
    complaints(&shop.app, "").are(&["HTTP API `shop` has 301 routes"]);
}

#[test]
fn a_function_answers_before_the_api_gives_up() {
    let shop = shop();
    shop.sell.trigger(shop.http_api.get("/"));
    complaints(&shop.app, "timeout_seconds: 60").are(&["may take 60 s"]);
    shop.sell.timeout_seconds(31);
    complaints(&shop.app, "").are(&["the API answers 503 after 30 s; set `timeout_seconds`"]);
}

#[test]
fn pages_may_call_the_routes_that_there_are() {
    let with = |cors: Cors| {
        let Shop {
            app,
            http_api,
            sell,
            ..
        } = shop();
        let http_api = http_api.cors(cors);
        sell.trigger(http_api.post("/orders"))
            .trigger(http_api.get("/orders/{id}"));
        app.function("also").trigger(http_api.post("/carts"));
        resources(&app, "")["ShopHttpApi"]["Properties"]["CorsConfiguration"].clone()
    };
    assert_eq!(
        with(Cors::origins(["*"])),
        json!({
            "AllowOrigins": ["*"],
            "AllowMethods": ["GET", "POST"],
            "AllowHeaders": ["content-type"],
            "MaxAge": 3600,
        })
    );
    let exposing = with(Cors::origins(["https://a.b"]).expose_headers(["next-cursor"]));
    assert_eq!(exposing["AllowOrigins"], json!(["https://a.b"]));
    assert_eq!(exposing["ExposeHeaders"], json!(["next-cursor"]));
}

/// The resources of an app with two routes on a stage with `settings`.
fn resources_on(settings: &str) -> Value {
    let Shop {
        app,
        http_api,
        sell,
        ..
    } = shop();
    let http_api = http_api.cors(Cors::origins(["*"]));
    sell.trigger(http_api.post("/orders"))
        .trigger(http_api.get("/orders/{id}"));
    resources(&app, settings)
}

#[test]
fn an_api_lets_in_who_may_call_it() {
    let none = resources_on("authorization: {shop: none}");
    assert_eq!(none, resources_on(""));
    assert!(none["ShopHttpApiPostOrdersRoute"]["Properties"]["AuthorizationType"].is_null());

    let iam = resources_on("authorization: {shop: iam}");
    let route = &iam["ShopHttpApiPostOrdersRoute"]["Properties"];
    assert_eq!(route["AuthorizationType"], "AWS_IAM");
    assert!(iam["ShopHttpApiAuthorizer"].is_null());

    let jwt = resources_on(
        "authorization: {shop: {jwt: {issuer: 'https://example.com', audience: [a, b]}}}",
    );
    for route in [
        "ShopHttpApiPostOrdersRoute",
        "ShopHttpApiGetOrdersByIdRoute",
    ] {
        let route = &jwt[route]["Properties"];
        assert_eq!(route["AuthorizationType"], "JWT");
        assert_eq!(
            route["AuthorizerId"],
            json!({"Ref": "ShopHttpApiAuthorizer"})
        );
    }
    let authorizer = &jwt["ShopHttpApiAuthorizer"]["Properties"];
    assert_eq!(
        authorizer["JwtConfiguration"],
        json!({"Issuer": "https://example.com", "Audience": ["a", "b"]})
    );
    let headers = &jwt["ShopHttpApi"]["Properties"]["CorsConfiguration"]["AllowHeaders"];
    assert_eq!(*headers, json!(["content-type", "authorization"]));
}

#[test]
fn an_api_lets_through_what_it_is_to() {
    let resources = resources_on(
        "throttling: {shop: {default: {rate: 10, burst: 20}, 'GET /orders/{id}': {rate: 1, burst: 2}}}",
    );
    let stage = &resources["ShopHttpApiStage"];
    assert_eq!(
        stage["Properties"]["DefaultRouteSettings"],
        json!({"ThrottlingRateLimit": 10, "ThrottlingBurstLimit": 20})
    );
    assert_eq!(
        stage["Properties"]["RouteSettings"],
        json!({"GET /orders/{id}": {"ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 2}})
    );
    assert_eq!(stage["DependsOn"], json!(["ShopHttpApiGetOrdersByIdRoute"]));
}

#[test]
fn apis_with_a_url_to_tell_are_listed_as_declared() {
    let Shop { app, http_api, .. } = shop();
    http_api.variable("SHOP_URL");
    app.http_api("quiet");
    app.http_api("admin").variable("ADMIN_URL");
    let listed: Vec<_> = resolve(&app, "")
        .http_apis()
        .map(|api| (api.name, api.variable, api.url_output))
        .collect();
    let expected = [
        ("shop", "SHOP_URL", "ShopUrl"),
        ("admin", "ADMIN_URL", "AdminUrl"),
    ];
    assert_eq!(
        listed,
        expected.map(|(name, variable, output)| (name.into(), variable.into(), output.into()))
    );
}

#[test]
fn settings_have_values_that_api_gateway_takes() {
    for (settings, parts) in [
        (
            "authorization: {shop: {jwt: {issuer: 'http://a', audience: []}}}",
            &[
                "accepts tokens of `http://a`, which is not an issuer",
                "accepts tokens for 0 audiences; name 1 to 50",
            ][..],
        ),
        (
            "authorization: {shop: {jwt: {issuer: , audience: }}}",
            &[
                "accepts tokens of ``, which is not an issuer",
                "accepts tokens for 0 audiences",
            ],
        ),
        (
            "authorization: {shop: {jwt: {issuer: \"https://a\\0\", audience: [a, ~]}}}",
            &[
                "which is not an issuer",
                "accepts tokens for the audience ``, which is not an audience",
            ],
        ),
        (
            "throttling: {shop: {default: {rate: 0, burst: 1}}}",
            &["lets no request through `default` of HTTP API `shop`"],
        ),
    ] {
        complaints(&shop().app, settings).are(parts);
    }
}

#[test]
fn routes_for_writers_are_where_the_stage_lets_somebody_write() {
    let shop = shop();
    let bucket = shop.bucket.forms_of(&shop.http_api);
    shop.sell
        .trigger(shop.http_api.get("/"))
        .trigger(shop.http_api.post("/orders").for_writers())
        .trigger(shop.http_api.delete("/{id}").for_writers())
        .grant(bucket.allow([crate::kind::BucketAction::PutObject]));
    let seen = |settings: &str| {
        let resources = resources(&shop.app, settings);
        let routes = resources.as_object().unwrap().values();
        let mut routes: Vec<String> = routes
            .filter_map(|resource| {
                resource["Properties"]["RouteKey"]
                    .as_str()
                    .map(String::from)
            })
            .collect();
        routes.sort();
        let variables = &resources["SellFunction"]["Properties"]["Environment"]["Variables"];
        let told = variables["WRITE_ROUTES"].as_str().unwrap().to_owned();
        let cors = &resources["PhotosBucket"]["Properties"]["CorsConfiguration"];
        (routes, told, cors.clone())
    };
    let (routes, told, cors) = seen("");
    assert_eq!((routes, told.as_str()), (vec!["GET /".to_owned()], ""));
    assert_eq!(cors, Value::Null);
    for settings in ["writable: [shop]", "authorization: {shop: iam}"] {
        let (routes, told, cors) = seen(settings);
        assert_eq!(
            routes,
            ["DELETE /{id}", "GET /", "POST /orders"],
            "{settings}"
        );
        assert_eq!(told, "POST /orders, DELETE /{id}");
        let origin = json!({"Fn::GetAtt": ["ShopHttpApi", "ApiEndpoint"]});
        assert_eq!(cors["CorsRules"][0]["AllowedOrigins"], json!([origin]));
        assert_eq!(cors["CorsRules"][0]["AllowedMethods"], json!(["POST"]));
    }
}

#[test]
fn a_writable_api_is_one_with_routes_for_writers() {
    let shop = shop();
    shop.sell.trigger(shop.http_api.post("/orders"));
    complaints(&shop.app, "writable: [shop]").are(&[
        "lets everybody write by HTTP API `shop`, which has no route for writers; remove it, or declare a route with `for_writers()`",
    ]);
    complaints(&shop.app, "writable: [shopp]").are(&["`writable` for HTTP API `shopp`"]);
}
