//! Every block of commands in the README, the guides and the references does what it shows.
//!
//! The documents share a local stage. A document's commands run in one shell, in the workspace,
//! with `cargo xtask` as the built program. What they print is compared with what the document
//! shows: `…` stands for any text, in a line of its own for any lines; and what differs from run to
//! run is compared by its form: times, sizes, identifiers, ports. A UUID that a document shows
//! stands for the one that the commands before made.
//!
//! A block that no test can run has a comment before it, `<!-- Not run: REASON -->`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and it tells what it ran"
)]

mod library;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Arc, LazyLock, Mutex};

use acceptance::documents::{Block, Document, documents};
use acceptance::{eventually, workspace};
use libtest_mimic::{Arguments, Failed, Trial};
use regex::{Captures, Regex};

use crate::library::{Stage, xtask_program};

/// How many blocks may go without a run, each with its reason.
const NOT_RUN_AT_MOST: usize = 10;

/// The command that starts a stage. The documents' stage runs already: what it printed counts.
const START: &str = "cargo xtask local";

/// How much of what a command printed is shown when it is not what the document shows.
const LINES_OF_A_FAILURE: usize = 40;

/// What a document leaves behind goes before the next one begins.
const CLEAN_UP: &str = r#"
aws s3api delete-bucket-policy --bucket $USER_BUCKET_NAME
aws s3 rm --recursive --quiet s3://$MEDIA_BUCKET_NAME
for id in $(curl -X POST ${USERS_API_URL}scan | grep -o '"id":"[^"]*"' | cut -d '"' -f 4); do
    curl -d "{\"id\": \"$id\"}" ${USERS_API_URL}delete
done
cargo xtask wait
"#;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share a stage.
    arguments.test_threads = Some(1);
    let shared: Arc<Mutex<Option<Stage>>> = Arc::default();
    let documents = documents(&workspace()).into_iter().filter(is_run);
    let mut documents: Vec<Document> = documents.collect();
    // It deletes what the stage consists of.
    documents.sort_by_key(|document| document.path.ends_with("deploying.md"));
    let blocks = || documents.iter().flat_map(|document| &document.blocks);
    let not_run = blocks().filter(|block| block.not_run.is_some()).count();
    let all = blocks().filter(|block| is_console(block)).count();
    let mut tests = vec![Trial::test("nearly_every_block_is_run", move || {
        println!("{} blocks are run, {not_run} are not", all - not_run);
        if not_run > NOT_RUN_AT_MOST {
            return Err(format!("{not_run} blocks are not run, {NOT_RUN_AT_MOST} may be").into());
        }
        Ok(())
    })];
    for document in documents {
        let name = document.path.display().to_string();
        let shared = Arc::clone(&shared);
        tests.push(Trial::test(name, move || run(&document, &shared)));
    }
    let conclusion = libtest_mimic::run(&arguments, tests);
    // A value in a static would never be dropped, and this one stops a stage.
    drop(shared);
    conclusion.exit_code()
}

fn is_run(document: &Document) -> bool {
    let path = &document.path;
    let is_for_readers = path.ends_with("README.md") && path.components().count() == 1
        || path.starts_with("docs/guide")
        || path.starts_with("docs/reference");
    is_for_readers && document.blocks.iter().any(is_console)
}

fn is_console(block: &Block) -> bool {
    block.language == "console"
}

fn run(document: &Document, shared: &Mutex<Option<Stage>>) -> Result<(), Failed> {
    let (not_run, run): (Vec<&Block>, Vec<&Block>) = document
        .blocks
        .iter()
        .filter(|block| is_console(block))
        .partition(|block| block.not_run.is_some());
    let path = document.path.display();
    for block in not_run {
        let reason = block.not_run.as_deref().unwrap_or_default();
        println!("{path}:{}: not run: {reason}", block.line);
    }
    if run.is_empty() {
        return Ok(());
    }
    let mut stage = shared.lock().unwrap();
    let stage = stage.get_or_insert_with(|| Stage::start_with(&["--watch"]));
    let mut shell = Shell::start(stage);
    let mut names = BTreeMap::new();
    let done = run
        .iter()
        .try_for_each(|block| run_block(block, stage, &mut shell, &mut names));
    shell.run(CLEAN_UP);
    done.map_err(|why| format!("{path}:{why}"))?;
    println!("{path}: {} blocks run", run.len());
    Ok(())
}

fn run_block(
    block: &Block,
    stage: &Stage,
    shell: &mut Shell,
    names: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    for (command, shown) in commands(&block.text) {
        let (shown, said) = if command == START {
            let ready = || stage.log().contains("logs follow").then(|| stage.log());
            (
                format!("{shown}…\n"),
                eventually("the stage is ready", ready),
            )
        } else {
            (shown, shell.run(&known(&command, names)))
        };
        compare(&shown, &said, names).map_err(|why| {
            let said: Vec<&str> = said.lines().take(LINES_OF_A_FAILURE).collect();
            let (line, said) = (block.line, said.join("\n"));
            format!("{line}: {why}\n$ {command}\nshown:\n{shown}\nprinted:\n{said}")
        })?;
    }
    Ok(())
}

/// The commands of a block, each with what it is to print.
fn commands(block: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), String::new()));
        } else if let Some((command, shown)) = commands.last_mut() {
            match line.strip_prefix("> ") {
                Some(more) if shown.is_empty() => *command = format!("{command}\n{more}"),
                _ => *shown = format!("{shown}{line}\n"),
            }
        }
    }
    commands
}

/// A shell as a reader has it, in the workspace.
struct Shell {
    process: Child,
    commands: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What the shell prints after each command.
const END: &str = "-- the command has ended --";

impl Shell {
    fn start(stage: &Stage) -> Self {
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc"])
            .current_dir(workspace())
            .env("XTASK_PROGRAM", xtask_program())
            .env("XTASK_LOCAL_DIR", stage.directory())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = bash.spawn().unwrap();
        let commands = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut shell = Self {
            process,
            commands,
            output,
        };
        shell.run("exec 2>&1; export LC_ALL=C.UTF-8");
        shell.run("cargo() { shift; \"$XTASK_PROGRAM\" \"$@\"; }");
        // Without a terminal, curl shows how far it is.
        shell.run("curl() { command curl --silent --show-error \"$@\"; }");
        shell.run("eval \"$(cargo xtask env --stage local)\"");
        shell
    }

    /// What a command prints.
    fn run(&mut self, command: &str) -> String {
        write!(
            self.commands,
            "{{ {command}\n}} </dev/null; printf '\\n%s\\n' '{END}'\n"
        )
        .unwrap();
        self.commands.flush().unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "the shell ended at: {command}\n{said}");
            if line.trim_end() == END {
                return said;
            }
            // What was written over is not to be seen on a terminal.
            said += line.trim_end().rsplit('\r').next().unwrap_or("");
            said.push('\n');
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.commands.write_all(b"exit\n");
        let _ = self.process.wait();
    }
}

static UUID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap()
});

/// What differs from run to run, and what stands for it.
static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (
            r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;[A-Za-z]+=[0-9a-f:]+)*",
            "TRACE",
        ),
        (r"\d{4}-\d\d-\d\d[T ]+\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
        (r"\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
        (r"\b\d+(\.\d+)? ?(B|KB|kB|KiB|MB|MiB|ms|s)\b", "SIZE"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\b[0-9a-f]{32,}", "HASH"),
        (r"-[0-9A-Fa-f]{12,13}\b", "-ID"),
        (r"\b[0-9A-F]{16,}\b", "ID"),
        (r"\b\d{9,}\b", "NUMBER"),
        (r"\.rs:\d+", ".rs:LINE"),
        (r"[ \t]+", " "),
    ]
    .map(|(form, name)| (Regex::new(form).unwrap(), name))
    .into_iter()
    .collect()
});

/// Text with the UUIDs of this run in the places of the document's.
fn known(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (shown, said)| {
        text.replace(shown, said)
    })
}

/// Whether a command printed what is shown. Learns what UUIDs stand for.
fn compare(shown: &str, said: &str, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    let shown_ids = UUID.find_iter(shown).map(|found| found.as_str());
    let new_ids: Vec<&str> = shown_ids.filter(|id| !names.contains_key(*id)).collect();
    let said_ids = UUID.find_iter(said).map(|found| found.as_str());
    let known_ids: Vec<&str> = names.values().map(String::as_str).collect();
    let said_ids: Vec<&str> = said_ids.filter(|id| !known_ids.contains(id)).collect();
    if new_ids.len() == said_ids.len() {
        let learned = new_ids.iter().zip(said_ids);
        let learned: Vec<_> = learned
            .map(|(shown, said)| ((*shown).to_owned(), said.to_owned()))
            .collect();
        names.extend(learned);
    }
    let lines = |text: &str| -> Vec<String> {
        let is_known = |id: &str| names.values().any(|name| name == id);
        let text = UUID.replace_all(text, |found: &Captures<'_>| {
            let id = &found[0];
            if is_known(id) { id } else { "UUID" }.to_owned()
        });
        let lines = text.lines().map(form);
        lines.filter(|line| !line.is_empty()).collect()
    };
    let shown = lines(&known(shown, names));
    let said = lines(said);
    matches(&shown, &said).map_err(|line| match line {
        Some(line) => format!("this was not printed: {line}"),
        None => "more was printed than is shown".to_owned(),
    })
}

/// A line by its form: JSON whose arrays are in no order, with placeholders for what varies.
fn form(line: &str) -> String {
    let varying = VARYING.iter();
    let line = varying.fold(line.to_owned(), |line, (form, name)| {
        form.replace_all(&line, *name).into_owned()
    });
    line.trim().to_owned()
}

/// Whether lines match a pattern of lines; if not, the first line of the pattern that none matches.
fn matches<'a>(pattern: &'a [String], lines: &[String]) -> Result<(), Option<&'a str>> {
    match pattern.split_first() {
        None if lines.is_empty() => Ok(()),
        None => Err(None),
        Some((first, rest)) if first == "…" => {
            let mut failed = Ok(());
            for from in 0..=lines.len() {
                failed = matches(rest, &lines[from..]);
                if failed.is_ok() {
                    return failed;
                }
            }
            // The pattern's next line is the one to name, if no line is like it.
            match rest.first() {
                Some(next) if !lines.iter().any(|line| line_matches(next, line)) => {
                    Err(Some(next.as_str()))
                }
                _ => failed,
            }
        }
        Some((first, rest)) => match lines.split_first() {
            Some((line, more)) if line_matches(first, line) => matches(rest, more),
            _ => Err(Some(first.as_str())),
        },
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    if let (Some(pattern), Some(line)) = (items(pattern), items(line)) {
        return pattern == line;
    }
    let parts: Vec<String> = pattern.split('…').map(regex::escape).collect();
    let whole = format!("^{}$", parts.join(".*"));
    Regex::new(&whole).unwrap().is_match(line)
}

/// The items of an array in JSON, sorted: a table lists them in an order of its own.
fn items(line: &str) -> Option<Vec<String>> {
    let line = line.replace("NUMBER", "0");
    let serde_json::Value::Array(items) = serde_json::from_str(&line).ok()? else {
        return None;
    };
    let mut items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.sort();
    Some(items)
}
