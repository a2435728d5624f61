//! Prints what is seen in photos and videos, or why nothing is: `label MODEL DETECTOR FILE...`. A line for each file, with
//! its path, the length of a video, and the labels of at least 50 percent, or the reason why it is refused.

use std::{collections::BTreeSet, env, fs::File, io::Read, path::Path, path::PathBuf};

use anyhow::Context;
use image::RgbImage;
use rekognition_local::{labeller::Labeller, picture, video};

const MIN_CONFIDENCE: f32 = 50.0;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let weights = arguments.next().zip(arguments.next());
    let (model, detector) = weights.context("usage: label MODEL DETECTOR FILE...")?;
    let labeller = Labeller::load(&model, &detector)?;
    for path in arguments {
        match look(&labeller, &path) {
            Ok(seen) => println!("{}\t{seen}", path.display()),
            Err(error) => println!("{}\trefused: {error:#}", path.display()),
        }
    }
    Ok(())
}

fn look(labeller: &Labeller, path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path)?;
    let mut labels = BTreeSet::new();
    let mut add = |picture: &RgbImage| {
        let found = labeller.detect(picture);
        let names = found
            .iter()
            .take_while(|it| it.confidence >= MIN_CONFIDENCE)
            .map(|it| it.label.name);
        labels.extend(names);
    };
    let is_video = path.extension().is_some_and(|it| {
        ["mp4", "mov", "avi"]
            .iter()
            .any(|known| it.eq_ignore_ascii_case(known))
    });
    let mut about = String::new();
    if is_video {
        let mut times = Vec::new();
        let metadata = video::open(&mut file)?.sample(&mut file, |millis, picture| {
            times.push(millis);
            add(picture);
        })?;
        times.sort_unstable();
        about = format!("{} ms, looked at {times:?}: ", metadata.duration_millis);
    } else {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        add(&picture::decode(&bytes)?);
    }
    Ok(format!("{about}{labels:?}"))
}
