//! The fields of a query or a form.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// What stands for itself in a query.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Names and values, decoded, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`, of which a query is a case too. What is no UTF-8 becomes replacement
    /// characters.
    pub(crate) fn parse(text: &str) -> Self {
        let fields = text.split('&').filter(|field| !field.is_empty());
        Self(
            fields
                .map(|field| {
                    let (name, value) = field.split_once('=').unwrap_or((field, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The value of the first field of this name, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let found = fields.find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of the first field of this name; nothing is empty.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes())
        .decode_utf8_lossy()
        .into_owned()
}

/// A text as a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, IN_QUERY).to_string()
}

/// A path with a query of those fields that are not empty.
pub(crate) fn link(path: &str, fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    if fields.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", fields.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_read_back() {
        for text in [
            "a b",
            "a+b",
            "<script>&x=1#?",
            "é🐈\u{202e}",
            "100%",
            "a/b\n",
        ] {
            let link = link("/x", &[("key", text), ("none", ""), ("b", "1")]);
            let query = link.split_once('?').unwrap().1;
            let fields = Fields::parse(query);
            assert_eq!(fields.get("key"), Some(text), "{link}");
            assert_eq!(fields.get("none"), None);
            assert_eq!(fields.text("b"), "1");
            assert!(link.is_ascii() && !link.contains(['<', '"', ' ']), "{link}");
        }
        assert_eq!(link("/x", &[("a", "")]), "/x");
    }

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let fields = Fields::parse("a=1+2%2B3&&b&c=%ff&a=4&d=");
        assert_eq!(fields.get("a"), Some("1 2+3"));
        assert_eq!(fields.get("d"), None);
        assert_eq!(fields.text("c"), "\u{fffd}");
    }
}
