//! What a stranger to a local stage can find and ask: the processes of the stage, the ports that
//! they listen on, and requests as no HTTP library would send them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long an answer may take. Nothing that refuses a stranger waits for anything.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest head that is read of a message.
const HEAD_BYTES: usize = 64 * 1024;

/// How a server met a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// With a response.
    Response {
        /// The status code.
        status: u16,
        /// Names in lower case, and values.
        headers: Vec<(String, String)>,
        /// As much of the body as was read.
        body: Vec<u8>,
    },
    /// The connection was refused, or closed without a response.
    Closed,
    /// Nothing came within the time limit.
    Silence,
}

impl Answer {
    /// The status code, if there was a response.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Response { status, .. } => Some(*status),
            Self::Closed | Self::Silence => None,
        }
    }

    /// A header's value; the name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self {
            Self::Response { headers, .. } => value(headers, name),
            Self::Closed | Self::Silence => None,
        }
    }

    /// Whether the server did nothing for the stranger and told it nothing.
    pub fn is_refusal(&self) -> bool {
        let refused = matches!(self.status(), Some(401 | 403 | 404)) || *self == Self::Closed;
        refused && self.header("access-control-allow-origin").is_none()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Response { status, .. } => write!(f, "{status}")?,
            Self::Closed => write!(f, "closed")?,
            Self::Silence => write!(f, "silence")?,
        }
        match self.header("access-control-allow-origin") {
            Some(origin) => write!(f, " for {origin}"),
            None => Ok(()),
        }
    }
}

/// A header's value; the name is in lower case.
pub fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|(header, _)| header == name)?;
    Some(&header.1)
}

/// The first line and the headers of a message, names in lower case, and what follows it.
pub struct Head {
    /// Without the line's end.
    pub first_line: String,
    /// Names in lower case, and values, in their order.
    pub headers: Vec<(String, String)>,
    /// What was read of the body.
    pub rest: Vec<u8>,
}

/// Reads up to the end of a message's head. Nothing if the connection ends before.
pub fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let mut lines = head.split("\r\n");
            let first_line = lines.next().unwrap_or_default().to_owned();
            let headers = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let rest = bytes.split_off(end + 4);
            return Ok(Some(Head {
                first_line,
                headers,
                rest,
            }));
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 || bytes.len() > HEAD_BYTES {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}

/// Sends the bytes of a request to a port of 127.0.0.1 and reads the answer. The request should
/// ask for the end of the connection.
pub fn ask(port: u16, request: &[u8]) -> Answer {
    let asked = || -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        // A server may have refused already.
        let _ = stream.write_all(request);
        let Some(head) = read_head(&mut stream)? else {
            return Ok(Answer::Closed);
        };
        let status = head.first_line.split(' ').nth(1).unwrap_or_default();
        let mut body = head.rest;
        let length = value(&head.headers, "content-length").and_then(|text| text.parse().ok());
        let bodiless = request.starts_with(b"HEAD ") || status == "101";
        let mut buffer = [0; 65536];
        while !bodiless && length.is_none_or(|length| body.len() < length) {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(read) => body.extend_from_slice(&buffer[..read]),
            }
        }
        Ok(Answer::Response {
            status: status.parse().unwrap_or_default(),
            headers: head.headers,
            body,
        })
    };
    asked().unwrap_or_else(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Answer::Silence,
        _ => Answer::Closed,
    })
}

/// A request without a signature, made of what each test varies.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query, sent as they are.
    pub path: &'a str,
    /// The `Host` header; without it, that of 127.0.0.1 and the port.
    pub host: Option<&'a str>,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a str,
}

impl<'a> Request<'a> {
    /// A request that says nothing but method and path.
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            host: None,
            headers: &[],
            body: "",
        }
    }

    /// With another `Host` header.
    #[must_use]
    pub fn host(self, host: &'a str) -> Self {
        Self {
            host: Some(host),
            ..self
        }
    }

    /// With these headers beside `Host` and those of the connection.
    #[must_use]
    pub fn headers(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: &'a str) -> Self {
        Self { body, ..self }
    }

    /// Sends it to a port of 127.0.0.1.
    pub fn send(&self, port: u16) -> Answer {
        let host = self
            .host
            .map_or_else(|| format!("127.0.0.1:{port}"), str::to_owned);
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path);
        for (name, value) in self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.headers.iter().any(|(name, _)| *name == "Connection") {
            text += "Connection: close\r\n";
        }
        if !self.body.is_empty() || matches!(self.method, "POST" | "PUT" | "PATCH") {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text += "\r\n";
        text += self.body;
        ask(port, text.as_bytes())
    }
}

/// A process and all that it has started, as far as they still are its descendants.
pub fn process_tree(root: u32) -> BTreeSet<u32> {
    let parents: BTreeMap<u32, u32> = processes()
        .filter_map(|process| Some((process, parent(process)?)))
        .collect();
    let is_below = |process: &u32| {
        std::iter::successors(Some(*process), |process| parents.get(process).copied())
            .any(|ancestor| ancestor == root)
    };
    parents.keys().copied().filter(is_below).collect()
}

/// The arguments of a process, as every user of the machine sees them.
pub fn arguments(process: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// The ports that these processes listen on, and one of the processes for each.
pub fn listeners(processes: &BTreeSet<u32>) -> BTreeMap<u16, u32> {
    let mut listening = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // State 0A is LISTEN.
            let (Some(local), Some(&"0A"), Some(inode)) =
                (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            let port = local.rsplit(':').next().unwrap_or_default();
            if let Ok(port) = u16::from_str_radix(port, 16) {
                listening.insert(format!("socket:[{inode}]"), port);
            }
        }
    }
    let mut found = BTreeMap::new();
    for process in processes {
        for file in open_files(*process) {
            if let Some(port) = listening.get(&*file.to_string_lossy()) {
                found.insert(*port, *process);
            }
        }
    }
    found
}

/// What a process has open: paths of files, and names such as `socket:[123]`.
pub fn open_files(process: u32) -> Vec<PathBuf> {
    let Ok(files) = std::fs::read_dir(format!("/proc/{process}/fd")) else {
        return Vec::new();
    };
    files
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .collect()
}

fn processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
