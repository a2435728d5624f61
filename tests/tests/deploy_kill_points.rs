//! The deploy engine, killed in the middle of every phase: whatever is found then, the next
//! run of the same command brings the stack to where the first was going.
//!
//! Run with `--nocapture`, it prints the table: what was killed when, what was found, and what
//! the next run did.
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use acceptance::small_stack::{Ground, Run, bootstrap_stack_name, operation, stack_name, try_each};
use acceptance::{Stage, both, eventually, run_behind, signal};
use local::{Call, Effect, Fault};

const PROGRAM: &str = env!("CARGO_BIN_EXE_small-stack");

/// What is under way when the program is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// The first deployment of all, which makes the bootstrap stack.
    First,
    /// A deployment that creates the stack.
    Create,
    /// One that changes the queue and the functions' code.
    Update,
    /// One that finds other code in a function than was deployed.
    Repair,
    /// A deletion, with objects in the bucket.
    Delete,
}

/// When, seen from the call.
#[derive(Clone, Copy)]
enum Moment {
    /// The endpoint has not seen the call.
    Before,
    /// The endpoint has done what was asked, and the program has not had the answer. Its
    /// connection is cut, and it is killed as it asks again.
    After,
}

#[derive(Clone, Copy)]
struct KillPoint {
    scene: Scene,
    phase: &'static str,
    operation: &'static str,
    /// Which call of the operation, from 1.
    number: u64,
    moment: Moment,
    signal: &'static str,
}

const fn kill(
    scene: Scene,
    phase: &'static str,
    moment: Moment,
    operation: &'static str,
    number: u64,
) -> KillPoint {
    KillPoint {
        scene,
        phase,
        operation,
        number,
        moment,
        signal: "KILL",
    }
}

/// Ctrl-C.
const fn interrupt(mut point: KillPoint) -> KillPoint {
    point.signal = "INT";
    point
}

use Moment::{After, Before};
use Scene::{Create, Delete, First, Repair, Update};

const KILL_POINTS: &[KillPoint] = &[
    kill(First, "bootstrap", Before, "CreateChangeSet", 1),
    kill(First, "bootstrap", After, "CreateChangeSet", 1),
    kill(First, "bootstrap", Before, "ExecuteChangeSet", 1),
    kill(First, "bootstrap", After, "ExecuteChangeSet", 1),
    kill(First, "bootstrap", Before, "DescribeStackEvents", 2),
    kill(First, "publish", Before, "PutObject", 1),
    interrupt(kill(First, "bootstrap", After, "ExecuteChangeSet", 1)),
    kill(Create, "publish", Before, "HeadObject", 2),
    kill(Create, "publish", After, "PutObject", 1),
    kill(Create, "plan", Before, "CreateChangeSet", 1),
    kill(Create, "plan", After, "CreateChangeSet", 1),
    kill(Create, "plan", Before, "DescribeChangeSet", 1),
    kill(Create, "execute", Before, "ExecuteChangeSet", 1),
    kill(Create, "execute", After, "ExecuteChangeSet", 1),
    kill(Create, "execute", Before, "DescribeStackEvents", 2),
    interrupt(kill(Create, "publish", After, "PutObject", 1)),
    interrupt(kill(Create, "plan", After, "CreateChangeSet", 1)),
    interrupt(kill(Create, "execute", After, "ExecuteChangeSet", 1)),
    kill(Update, "publish", After, "PutObject", 1),
    kill(Update, "plan", Before, "ListChangeSets", 1),
    kill(Update, "plan", Before, "GetTemplate", 1),
    kill(Update, "plan", Before, "CreateChangeSet", 1),
    kill(Update, "plan", After, "CreateChangeSet", 1),
    kill(Update, "plan", Before, "DescribeChangeSet", 1),
    // The first two are the functions' code.
    kill(Update, "record", Before, "PutObject", 3),
    kill(Update, "record", After, "PutObject", 3),
    kill(Update, "execute", Before, "ExecuteChangeSet", 1),
    kill(Update, "execute", After, "ExecuteChangeSet", 1),
    kill(Update, "execute", Before, "DescribeStackEvents", 2),
    interrupt(kill(Update, "execute", After, "ExecuteChangeSet", 1)),
    kill(Repair, "code", Before, "GetFunctionConfiguration", 2),
    kill(Repair, "code", Before, "UpdateFunctionCode", 1),
    kill(Repair, "code", After, "UpdateFunctionCode", 1),
    kill(Repair, "code", Before, "GetFunctionConfiguration", 3),
    kill(Delete, "empty", Before, "ListStackResources", 1),
    kill(
        Delete,
        "empty",
        After,
        "PutBucketNotificationConfiguration",
        1,
    ),
    kill(Delete, "empty", Before, "ListObjectVersions", 1),
    kill(Delete, "empty", Before, "DeleteObjects", 1),
    kill(Delete, "empty", After, "DeleteObjects", 1),
    kill(Delete, "delete", Before, "DeleteStack", 1),
    kill(Delete, "delete", After, "DeleteStack", 1),
    kill(Delete, "delete", Before, "DescribeStackEvents", 2),
    kill(Delete, "artifacts", Before, "ListObjectVersions", 2),
    kill(Delete, "artifacts", Before, "DeleteObjects", 2),
    kill(Delete, "artifacts", After, "DeleteObjects", 2),
    kill(Delete, "search", Before, "DescribeLogGroups", 1),
    interrupt(kill(Delete, "empty", After, "DeleteObjects", 1)),
    interrupt(kill(Delete, "delete", After, "DeleteStack", 1)),
];

#[test]
fn the_next_run_ends_what_a_killed_one_began() {
    let ground = Ground::start();
    try_each(KILL_POINTS, |point, app| try_point(&ground, point, app));
}

/// Where the tool itself is killed, one deployment after the other, and the deletion before
/// them.
const TOOLS_KILL_POINTS: &[KillPoint] = &[
    kill(Delete, "delete", After, "DeleteStack", 1),
    kill(Create, "publish", After, "PutObject", 3),
    interrupt(kill(Create, "plan", After, "CreateChangeSet", 1)),
    kill(Create, "execute", After, "ExecuteChangeSet", 1),
];

#[test]
fn the_tool_ends_what_it_was_killed_in() {
    let stage = Stage::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outputs = |stage: &Stage| -> serde_json::Value {
        let info = stage.xtask_ok(&["info", "--json"]);
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        info["outputs"].clone()
    };
    let keys = |outputs: serde_json::Value| -> Vec<String> {
        outputs.as_object().unwrap().keys().cloned().collect()
    };
    let before = keys(outputs(&stage));
    for point in TOOLS_KILL_POINTS {
        let verb: &[&str] = match point.scene {
            Scene::Delete => &["delete", "--yes"],
            _ => &["deploy"],
        };
        let command = |url: &str| stage.xtask_behind(url, verb);
        let endpoint = stage.variable("AWS_ENDPOINT_URL");
        let killed = Run::of(&run_behind(&runtime, endpoint, command, kill_at(*point)));
        assert_eq!(killed.code, None, "{point} was not reached: {killed:?}");
        if point.scene == Scene::Delete {
            stage.xtask_ok(verb);
        }
    }
    stage.xtask_ok(&["deploy"]);
    let again = both(&stage.xtask(&["deploy"]).output().unwrap());
    assert!(again.contains("Unchanged"), "{again}");
    assert_eq!(keys(outputs(&stage)), before);
    eventually("the API answers", || {
        (stage.get("SHOP_URL", "/").status == 200).then_some(())
    });
}

/// A row of the table.
struct Row {
    point: KillPoint,
    found: String,
    next: String,
}

fn try_point(ground: &Ground, point: KillPoint, app: &str) -> Row {
    let (verb, version): (&[&str], u32) = match point.scene {
        Scene::First | Scene::Create => (&["deploy", "1"], 1),
        Scene::Update => (&["deploy", "2"], 2),
        Scene::Repair => (&["deploy", "1"], 1),
        Scene::Delete => (&["delete"], 1),
    };
    set(ground, point.scene, app);
    let what = format!("{app}, {point}");
    let killed = run_and_kill(ground, point, app, verb);
    let signal = if point.signal == "KILL" { 9 } else { 2 };
    assert_eq!(
        (killed.code, killed.signal),
        (None, Some(signal)),
        "{what}: the point was not reached: {killed:?}"
    );
    let found = found(ground, app);
    let next = ground.run(PROGRAM, app, verb);
    assert_eq!(next.code, Some(0), "{what}: found {found}: {next:?}");
    let again = ground.run(PROGRAM, app, verb);
    if point.scene == Scene::Delete {
        ground.assert_deleted(app, &what);
        assert_eq!(again.outcome, "absent", "{what}");
    } else {
        ground.assert_deployed(app, version, &what);
        assert_eq!(again.outcome, "unchanged", "{what}: {again:?}");
    }
    Row {
        point,
        found,
        next: summary(&next),
    }
}

/// Sets the scene.
fn set(ground: &Ground, scene: Scene, app: &str) {
    if scene == Scene::First {
        return;
    }
    ground.run(PROGRAM, app, &["deploy", "1"]).succeeded();
    match scene {
        Scene::First | Scene::Update => {}
        Scene::Create => {
            ground.run(PROGRAM, app, &["delete"]).succeeded();
        }
        Scene::Repair => ground.replace_code(app, "writer", 2),
        Scene::Delete => ground.fill_bucket(app),
    }
}

/// Runs the program until it comes to the point, and is killed there.
fn run_and_kill(ground: &Ground, point: KillPoint, app: &str, verb: &[&str]) -> Run {
    ground.run_behind(PROGRAM, app, verb, kill_at(point))
}

/// Kills the program at the point, and lets nothing that it asks for happen afterwards.
fn kill_at(point: KillPoint) -> impl Fn(&Call, u32) -> Option<Fault> + Send + Sync + 'static {
    let (count, dead) = (AtomicU64::new(0), AtomicBool::new(false));
    move |call, process_id| {
        if dead.load(Ordering::SeqCst) {
            return Some(Fault::Disconnected(Effect::Missing));
        }
        if operation(call) != point.operation {
            return None;
        }
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let last = match point.moment {
            Moment::Before => point.number,
            Moment::After if number == point.number => {
                return Some(Fault::Disconnected(Effect::Done));
            }
            Moment::After => point.number + 1,
        };
        if number != last {
            return None;
        }
        dead.store(true, Ordering::SeqCst);
        signal(point.signal, process_id);
        Some(Fault::Disconnected(Effect::Missing))
    }
}

/// The states of the stacks, and the change sets that nobody has executed.
fn found(ground: &Ground, app: &str) -> String {
    let shown = |name: &str, stack: &str| {
        let (state, change_sets) = ground.state(stack);
        match change_sets {
            0 => format!("{name}{state}"),
            count => format!("{name}{state}, {count} change set"),
        }
    };
    let bootstrap = bootstrap_stack_name(app);
    if ground.state(&bootstrap).0 == "CREATE_COMPLETE" {
        shown("", &stack_name(app))
    } else {
        shown("bootstrap: ", &bootstrap)
    }
}

/// The steps of a run that are not those of every run, and its outcome.
fn summary(run: &Run) -> String {
    let mut steps: Vec<&str> = run
        .told
        .lines()
        .filter_map(|line| line.split([' ', '(', '{']).next())
        .filter(|step| !["Phase", "AlreadyUploaded"].contains(step))
        .collect();
    steps.dedup();
    steps.push(&run.outcome);
    steps.join(", ")
}

impl fmt::Display for KillPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scene = match self.scene {
            Scene::First => "first",
            Scene::Create => "create",
            Scene::Update => "update",
            Scene::Repair => "repair",
            Scene::Delete => "delete",
        };
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        let point = format!("{moment} {} {}", self.operation, self.number);
        write!(
            f,
            "{:<4} | {scene:<6} | {:<9} | {point:<43}",
            self.signal, self.phase
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {:<43} | {}", self.point, self.found, self.next)
    }
}
