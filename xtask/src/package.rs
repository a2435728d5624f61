//! Packages functions: a reproducible zip each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use deploy::Artifact;
use manifest::App;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::build::{self, Profile};
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
}

/// What a stage is made of.
#[derive(Debug)]
pub(crate) struct Packaged {
    pub(crate) functions: Vec<Package>,
    /// The local Rekognition's program; built for the local stage only, of an app that uses it.
    pub(crate) rekognition: Option<PathBuf>,
}

/// The package of the local Rekognition.
const REKOGNITION: &str = "rekognition-local";

/// The packages of the local stage: always the same set, and this program among them, so that
/// cargo always chooses the same features of their dependencies and compiles them once.
pub(crate) fn local_packages(app: &App) -> Vec<&str> {
    let functions = app.functions().map(manifest::Function::name);
    let rekognition = uses_rekognition(app).then_some(REKOGNITION);
    functions
        .chain(rekognition)
        .chain([env!("CARGO_PKG_NAME")])
        .collect()
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
}

/// Builds and packages every function of the app, and for the local stage what else it runs.
pub(crate) fn package(workspace: &Workspace, app: &App) -> Result<Packaged> {
    let (names, profile) = if app.stage().name == LOCAL {
        (local_packages(app), Profile::Dev)
    } else {
        (
            app.functions().map(manifest::Function::name).collect(),
            Profile::Lambda,
        )
    };
    let mut executables = build::build(workspace, &names, profile, app.stage().architecture)?;
    let rekognition = executables.remove(REKOGNITION);
    executables.remove(env!("CARGO_PKG_NAME"));
    Ok(Packaged {
        functions: zipped(workspace, app, executables, profile)?,
        rekognition,
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
    zipped(workspace, app, executables, profile)
}

fn zipped(
    workspace: &Workspace,
    app: &App,
    executables: BTreeMap<String, PathBuf>,
    profile: Profile,
) -> Result<Vec<Package>> {
    let directory = workspace.target().join("package").join(&app.stage().name);
    fs::create_dir_all(&directory).about("create", &directory)?;
    // Another terminal may package the same stage: its zips and stamps must not mix with ours.
    let lock = directory.join(".lock");
    let lock = File::create(&lock).about("create", &lock)?;
    lock.lock().about("lock", &directory)?;
    executables
        .into_iter()
        .map(|(function, executable)| package_one(&directory, function, executable, profile, app))
        .collect()
}

fn package_one(
    directory: &Path,
    function: String,
    executable: PathBuf,
    profile: Profile,
    app: &App,
) -> Result<Package> {
    let zip = directory.join(format!("{function}.zip"));
    let stamp_file = directory.join(format!("{function}.json"));
    let metadata = fs::metadata(&executable).about("read", &executable)?;
    let binary_modified_ns = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |age| age.as_nanos());
    let current = fs::read(&stamp_file)
        .ok()
        .and_then(|text| serde_json::from_slice::<Stamp>(&text).ok())
        .filter(|stamp| {
            stamp.binary == executable
                && stamp.binary_bytes == metadata.len()
                && stamp.binary_modified_ns == binary_modified_ns
                && fs::metadata(&zip).is_ok_and(|zip| zip.len() == stamp.zip_bytes)
        });
    let stamp = match current {
        Some(stamp) => stamp,
        None => {
            let binary = fs::read(&executable).about("read", &executable)?;
            let glibc = match profile {
                Profile::Lambda => {
                    let requirements = check(&function, &binary, app)?;
                    requirements.glibc.map(|version| version.to_string())
                }
                Profile::Dev => None,
            };
            write_zip(&zip, &binary, profile)?;
            let (zip_bytes, sha256) = digest(&zip)?;
            let stamp = Stamp {
                binary: executable,
                binary_bytes: metadata.len(),
                binary_modified_ns,
                zip_bytes,
                sha256,
                glibc,
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

/// Writes a zip that depends on the binary's bytes alone: fixed time, mode and order.
fn write_zip(path: &Path, binary: &[u8], profile: Profile) -> Result<()> {
    // Written beside and renamed: an interrupted run leaves no half a zip behind.
    let unfinished = path.with_extension("zip.tmp");
    let file = File::create(&unfinished).about("write", &unfinished)?;
    let mut zip = ZipWriter::new(BufWriter::new(file));
    let options = SimpleFileOptions::default()
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755)
        .large_file(false);
    let options = match profile {
        // Read once, on this machine: speed counts, size does not.
        Profile::Dev => options.compression_method(CompressionMethod::Stored),
        Profile::Lambda => options
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9)),
    };
    let written = zip
        .start_file(ENTRY, options)
        .and_then(|()| Ok(zip.write_all(binary)?))
        .and_then(|()| zip.finish())
        .and_then(|mut file| Ok(file.flush()?));
    written.map_err(|error| {
        CliError::new(format!("could not write {}: {error}", unfinished.display()))
    })?;
    fs::rename(&unfinished, path).about("write", path)
}

fn digest(path: &Path) -> Result<(u64, String)> {
    let mut file = File::open(path).about("read", path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        match file.read(&mut buffer).about("read", path)? {
            0 => return Ok((length, hex::encode(hasher.finalize()))),
            count => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest::{Grant, Manifest, Stage};

    use super::*;

    fn zipped(profile: Profile) -> Vec<u8> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("function.zip");
        write_zip(&path, b"binary", profile).unwrap();
        fs::read(&path).unwrap()
    }

    #[test]
    fn the_local_rekognition_is_built_for_an_app_that_uses_it() {
        let shop = Manifest::new("shop");
        let place_order = shop.function("place-order");
        let packages = || {
            let app = shop.resolve(&Stage::with_defaults(LOCAL)).unwrap();
            let packages = local_packages(&app).into_iter();
            packages.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(packages(), ["place-order", "xtask"]);
        place_order.grant(Grant::unscoped("rekognition:DetectLabels", "no ARN"));
        assert_eq!(packages(), ["place-order", REKOGNITION, "xtask"]);
    }

    #[test]
    fn the_same_binary_gives_the_same_zip() {
        let first = zipped(Profile::Lambda);
        // A zip stores times in steps of two seconds.
        std::thread::sleep(std::time::Duration::from_millis(2100));
        assert_eq!(first, zipped(Profile::Lambda));
    }

    #[test]
    fn the_zip_holds_one_executable_named_bootstrap() {
        for profile in [Profile::Dev, Profile::Lambda] {
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zipped(profile))).unwrap();
            assert_eq!(archive.len(), 1);
            let mut entry = archive.by_index(0).unwrap();
            assert_eq!(entry.name().unwrap(), "bootstrap");
            assert_eq!(entry.unix_mode().unwrap() & 0o777, 0o755);
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(content, b"binary");
        }
    }
}
