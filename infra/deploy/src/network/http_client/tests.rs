use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::thread;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

use super::*;
use crate::Error;
use crate::error::ErrorKind;
use crate::functions;
use crate::target::Target;
use crate::testing::http_client;

const IDENTITY: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>a</Arn><UserId>u</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

/// Limits that no test waits long for.
const SHORT: Limits = Limits {
    connect: Duration::from_millis(500),
    silence: Duration::from_millis(500),
    slow: Duration::from_millis(400),
    tell: Duration::from_millis(50),
};

/// An endpoint with manners of its own, which counts its connections.
struct Peer {
    address: String,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// `serve` is given the connection once the head of its request has come, and the number
    /// of connections so far.
    fn new<F>(serve: F) -> Self
    where
        F: Fn(TcpStream, usize) -> std::io::Result<()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Self {
            address: listener.local_addr().unwrap().to_string(),
            connections: Arc::default(),
            heads: Arc::default(),
        };
        let (connections, heads) = (Arc::clone(&peer.connections), Arc::clone(&peer.heads));
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let (serve, heads) = (Arc::clone(&serve), Arc::clone(&heads));
                thread::spawn(move || {
                    let head = head(&mut stream)?;
                    lock(&heads).push(head);
                    serve(stream, number)
                });
            }
        });
        peer
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A request up to the end of its head, byte by byte to leave the body alone.
fn head(stream: &mut impl Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn answer(stream: &mut impl Write, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn wait() -> std::io::Result<()> {
    thread::sleep(Duration::from_secs(30));
    Ok(())
}

/// What was told while waiting.
type Lines = Arc<Mutex<Vec<String>>>;

fn config_through(
    url: &str,
    proxies: &[(&str, &str)],
    more: Option<Vec<u8>>,
) -> (SdkConfig, Lines) {
    let variables = proxies.iter();
    let environment = variables
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let lines = Lines::default();
    let told = Arc::clone(&lines);
    let client = Client::new(
        Proxies::of(&environment).unwrap(),
        Authorities {
            system: false,
            more,
        },
        SHORT,
        Arc::new(move |line: &str| lock(&told).push(line.to_owned())),
    )
    .unwrap();
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(8)
                .with_initial_backoff(Duration::from_micros(1)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(SHORT.connect)
                .read_timeout(SHORT.silence)
                .build(),
        )
        .http_client(client)
        .build();
    (config, lines)
}

async fn ask(config: &SdkConfig) -> Result<String> {
    let sts = aws_sdk_sts::Client::new(config);
    let answer = sts.get_caller_identity().send().await;
    let answer = answer.map_err(|error| Error::aws("ask", &error))?;
    Ok(answer.account().unwrap_or_default().to_owned())
}

/// The error of a call to this endpoint, and what was told meanwhile.
async fn failure(peer: &Peer) -> (Error, Vec<String>) {
    let (config, lines) = config_through(&peer.url(), &[], None);
    let error = ask(&config).await.unwrap_err();
    assert!(error.why().unwrap().contains(&peer.address), "{error}");
    let lines = lock(&lines).clone();
    (error, lines)
}

#[tokio::test]
async fn an_endpoint_that_says_nothing_is_given_up() {
    let peer = Peer::new(|_stream, _| wait());
    let (error, told) = failure(&peer).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.why().unwrap().contains("did not answer"), "{error}");
    assert_eq!(peer.connections(), 2);
    assert_eq!(told, [format!("for {} to answer", peer.url())]);
}

#[tokio::test]
async fn an_answer_that_stalls_is_given_up() {
    for begin in [
        "HTTP/1.1 200 OK\r\nContent-",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<GetCaller",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<Ge\r\n",
    ] {
        let peer = Peer::new(move |mut stream, _| {
            stream.write_all(begin.as_bytes())?;
            wait()
        });
        let (error, _) = failure(&peer).await;
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        assert_eq!(peer.connections(), 2, "{begin}");
    }
}

#[tokio::test]
async fn an_answer_that_trickles_is_given_up() {
    let peer = Peer::new(|mut stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")?;
        loop {
            stream.write_all(b" ")?;
            thread::sleep(Duration::from_millis(20));
        }
    });
    let (error, _) = failure(&peer).await;
    assert!(error.why().unwrap().contains("too slowly"), "{error}");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn an_endpoint_that_never_answered_is_given_up_sooner_than_one_that_did() {
    let never = Peer::new(|_, _| Ok(()));
    let (error, _) = failure(&never).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(never.connections(), 4);
    let once = Peer::new(|mut stream, number| match number {
        1 => answer(&mut stream, "200 OK", IDENTITY),
        _ => Ok(()),
    });
    let (config, told) = config_through(&once.url(), &[], None);
    assert_eq!(ask(&config).await.unwrap(), "111122223333");
    ask(&config).await.unwrap_err();
    assert_eq!(once.connections(), 1 + 8);
    assert!(lock(&told).iter().any(|line| line.contains("attempt 3")));
}

#[tokio::test]
async fn nothing_that_listens_is_told_as_that() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let (config, _) = config_through(&format!("http://{address}"), &[], None);
    let error = ask(&config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let why = error.why().unwrap();
    assert!(
        why.starts_with(&format!("http://{address} could not be reached: ")),
        "{why}"
    );
}

#[tokio::test]
async fn what_speaks_another_protocol_is_told_as_that() {
    let peer = Peer::new(|mut stream, _| stream.write_all(b"SSH-2.0-OpenSSH_9.7\r\n"));
    let (error, _) = failure(&peer).await;
    assert!(
        error.why().unwrap().contains("does not speak HTTP"),
        "{error}"
    );
    assert_eq!(peer.connections(), 1);
    // TLS begins without a head to read.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let (config, _) = config_through(&format!("https://{address}"), &[], None);
    let error = ask(&config).await.unwrap_err();
    assert!(
        error.why().unwrap().contains("does not answer in TLS"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_in_place_of_aws_is_told_as_that() {
    for (status, body, said, hint) in [
        (
            "200 OK",
            "<title>Guest Wi-Fi</title>",
            "200 OK, \"Guest Wi-Fi\"",
            "guest network",
        ),
        (
            "403 Forbidden",
            "<h1>Blocked by the firewall</h1>",
            "403 Forbidden, \"Blocked",
            "firewall",
        ),
        (
            "407 Proxy Authentication Required",
            "who?",
            "407 Proxy Authentication",
            "USER:PASSWORD",
        ),
        (
            "502 Bad Gateway",
            "<title>502</title>",
            "502 Bad Gateway",
            "gateway",
        ),
        (
            "404 Not Found",
            r#"{"message":"no Route matched"}"#,
            "no Route matched",
            "AWS_ENDPOINT_URL",
        ),
        (
            "302 Found\r\nLocation: https://login.example.com/",
            "",
            "a redirect to https://login.example.com/",
            "sign in",
        ),
        ("200 OK", "", "200 OK, nothing in it", "AWS_ENDPOINT_URL"),
        (
            "403 Forbidden",
            "",
            "403 Forbidden, nothing in it",
            "firewall",
        ),
        (
            "503 Service Unavailable",
            "",
            "503 Service Unavailable, nothing",
            "gateway",
        ),
    ] {
        let peer = Peer::new(move |mut stream, _| answer(&mut stream, status, body));
        let (error, _) = failure(&peer).await;
        assert_eq!(error.kind(), ErrorKind::NotAws, "{error}");
        assert!(error.why().unwrap().contains(said), "{error}");
        assert!(error.next_step().unwrap().contains(hint), "{error:?}");
    }
}

#[tokio::test]
async fn a_fault_elsewhere_is_not_blamed_on_aws() {
    let fault = "<ErrorResponse><Error><Code>InternalFailure</Code><Message>oops</Message></Error></ErrorResponse>";
    let peer =
        Peer::new(move |mut stream, _| answer(&mut stream, "500 Internal Server Error", fault));
    let (config, _) = config_through(&peer.url(), &[], None);
    let error = ask(&config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.next_step().unwrap().contains(&peer.address),
        "{error:?}"
    );
    assert_eq!(peer.connections(), 8);
}

#[tokio::test]
async fn an_upload_is_waited_for_as_long_as_it_goes_on() {
    let peer = Peer::new(|mut stream, _| {
        // The body ends with a chunk of no bytes, and a checksum behind it.
        let (mut body, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        while !body.ends_with(b"\r\n\r\n") {
            let length = stream.read(&mut buffer)?;
            body.extend_from_slice(&buffer[..length]);
            thread::sleep(Duration::from_millis(10));
        }
        answer(&mut stream, "200 OK", "")
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(6 * 1024 * 1024).unwrap();
    let (config, _) = config_through(&peer.url(), &[], None);
    let target = Target::from_config(&config, http_client(), Vec::new());
    let body = ByteStream::read_from()
        .path(file.path())
        .build()
        .await
        .unwrap();
    let put = target
        .s3
        .put_object()
        .bucket("artifacts")
        .key("zip")
        .body(body);
    put.customize()
        .config_override(aws_sdk_s3::config::Config::builder().force_path_style(true))
        .send()
        .await
        .unwrap();
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn an_invocation_is_waited_for_longer_than_other_calls() {
    let peer = Peer::new(|mut stream, _| {
        thread::sleep(SHORT.silence * 2);
        answer(&mut stream, "200 OK", "{}")
    });
    let (config, _) = config_through(&peer.url(), &[], None);
    let target = Target::from_config(&config, http_client(), Vec::new());
    let invocation = functions::invoke(&target, "function", b"{}".to_vec())
        .await
        .unwrap();
    assert_eq!(invocation.result.unwrap(), "{}");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn plain_requests_are_sent_to_the_proxy_with_its_password() {
    let proxy = Peer::new(|mut stream, _| answer(&mut stream, "200 OK", IDENTITY));
    let address = format!("http://ann:secret@{}", proxy.address);
    let (config, _) = config_through("http://aws.invalid", &[("http_proxy", &address)], None);
    assert_eq!(ask(&config).await.unwrap(), "111122223333");
    let head = lock(&proxy.heads).concat();
    assert!(head.starts_with("POST http://aws.invalid/"), "{head}");
    assert!(
        head.to_lowercase()
            .contains("proxy-authorization: basic yw5uonnly3jlda=="),
        "{head}"
    );
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    for (status, said, hint) in [
        (
            "502 No Tunnel Here",
            "the proxy refused to connect",
            "HTTPS_PROXY",
        ),
        (
            "407 Proxy Authentication Required",
            "the proxy asks for a password",
            "USER:PASSWORD",
        ),
    ] {
        let proxy = Peer::new(move |mut stream, _| answer(&mut stream, status, ""));
        let (config, _) = config_through(
            "https://aws.invalid",
            &[("HTTPS_PROXY", &proxy.address)],
            None,
        );
        let error = ask(&config).await.unwrap_err();
        let why = error.why().unwrap();
        assert!(
            why.contains(said) && why.contains(&proxy.address) && why.contains("HTTPS_PROXY"),
            "{why}"
        );
        assert!(error.next_step().unwrap().contains(hint), "{error:?}");
        assert!(lock(&proxy.heads)[0].starts_with("CONNECT aws.invalid:443"));
    }
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_given_up() {
    let proxy = Peer::new(|_stream, _| wait());
    let (config, _) = config_through(
        "https://aws.invalid",
        &[("HTTPS_PROXY", &proxy.address)],
        None,
    );
    let error = ask(&config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn a_host_in_no_proxy_is_reached_without_one() {
    let peer = Peer::new(|mut stream, _| answer(&mut stream, "200 OK", IDENTITY));
    let variables = [("HTTP_PROXY", "127.0.0.1:1"), ("NO_PROXY", "127.0.0.1")];
    let (config, _) = config_through(&peer.url(), &variables, None);
    assert_eq!(ask(&config).await.unwrap(), "111122223333");
}

/// An endpoint with a certificate of a company's authority. Its key was made for this test.
fn secure_endpoint() -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            if head(&mut stream).is_ok_and(|head| !head.is_empty()) {
                let _ = answer(&mut stream, "200 OK", IDENTITY);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    url
}

#[tokio::test]
async fn an_authority_of_the_users_is_trusted() {
    let url = secure_endpoint();
    let (config, _) = config_through(
        &url,
        &[],
        Some(include_bytes!("tls/authority.pem").to_vec()),
    );
    assert_eq!(ask(&config).await.unwrap(), "111122223333");
    let (config, _) = config_through(&url, &[], None);
    let error = ask(&config).await.unwrap_err();
    assert!(
        error
            .why()
            .unwrap()
            .contains(&format!("the certificate of {url} was not accepted")),
        "{error}"
    );
    assert!(
        error.next_step().unwrap().contains("AWS_CA_BUNDLE"),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_accepts_and_says_nothing_in_tls_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (config, _) = config_through(&url, &[], None);
    let error = ask(&config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    drop(listener);
}
