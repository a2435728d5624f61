//! The HTTP API of the users.
//!
//! | route | body | answer |
//! |---|---|---|
//! | `POST /create` | `{"email"}` | the new user |
//! | `POST /delete` | `{"id"}` | `{"message": "user <id> deleted"}` |
//! | `POST /scan` | `{"limit", "cursor"}`, both optional, or none | a JSON array of users |
//!
//! `GET /openapi.json` answers the API's description. The types of bodies and answers are in
//! [`users_http`], which describes them.
//!
//! A listing comes in pages of `limit` users (100 unless given, at most 1000). When there
//! is more, the header `Next-Cursor` holds the `cursor` of the next page. Follow the header,
//! not the length: see [`users::table::UsersTable::scan`].
//!
//! Errors have the body `{"Code": "…", "Message": "…"}`. A body that cannot be read, up to
//! 64 KB and with no other fields than these, is a bad request.
//!
//! What browsers of other origins need (CORS) is added by HTTP API, by the stack's
//! declaration. It answers their preflight requests by itself.

mod body;

use std::convert::Infallible;
use std::process::ExitCode;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_runtime::Error;
use runtime::http::{HttpError, json_response, json_text_response, page_response, respond};
use runtime::{Aws, Environment, Service};
use users::{User, UserId, UsersTable};
use users_http::Deleted;

use crate::body::{email_to_create, id_to_delete, scan_query};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "users"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = UsersApi {
        table: UsersTable::new(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |request| Ok::<_, Infallible>(function.handle(request).await)).await
}

/// The API's description.
const DOCUMENT: &str = include_str!("../../../openapi/users.json");

/// The function, with what it works on.
#[derive(Debug)]
pub struct UsersApi {
    /// Where users are.
    pub table: UsersTable,
}

impl UsersApi {
    /// Answers one request. Whatever goes wrong is an answer too.
    pub async fn handle(&self, request: ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        let answer = match request.route_key.as_deref() {
            Some("POST /create") => self.create(&request).await,
            Some("POST /delete") => self.delete(&request).await,
            Some("GET /openapi.json") => Ok(json_text_response(200, DOCUMENT)),
            Some("POST /scan") => self.scan(&request).await,
            _ => Err(HttpError::no_handler(&request)),
        };
        respond(&request, answer)
    }

    async fn create(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let email = email_to_create(request)?;
        let user = self.table.create(&email).await;
        let user = user.map_err(HttpError::internal)?;
        Ok(json_response(200, &to_answer(user)))
    }

    async fn delete(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let id = id_to_delete(request)?;
        let was_there = self.table.delete(&id).await;
        if was_there.map_err(HttpError::internal)? {
            let message = format!("user {id} deleted");
            Ok(json_response(200, &Deleted { message }))
        } else {
            Err(HttpError::NotFound(format!("user {id} not found")))
        }
    }

    async fn scan(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let query = scan_query(request)?;
        let page = self.table.scan(query.limit, query.after.as_ref()).await;
        let page = page.map_err(HttpError::internal)?;
        let last = page.next.as_ref().map(UserId::as_str);
        let users: Vec<users_http::User> = page.users.into_iter().map(to_answer).collect();
        Ok(page_response(&users, last))
    }
}

fn to_answer(user: User) -> users_http::User {
    users_http::User {
        is_personal_email: user.is_personal_email,
        email: user.email,
        id: user.id.as_str().to_owned(),
        timestamp_ms: user.timestamp_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use runtime::Environment;
    use runtime::testing::Wire;
    use serde_json::{Value, json};

    const PATHS: [&str; 3] = ["/create", "/delete", "/scan"];

    const CREATE: &str = include_str!("../../../assets/events/users-api.json");

    fn api(wire: &Wire) -> UsersApi {
        let environment = Environment::from_iter([
            ("USERS_TABLE_NAME", "users"),
            ("USERS_KEY_ATTRIBUTE", "id"),
            ("USERS_EMAIL_ATTRIBUTE", "email"),
            ("USERS_TIMESTAMP_ATTRIBUTE", "timestamp"),
            ("USERS_IS_PERSONAL_EMAIL_ATTRIBUTE", "IsPersonalEmail"),
        ]);
        UsersApi {
            table: UsersTable::new(&wire.aws(), &environment).unwrap(),
        }
    }

    fn event(path: &str, body: &str) -> Value {
        let mut event: Value = serde_json::from_str(CREATE).unwrap();
        event["routeKey"] = format!("POST {path}").into();
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        event["body"] = body.into();
        event
    }

    /// What Lambda would send for the answer to this event.
    async fn answer(wire: &Wire, event: &Value) -> Value {
        let request = serde_json::from_value(event.clone()).unwrap();
        serde_json::to_value(api(wire).handle(request).await).unwrap()
    }

    fn body(answer: &Value) -> Value {
        serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_sample_event_creates_a_user() {
        let wire = Wire::new([(200, json!({}))]);
        let answer = answer(&wire, &serde_json::from_str(CREATE).unwrap()).await;
        assert_eq!(answer["statusCode"], 200);
        assert_eq!(
            answer["headers"],
            json!({"content-type": "application/json"})
        );
        let item = &wire.requests()[0].1["Item"];
        let timestamp: u64 = item["timestamp"]["N"].as_str().unwrap().parse().unwrap();
        assert_eq!(
            body(&answer),
            json!({"id": item["id"]["S"], "email": "test@test.com", "timestamp": timestamp})
        );
    }

    #[tokio::test]
    async fn a_user_is_deleted_once() {
        let event = event("/delete", r#"{"id": "4cgl4td0mufwl0wiqrepuba9k9"}"#);
        let gone = json!({"__type": "ConditionalCheckFailedException"});
        let wire = Wire::new([(200, json!({})), (400, gone)]);
        let deleted = answer(&wire, &event).await;
        assert_eq!(deleted["statusCode"], 200);
        assert_eq!(
            deleted["body"],
            r#"{"message":"user 4cgl4td0mufwl0wiqrepuba9k9 deleted"}"#
        );
        let missing = answer(&wire, &event).await;
        assert_eq!(missing["statusCode"], 404);
        assert_eq!(
            missing["body"],
            r#"{"Code":"NotFoundError","Message":"NotFoundError: user 4cgl4td0mufwl0wiqrepuba9k9 not found"}"#
        );
    }

    #[tokio::test]
    async fn pages_are_linked_by_a_header() {
        let wire = Wire::new([
            (
                200,
                json!({"Items": [
                    {"id": {"S": "é"}, "email": {"S": "john@gmail.com"}, "timestamp": {"N": "1"}, "IsPersonalEmail": {"BOOL": true}},
                    {"id": {"S": "ID2"}},
                ]}),
            ),
            (200, json!({"Items": [{"id": {"S": "ID2"}}]})),
        ]);
        let first = answer(&wire, &event("/scan", r#"{"limit": 1}"#)).await;
        assert_eq!(
            body(&first),
            json!([{"id": "é", "email": "john@gmail.com", "timestamp": 1, "IsPersonalEmail": true}])
        );
        let cursor = first["headers"]["next-cursor"].as_str().unwrap();
        let next = json!({"limit": 1, "cursor": cursor}).to_string();
        let second = answer(&wire, &event("/scan", &next)).await;
        assert_eq!(body(&second), json!([{"id": "ID2"}]));
        assert_eq!(second["headers"]["next-cursor"], Value::Null);
        assert_eq!(
            wire.requests()[1].1["ExclusiveStartKey"],
            json!({"id": {"S": "é"}})
        );
    }

    #[tokio::test]
    async fn a_bad_request_calls_nothing() {
        for path in PATHS {
            let wire = Wire::new([]);
            let answer = answer(&wire, &event(path, "hello")).await;
            assert_eq!(answer["statusCode"], 400);
            assert_eq!(body(&answer)["Code"], "BadRequestError");
            assert_eq!(wire.requests(), []);
        }
    }

    #[tokio::test]
    async fn the_description_is_the_one_that_is_kept() {
        let mut event = event("/openapi.json", "");
        event["routeKey"] = "GET /openapi.json".into();
        let answer = answer(&Wire::new([]), &event).await;
        assert_eq!(answer["statusCode"], 200);
        assert_eq!(answer["body"], users_http::document());
    }

    #[tokio::test]
    async fn a_route_that_the_code_lacks_calls_nothing() {
        let wire = Wire::new([]);
        let answer = answer(&wire, &event("/other", "{}")).await;
        assert_eq!(answer["statusCode"], 500);
        assert_eq!(wire.requests(), []);
    }

    #[tokio::test]
    async fn details_of_an_internal_error_stay_inside() {
        for path in PATHS {
            let denied =
                json!({"__type": "AccessDeniedException", "Message": "arn:aws:iam::1:role/x"});
            let body = match path {
                "/create" => r#"{"email": "test@test.com"}"#,
                "/delete" => r#"{"id": "1"}"#,
                _ => "",
            };
            let answer = answer(&Wire::new([(400, denied)]), &event(path, body)).await;
            assert_eq!(answer["statusCode"], 500);
            assert_eq!(
                answer["body"],
                r#"{"Code":"InternalServerError","Message":"InternalServerError: the request could not be served: try again later"}"#
            );
        }
    }

    /// Texts, and texts that are nearly what the API reads.
    fn any_body() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            Just(json!("john@gmail.com")),
            Just(json!(1)),
            Just(json!(null)),
            Just(json!([[], {}])),
        ];
        let name = prop_oneof![
            Just("email".to_owned()),
            Just("id".to_owned()),
            Just("limit".to_owned()),
            Just("cursor".to_owned()),
            any::<String>(),
        ];
        prop_oneof![
            any::<String>(),
            proptest::collection::btree_map(name, value, 0..3)
                .prop_map(|fields| json!(fields).to_string()),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_answered(
            path in proptest::sample::select(PATHS.to_vec()),
            body in any_body(),
            is_base64 in any::<bool>(),
            is_there in any::<bool>(),
        ) {
            let mut event = event(path, &body);
            event["isBase64Encoded"] = is_base64.into();
            let gone = json!({"__type": "ConditionalCheckFailedException"});
            let wire = Wire::new([if is_there || path != "/delete" { (200, json!({})) } else { (400, gone) }]);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let answer = runtime.block_on(answer(&wire, &event));
            let status = answer["statusCode"].as_u64().unwrap();
            prop_assert!([200, 400, 404].contains(&status), "{}", answer);
            prop_assert_eq!(status == 400, wire.requests().is_empty());
        }
    }
}
