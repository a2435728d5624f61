//! The console's style and script. Their addresses hold a hash of them, so that browsers keep them until they change.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::answer::{self, Answer};

/// A file of the console's own.
pub(crate) struct Asset {
    folder: &'static str,
    content_type: &'static str,
    content: &'static str,
    path: LazyLock<String>,
}

pub(crate) static STYLE: Asset = Asset {
    folder: "/style/",
    content_type: "text/css; charset=utf-8",
    content: include_str!("../assets/console.css"),
    path: LazyLock::new(|| STYLE.address()),
};

pub(crate) static SCRIPT: Asset = Asset {
    folder: "/script/",
    content_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/console.js"),
    path: LazyLock::new(|| SCRIPT.address()),
};

pub(crate) static ICON: Asset = Asset {
    folder: "/icon/",
    content_type: "image/svg+xml",
    content: include_str!("../assets/icon.svg"),
    path: LazyLock::new(|| ICON.address()),
};

impl Asset {
    /// Where it is served.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn address(&self) -> String {
        let hash = hex::encode(Sha256::digest(self.content));
        format!("{}{}", self.folder, &hash[..16])
    }
}

/// What is served at a path, if one of the files is.
pub(crate) fn at(path: &str) -> Option<Answer> {
    let assets = [&STYLE, &SCRIPT, &ICON];
    let mut assets = assets.into_iter();
    let asset = assets.find(|asset| asset.path() == path)?;
    Some(answer::asset(asset.content_type, asset.content))
}
