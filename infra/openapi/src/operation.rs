//! What a route takes and answers.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::error_body::{ErrorBody, GatewayError};
use crate::schema::{SchemaOf, finished, of_requests, properties, schema_of, without_null};

const JSON: &str = "application/json";
const HTML: &str = "text/html";

/// The names of errors are those that `runtime::http::HttpError` has.
const BAD_REQUEST: (u16, &str) = (400, "BadRequestError");
const NOT_FOUND: (u16, &str) = (404, "NotFoundError");
const INTERNAL: (u16, &str) = (500, "InternalServerError");

/// What API Gateway answers by itself to any request.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
const OF_GATEWAY: [(u16, &str); 6] = [
    (
        401,
        "the stage has an authorizer, and the request no valid token",
    ),
    (
        403,
        "the stage has an authorizer, and it refuses the caller",
    ),
    (
        429,
        "requests come faster than the stage's throttling allows",
    ),
    (
        431,
        "the request line and the header values have more than 10 240 bytes together",
    ),
    (500, "the function failed"),
    (503, "the function did not answer in time"),
];
/// To a request with a body.
const OF_GATEWAY_WITH_BODY: (u16, &str) = (
    413,
    "the request has more than 6 MB, in base64 unless it is text or JSON",
);
/// To a request for a path with parameters.
const OF_GATEWAY_WITH_PATH: (u16, &str) = (400, "the path is malformed");

/// What a route takes and answers, described. All operations describe what API Gateway answers by
/// itself, and the function's answer to a request that it cannot serve.
#[derive(Clone, Debug)]
pub struct Operation {
    id: String,
    summary: String,
    path: Option<SchemaOf>,
    query: Option<SchemaOf>,
    body: Option<Body>,
    answers: BTreeMap<u16, Answer>,
    errors: BTreeMap<u16, (&'static str, String)>,
}

#[derive(Clone, Debug)]
struct Body {
    schema: SchemaOf,
    is_required: bool,
}

/// An answer of the function.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    description: String,
    /// Of its JSON, if it has a body.
    schema: Option<SchemaOf>,
    has_page: bool,
    headers: Vec<Header>,
}

#[derive(Clone, Debug)]
struct Header {
    name: String,
    description: String,
    schema: SchemaOf,
}

impl Answer {
    /// An answer with a JSON body, which is a `T` as serde writes it.
    #[must_use]
    pub fn new<T: JsonSchema>(status: u16, description: &str) -> Self {
        Self {
            schema: Some(schema_of::<T>()),
            ..Self::empty(status, description)
        }
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16, description: &str) -> Self {
        Self {
            status,
            description: description.to_owned(),
            schema: None,
            has_page: false,
            headers: Vec::new(),
        }
    }

    /// The answer is a page if the request's `Accept` prefers HTML.
    #[must_use]
    pub fn or_page(mut self) -> Self {
        self.has_page = true;
        self
    }

    /// A header that the answer may have.
    #[must_use]
    pub fn header<T: JsonSchema>(mut self, name: &str, description: &str) -> Self {
        self.headers.push(Header {
            name: name.to_owned(),
            description: description.to_owned(),
            schema: schema_of::<T>(),
        });
        self
    }
}

impl Operation {
    /// An operation. Generators of clients name a method by `id`, and people read the summary: a
    /// few words for what is answered.
    #[must_use]
    pub fn new(id: &str, summary: &str) -> Self {
        let internal = "the function could not serve the request, and its log says why";
        Self {
            id: id.to_owned(),
            summary: summary.to_owned(),
            path: None,
            query: None,
            body: None,
            answers: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
        .error(INTERNAL, internal)
    }

    /// The operation that answers the API's description.
    #[must_use]
    pub fn of_document() -> Self {
        let document = "This API's description, an OpenAPI document";
        Self::new("getDocument", document)
            .answer(Answer::new::<Map<String, Value>>(200, "The document."))
    }

    /// Parameters in the path: the fields of `T`, by the names that the route has.
    #[must_use]
    pub fn path<T: JsonSchema>(mut self) -> Self {
        self.path = Some(schema_of::<T>());
        self
    }

    /// Parameters in the query string: the fields of `T`.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(schema_of::<T>());
        self
    }

    /// A body that must be there, a `T` as serde reads it.
    #[must_use]
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Body {
            schema: schema_of::<T>(),
            is_required: true,
        });
        self
    }

    /// As [`body`](Self::body), for one that may be left out.
    #[must_use]
    pub fn optional_body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Body {
            schema: schema_of::<T>(),
            is_required: false,
        });
        self
    }

    /// An answer of the function.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answers.insert(answer.status, answer);
        self
    }

    /// The function finds fault with the request.
    #[must_use]
    pub fn bad_request(self, when: &str) -> Self {
        self.error(BAD_REQUEST, when)
    }

    /// What the request is about is not there.
    #[must_use]
    pub fn not_found(self, when: &str) -> Self {
        self.error(NOT_FOUND, when)
    }

    fn error(mut self, (status, code): (u16, &'static str), when: &str) -> Self {
        self.errors.insert(status, (code, when.to_owned()));
        self
    }

    /// The operation as a document has it. What it refers to is added to the components.
    pub(crate) fn described(&self, components: &mut Components) -> Value {
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "responses": self.responses(components),
        });
        let path = self.path.map(|path| parameters(path, "path"));
        let query = self.query.map(|query| parameters(query, "query"));
        if path.is_some() || query.is_some() {
            let parameters = [path, query].into_iter().flatten().flatten();
            operation["parameters"] = parameters.collect();
        }
        if let Some(body) = &self.body {
            let schema = finished(&mut of_requests(), body.schema);
            operation["requestBody"] = json!({
                "required": body.is_required,
                "content": {JSON: {"schema": schema}},
            });
        }
        operation
    }

    fn responses(&self, components: &mut Components) -> Map<String, Value> {
        let mut errors: BTreeMap<u16, Vec<(Value, &str)>> = BTreeMap::new();
        for (status, (code, when)) in &self.errors {
            let schema = components.error(code);
            errors.entry(*status).or_default().push((schema, when));
        }
        let with_body = self.body.is_some().then_some(OF_GATEWAY_WITH_BODY);
        let with_path = self.path.is_some().then_some(OF_GATEWAY_WITH_PATH);
        for (status, when) in OF_GATEWAY.into_iter().chain(with_body).chain(with_path) {
            let schema = components.schema(schema_of::<GatewayError>());
            errors.entry(status).or_default().push((schema, when));
        }
        let mut responses = Map::new();
        for (status, errors) in errors {
            let response = match shared_name(status) {
                Some(name) => components.response(name, error_response(&errors)),
                None => error_response(&errors),
            };
            responses.insert(status.to_string(), response);
        }
        for (status, answer) in &self.answers {
            let mut response = json!({"description": answer.description});
            if let Some(schema) = answer.schema {
                response["content"][JSON] = json!({"schema": components.schema(schema)});
            }
            if answer.has_page {
                response["content"][HTML] = json!({"schema": {"type": "string"}});
            }
            for header in &answer.headers {
                let schema = components.schema(header.schema);
                response["headers"][&header.name] =
                    json!({"description": header.description, "schema": schema});
            }
            responses.insert(status.to_string(), response);
        }
        responses
    }
}

/// The bodies that an answer to an error may have, and when it has them.
fn error_response(errors: &[(Value, &str)]) -> Value {
    let whens: Vec<&str> = errors.iter().map(|(_, when)| *when).collect();
    let schema = match errors {
        [(schema, _)] => schema.clone(),
        several => {
            let schemas: Vec<&Value> = several.iter().map(|(schema, _)| schema).collect();
            json!({"anyOf": schemas})
        }
    };
    json!({"description": whens.join("; or "), "content": {JSON: {"schema": schema}}})
}

/// The name of a response that is the same for all operations that have it.
fn shared_name(status: u16) -> Option<&'static str> {
    match status {
        401 => Some("Unauthorized"),
        403 => Some("Forbidden"),
        413 => Some("ContentTooLarge"),
        429 => Some("TooManyRequests"),
        431 => Some("RequestHeaderFieldsTooLarge"),
        500 => Some("InternalServerError"),
        503 => Some("ServiceUnavailable"),
        _ => None,
    }
}

/// The fields of an object as parameters. A parameter is never null: it is there or not.
fn parameters(object: SchemaOf, place: &str) -> Vec<Value> {
    let object = finished(&mut of_requests(), object);
    let parameters = properties(&object).map(|(name, schema, is_required)| {
        let mut schema = schema.clone();
        without_null(&mut schema);
        let description = schema
            .as_object_mut()
            .and_then(|schema| schema.remove("description"));
        json!({
            "in": place,
            "name": name,
            "required": is_required,
            "description": description.unwrap_or_default(),
            "schema": schema,
        })
    });
    parameters.collect()
}

/// What operations refer to.
#[derive(Debug)]
pub(crate) struct Components {
    generator: SchemaGenerator,
    errors: Map<String, Value>,
    responses: Map<String, Value>,
}

impl Components {
    pub(crate) fn new(generator: SchemaGenerator) -> Self {
        Self {
            generator,
            errors: Map::new(),
            responses: Map::new(),
        }
    }

    fn schema(&mut self, make: SchemaOf) -> Value {
        finished(&mut self.generator, make)
    }

    /// The body of the error of this name.
    fn error(&mut self, code: &str) -> Value {
        let mut body = finished(&mut of_requests(), schema_of::<ErrorBody>());
        body["properties"]["Code"]["const"] = code.into();
        self.errors.insert(code.to_owned(), body);
        json!({"$ref": format!("#/components/schemas/{code}")})
    }

    fn response(&mut self, name: &str, response: Value) -> Value {
        self.responses.insert(name.to_owned(), response);
        json!({"$ref": format!("#/components/responses/{name}")})
    }

    pub(crate) fn described(mut self) -> Value {
        let mut schemas = self.generator.take_definitions(true);
        schemas.extend(self.errors);
        json!({"schemas": schemas, "responses": self.responses})
    }
}
