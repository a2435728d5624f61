//! Packages functions: a reproducible zip each.
//!
//! For AWS, a zip holds the function's binary. For the local stage it holds a script that runs the
//! binary from a folder beside it: nobody has to pack, upload and unpack what is on this machine
//! already. The script names the binary by its content, and the folder of the dynamic libraries
//! that it loads. So the zip's hash changes when the code does, and a deployment, a hotswap and
//! drift are what they are on AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use deploy::Artifact;
use manifest::App;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::build::{self, DYLIB, Profile};
use crate::elf::Requirements;
use crate::error::{AboutFile, CliError, Result};
use crate::workspace::{LOCAL, Workspace};

/// The file that Lambda's `provided` runtimes start.
const ENTRY: &str = "bootstrap";

/// A packaged function.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Package {
    #[serde(flatten)]
    pub(crate) artifact: Artifact,
    pub(crate) binary: PathBuf,
    pub(crate) binary_bytes: u64,
    /// The newest glibc that the binary needs; none when it is static or not for Linux.
    pub(crate) glibc: Option<String>,
    /// The binary that the local stage runs; none for AWS.
    #[serde(skip)]
    kept: Option<PathBuf>,
    /// The folder of the dynamic libraries that it loads.
    #[serde(skip)]
    libraries: Option<PathBuf>,
}

/// What a stage is made of.
#[derive(Debug, Clone)]
pub(crate) struct Packaged {
    pub(crate) functions: Vec<Package>,
    /// The local Rekognition's program; built for the local stage only, of an app that uses it.
    pub(crate) rekognition: Option<PathBuf>,
    /// This program; built for the local stage only.
    pub(crate) program: Option<PathBuf>,
}

/// The package of the local Rekognition.
const REKOGNITION: &str = "rekognition-local";

/// The packages of the local stage: always the same set, and this program among them, so that
/// cargo always chooses the same features of their dependencies and compiles them once.
pub(crate) fn local_packages<'a>(app: &'a App, program: &'a str) -> Vec<&'a str> {
    let functions = app.functions().map(manifest::Function::name);
    let rekognition = uses_rekognition(app).then_some(REKOGNITION);
    functions.chain(rekognition).chain([program]).collect()
}

/// Whether the local stage of the app has the local Rekognition.
pub(crate) fn uses_rekognition(app: &App) -> bool {
    app.called_services().contains("rekognition")
}

/// What a zip was made of: as long as it is the same, the zip need not be made again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    binary: PathBuf,
    binary_bytes: u64,
    binary_modified_ns: u128,
    zip_bytes: u64,
    sha256: String,
    glibc: Option<String>,
    kept: Option<PathBuf>,
    libraries: Option<PathBuf>,
}

/// What is built for a stage of the app: packages and profile.
pub(crate) fn parts<'a>(workspace: &'a Workspace, app: &'a App) -> (Vec<&'a str>, Profile) {
    if app.stage().name == LOCAL {
        (local_packages(app, workspace.program()), Profile::Local)
    } else {
        let functions = app.functions().map(manifest::Function::name);
        (functions.collect(), Profile::Lambda)
    }
}

/// Builds and packages every function of the app, and for the local stage what else it runs.
pub(crate) fn package(workspace: &Workspace, app: &App) -> Result<Packaged> {
    let (names, profile) = parts(workspace, app);
    let executables = build::build(workspace, &names, profile, app.stage().architecture)?;
    package_built(workspace, app, executables)
}

/// Packages what was built of [`parts`].
pub(crate) fn package_built(
    workspace: &Workspace,
    app: &App,
    mut executables: BTreeMap<String, PathBuf>,
) -> Result<Packaged> {
    let (_, profile) = parts(workspace, app);
    Ok(Packaged {
        rekognition: executables.remove(REKOGNITION),
        program: executables.remove(workspace.program()),
        functions: zipped(
            workspace,
            app,
            executables.remove(DYLIB).as_deref(),
            executables,
            profile,
        )?,
    })
}

/// Builds and packages some functions of the app as for AWS.
pub(crate) fn package_functions(
    workspace: &Workspace,
    app: &App,
    functions: &[&str],
) -> Result<Vec<Package>> {
    let profile = Profile::Lambda;
    let executables = build::build(workspace, functions, profile, app.stage().architecture)?;
    zipped(workspace, app, None, executables, profile)
}

fn zipped(
    workspace: &Workspace,
    app: &App,
    dylib: Option<&Path>,
    executables: BTreeMap<String, PathBuf>,
    profile: Profile,
) -> Result<Vec<Package>> {
    let directory = workspace.target().join("package").join(&app.stage().name);
    fs::create_dir_all(&directory).about("create", &directory)?;
    // Another terminal may package the same stage: its zips and stamps must not mix with ours.
    let lock = directory.join(".lock");
    let lock = File::create(&lock).about("create", &lock)?;
    lock.lock().about("lock", &directory)?;
    let libraries = dylib.map(|dylib| keep_libraries(workspace, &directory, dylib));
    let libraries = libraries.transpose()?;
    let package = |(function, executable)| {
        let libraries = libraries.as_deref();
        package_one(&directory, function, executable, libraries, profile, app)
    };
    executables.into_iter().map(package).collect()
}

fn package_one(
    directory: &Path,
    function: String,
    executable: PathBuf,
    libraries: Option<&Path>,
    profile: Profile,
    app: &App,
) -> Result<Package> {
    let zip = directory.join(format!("{function}.zip"));
    let stamp_file = directory.join(format!("{function}.json"));
    let metadata = fs::metadata(&executable).about("read", &executable)?;
    let binary_modified_ns = modified_ns(&metadata);
    let current = fs::read(&stamp_file)
        .ok()
        .and_then(|text| serde_json::from_slice::<Stamp>(&text).ok())
        .filter(|stamp| {
            stamp.binary == executable
                && stamp.binary_bytes == metadata.len()
                && stamp.binary_modified_ns == binary_modified_ns
                && stamp.libraries.as_deref() == libraries
                && (profile == Profile::Lambda
                    || stamp.kept.as_ref().is_some_and(|kept| kept.exists()))
                && fs::metadata(&zip).is_ok_and(|zip| zip.len() == stamp.zip_bytes)
        });
    let stamp = match current {
        Some(stamp) => stamp,
        None => {
            let binary = fs::read(&executable).about("read", &executable)?;
            let (glibc, kept) = match profile {
                Profile::Lambda => {
                    let requirements = check(&function, &binary, app)?;
                    write_zip(&zip, &binary)?;
                    (requirements.glibc.map(|version| version.to_string()), None)
                }
                Profile::Dev | Profile::Local => {
                    let kept = keep(directory, &function, &binary)?;
                    write_zip(&zip, &pointer(&kept, libraries))?;
                    (None, Some(kept))
                }
            };
            let bytes = fs::read(&zip).about("read", &zip)?;
            let stamp = Stamp {
                binary: executable,
                binary_bytes: metadata.len(),
                binary_modified_ns,
                zip_bytes: bytes.len() as u64,
                sha256: hex::encode(Sha256::digest(&bytes)),
                glibc,
                kept,
                libraries: libraries.map(Path::to_owned),
            };
            let text = serde_json::to_vec(&stamp).map_err(CliError::new)?;
            fs::write(&stamp_file, text).about("write", &stamp_file)?;
            stamp
        }
    };
    Ok(Package {
        artifact: Artifact {
            function,
            zip,
            zip_bytes: stamp.zip_bytes,
            sha256: stamp.sha256,
        },
        binary: stamp.binary,
        binary_bytes: stamp.binary_bytes,
        glibc: stamp.glibc,
        kept: stamp.kept,
        libraries: stamp.libraries,
    })
}

fn check(function: &str, binary: &[u8], app: &App) -> Result<Requirements> {
    let explain =
        |error: CliError| error.about(format!("the binary of {function} cannot run on Lambda"));
    let requirements = Requirements::read(binary).map_err(explain)?;
    requirements
        .check(app.stage().architecture)
        .map_err(explain)?;
    Ok(requirements)
}

/// Keeps a copy of a binary, named by its content: cargo will put another one in its place, and an
/// event must not meet that before it is deployed.
fn keep(directory: &Path, function: &str, binary: &[u8]) -> Result<PathBuf> {
    let folder = directory.join("binaries").join(function);
    fs::create_dir_all(&folder).about("create", &folder)?;
    let kept = folder.join(hex::encode(Sha256::digest(binary)));
    if !kept.exists() {
        write_beside(&kept, |file| {
            file.write_all(binary)?;
            file.set_permissions(fs::Permissions::from_mode(0o755))
        })?;
    }
    Ok(kept)
}

/// Keeps copies of the dynamic libraries that functions load, for the same reason. Their folder is
/// named by size and time: reading 140 MB for a hash would cost more than all the rest.
fn keep_libraries(workspace: &Workspace, directory: &Path, dylib: &Path) -> Result<PathBuf> {
    let metadata = fs::metadata(dylib).about("read", dylib)?;
    let name = format!("{}-{}", metadata.len(), modified_ns(&metadata));
    let folder = directory.join("libraries");
    let kept = folder.join(&name);
    if kept.exists() {
        return Ok(kept);
    }
    let unfinished = folder.join(format!("{name}.tmp"));
    fs::create_dir_all(&unfinished).about("create", &unfinished)?;
    for library in [dylib, &build::standard_library(workspace)?] {
        let copy = unfinished.join(library.file_name().unwrap_or_default());
        fs::copy(library, &copy).about("write", &copy)?;
    }
    fs::rename(&unfinished, &kept).about("write", &kept)?;
    Ok(kept)
}

/// In nanoseconds since the epoch.
fn modified_ns(metadata: &fs::Metadata) -> u128 {
    let modified = metadata.modified().ok();
    let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    age.map_or(0, |age| age.as_nanos())
}

/// Where the dynamic linker looks for libraries first.
const LIBRARY_PATH: &str = if cfg!(target_os = "macos") {
    "DYLD_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// A script that becomes this program.
fn pointer(program: &Path, libraries: Option<&Path>) -> Vec<u8> {
    let mut script = b"#!/bin/sh\n".to_vec();
    if let Some(libraries) = libraries {
        script.extend(format!("export {LIBRARY_PATH}=").bytes());
        script.extend(quoted(libraries));
        script.push(b'\n');
    }
    script.extend(b"exec ");
    script.extend(quoted(program));
    script.push(b'\n');
    script
}

/// A path as a word of the shell's.
fn quoted(path: &Path) -> Vec<u8> {
    let mut word = b"'".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => word.extend(br"'\''"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}

/// Removes what no function of the local stage runs any more: every kept binary but those of these
/// packages, and of each function the newest other one, which a process may be about to start. With
/// libraries likewise.
pub(crate) fn remove_old_binaries(packages: &[Package]) -> Result<()> {
    let kept = packages.iter().flat_map(|package| {
        let kept = [&package.kept, &package.libraries];
        kept.into_iter().filter_map(Option::as_deref)
    });
    for kept in kept.collect::<BTreeSet<_>>() {
        let folder = kept.parent().unwrap_or(kept);
        let mut others = Vec::new();
        for entry in fs::read_dir(folder).about("read", folder)? {
            let path = entry.about("read", folder)?.path();
            if path != kept {
                let modified = fs::metadata(&path).and_then(|other| other.modified());
                others.push((modified.ok(), path));
            }
        }
        others.sort();
        others.pop();
        for (_, path) in others {
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.about("remove", &path)?;
        }
    }
    Ok(())
}

/// Writes a zip that depends on the content alone: fixed time, mode and order.
fn write_zip(path: &Path, content: &[u8]) -> Result<()> {
    let options = SimpleFileOptions::default()
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755)
        .large_file(false)
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9));
    write_beside(path, |file| {
        let mut zip = ZipWriter::new(BufWriter::new(file));
        zip.start_file(ENTRY, options)?;
        zip.write_all(content)?;
        zip.finish()?.flush()
    })
}

/// Writes a file beside its place and renames it: an interrupted run leaves no half a file behind.
fn write_beside(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let unfinished = PathBuf::from(unfinished);
    let written = File::create(&unfinished).and_then(|mut file| write(&mut file));
    written.about("write", &unfinished)?;
    fs::rename(&unfinished, path).about("write", path)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use manifest::{Grant, Manifest, Stage};

    use super::*;

    fn zipped(content: &[u8]) -> Vec<u8> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("function.zip");
        write_zip(&path, content).unwrap();
        fs::read(&path).unwrap()
    }

    #[test]
    fn the_local_rekognition_is_built_for_an_app_that_uses_it() {
        let shop = Manifest::new("shop");
        let place_order = shop.function("place-order");
        let packages = || {
            let app = shop.resolve(&Stage::with_defaults(LOCAL)).unwrap();
            let packages = local_packages(&app, "xtask").into_iter();
            packages.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(packages(), ["place-order", "xtask"]);
        place_order.grant(Grant::unscoped("rekognition:DetectLabels", "no ARN"));
        assert_eq!(packages(), ["place-order", REKOGNITION, "xtask"]);
    }

    #[test]
    fn the_same_binary_gives_the_same_zip() {
        let first = zipped(b"binary");
        // A zip stores times in steps of two seconds.
        std::thread::sleep(std::time::Duration::from_millis(2100));
        assert_eq!(first, zipped(b"binary"));
    }

    #[test]
    fn the_zip_holds_one_executable_named_bootstrap() {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zipped(b"binary"))).unwrap();
        assert_eq!(archive.len(), 1);
        let mut entry = archive.by_index(0).unwrap();
        assert_eq!(entry.name().unwrap(), "bootstrap");
        assert_eq!(entry.unix_mode().unwrap() & 0o777, 0o755);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(content, b"binary");
    }

    #[test]
    fn the_pointer_runs_the_binary_whatever_its_folder_is_called() {
        let folder = tempfile::TempDir::with_prefix("it's \"$HOME\" \\ ").unwrap();
        let program = format!("#!/bin/sh\necho \"$0 ${LIBRARY_PATH}\"\n");
        let kept = keep(folder.path(), "order", program.as_bytes()).unwrap();
        let script = folder.path().join("bootstrap");
        fs::write(&script, pointer(&kept, Some(folder.path()))).unwrap();
        let output = std::process::Command::new("/bin/sh")
            .arg(&script)
            .output()
            .unwrap();
        let expected = format!("{} {}\n", kept.display(), folder.path().display());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }

    #[test]
    fn binaries_are_kept_as_long_as_a_process_may_start_from_them() {
        let folder = tempfile::TempDir::new().unwrap();
        let keep = |binary: &[u8]| keep(folder.path(), "order", binary).unwrap();
        let (oldest, before, deployed) = (keep(b"1"), keep(b"2"), keep(b"3"));
        let [old_libraries, libraries_before, libraries] = ["1", "2", "3"].map(|name| {
            let libraries = folder.path().join("libraries").join(name);
            fs::create_dir_all(&libraries).unwrap();
            fs::write(libraries.join("libruntime_dylib.so"), name).unwrap();
            libraries
        });
        let times = [
            (&oldest, 1),
            (&before, 3),
            (&deployed, 2),
            (&old_libraries, 1),
            (&libraries_before, 3),
            (&libraries, 2),
        ];
        for (path, seconds) in times {
            let time = UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            File::open(path).unwrap().set_modified(time).unwrap();
        }
        let package = Package {
            artifact: Artifact {
                function: "order".to_owned(),
                zip: PathBuf::new(),
                zip_bytes: 0,
                sha256: String::new(),
            },
            binary: PathBuf::new(),
            binary_bytes: 0,
            glibc: None,
            kept: Some(deployed.clone()),
            libraries: Some(libraries.clone()),
        };
        remove_old_binaries(&[package]).unwrap();
        assert_eq!(
            [oldest, before, deployed].map(|path| path.exists()),
            [false, true, true]
        );
        assert_eq!(
            [old_libraries, libraries_before, libraries].map(|path| path.exists()),
            [false, true, true]
        );
    }
}
