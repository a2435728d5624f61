//! The record of calls.

use std::ffi::OsString;

/// Names the folder into which the emulator and the local Rekognition write each request.
const VARIABLE: &str = "XTASK_RECORD_CALLS";

/// The variable, for an environment that is empty otherwise.
pub(crate) fn recording() -> Option<(&'static str, OsString)> {
    let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty())?;
    Some((VARIABLE, folder))
}
