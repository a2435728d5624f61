//! Buckets: whether they are there, what they hold, and emptying them.

use aws_sdk_s3::types::{Delete, EncodingType, NotificationConfiguration, ObjectIdentifier};
use percent_encoding::percent_decode_str;

use crate::error::{Error, ErrorKind, Result};
use crate::parallel::{Tell, at_once};
use crate::progress::{Progress, Report};
use crate::target::Target;

/// Whether the account has this bucket.
///
/// # Errors
/// When another account has it: the name of a bucket that was deleted is free for everybody,
/// and whoever took it would be given the code.
pub(crate) async fn exists(target: &Target, bucket: &str) -> Result<bool> {
    let request = target.s3.head_bucket().bucket(bucket);
    let ours = request.clone().expected_bucket_owner(&target.account);
    let Err(error) = ours.send().await else {
        return Ok(true);
    };
    let error = Error::aws(&format!("look for bucket {bucket}"), &error);
    match error.kind() {
        ErrorKind::NotFound => Ok(false),
        ErrorKind::AccessDenied if request.send().await.is_ok() => Err(Error::new(format!(
            "bucket {bucket} does not belong to account {}",
            target.account
        ))
        .because("it was deleted, and another account now has a bucket of this name")
        .hint("delete the stack that the bucket was in and deploy again, which creates another bucket")),
        // Whoever may not list a bucket may still write to it.
        ErrorKind::AccessDenied => Ok(true),
        _ => Err(error),
    }
}

pub(crate) async fn has_object(target: &Target, bucket: &str, key: &str) -> Result<bool> {
    let request = target.s3.head_object().bucket(bucket).key(key);
    let answer = request.expected_bucket_owner(&target.account).send().await;
    match answer {
        Ok(_) => Ok(true),
        Err(error) => {
            let error = Error::aws(&format!("look for s3://{bucket}/{key}"), &error);
            match error.kind() {
                ErrorKind::NotFound => Ok(false),
                // The answer has no body, and so says nothing of what is missing.
                ErrorKind::AccessDenied => Err(error.hint(format!(
                    "the caller needs s3:GetObject on arn:aws:s3:::{bucket}/{key}, and s3:ListBucket on the bucket"
                ))),
                _ => Err(error),
            }
        }
    }
}

/// Whether a bucket has any version of any object; one that is gone has none.
pub(crate) async fn holds_objects(target: &Target, bucket: &str, prefix: &str) -> Result<bool> {
    let answer = target
        .s3
        .list_object_versions()
        .bucket(bucket)
        .expected_bucket_owner(&target.account)
        .prefix(prefix)
        .max_keys(1)
        .send()
        .await;
    match answer {
        Ok(page) => Ok(!page.versions().is_empty() || !page.delete_markers().is_empty()),
        Err(error) => {
            let error = Error::aws(&format!("list the objects in bucket {bucket}"), &error);
            match error.kind() {
                ErrorKind::NotFound => Ok(false),
                _ => Err(error),
            }
        }
    }
}

/// Takes the event notifications from a bucket that is about to be deleted: functions need
/// not hear of every object, and none runs, or logs, while the stack goes away.
pub(crate) async fn silence(target: &Target, bucket: &str) -> Result<()> {
    let answer = target
        .s3
        .put_bucket_notification_configuration()
        .bucket(bucket)
        .expected_bucket_owner(&target.account)
        .notification_configuration(NotificationConfiguration::builder().build())
        .send()
        .await;
    match answer {
        Ok(_) => Ok(()),
        Err(error) => {
            let what = format!("take the notifications from bucket {bucket}");
            let error = Error::aws(&what, &error);
            if error.kind() == ErrorKind::NotFound {
                Ok(())
            } else {
                Err(error)
            }
        }
    }
}

/// Empties buckets below `prefix`, all at once; returns how many versions they held.
pub(crate) async fn empty(
    target: &Target,
    buckets: &[String],
    prefix: &str,
    report: Report<'_>,
) -> Result<u64> {
    let counts = at_once(buckets.to_vec(), report, |bucket, tell| {
        let (target, prefix) = (target.clone(), prefix.to_owned());
        async move { empty_one(&target, &bucket, &prefix, tell).await }
    })
    .await?;
    Ok(counts.into_iter().sum())
}

/// Deletes every version and delete marker below `prefix`; returns how many.
async fn empty_one(target: &Target, bucket: &str, prefix: &str, tell: Tell) -> Result<u64> {
    let mut versions = 0;
    let mut key_marker = None;
    let mut version_id_marker = None;
    loop {
        let page = target
            .s3
            .list_object_versions()
            .bucket(bucket)
            .expected_bucket_owner(&target.account)
            .prefix(prefix)
            // Keys may hold characters that XML may not.
            .encoding_type(EncodingType::Url)
            .set_key_marker(key_marker)
            .set_version_id_marker(version_id_marker)
            .send()
            .await;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                let error = Error::aws(&format!("list the objects in bucket {bucket}"), &error);
                return if error.kind() == ErrorKind::NotFound {
                    Ok(versions)
                } else {
                    Err(error)
                };
            }
        };
        let decoded = |key: Option<&str>| match page.encoding_type() {
            Some(EncodingType::Url) => key.map(url_decoded),
            _ => key.map(str::to_owned),
        };
        let objects = page
            .versions()
            .iter()
            .map(|version| (version.key(), version.version_id()))
            .chain(
                page.delete_markers()
                    .iter()
                    .map(|marker| (marker.key(), marker.version_id())),
            )
            .map(|(key, version_id)| {
                ObjectIdentifier::builder()
                    .set_key(decoded(key))
                    .set_version_id(version_id.filter(|id| *id != "null").map(str::to_owned))
                    .build()
                    .map_err(|error| {
                        Error::new("S3 listed an object without a key").because(error.to_string())
                    })
            })
            .collect::<Result<Vec<_>>>()?;
        // A page holds at most 1000 entries, which is also the most that DeleteObjects takes.
        versions += delete_objects(target, bucket, objects).await?;
        if versions > 0 {
            let _ = tell.send(Progress::Emptied {
                bucket: bucket.to_owned(),
                versions,
            });
        }
        if page.is_truncated() != Some(true) {
            return Ok(versions);
        }
        key_marker = decoded(page.next_key_marker());
        version_id_marker = page.next_version_id_marker;
    }
}

async fn delete_objects(
    target: &Target,
    bucket: &str,
    objects: Vec<ObjectIdentifier>,
) -> Result<u64> {
    let what = format!("empty bucket {bucket}");
    let (objects, alone): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|object| object.key().chars().all(is_xml_character));
    // DeleteObjects has its keys in XML, DeleteObject has its key in the path.
    for object in &alone {
        let deletion = target.s3.delete_object().bucket(bucket).key(object.key());
        let deletion = deletion
            .expected_bucket_owner(&target.account)
            .set_version_id(object.version_id().map(str::to_owned));
        let answer = deletion.send().await;
        answer.map_err(|error| Error::aws(&what, &error))?;
    }
    let deleted_alone = alone.len() as u64;
    if objects.is_empty() {
        return Ok(deleted_alone);
    }
    let count = objects.len() as u64;
    let batch = Delete::builder()
        .set_objects(Some(objects))
        .quiet(true)
        .build()
        .map_err(|error| Error::new(format!("could not {what}")).because(error.to_string()))?;
    let answer = target
        .s3
        .delete_objects()
        .bucket(bucket)
        .expected_bucket_owner(&target.account)
        .delete(batch)
        .send()
        .await
        .map_err(|error| Error::aws(&what, &error))?;
    match answer.errors().first() {
        None => Ok(deleted_alone + count),
        Some(refused) => Err(Error::new(format!("could not {what}")).because(format!(
            "{} of {count} objects were not deleted; the first is {}: {}",
            answer.errors().len(),
            refused.key().unwrap_or("without a key"),
            refused
                .message()
                .or(refused.code())
                .unwrap_or("no reason was given")
        ))),
    }
}

/// What S3 has encoded in a listing, a space as `+` and other characters by `%`.
fn url_decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// Whether XML 1.0 can hold a character, escaped or not.
fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
