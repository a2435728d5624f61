//! A bucket: its objects, folder by folder.

use std::io::Write;

use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use http::StatusCode;
use http_body_util::BodyDataStream;
use hyper::body::{Bytes, Incoming};
use maud::{Markup, html};
use multer::{Field, Multipart};
use tempfile::NamedTempFile;

use super::{Reply, Visit};
use crate::answer::{self, Chunks};
use crate::fields::{Fields, link};
use crate::layout::{Page, Section, bytes, count, danger, declared_at, pager, short, shown, time};
use crate::problem::{Problem, Result};

/// Objects on a page.
const PAGE: i32 = 100;
/// The largest image that is shown.
const IMAGE_BYTES_MAX: u64 = 32_000_000;
/// The largest part of a text that is shown.
const TEXT_BYTES_MAX: u64 = 64_000;
/// The most that one call of S3 takes.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>
const OBJECT_BYTES_MAX: u64 = 5_000_000_000;

fn path(name: &str, below: &str) -> String {
    format!("/data/bucket/{name}{below}")
}

/// The objects below a prefix.
pub(super) async fn show(visit: &Visit, name: &str) -> Result<Page> {
    let (node, bucket) = visit.stage.resource("bucket", name).await?;
    let prefix = visit.query.text("prefix");
    let body = html! {
        p.facts {
            code { (bucket) }
            (declared_at(node.declared_at.as_deref()))
        }
        (dropping(visit, name, prefix))
        section #objects data-live aria-label="Objects" { (objects(visit, name, &bucket, prefix).await?) }
    };
    let title = format!("Bucket {name}");
    let page = Page::new(Section::Data, title, body).below("Data", "/data");
    Ok(page.wide())
}

fn dropping(visit: &Visit, name: &str, prefix: &str) -> Markup {
    html! {
        form.upload method="post" enctype="multipart/form-data" action=(path(name, "/upload")) data-upload {
            input type="hidden" name="token" value=(visit.token());
            label.drop {
                strong { "Upload" }
                span { "Choose files, or drop them here" }
                input type="file" name="file" multiple required;
            }
            label.inline { "Below" input name="prefix" value=(prefix) placeholder="the bucket itself"; }
            button type="submit" { "Upload" }
            progress max="1" value="0" hidden {}
            p.said role="status" {}
        }
    }
}

async fn objects(visit: &Visit, name: &str, bucket: &str, prefix: &str) -> Result<Markup> {
    let from = visit.query.get("from");
    let listed = visit
        .stage
        .s3
        .list_objects_v2()
        .bucket(bucket)
        .prefix(prefix)
        .delimiter("/")
        .max_keys(PAGE)
        .set_continuation_token(from.map(str::to_owned))
        .send()
        .await
        .map_err(|error| Problem::of_aws(&format!("list the objects of bucket {name}"), &error))?;
    let folders: Vec<&str> = listed
        .common_prefixes()
        .iter()
        .filter_map(|found| found.prefix())
        .collect();
    let objects = listed.contents();
    let below = |prefix: &str| link(&path(name, ""), &[("prefix", prefix)]);
    let number = u64::try_from(objects.len()).unwrap_or_default();
    Ok(html! {
        @if !prefix.is_empty() {
            p.crumbs {
                a href=(path(name, "")) { (name) }
                @for (end, _) in prefix.match_indices('/') {
                    " / "
                    @let part = prefix[..end].rsplit('/').next().unwrap_or_default();
                    a href=(below(&prefix[..=end])) { (shown(part)) }
                }
            }
        }
        @if folders.is_empty() && objects.is_empty() {
            p.empty { "No objects here." }
        } @else {
            div.scroll {
                table {
                    thead { tr { th scope="col" { "Key" } th.right scope="col" { "Size" } th scope="col" { "Changed" } } }
                    tbody {
                        @for folder in folders {
                            tr {
                                th scope="row" { a href=(below(folder)) { (shown(folder)) } }
                                td {} td {}
                            }
                        }
                        @for object in objects {
                            @let key = object.key().unwrap_or_default();
                            tr {
                                th scope="row" {
                                    a href=(link(&path(name, "/object"), &[("key", key)])) { (short(key, 200)) }
                                }
                                td.right { (bytes(object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default())) }
                                td { (changed(object.last_modified())) }
                            }
                        }
                    }
                }
            }
            p.dim { (count(number, "object")) @if !prefix.is_empty() { " here" } }
        }
        (pager(&path(name, ""), &[("prefix", prefix)], from.is_none(), listed.next_continuation_token()))
    })
}

fn changed(moment: Option<&aws_sdk_s3::primitives::DateTime>) -> Markup {
    let milliseconds = moment.and_then(|moment| moment.to_millis().ok());
    let milliseconds = milliseconds.and_then(|milliseconds| u64::try_from(milliseconds).ok());
    html! { @if let Some(milliseconds) = milliseconds { (time(milliseconds)) } }
}

/// An object of the bucket that a request names.
struct Object {
    bucket: String,
    key: String,
}

impl Object {
    async fn of(visit: &Visit, name: &str, key: Option<&str>) -> Result<Self> {
        let (_, bucket) = visit.stage.resource("bucket", name).await?;
        let key = key.ok_or_else(|| Problem::mistake("the address does not name an object"))?;
        Ok(Self {
            bucket,
            key: key.to_owned(),
        })
    }

    async fn head(&self, visit: &Visit) -> Result<HeadObjectOutput> {
        let head = visit
            .stage
            .s3
            .head_object()
            .bucket(&self.bucket)
            .key(&self.key);
        match head.send().await {
            Ok(head) => Ok(head),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(HeadObjectError::is_not_found) =>
            {
                Err(Problem::missing(format!(
                    "the bucket has no object {} any more",
                    self.key
                )))
            }
            Err(error) => Err(Problem::of_aws("read the object", &error)),
        }
    }

    /// Its first bytes. An empty object has none, and no range.
    async fn beginning(&self, visit: &Visit, size: u64, most: u64) -> Result<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let last = size.min(most) - 1;
        let get = visit
            .stage
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let get = get.range(format!("bytes=0-{last}")).send().await;
        let get = get.map_err(|error| Problem::of_aws("read the object", &error))?;
        let content = get.body.collect().await;
        let content = content
            .map_err(|error| Problem::failed(format!("could not read the object: {error}")))?;
        Ok(content.into_bytes())
    }
}

fn size_of(head: &HeadObjectOutput) -> u64 {
    head.content_length()
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or_default()
}

/// What the first bytes of an object say that it is, if it is an image that every browser shows, and that is no document
/// of its own: SVG is one.
fn image_type(beginning: &[u8]) -> Option<&'static str> {
    match beginning {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

/// An object.
pub(super) async fn object(visit: &Visit, name: &str) -> Result<Page> {
    let object = Object::of(visit, name, visit.query.get("key")).await?;
    let head = object.head(visit).await?;
    let size = size_of(&head);
    let beginning = object.beginning(visit, size, TEXT_BYTES_MAX).await?;
    let key = object.key.as_str();
    let to = |below: &str| link(&path(name, below), &[("key", key)]);
    let preview = if image_type(&beginning).is_some() && size <= IMAGE_BYTES_MAX {
        html! { img.preview src=(to("/image")) alt="The object as an image"; }
    } else if let Some(text) = text_of(&beginning, size) {
        html! {
            pre.code tabindex="0" { (shown(&text)) }
            @if size > TEXT_BYTES_MAX { p.dim { "The first " (bytes(TEXT_BYTES_MAX)) "." } }
        }
    } else {
        html! { p.empty { "The console shows only images and text. Download the object to see it." } }
    };
    let facts = [
        ("Type", head.content_type().unwrap_or("none").to_owned()),
        ("Size", format!("{} ({size} bytes)", bytes(size))),
        ("ETag", head.e_tag().unwrap_or_default().to_owned()),
    ];
    let mut metadata: Vec<_> = head.metadata().into_iter().flatten().collect();
    metadata.sort();
    let body = html! {
        div.tools {
            a.button.main href=(to("/download")) download { "Download" }
            (danger(&path(name, "/delete"), visit.token(), "Delete object", "This deletes the object, and S3 sends the event.", &[("key", key)]))
        }
        dl.facts-list {
            @for (term, fact) in facts { dt { (term) } dd { (shown(&fact)) } }
            dt { "Changed" } dd { (changed(head.last_modified())) }
            @for (term, fact) in metadata { dt { (shown(term)) } dd { (shown(fact)) } }
        }
        (preview)
    };
    Ok(Page::new(Section::Data, short(key, 200), body)
        .below("Data", "/data")
        .below(format!("Bucket {name}"), path(name, "")))
}

/// The beginning of an object as text, if it is one. The last character may be cut.
fn text_of(beginning: &[u8], size: u64) -> Option<String> {
    let is_cut = size > u64::try_from(beginning.len()).unwrap_or(u64::MAX);
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    (!text.contains('\0')).then(|| text.to_owned())
}

/// The content of an object that is an image.
pub(super) async fn image(visit: &Visit, name: &str) -> Result<Reply> {
    let object = Object::of(visit, name, visit.query.get("key")).await?;
    let size = size_of(&object.head(visit).await?);
    if size > IMAGE_BYTES_MAX {
        return Err(Problem::mistake("the image is too large to show"));
    }
    let content = object.beginning(visit, size, IMAGE_BYTES_MAX).await?;
    let kind =
        image_type(&content).ok_or_else(|| Problem::mistake("the object is not an image"))?;
    Ok(Reply::Answer(answer::image(kind, content)))
}

/// The content of an object, to be saved.
pub(super) async fn download(visit: &Visit, name: &str) -> Result<Reply> {
    let object = Object::of(visit, name, visit.query.get("key")).await?;
    let get = visit
        .stage
        .s3
        .get_object()
        .bucket(&object.bucket)
        .key(&object.key);
    let get = get
        .send()
        .await
        .map_err(|error| Problem::of_aws("read the object", &error))?;
    let length = get
        .content_length()
        .and_then(|length| u64::try_from(length).ok());
    let (sender, body) = Chunks::new();
    let mut content = get.body;
    tokio::spawn(async move {
        // Where the stage fails, the connection ends before the length is reached, which browsers notice.
        while let Some(Ok(chunk)) = content.next().await {
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    let file = object.key.rsplit('/').next().unwrap_or_default();
    Ok(Reply::Answer(answer::download(file, length, body)))
}

/// Deletes an object.
pub(super) async fn delete(visit: &Visit, name: &str, form: &Fields) -> Result<Reply> {
    let object = Object::of(visit, name, form.get("key")).await?;
    let delete = visit
        .stage
        .s3
        .delete_object()
        .bucket(&object.bucket)
        .key(&object.key);
    delete
        .send()
        .await
        .map_err(|error| Problem::of_aws("delete the object", &error))?;
    let folder = object.key.rfind('/').map_or("", |end| &object.key[..=end]);
    Ok(Reply::done(
        link(&path(name, ""), &[("prefix", folder)]),
        format!("Deleted {}", object.key),
    ))
}

/// Puts files into the bucket. They come through the disk, so that large ones take no memory.
pub(super) async fn upload(
    visit: &Visit,
    name: &str,
    body: Incoming,
    boundary: &str,
) -> Result<Reply> {
    let (_, bucket) = visit.stage.resource("bucket", name).await?;
    let mut parts = Multipart::new(BodyDataStream::new(body), boundary);
    let (mut is_ours, mut prefix, mut keys) = (false, String::new(), Vec::new());
    // The fields come in the order of the form: the token before everything else.
    let mut files = Vec::new();
    while let Some(part) = parts
        .next_field()
        .await
        .map_err(|error| unreadable(&error))?
    {
        match part.name() {
            Some("token") => {
                let token = part.text().await.map_err(|error| unreadable(&error))?;
                is_ours = visit.stage.secrets.has_made(Some(&token));
            }
            _ if !is_ours => {
                return Err(Problem {
                    status: StatusCode::FORBIDDEN,
                    ..Problem::mistake("the form does not come from this console")
                });
            }
            Some("prefix") => prefix = part.text().await.map_err(|error| unreadable(&error))?,
            Some("file") => files.extend(received(visit, part).await?),
            _ => {}
        }
    }
    if !prefix.is_empty() && !prefix.ends_with('/') {
        prefix.push('/');
    }
    for file in files {
        let key = format!("{prefix}{}", file.name);
        let content = ByteStream::from_path(file.content.path()).await;
        let content = content
            .map_err(|error| Problem::failed(format!("could not read {}: {error}", file.name)))?;
        visit
            .stage
            .s3
            .put_object()
            .bucket(&bucket)
            .key(&key)
            .set_content_type(file.content_type)
            .body(content)
            .send()
            .await
            .map_err(|error| Problem::of_aws(&format!("upload {key}"), &error))?;
        keys.push(key);
    }
    let sentence = match keys.as_slice() {
        [] => return Err(Problem::mistake("no file was chosen")),
        [key] => format!("Uploaded {key}"),
        keys => format!("Uploaded {} files", keys.len()),
    };
    Ok(Reply::done(
        link(&path(name, ""), &[("prefix", &prefix)]),
        sentence,
    ))
}

fn unreadable(error: &multer::Error) -> Problem {
    Problem::mistake(format!("could not read the upload: {error}"))
}

/// A file that was received.
struct Received {
    name: String,
    content_type: Option<String>,
    content: NamedTempFile,
}

/// Receives a file; none was chosen if it has no name.
async fn received(visit: &Visit, mut part: Field<'_>) -> Result<Option<Received>> {
    let name = part.file_name().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Ok(None);
    }
    let failed =
        |error: std::io::Error| Problem::failed(format!("could not store {name}: {error}"));
    let content_type = part.content_type().map(ToString::to_string);
    let mut content = NamedTempFile::new_in(&visit.stage.scratch).map_err(failed)?;
    let mut size: u64 = 0;
    while let Some(chunk) = part.chunk().await.map_err(|error| unreadable(&error))? {
        size += u64::try_from(chunk.len()).unwrap_or_default();
        if size > OBJECT_BYTES_MAX {
            return Err(Problem::mistake(format!(
                "{name} is larger than 5 GB, the limit of one call to S3"
            )));
        }
        content.write_all(&chunk).map_err(failed)?;
    }
    content.flush().map_err(failed)?;
    Ok(Some(Received {
        name,
        content_type,
        content,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_what_its_bytes_say() {
        assert_eq!(image_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(image_type(b"\x89PNG\r\n\x1a\n..."), Some("image/png"));
        assert_eq!(image_type(b"GIF89a"), Some("image/gif"));
        assert_eq!(image_type(b"RIFF....WEBPVP8 "), Some("image/webp"));
        for other in [
            &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..],
            b"<html>",
            b"GIF8xa",
            b"",
        ] {
            assert_eq!(image_type(other), None);
        }
    }

    #[test]
    fn a_cut_text_is_one() {
        assert_eq!(text_of("aé".as_bytes(), 3).as_deref(), Some("aé"));
        assert_eq!(text_of(&"aé".as_bytes()[..2], 3).as_deref(), Some("a"));
        assert_eq!(text_of(&"aé".as_bytes()[..2], 2), None);
        assert_eq!(text_of(b"a\0b", 3), None);
    }
}
