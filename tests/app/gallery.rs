//! The gallery in a real browser: what a person does there, and that bucket, catalogue and thumbnails
//! agree in the end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use acceptance::webdriver::Window;
use acceptance::{Reply, eventually, picture_folder, send, target_directory, workspace};
use aws_sdk_s3::primitives::ByteStream;
use local::CheckTools;
use serde_json::{Value, json};
use ureq::http::Request;

use crate::library::Stage;

/// How many files the library has in the end, besides those that a person uploads.
const FILES: usize = 200;

#[test]
fn gallery() {
    let stage = Stage::start();
    programs_get_json(&stage);
    forms_take_what_was_asked_for(&stage);
    let Some(window) = Window::open(1360, 950) else {
        eprintln!("left out: this machine has no chromium and chromedriver");
        return;
    };
    let browser = Browser {
        window,
        url: stage.variable("API_URL").to_owned(),
    };
    browser.window.prefer_dark(false);
    an_empty_library_says_so(&browser);
    a_photo_is_uploaded(&stage, &browser);
    a_video_is_uploaded_and_played(&browser);
    a_broken_file_is_told(&browser);
    what_is_no_media_file_is_refused(&browser);
    a_picture_is_replaced(&stage, &browser);
    labels_are_searched(&browser);
    a_file_is_deleted(&stage, &browser);
    pages_suit_people(&browser);
    many_files_come_by_scrolling(&stage, &browser);
    let mut complaints = browser.window.complaints();
    // What is not in the catalogue yet is asked for until it is, and refused uploads are tried.
    complaints.retain(|complaint| {
        !complaint.contains("status of 404") && !complaint.contains("status of 400")
    });
    assert_eq!(complaints, [""; 0]);
    in_step(&stage);
}

/// A window on the gallery.
struct Browser {
    window: Window,
    url: String,
}

impl Browser {
    fn go(&self, path: &str) {
        self.window.go(&format!("{}{path}", self.url));
    }

    /// Keeps a picture of the page.
    fn picture(&self, name: &str) {
        if let Some(folder) = picture_folder() {
            self.window
                .save_screenshot(&folder.join(format!("gallery-{name}.png")));
        }
    }

    /// Chooses a file to upload.
    fn choose(&self, file: &Path) {
        self.window.type_into("#files", file.to_str().unwrap());
    }

    /// Drops a file with this content on the page.
    fn drop(&self, name: &str, content: &str) {
        self.window.run(&format!(
            "const data = new DataTransfer();
             data.items.add(new File([{content:?}], {name:?}, {{type: 'image/jpeg'}}));
             document.dispatchEvent(new DragEvent('drop', {{bubbles: true, cancelable: true, dataTransfer: data}}))"
        ));
    }

    /// Waits until the page shows a tile, and its picture.
    fn shows_tile(&self, name: &str) {
        let script = format!(
            "const tile = document.querySelector('#grid > li[data-name={name:?}]');
             const image = tile && tile.querySelector('img');
             return !!tile && (!image || image.naturalWidth > 0 && !image.matches('.waits'))"
        );
        self.window
            .eventually(name, || (self.window.run(&script) == true).then_some(()));
    }

    fn tiles(&self) -> Vec<String> {
        let script =
            "return [...document.querySelectorAll('#grid > li')].map((tile) => tile.dataset.name)";
        let names = self.window.run(script);
        serde_json::from_value(names).unwrap()
    }
}

fn asset(name: &str) -> PathBuf {
    workspace().join("assets").join(name)
}

/// `Accept` decides.
fn programs_get_json(stage: &Stage) {
    let url = stage.variable("API_URL");
    for (accept, content_type) in [
        ("*/*", "application/json"),
        ("application/json, */*;q=0.5", "application/json"),
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
    ] {
        let request = Request::get(url).header("accept", accept);
        let reply = send(request.body(String::new()).unwrap());
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some(content_type), "{accept}");
        assert_eq!(reply.header("vary"), Some("accept"));
    }
}

/// Sends a form of the API with another field, content or origin than it is for.
fn send_form(form: &Value, changed: (&str, &str), file: &str, origin: Option<&str>) -> Reply {
    let mut body = String::new();
    for field in form["fields"].as_array().unwrap() {
        let (name, value) = (field[0].as_str().unwrap(), field[1].as_str().unwrap());
        let value = if name == changed.0 { changed.1 } else { value };
        if value.is_empty() {
            continue;
        }
        body += &format!(
            "--limit\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
    }
    body += &format!(
        "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{file}\r\n--limit--\r\n"
    );
    let mut request = Request::post(form["url"].as_str().unwrap())
        .header("content-type", "multipart/form-data; boundary=limit");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    send(request.body(body).unwrap())
}

fn forms_take_what_was_asked_for(stage: &Stage) {
    let ask = || {
        let body = json!({"name": "asked.jpg", "type": "image/jpeg", "size": 3}).to_string();
        let reply = stage.post("API_URL", "/uploads", &body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    };
    let page = stage.variable("API_URL").trim_end_matches('/').to_owned();
    let nothing = ("", "");
    for (changed, file, origin, status) in [
        (nothing, "four", None, 400),
        (nothing, "ab", None, 400),
        (("key", "other.jpg"), "abc", None, 403),
        (("Content-Type", "text/html"), "abc", None, 403),
        (("policy", "e30="), "abc", None, 403),
        // Without a signature, and from a page of another origin.
        (("x-amz-signature", ""), "abc", None, 403),
        (nothing, "abc", Some("http://127.0.0.1:1"), 403),
    ] {
        let reply = send_form(&ask(), changed, file, origin);
        assert_eq!(reply.status, status, "{changed:?} {file} {}", reply.body);
    }
    assert_eq!(stage.keys("MEDIA_BUCKET_NAME"), BTreeSet::new());
    let reply = send_form(&ask(), nothing, "abc", Some(&page));
    assert_eq!(reply.status, 204, "{}", reply.body);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some(page.as_str())
    );
    assert_eq!(stage.keys("MEDIA_BUCKET_NAME").len(), 1);
    // It is no picture, and no one is to meet it below.
    let api = stage.variable("API_URL");
    let deletion = || Request::delete(format!("{api}asked.jpg"));
    let stranger = deletion().header("sec-fetch-site", "same-site");
    assert_eq!(send(stranger.body(String::new()).unwrap()).status, 400);
    assert_eq!(send(deletion().body(String::new()).unwrap()).status, 204);
    eventually("the deletion", || {
        (stage.get("/asked.jpg").status == 404).then_some(())
    });
}

fn an_empty_library_says_so(browser: &Browser) {
    browser.go("");
    browser.window.shows("The library is empty");
    browser.picture("empty");
}

fn a_photo_is_uploaded(stage: &Stage, browser: &Browser) {
    browser.choose(&asset("sample.jpg"));
    browser
        .window
        .shows("Uploaded. It appears here when it is labelled.");
    browser.picture("upload");
    browser.shows_tile("sample.jpg");
    browser.choose(&asset("othersample.jpg"));
    browser.shows_tile("othersample.jpg");
    eventually("the thumbnails", || {
        let keys = stage.keys("THUMBNAILS_BUCKET_NAME");
        (keys.len() == 2).then_some(())
    });
    browser.go("");
    browser.shows_tile("sample.jpg");
    browser.shows_tile("othersample.jpg");
    let width = "return document.querySelector('#grid img').naturalWidth";
    let width = browser.window.run(width).as_u64().unwrap();
    assert!((1..=480).contains(&width), "{width}");
    browser.picture("two-photos");
    browser.window.click("li[data-name='sample.jpg'] a");
    browser.window.shows("Labels");
    let script = "return document.querySelector('.shown').naturalWidth > 0";
    browser.window.eventually("the picture", || {
        (browser.window.run(script) == true).then_some(())
    });
    browser.picture("photo");
}

fn a_video_is_uploaded_and_played(browser: &Browser) {
    browser.go("");
    browser.choose(&asset("sample.mp4"));
    browser.shows_tile("sample.mp4");
    browser.window.click("li[data-name='sample.mp4'] a");
    browser.window.shows("Labels");
    browser
        .window
        .run("const video = document.querySelector('.shown'); video.muted = true; video.play()");
    browser.window.eventually("the film", || {
        let script = "return document.querySelector('.shown').currentTime > 0.2";
        (browser.window.run(script) == true).then_some(())
    });
    browser.picture("video");
}

fn a_broken_file_is_told(browser: &Browser) {
    browser.go("");
    browser.drop("broken.jpg", "no picture at all");
    browser.window.shows("It could not be labelled:");
    browser.picture("upload-failed");
    browser.go("broken.jpg");
    browser.window.shows("This file could not be labelled");
    browser.picture("failure");
    browser.go("missing.jpg");
    browser.window.shows("This file is not in the library");
    browser.picture("error");
    browser.go("?cursor=abc");
    browser.window.shows("This address does not work");
}

fn what_is_no_media_file_is_refused(browser: &Browser) {
    browser.go("");
    browser.drop("notes.txt", "text");
    browser.window.shows("its name must end in");
    browser.window.click_text("Close");
}

/// Two uploads of one name: thumbnail and catalogue are of the last, although its labels may be the same.
fn a_picture_is_replaced(stage: &Stage, browser: &Browser) {
    let thumbnail = |name: &str| {
        let bucket = stage.variable("THUMBNAILS_BUCKET_NAME");
        let key = format!("{name}/thumbnail");
        stage.aws_json(&["s3api", "head-object", "--bucket", bucket, "--key", &key])["Metadata"]["source"]
            .clone()
    };
    let of_other = thumbnail("othersample.jpg");
    assert_ne!(thumbnail("sample.jpg"), of_other);
    let folder = tempfile::tempdir().unwrap();
    let replacement = folder.path().join("sample.jpg");
    std::fs::copy(asset("othersample.jpg"), &replacement).unwrap();
    browser.choose(&replacement);
    browser.window.shows("Replaced.");
    eventually("the thumbnail of the new picture", || {
        (thumbnail("sample.jpg") == of_other).then_some(())
    });
    std::fs::copy(asset("sample.jpg"), &replacement).unwrap();
    stage.upload("sample.jpg", &replacement);
    eventually("the thumbnail of the old picture", || {
        (thumbnail("sample.jpg") != of_other).then_some(())
    });
}

fn labels_are_searched(browser: &Browser) {
    browser.go("");
    browser.shows_tile("sample.jpg");
    browser.window.fill("#label", "Animal\u{e007}");
    browser.window.eventually("the search", || {
        browser
            .window
            .url()
            .ends_with("?label=Animal")
            .then_some(())
    });
    browser.shows_tile("sample.jpg");
    browser.picture("search");
    browser.window.click_text("Videos");
    browser.window.eventually("the videos", || {
        browser
            .window
            .url()
            .contains("media-type=video")
            .then_some(())
    });
    browser.go("?label=Zebra%20crossing%20at%20night");
    browser.window.shows("Nothing matches");
    browser.picture("nothing");
    browser.go(&format!("?label={}", "x".repeat(300)));
    browser.window.shows("Nothing matches");
}

fn a_file_is_deleted(stage: &Stage, browser: &Browser) {
    browser.go("othersample.jpg");
    browser.window.click("#delete");
    browser.window.shows("Delete othersample.jpg?");
    browser.picture("delete");
    browser.window.click("#keep");
    browser.window.click("#delete");
    browser.window.click("#really");
    browser.window.eventually("the gallery", || {
        (browser.window.url() == browser.url).then_some(())
    });
    assert!(!browser.tiles().contains(&"othersample.jpg".to_owned()));
    let keys = stage.keys("MEDIA_BUCKET_NAME");
    assert!(!keys.contains("othersample.jpg"), "{keys:?}");
    eventually("the end of the thumbnail", || {
        let keys = stage.keys("THUMBNAILS_BUCKET_NAME");
        (!keys.contains("othersample.jpg/thumbnail")).then_some(())
    });
}

/// Two hundred files, of the photos that there are.
fn many_files_come_by_scrolling(stage: &Stage, browser: &Browser) {
    let photos = ["sample.jpg", "othersample.jpg"].map(|name| std::fs::read(asset(name)).unwrap());
    let s3 = stage.s3();
    let bucket = stage.variable("MEDIA_BUCKET_NAME");
    let tokio = tokio::runtime::Runtime::new().unwrap();
    // A few at a time: each event that is not handled yet has a process of its own.
    for first in (0..FILES).step_by(10) {
        tokio.block_on(async {
            for index in first..first + 10 {
                let photo = photos[index % photos.len()].clone();
                let request = s3.put_object().bucket(bucket);
                let request = request.key(format!("album/{index:04}.jpg"));
                request.body(ByteStream::from(photo)).send().await.unwrap();
            }
        });
        stage.xtask_ok(&["wait", "--timeout", "10m"]);
    }
    browser.go("?startswith=album/");
    browser.window.eventually("all files", || {
        browser
            .window
            .run("scrollTo(0, document.body.scrollHeight)");
        (browser.tiles().len() == FILES).then_some(())
    });
    let tiles = browser.tiles();
    let expected: Vec<String> = (0..FILES)
        .map(|index| format!("album/{index:04}.jpg"))
        .collect();
    let sorted: BTreeSet<_> = tiles.iter().cloned().collect();
    assert_eq!(sorted.into_iter().collect::<Vec<_>>(), expected);
    browser.window.shows("200 files: that is all");
    browser.window.run("scrollTo(0, 0)");
    browser.shows_tile(&tiles[0]);
    browser.picture("200-files");
    browser.window.prefer_dark(true);
    browser.picture("200-files-dark");
    browser.window.resize(390, 844);
    browser.picture("200-files-phone");
}

fn pages_suit_people(browser: &Browser) {
    browser.go("");
    browser.shows_tile("sample.jpg");
    browser.window.prefer_dark(true);
    browser.picture("dark");
    browser.go("sample.jpg");
    browser.window.shows("Labels");
    browser.picture("photo-dark");
    browser.window.prefer_dark(false);
    browser.window.resize(390, 844);
    browser.picture("phone-photo");
    browser.go("");
    browser.shows_tile("sample.jpg");
    let overflow =
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.window.run(overflow), 0);
    browser.picture("phone");
    browser.window.resize(1360, 950);
    let axe = axe();
    for path in [
        "",
        "sample.jpg",
        "broken.jpg",
        "missing.jpg",
        "?label=Zebra",
    ] {
        browser.go(path);
        // What a screen reader needs: names of what can be used, one heading and one main part.
        let unnamed = browser.window.run(
            "return [...document.querySelectorAll('a, button, input:not([type=hidden]), img, video, nav, section, dialog')]
                .filter((element) => !(element.textContent.trim() || element.getAttribute('alt') || element.getAttribute('aria-label')
                    || element.getAttribute('aria-labelledby') || (element.labels && element.labels.length)))
                .map((element) => element.outerHTML.slice(0, 120))",
        );
        assert_eq!(unnamed, json!([]), "{path}");
        let parts = browser.window.run(
            "return [document.querySelectorAll('h1').length, document.querySelectorAll('main').length, document.documentElement.lang]",
        );
        assert_eq!(parts, json!([1, 1, "en"]), "{path}");
        for dark in [false, true] {
            browser.window.prefer_dark(dark);
            let faults = serious_faults(browser, &axe);
            assert_eq!(faults, json!([]), "{path}, dark: {dark}");
        }
    }
    browser.window.prefer_dark(false);
}

/// The source of axe-core, which the checks' Python environment holds.
fn axe() -> String {
    let environment = target_directory().join("python/checks");
    let prepared = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(CheckTools::prepare(&environment, |line| {
            eprintln!("{line}");
        }));
    prepared.unwrap();
    let versions = std::fs::read_dir(environment.join("lib")).unwrap();
    let mut sources = versions.map(|version| {
        let file = "site-packages/axe_core_python/axe.min.js";
        version.unwrap().path().join(file)
    });
    let source = sources.find(|source| source.exists()).unwrap();
    std::fs::read_to_string(source).unwrap()
}

/// What axe-core finds on the page that a person could not get by.
fn serious_faults(browser: &Browser, axe: &str) -> Value {
    browser.window.run(axe);
    browser.window.run(
        "window.found = null; axe.run().then((result) => { window.found = result.violations
            .filter(({impact}) => ['serious', 'critical'].includes(impact))
            .map(({id, nodes}) => [id, nodes[0].html.slice(0, 200), nodes[0].failureSummary]) })",
    );
    browser.window.eventually("axe-core", || {
        let found = browser.window.run("return window.found");
        (!found.is_null()).then_some(found)
    })
}

/// Each picture in the catalogue has a thumbnail, and nothing else has one.
fn in_step(stage: &Stage) {
    stage.xtask_ok(&["wait", "--timeout", "10m"]);
    let listed = stage.get("/?media-type=image&limit=1000").json();
    let listed = listed.as_array().unwrap().iter();
    let listed: BTreeSet<String> = listed
        .map(|item| {
            let name = item["name"].as_str().unwrap();
            format!("{}/thumbnail", name.replace('/', "%2F"))
        })
        .collect();
    assert_eq!(listed.len(), FILES + 1);
    assert_eq!(stage.keys("THUMBNAILS_BUCKET_NAME"), listed);
}
