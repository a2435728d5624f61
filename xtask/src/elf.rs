//! Reads what a binary asks of the machine that runs it.

use std::fmt;

use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, FileKind};

use crate::error::{CliError, Result};
use manifest::Architecture;

/// glibc of Amazon Linux 2023, the base of the `provided.al2023` runtime.
pub(crate) const RUNTIME_GLIBC: GlibcVersion = GlibcVersion(2, 34);

/// Why Lambda cannot run a binary, if this program can tell.
const OVERRIDDEN: &str = "settings of cargo's take precedence over the choice of linker: see whether \
     CARGO_BUILD_TARGET or CARGO_TARGET_<TARGET>_LINKER is set, or the like in its config files";

/// A version of the GNU C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GlibcVersion(u32, u32);

impl GlibcVersion {
    /// Parses a version, `2.34` or `2.2.5`.
    pub(crate) fn parse(version: &str) -> Option<Self> {
        let mut numbers = version.split('.');
        Some(Self(
            numbers.next()?.parse().ok()?,
            numbers.next()?.parse().ok()?,
        ))
    }

    /// Parses the version of a symbol, `GLIBC_2.34`.
    fn of_symbol(version: &str) -> Option<Self> {
        Self::parse(version.strip_prefix("GLIBC_")?)
    }
}

impl fmt::Display for GlibcVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What an ELF executable needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requirements {
    /// The processor it was built for.
    pub(crate) architecture: Architecture,
    /// The newest glibc symbol version it refers to; none when it is static.
    pub(crate) glibc: Option<GlibcVersion>,
}

impl Requirements {
    /// Reads them from an executable's bytes.
    pub(crate) fn read(binary: &[u8]) -> Result<Self> {
        if !matches!(FileKind::parse(binary), Ok(FileKind::Elf64)) {
            return Err(CliError::new("it is not a 64-bit Linux executable").hint(OVERRIDDEN));
        }
        Self::read_elf(binary)
            .map_err(|error| CliError::new(format!("it is not a valid ELF file: {error}")))?
    }

    fn read_elf(binary: &[u8]) -> object::Result<Result<Self>> {
        let header = FileHeader64::<Endianness>::parse(binary)?;
        let endian = header.endian()?;
        let architecture = match header.e_machine(endian) {
            EM_X86_64 => Architecture::X86_64,
            EM_AARCH64 => Architecture::Arm64,
            other => {
                return Ok(Err(CliError::new(format!(
                    "it is built for ELF machine {other}, which Lambda does not run"
                ))));
            }
        };
        let sections = header.sections(endian, binary)?;
        let mut newest = None;
        for section in sections.iter() {
            let Some((mut needs, strings)) = section.gnu_verneed(endian, binary)? else {
                continue;
            };
            let strings = sections.strings(endian, binary, strings)?;
            while let Some((_, mut versions)) = needs.next()? {
                while let Some(version) = versions.next()? {
                    let name = version.name(endian, strings)?;
                    newest = newest.max(
                        std::str::from_utf8(name)
                            .ok()
                            .and_then(GlibcVersion::of_symbol),
                    );
                }
            }
        }
        Ok(Ok(Self {
            architecture,
            glibc: newest,
        }))
    }

    /// Checks that Lambda's runtime can run the binary.
    pub(crate) fn check(self, wanted: Architecture) -> Result<()> {
        if self.architecture != wanted {
            return Err(CliError::new(format!(
                "it is built for {}, but the stage runs on {}",
                self.architecture.as_str(),
                wanted.as_str()
            ))
            .hint(OVERRIDDEN));
        }
        match self.glibc {
            Some(glibc) if glibc > RUNTIME_GLIBC => Err(CliError::new(format!(
                "it needs glibc {glibc}, but provided.al2023 has {RUNTIME_GLIBC}"
            ))
            .hint(OVERRIDDEN)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(architecture: Architecture, glibc: &str) -> Requirements {
        Requirements {
            architecture,
            glibc: GlibcVersion::of_symbol(glibc),
        }
    }

    #[test]
    fn versions_compare_by_number_not_by_letter() {
        assert!(GlibcVersion::of_symbol("GLIBC_2.4") < GlibcVersion::of_symbol("GLIBC_2.34"));
        assert_eq!(
            GlibcVersion::of_symbol("GLIBC_2.2.5"),
            Some(GlibcVersion(2, 2))
        );
        assert_eq!(GlibcVersion::of_symbol("GLIBC_PRIVATE"), None);
        assert_eq!(GlibcVersion::of_symbol("GCC_3.0"), None);
    }

    #[test]
    fn a_binary_for_another_processor_or_a_newer_glibc_is_refused() {
        assert!(
            needs(Architecture::X86_64, "GLIBC_2.34")
                .check(Architecture::X86_64)
                .is_ok()
        );
        assert!(
            needs(Architecture::X86_64, "static")
                .check(Architecture::X86_64)
                .is_ok()
        );
        assert!(
            needs(Architecture::X86_64, "GLIBC_2.35")
                .check(Architecture::X86_64)
                .is_err()
        );
        assert!(
            needs(Architecture::X86_64, "GLIBC_2.34")
                .check(Architecture::Arm64)
                .is_err()
        );
    }

    #[test]
    fn only_elf_is_read() {
        assert!(Requirements::read(b"#!/bin/sh\n").is_err());
        assert!(Requirements::read(b"\x7fELF\x02\x01\x01").is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_very_test_binary_is_read() {
        let binary = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let requirements = Requirements::read(&binary).unwrap();
        assert_eq!(requirements.architecture, Architecture::HOST);
        assert!(requirements.glibc.is_some());
    }
}
