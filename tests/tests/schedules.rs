//! Schedules: by the clock, by hand, and what becomes of an event that Lambda does not take.
use std::collections::BTreeSet;

use acceptance::{Stage, both, eventually};
use serde_json::{Value, json};

/// The schedule that the stack has, as the emulator knows it.
fn of_the_stack(stage: &Stage) -> Value {
    let listed = stage.aws_json(&["scheduler", "list-schedules"]);
    let name = listed["Schedules"][0]["Name"].as_str().unwrap();
    stage.aws_json(&["scheduler", "get-schedule", "--name", name])
}

/// Creates a schedule that invokes a function by the role of the stack's.
fn create(stage: &Stage, name: &str, expression: &str, function: &str, zone: &str) {
    let mut target = of_the_stack(stage)["Target"].clone();
    let arn = target["Arn"].as_str().unwrap();
    target["Arn"] = arn.replace("take-stock", function).into();
    let input = target["Input"].as_str().unwrap();
    target["Input"] = input.replace("stock-taking", name).into();
    let create = ["scheduler", "create-schedule", "--name", name];
    let when = ["--schedule-expression", expression];
    let zone = ["--schedule-expression-timezone", zone];
    let window = ["--flexible-time-window", r#"{"Mode": "OFF"}"#];
    let target = ["--target", &target.to_string()];
    stage.aws_ok(&[&create[..], &when, &zone, &window, &target].concat());
}

/// What `take-stock` has written for a schedule.
fn taken(stage: &Stage, schedule: &str) -> BTreeSet<String> {
    let keys = stage.keys("RECEIPTS_BUCKET_NAME").into_iter();
    let prefix = format!("stock/{schedule}/");
    keys.filter(|key| key.starts_with(&prefix)).collect()
}

#[test]
fn a_schedule_invokes_its_function() {
    let stage = Stage::start();

    // The stack's own waits for a leap day.
    let target = of_the_stack(&stage);
    assert_eq!(target["ScheduleExpression"], "cron(0 3 29 2 ? *)");
    assert_eq!(target["ScheduleExpressionTimezone"], "Europe/Zurich");
    stage.xtask_ok(&["invoke", "--schedule", "stock-taking"]);
    assert_eq!(taken(&stage, "stock-taking").len(), 1);
    let misspelt = stage
        .xtask(&["invoke", "--schedule", "stock-takin"])
        .output();
    let misspelt = misspelt.unwrap();
    let told = both(&misspelt);
    assert_eq!(misspelt.status.code(), Some(2), "{told}");
    assert!(told.contains("did you mean `stock-taking`?"), "{told}");

    // A rate fires at once.
    create(&stage, "often", "rate(1 hour)", "take-stock", "UTC");
    eventually("a rate that fires", || {
        (!taken(&stage, "often").is_empty()).then_some(())
    });
    // What is over does not come again.
    create(
        &stage,
        "past",
        "at(2026-01-01T00:00:00)",
        "take-stock",
        "UTC",
    );
    // The role does not allow another function, which no other attempt can change.
    create(&stage, "denied", "rate(1 hour)", "serve-shop", "UTC");
    eventually("an event in the failure queue", || {
        (stage.failed_events("take-stock") == 1).then_some(())
    });
    stage.xtask_ok(&["wait"]);
    assert_eq!(taken(&stage, "often").len(), 1);
    assert_eq!(taken(&stage, "past").len(), 0);

    let shown = stage.xtask_ok(&["redrive", "take-stock", "--dry-run", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        shown["content"]["event"]["schedule"],
        json!("denied"),
        "{shown}"
    );
    assert_eq!(
        shown["error"]["errorType"], "AccessDeniedException",
        "{shown}"
    );
    stage.xtask_ok(&["redrive", "take-stock"]);
    assert_eq!(taken(&stage, "denied").len(), 1);
    assert_eq!(stage.failed_events("take-stock"), 0);
}
