use std::slice;

use aws_lambda_events::http::HeaderName;
use media::dynamodb::{DynamoLabelCounts, Tables};
use runtime::s3::BucketName;
use runtime::testing::Wire;
use serde_json::{Value, json};

use super::*;
use crate::MediaApi;
use crate::tests::indexed;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// What the answers to a browser are.
struct Answer {
    status: i64,
    headers: Value,
    body: String,
}

async fn asked(
    wire: &Wire,
    route: &str,
    name: &str,
    query: &str,
    accept: &str,
    can_write: bool,
) -> Answer {
    let aws = wire.aws();
    let presigner = async |bucket| Presigner::new(&aws, bucket).await.unwrap();
    let routes = match can_write {
        true => vec!["POST /uploads".into(), "DELETE /{name+}".into()],
        false => vec![],
    };
    let api = MediaApi {
        catalogue: DynamoCatalogue::new(
            &aws,
            Tables {
                media: "media".into(),
                state: "state".into(),
                index: "index".into(),
            },
        ),
        labels: DynamoLabelCounts::new(&aws, "labels".into()),
        gallery: Gallery {
            media: presigner("amzn-s3-demo-media").await,
            thumbnails: presigner("amzn-s3-demo-thumbnails").await,
        },
        writes: Writes {
            bucket: BucketName::new("amzn-s3-demo-media"),
            client: runtime::s3::client(&aws, "amzn-s3-demo-media"),
            routes,
        },
    };
    let mut request = ApiGatewayV2httpRequest::default();
    request.route_key = Some(route.into());
    request.raw_query_string = Some(query.into());
    request.path_parameters.insert("name".into(), name.into());
    let accept_header = HeaderName::from_static("accept");
    request
        .headers
        .insert(accept_header, accept.parse().unwrap());
    let answer = serde_json::to_value(api.handle(request).await).unwrap();
    Answer {
        status: answer["statusCode"].as_i64().unwrap(),
        body: answer["body"].as_str().unwrap_or_default().into(),
        headers: answer["headers"].clone(),
    }
}

async fn list(wire: &Wire, query: &str) -> Answer {
    asked(wire, "GET /", "", query, BROWSER, true).await
}

async fn item(wire: &Wire, name: &str) -> Answer {
    asked(wire, "GET /{name+}", name, "", BROWSER, true).await
}

fn attributes(name: &str, media_type: &str, labels: &[&str]) -> Value {
    let labels: Vec<_> = labels.iter().map(|label| json!({"S": label})).collect();
    json!({"name": {"S": name}, "type": {"S": media_type}, "labels": {"L": labels}})
}

fn page_of(items: &[Value]) -> Wire {
    Wire::new([indexed(), (200, json!({"Items": items}))])
}

#[tokio::test]
async fn a_browser_gets_thumbnails_and_everybody_else_json() {
    let items = [
        attributes("a b.jpg", "image", &["Dog", "Animal"]),
        attributes("clip.mp4", "video", &["Cat"]),
    ];
    let page = list(&page_of(&items), "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(page.headers["vary"], "accept");
    for part in [
        "href=\"/a%20b.jpg\"",
        "alt=\"Photo: Dog, Animal\"",
        "https://amzn-s3-demo-thumbnails.s3.us-east-1.amazonaws.com/a%2520b.jpg/thumbnail?",
        "https://amzn-s3-demo-media.s3.us-east-1.amazonaws.com/clip.mp4?",
        "href=\"/?label=Animal\"",
        "<video",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let json = asked(&page_of(&items), "GET /", "", "", "*/*", true).await;
    assert_eq!(json.headers["content-type"], "application/json");
    assert_eq!(json.headers["vary"], "accept");
    assert!(json.body.starts_with("[{"), "{}", json.body);
}

#[tokio::test]
async fn pages_allow_their_own_script_and_the_two_buckets_alone() {
    let page = list(&page_of(&[]), "").await;
    let policy = page.headers["content-security-policy"].as_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );
    for part in [
        "img-src 'self' data: https://amzn-s3-demo-media.s3.us-east-1.amazonaws.com https://amzn-s3-demo-thumbnails.s3.us-east-1.amazonaws.com;",
        "connect-src 'self' https://amzn-s3-demo-media.s3.us-east-1.amazonaws.com;",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    // Script and style are of the bytes that the policy names, and no element has any of its own.
    for (hash, tag) in [
        (assets::script_hash(), "script"),
        (assets::style_hash(), "style"),
    ] {
        assert!(policy.contains(hash));
        assert_eq!(page.body.matches(&format!("<{tag}>")).count(), 1);
    }
    assert!(!page.body.contains(" style=") && !page.body.contains(" onload="));
}

#[tokio::test]
async fn what_files_are_called_and_labelled_is_text() {
    let hostile = "\"><script>alert(1)</script>.jpg";
    let labels = ["<img src=x onerror=alert(2)>"];
    let one = attributes(hostile, "image", &labels);
    let pages = [
        list(&page_of(slice::from_ref(&one)), "label=%3Cscript%3E").await,
        item(&Wire::new([(200, json!({"Item": one}))]), hostile).await,
        item(&Wire::new([(200, json!({})), (200, json!({}))]), hostile).await,
        list(&Wire::new([]), "startwith=<script>").await,
    ];
    for page in pages {
        assert!(!page.body.contains("<script>alert"), "{}", page.body);
        assert!(!page.body.contains("<img src=x"), "{}", page.body);
    }
}

#[tokio::test]
async fn the_next_page_keeps_the_conditions() {
    let items = [
        attributes("a.jpg", "image", &["Dog"]),
        attributes("b.jpg", "image", &["Dog"]),
    ];
    let page = list(&page_of(&items), "label=Dog&media-type=image&limit=1").await;
    let next = "href=\"/?label=Dog&amp;media-type=image&amp;limit=1&amp;cursor=";
    assert!(page.body.contains(next), "{}", page.body);
    assert!(page.body.contains("rel=\"next\""));
    assert!(
        !list(&page_of(&items), "")
            .await
            .body
            .contains("rel=\"next\"")
    );
}

#[tokio::test]
async fn a_page_is_small() {
    let labels = ["Dog", "Animal", "Pet", "Golden Retriever", "Canine"];
    let items: Vec<_> = (0..24)
        .map(|index| attributes(&format!("holiday/photo-{index:04}.jpg"), "image", &labels))
        .collect();
    let page = list(&page_of(&items), "").await;
    assert!(page.body.len() < 60_000, "{} bytes", page.body.len());
}

#[tokio::test]
async fn an_empty_library_and_an_empty_search_say_so() {
    let page = list(&page_of(&[]), "").await;
    assert!(page.body.contains("The library is empty"));
    let page = list(&page_of(&[]), "label=Zebra").await;
    assert!(page.body.contains("Nothing matches"));
}

#[tokio::test]
async fn a_files_page_shows_it_with_its_labels_or_its_failure() {
    let photo = attributes("a 50%.jpg", "image", &["Dog"]);
    let page = item(&Wire::new([(200, json!({"Item": photo}))]), "a 50%.jpg").await;
    for part in [
        "alt=\"Photo: Dog\"",
        "href=\"/?label=Dog\"",
        "/a%2050%25.jpg?X-Amz-",
        // API Gateway decodes a path twice.
        "data-path=\"/a%2050%2525.jpg\"",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let state = json!({
        "name": {"S": "broken.mp4"},
        "sequencer": {"S": "01"},
        "failure": {"M": {"code": {"S": "Broken"}, "message": {"S": "it is cut off"}}},
    });
    let wire = Wire::new([(200, json!({})), (200, json!({"Item": state}))]);
    let page = item(&wire, "broken.mp4").await;
    assert!(page.body.contains("This file could not be labelled"));
    assert!(page.body.contains("It is cut off."), "{}", page.body);
}

#[tokio::test]
async fn errors_are_pages_too() {
    let page = item(&Wire::new([(200, json!({})), (200, json!({}))]), "a.jpg").await;
    assert_eq!(page.status, 404);
    assert!(
        page.body.contains("Media file (a.jpg) not found."),
        "{}",
        page.body
    );
    let page = list(&Wire::new([]), "cursor=abc").await;
    assert_eq!(page.status, 400);
    assert!(page.body.contains("This address does not work"));
    let denied = json!({"__type": "AccessDeniedException", "Message": "arn:aws:iam::1:role/x"});
    let page = list(&Wire::new([(400, denied.clone()), (400, denied)]), "").await;
    assert_eq!(page.status, 500);
    assert!(!page.body.contains("arn:"), "{}", page.body);
}

#[tokio::test]
async fn a_file_that_is_shown_is_the_bucket_s() {
    let photo = attributes("a.jpg", "image", &[]);
    let wire = Wire::new([(200, json!({"Item": photo}))]);
    let answer = asked(
        &wire,
        "GET /{name+}",
        "a.jpg",
        "",
        "image/avif,image/*,*/*;q=0.8",
        true,
    )
    .await;
    assert_eq!(answer.status, 307);
    let location = answer.headers["location"].as_str().unwrap();
    let url = "https://amzn-s3-demo-media.s3.us-east-1.amazonaws.com/a.jpg?";
    assert!(location.starts_with(url), "{location}");
}

#[tokio::test]
async fn nobody_is_offered_what_the_stage_has_no_route_for() {
    let photo = attributes("a.jpg", "image", &[]);
    let wire = page_of(slice::from_ref(&photo));
    let page = asked(&wire, "GET /", "", "", BROWSER, false).await;
    assert!(!page.body.contains("type=\"file\""));
    let wire = Wire::new([(200, json!({"Item": photo}))]);
    let page = asked(&wire, "GET /{name+}", "a.jpg", "", BROWSER, false).await;
    assert!(!page.body.contains("id=\"delete\""));
}
