//! A file that Rekognition refuses for good.

use serde_json::{Value, json};
use verify::{Check, Probe, Problem, Stopped};

use crate::media::{CREATED, File, MEDIA_API, encoded, folder, get, list, path_of, seen};

pub(crate) const CHECKS: &[Check] = &[Check {
    name: "refused-file",
    what: "a file that is not a photo is not listed, and its name answers why",
}];

pub(crate) async fn run(probe: Probe) -> Result<(), Stopped> {
    let probe = &probe;
    let folder = folder(probe, "refusal");
    probe
        .check("refused-file", async {
            let file = File::upload(probe, &folder, "broken.jpg", b"This is not a photo.").await?;
            let next = probe.stage().logs(CREATED, probe.run());
            let expected = "GET /{name} answers 200 with the error InvalidImageFormatException";
            let look = || async {
                let answer = get(probe, &path_of(&file.key)).await?;
                let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                let refused = body["error"]["Code"] == "InvalidImageFormatException";
                Ok(
                    if answer.status == 200 && refused && body["labels"] == json!([]) {
                        Ok(())
                    } else {
                        Err(seen(&answer))
                    },
                )
            };
            probe.eventually(expected, next, look).await?;
            let (found, _) = list(probe, &format!("startswith={}", encoded(&folder))).await?;
            if !found.is_empty() {
                return Err(Problem::difference(
                    "no listing has the file",
                    json!(found).to_string(),
                    probe.stage().errors(MEDIA_API),
                ));
            }
            Ok(((), "InvalidImageFormatException".to_owned()))
        })
        .await
}
