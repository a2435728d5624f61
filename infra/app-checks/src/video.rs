//! A video: uploaded, labelled by a job of Rekognition's, and deleted.

use verify::{Check, Probe, Stopped};

use crate::media::{File, expect_labels, folder};

const VIDEO: &[u8] = include_bytes!("../../../assets/sample.mp4");

/// It learns from the topic that the job has ended.
const ADDED: &str = "add-video-file";

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "video-catalogued",
        what: "an uploaded video gets its item when its job has ended",
    },
    Check {
        name: "video-labels",
        what: "its labels name what its scenes show",
    },
    Check {
        name: "video-removed",
        what: "a deleted video leaves the catalogue",
    },
];

pub(crate) async fn run(probe: Probe) -> Result<(), Stopped> {
    let probe = &probe;
    let uploaded = File::upload(probe, &folder(probe, "video"), "film.mp4", VIDEO).await;
    let (video, labels) = probe
        .check("video-catalogued", async {
            let video = uploaded?;
            let expected = "the uploaded video has an item in the catalogue";
            let labels = video.catalogued(expected, ADDED).await?;
            let seen = format!("{} labels", labels.len());
            Ok(((video, labels), seen))
        })
        .await?;
    // The next check does not build on this one.
    let _ = probe
        .check("video-labels", async {
            let scenes: [&[&str]; 2] = [&["Cat"], &["Coffee", "Cup", "Coffee Cup"]];
            expect_labels(probe, &labels, &scenes, ADDED)
        })
        .await;
    probe
        .check("video-removed", async {
            video.delete().await?;
            video.removed().await?;
            Ok(((), "item gone, 404".to_owned()))
        })
        .await
}
