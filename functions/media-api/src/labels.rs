//! `GET /labels`: which labels there are.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use media::dynamodb::DynamoLabelCounts;
use media::lists::{MAX_LABEL_BYTES, folded};
use media_http::{Label, LabelParameters};
use runtime::http::{HttpError, key_of_cursor, page_response, query};

use crate::query::{LIMIT, at_most};

/// What to list.
#[derive(Debug, PartialEq, Eq)]
struct LabelQuery {
    prefix: String,
    limit: usize,
    after: Option<String>,
}

impl LabelQuery {
    fn parse(request: &ApiGatewayV2httpRequest) -> Result<Self, HttpError> {
        let LabelParameters {
            prefix,
            limit,
            cursor,
        } = query(request)?;
        let prefix = at_most(MAX_LABEL_BYTES, "prefix", prefix)?.unwrap_or_default();
        let limit = LIMIT.of_text("query parameter limit", limit.as_deref())?;
        // The cursor holds the label after which the next page starts, in lower case.
        let of_this_listing = |label: String| {
            let is_label = !label.is_empty() && label.len() <= MAX_LABEL_BYTES;
            (is_label && label.starts_with(&folded(&prefix))).then_some(label)
        };
        let after = key_of_cursor("query parameter cursor", cursor.as_deref(), of_this_listing)?;
        Ok(Self {
            prefix,
            limit,
            after,
        })
    }
}

/// Answers the request.
pub(crate) async fn list(
    labels: &DynamoLabelCounts,
    request: &ApiGatewayV2httpRequest,
) -> Result<ApiGatewayV2httpResponse, HttpError> {
    let query = LabelQuery::parse(request)?;
    let page = labels.list(&query.prefix, query.limit, query.after.as_deref());
    let page = page.await.map_err(HttpError::internal)?;
    let labels = page.labels.into_iter();
    let labels: Vec<Label> = labels
        .map(|counted| Label {
            count: counted.count,
            label: counted.label,
        })
        .collect();
    Ok(page_response(&labels, page.next.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::testing::DynamoDb;
    use serde_json::{Value, json};

    async fn answer(query: &str) -> Result<(Value, Option<String>), String> {
        let dynamodb = DynamoDb::default().table("labels", &["list", "label"]);
        for (label, count) in [("Animal", 7), ("Cat", 2), ("Café", 1), ("Dog", 0)] {
            let item = json!({
                "list": {"S": "labels"},
                "label": {"S": label.to_lowercase()},
                "written": {"S": label},
                "count": {"N": count.to_string()},
            });
            dynamodb.put("labels", &item);
        }
        let labels = DynamoLabelCounts::new(&dynamodb.aws(), "labels".into());
        let mut request = ApiGatewayV2httpRequest::default();
        request.raw_query_string = Some(query.into());
        let response = match list(&labels, &request).await {
            Ok(response) => serde_json::to_value(response).unwrap(),
            Err(HttpError::BadRequest(message)) => return Err(message),
            Err(error) => panic!("{error:?}"),
        };
        let cursor = response["headers"]["next-cursor"].as_str();
        let body = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        Ok((body, cursor.map(String::from)))
    }

    fn of(label: &str, count: u32) -> Value {
        json!({"label": label, "count": count})
    }

    #[tokio::test]
    async fn labels_are_listed_in_order_with_their_counts() {
        let all = json!([of("Animal", 7), of("Café", 1), of("Cat", 2)]);
        assert_eq!(answer("").await, Ok((all, None)));
        let some = json!([of("Café", 1), of("Cat", 2)]);
        assert_eq!(answer("prefix=CA").await, Ok((some, None)));
        assert_eq!(answer("prefix=Dog").await, Ok((json!([]), None)));
        let (first, cursor) = answer("prefix=c&limit=1").await.unwrap();
        assert_eq!(first, json!([of("Café", 1)]));
        let query = format!("prefix=c&limit=1&cursor={}", cursor.unwrap());
        let second = Ok((json!([of("Cat", 2)]), None));
        assert_eq!(answer(&query).await, second);
        let message = answer(&query.replace("prefix=c", "prefix=d"))
            .await
            .unwrap_err();
        assert!(
            message.contains("cursor is not one of this API's"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_with_what_is_allowed() {
        let long = format!("prefix={}", "x".repeat(1025));
        for (query, told) in [
            (
                "label=a",
                "unknown query parameter \"label\": use prefix, limit or cursor",
            ),
            ("prefix=", "prefix is empty"),
            (
                "limit=1001",
                "limit is \"1001\": use a number from 1 to 1000",
            ),
            ("cursor=abc", "cursor is not one of this API's"),
            (long.as_str(), "prefix has 1025 bytes: use 1024 at most"),
        ] {
            let message = answer(query).await.unwrap_err();
            assert!(message.contains(told), "{query}: {message}");
        }
    }
}
