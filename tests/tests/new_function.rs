//! `cargo xtask new function`: what it writes works at once, and what fails leaves nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use acceptance::copy::Copy;
use acceptance::{Stage, eventually};

/// The exit code, and what is told.
fn new_function(copy: &Copy, arguments: &[&str]) -> (i32, String) {
    let arguments = [&["new", "function"], arguments].concat();
    let output = copy.xtask(&arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), said)
}

/// The files of the example, and the lock file.
fn files(copy: &Copy) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                add(&entry.unwrap().path(), files);
            }
            // An empty folder would be left over as well.
            files.insert(path.to_owned(), Vec::new());
        } else {
            files.insert(path.to_owned(), std::fs::read(path).unwrap());
        }
    }
    let mut found = BTreeMap::new();
    add(&copy.root().join("tests/example"), &mut found);
    add(&copy.root().join("Cargo.lock"), &mut found);
    found
}

fn example_copy() -> Copy {
    Copy::new(&["shop", "shop-xtask"])
}

#[test]
fn all_that_is_wrong_is_told_and_nothing_is_written() {
    let copy = example_copy();
    let before = files(&copy);
    let (code, said) = new_function(
        &copy,
        &[
            "ship-order",
            "--on",
            "stream:order",
            "--on",
            "object-created:films",
        ],
    );
    assert_eq!(code, 2, "{said}");
    for error in [
        "tests/example/functions/ship-order is there already and not empty\n",
        "the workspace has a package `ship-order`: choose another name\n",
        "the app has a function `ship-order` already, declared at tests/example/src/lib.rs:",
        "`stream:order`: the app declares no table `order`; did you mean `orders`?\n",
        "`object-created:films`: the app declares no bucket `films`: it declares photos, receipts\n",
    ] {
        assert!(said.contains(error), "{error}{said}");
    }
    for name in ["tokio", "match", "test", "Pay"] {
        let (code, said) = new_function(&copy, &[name, "--on", "invoke"]);
        assert_eq!(code, 2, "{name}: {said}");
    }
    assert!(files(&copy) == before);

    // Cargo has built the declaration before the rule is broken that S3 notifies one function.
    let (code, said) = new_function(&copy, &["tidy", "--on", "object-created:photos"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("S3 notifies one of each event"), "{said}");
    assert!(said.contains("could not write the policies"), "{said}");
    assert!(files(&copy) == before);

    let source = "tests/example/src/lib.rs";
    copy.edit(source, "\n    app\n}", "\n    return app;\n}");
    let before = files(&copy);
    let (code, said) = new_function(&copy, &["pay", "--on", "topic:bills"]);
    assert_eq!(code, 1, "{said}");
    for line in [
        "    let bills_topic = app.topic(\"bills\").variable(\"BILLS_TOPIC_ARN\");\n",
        "    app.function(\"pay\").trigger(bills_topic.published());\n",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(files(&copy) == before);
}

#[test]
fn functions_run_on_real_events_at_once() {
    let copy = example_copy();
    for arguments in [
        ["pay", "--on", "topic:bills"].as_slice(),
        &[
            "show-cart",
            "--on",
            "GET:shop/carts/{id}",
            "--on",
            "POST:shop/carts",
        ],
    ] {
        let (code, said) = new_function(&copy, arguments);
        assert_eq!(code, 0, "{said}");
        for next in ["cargo xtask ci ", "cargo xtask generate-event "] {
            assert!(said.contains(next), "{said}");
        }
    }
    let example = copy.root().join("tests/example");
    let written = |file: &str| std::fs::read_to_string(example.join(file)).unwrap();
    let declared = written("src/lib.rs");
    for part in [
        "    let bills_topic = app.topic(\"bills\").variable(\"BILLS_TOPIC_ARN\");\n\n    app.function",
        "    app.function(\"show-cart\")\n        .trigger(shop.get(\"/carts/{id}\"))\n        .trigger(shop.post(\"/carts\"));\n\n    app\n}\n",
    ] {
        assert!(declared.contains(part), "{part}{declared}");
    }
    assert!(written("policies/pay.json").contains("logs:PutLogEvents"));
    assert!(written("assets/events/pay.json").contains("\"aws:sns\""));

    let stage = Stage::of(copy.program(), &[]);
    assert_eq!(
        stage.get("SHOP_URL", "/carts/7").body,
        r#"{"message":"Hello from show-cart"}"#
    );
    let topic = stage.variable("BILLS_TOPIC_ARN");
    let publish = [
        "sns",
        "publish",
        "--topic-arn",
        topic,
        "--message",
        r#"{"id": "42"}"#,
    ];
    stage.aws_ok(&publish);
    eventually("the message is handled", || {
        let log = stage.xtask_ok(&["logs", "pay", "--filter", "handled"]);
        log.contains(r#""id":"42""#).then_some(())
    });
}

/// Whatever invokes a function, what it begins as passes every check.
#[test]
#[ignore = "takes minutes: builds the dependencies of functions for their tests and lints"]
fn long_a_function_of_each_kind_passes_its_checks() {
    let copy = example_copy();
    let mut names = Vec::new();
    for trigger in manifest::trigger_usages() {
        let word = trigger.usage.split(':').next().unwrap();
        let on = match word {
            "object-created" | "object-removed" => format!("{word}:receipts"),
            "stream" => "stream:photos".to_owned(),
            "GET" | "POST" => format!("{word}:shop/carts"),
            "event" | "queue" | "topic" => format!("{word}:new-things"),
            _ => trigger.example,
        };
        let name = format!("new-{}", word.to_lowercase());
        let (code, said) = new_function(&copy, &[&name, "--on", &on]);
        assert_eq!(code, 0, "{on}: {said}");
        names.push(name);
    }
    for name in names {
        let output = acceptance::xtask(&copy.program(), &["ci", &name]);
        let output = { output }.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    }
}
