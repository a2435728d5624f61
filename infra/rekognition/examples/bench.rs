//! Prints how long the labels of a picture take, and how much memory: `bench MODEL PICTURE...`.

use std::{env, fs, path::PathBuf, time::Instant};

use anyhow::Context;
use rekognition_local::{classifier::Classifier, picture};

const RUNS: usize = 200;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let model = arguments.next().context("usage: bench MODEL PICTURE...")?;
    let started = Instant::now();
    let classifier = Classifier::load(&model)?;
    println!(
        "load       {:7.1} ms, peak memory {}",
        milliseconds(started),
        peak_memory()
    );
    for path in arguments {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (mut decode, mut detect) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let started = Instant::now();
            let picture = picture::decode(&bytes)?;
            decode.push(milliseconds(started));
            let started = Instant::now();
            let labels = classifier.detect(&picture).len();
            detect.push(milliseconds(started));
            anyhow::ensure!(labels > 0, "no labels");
        }
        println!(
            "{} ({RUNS} runs), peak memory {}",
            path.display(),
            peak_memory()
        );
        for (what, mut times) in [("decode", decode), ("classify", detect)] {
            times.sort_by(f64::total_cmp);
            println!(
                "  {what:8} p50 {:7.1} ms, p99 {:7.1} ms",
                times[RUNS / 2],
                times[RUNS * 99 / 100]
            );
        }
        for found in classifier
            .detect(&picture::decode(&bytes)?)
            .iter()
            .take_while(|found| found.confidence >= 50.0)
        {
            println!("  {:5.1} {}", found.confidence, found.label.name);
        }
    }
    Ok(())
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// The largest resident set so far, where the system tells it.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |size| size.trim().to_owned())
}
