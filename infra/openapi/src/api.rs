//! An API's description.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::operation::{Components, Operation};
use crate::schema::of_answers;

/// An HTTP API, described route by route.
#[derive(Clone, Debug)]
pub struct Api {
    info: Value,
    routes: Vec<(String, Operation)>,
}

impl Api {
    /// An API without a route. The version is the contract's.
    #[must_use]
    pub fn new(title: &str, version: &str, description: &str) -> Self {
        Self {
            info: json!({"title": title, "version": version, "description": description}),
            routes: Vec::new(),
        }
    }

    /// Describes a route, written as API Gateway names it, for example `GET /orders/{id}`.
    #[must_use]
    pub fn route(mut self, route: &str, operation: Operation) -> Self {
        self.routes.push((described(route), operation));
        self
    }

    /// The OpenAPI document. It names no server: clients know where they have it from.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut components = Components::new(of_answers());
        let mut paths = Map::new();
        for (route, operation) in &self.routes {
            let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
            let path = paths.entry(path).or_insert_with(|| json!({}));
            path[method.to_lowercase()] = operation.described(&mut components);
        }
        json!({
            "openapi": "3.1.1",
            "info": self.info,
            "paths": paths,
            "components": components.described(),
        })
    }

    /// The document as text, the same bytes for the same API.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", self.document())
    }
}

/// A route as OpenAPI has it. It does not know that a parameter takes the rest of a path.
fn described(route: &str) -> String {
    route.replace("+}", "}")
}

/// What is wrong with a document that describes an API with these routes, named as API Gateway does.
pub fn faults<'a>(document: &Value, routes: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let served: BTreeSet<String> = routes.into_iter().map(described).collect();
    let operations = operations(document);
    let mut faults = Vec::new();
    for route in &served {
        if !operations.iter().any(|operation| operation.route == *route) {
            faults.push(format!(
                "`{route}` is a route of the API, and the document does not describe it"
            ));
        }
    }
    for DescribedOperation { route, operation } in &operations {
        if !served.contains(route) {
            faults.push(format!(
                "`{route}` is described, and is not a route of the API"
            ));
        }
        let in_route: BTreeSet<&str> = route
            .split('{')
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('}')?.0))
            .collect();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let described: BTreeSet<&str> = parameters
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        for name in in_route.symmetric_difference(&described) {
            faults.push(format!(
                "`{route}` and its description do not both have the path parameter `{name}`"
            ));
        }
    }
    faults
}

/// A route in a document.
pub(crate) struct DescribedOperation<'a> {
    /// As OpenAPI has it, for example `GET /orders/{id}`.
    pub(crate) route: String,
    pub(crate) operation: &'a Value,
}

/// The routes of a document, in its order.
pub(crate) fn operations(document: &Value) -> Vec<DescribedOperation<'_>> {
    const METHODS: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods
            .filter(|(method, _)| METHODS.contains(&method.as_str()))
            .map(move |(method, operation)| DescribedOperation {
                route: format!("{} {path}", method.to_uppercase()),
                operation,
            })
    });
    operations.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Answer;
    use schemars::JsonSchema;
    use serde::Deserialize;

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct OrderPath {
        id: String,
    }

    fn shop() -> Value {
        let order = Operation::new("getOrder", "An order")
            .path::<OrderPath>()
            .answer(Answer::new::<String>(200, "The order.").header::<u32>("Age", "In seconds."))
            .not_found("there is no such order");
        Api::new("Shop", "1", "Orders.")
            .route("GET /orders/{id+}", order)
            .route("GET /openapi.json", Operation::of_document())
            .document()
    }

    #[test]
    fn the_routes_of_an_api_are_those_that_are_described() {
        assert_eq!(
            faults(&shop(), ["GET /orders/{id+}", "GET /openapi.json"]),
            [""; 0]
        );
        let found = faults(&shop(), ["GET /orders/{id}", "POST /orders"]);
        assert_eq!(
            found,
            [
                "`POST /orders` is a route of the API, and the document does not describe it",
                "`GET /openapi.json` is described, and is not a route of the API",
            ]
        );
        let mut renamed = shop();
        renamed["paths"]["/orders/{id}"]["get"]["parameters"][0]["name"] = "key".into();
        let found = faults(&renamed, ["GET /orders/{id+}", "GET /openapi.json"]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("the path parameter `id`"), "{found:?}");
    }

    #[test]
    fn answers_of_the_function_and_of_api_gateway_are_described() {
        let shop = shop();
        let responses = &shop["paths"]["/orders/{id}"]["get"]["responses"];
        let statuses: Vec<&String> = responses.as_object().unwrap().keys().collect();
        assert_eq!(
            statuses,
            [
                "200", "400", "401", "403", "404", "429", "431", "500", "503"
            ]
        );
        assert_eq!(
            responses["200"]["headers"]["Age"]["schema"]["type"],
            "integer"
        );
        let shared = json!({"$ref": "#/components/responses/InternalServerError"});
        assert_eq!(responses["500"], shared);
        let internal = &shop["components"]["responses"]["InternalServerError"];
        let schema = |response: &Value| response["content"]["application/json"]["schema"].clone();
        let named = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        assert_eq!(schema(&responses["400"]), named("GatewayError"));
        assert_eq!(schema(&responses["404"]), named("NotFoundError"));
        let either = [named("InternalServerError"), named("GatewayError")];
        assert_eq!(schema(internal), json!({"anyOf": either}));
        let code = &shop["components"]["schemas"]["NotFoundError"]["properties"]["Code"];
        assert_eq!(code["const"], "NotFoundError");
    }
}
