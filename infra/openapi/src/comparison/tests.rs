use super::*;
use serde_json::json;

/// A document with a route that takes and answers orders.
fn shop() -> Value {
    json!({
        "paths": {
            "/orders": {
                "get": {
                    "parameters": [
                        {"in": "query", "name": "status", "required": false, "schema": {"type": "string", "enum": ["open", "paid"]}},
                        {"in": "query", "name": "limit", "required": false, "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
                    ],
                    "responses": {
                        "200": {
                            "headers": {"Next": {"schema": {"type": "string"}}},
                            "content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}}}},
                        },
                        "500": {"$ref": "#/components/responses/Failed"},
                    },
                },
                "post": {
                    "requestBody": {
                        "required": false,
                        "content": {"application/json": {"schema": {
                            "type": "object",
                            "additionalProperties": false,
                            "properties": {"id": {"type": "string", "maxLength": 64}, "note": {"type": ["string", "null"]}},
                            "required": ["id"],
                        }}},
                    },
                    "responses": {},
                },
            },
        },
        "components": {
            "schemas": {
                "Order": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string"},
                        "status": {"type": "string", "enum": ["open", "paid"]},
                        "before": {"$ref": "#/components/schemas/Order"},
                    },
                    "required": ["id", "status"],
                },
                "Error": {"type": "object", "properties": {"Code": {"const": "Failed"}}, "required": ["Code"]},
                "Other": {"type": "object"},
            },
            "responses": {
                "Failed": {"content": {"application/json": {"schema": {"anyOf": [{"$ref": "#/components/schemas/Error"}]}}}},
            },
        },
    })
}

/// The changes after an edit of the value at a path of the document, as `!` for a breaking one and
/// its text.
fn after(path: &str, edit: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut edited = shop();
    edit(edited.pointer_mut(path).unwrap());
    let changes = changes(&shop(), &edited);
    let mark = |change: &Change| if change.is_compatible { "" } else { "! " };
    let lines = changes
        .iter()
        .map(|change| format!("{}{change}", mark(change)));
    lines.collect()
}

const GET: &str = "/paths/~1orders/get";
const POST: &str = "/paths/~1orders/post";
const BODY: &str = "/paths/~1orders/post/requestBody/content/application~1json/schema";
const ORDER: &str = "/components/schemas/Order";

#[test]
fn words_that_explain_are_no_change() {
    assert_eq!(after(GET, |get| get["summary"] = "Orders".into()), [""; 0]);
}

#[test]
fn routes_come_and_go() {
    let gone = after("/paths/~1orders", |path| {
        path.as_object_mut().unwrap().remove("get");
    });
    assert_eq!(gone, ["! GET /orders is no longer there"]);
    let new = after("/paths", |paths| {
        paths["/labels"] = json!({"get": {"responses": {}}});
    });
    assert_eq!(new, ["GET /labels is new"]);
}

#[test]
fn parameters_come_go_and_change() {
    let limit = format!("{GET}/parameters/1");
    assert_eq!(
        after(&limit, |limit| limit["required"] = true.into()),
        ["! GET /orders: parameter `limit` is now required"]
    );
    assert_eq!(
        after(&limit, |limit| limit["name"] = "max".into()),
        [
            "! GET /orders: parameter `limit` is no longer there",
            "GET /orders: parameter `max` is new"
        ]
    );
    assert_eq!(
        after(&limit, |limit| limit["schema"]["maximum"] = 100.into()),
        ["! GET /orders: parameter `limit` has another maximum: 100, before 1000"]
    );
    assert_eq!(
        after(&limit, |limit| limit["schema"]["minimum"] = 0.into()),
        ["GET /orders: parameter `limit` has another minimum: 0, before 1"]
    );
    assert_eq!(
        after(&limit, |limit| limit["schema"]["type"] = "number".into()),
        ["GET /orders: parameter `limit` may now be number"]
    );
    assert_eq!(
        after(&limit, |limit| limit["schema"]["pattern"] = "^1".into()),
        ["! GET /orders: parameter `limit` has another pattern"]
    );
    let status = format!("{GET}/parameters/0/schema");
    assert_eq!(
        after(&status, |status| status["enum"] = json!(["open", "sent"])),
        [
            "! GET /orders: parameter `status` may no longer be `paid`",
            "GET /orders: parameter `status` may now be `sent`"
        ]
    );
}

#[test]
fn a_body_demands_more_or_less() {
    assert_eq!(
        after(POST, |post| post["requestBody"]["required"] = true.into()),
        ["! POST /orders: body is now required"]
    );
    assert_eq!(
        after(BODY, |body| body["required"] = json!(["id", "note"])),
        ["! POST /orders: body: `note` is now required"]
    );
    assert_eq!(
        after(BODY, |body| body["properties"]["note"]["type"] =
            "string".into()),
        ["! POST /orders: body: `note` may no longer be null"]
    );
    assert_eq!(
        after(BODY, |body| body["properties"]["tip"] = json!({})),
        ["POST /orders: body: `tip` is new"]
    );
    assert_eq!(
        after(BODY, |body| {
            body.as_object_mut().unwrap().remove("additionalProperties");
        }),
        ["POST /orders: body may now have other fields"]
    );
    assert_eq!(
        after(BODY, |body| {
            body["properties"].as_object_mut().unwrap().remove("note");
        }),
        ["! POST /orders: body: `note` is no longer there"]
    );
    let gone = after(POST, |post| {
        post.as_object_mut().unwrap().remove("requestBody");
    });
    assert_eq!(gone, ["! POST /orders: body is no longer taken"]);
}

#[test]
fn an_answer_promises_more_or_less() {
    let field = |edit: fn(&mut Value)| after(ORDER, edit);
    assert_eq!(
        field(|order| {
            order["properties"].as_object_mut().unwrap().remove("id");
        }),
        ["! GET /orders: answer 200: `[].id` is no longer there"]
    );
    assert_eq!(
        field(|order| order["required"] = json!(["id"])),
        ["! GET /orders: answer 200: `[].status` may now be missing"]
    );
    assert_eq!(
        field(|order| order["properties"]["status"]["enum"] = json!(["open", "paid", "sent"])),
        ["! GET /orders: answer 200: `[].status` may now be `sent`"]
    );
    assert_eq!(
        field(|order| order["properties"]["status"]["enum"] = json!(["open"])),
        ["GET /orders: answer 200: `[].status` may no longer be `paid`"]
    );
    assert_eq!(
        field(|order| order["properties"]["id"]["type"] = "integer".into()),
        [
            "! GET /orders: answer 200: `[].id` may now be integer",
            "GET /orders: answer 200: `[].id` may no longer be string",
        ]
    );
    assert_eq!(
        field(|order| order["properties"]["price"] = json!({"type": "integer"})),
        ["GET /orders: answer 200: `[].price` is new"]
    );
    let responses = format!("{GET}/responses");
    assert_eq!(
        after(&responses, |responses| {
            responses.as_object_mut().unwrap().remove("500");
        }),
        ["! GET /orders: answer 500 is no longer there"]
    );
    assert_eq!(
        after(&responses, |responses| responses["200"]["headers"] =
            json!({"Age": {"schema": {}}})),
        [
            "! GET /orders: answer 200: header `Next` is no longer there",
            "GET /orders: answer 200: header `Age` is new"
        ]
    );
}

#[test]
fn what_several_routes_refer_to_is_compared() {
    let failed = "/components/responses/Failed/content/application~1json/schema";
    assert_eq!(
        after(failed, |schema| {
            schema["anyOf"] = json!([{"$ref": "#/components/schemas/Error"}, {"$ref": "#/components/schemas/Other"}]);
        }),
        ["! GET /orders: answer 500 may now be `Other`"]
    );
    let code = "/components/schemas/Error/properties/Code";
    assert_eq!(
        after(code, |code| *code = json!({"type": "string"})),
        [
            "! GET /orders: answer 500: `Code` may now have any value",
            "GET /orders: answer 500: `Code` must now be string",
        ]
    );
}
