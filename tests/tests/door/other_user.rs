//! Another user of the machine.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use acceptance::browser::runs_as_root;
use acceptance::strangers::open_files;
use serde_json::{Value, json};

use crate::target::Stages;

/// The user `nobody`, who owns nothing.
const NOBODY: u32 = 65534;

const OTHER_USER: &str = include_str!("attack/other_user.py");

/// The beginning of a command that another user runs.
pub(crate) fn as_nobody() -> Option<Vec<String>> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    if runs_as_root() {
        let user = format!("--reuid={NOBODY} --regid={NOBODY}");
        return Some(words(format!("setpriv {user} --clear-groups python3")));
    }
    let sudo = words("sudo -n -u nobody python3".to_owned());
    let mut probe = Command::new(&sudo[0]);
    probe.args(&sudo[1..]).args(["-c", ""]);
    let ran = probe.stdin(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success()).then_some(sudo)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

pub(crate) fn another_user_gets_no_further_than_the_public_apis(stages: &Stages) {
    for target in [stages.plain(), stages.chaos()] {
        let stage = &target.stage;
        let processes = target.processes();
        let temporary = std::env::temp_dir();
        // What the stage keeps in its folder, and what it writes elsewhere.
        let mut files: BTreeSet<PathBuf> = files_below(stage.directory()).into_iter().collect();
        for process in &processes {
            let open = open_files(*process).into_iter();
            files.extend(open.filter(|file| file.starts_with(&temporary)));
        }
        let of_the_test = stage.directory().join("xtask-local.log");

        let mut private = Vec::new();
        for port in target.private_ports() {
            for (method, path) in [
                ("GET", "/"),
                ("POST", "/"),
                ("DELETE", "/"),
                ("POST", "/stop"),
                ("GET", "/health"),
                ("POST", "/_ministack/config"),
                ("GET", "/2018-06-01/runtime/invocation/next"),
                ("POST", "/2018-06-01/runtime/init/error"),
            ] {
                private.push(json!([port, method, path, {}, "{}"]));
            }
        }
        let public = [
            json!([target.port("SHOP_URL"), "GET", "/", {}, null]),
            json!([target.port("ORDERS_URL"), "GET", "/orders", {}, null]),
            json!([target.port("FEED_URL"), "GET", "/", {}, null]),
        ];
        let requests = [&private[..], &public[..]].concat();
        let given = json!({
            "folder": stage.directory(),
            "files": files,
            "processes": processes,
            "requests": requests,
        });

        let command = as_nobody().unwrap();
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .args(["-c", OTHER_USER])
            .current_dir("/")
            // Not a Python in the home of whoever runs the test.
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(given.to_string().as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();

        assert_eq!(result["user"], NOBODY);
        let files = result["files"].as_array().unwrap();
        let files: Vec<&str> = files
            .iter()
            .map(|file| file.as_str().unwrap())
            .filter(|file| Path::new(file) != of_the_test)
            .collect();
        assert!(files.is_empty(), "another user reads {files:#?}");
        assert_eq!(result["environments"], json!([]));
        let answers = result["answers"].as_array().unwrap();
        let (private, public) = answers.split_at(private.len());
        let refused = [json!(401), json!(403), json!(404), json!("closed")];
        let served: Vec<_> = private
            .iter()
            .filter(|answer| !refused.contains(&answer[1]))
            .collect();
        assert!(served.is_empty(), "another user is served: {served:#?}");
        assert!(public.iter().all(|answer| answer[1] == 200), "{public:?}");
        target.assert_untouched();
    }
}
