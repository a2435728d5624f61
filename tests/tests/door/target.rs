//! The stages that are attacked, and what there is to steal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use acceptance::Stage;
use acceptance::browser::Browser;
use acceptance::strangers::{arguments, listeners, process_tree};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The object that strangers want.
pub(crate) const KEY: &str = "secret.txt";
pub(crate) const CONTENT: &str = "for the owner only";

/// What strangers must not change.
pub(crate) const ORDER: &str = r#"{"id": "of-the-owner", "photo": "secret.txt"}"#;

/// One stage as users start it, and one that makes faults. Each is started when it is needed.
#[derive(Default)]
pub(crate) struct Stages {
    /// Whether to print what was found.
    pub(crate) verbose: bool,
    pub(crate) plain: OnceLock<Target>,
    pub(crate) chaos: OnceLock<Target>,
}

impl Stages {
    pub(crate) fn plain(&self) -> &Target {
        self.plain.get_or_init(|| Target::prepare(Stage::start()))
    }

    /// What a page found and its console shows, if it is asked for.
    pub(crate) fn tell(&self, browser: &Browser, report: &Value) {
        if self.verbose {
            println!("{}\n{report:#}", browser.log());
        }
    }

    /// It has every part that a stage can have. Its faults have ended: the tests are about those
    /// who might end them.
    pub(crate) fn chaos(&self) -> &Target {
        self.chaos.get_or_init(|| {
            let stage = Stage::start_with(&["--chaos", "1"]);
            let ended = acceptance::send(
                ureq::http::Request::delete(stage.variable("CHAOS_URL"))
                    .body(String::new())
                    .unwrap(),
            );
            assert_eq!(ended.status, 200, "{ended:?}");
            Target::prepare(stage)
        })
    }
}

/// A stage with something to steal.
pub(crate) struct Target {
    pub(crate) stage: Stage,
    /// Function name and execution role's ARN.
    pub(crate) functions: BTreeMap<String, String>,
    /// The identifiers of the HTTP APIs, by name.
    pub(crate) apis: BTreeMap<String, String>,
}

impl Target {
    pub(crate) fn prepare(stage: Stage) -> Self {
        let file = stage.directory().join("content");
        std::fs::write(&file, CONTENT).unwrap();
        stage.upload("PHOTOS_BUCKET_NAME", KEY, &file);
        std::fs::remove_file(&file).unwrap();
        let placed = stage.post("ORDERS_URL", "/orders", ORDER);
        assert_eq!(placed.status, 200, "{placed:?}");
        // Each function has a process, which polls for invocations.
        assert_eq!(stage.get("SHOP_URL", "/").status, 200);
        let functions = stage.aws_json(&["lambda", "list-functions"]);
        let functions = functions["Functions"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let functions = functions
            .iter()
            .map(|function| (text(&function["FunctionName"]), text(&function["Role"])))
            .collect();
        let apis = stage.aws_json(&["apigatewayv2", "get-apis"]);
        let apis = apis["Items"].as_array().unwrap();
        let apis = apis
            .iter()
            .map(|api| (text(&api["Name"]), text(&api["ApiId"])))
            .collect();
        Self {
            stage,
            functions,
            apis,
        }
    }

    pub(crate) fn port(&self, variable: &str) -> u16 {
        port(self.stage.variable(variable))
    }

    pub(crate) fn emulator(&self) -> u16 {
        self.port("AWS_ENDPOINT_URL")
    }

    /// The public HTTP APIs, and the public function URL.
    pub(crate) fn public_ports(&self) -> BTreeSet<u16> {
        ["SHOP_URL", "ORDERS_URL", "FEED_URL"]
            .map(|name| self.port(name))
            .into()
    }

    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        let mut processes = process_tree(self.stage.process_id());
        let known = acceptance::processes_that_know(self.stage.variable("AWS_ENDPOINT_URL"));
        let numbers = known
            .iter()
            .filter_map(|process| process.file_name()?.to_str()?.parse::<u32>().ok());
        processes.extend(numbers);
        processes
    }

    /// The ports of the Runtime API that functions poll.
    pub(crate) fn runtime_ports(&self) -> BTreeSet<u16> {
        let environments = self.processes().into_iter();
        let addresses = environments.filter_map(|process| {
            let environment = environment(process);
            let variable = environment
                .iter()
                .find(|(name, _)| name == "AWS_LAMBDA_RUNTIME_API");
            Some(port(&variable?.1))
        });
        addresses.collect()
    }

    /// Every port that the stage listens on, and what listens there.
    pub(crate) fn listeners(&self) -> BTreeMap<u16, String> {
        let listening = listeners(&self.processes());
        let found: BTreeMap<u16, String> = listening
            .into_iter()
            .map(|(port, process)| (port, arguments(process)))
            .collect();
        let port = self.emulator();
        assert!(found.contains_key(&port), "{port} is not among {found:?}");
        found
    }

    /// All of them but the public HTTP APIs.
    pub(crate) fn private_ports(&self) -> BTreeSet<u16> {
        let public = self.public_ports();
        let ports = self.listeners().into_keys();
        ports.filter(|port| !public.contains(port)).collect()
    }

    /// Keys that somebody might try who has none.
    pub(crate) fn known_keys(&self) -> Vec<KeyPair> {
        let mut keys: Vec<KeyPair> = [
            ("test", "test", "000000000000"),
            ("123456789012", "test", "123456789012"),
            ("000000000000", "000000000000", "000000000000"),
            (
                "AKIAIOSFODNN7EXAMPLE",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "000000000000",
            ),
        ]
        .into_iter()
        .map(|(id, secret, account)| KeyPair {
            name: id.to_owned(),
            id: id.to_owned(),
            secret: secret.to_owned(),
            token: None,
            account,
        })
        .collect();
        keys.push(KeyPair {
            name: "owner-id".to_owned(),
            id: self.stage.variable("AWS_ACCESS_KEY_ID").to_owned(),
            secret: "guessed".to_owned(),
            token: None,
            account: "000000000000",
        });
        keys
    }

    /// Session keys of execution roles as MiniStack makes them from names that everybody knows.
    pub(crate) fn guessed_keys(&self) -> Vec<KeyPair> {
        let region = self.stage.variable("AWS_REGION");
        let guess = |(name, role): (&String, &String)| {
            let function = format!("arn:aws:lambda:{region}:000000000000:function:{name}");
            let hash = |text: &str| hex::encode(Sha256::digest(text));
            let digest = hash(&format!("{function}:{role}"));
            KeyPair {
                name: name.clone(),
                id: format!("ASIA{}", digest[..16].to_uppercase()),
                secret: hash(&format!("secret:{digest}")),
                token: Some(hash(&format!("token:{digest}"))),
                account: "000000000000",
            }
        };
        self.functions.iter().map(guess).collect()
    }

    /// Whatever strangers did, nothing has come of it.
    pub(crate) fn assert_untouched(&self) {
        let object = self.stage.aws_ok(&[
            "s3",
            "cp",
            &format!("s3://{}/{KEY}", self.stage.variable("PHOTOS_BUCKET_NAME")),
            "-",
        ]);
        assert_eq!(object, CONTENT);
        let everything = [
            self.stage.aws_ok(&["iam", "list-roles"]),
            self.stage.aws_ok(&["lambda", "list-functions"]),
            self.stage.aws_ok(&["s3api", "list-buckets"]),
            self.stage.keys("PHOTOS_BUCKET_NAME").into_iter().collect(),
        ];
        for list in everything {
            assert!(!list.contains("attack"), "{list}");
        }
        let orders = self.stage.get("ORDERS_URL", "/orders");
        assert!(orders.body.contains("of-the-owner"), "{orders:?}");
        assert_eq!(self.stage.get("SHOP_URL", "/").status, 200);
    }
}

/// An access key, with its secret.
#[derive(Debug, Clone)]
pub(crate) struct KeyPair {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) account: &'static str,
}

impl KeyPair {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "id": self.id,
            "secret": self.secret,
            "token": self.token,
            "account": self.account,
        })
    }
}

pub(crate) fn port(url: &str) -> u16 {
    let authority = url.trim_start_matches("http://").split('/').next().unwrap();
    authority.rsplit(':').next().unwrap().parse().unwrap()
}

/// The environment that a process was started with.
pub(crate) fn environment(process: u32) -> Vec<(String, String)> {
    let variables = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    let variables = String::from_utf8_lossy(&variables);
    variables
        .split('\0')
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What comes behind the host and port of an address.
pub(crate) fn secret_path(address: &str) -> Option<String> {
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    Some(address.split_once('/')?.1.to_owned())
}
