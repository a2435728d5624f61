//! The deploy engine where one of five calls fails, as AWS's services fail: deploying,
//! updating, rolling back and deleting end right all the same.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use acceptance::small_stack::{Ground, Run, operation};
use local::{Call, Effect, Fault, Seed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_small-stack");

/// The share of calls that fail.
const FAILING: f64 = 0.2;

const SEEDS: [u64; 6] = [1, 2, 3, 4, 5, 6];

#[test]
fn all_ends_right_where_one_of_five_calls_fails() {
    let ground = Ground::start();
    std::thread::scope(|scope| {
        for seed in SEEDS {
            let ground = &ground;
            scope.spawn(move || Weather::new(ground, seed).endure());
        }
    });
}

/// An app, and what happens to its calls.
struct Weather<'a> {
    ground: &'a Ground,
    seed: u64,
    app: String,
    calls: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl<'a> Weather<'a> {
    fn new(ground: &'a Ground, seed: u64) -> Self {
        Self {
            ground,
            seed,
            app: format!("seed{seed}"),
            calls: Arc::default(),
            failed: Arc::default(),
        }
    }

    fn endure(&self) {
        let Self { ground, app, .. } = self;
        self.run(&["deploy", "1"], "deployed");
        ground.assert_deployed(app, 1, &self.what("deploy"));
        self.run(&["deploy", "2"], "deployed");
        ground.assert_deployed(app, 2, &self.what("update"));
        self.run(&["rollback"], "deployed");
        ground.assert_deployed(app, 1, &self.what("rollback"));
        self.run(&["hotswap", "2"], "hotswapped");
        self.run(&["deploy", "1"], "repaired");
        ground.assert_deployed(app, 1, &self.what("repair"));
        ground.fill_bucket(app);
        self.run(&["delete"], "deleted");
        ground.assert_deleted(app, &self.what("delete"));
        let (calls, failed) = (&self.calls, &self.failed);
        let (calls, failed) = (
            calls.load(Ordering::Relaxed),
            failed.load(Ordering::Relaxed),
        );
        println!("seed {}: {failed} of {calls} calls failed", self.seed);
        assert!(failed * 10 > calls, "only {failed} of {calls} calls failed");
    }

    fn what(&self, verb: &str) -> String {
        format!("seed {}, {verb}", self.seed)
    }

    /// Runs a verb, which must succeed; its outcome begins as it should.
    fn run(&self, verb: &[&str], outcome: &str) -> Run {
        let seed: Seed = self.seed.to_string().parse().unwrap();
        let (calls, failed) = (Arc::clone(&self.calls), Arc::clone(&self.failed));
        let decide = move |call: &Call, _: u32| {
            // Numbered over all runs: every run has other faults.
            let number = calls.fetch_add(1, Ordering::Relaxed);
            if seed.fraction("does it fail", operation(call), number) >= FAILING {
                return None;
            }
            failed.fetch_add(1, Ordering::Relaxed);
            Some(match number % 4 {
                0 => Fault::Throttled,
                1 => Fault::InternalError(Effect::Missing),
                2 => Fault::Unavailable(Effect::Done),
                _ => Fault::Disconnected(Effect::Done),
            })
        };
        let run = self.ground.run_behind(PROGRAM, &self.app, verb, decide);
        assert_eq!(run.code, Some(0), "{}: {run:?}", self.what(verb[0]));
        assert!(
            run.outcome.starts_with(outcome),
            "{}: {run:?}",
            self.what(verb[0])
        );
        run
    }
}
