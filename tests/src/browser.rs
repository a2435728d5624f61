//! A real browser in a network of the test's own.
//!
//! The browser sends every request, those to 127.0.0.1 included, to an HTTP proxy, which plays the
//! internet and its name servers: it serves pages under names that do not exist, lets a name lead
//! to the page of an attacker once and to this machine from then on (DNS rebinding), and keeps what
//! was asked and answered, which pages themselves are not told.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::strangers::{Answer, Head, ask, read_head, value};

/// Where pages send what they found.
pub const COLLECTOR_URL: &str = "http://collector.test/report";

/// How long a page may take.
const PAGE_PATIENCE: Duration = Duration::from_secs(120);

/// How long a client of the proxy may be silent.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Chromium or Chrome, if this machine has one.
pub fn chromium() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let on_path = std::env::split_paths(&paths)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    let application = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    on_path.or_else(|| application.is_file().then_some(application))
}

/// A request that the browser sent to this machine, and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// Host and port as the browser has them, such as `127.0.0.1:8000`.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// What the server answered.
    pub answer: Answer,
}

impl Exchange {
    /// The port that it went to.
    pub fn port(&self) -> u16 {
        port_of(&self.authority)
    }

    /// A header of the request; the name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// Whether the user went to another page by it.
    pub fn is_top_level_navigation(&self) -> bool {
        self.header("sec-fetch-mode") == Some("navigate")
            && self.header("sec-fetch-dest") == Some("document")
    }
}

impl std::fmt::Display for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{} http://{}{path}", self.method, self.authority)?;
        let shown = ["origin", "sec-fetch-site", "sec-fetch-dest"];
        for name in shown {
            if let Some(value) = self.header(name) {
                write!(f, " {name}={value}")?;
            }
        }
        if self.header("authorization").is_some() || self.path.contains("X-Amz-Signature=") {
            write!(f, " signed")?;
        }
        write!(f, " -> {}", self.answer)
    }
}

/// A page, and headers that it is served with.
#[derive(Debug, Clone)]
struct Page {
    html: String,
    headers: &'static str,
    /// Served once; from then on, its origin is a port of this machine.
    rebinding: bool,
}

/// The network that the browser is in.
pub struct Network {
    port: u16,
    shared: Arc<Shared>,
    reports: Receiver<Value>,
}

struct Shared {
    port: u16,
    pages: Mutex<BTreeMap<String, Page>>,
    exchanges: Mutex<Vec<Exchange>>,
    reports: Sender<Value>,
}

impl Network {
    /// Starts the proxy on a free port of 127.0.0.1.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, reports) = channel();
        let shared = Arc::new(Shared {
            port,
            pages: Mutex::default(),
            exchanges: Mutex::default(),
            reports: sender,
        });
        let server = Arc::clone(&shared);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || {
                    // The browser may leave at any time.
                    let _ = server.serve(stream);
                });
            }
        });
        Self {
            port,
            shared,
            reports,
        }
    }

    /// A page of this network on 127.0.0.1 itself: the proxy's own port.
    pub fn loopback_url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Serves a page at a URL, with further headers (each ended by CR LF).
    pub fn publish(&self, url: &str, html: &str, headers: &'static str) {
        self.add(url, html, headers, false);
    }

    /// Serves a page at the root of an origin once. From then on, the name leads to the same port
    /// of this machine.
    pub fn publish_and_rebind(&self, url: &str, html: &str) {
        self.add(url, html, "", true);
    }

    fn add(&self, url: &str, html: &str, headers: &'static str, rebinding: bool) {
        let page = Page {
            html: html.to_owned(),
            headers,
            rebinding,
        };
        let mut pages = self.shared.pages.lock().unwrap();
        pages.insert(url.to_owned(), page);
    }

    /// What the next page reports.
    pub fn report(&self, browser: &Browser) -> Value {
        self.reports
            .recv_timeout(PAGE_PATIENCE)
            .unwrap_or_else(|_| panic!("no report came; the browser's log:\n{}", browser.log()))
    }

    /// All requests to this machine since the last call.
    pub fn take_exchanges(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.shared.exchanges.lock().unwrap())
    }

    /// Requests to this machine so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.shared.exchanges.lock().unwrap().clone()
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
        let Some(head) = read_head(&mut stream)? else {
            return Ok(());
        };
        let words: Vec<String> = head.first_line.split(' ').map(str::to_owned).collect();
        let [method, target, _] = words.as_slice() else {
            return Ok(());
        };
        if method == "CONNECT" {
            return self.tunnel(stream, target);
        }
        // A client that takes this for a server and not for a proxy names no host.
        let Some((authority, path)) = target
            .strip_prefix("http://")
            .map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())))
        else {
            return respond(&mut stream, "404 Not Found", "", "");
        };
        let body = read_body(&mut stream, &head)?;
        if target == COLLECTOR_URL {
            if let Ok(report) = serde_json::from_slice(&body) {
                let _ = self.reports.send(report);
            }
            return respond(&mut stream, "204 No Content", "", "");
        }
        if let Some(page) = self.page(target) {
            return respond(&mut stream, "200 OK", page.headers, &page.html);
        }
        if !leads_to_this_machine(authority) || port_of(authority) == self.port {
            return respond(&mut stream, "404 Not Found", "", "");
        }
        let answer = self.forward(method, authority, path, &head, &body);
        match answer {
            Answer::Response {
                status,
                headers,
                body,
            } => {
                let mut text = format!("HTTP/1.1 {status} \r\n");
                let framing = ["connection", "content-length", "transfer-encoding"];
                // A body in chunks is passed on as it came.
                let chunked = value(&headers, "transfer-encoding").is_some();
                for (name, value) in &headers {
                    if !framing.contains(&name.as_str()) {
                        text += &format!("{name}: {value}\r\n");
                    }
                }
                text += "Connection: close\r\n";
                text += &if chunked {
                    "Transfer-Encoding: chunked\r\n\r\n".to_owned()
                } else {
                    format!("Content-Length: {}\r\n\r\n", body.len())
                };
                stream.write_all(text.as_bytes())?;
                stream.write_all(&body)
            }
            // The browser sees the connection end.
            Answer::Closed | Answer::Silence => Ok(()),
        }
    }

    /// The page at a URL. One that rebinds its name is found once.
    fn page(&self, url: &str) -> Option<Page> {
        let mut pages = self.pages.lock().unwrap();
        let page = pages.get(url)?.clone();
        if page.rebinding {
            pages.remove(url);
        }
        Some(page)
    }

    /// WebSockets come by it: the handshake is passed on, and the connection ended after it.
    fn tunnel(&self, mut stream: TcpStream, authority: &str) -> std::io::Result<()> {
        if !leads_to_this_machine(authority) {
            return respond(&mut stream, "502 Bad Gateway", "", "");
        }
        stream.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n")?;
        let Some(head) = read_head(&mut stream)? else {
            return Ok(());
        };
        let mut words = head.first_line.split(' ');
        let method = words.next().unwrap_or_default();
        let path = words.next().unwrap_or_default();
        let answer = self.forward(method, authority, path, &head, b"");
        if let Answer::Response {
            status, headers, ..
        } = answer
        {
            let mut text = format!("HTTP/1.1 {status} \r\n");
            for (name, value) in &headers {
                text += &format!("{name}: {value}\r\n");
            }
            stream.write_all((text + "\r\n").as_bytes())?;
        }
        Ok(())
    }

    /// Sends a request to this machine with the headers that the browser sent.
    fn forward(
        &self,
        method: &str,
        authority: &str,
        path: &str,
        head: &Head,
        body: &[u8],
    ) -> Answer {
        let upgrade = value(&head.headers, "upgrade").is_some();
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in &head.headers {
            let of_the_proxy = name == "proxy-connection" || (name == "connection" && !upgrade);
            if !of_the_proxy {
                text += &format!("{name}: {value}\r\n");
            }
        }
        if !upgrade {
            text += "connection: close\r\n";
        }
        text += "\r\n";
        let answer = ask(port_of(authority), &[text.as_bytes(), body].concat());
        self.exchanges.lock().unwrap().push(Exchange {
            method: method.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            headers: head.headers.clone(),
            answer: answer.clone(),
        });
        answer
    }
}

/// Names of this machine, and the name that an attacker lets lead to it.
fn leads_to_this_machine(authority: &str) -> bool {
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    ["127.0.0.1", "localhost", "[::1]", "rebind.test"].contains(&host)
        || host.ends_with(".localhost")
}

fn port_of(authority: &str) -> u16 {
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    port.and_then(|port| port.parse().ok()).unwrap_or(80)
}

fn read_body(stream: &mut TcpStream, head: &Head) -> std::io::Result<Vec<u8>> {
    let length = value(&head.headers, "content-length");
    let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = head.rest.clone();
    let missing = length.saturating_sub(body.len());
    stream
        .take(missing.try_into().unwrap_or(u64::MAX))
        .read_to_end(&mut body)?;
    Ok(body)
}

fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{headers}\r\n"
    );
    stream.write_all((head + body).as_bytes())
}

/// A running browser. Dropping it ends it.
pub struct Browser {
    process: Child,
    log: PathBuf,
    /// Holds the profile and the log.
    _directory: TempDir,
}

impl Browser {
    /// Opens a page. The origins in `secure` may use the browser's cryptography as if they were
    /// served by HTTPS, which spares the pages an implementation of their own.
    pub fn open(program: &Path, network: &Network, url: &str, secure: &[String]) -> Self {
        let directory = TempDir::new().unwrap();
        let log = directory.path().join("browser.log");
        let output = File::create(&log).unwrap();
        let mut command = Command::new(program);
        command
            .arg("--headless=new")
            .arg(format!(
                "--user-data-dir={}",
                directory.path().join("profile").display()
            ))
            .arg(format!("--proxy-server=127.0.0.1:{}", network.port))
            // Without this, requests to this machine go past the proxy.
            .arg("--proxy-bypass-list=<-loopback>")
            .arg(format!(
                "--unsafely-treat-insecure-origin-as-secure={}",
                secure.join(",")
            ))
            // Chromium alone asks the user before a page may reach this machine. The stage cannot
            // count on that.
            .arg(
                "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,\
                 PrivateNetworkAccessSendPreflights,HttpsUpgrades",
            )
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--disable-sync",
                "--enable-logging=stderr",
                "--no-default-browser-check",
                "--no-first-run",
            ])
            .arg(url)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            // Its many processes are ended as one group.
            .process_group(0);
        if runs_as_root() {
            // Chromium refuses to run as root otherwise.
            command.arg("--no-sandbox");
        }
        let process = command.spawn().unwrap();
        Self {
            process,
            log,
            _directory: directory,
        }
    }

    /// What the browser and the pages' consoles wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

/// Whether this process belongs to root.
pub fn runs_as_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout == b"0\n")
}
