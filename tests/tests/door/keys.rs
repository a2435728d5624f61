//! Keys: whoever has the owner's is served, and nobody else.

use std::os::unix::fs::PermissionsExt;

use acceptance::http_get;
use acceptance::strangers::{Request, arguments};
use serde_json::Value;

use crate::assert_none;
use crate::target::{CONTENT, KEY, Stages, environment, secret_path};

pub(crate) fn the_owner_is_served(stages: &Stages) {
    let target = stages.plain();
    let stage = &target.stage;
    stage.aws_ok(&["sts", "get-caller-identity"]);
    target.assert_untouched();

    // By whatever name a tool calls this machine.
    let bucket = stage.variable("PHOTOS_BUCKET_NAME");
    let endpoint = format!("http://localhost:{}", target.emulator());
    let list = ["s3api", "list-objects-v2", "--bucket", bucket];
    let listed = stage.aws_ok(&[&list[..], &["--endpoint-url", &endpoint]].concat());
    assert!(listed.contains(KEY), "{listed}");
    let url = stage.aws_ok(&["s3", "presign", &format!("s3://{bucket}/{KEY}")]);
    let presigned = http_get(url.trim());
    assert_eq!(presigned.body, CONTENT, "{presigned:?}");

    for variable in ["SHOP_URL", "ORDERS_URL"] {
        let port = target.port(variable);
        let path = if variable == "SHOP_URL" {
            "/"
        } else {
            "/orders"
        };
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "LOCALHOST",
            "shop.localhost",
        ] {
            let host = format!("{host}:{port}");
            let answer = Request::new("GET", path).host(&host).send(port);
            assert_eq!(answer.status(), Some(200), "{host}: {answer}");
        }
    }
}

pub(crate) fn keys_are_random_and_in_a_file_of_the_owner(stages: &Stages) {
    let secrets = [stages.plain(), stages.chaos()].map(|target| {
        let stage = &target.stage;
        let id = stage.variable("AWS_ACCESS_KEY_ID");
        let secret = stage.variable("AWS_SECRET_ACCESS_KEY");
        assert!(
            id.len() >= 16 && secret.len() >= 32,
            "{id}: {} bytes",
            secret.len()
        );
        let state = stage.directory().join("stage.json");
        let mode = std::fs::metadata(&state).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "stage.json has mode {mode:o}");
        let state: Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
        assert_eq!(state["access_key_id"], id);
        assert_eq!(state["secret_access_key"], secret);
        (id.to_owned(), secret.to_owned())
    });
    assert_ne!(secrets[0].0, secrets[1].0);
    assert_ne!(secrets[0].1, secrets[1].1);
}

pub(crate) fn known_and_guessed_keys_are_refused(stages: &Stages) {
    let target = stages.plain();
    let calls: [&[&str]; 3] = [
        &["sts", "get-caller-identity"],
        &["s3api", "list-buckets"],
        &["dynamodb", "list-tables"],
    ];
    let mut served = Vec::new();
    for key in [target.known_keys(), target.guessed_keys()].concat() {
        for call in calls {
            let mut command = target.stage.aws(call);
            command
                .env("AWS_ACCESS_KEY_ID", &key.id)
                .env("AWS_SECRET_ACCESS_KEY", &key.secret)
                .env("AWS_MAX_ATTEMPTS", "1");
            if let Some(token) = &key.token {
                command.env("AWS_SESSION_TOKEN", token);
            }
            let output = command.output().unwrap();
            let message = acceptance::both(&output);
            let refused = [
                "InvalidClientTokenId",
                "InvalidAccessKeyId",
                "SignatureDoesNotMatch",
            ]
            .iter()
            .chain(&["UnrecognizedClientException", "InvalidSignatureException"])
            .any(|code| message.contains(code));
            if output.status.success() || !refused {
                served.push(format!("{} {}: {message}", key.name, call[1]));
            }
        }
    }
    assert_none("calls are not refused for their key", &served);
}

pub(crate) fn no_secret_is_among_arguments(stages: &Stages) {
    for target in [stages.plain(), stages.chaos()] {
        let stage = &target.stage;
        let secret = stage.variable("AWS_SECRET_ACCESS_KEY");
        assert!(secret.len() >= 32, "{secret} is not a secret");
        let mut secrets = vec![secret.to_owned()];
        let chaos = stage.variables.get("CHAOS_URL");
        secrets.extend(chaos.and_then(|url| secret_path(url)));
        for process in target.processes() {
            for (name, value) in environment(process) {
                match name.as_str() {
                    "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" => secrets.push(value),
                    "AWS_LAMBDA_RUNTIME_API" => secrets.extend(secret_path(&value)),
                    _ => {}
                }
            }
        }
        for process in target.processes() {
            let arguments = arguments(process);
            for secret in &secrets {
                assert!(
                    !arguments.contains(secret),
                    "a secret is among: {arguments}"
                );
            }
        }
    }
}
