//! What is percent-encoded in URIs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// All characters but those that RFC 3986, section 2.3, calls unreserved: for a value in a query string, or one segment of
/// a path.
pub const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same but for the slash: for a path of several segments.
pub const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');
