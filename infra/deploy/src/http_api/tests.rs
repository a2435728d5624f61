use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::error::ErrorKind;
use crate::testing::Aws;

/// Answers one request; gives what it was, in lower case.
fn api() -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            stream.read_line(&mut request).unwrap();
        }
        let lower = request.to_lowercase();
        let length = lower.split_once("content-length: ").map(|(_, rest)| {
            let length = rest.split("\r\n").next().unwrap();
            length.parse::<usize>().unwrap()
        });
        let mut body = vec![0; length.unwrap_or_default()];
        stream.read_exact(&mut body).unwrap();
        let answer = "HTTP/1.1 404 Not Found\r\nNext-Cursor: x\r\nContent-Length: 2\r\n\r\n[]";
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        lower + &String::from_utf8(body).unwrap()
    });
    (url, asked)
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_and_any_answer_is_an_answer() {
    let (url, asked) = api();
    let request = Request::post(format!("{url}/a%2520b?limit=1"))
        .body("{}".to_owned())
        .unwrap();
    let answer = ask(&Aws::new().target(), request, false).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (404, "[]"));
    assert_eq!(answer.headers["next-cursor"], "x");
    let asked = asked.join().unwrap();
    assert!(
        asked.starts_with("post /a%2520b?limit=1 http/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.ends_with("\r\n\r\n{}"), "{asked}");
    assert!(!asked.contains("authorization"), "{asked}");
}

#[tokio::test]
async fn a_request_is_signed_for_the_api_gateway_of_the_region() {
    let (url, asked) = api();
    let request = Request::get(url).body(String::new()).unwrap();
    ask(&Aws::new().target(), request, true).await.unwrap();
    let asked = asked.join().unwrap();
    assert!(
        asked.contains("/eu-west-1/execute-api/aws4_request"),
        "{asked}"
    );
    assert!(asked.contains("\r\nx-amz-date: "), "{asked}");
}

#[tokio::test]
async fn an_api_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let request = Request::get(&url).body(String::new()).unwrap();
    let error = ask(&Aws::new().target(), request, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(error.what(), format!("could not ask GET {url}"));
    assert!(error.why().is_some(), "{error}");
}
