//! Files in the media bucket and their items in the catalogue, for the flows.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;
use deploy::{Error, HttpAnswer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use verify::{Owned, OwnedId, PREFIX, Probe, Problem};

pub(crate) const API: &str = "API_URL";
pub(crate) const CREATED: &str = "handle-object-created";
pub(crate) const REMOVED: &str = "handle-object-removed";
pub(crate) const MEDIA_API: &str = "media-api";

/// What is not encoded in a path or a query string, by RFC 3986, section 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A file of this run in the media bucket.
pub(crate) struct File {
    probe: Probe,
    pub(crate) key: String,
    owned: [OwnedId; 2],
}

/// The part of the bucket that is a flow's alone.
pub(crate) fn folder(probe: &Probe, flow: &str) -> String {
    format!("{PREFIX}/{}/{flow}/", probe.run())
}

impl File {
    /// Uploads a file into the flow's folder.
    pub(crate) async fn upload(
        probe: &Probe,
        folder: &str,
        name: &str,
        content: &'static [u8],
    ) -> Result<Self, Problem> {
        let key = format!("{folder}{name}");
        let bucket = probe.stage().variable("MEDIA_BUCKET_NAME")?.to_owned();
        let owned = [own_object(probe, &bucket, &key), own_item(probe, &key)?];
        let put = probe.stage().target.s3().put_object();
        let put = put
            .bucket(bucket)
            .expected_bucket_owner(&probe.stage().target.account)
            .key(&key)
            .body(ByteStream::from_static(content));
        let what = format!("upload {key}");
        probe
            .complete(async move {
                let put = put.send().await;
                put.map_err(|error| Error::aws(&what, &error))?;
                Ok(())
            })
            .await?;
        Ok(Self {
            probe: probe.clone(),
            key,
            owned,
        })
    }

    /// Deletes the object. S3 tells the app of it.
    pub(crate) async fn delete(&self) -> Result<(), Problem> {
        let bucket = self.probe.stage().variable("MEDIA_BUCKET_NAME")?;
        Ok(delete_object(&self.probe, bucket, &self.key).await?)
    }

    /// Waits until the catalogue has the file's item; gives the labels.
    pub(crate) async fn catalogued(
        &self,
        expected: &str,
        function: &str,
    ) -> Result<BTreeSet<String>, Problem> {
        let next = self.probe.stage().logs(function, self.probe.run());
        let look = || async {
            let labels = labels_in_table(&self.probe, &self.key).await?;
            Ok(labels.ok_or_else(|| "the catalogue has no such item".to_owned()))
        };
        self.probe.eventually(expected, next, look).await
    }

    /// Waits until the catalogue has no item of the file, in the table and in the API's answer.
    pub(crate) async fn removed(&self) -> Result<(), Problem> {
        let next = self.probe.stage().logs(REMOVED, self.probe.run());
        let look = || async {
            let labels = labels_in_table(&self.probe, &self.key).await?;
            Ok(match labels {
                None => Ok(()),
                Some(_) => Err("the item is there still".to_owned()),
            })
        };
        let expected = "the item of the deleted file is gone from the catalogue";
        self.probe.eventually(expected, next, look).await?;
        let answer = get(&self.probe, &path_of(&self.key)).await?;
        expect_error(&self.probe, &answer, 404, "NotFoundError")?;
        self.owned.into_iter().for_each(|id| self.probe.gone(id));
        Ok(())
    }

    /// The file's item in the API's form.
    pub(crate) fn expected_item(&self, labels: &BTreeSet<String>, media_type: &str) -> Value {
        json!({"labels": labels, "name": self.key, "type": media_type})
    }
}

fn own_object(probe: &Probe, bucket: &str, key: &str) -> OwnedId {
    let command = format!("aws s3 rm 's3://{bucket}/{key}'");
    let (deleter, bucket, object) = (probe.clone(), bucket.to_owned(), key.to_owned());
    probe.own(Owned::new(format!("object {key}"), command, move || {
        let (probe, bucket, key) = (deleter.clone(), bucket.clone(), object.clone());
        async move { delete_object(&probe, &bucket, &key).await }
    }))
}

pub(crate) async fn delete_object(probe: &Probe, bucket: &str, key: &str) -> Result<(), Error> {
    let target = &probe.stage().target;
    let delete = target.s3().delete_object().bucket(bucket).key(key);
    let deleted = delete.expected_bucket_owner(&target.account).send().await;
    deleted.map_err(|error| Error::aws(&format!("delete s3://{bucket}/{key}"), &error))?;
    Ok(())
}

/// The app deletes the item itself when it learns that the object is gone, unless it is broken.
fn own_item(probe: &Probe, key: &str) -> Result<OwnedId, Problem> {
    let table = probe.stage().variable("MEDIA_TABLE_NAME")?.to_owned();
    let item = json!({"name": {"S": key}});
    let command = format!("aws dynamodb delete-item --table-name {table} --key '{item}'");
    let delete = aws_sdk_dynamodb::Client::new(probe.stage().target.sdk_config())
        .delete_item()
        .table_name(table)
        .key("name", AttributeValue::S(key.to_owned()));
    let what = format!("item {key} of the catalogue");
    Ok(probe.own(Owned::new(what.clone(), command, move || {
        let (delete, what) = (delete.clone(), format!("delete {what}"));
        async move {
            let deleted = delete.send().await;
            deleted.map_err(|error| Error::aws(&what, &error))?;
            Ok(())
        }
    })))
}

/// The labels of an item of the catalogue, if there is one.
async fn labels_in_table(probe: &Probe, key: &str) -> Result<Option<BTreeSet<String>>, Problem> {
    let table = probe.stage().variable("MEDIA_TABLE_NAME")?;
    let answer = aws_sdk_dynamodb::Client::new(probe.stage().target.sdk_config())
        .get_item()
        .table_name(table)
        .key("name", AttributeValue::S(key.to_owned()))
        .consistent_read(true)
        .send()
        .await
        .map_err(|error| Error::aws(&format!("read an item of {table}"), &error))?;
    Ok(answer.item().map(|item| {
        let labels = item.get("labels").and_then(|labels| labels.as_l().ok());
        let labels = labels.into_iter().flatten();
        labels
            .filter_map(|label| label.as_s().ok().cloned())
            .collect()
    }))
}

/// `GET` on the media API.
pub(crate) async fn get(probe: &Probe, path: &str) -> Result<HttpAnswer, Problem> {
    probe.http(API, "GET", path, "").await
}

/// The path that leads to a file. API Gateway decodes paths twice, so what it would take for
/// something else after the first time is encoded twice.
pub(crate) fn path_of(key: &str) -> String {
    let once = key.replace('%', "%25").replace('?', "%3F");
    let segments = once.split('/').map(encoded);
    segments.collect::<Vec<_>>().join("/")
}

/// A value of a query string.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// An item of the API, its labels sorted: their order says nothing.
pub(crate) fn sorted(item: &Value) -> Value {
    let mut item = item.clone();
    if let Some(labels) = item.get_mut("labels").and_then(Value::as_array_mut) {
        labels.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
    }
    item
}

/// The JSON in the API's answer 200.
pub(crate) fn json_of(probe: &Probe, answer: &HttpAnswer) -> Result<Value, Problem> {
    let next = probe.stage().errors(MEDIA_API);
    let value = serde_json::from_str(&answer.body).ok();
    match (answer.status, value) {
        (200, Some(value)) => Ok(value),
        _ => Err(Problem::difference("200 and JSON", seen(answer), next)),
    }
}

/// Whether an answer is the documented error.
pub(crate) fn expect_error(
    probe: &Probe,
    answer: &HttpAnswer,
    status: u16,
    code: &str,
) -> Result<(), Problem> {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let told = body["Message"]
        .as_str()
        .is_some_and(|text| !text.is_empty());
    if answer.status == status && body["Code"] == code && told {
        return Ok(());
    }
    Err(Problem::difference(
        format!("{status} with the code {code} and a message"),
        seen(answer),
        probe.stage().errors(MEDIA_API),
    ))
}

/// An answer that may be shown: of requests for this run's own files, and errors.
pub(crate) fn seen(answer: &HttpAnswer) -> String {
    format!("{} {}", answer.status, answer.body)
}

/// All items that a query finds, page by page; and how many pages there were.
pub(crate) async fn list(probe: &Probe, query: &str) -> Result<(Vec<Value>, usize), Problem> {
    let (mut items, mut pages, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let after = cursor.map(|cursor| format!("&cursor={}", encoded(&cursor)));
        let path = format!("?{query}{}", after.unwrap_or_default());
        let answer = get(probe, &path).await?;
        let page = json_of(probe, &answer)?;
        let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
        items.extend(page.iter().map(sorted));
        pages += 1;
        cursor = next_cursor(&answer);
        if cursor.is_none() {
            return Ok((items, pages));
        }
    }
}

/// The cursor of the next page.
pub(crate) fn next_cursor(answer: &HttpAnswer) -> Option<String> {
    let cursor = answer.headers.get("next-cursor")?;
    cursor.to_str().ok().map(str::to_owned)
}

/// Labels as a line.
pub(crate) fn line(labels: &BTreeSet<String>) -> String {
    labels.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// Whether the labels have at least one of each group.
pub(crate) fn expect_labels(
    probe: &Probe,
    labels: &BTreeSet<String>,
    groups: &[&[&str]],
    function: &str,
) -> Result<((), String), Problem> {
    let has_one_of = |group: &&[&str]| group.iter().any(|label| labels.contains(*label));
    if groups.iter().all(has_one_of) {
        return Ok(((), line(labels)));
    }
    let groups: Vec<String> = groups.iter().map(|group| group.join(" or ")).collect();
    Err(Problem::difference(
        format!("labels with {}", groups.join(", and with ")),
        line(labels),
        probe.stage().logs(function, probe.run()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_encoded_as_the_readme_says() {
        for (key, path) in [
            ("with space.jpg", "with%20space.jpg"),
            ("a+b.jpg", "a%2Bb.jpg"),
            ("folder/photo.JPG", "folder/photo.JPG"),
            ("café 🐈.png", "caf%C3%A9%20%F0%9F%90%88.png"),
            ("100%.jpg", "100%2525.jpg"),
            ("why?.jpg", "why%253F.jpg"),
        ] {
            assert_eq!(path_of(key), path);
        }
    }

    #[test]
    fn the_order_of_labels_says_nothing() {
        let item = json!({"labels": ["Cat", "Animal"], "name": "x.jpg"});
        assert_eq!(
            sorted(&item),
            json!({"labels": ["Animal", "Cat"], "name": "x.jpg"})
        );
    }
}
