//! What the console costs a stage: one without it, one with it and nobody who looks, and one with a page open.
//!
//! `cargo bench -p acceptance --bench console_cost --profile dev`, which compiles no dependency anew. Each figure is the
//! median over starts of a stage, with the smallest and the largest of them. Memory is what is resident at the end, on Linux.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

mod library;

use std::fs;
use std::time::{Duration, Instant};

use acceptance::webdriver::Window;
use acceptance::workspace;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;

use crate::library::Stage;

/// Starts of a stage for each way to run it, by turns.
const STARTS: usize = 5;
/// Uploads that do not count: functions and models start.
const FIRST_UPLOADS: usize = 5;
const UPLOADS: usize = 25;
const REQUESTS: usize = 1_500;

#[derive(Clone, Copy)]
enum Way {
    Without,
    With,
    PageOpen,
}

#[derive(Default)]
struct Figures {
    upload_ms: Vec<f64>,
    requests_a_second: Vec<f64>,
    stage_mb: Vec<f64>,
    emulator_mb: Vec<f64>,
}

fn main() {
    let ways = [
        (Way::Without, "without the console"),
        (Way::With, "with it, no page open"),
        (Way::PageOpen, "with a page open"),
    ];
    let mut figures = ways.map(|_| Figures::default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for _ in 0..STARTS {
        for ((way, _), figures) in ways.iter().zip(&mut figures) {
            measure(*way, &runtime, figures);
        }
    }
    println!(
        "{:<22} {:>22} {:>16} {:>18} {:>18}",
        "", "upload to item, ms", "requests/s", "stage, MB", "emulator, MB"
    );
    for ((_, name), figures) in ways.iter().zip(figures) {
        println!(
            "{name:<22} {:>22} {:>16} {:>18} {:>18}",
            spread(figures.upload_ms),
            spread(figures.requests_a_second),
            spread(figures.stage_mb),
            spread(figures.emulator_mb),
        );
    }
    println!(
        "medians (from, to) of {STARTS} starts, {UPLOADS} uploads and {REQUESTS} requests in each"
    );
}

fn measure(way: Way, runtime: &tokio::runtime::Runtime, figures: &mut Figures) {
    let mut stage = match way {
        Way::Without => Stage::start_with(&["--no-console"]),
        Way::With | Way::PageOpen => Stage::start(),
    };
    let window = match way {
        Way::PageOpen => Window::open(1360, 950),
        Way::Without | Way::With => None,
    };
    if let Some(window) = &window {
        let url = stage.variable("CONSOLE_URL");
        window.go(url);
        window.go(&format!("{}/events", url.split_once("/?").unwrap().0));
    } else if matches!(way, Way::PageOpen) {
        println!("This machine has no chromium and chromedriver: no page is open.");
    }
    let mut uploads = Vec::new();
    for n in 0..FIRST_UPLOADS + UPLOADS {
        let took = runtime.block_on(upload(&stage, &format!("{n}.jpg")));
        if n >= FIRST_UPLOADS {
            uploads.push(took.as_secs_f64() * 1e3);
        }
    }
    figures.upload_ms.push(median(uploads));
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    let url = stage.variable("API_URL");
    let started = Instant::now();
    for _ in 0..REQUESTS {
        let mut answer = agent.get(url).call().unwrap();
        answer.body_mut().read_to_string().unwrap();
    }
    let rate = REQUESTS as f64 / started.elapsed().as_secs_f64();
    figures.requests_a_second.push(rate);
    figures.stage_mb.push(resident_mb(stage.process_id()));
    figures.emulator_mb.push(resident_mb(emulator_of(&stage)));
    stage.stop();
}

/// From the request to the item.
async fn upload(stage: &Stage, key: &str) -> Duration {
    let photo = ByteStream::from_path(workspace().join("assets/sample.jpg"));
    let (s3, dynamodb) = (stage.s3(), stage.dynamodb());
    let photo = photo.await.unwrap();
    let started = Instant::now();
    let put = s3.put_object().bucket(stage.variable("MEDIA_BUCKET_NAME"));
    put.key(key).body(photo).send().await.unwrap();
    loop {
        let get = dynamodb
            .get_item()
            .table_name(stage.variable("MEDIA_TABLE_NAME"));
        let got = get.key("name", AttributeValue::S(key.to_owned()));
        if got.send().await.unwrap().item.is_some() {
            return started.elapsed();
        }
        assert!(
            started.elapsed() < acceptance::EVENT_PATIENCE,
            "{key} has no item"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The stage's child that runs the emulator's script.
fn emulator_of(stage: &Stage) -> u32 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let of_stage = format!("PPid:\t{}\n", stage.process_id());
    ids.find(|id| {
        let read = |name: &str| fs::read_to_string(format!("/proc/{id}/{name}"));
        read("status").is_ok_and(|status| status.contains(&of_stage))
            && read("cmdline").is_ok_and(|command| command.contains("emulator.py"))
    })
    .unwrap_or_default()
}

fn resident_mb(process_id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}

/// The median, with the smallest and the largest figure.
fn spread(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let (first, last) = (figures[0], figures[figures.len() - 1]);
    format!("{:.0} ({first:.0}, {last:.0})", median(figures))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
