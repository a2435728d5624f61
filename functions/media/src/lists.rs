//! The lists that an item is in: one of all items, and one for each of its labels.
//!
//! Labels are compared without regard to case, so `Cat` and `cat` are one list. A list of one media
//! type is a list of its own, and has the names in the same order.

use std::collections::BTreeMap;

use crate::media_type::MediaType;

/// The list of all items.
pub const ALL: &str = "all";

/// The longest label that has a list, in bytes of UTF-8 and in lower case. It is what fits into a sort
/// key. Rekognition's labels have less than 100.
pub const MAX_LABEL_BYTES: usize = 1024;

const LABEL: &str = "label:";

/// The label as it is compared.
#[must_use]
pub fn folded(label: &str) -> String {
    label.to_lowercase()
}

/// The list of a label. `None` if the label is too long for one.
#[must_use]
pub fn of_label(label: &str) -> Option<String> {
    let folded = folded(label);
    (folded.len() <= MAX_LABEL_BYTES).then(|| format!("{LABEL}{folded}"))
}

/// The items of one media type in a list.
#[must_use]
pub fn of_type(media_type: MediaType, list: &str) -> String {
    format!("{media_type}:{list}")
}

/// The folded label of a label's list. `None` for a list that is of no label.
#[must_use]
pub fn label_of(list: &str) -> Option<&str> {
    list.strip_prefix(LABEL)
}

/// The lists of an item with these labels, with the label of each as it is written. The list of all
/// items has none.
#[must_use]
pub fn of_labels(labels: &[String]) -> BTreeMap<String, Option<String>> {
    let mut lists = BTreeMap::from([(ALL.to_owned(), None)]);
    for label in labels {
        if let Some(list) = of_label(label) {
            lists.entry(list).or_insert_with(|| Some(label.clone()));
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_compared_without_regard_to_case() {
        assert_eq!(of_label("Cat").unwrap(), "label:cat");
        assert_eq!(of_label("ÉTÉ"), of_label("été"));
        let lists = of_labels(&["Cat", "Phone Booth", "cat"].map(String::from));
        let expected = [
            ("all", None),
            ("label:cat", Some("Cat")),
            ("label:phone booth", Some("Phone Booth")),
        ];
        let expected = expected.map(|(list, label)| (list.to_owned(), label.map(String::from)));
        assert_eq!(lists, BTreeMap::from(expected));
    }

    #[test]
    fn a_label_that_is_too_long_has_no_list() {
        assert!(of_label(&"x".repeat(MAX_LABEL_BYTES)).is_some());
        assert_eq!(of_label(&"x".repeat(MAX_LABEL_BYTES + 1)), None);
        // Two bytes, and three in lower case.
        assert_eq!(of_label(&"İ".repeat(MAX_LABEL_BYTES / 2)), None);
    }

    #[test]
    fn only_a_labels_list_has_a_label() {
        assert_eq!(label_of("label:cat"), Some("cat"));
        assert_eq!(label_of("label:label:x"), Some("label:x"));
        assert_eq!(label_of(ALL), None);
    }
}
