//! Prints how long a picture takes, model by model, and how much memory: `bench MODEL DETECTOR PICTURE...`.
//! RAYON_NUM_THREADS says on how many processors.

use std::{env, fs, hint::black_box, path::PathBuf, time::Instant};

use anyhow::Context;
use rekognition_local::{
    classifier::Classifier, detector::Detector, image_properties::Palette, labeller::Labeller,
    labels::Vocabulary, picture,
};

const RUNS: usize = 100;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let mut argument = || {
        arguments
            .next()
            .context("usage: bench MODEL DETECTOR PICTURE...")
    };
    let (model, weights) = (argument()?, argument()?);
    let vocabulary = Vocabulary::default();
    let classifier = Classifier::load(&model, &vocabulary)?;
    let detector = Detector::load(&weights, &vocabulary)?;
    let started = Instant::now();
    let labeller = Labeller::load(&model, &weights)?;
    println!(
        "load {:.1} ms, peak memory {}",
        milliseconds(started),
        peak_memory()
    );
    for path in arguments {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let picture = picture::decode(&bytes)?;
        println!("{} ({RUNS} runs)", path.display());
        measure("decode", || picture::decode(&bytes).is_ok());
        measure("classify", || classifier.probabilities(&picture));
        measure("detect", || detector.find(&picture));
        measure("label", || labeller.detect(&picture).len());
        measure("properties", || Palette::new(&picture).properties(&[], 10));
        println!("  peak memory {}", peak_memory());
        let labels = labeller.detect(&picture);
        for found in labels.iter().take_while(|found| found.confidence >= 50.0) {
            print!("  {:5.1} {}", found.confidence, found.label.name);
            for instance in &found.instances {
                let at = instance.bounds;
                print!(
                    " [{:.1} at {:.2} {:.2}, {:.2} x {:.2}]",
                    instance.confidence, at.left, at.top, at.width, at.height
                );
            }
            println!();
        }
    }
    Ok(())
}

fn measure<T>(what: &str, mut run: impl FnMut() -> T) {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            black_box(run());
            milliseconds(started)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (times[RUNS / 2], times[RUNS * 99 / 100]);
    println!("  {what:10} p50 {p50:7.1} ms, p99 {p99:7.1} ms");
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
