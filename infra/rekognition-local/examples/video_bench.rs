//! Prints how long a video takes and how much memory: `video_bench MODEL DETECTOR VIDEO...`.
//!
//! Ten seconds of 720p, with noise so that no frame is cheap, are made from the sample with
//!
//! ```sh
//! ffmpeg -stream_loop 2 -i assets/sample.mp4 -t 10 -vf "scale=1280:720,fps=30,noise=alls=12:allf=t" -pix_fmt yuv420p \
//!     -c:v libx264 -b:v 5M 720p.mp4
//! ```

use std::{
    env, fs,
    fs::File,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use rekognition_local::{labeller::Labeller, video};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: video_bench MODEL DETECTOR VIDEO...";
    let weights = arguments.next().zip(arguments.next());
    let (model, detector) = weights.context(usage)?;
    let labeller = Labeller::load(&model, &detector)?;
    for path in arguments {
        let mut file = tempfile::tempfile()?;
        let mut original =
            File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        io::copy(&mut original, &mut file)?;
        let (mut frames, mut labels, mut labelling) = (0_u32, 0, Duration::ZERO);
        let started = Instant::now();
        let metadata = video::open(&mut file)?.sample(&mut file, |_, picture| {
            let started = Instant::now();
            let found = labeller.detect(picture);
            labels += found
                .iter()
                .take_while(|found| found.confidence >= 50.0)
                .count();
            frames += 1;
            labelling += started.elapsed();
        })?;
        let all = started.elapsed();
        println!("{}: {metadata:?}", path.display());
        println!(
            "  {:.2} s: decoding {:.2} s, labelling {:.2} s, of {frames} frames with {labels} labels; peak memory {}",
            all.as_secs_f64(),
            (all - labelling).as_secs_f64(),
            labelling.as_secs_f64(),
            peak_memory()
        );
    }
    Ok(())
}

/// The largest resident set so far, where the system tells it.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |size| size.trim().to_owned())
}
