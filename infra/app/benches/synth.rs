//! How long the way from declaration to template takes: `cargo bench -p app`, or
//! with `--profile dev` as `cargo xtask` is built.
#![allow(
    clippy::disallowed_methods,
    reason = "the crate is pure; a benchmark needs a clock"
)]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use app::app;
use manifest::Stages;

const RUNS: u32 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let stages = include_str!("../../stages.yaml");
    let started = Instant::now();
    for _ in 0..RUNS {
        let stage = Stages::parse(black_box(stages))?.get("prod")?;
        let app = app().resolve(&stage).map_err(|violations| {
            let violations: Vec<String> = violations.iter().map(ToString::to_string).collect();
            violations.join("\n")
        })?;
        black_box(app.synth());
    }
    let milliseconds = started.elapsed().as_secs_f64() * 1e3 / f64::from(RUNS);
    println!(
        "stages.yaml to template and policies: {milliseconds:.2} ms (mean of {RUNS}, one thread)"
    );
    Ok(())
}
