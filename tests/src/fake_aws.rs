//! An AWS whose answers a test decides, for verbs that need no whole stage.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::xtask;

/// The account of [`identity`].
pub const ACCOUNT: &str = "123456789012";

/// A request as it came.
#[derive(Debug)]
pub struct Call {
    /// The action, or method and path, as in `POST /2015-03-31/functions/…`.
    pub operation: String,
    /// The whole body.
    pub body: String,
}

/// What is answered.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    /// An answer of AWS's with this body.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self::of_another(status, body)
            .header("x-amzn-RequestId", "7a62c49f-347e-4fc4-9331-6e8eEXAMPLE")
    }

    /// An answer of something else in AWS's place: it has no request ID.
    pub fn of_another(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// STS: who the caller is.
pub fn identity() -> Answer {
    Answer::new(
        200,
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::{ACCOUNT}:user/ann</Arn><UserId>AIDA</UserId><Account>{ACCOUNT}</Account>\
             </GetCallerIdentityResult></GetCallerIdentityResponse>"
        ),
    )
}

/// CloudFormation: a stack that is deployed, with these outputs.
pub fn stack(name: &str, outputs: &[(&str, &str)]) -> Answer {
    let outputs: String = outputs
        .iter()
        .map(|(key, value)| {
            format!(
                "<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
            )
        })
        .collect();
    Answer::new(
        200,
        format!(
            "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><DescribeStacksResult>\
             <Stacks><member><StackName>{name}</StackName><CreationTime>2026-11-20T08:00:00.000Z</CreationTime>\
             <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{outputs}</Outputs></member></Stacks>\
             </DescribeStacksResult></DescribeStacksResponse>"
        ),
    )
}

/// Answers every request for as long as the test runs; returns the endpoint's URL.
pub fn start(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(stream, &*answer));
        }
    });
    url
}

/// A verb of `xtask` for stage `dev` at an endpoint.
pub fn xtask_at(program: &Path, endpoint_url: &str, arguments: &[&str]) -> Command {
    let mut command = xtask(program, arguments);
    command
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env(
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        )
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL", endpoint_url);
    command
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Call) -> Answer) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut buffer = [0; 65536];
    let head_end = loop {
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8_lossy(&request[..head_end]).into_owned();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    while request.len() < head_end + length {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    let body = String::from_utf8_lossy(&request[head_end..]).into_owned();
    let action = body
        .split('&')
        .find_map(|pair| pair.strip_prefix("Action="));
    let operation = match (header("x-amz-target"), action) {
        (Some(target), _) => target.rsplit('.').next().unwrap().to_owned(),
        (None, Some(action)) => action.to_owned(),
        (None, None) => {
            let line = head.lines().next().unwrap();
            line.trim_end_matches(" HTTP/1.1").to_owned()
        }
    };
    let answer = answer(&Call { operation, body });
    let headers: String = answer
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    write!(
        stream,
        "HTTP/1.1 {} Answer\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        answer.status,
        answer.body.len(),
        answer.body
    )
}
