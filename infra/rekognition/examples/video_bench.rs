//! Prints how long a video takes and how much memory: `video_bench VIDEO [MODEL DETECTOR]`; without
//! weights it is only decoded.
use std::{env, fs::File, io, time::Instant};

use anyhow::Context;
use rekognition_local::{labeller::Labeller, video};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1);
    let path = arguments
        .next()
        .context("usage: video_bench VIDEO [MODEL DETECTOR]")?;
    let labeller = arguments
        .next()
        .zip(arguments.next())
        .map(|(model, detector)| Labeller::load(model.as_ref(), detector.as_ref()))
        .transpose()?;
    let mut file = tempfile::tempfile()?;
    io::copy(&mut File::open(path)?, &mut file)?;
    let started = Instant::now();
    let video = video::open(&mut file)?;
    println!("index {:?}", started.elapsed());
    let (mut frames, mut labelling) = (0, std::time::Duration::ZERO);
    let metadata = video.sample(&mut file, |millis, picture| {
        frames += 1;
        if let Ok(directory) = env::var("FRAMES") {
            let _ = picture.save(format!("{directory}/{millis:06}.png"));
        }
        let at = Instant::now();
        if let Some(labeller) = &labeller {
            let found = labeller.detect(picture);
            let names: Vec<_> = found
                .iter()
                .take_while(|found| found.confidence >= 50.0)
                .map(|found| found.label.name)
                .collect();
            println!("{millis:6} ms {}", names.join(", "));
        }
        labelling += at.elapsed();
    })?;
    println!(
        "{metadata:?}\n{frames} frames in {:?}, of which labels {labelling:?}",
        started.elapsed()
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!(
        "{}",
        status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or_default()
    );
    Ok(())
}
