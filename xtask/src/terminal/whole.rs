//! What is written to standard error in one piece.

use std::io::Write;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};

/// Writes to standard error at once: another process of the local stage may write there, too. With
/// colours if there are to be any.
pub(crate) fn write_whole(text: &str) -> std::io::Result<()> {
    let mut stderr = std::io::stderr();
    if AutoStream::choice(&stderr) == ColorChoice::Never {
        stderr.write_all(strip_str(text).to_string().as_bytes())
    } else {
        stderr.write_all(text.as_bytes())
    }
}
