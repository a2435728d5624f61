//! The files that a stage is made of, and whether one of them was changed.
//!
//! They are looked at again and again. So it makes no difference how an editor writes, a folder that is deleted and comes
//! back is a change as any other, thousands of changes are one, and folders that a virtual machine or a network shares, of
//! whose changes nobody tells, are seen. Where the kernel tells of a change, the next look is at once ([`Notices`]). (The
//! crate that does this on all systems, `notify`, is under a licence that this workspace does not allow.)

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use tokio::time::sleep;

use super::notices::Notices;
use crate::build::sources;
use crate::workspace::Workspace;

/// How often the files are looked at where the kernel does not tell of changes. At most as often where it does: something
/// else may be written beside them.
const INTERVAL: Duration = Duration::from_millis(50);

/// How often they are looked at where the kernel tells, and when nobody has changed any for a while: a stage that runs beside
/// other work costs little.
const IDLE_INTERVAL: Duration = Duration::from_millis(250);
const IDLE_AFTER: Duration = Duration::from_mins(3);

/// How much older a file's modification time may be than the write: the kernel takes it from its last tick.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// What cargo writes during a build.
const LOCK: &str = "Cargo.lock";

/// What decides beside the packages how they are built, below the cargo workspace.
const OF_WORKSPACE: [&str; 6] = [
    "Cargo.toml",
    LOCK,
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
];

/// What decides beside the packages what is deployed, below the app's folder.
const OF_APP: [&str; 2] = ["infra/stages.yaml", "infra/local-values.yaml"];

/// Where to look.
#[derive(Debug, Default)]
pub(super) struct Files {
    workspace: Vec<PathBuf>,
    app: Vec<PathBuf>,
    /// The names of the workspace's packages.
    packages: BTreeSet<String>,
    /// Their folders, and those of packages that were there before: a folder that is gone may come
    /// back.
    folders: BTreeSet<PathBuf>,
    /// The declarations of packages by which they were found.
    declarations: Stamps,
    /// What executables were made of, by their names.
    sources: BTreeMap<String, BTreeSet<PathBuf>>,
    /// What of this is not found by walking, such as what `include_str!` includes.
    included: BTreeSet<PathBuf>,
}

/// The files at one moment.
#[derive(Debug)]
pub(super) struct Seen {
    /// Before the first of them was looked at.
    at: SystemTime,
    files: Stamps,
    /// The folders that were listed. They differ when a name in them is new, or gone.
    folders: Stamps,
}

/// Files or folders, none where there is none.
type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// What differs when a file has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified_ns: i128,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
        })
    }
}

impl Files {
    /// The files of the workspace's packages as cargo knows them now.
    pub(super) fn of(workspace: &Workspace) -> Self {
        let below =
            |root: &Path, names: &[&str]| names.iter().map(|name| root.join(name)).collect();
        let mut files = Self {
            workspace: below(workspace.cargo_root(), &OF_WORKSPACE),
            app: below(workspace.root(), &OF_APP),
            ..Self::default()
        };
        files.find_packages(workspace);
        files
    }

    /// Asks cargo for the workspace's packages. Where it cannot tell, because a Cargo.toml has an
    /// error, those that were known stay.
    fn find_packages(&mut self, workspace: &Workspace) {
        if let Some(packages) = packages(workspace) {
            self.folders.extend(packages.values().cloned());
            self.packages = packages.into_keys().collect();
        }
        self.declarations = self.scan().declarations();
    }

    /// Finds packages anew if a Cargo.toml is not as it was. Whether that was so.
    pub(super) fn update(&mut self, workspace: &Workspace, seen: &Seen) -> bool {
        let is_outdated = seen.declarations() != self.declarations;
        if is_outdated {
            self.find_packages(workspace);
        }
        is_outdated
    }

    /// Whether the workspace has a package of this name. True if cargo could not list the packages.
    pub(super) fn has_package(&self, name: &str) -> bool {
        self.packages.is_empty() || self.packages.contains(name)
    }

    /// What the files say that are read at a start: they are not part of the program.
    pub(super) fn settings(workspace: &Workspace) -> Vec<Option<Vec<u8>>> {
        let read = |name: &&str| fs::read(workspace.root().join(name)).ok();
        OF_APP.iter().map(read).collect()
    }

    /// Looks as well at what an executable was made of, which cargo has written beside it.
    pub(super) fn include(&mut self, name: &str, executable: &Path) {
        let sources = sources(executable);
        if sources.is_empty() {
            return;
        }
        let is_walked = |file: &PathBuf| {
            let mut folders = self.folders.iter();
            is_rust(file) && folders.any(|package| file.starts_with(package.join("src")))
        };
        let included = sources.iter().filter(|file| !is_walked(file)).cloned();
        self.included.extend(included.collect::<Vec<_>>());
        self.sources
            .insert(name.to_owned(), sources.into_iter().collect());
    }

    /// Adds the files that a build has found out about to what was seen before it. A file that was written since then counts
    /// as changed: the build may have read it as it was.
    pub(super) fn complete(&self, seen: &mut Seen) {
        let seen_at = seen.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let before_ns = seen_at.saturating_sub(CLOCK_TICK).as_nanos();
        for path in &self.included {
            let is_older = |stamp: &Stamp| {
                u128::try_from(stamp.modified_ns).is_ok_and(|modified| modified < before_ns)
            };
            let stamp = || Stamp::of(path).filter(is_older);
            seen.files.entry(path.clone()).or_insert_with(stamp);
        }
    }

    /// The executables that were made of the files that differ. None if one of these was in no executable: it may be in
    /// any now.
    pub(super) fn concerned(&self, before: &Seen, now: &Seen) -> BTreeSet<&str> {
        let mut concerned = BTreeSet::new();
        for file in before.differing(now) {
            let with = self
                .sources
                .iter()
                .filter(|(_, files)| files.contains(file));
            let names: Vec<&str> = with.map(|(name, _)| name.as_str()).collect();
            if names.is_empty() {
                return BTreeSet::new();
            }
            concerned.extend(names);
        }
        concerned
    }

    /// The sources of an executable that differ.
    pub(super) fn changed_of<'a>(
        &self,
        name: &str,
        before: &'a Seen,
        now: &'a Seen,
    ) -> Vec<&'a Path> {
        let sources = self.sources.get(name);
        let is_source = |file: &&'a PathBuf| sources.is_some_and(|files| files.contains(*file));
        before
            .differing(now)
            .filter(is_source)
            .map(PathBuf::as_path)
            .collect()
    }

    /// What is there now.
    pub(super) fn scan(&self) -> Seen {
        let mut seen = Seen {
            at: SystemTime::now(),
            files: Stamps::new(),
            folders: Stamps::new(),
        };
        let alone = self.workspace.iter().chain(&self.app).chain(&self.included);
        for path in alone {
            seen.look_at(path.clone());
        }
        for package in &self.folders {
            seen.look_at(package.join("Cargo.toml"));
            seen.look_at(package.join("build.rs"));
            seen.walk(package.join("src"));
        }
        seen
    }

    /// Returns as soon as a file has changed.
    pub(super) async fn changed(&self, before: &Seen) {
        self.wait_for_change(before, |_| true).await;
    }

    /// Returns as soon as a file has changed that cargo does not write itself. Whoever ends cargo because it writes
    /// `Cargo.lock` leaves half of the file.
    pub(super) async fn disturbed(&self, before: &Seen) {
        self.wait_for_change(before, |path| !path.ends_with(LOCK))
            .await;
    }

    async fn wait_for_change(&self, before: &Seen, counts: impl Fn(&Path) -> bool) {
        let counted = |stamp: &(&PathBuf, &Option<Stamp>)| counts(stamp.0);
        let began = Instant::now();
        let mut notices = Notices::of(before.watched());
        let mut folders = before.folders.clone();
        let mut was_noticed = false;
        while !differ(before.files.iter().filter(counted)) {
            if was_noticed {
                sleep(INTERVAL).await;
            }
            if differ(&folders) {
                let now = self.scan();
                let files = now.files.iter().filter(counted);
                if !files.eq(before.files.iter().filter(counted)) {
                    return;
                }
                // Something else was written there.
                folders = now.folders;
            }
            let is_idle = notices.are_given() || began.elapsed() > IDLE_AFTER;
            let interval = if is_idle { IDLE_INTERVAL } else { INTERVAL };
            was_noticed = notices.within(interval).await;
        }
    }

    /// Waits until no file has changed for this long, and returns the files. Whoever saves several, or lets git change
    /// them, wants one build.
    pub(super) async fn settled(&self, quiet: Duration) -> Seen {
        let mut before = self.scan();
        loop {
            sleep(quiet).await;
            if !differ(&before.files) && !differ(&before.folders) {
                return before;
            }
            let now = self.scan();
            if now.files == before.files {
                return now;
            }
            before = now;
        }
    }
}

/// Whether one of them is no longer as it was. This is asked all the time, and lists nothing.
fn differ<'a>(stamps: impl IntoIterator<Item = (&'a PathBuf, &'a Option<Stamp>)>) -> bool {
    let mut stamps = stamps.into_iter();
    stamps.any(|(path, stamp)| Stamp::of(path) != *stamp)
}

impl Seen {
    fn look_at(&mut self, path: PathBuf) {
        let stamp = Stamp::of(&path);
        self.files.insert(path, stamp);
    }

    /// Takes up all Rust sources below a folder. A link to a folder is not followed: it may lead in
    /// a circle.
    fn walk(&mut self, folder: PathBuf) {
        // Before it is listed: a name that is added meanwhile is found the next time.
        let stamp = Stamp::of(&folder);
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.walk(path),
                Ok(_) if is_rust(&path) => self.look_at(path),
                _ => {}
            }
        }
        self.folders.insert(folder, stamp);
    }

    /// The folders that all of this lies in.
    fn watched(&self) -> BTreeSet<&Path> {
        let folders = self.folders.keys().map(PathBuf::as_path);
        let parents = self.files.keys().filter_map(|file| file.parent());
        folders.chain(parents).collect()
    }

    /// The files that are not the same then.
    fn differing<'a>(&'a self, then: &'a Self) -> impl Iterator<Item = &'a PathBuf> {
        let changed = self
            .files
            .iter()
            .filter(|(path, stamp)| then.files.get(*path) != Some(stamp));
        let new = then
            .files
            .keys()
            .filter(|path| !self.files.contains_key(*path));
        changed.map(|(path, _)| path).chain(new)
    }

    fn declarations(&self) -> Stamps {
        let files = self.files.iter();
        let declarations = files.filter(|(path, _)| path.ends_with("Cargo.toml"));
        declarations
            .map(|(path, stamp)| (path.clone(), *stamp))
            .collect()
    }
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// The folders of the workspace's packages.
fn packages(workspace: &Workspace) -> Option<BTreeMap<String, PathBuf>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        manifest_path: PathBuf,
    }
    let output = std::process::Command::new(workspace.cargo())
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(workspace.cargo_root())
        .output();
    let metadata: Metadata = serde_json::from_slice(&output.ok()?.stdout).ok()?;
    let packages = metadata.packages.into_iter();
    let named = |package: Package| {
        let folder = package.manifest_path.parent()?.to_owned();
        Some((package.name, folder))
    };
    packages.map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ground {
        folder: tempfile::TempDir,
        files: Files,
    }

    impl Ground {
        fn new() -> Self {
            let folder = tempfile::TempDir::new().unwrap();
            let package = folder.path().join("order");
            let files = Files {
                folders: [package].into(),
                app: vec![folder.path().join("stages.yaml")],
                ..Files::default()
            };
            let ground = Self { folder, files };
            ground.write("order/src/lib.rs", "1");
            ground.write("order/src/rules/mod.rs", "1");
            ground.write("order/README.md", "1");
            ground
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// The names that differ after a change.
        fn changed_by(&self, change: impl FnOnce(&Self)) -> Vec<String> {
            let before = self.files.scan();
            change(self);
            let now = self.files.scan();
            let changed: BTreeSet<&PathBuf> = before.differing(&now).collect();
            let name = |path: &PathBuf| {
                let below = path.strip_prefix(self.folder.path()).unwrap();
                below.to_str().unwrap().to_owned()
            };
            changed.into_iter().map(name).collect()
        }
    }

    #[test]
    fn sources_and_settings_are_seen_and_documents_are_not() {
        let ground = Ground::new();
        let changed = ground.changed_by(|ground| {
            ground.write("order/src/lib.rs", "22");
            ground.write("order/src/rules/new.rs", "1");
            ground.write("order/README.md", "22");
            ground.write("order/src/notes.txt", "1");
            ground.write("stages.yaml", "dev:");
        });
        let expected = ["order/src/lib.rs", "order/src/rules/new.rs", "stages.yaml"];
        assert_eq!(changed, expected);
        assert!(ground.changed_by(|_| {}).is_empty());
    }

    #[test]
    fn an_editor_that_writes_by_rename_is_seen() {
        let ground = Ground::new();
        let changed = ground.changed_by(|ground| {
            let old = fs::metadata(ground.path("order/src/lib.rs")).unwrap();
            ground.write("order/src/lib.rs~", "9");
            // Of the same length, and with the same time.
            let written = fs::File::open(ground.path("order/src/lib.rs~")).unwrap();
            written.set_modified(old.modified().unwrap()).unwrap();
            fs::rename(
                ground.path("order/src/lib.rs~"),
                ground.path("order/src/lib.rs"),
            )
            .unwrap();
        });
        assert_eq!(changed, ["order/src/lib.rs"]);
    }

    #[test]
    fn a_folder_that_is_deleted_and_comes_back_is_seen() {
        let ground = Ground::new();
        let delete = |ground: &Ground| fs::remove_dir_all(ground.path("order")).unwrap();
        let both = ["order/src/lib.rs", "order/src/rules/mod.rs"];
        assert_eq!(ground.changed_by(delete), both);
        let restore = |ground: &Ground| {
            ground.write("order/src/lib.rs", "1");
            ground.write("order/src/rules/mod.rs", "1");
        };
        assert_eq!(ground.changed_by(restore), both);
    }

    #[test]
    fn what_an_executable_includes_is_seen() {
        let mut ground = Ground::new();
        let (text, source) = (ground.path("a b.txt"), ground.path("order/src/lib.rs"));
        let hidden = text.display().to_string().replace(' ', "\\ ");
        let rule = format!("/target/order: {hidden} {}\n", source.display());
        ground.write("target/order.d", &rule);
        ground.files.include("order", &ground.path("target/order"));
        assert_eq!(ground.files.included, [text].into());
        assert_eq!(
            ground.changed_by(|ground| ground.write("a b.txt", "1")),
            ["a b.txt"]
        );
    }

    #[test]
    fn what_a_build_has_included_is_watched_from_then_on() {
        let mut ground = Ground::new();
        let text = ground.path("text.txt");
        ground.write("text.txt", "1");
        ground.write(
            "target/order.d",
            &format!("/target/order: {}\n", text.display()),
        );
        let mut seen = ground.files.scan();
        ground.files.include("order", &ground.path("target/order"));
        seen.at += Duration::from_secs(1);
        ground.files.complete(&mut seen);
        assert_eq!(seen.files, ground.files.scan().files);
        assert_eq!(
            ground.files.concerned(&seen, &ground.files.scan()),
            [].into()
        );

        let mut seen = ground.files.scan();
        seen.files.remove(&text);
        seen.at -= Duration::from_secs(1);
        ground.files.complete(&mut seen);
        assert_ne!(
            seen.files,
            ground.files.scan().files,
            "it may have been read before"
        );
    }

    #[test]
    fn a_change_concerns_the_executables_that_were_made_of_it() {
        let mut ground = Ground::new();
        ground.files.folders.insert(ground.path("goods"));
        for (name, source) in [("order", "order"), ("pay", "order"), ("pay", "goods")] {
            ground.write(&format!("{source}/src/lib.rs"), "1");
            let files = ["order", source].map(|package| {
                let file = ground.path(package).join("src/lib.rs");
                file.display().to_string()
            });
            let rule = format!("/target/{name}: {}\n", files.join(" "));
            ground.write(&format!("target/{name}.d"), &rule);
            let executable = ground.path("target").join(name);
            ground.files.include(name, &executable);
        }
        let concerned_by = |files: &[&str]| {
            let before = ground.files.scan();
            for file in files {
                let text = fs::read_to_string(ground.path(file)).unwrap_or_default();
                ground.write(file, &(text + "2"));
            }
            let now = ground.files.scan();
            let concerned = ground.files.concerned(&before, &now).into_iter();
            concerned.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(concerned_by(&["order/src/lib.rs"]), ["order", "pay"]);
        assert_eq!(concerned_by(&["goods/src/lib.rs"]), ["pay"]);
        let none: [&str; 0] = [];
        assert_eq!(concerned_by(&["goods/src/lib.rs", "stages.yaml"]), none);
        assert_eq!(concerned_by(&["order/src/new.rs"]), none);
    }

    #[tokio::test]
    async fn what_cargo_writes_does_not_disturb_it() {
        let mut ground = Ground::new();
        ground.files.workspace = ["Cargo.toml", LOCK].map(|name| ground.path(name)).into();
        let before = ground.files.scan();
        ground.write(LOCK, "version = 4");
        ground.files.changed(&before).await;
        let disturbed = ground.files.disturbed(&before);
        let is_disturbed = tokio::time::timeout(Duration::from_millis(300), disturbed).await;
        assert!(is_disturbed.is_err());
        ground.write("Cargo.toml", "[workspace]");
        ground.files.disturbed(&before).await;
    }

    #[tokio::test]
    async fn a_change_is_waited_for() {
        let ground = Ground::new();
        let before = ground.files.scan();
        let ((), ()) = tokio::join!(ground.files.changed(&before), async {
            ground.files.settled(Duration::from_millis(1)).await;
            ground.write("order/src/lib.rs", "new");
        });
        assert_ne!(ground.files.scan().files, before.files);
    }
}
