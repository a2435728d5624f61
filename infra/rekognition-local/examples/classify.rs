//! Prints the classes of pictures: `classify MODEL PICTURE...`. For each picture a line with its path and the five most
//! probable classes of the classifier, each as `index:probability`.

use std::{env, fs, path::PathBuf};

use anyhow::Context;
use rekognition_local::{classifier::Classifier, labels::Vocabulary, picture};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let model = arguments
        .next()
        .context("usage: classify MODEL PICTURE...")?;
    let classifier = Classifier::load(&model, &Vocabulary::default())?;
    for path in arguments {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let picture = picture::decode(&bytes).with_context(|| path.display().to_string())?;
        let probabilities = classifier.probabilities(&picture);
        let mut classes: Vec<_> = probabilities.iter().enumerate().collect();
        classes.sort_by(|a, b| b.1.total_cmp(a.1));
        print!("{}", path.display());
        for (class, probability) in classes.into_iter().take(5) {
            print!("\t{class}:{probability:.4}");
        }
        println!();
    }
    Ok(())
}
