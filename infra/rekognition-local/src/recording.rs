//! A record of requests and answers, to compare with AWS's model of the service.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    process,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;
use serde_json::json;

/// Images are not compared anyway.
const MAX_BODY_BYTES: usize = 1 << 20;

/// A file with a line of JSON for each request.
#[derive(Debug)]
pub struct Recording(File);

impl Recording {
    /// Adds to a file in `folder` that only this user can read. Each process has its own. The folder is made if it is
    /// missing.
    ///
    /// # Errors
    /// The folder cannot be made, or the file not be opened.
    pub fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(folder.join(format!("rekognition-{}.jsonl", process::id())))
            .map(Self)
    }

    /// Writes a request and its answer down. Of the headers, only those that say what the body is: nothing of a
    /// signature.
    pub(crate) fn add(&self, headers: &HeaderMap, body: &[u8], status: u16, answer: &[u8]) {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let told = (body.len() <= MAX_BODY_BYTES).then(|| STANDARD.encode(body));
        let call = json!({
            "service": "rekognition",
            "method": "POST",
            "path": "/",
            "query": "",
            "headers": {
                "content-type": header("content-type").unwrap_or_default(),
                "x-amz-target": header("x-amz-target").unwrap_or_default(),
            },
            "body": told,
            "status": status,
            "answer": STANDARD.encode(answer),
        });
        // One call: lines of concurrent requests do not mix.
        if let Err(error) = (&self.0).write_all(format!("{call}\n").as_bytes()) {
            tracing::warn!("a request is missing in the record: {error}");
        }
    }
}
