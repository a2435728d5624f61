//! Photos: uploaded, labelled, found, and deleted.

use serde_json::{Value, json};
use verify::{Check, Probe, Problem, Stopped};

use crate::media::{
    CREATED, File, MEDIA_API, encoded, expect_labels, folder, get, json_of, line, list, path_of,
    sorted,
};

const CAT: &[u8] = include_bytes!("../../../assets/sample.jpg");
const COFFEE: &[u8] = include_bytes!("../../../assets/othersample.jpg");

/// Has what S3 encodes in its events, and what API Gateway decodes twice.
const ODD_NAME: &str = "café 100% + why?.jpg";

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "image-catalogued",
        what: "an uploaded photo gets its item in the catalogue",
    },
    Check {
        name: "image-labels",
        what: "its labels name what it shows",
    },
    Check {
        name: "image-by-name",
        what: "GET /{name} answers the item",
    },
    Check {
        name: "image-odd-name",
        what: "a name with spaces, %, ?, + and é is catalogued and found",
    },
    Check {
        name: "images-listed",
        what: "GET / finds photos by startswith, media-type and label",
    },
    Check {
        name: "images-paged",
        what: "GET / gives pages, and Next-Cursor leads through all",
    },
    Check {
        name: "detect-labels",
        what: "detect-labels, invoked, answers the same labels",
    },
    Check {
        name: "detect-labels-refusal",
        what: "detect-labels tells of a photo that is not there",
    },
    Check {
        name: "image-removed",
        what: "a deleted photo leaves the catalogue",
    },
];

pub(crate) async fn run(probe: Probe) -> Result<(), Stopped> {
    let probe = &probe;
    let folder = &folder(probe, "image");
    let uploaded = File::upload(probe, folder, "cat.jpg", CAT).await;
    let (cat, labels) = probe
        .check("image-catalogued", async {
            let cat = uploaded?;
            let expected = "the uploaded photo has an item in the catalogue";
            let labels = cat.catalogued(expected, CREATED).await?;
            let seen = format!("{} labels", labels.len());
            Ok(((cat, labels), seen))
        })
        .await?;
    // From here on, the checks but for the last do not build on each other.
    let _ = probe
        .check("image-labels", async {
            expect_labels(probe, &labels, &[&["Cat"], &["Animal", "Mammal"]], CREATED)
        })
        .await;
    let item = cat.expected_item(&labels, "image");
    let _ = probe
        .check("image-by-name", async {
            by_name(probe, &cat, &item).await?;
            Ok(((), "200".to_owned()))
        })
        .await;
    let coffee = probe
        .check("image-odd-name", async {
            let coffee = File::upload(probe, folder, ODD_NAME, COFFEE).await?;
            let expected = format!("the uploaded photo {ODD_NAME} has an item in the catalogue");
            let labels = coffee.catalogued(&expected, CREATED).await?;
            by_name(probe, &coffee, &coffee.expected_item(&labels, "image")).await?;
            Ok((coffee, line(&labels)))
        })
        .await;
    let _ = probe
        .check("images-listed", listed(probe, folder, &item))
        .await;
    let _ = match &coffee {
        Ok(coffee) => {
            let both = [&cat.key, &coffee.key];
            probe
                .check("images-paged", paged(probe, folder, both))
                .await
        }
        Err(Stopped) => {
            let reason = Problem::NotChecked("image-odd-name did not pass".to_owned());
            probe.check("images-paged", async { Err(reason) }).await
        }
    };
    let _ = probe
        .check("detect-labels", async {
            let labels = invoked(probe, &cat.key).await?.map_err(|error| {
                difference(probe, &format!("the labels {}", item["labels"]), &error)
            })?;
            if labels != item["labels"] {
                let expected = format!("the labels {}", item["labels"]);
                return Err(difference(probe, &expected, &labels.to_string()));
            }
            Ok(((), "as in the catalogue".to_owned()))
        })
        .await;
    let _ = probe
        .check("detect-labels-refusal", async {
            let missing = format!("{folder}missing.jpg");
            match invoked(probe, &missing).await? {
                Err(error) if error == "InvalidS3ObjectException" => Ok(((), error)),
                Err(seen) => Err(difference(probe, "InvalidS3ObjectException", &seen)),
                Ok(seen) => {
                    let seen = format!("an answer: {seen}");
                    Err(difference(probe, "InvalidS3ObjectException", &seen))
                }
            }
        })
        .await;
    probe
        .check("image-removed", async {
            let files = std::iter::once(&cat).chain(&coffee);
            for file in files.clone() {
                file.delete().await?;
            }
            for file in files {
                file.removed().await?;
            }
            Ok(((), "item gone, 404".to_owned()))
        })
        .await
}

async fn by_name(probe: &Probe, file: &File, item: &Value) -> Result<(), Problem> {
    let answer = get(probe, &path_of(&file.key)).await?;
    let seen = sorted(&json_of(probe, &answer)?);
    if seen == *item {
        return Ok(());
    }
    let next = probe.stage().errors(MEDIA_API);
    Err(Problem::difference(
        item.to_string(),
        seen.to_string(),
        next,
    ))
}

/// The table is read without consistency, so the item may come late. The other photo may have the
/// same label, but not the same beginning of its name.
async fn listed(probe: &Probe, folder: &str, item: &Value) -> Result<((), String), Problem> {
    let label = item["labels"][0].as_str().unwrap_or_default();
    let prefix = encoded(&format!("{folder}cat"));
    let query = format!("startswith={prefix}&label={}", encoded(label));
    let next = probe.stage().errors(MEDIA_API);
    let expected = format!("GET /?{query}&media-type=image answers {item}");
    let look = || async {
        let (found, _) = list(probe, &format!("{query}&media-type=image")).await?;
        Ok(match found.as_slice() {
            [found] if found == item => Ok(()),
            found => Err(json!(found).to_string()),
        })
    };
    probe.eventually(&expected, &next, look).await?;
    for other in [
        format!("{query}&media-type=video"),
        format!("startswith={prefix}&label=NoSuchLabel"),
        format!("startswith={}", encoded(&format!("{folder}dog"))),
    ] {
        let (found, _) = list(probe, &other).await?;
        if !found.is_empty() {
            let expected = format!("GET /?{other} answers []");
            return Err(Problem::difference(
                expected,
                json!(found).to_string(),
                next,
            ));
        }
    }
    Ok(((), "1 found, 0 by other filters".to_owned()))
}

async fn paged(
    probe: &Probe,
    folder: &str,
    mut keys: [&String; 2],
) -> Result<((), String), Problem> {
    keys.sort();
    let query = format!("startswith={}&limit=1", encoded(folder));
    let next = probe.stage().errors(MEDIA_API);
    let expected = format!("GET /?{query} leads to {keys:?}, one each page");
    let look = || async {
        let (found, pages) = list(probe, &query).await?;
        let mut names: Vec<&str> = found
            .iter()
            .filter_map(|item| item["name"].as_str())
            .collect();
        names.sort_unstable();
        Ok(if names == keys && pages >= keys.len() {
            Ok(pages)
        } else {
            Err(format!("{names:?} on {pages} pages"))
        })
    };
    let pages = probe.eventually(&expected, next, look).await?;
    Ok(((), format!("2 files on {pages} pages")))
}

/// The labels that `detect-labels` answers, sorted, or the type of its error. It leaves the
/// catalogue alone.
async fn invoked(probe: &Probe, key: &str) -> Result<Result<Value, String>, Problem> {
    let stage = probe.stage();
    let event = json!({"Bucket": stage.variable("MEDIA_BUCKET_NAME")?, "Key": key, "Save": false});
    let function = stage.function("detect-labels")?;
    let name = &function.invocation_name;
    let invocation = deploy::invoke(&stage.target, name, event.to_string().into_bytes()).await?;
    Ok(match invocation.result {
        Ok(answer) => {
            let labels: Value = serde_json::from_str(&answer).unwrap_or_default();
            Ok(sorted(&json!({"labels": labels}))["labels"].take())
        }
        Err(error) => Err(error.error_type),
    })
}

fn difference(probe: &Probe, expected: &str, seen: &str) -> Problem {
    let next = probe.stage().errors("detect-labels");
    Problem::difference(expected, seen, next)
}
