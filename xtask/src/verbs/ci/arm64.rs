//! A function that is built for arm64, run in an emulated processor.

use manifest::Architecture;
use xshell::Shell;

use crate::build::{Ahead, Profile};
use crate::error::Result;
use crate::terminal::{status, warn};
use crate::toolchain::{add_standard_library, emulator};
use crate::verbs::bench;
use crate::workspace::Workspace;

/// A function that is being built.
pub(super) struct Arm64<'a> {
    workspace: &'a Workspace,
    function: &'a str,
    emulator: &'static str,
    build: Ahead,
}

impl<'a> Arm64<'a> {
    /// Begins to build the function beside the other checks, which leave the processors idle a third of the time. None where it
    /// cannot be built or run, which the user is told.
    pub(super) fn begin(
        workspace: &'a Workspace,
        shell: &Shell,
        function: &'a str,
    ) -> Result<Option<Self>> {
        let Some(emulator) = emulator(shell) else {
            warn(
                "arm64 is not tested, because qemu is missing (Debian, Ubuntu: `apt install qemu-user-static libc6-arm64-cross`)",
            );
            return Ok(None);
        };
        if let Err(error) = add_standard_library(shell, Architecture::Arm64) {
            error.about("arm64 is not tested").report();
            return Ok(None);
        }
        let architecture = Architecture::Arm64;
        let build = Ahead::start(workspace, &[function], Profile::Lambda, architecture)?;
        Ok(Some(Self {
            workspace,
            function,
            emulator,
            build,
        }))
    }

    /// Fails if the function does not answer its sample event, or if its zip is too large.
    pub(super) async fn answer(self) -> Result<()> {
        status("Testing", "a function for arm64, and the size of its zip");
        self.build.wait();
        bench::answer_on_arm64(self.workspace, self.function, self.emulator).await
    }
}
