//! Two who deploy one stack at the same time do not corrupt it: whenever one of them is
//! overtaken by the other, the stack is afterwards what one of them wanted, whole.
//!
//! Run with `--nocapture`, it prints where the one was overtaken, and how both ended.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use acceptance::small_stack::{Ground, Run, operation, stack_name, try_each};

const PROGRAM: &str = env!("CARGO_BIN_EXE_small-stack");

/// What the overtaken one and the other do, and to what.
#[derive(Debug, Clone, Copy)]
enum Meeting {
    /// Both create the stack.
    BothCreate,
    /// Both update it, to the same.
    BothUpdateAlike,
    /// One updates it to version 2; the other repairs version 1, which is deployed.
    UpdateAndRestore,
    /// One deletes it while the other updates it.
    DeleteAndUpdate,
}

use Meeting::{BothCreate, BothUpdateAlike, DeleteAndUpdate, UpdateAndRestore};

/// Before which call of the one the other comes and goes. Two creations are not tried with a
/// change set between them: the emulator makes a second stack of the same name then.
const ENCOUNTERS: &[(Meeting, &str, u64)] = &[
    (BothCreate, "PutObject", 1),
    (BothCreate, "CreateChangeSet", 1),
    (BothCreate, "DescribeStackEvents", 2),
    (BothUpdateAlike, "GetTemplate", 1),
    (BothUpdateAlike, "CreateChangeSet", 1),
    (BothUpdateAlike, "DescribeChangeSet", 1),
    (BothUpdateAlike, "ExecuteChangeSet", 1),
    (BothUpdateAlike, "DescribeStackEvents", 2),
    (BothUpdateAlike, "GetFunctionConfiguration", 3),
    (UpdateAndRestore, "CreateChangeSet", 1),
    (UpdateAndRestore, "DescribeChangeSet", 1),
    (UpdateAndRestore, "ExecuteChangeSet", 1),
    (UpdateAndRestore, "DescribeStackEvents", 2),
    (UpdateAndRestore, "GetFunctionConfiguration", 3),
    (DeleteAndUpdate, "ListStackResources", 1),
    (DeleteAndUpdate, "DeleteObjects", 1),
    (DeleteAndUpdate, "DeleteStack", 1),
];

#[test]
fn whoever_is_overtaken_the_stack_is_whole() {
    let ground = Ground::start();
    try_each(ENCOUNTERS, |encounter, app| {
        try_encounter(&ground, encounter, app)
    });
}

fn try_encounter(ground: &Ground, encounter: (Meeting, &'static str, u64), app: &str) -> String {
    let (meeting, held, number) = encounter;
    let (one, other): (&[&str], &[&str]) = match meeting {
        BothCreate => (&["deploy", "1"], &["deploy", "1"]),
        BothUpdateAlike => (&["deploy", "2"], &["deploy", "2"]),
        UpdateAndRestore => (&["deploy", "2"], &["deploy", "1"]),
        DeleteAndUpdate => (&["delete"], &["deploy", "2"]),
    };
    ground.run(PROGRAM, app, &["deploy", "1"]).succeeded();
    match meeting {
        BothCreate => {
            ground.run(PROGRAM, app, &["delete"]).succeeded();
        }
        UpdateAndRestore => ground.replace_code(app, "writer", 2),
        _ => ground.fill_bucket(app),
    }
    let (first, second) = overtake(ground, app, one, other, held, number);
    let what = format!("{app}, {meeting:?} before {held} {number}");
    for run in [&first, &second] {
        let clear = run.code == Some(0) || run.told.lines().any(|line| line.starts_with("hint: "));
        assert!(clear, "{what}: {first:?} {second:?}");
    }
    // The stack is what one of them wanted, and who did not get his way can have it now.
    let stack = stack_name(app);
    if ground.settled(&stack) == "no stack" {
        assert!(matches!(meeting, DeleteAndUpdate), "{what}");
        ground.run(PROGRAM, app, &["delete"]).succeeded();
        ground.assert_deleted(app, &what);
    } else {
        let version = ground.version(app);
        ground.assert_deployed(app, version, &what);
        let again = ground.run(PROGRAM, app, &["deploy", &version.to_string()]);
        assert_eq!(again.outcome, "unchanged", "{what}: {again:?}");
    }
    ground.run(PROGRAM, app, one).succeeded();
    format!(
        "{:<16} | before {:<26} | {} | {}",
        format!("{meeting:?}"),
        format!("{held} {number}"),
        ending(&first),
        ending(&second),
    )
}

/// Runs the one until it comes to a call, then the other to its end, then the one to its end.
fn overtake(
    ground: &Ground,
    app: &str,
    one: &[&str],
    other: &[&str],
    held: &'static str,
    number: u64,
) -> (Run, Run) {
    let count = AtomicU64::new(0);
    let command = Mutex::new(ground.command(PROGRAM, ground.endpoint(), app, other));
    let overtaker = Arc::new(Mutex::new(None));
    let ended = Arc::clone(&overtaker);
    let first = ground.run_behind(PROGRAM, app, one, move |call, _| {
        if operation(call) == held && count.fetch_add(1, Ordering::SeqCst) + 1 == number {
            let output = command.lock().unwrap().output().unwrap();
            *ended.lock().unwrap() = Some(Run::of(&output));
        }
        None
    });
    let second = overtaker.lock().unwrap().take();
    let second = second.unwrap_or_else(|| panic!("{one:?} does not call {held}: {first:?}"));
    (first, second)
}

fn ending(run: &Run) -> String {
    if run.code == Some(0) {
        return run.outcome.clone();
    }
    let errors = run.told.lines().filter(|line| line.starts_with("error: "));
    errors.collect()
}
