//! The review of deployments can read every template that comes from here.
#![allow(
    clippy::disallowed_methods,
    reason = "the crate is pure; this test reads files"
)]
#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use review::{Declared, review};
use serde_json::Value;

/// A section, a function or a reference that the review does not know makes resources uncertain.
#[test]
fn no_value_of_a_template_is_beyond_the_review() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for file in fs::read_dir(golden).unwrap() {
        let file = file.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let template: Value = serde_yaml::from_str(&text).unwrap();
        let names = |section: &str| {
            let members = template[section].as_object().into_iter().flatten();
            members.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let parameters: BTreeMap<String, String> = names("Parameters")
            .into_iter()
            .map(|name| (name, "value".to_owned()))
            .collect();
        let declared = Declared {
            template: &text,
            parameters: &parameters,
        };
        let review = review(Some(declared), declared).unwrap();
        assert_eq!(review.access_changes, []);
        let unchanged: Vec<String> = review.unchanged.into_keys().collect();
        assert_eq!(unchanged, names("Resources"), "{}", file.display());
    }
}
