//! Hosts and origins: those of this machine are served, and those that an API allows.

use acceptance::strangers::Request;

use crate::assert_none;
use crate::target::Stages;

/// Hosts that are none of this machine's, as a rebound name is.
const FOREIGN_HOSTS: [&str; 6] = [
    "attacker.test",
    "localhost.attacker.test",
    "127.0.0.1.attacker.test",
    "127.0.0.2",
    "0.0.0.0",
    "s3.amazonaws.com",
];

/// What browsers say of requests that a page of another origin causes.
const FOREIGN_ORIGINS: [&[(&str, &str)]; 4] = [
    &[("Origin", "http://attacker.test")],
    &[("Origin", "null")],
    &[("Origin", "http://127.0.0.1:1")],
    &[
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "no-cors"),
        ("Sec-Fetch-Dest", "image"),
    ],
];

pub(crate) fn foreign_hosts_and_origins_are_refused_everywhere(stages: &Stages) {
    for target in [stages.plain(), stages.chaos()] {
        let public = target.public_ports();
        let listeners = target.listeners();
        let runtime_ports = target.runtime_ports();
        assert!(
            !runtime_ports.is_empty(),
            "no function is there to be polled for"
        );
        assert!(
            runtime_ports
                .iter()
                .all(|port| listeners.contains_key(port))
        );
        let served: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = listeners
                .iter()
                .map(|(port, process)| {
                    let is_public = public.contains(port);
                    scope.spawn(move || served_to_strangers(*port, process, is_public))
                })
                .collect();
            let found = threads.into_iter().map(|thread| thread.join().unwrap());
            found.flatten().collect()
        });
        assert_none("requests of strangers are served", &served);
    }
}

/// The requests that a port serves although they come from where they must not.
fn served_to_strangers(port: u16, process: &str, is_public: bool) -> Vec<String> {
    let mut served = Vec::new();
    let mut expect_refusal = |request: Request<'_>| {
        let answer = request.send(port);
        if !answer.is_refusal() {
            served.push(format!("{port} ({process}): {request:?} -> {answer}"));
        }
    };
    for (method, path) in [
        ("GET", "/"),
        ("POST", "/"),
        ("OPTIONS", "/"),
        ("GET", "/_ministack/health"),
        ("POST", "/_ministack/config"),
        ("POST", "/stop"),
        ("GET", "/2018-06-01/runtime/invocation/next"),
    ] {
        for host in FOREIGN_HOSTS {
            expect_refusal(Request::new(method, path).host(host));
        }
        if !is_public {
            for headers in FOREIGN_ORIGINS {
                expect_refusal(Request::new(method, path).headers(headers));
            }
            expect_refusal(Request::new(method, path));
        }
    }
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Origin", "http://attacker.test"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    expect_refusal(
        Request::new("GET", "/")
            .host("attacker.test")
            .headers(&upgrade),
    );
    if !is_public {
        expect_refusal(Request::new("GET", "/").headers(&upgrade));
    }
    served
}

pub(crate) fn public_apis_heed_hosts_and_cors(stages: &Stages) {
    let target = stages.plain();
    let (shop, orders) = (target.port("SHOP_URL"), target.port("ORDERS_URL"));
    let cross_site = |mode: &'static str, dest: &'static str| {
        [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", mode),
            ("Sec-Fetch-Dest", dest),
        ]
    };
    let refused = |request: Request<'_>| {
        let answer = request.send(shop);
        assert_eq!(answer.status(), Some(403), "{request:?} -> {answer}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    };
    refused(Request::new("GET", "/").headers(&cross_site("no-cors", "image")));
    refused(Request::new("GET", "/").headers(&cross_site("navigate", "iframe")));
    refused(Request::new("POST", "/").headers(&cross_site("navigate", "document")));
    let fetched = [
        &cross_site("cors", "empty")[..],
        &[("Origin", "http://attacker.test")],
    ]
    .concat();
    refused(Request::new("GET", "/").headers(&fetched));
    for headers in FOREIGN_ORIGINS {
        let answer = Request::new("GET", "/").headers(headers).send(shop);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "{answer}"
        );
    }

    let served = |request: Request<'_>, port: u16| {
        let answer = request.send(port);
        assert_eq!(answer.status(), Some(200), "{request:?} -> {answer}");
        answer
    };
    served(
        Request::new("GET", "/").headers(&cross_site("navigate", "document")),
        shop,
    );
    served(
        Request::new("GET", "/").headers(&[("Sec-Fetch-Site", "none")]),
        shop,
    );
    served(
        Request::new("GET", "/").headers(&[("Sec-Fetch-Site", "same-origin")]),
        shop,
    );
    // Its own CORS configuration allows every origin.
    let answer = served(Request::new("GET", "/orders").headers(&fetched), orders);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let preflight = [&fetched[..], &[("Access-Control-Request-Method", "POST")]].concat();
    // As on AWS, where there is neither a CORS configuration nor a route.
    let answer = Request::new("OPTIONS", "/").headers(&preflight).send(shop);
    assert_eq!(answer.status(), Some(404), "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let answer = Request::new("OPTIONS", "/orders")
        .headers(&preflight)
        .send(orders);
    assert!(matches!(answer.status(), Some(200 | 204)), "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}
