//! What builds the functions for AWS: cargo with this machine's own linker, or cargo with zig,
//! for another processor or an older C library than this machine's.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use local::CrossTools;
use manifest::Architecture;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use xshell::{Shell, cmd};

use crate::elf::{GlibcVersion, RUNTIME_GLIBC};
use crate::error::{CliError, Result};
use crate::terminal::status;
use crate::workspace::Workspace;

/// The command that builds, without what is to be built.
#[derive(Debug)]
pub(crate) struct Toolchain {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
}

impl Toolchain {
    /// Cargo, for this machine.
    pub(crate) fn host(workspace: &Workspace) -> Self {
        Self {
            program: workspace.cargo().into(),
            arguments: Linker::Host.arguments(Architecture::HOST),
            variables: Vec::new(),
        }
    }

    /// Cargo, for Lambda. Installs what is missing. To be called in a tokio runtime.
    pub(crate) fn lambda(workspace: &Workspace, architecture: Architecture) -> Result<Self> {
        let shell = Shell::new()?;
        let _directory = shell.push_dir(workspace.cargo_root());
        let linker = Linker::choose(Host::this(&shell), architecture);
        if linker == Linker::Host {
            return Ok(Self::host(workspace));
        }
        add_standard_library(&shell, architecture)?;
        let directory = workspace.target().join("python/cross");
        let prepare = CrossTools::prepare(&directory, |line| status("Installing", line));
        let tools = block_in_place(|| Handle::current().block_on(prepare))?;
        let cache = workspace.target().join("zig");
        Ok(Self {
            program: tools.cargo_zigbuild(),
            arguments: linker.arguments(architecture),
            variables: vec![
                ("CARGO", workspace.cargo().into()),
                // Or it would take a zig of the user's, of another version.
                ("CARGO_ZIGBUILD_PYTHON_PATH", tools.python()),
                ("CARGO_ZIGBUILD_CACHE_DIR", cache.clone()),
                ("ZIG_GLOBAL_CACHE_DIR", cache.join("zig")),
            ],
        })
    }
}

/// The properties of this machine that decide what links.
#[derive(Debug, Clone, Copy)]
struct Host {
    architecture: Architecture,
    /// None where there is another C library, or no Linux.
    glibc: Option<GlibcVersion>,
}

impl Host {
    fn this(shell: &Shell) -> Self {
        let version = cmd!(shell, "getconf GNU_LIBC_VERSION")
            .quiet()
            .ignore_stderr()
            .read();
        Self {
            architecture: Architecture::HOST,
            glibc: version
                .ok()
                .and_then(|version| GlibcVersion::parse(version.strip_prefix("glibc ")?)),
        }
    }
}

/// What makes an executable of compiled code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linker {
    /// This machine's own.
    Host,
    /// zig, called by cargo-zigbuild. It brings the C library of Linux, in every version.
    Zig,
}

impl Linker {
    /// A program may need the C library that it was linked with, or a newer one. So the host's
    /// linker will do only where that is as old as Lambda's.
    fn choose(host: Host, architecture: Architecture) -> Self {
        match host.glibc {
            Some(glibc) if glibc <= RUNTIME_GLIBC && host.architecture == architecture => {
                Self::Host
            }
            _ => Self::Zig,
        }
    }

    fn arguments(self, architecture: Architecture) -> Vec<String> {
        match self {
            Self::Host => vec!["build".to_owned()],
            Self::Zig => vec![
                "zigbuild".to_owned(),
                format!("--target={}.{RUNTIME_GLIBC}", triple(architecture)),
            ],
        }
    }
}

/// Rust's name of Lambda's system.
fn triple(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Arm64 => "aarch64-unknown-linux-gnu",
        Architecture::X86_64 => "x86_64-unknown-linux-gnu",
    }
}

/// Has rustup add Rust's standard library for Lambda's system where it is missing.
pub(crate) fn add_standard_library(shell: &Shell, architecture: Architecture) -> Result<()> {
    let triple = triple(architecture);
    let library = cmd!(shell, "rustc --print target-libdir --target {triple}")
        .quiet()
        .read()?;
    if Path::new(&library).is_dir() {
        return Ok(());
    }
    let missing = |why: &dyn Display, hint: &dyn Display| {
        CliError::new(format!(
            "Rust's standard library for {triple} is missing, {why}"
        ))
        .hint(hint)
    };
    if cmd!(shell, "rustup --version").quiet().output().is_err() {
        return Err(missing(
            &"and there is no rustup to add it",
            &"install Rust with rustup (https://rustup.rs), or the library from where this Rust came from",
        ));
    }
    status(
        "Installing",
        format!("Rust's standard library for {triple}"),
    );
    cmd!(shell, "rustup target add {triple}")
        .quiet()
        .run()
        .map_err(|_| {
            missing(
                &"and rustup could not add it",
                &format!(
                    "rustup's messages above say why; `rustup target add {triple}` tries again"
                ),
            )
        })
}

/// The program that runs programs for arm64 on another processor, where it is installed.
pub(crate) fn emulator(shell: &Shell) -> Option<&'static str> {
    ["qemu-aarch64-static", "qemu-aarch64"]
        .into_iter()
        .find(|program| cmd!(shell, "{program} --version").quiet().output().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(architecture: Architecture, glibc: &str) -> Host {
        Host {
            architecture,
            glibc: GlibcVersion::parse(glibc),
        }
    }

    #[test]
    fn the_hosts_linker_will_do_for_its_own_processor_and_an_old_glibc() {
        for architecture in [Architecture::Arm64, Architecture::X86_64] {
            for glibc in ["2.17", "2.34"] {
                assert_eq!(
                    Linker::choose(host(architecture, glibc), architecture),
                    Linker::Host
                );
            }
        }
    }

    #[test]
    fn zig_links_for_another_processor() {
        let amazon_linux = host(Architecture::X86_64, "2.34");
        assert_eq!(
            Linker::choose(amazon_linux, Architecture::Arm64),
            Linker::Zig
        );
    }

    #[test]
    fn zig_links_where_glibc_is_newer_than_lambdas() {
        let debian = host(Architecture::X86_64, "2.36");
        assert_eq!(Linker::choose(debian, Architecture::X86_64), Linker::Zig);
    }

    #[test]
    fn zig_links_where_there_is_no_glibc() {
        let mac = host(Architecture::Arm64, "");
        assert!(mac.glibc.is_none());
        assert_eq!(Linker::choose(mac, Architecture::Arm64), Linker::Zig);
    }

    #[test]
    fn zig_is_told_the_processor_and_lambdas_glibc() {
        assert_eq!(
            Linker::Zig.arguments(Architecture::Arm64),
            ["zigbuild", "--target=aarch64-unknown-linux-gnu.2.34"]
        );
        assert_eq!(
            Linker::Zig.arguments(Architecture::X86_64),
            ["zigbuild", "--target=x86_64-unknown-linux-gnu.2.34"]
        );
        assert_eq!(Linker::Host.arguments(Architecture::HOST), ["build"]);
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn this_machines_glibc_is_known() {
        assert!(Host::this(&Shell::new().unwrap()).glibc.is_some());
    }
}
