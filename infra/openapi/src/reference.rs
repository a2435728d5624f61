//! Parts of a document as Markdown tables, for a page about the API.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::{DescribedOperation, operations};
use crate::schema::properties;

/// No document has such a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPart;

/// A part of a document, as a table:
///
/// | part                  | what                                         |
/// | --------------------- | -------------------------------------------- |
/// | `routes`              | the routes, and what each answers            |
/// | `answers`             | the statuses of answers, and their bodies    |
/// | `parameters of ROUTE` | a route's parameters, in the path or query   |
/// | `body of ROUTE`       | the fields of the body that a route takes    |
/// | `schema NAME`         | the fields of what is answered               |
///
/// # Errors
/// If there is no such part.
pub fn table(document: &Value, part: &str) -> Result<String, UnknownPart> {
    let operation = |route: &str| {
        let mut operations = operations(document).into_iter();
        let found = operations.find(|operation| operation.route == route);
        found.map(|found| found.operation).ok_or(UnknownPart)
    };
    if part == "routes" {
        return Ok(routes(document));
    }
    if part == "answers" {
        return Ok(answers(document));
    }
    if let Some(route) = part.strip_prefix("parameters of ") {
        return Ok(parameters(operation(route)?));
    }
    if let Some(route) = part.strip_prefix("body of ") {
        let body = &operation(route)?["requestBody"];
        return body_schema(body).map(fields).ok_or(UnknownPart);
    }
    let name = part.strip_prefix("schema ").ok_or(UnknownPart)?;
    let schema = document["components"]["schemas"].get(name);
    schema.map(fields).ok_or(UnknownPart)
}

fn routes(document: &Value) -> String {
    let rows = operations(document)
        .into_iter()
        .map(|DescribedOperation { route, operation }| {
            [format!("`{route}`"), text(&operation["summary"])]
        });
    aligned(["request", "answer"], rows)
}

/// Answers that all routes have in common stand once.
fn answers(document: &Value) -> String {
    let operations = operations(document);
    let mut rows: BTreeMap<[String; 3], Vec<String>> = BTreeMap::new();
    for DescribedOperation { route, operation } in &operations {
        for (status, response) in operation["responses"].as_object().into_iter().flatten() {
            let reference = response["$ref"]
                .as_str()
                .and_then(|path| path.strip_prefix('#'));
            let shared = reference.and_then(|path| document.pointer(path));
            let response = shared.unwrap_or(response);
            let body = body_schema(response).map_or_else(String::new, values);
            let answer = [status.clone(), body, text(&response["description"])];
            rows.entry(answer).or_default().push(format!("`{route}`"));
        }
    }
    let rows = rows.into_iter().map(|([status, body, when], routes)| {
        let to = if routes.len() == operations.len() {
            "any".to_owned()
        } else {
            routes.join(", ")
        };
        [status, to, body, when]
    });
    aligned(["status", "answer to", "body", "when"], rows)
}

fn parameters(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let rows = parameters.map(|parameter| {
        let name = format!("`{}`", text(&parameter["name"]));
        let description = text(&parameter["description"]);
        [name, values(&parameter["schema"]), description]
    });
    aligned(["parameter", "value", "what"], rows)
}

fn fields(schema: &Value) -> String {
    let rows = properties(schema).map(|(name, schema, is_required)| {
        let there = if is_required { "always" } else { "optional" };
        [
            format!("`{name}`"),
            there.to_owned(),
            values(schema),
            text(&schema["description"]),
        ]
    });
    aligned(["field", "there", "value", "what"], rows)
}

/// The schema of a body in JSON.
fn body_schema(body: &Value) -> Option<&Value> {
    body["content"]["application/json"].get("schema")
}

/// What values a schema allows, in a few words.
fn values(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        return format!("`{name}`");
    }
    let list = |word: &str| schema[word].as_array().map(Vec::as_slice);
    if let Some(names) = list("enum") {
        let names: Vec<String> = names
            .iter()
            .map(|name| format!("`{}`", text(name)))
            .collect();
        return names.join(" or ");
    }
    if let Some(alternatives) = list("anyOf").or_else(|| list("oneOf")) {
        let alternatives: Vec<String> = alternatives.iter().map(values).collect();
        return alternatives.join(" or ");
    }
    let types = list("type").map_or_else(|| vec![&schema["type"]], |types| types.iter().collect());
    let types: Vec<String> = types.into_iter().map(|one| one_type(one, schema)).collect();
    let mut words = types.join(" or ");
    if let Some(default) = schema.get("default") {
        words += &format!("; default {default}");
    }
    words
}

fn one_type(name: &Value, schema: &Value) -> String {
    match name.as_str().unwrap_or_default() {
        "array" => format!("list of {}", values(&schema["items"])),
        "string" if schema["format"] == "email" => "e-mail address".to_owned(),
        "string" => match (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
            (None | Some(0), None) => "text".to_owned(),
            (Some(1), None) => "text, not empty".to_owned(),
            (Some(min), None) => format!("text of at least {min} characters"),
            (min, Some(max)) => format!("text of {} to {max} characters", min.unwrap_or(0)),
        },
        "integer" => match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            _ => "integer".to_owned(),
        },
        other => other.to_owned(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A table whose columns are as wide as their widest cells.
fn aligned<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let escaped = |row: [String; N]| row.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows.map(escaped))
        .collect();
    let mut widths = [3; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut table = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(widths);
        table += &line(
            cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect(),
        );
        if number == 0 {
            table += &line(widths.map(|width| "-".repeat(width)).to_vec());
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Api, Operation};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Listing {
        /// A page's length | size.
        #[schemars(range(min = 1, max = 9), extend("default" = 5))]
        limit: Option<i64>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Order {
        /// Identifies the order.
        #[schemars(length(min = 1, max = 64))]
        id: String,
        /// The labels.
        #[serde(skip_serializing_if = "Option::is_none")]
        notes: Option<Vec<String>>,
    }

    fn shop() -> Value {
        let list = Operation::new("listOrders", "A page of orders")
            .query::<Listing>()
            .answer(Answer::new::<Vec<Order>>(200, "A page."))
            .bad_request("`limit` is bad");
        Api::new("Shop", "1", "Orders.")
            .route("GET /orders", list)
            .route("GET /openapi.json", Operation::of_document())
            .document()
    }

    #[test]
    fn routes_and_their_parameters_are_shown() {
        assert_eq!(
            table(&shop(), "routes").unwrap(),
            "\
| request             | answer                                      |
| ------------------- | ------------------------------------------- |
| `GET /openapi.json` | This API's description, an OpenAPI document |
| `GET /orders`       | A page of orders                            |
"
        );
        assert_eq!(
            table(&shop(), "parameters of GET /orders").unwrap(),
            "\
| parameter | value             | what                     |
| --------- | ----------------- | ------------------------ |
| `limit`   | 1 to 9; default 5 | A page's length \\| size. |
"
        );
        assert_eq!(
            table(&shop(), "schema Order").unwrap(),
            "\
| field   | there    | value                      | what                  |
| ------- | -------- | -------------------------- | --------------------- |
| `id`    | always   | text of 1 to 64 characters | Identifies the order. |
| `notes` | optional | list of text               | The labels.           |
"
        );
    }

    #[test]
    fn answers_of_all_routes_stand_once() {
        let answers = table(&shop(), "answers").unwrap();
        let rows: Vec<&str> = answers
            .lines()
            .filter(|line| {
                ["| 200", "| 400", "| 429"]
                    .iter()
                    .any(|start| line.starts_with(start))
            })
            .collect();
        let cells = |row: &str| {
            let cells: Vec<String> = row.split('|').map(|cell| cell.trim().to_owned()).collect();
            cells[2..4].join(": ")
        };
        let rows: Vec<String> = rows.into_iter().map(cells).collect();
        assert_eq!(
            rows,
            [
                "`GET /orders`: list of `Order`",
                "`GET /openapi.json`: object",
                "`GET /orders`: `BadRequestError`",
                "any: `GatewayError`",
            ]
        );
    }

    #[test]
    fn an_unknown_part_is_an_error() {
        for part in [
            "",
            "schema Nothing",
            "parameters of GET /nothing",
            "body of GET /orders",
        ] {
            assert_eq!(table(&shop(), part), Err(UnknownPart), "{part}");
        }
    }
}
