//! `cargo xtask local --watch`: saved changes, under traffic, reach the functions, and nothing else is disturbed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use acceptance::copy::Copy;
use acceptance::{Stage, both, eventually, processes_that_know};

const SERVE_SHOP: &str = "tests/example/functions/serve-shop/src/main.rs";
const FILE_PHOTO: &str = "tests/example/functions/file-photo/src/main.rs";
const MANIFEST: &str = "tests/example/src/lib.rs";
const STAGES: &str = "tests/example/infra/stages.yaml";

/// A copy in which `serve-shop` tells the version of its code, at once or late.
struct Ground {
    copy: Copy,
    stage: Stage,
}

impl Ground {
    fn start() -> Self {
        let edited = ["shop", "shop-xtask", "serve-shop", "file-photo"];
        let copy = Copy::new(&edited);
        copy.edit(
            SERVE_SHOP,
            "            Some(name) => {\n",
            "            Some(name) => {\n                if name == \"slow\" {\n                    std::thread::sleep(std::time::Duration::from_secs(4));\n                }\n",
        );
        copy.edit(SERVE_SHOP, "there is no photo {name}", "<0> no {name}");
        let target = copy.target().to_str().unwrap().to_owned();
        let root = copy.root().join("tests/example/xtask");
        let variables = [
            ("CARGO_TARGET_DIR", target.as_str()),
            ("CARGO_MANIFEST_DIR", root.to_str().unwrap()),
        ];
        let program = acceptance::xtask_program();
        let stage = Stage::with_variables(program, &["--watch"], &variables);
        Self { copy, stage }
    }

    /// Saves a file as many editors do: beside it, then in its place.
    fn save(&self, file: &str, text: &str) {
        let file = self.copy.root().join(file);
        let beside = file.with_extension("rs~");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &file).unwrap();
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.copy.root().join(file)).unwrap()
    }

    /// What `serve-shop` answers, and which version of its code does.
    fn ask(&self, name: &str) -> (u16, Option<usize>) {
        let reply = self.stage.get("SHOP_URL", &format!("/{name}"));
        let version = reply.body.split_once('<').and_then(|(_, rest)| {
            let (version, _) = rest.split_once('>')?;
            version.parse().ok()
        });
        (reply.status, version)
    }

    fn awaits_version(&self, version: usize) {
        eventually(&format!("version {version} answers"), || {
            (self.ask("probe").1 == Some(version)).then_some(())
        });
    }

    fn processes(&self) -> (u32, Vec<PathBuf>) {
        let endpoint = self.stage.variable("AWS_ENDPOINT_URL");
        let mut emulator = processes_that_know(endpoint);
        emulator.retain(|process| {
            let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("emulator.py")
        });
        (self.stage.process_id(), emulator)
    }

    fn xtask(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.copy.xtask(arguments);
        command.env("XTASK_LOCAL_DIR", self.stage.directory());
        command
    }

    /// `diff` builds what the source says, and compares it with the stage. It finds drift until the stage has built all
    /// functions and told CloudFormation of their code, which is a moment after the function that was asked answers.
    fn becomes_as_the_source_says(&self) {
        eventually("`diff` finds no difference", || {
            let arguments = ["diff", "--stage", "local", "--exit-code"];
            let output = self.xtask(&arguments).output().unwrap();
            println!("{}", both(&output));
            output.status.success().then_some(())
        });
    }
}

/// Moments that nobody has chosen.
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Goes on until it is dropped.
struct Traffic<'a>(&'a AtomicBool);

impl Drop for Traffic<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Uploads and requests go on during so many edits. Answers are as of the code's time, and every
/// upload is listed.
fn edits_under_traffic(ground: &Ground, edits: usize) {
    let before = ground.processes();
    ground.awaits_version(0);
    let photo = acceptance::workspace().join("assets/sample.jpg");
    let saved = AtomicUsize::new(0);
    let ended = AtomicBool::new(false);
    let uploaded = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        // Ends the traffic of a test that has failed, too.
        let traffic = Traffic(&ended);
        scope.spawn(|| {
            let mut newest = 0;
            while !ended.load(Ordering::SeqCst) {
                let (status, version) = ground.ask("probe");
                let version = version.unwrap();
                assert_eq!(status, 404);
                assert!(version >= newest, "{version} answers after {newest}");
                assert!(version <= saved.load(Ordering::SeqCst));
                newest = version;
            }
        });
        scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                let mut uploaded = uploaded.lock().unwrap();
                let key = format!("{}.jpg", uploaded.len());
                ground.stage.upload("PHOTOS_BUCKET_NAME", &key, &photo);
                uploaded.push(key);
                drop(uploaded);
                std::thread::sleep(Duration::from_millis(150));
            }
        });
        // A request that has begun ends on the code that it began with.
        let slow = scope.spawn(|| ground.ask("slow"));
        let mut moments = Moments(0x5eed);
        for edit in 1..=edits {
            std::thread::sleep(Duration::from_millis(moments.below(2500)));
            let text = ground.read(SERVE_SHOP);
            let next = text.replace(&format!("<{}>", edit - 1), &format!("<{edit}>"));
            assert_ne!(text, next);
            if moments.below(4) == 0 {
                // What does not compile serves nobody, and is mended by the next save.
                ground.save(SERVE_SHOP, &format!("{next}\nfn half("));
                std::thread::sleep(Duration::from_millis(moments.below(1500)));
            }
            if moments.below(3) == 0 {
                let text = ground.read(FILE_PHOTO);
                ground.save(
                    FILE_PHOTO,
                    &text.replace("photo listed", "photo listed again"),
                );
            }
            saved.store(edit, Ordering::SeqCst);
            ground.save(SERVE_SHOP, &next);
        }
        ground.awaits_version(edits);
        drop(traffic);
        assert_eq!(slow.join().unwrap().1, Some(0));
    });
    ground.stage.xtask_ok(&["wait"]);
    assert_eq!(ground.stage.failed_events("file-photo"), 0);
    let uploaded = uploaded.into_inner().unwrap();
    let listed = ground.stage.get("SHOP_URL", "/").body;
    let missing: Vec<&String> = uploaded
        .iter()
        .filter(|key| !listed.contains(&format!("\"{key}\"")))
        .collect();
    assert!(missing.is_empty(), "of {}: {missing:?}", uploaded.len());
    ground.becomes_as_the_source_says();
    assert_eq!(ground.processes(), before);
    println!("{edits} edits, {} uploads", uploaded.len());
}

#[test]
fn saved_changes_reach_the_stage_and_disturb_nothing() {
    let ground = Ground::start();
    edits_under_traffic(&ground, 10);
    another_cargo_builds(&ground);
    whatever_happens_to_the_source(&ground);
}

#[test]
#[ignore = "takes minutes: fifty edits"]
fn long_fifty_edits_under_traffic() {
    edits_under_traffic(&Ground::start(), 50);
}

/// Another cargo holds the target directory, as an editor's check does after each save. The function that is asked does not
/// wait for it, once the stage has compiled it without cargo before. How long that takes, the machine decides.
fn another_cargo_builds(ground: &Ground) {
    let source = ground.read(SERVE_SHOP);
    let lock = File::open(ground.copy.target().join("debug/.cargo-lock")).unwrap();
    let answers_meanwhile = |version: usize| {
        ground.becomes_as_the_source_says();
        std::thread::sleep(Duration::from_secs(3));
        lock.lock().unwrap();
        let next = source.replace("<10>", &format!("<{version}>"));
        ground.save(SERVE_SHOP, &next);
        let saved = Instant::now();
        let mut answers = false;
        while !answers && saved.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
            answers = ground.ask("probe").1 == Some(version);
        }
        lock.unlock().unwrap();
        ground.awaits_version(version);
        answers
    };
    assert!(
        (11..20).any(answers_meanwhile),
        "each edit waited for cargo"
    );
    ground.save(SERVE_SHOP, &source);
    ground.awaits_version(10);
    ground.becomes_as_the_source_says();
}

/// It does not compile, goes away and comes back; the manifest is wrong, and gets a function more
/// and less.
fn whatever_happens_to_the_source(ground: &Ground) {
    let source = ground.read(SERVE_SHOP);
    ground.save(SERVE_SHOP, &source.replace("<10>", "<0>"));
    ground.awaits_version(0);
    let before = ground.processes();
    ground.stage.upload(
        "PHOTOS_BUCKET_NAME",
        "kept.jpg",
        &acceptance::workspace().join("assets/sample.jpg"),
    );
    ground.stage.xtask_ok(&["wait"]);

    // A document and a sample build nothing, and what no function is made of nothing new.
    let rounds = || {
        let log = ground.stage.log();
        let told = ["Reloaded", "Deployed", "error", "warning", "Waiting"];
        told.map(|word| log.matches(word).count())
    };
    let before_touching = rounds();
    ground.save("README.md", "changed");
    ground.save("tests/example/assets/events/audit.json", "{}");
    touch_all(&ground.copy.root().join("tests/src"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(rounds(), before_touching);

    // An error is told in the compiler's words, once, and the old code goes on.
    let source = ground.read(SERVE_SHOP);
    ground.save(
        SERVE_SHOP,
        &source.replace("json_response(200", "json_responze(200"),
    );
    let log = ground.eventually_says("(bin \"serve-shop\") due to 1 previous error;");
    assert_eq!(log.matches("error[E0425]").count(), 1, "{log}");
    eventually("the old code is told of", || {
        let log = ground.stage.log();
        let (_, after) = log.rsplit_once("error[E0425]")?;
        after
            .contains("still runs the code from before")
            .then_some(())
    });
    ground.awaits_version(0);

    // The folder goes away, and comes back with another version.
    let folder = ground
        .copy
        .root()
        .join("tests/example/functions/serve-shop");
    let away = ground.copy.root().join("away");
    std::fs::rename(&folder, &away).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    std::fs::rename(&away, &folder).unwrap();
    ground.save(SERVE_SHOP, &source.replace("<0>", "<1>"));
    ground.awaits_version(1);

    // A manifest that cannot be deployed is told, and mended.
    let manifest = ground.read(MANIFEST);
    ground.save(
        MANIFEST,
        &manifest.replace("app.queue(\"parcels\")", "app.queue(\"par cels\")"),
    );
    ground.eventually_says("the manifest cannot be deployed to stage local");
    ground.awaits_version(1);
    ground.save(MANIFEST, &manifest);

    // A new function with an API of its own.
    let made = ["new", "function", "pay", "--on", "POST:bills/bills"];
    let output = ground.xtask(&made).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let log = ground.eventually_says("bills API: http://127.0.0.1:");
    let (_, url) = log.rsplit_once("bills API: ").unwrap();
    let url = url.split_whitespace().next().unwrap().to_owned();
    let post = || {
        let request = ureq::http::Request::post(format!("{url}bills"));
        acceptance::send(request.body("{}".to_owned()).unwrap())
    };
    eventually("the new function answers", || {
        post().body.contains("Hello from pay").then_some(())
    });

    // Both go, with the function's folder.
    ground.save(MANIFEST, &manifest);
    std::fs::remove_dir_all(ground.copy.root().join("tests/example/functions/pay")).unwrap();
    eventually("the function is gone", || {
        let functions = ground.stage.aws_json(&["lambda", "list-functions"]);
        (!functions.to_string().contains("shop-local-pay")).then_some(())
    });

    // A setting of the stage.
    let stages = ground.read(STAGES);
    assert!(stages.contains("local:"));
    ground.save(STAGES, &format!("{stages}\n# changed\n"));
    ground.save(SERVE_SHOP, &source.replace("<0>", "<2>"));
    ground.awaits_version(2);

    assert_eq!(ground.ask("kept.jpg").0, 200);
    assert_eq!(ground.processes(), before);
    ground.becomes_as_the_source_says();
}

impl Ground {
    fn eventually_says(&self, text: &str) -> String {
        eventually(&format!("the stage says: {text}"), || {
            let log = self.stage.log();
            log.contains(text).then_some(log)
        })
    }
}

/// As git does with files that it writes anew.
fn touch_all(folder: &Path) {
    let now = std::time::SystemTime::now();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            touch_all(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = File::options().append(true).open(&path).unwrap();
            file.set_modified(now).unwrap();
        }
    }
}
