//! What API Gateway does.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::fixture::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn functions_see_what_clients_send() {
    let stage = Stage::start().await;
    let name = |target: &str| {
        let seen = stage.probe(target);
        assert_eq!(
            seen["event"]["rawPath"]
                .as_str()
                .unwrap()
                .trim_start_matches('/'),
            seen["event"]["pathParameters"]["name"]
        );
        seen["event"]["pathParameters"]["name"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (target, expected) in [
        ("/plain.jpg", "plain.jpg"),
        ("/a%20b.jpg", "a b.jpg"),
        ("/a+b.jpg", "a+b.jpg"),
        ("/a%2Bb.jpg", "a+b.jpg"),
        ("/dir/a.jpg", "dir/a.jpg"),
        ("/dir%2Fa.jpg", "dir/a.jpg"),
        ("/dir//a.jpg", "dir//a.jpg"),
        ("/dir/", "dir/"),
        ("/%F0%9F%98%80.jpg", "😀.jpg"),
        ("/100%2525.jpg", "100%.jpg"),
        ("/100%252541.jpg", "100%41.jpg"),
        ("/a%253Fb.jpg", "a?b.jpg"),
        ("/a%23b%3Bc%3D%26d.jpg", "a#b;c=&d.jpg"),
        ("/new%0Aline.jpg", "new\nline.jpg"),
        ("/%0D%0A/%0A", "\r\n/\n"),
        (
            "/a%09b%7F%01%C2%85%E2%80%A8.jpg",
            "a\tb\u{7f}\u{1}\u{85}\u{2028}.jpg",
        ),
        ("/trailing%20", "trailing "),
        ("/@connections/a.jpg", "@connections/a.jpg"),
        ("/%40connections/a/b.jpg", "@connections/a/b.jpg"),
        ("/a/@connections/b.jpg", "a/@connections/b.jpg"),
        ("/café.jpg", "café.jpg"),
        // The route is found as if there were one slash.
        ("//a.jpg", "a.jpg"),
        ("/%2Fa.jpg", "a.jpg"),
    ] {
        assert_eq!(name(target), expected, "{target}");
    }
    assert_eq!(stage.get("/100%25.jpg").0, 400);

    let root = stage.probe("/?label=Dog%20house&startswith=a%2Bb+c&empty=");
    assert_eq!(root["event"]["rawPath"], "/");
    assert_eq!(
        root["event"]["rawQueryString"],
        "label=Dog%20house&startswith=a%2Bb+c&empty="
    );
    let unencoded = stage.probe("/?startswith=café&label=日本");
    assert_eq!(
        unencoded["event"]["queryStringParameters"],
        serde_json::json!({"startswith": "café", "label": "日本"})
    );
    let query = &root["event"]["queryStringParameters"];
    assert_eq!(query["label"], "Dog house");
    assert_eq!(query["startswith"], "a+b c");
    assert_eq!(query["empty"], "");
    assert_eq!(
        stage.probe("/")["event"]["queryStringParameters"],
        Value::Null
    );

    let (status, body) = stage.send(
        "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n",
        b"hello",
    );
    assert_eq!(status, 200);
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["event"]["body"], "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_front_door_refuses_what_api_gateway_refuses() {
    let stage = Stage::start().await;
    let not_found = (404, r#"{"message":"Not Found"}"#.to_owned());
    assert_eq!(
        stage.send("DELETE /x HTTP/1.1\r\nhost: localhost\r\n", b""),
        not_found
    );

    let failed = (500, r#"{"message":"Internal Server Error"}"#.to_owned());
    assert_eq!(
        stage.send("PUT /x HTTP/1.1\r\nhost: localhost\r\n", b""),
        failed
    );

    let foreign = stage.send("GET / HTTP/1.1\r\nhost: evil.example\r\n", b"");
    assert_eq!(foreign.0, 403);
    assert!(
        foreign.1.contains("requests for 127.0.0.1"),
        "{}",
        foreign.1
    );

    // The probe's API has no CORS configuration, and no route for OPTIONS.
    let preflight =
        "OPTIONS /x HTTP/1.1\r\nhost: localhost\r\naccess-control-request-method: GET\r\n";
    assert_eq!(stage.send(preflight, b""), not_found);

    let long = "x".repeat(10_240);
    let too_large = r#"{"message":"Request Header Fields Too Large"}"#.to_owned();
    assert_eq!(stage.get(&format!("/{long}")), (431, too_large.clone()));
    let head = format!("GET /x HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n");
    assert_eq!(stage.send(&head, b""), (431, too_large));
    assert_eq!(stage.get(&format!("/{}", "x".repeat(10_000))).0, 200);

    // A function cannot be invoked with more than 6 MB, nor can it answer more.
    let body = vec![b'x'; 6 * 1024 * 1024];
    let head = "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n";
    let length = |bytes: usize| format!("{head}content-length: {bytes}\r\n");
    assert_eq!(
        stage.send(&length(body.len()), &body),
        (413, r#"{"message":"Request Entity Too Large"}"#.to_owned())
    );
    let almost = &body[..body.len() - 64 * 1024];
    // The probe's answer has the request in it, and its environment.
    assert_eq!(stage.send(&length(almost.len()), almost).0, 200);

    // The answer has the request in it, and each quotation mark is escaped twice.
    let quotes = vec![b'"'; 2 * 1024 * 1024];
    assert_eq!(stage.send(&length(quotes.len()), &quotes), failed);

    let too_much = 11 * 1024 * 1024;
    let head = format!("POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: {too_much}\r\n");
    let refused = stage.send(&head, &vec![b'x'; too_much]);
    assert_eq!(
        refused,
        (413, r#"{"message":"Request Entity Too Large"}"#.to_owned())
    );

    let Stage {
        emulator,
        front_door,
        dir,
        ..
    } = stage;
    emulator.shutdown().await;
    let url = front_door.url();
    let mut stream =
        TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).unwrap();
    write!(
        stream,
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.ends_with(r#"{"message":"Service Unavailable"}"#),
        "{answer}"
    );
    front_door.shutdown().await;
    drop(dir);
}

/// "Configure CORS for HTTP APIs in API Gateway" in the developer guide: API Gateway answers preflight requests, and adds
/// the headers for origins that the configuration allows.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_answers_preflight_requests_of_every_origin() {
    let stage = Stage::start().await;
    stage.output_of("allow_origin.py");
    let url = stage.front_door.url();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    for (origin, is_allowed) in [("http://allowed.test", true), ("http://other.test", false)] {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "OPTIONS /x HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\naccess-control-request-method: GET\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        let allows = answer.contains("access-control-allow-origin: http://allowed.test");
        assert_eq!(allows, is_allowed, "{answer}");
    }
}
