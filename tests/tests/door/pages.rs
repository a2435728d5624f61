//! Pages in a browser.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use acceptance::browser::{Browser, COLLECTOR_URL, Exchange, Network, chromium};
use acceptance::eventually;
use acceptance::strangers::Answer;
use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::assert_none;
use crate::target::{CONTENT, KEY, KeyPair, ORDER, Stages, Target};

/// What hostile pages are made of.
const PAGE: &str = include_str!("attack/page.html");
const SCRIPT: &str = include_str!("attack/attack.js");

/// A page of another site.
const ATTACKER_URL: &str = "http://attacker.test/";

/// Internal paths of the emulator, for the pages; all others are in the list of paths.
const INTERNAL_PATHS: [&str; 12] = [
    "/",
    "/_ministack/config",
    "/_ministack/health",
    "/_ministack/ready",
    "/_ministack/ses/messages",
    "/_ministack/sqs/messages",
    "/_localstack/health",
    "/health",
    "/iceberg/v1/config",
    "/latest/meta-data/iam/security-credentials/",
    "/oauth2/userInfo",
    "/v2/_catalog",
];

/// A page that attacks or visits.
fn page(config: &Value) -> String {
    // The text `</script>` would end the script that it is in.
    let config = config.to_string().replace("</", "<\\/");
    PAGE.replace("CONFIG", &config).replace("SCRIPT", SCRIPT)
}

/// What a hostile page knows of the stage, which is more than a real one would.
fn attack(target: &Target, marker: &Path) -> Value {
    let stage = &target.stage;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let known = BTreeSet::from([target.emulator()]);
    let others = target.private_ports();
    let others: Vec<String> = others.difference(&known).map(|port| url(*port)).collect();
    let mut keys = target.known_keys();
    let of_function = target.guessed_keys();
    let of_function = of_function
        .iter()
        .find(|key| key.name.contains("serve-shop"));
    keys.push(of_function.unwrap().clone());
    json!({
        "plan": "foreign",
        "collector": COLLECTOR_URL,
        "emulator": url(target.emulator()),
        "others": others,
        "shop": url(target.port("SHOP_URL")),
        "orders": url(target.port("ORDERS_URL")),
        "feed": url(target.port("FEED_URL")),
        "paths": INTERNAL_PATHS,
        "keys": keys.iter().map(KeyPair::to_json).collect::<Vec<_>>(),
        "account": "000000000000",
        "region": stage.variable("AWS_REGION"),
        "bucket": stage.variable("PHOTOS_BUCKET_NAME"),
        "key": KEY,
        "table": stage.variable("ORDERS_TABLE_NAME"),
        "trustPolicy": {
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }],
        },
        "zip": base64::engine::general_purpose::STANDARD.encode(code(marker)),
    })
}

/// The zip of a function that leaves a mark on the machine it runs on.
fn code(marker: &Path) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file("bootstrap", options).unwrap();
    let script = format!("#!/bin/sh\necho ran >> '{}'\nsleep 5\n", marker.display());
    zip.write_all(script.as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

/// A request as the list of failures names it, if it was not refused as it should have been.
fn wrongly_served(target: &Target, exchange: &Exchange) -> Option<String> {
    let port = exchange.port();
    let allowed = if [target.port("ORDERS_URL"), target.port("FEED_URL")].contains(&port) {
        // As on AWS: their CORS configurations allow every origin.
        !exchange.authority.starts_with("rebind.test")
    } else if port == target.port("SHOP_URL") {
        let of_this_site = exchange.header("sec-fetch-site") == Some("same-site");
        let unreadable = exchange
            .answer
            .header("access-control-allow-origin")
            .is_none();
        exchange.is_top_level_navigation() || (of_this_site && unreadable)
    } else {
        false
    };
    let refused = exchange.answer.is_refusal();
    (!allowed && !refused).then(|| exchange.to_string())
}

pub(crate) fn a_page_of_another_origin_gets_nothing(stages: &Stages) {
    let target = stages.chaos();
    let program = chromium().unwrap();
    let network = Network::start();
    let marks = TempDir::new().unwrap();
    let marker = marks.path().join("ran");
    assert!(!target.runtime_ports().is_empty());
    let listeners = target.listeners();
    let mut config = attack(target, &marker);
    config["next"] = json!(target.stage.variable("SHOP_URL"));
    let mut served = Vec::new();
    let mut navigations = Vec::new();

    // Another site; another port of this machine, which is another origin of the same site; and a
    // page without any origin.
    let sandboxed = format!("{}sandboxed", network.loopback_url());
    let sandbox = "Content-Security-Policy: sandbox allow-scripts allow-forms\r\n";
    for (url, headers) in [
        (ATTACKER_URL, ""),
        (&network.loopback_url(), ""),
        (&sandboxed, sandbox),
    ] {
        network.publish(url, &page(&config), headers);
        let browser = Browser::open(&program, &network, url, &[ATTACKER_URL.to_owned()]);
        let report = network.report(&browser);
        let findings = report["findings"].as_array().unwrap();
        if headers.is_empty() {
            let unsent = findings.iter().find(|finding| finding["type"] == "unsent");
            assert_eq!(unsent, None, "{url}");
        }
        for finding in findings {
            // The API of orders and the feed alone let pages read their answers.
            let of_an_api = finding["name"].as_str().unwrap().starts_with("API");
            if (finding["status"] != 0 && !of_an_api) || finding["type"] == "opened" {
                served.push(format!("{url} could read: {finding}"));
            }
        }
        // At its end, the page goes to the API of the shop, which is public.
        navigations.push(eventually("a top-level navigation", || {
            let mut exchanges = network.exchanges().into_iter();
            exchanges.find(|exchange| {
                exchange.port() == target.port("SHOP_URL") && exchange.is_top_level_navigation()
            })
        }));
        stages.tell(&browser, &report);
        drop(browser);

        let exchanges = network.take_exchanges();
        for port in listeners.keys() {
            let asked = exchanges.iter().filter(|exchange| exchange.port() == *port);
            assert!(asked.count() >= 5, "{url} has not attacked {port}");
        }
        println!("{url} sent {} requests", exchanges.len());
        served.extend(
            exchanges
                .iter()
                .filter_map(|exchange| wrongly_served(target, exchange)),
        );
    }
    let url = format!("{ATTACKER_URL}wipe");
    config["plan"] = json!("wipe");
    network.publish(&url, &page(&config), "");
    let browser = Browser::open(&program, &network, &url, &[]);
    network.report(&browser);
    drop(browser);
    served.extend(
        network
            .take_exchanges()
            .iter()
            .filter_map(|exchange| wrongly_served(target, exchange)),
    );

    if marker.exists() {
        served.insert(0, "code of a page, which ran on this machine".to_owned());
    }
    assert_none("requests of a page are served", &served);
    for navigation in navigations {
        assert_eq!(navigation.answer.status(), Some(200), "{navigation}");
    }
    target.assert_untouched();
}

/// Browsers at once: pages wait for answers most of the time.
const BROWSERS: usize = 3;

pub(crate) fn a_page_with_a_rebound_name_gets_nothing(stages: &Stages) {
    let target = stages.chaos();
    let marks = TempDir::new().unwrap();
    let marker = marks.path().join("ran");
    let listeners: Vec<(u16, String)> = target.listeners().into_iter().collect();
    let mut served: Vec<String> = std::thread::scope(|scope| {
        let parts = listeners.chunks(listeners.len().div_ceil(BROWSERS));
        let attacks = parts.map(|part| {
            let marker = &marker;
            scope.spawn(move || {
                let attacks = part.iter();
                let served = attacks.flat_map(|(port, process)| {
                    let requests = served_to_a_rebound_page(stages, target, *port, marker);
                    let named = |request: String| format!("{process}: {request}");
                    requests.into_iter().map(named).collect::<Vec<_>>()
                });
                served.collect::<Vec<_>>()
            })
        });
        let attacks: Vec<_> = attacks.collect();
        let ended = attacks.into_iter().map(|attack| attack.join().unwrap());
        ended.flatten().collect()
    });
    if marker.exists() {
        served.insert(0, "code of a page, which ran on this machine".to_owned());
    }
    assert_none("requests of a page are served", &served);
    target.assert_untouched();
}

/// The requests of a page that are not refused, after its name has come to lead to a port of the stage.
fn served_to_a_rebound_page(
    stages: &Stages,
    target: &Target,
    port: u16,
    marker: &Path,
) -> Vec<String> {
    let program = chromium().unwrap();
    let network = Network::start();
    let url = format!("http://rebind.test:{port}/");
    let mut config = attack(target, marker);
    config["plan"] = json!("rebound");
    network.publish_and_rebind(&url, &page(&config));
    let browser = Browser::open(&program, &network, &url, std::slice::from_ref(&url));
    let report = network.report(&browser);
    assert_eq!(report["origin"], url.trim_end_matches('/'));
    stages.tell(&browser, &report);
    drop(browser);
    let exchanges = network.take_exchanges();
    assert!(exchanges.len() >= 20, "{url} has not attacked");
    println!("{url} sent {} requests", exchanges.len());
    let served = exchanges.iter().filter(|exchange| {
        exchange.answer.status() != Some(403) && exchange.answer != Answer::Closed
    });
    served.map(ToString::to_string).collect()
}

pub(crate) fn pages_are_served_where_cors_allows_it(stages: &Stages) {
    let target = stages.plain();
    let stage = &target.stage;
    let program = chromium().unwrap();
    let network = Network::start();
    let bucket = "bucket-for-pages";
    stage.aws_ok(&["s3api", "create-bucket", "--bucket", bucket]);
    let cors = json!({"CORSRules": [{
        "AllowedOrigins": ["http://allowed.test"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["*"],
    }]});
    stage.aws_ok(&[
        "s3api",
        "put-bucket-cors",
        "--bucket",
        bucket,
        "--cors-configuration",
        &cors.to_string(),
    ]);
    let file = stage.directory().join("content");
    std::fs::write(&file, CONTENT).unwrap();
    let file = file.to_str().unwrap();
    stage.aws_ok(&[
        "s3api",
        "put-object",
        "--bucket",
        bucket,
        "--key",
        KEY,
        "--body",
        file,
    ]);
    std::fs::remove_file(file).unwrap();

    let presigned = stage.aws_ok(&["s3", "presign", &format!("s3://{bucket}/{KEY}")]);
    let of_another_bucket = format!("s3://{}/{KEY}", stage.variable("PHOTOS_BUCKET_NAME"));
    let of_another_bucket = stage.aws_ok(&["s3", "presign", &of_another_bucket]);
    let orders = format!("{}orders", stage.variable("ORDERS_URL"));
    let requests = json!([
        ["object", presigned.trim(), {}],
        ["object by a request with a preflight", presigned.trim(), {"headers": {"x-mine": "1"}}],
        ["object of a bucket without CORS", of_another_bucket.trim(), {}],
        ["orders", orders, {"method": "POST", "body": ORDER, "headers": {"content-type": "application/json"}}],
    ]);
    let config = json!({"plan": "guest", "collector": COLLECTOR_URL, "requests": requests});
    for (url, allowed) in [
        ("http://allowed.test/", true),
        ("http://other.test/", false),
    ] {
        network.publish(url, &page(&config), "");
        let browser = Browser::open(&program, &network, url, &[]);
        let report = network.report(&browser);
        let finding = |name: &str| {
            let findings = report["findings"].as_array().unwrap();
            let finding = findings.iter().find(|finding| finding["name"] == name);
            finding
                .unwrap_or_else(|| panic!("{name} is not in {report}"))
                .clone()
        };
        for name in ["object", "object by a request with a preflight"] {
            let finding = finding(name);
            let read = finding["status"] == 200 && finding["body"] == CONTENT;
            assert_eq!(read, allowed, "{url}: {finding}");
        }
        let other = finding("object of a bucket without CORS");
        assert_eq!(other["status"], 0, "{url}: {other}");
        let orders = finding("orders");
        assert!(
            orders["body"].as_str().unwrap().contains("of-the-owner"),
            "{orders}"
        );
        for exchange in network.take_exchanges() {
            let origin = exchange.answer.header("access-control-allow-origin");
            let of_the_emulator = exchange.port() == target.emulator();
            assert!(
                !of_the_emulator || allowed || origin.is_none(),
                "{exchange}"
            );
        }
    }
    stage.aws_ok(&["s3", "rb", "--force", &format!("s3://{bucket}")]);
}
