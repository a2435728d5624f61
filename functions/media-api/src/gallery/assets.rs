//! Script and style, which each page has in it.

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

pub(super) const STYLE: &str = include_str!("gallery.css");
pub(super) const SCRIPT: &str = include_str!("gallery.js");

/// An icon for the browser's tab: a picture in its frame.
pub(super) const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect x='3' y='5' width='26' height='22' rx='5' fill='%234a5bd4'/%3E%3Ccircle cx='21.5' cy='12' r='2.5' fill='%23fff'/%3E%3Cpath d='m6 24 8-10 6 7 3-3 3.500 4.500z' fill='%23fff'/%3E%3C/svg%3E";

/// By which a Content-Security-Policy allows the style.
pub(super) fn style_hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| hash(STYLE));
    &HASH
}

/// By which a Content-Security-Policy allows the script.
pub(super) fn script_hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| hash(SCRIPT));
    &HASH
}

fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}
