use std::io::Write;

use super::*;
use crate::error::ErrorKind;
use crate::testing::*;

fn artifact(directory: &std::path::Path, function: &str, zip: &[u8]) -> Artifact {
    let path = directory.join(format!("{function}.zip"));
    std::fs::File::create(&path)
        .unwrap()
        .write_all(zip)
        .unwrap();
    Artifact {
        function: function.to_owned(),
        zip: path,
        zip_bytes: zip.len() as u64,
        sha256: hex::encode(Sha256::digest(zip)),
    }
}

#[test]
fn the_hash_comes_back_from_the_key() {
    let sha256 = hex::encode(Sha256::digest("zip"));
    let artifact = Artifact {
        function: "orders-api".to_owned(),
        zip: PathBuf::new(),
        zip_bytes: 3,
        sha256: sha256.clone(),
    };
    let key = artifact.key("app/dev/");
    assert_eq!(sha256_of_key(&key), hex::decode(sha256).ok());
    assert_eq!(sha256_of_key("app/dev/orders-api-1.zip"), None);
}

#[tokio::test]
async fn only_what_is_missing_is_uploaded_and_its_bytes_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let zip = vec![7_u8; 200_000];
    let artifacts = vec![
        artifact(directory.path(), "new", &zip),
        artifact(directory.path(), "old", b"old"),
    ];
    let aws = Aws::new()
        .on("HEAD /artifacts/app/dev/new-", [empty(404)])
        .on("HEAD /artifacts/app/dev/old-", [empty(200)])
        .on("PUT /artifacts/app/dev/new-", [empty(200)]);
    let user = User::default();
    let published = publish(
        &aws.target(),
        "artifacts",
        "app/dev/",
        artifacts,
        &user.report(),
    )
    .await
    .unwrap();
    assert!(published.keys["new"].starts_with("app/dev/new-"));
    assert!(published.keys["old"].starts_with("app/dev/old-"));
    assert_eq!(aws.effects().len(), 1);
    let heard = user.heard();
    assert!(heard.contains(&Progress::AlreadyUploaded {
        function: "old".to_owned()
    }));
    let sent: Vec<u64> = heard
        .iter()
        .filter_map(|step| match step {
            Progress::Uploaded { sent_bytes, .. } => Some(*sent_bytes),
            _ => None,
        })
        .collect();
    assert!(sent.is_sorted() && sent.len() > 1, "{sent:?}");
    assert_eq!(sent.last(), Some(&200_000));
}

#[tokio::test]
async fn an_upload_that_fails_is_sent_again_from_its_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let zip = b"a zip".repeat(1000);
    let aws = Aws::new()
        .on("HEAD /artifacts/app/dev/new-", [empty(404)])
        .on(
            "PUT /artifacts/app/dev/new-",
            [
                s3_error(500, "InternalError", "We encountered an internal error."),
                empty(200),
            ],
        );
    publish(
        &aws.target(),
        "artifacts",
        "app/dev/",
        vec![artifact(directory.path(), "new", &zip)],
        &|_| {},
    )
    .await
    .unwrap();
    let puts = aws.calls("PUT /artifacts/app/dev/new-");
    assert_eq!(puts.len(), 2);
    for put in puts {
        assert!(put.body.contains(std::str::from_utf8(&zip).unwrap()));
    }
}

#[tokio::test]
async fn a_refused_upload_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let aws = Aws::new()
        .on("HEAD /artifacts/app/dev/new-", [empty(404)])
        .on(
            "PUT /artifacts/app/dev/new-",
            [s3_error(
                403,
                "AccessDenied",
                "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::artifacts/app/dev/new.zip\" because no identity-based policy allows the s3:PutObject action",
            )],
        );
    let error = publish(
        &aws.target(),
        "artifacts",
        "app/dev/",
        vec![artifact(directory.path(), "new", b"zip")],
        &|_| {},
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert_eq!(
        error.next_step(),
        Some(
            "the caller needs s3:PutObject on arn:aws:s3:::artifacts/app/dev/new.zip: ask for it, or use a role that has it"
        )
    );
}
