//! Keys of objects that are derived from something with a name.

use percent_encoding::utf8_percent_encode;
use sha2::{Digest, Sha256};

use super::key::MAX_KEY_BYTES;
use crate::uri::UNRESERVED;

/// Key of an object that is derived from something with a name: `<name>/<what it is>`.
///
/// The name is one segment of it, whatever characters it has: all but letters, digits and `-._~`
/// are percent-encoded, and so are the dots of `.` and `..`, which some tools take for directories.
/// A key that gets too long for S3 has the name's hash instead, after `%sha256-`, which is not a
/// percent-encoding of anything. So no two names have the same object, and none has an object
/// below another's.
///
/// ```
/// use runtime::s3::DerivedKey;
///
/// let key = DerivedKey::new("orders/7 a", "invoice");
/// assert_eq!(key.as_str(), "orders%2F7%20a/invoice");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DerivedKey(String);

impl DerivedKey {
    /// The key of what is derived from the thing with this name. `what` is one segment.
    pub fn new(name: &str, what: &str) -> Self {
        let segment = match name {
            "." | ".." => name.replace('.', "%2E"),
            _ => utf8_percent_encode(name, UNRESERVED).to_string(),
        };
        let key = format!("{segment}/{what}");
        if key.len() <= MAX_KEY_BYTES {
            return Self(key);
        }
        let hash = Sha256::digest(name);
        Self(format!("%sha256-{hash:x}/{what}"))
    }

    /// The key as S3 takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
