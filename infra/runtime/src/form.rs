//! Strict decoding of `application/x-www-form-urlencoded` text.
//!
//! Both the keys in S3's notifications and an HTTP query string come in this
//! form. It is decoded once, where it enters; everything further in is raw text.
//!
//! ```
//! use runtime::form::{decode, decode_pairs};
//!
//! assert_eq!(decode("march+2026%2Breport.pdf").unwrap(), "march 2026+report.pdf");
//! assert!(decode("100%.pdf").is_err());
//! let pairs = decode_pairs("status=paid&note=a%26b").unwrap();
//! assert_eq!(pairs[1], ("note".to_owned(), "a&b".to_owned()));
//! ```

use percent_encoding::percent_decode_str;

/// Why a text is not form-urlencoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A `%` without two hexadecimal digits after it.
    #[error("{text:?} has a '%' that is not followed by two hexadecimal digits")]
    BadEscape {
        /// The text as it came.
        text: String,
    },
    /// The decoded bytes are not text.
    #[error("{text:?} does not decode to UTF-8")]
    NotUtf8 {
        /// The text as it came.
        text: String,
    },
}

/// Decodes one name or value: `+` is a space, `%XX` a byte, the result UTF-8.
pub fn decode(text: &str) -> Result<String, FormError> {
    let well_formed = text.split('%').skip(1).all(|after| {
        after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
    });
    if !well_formed {
        return Err(FormError::BadEscape { text: text.into() });
    }
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8()
        .map(String::from)
        .map_err(|_| FormError::NotUtf8 { text: text.into() })
}

/// Decodes a query string into its name and value pairs, in their order. A name
/// without `=` has the empty value.
pub fn decode_pairs(query: &str) -> Result<Vec<(String, String)>, FormError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    #[test]
    fn decodes_once() {
        for (encoded, raw) in [
            ("report.pdf", "report.pdf"),
            ("a+b%2Bc.pdf", "a b+c.pdf"),
            ("100%25.pdf", "100%.pdf"),
            ("%252F.pdf", "%2F.pdf"),
            ("reports%2F2024/caf%C3%A9.pdf", "reports/2024/café.pdf"),
            ("%F0%9F%90%95.pdf", "🐕.pdf"),
            ("", ""),
        ] {
            assert_eq!(decode(encoded).unwrap(), raw, "{encoded}");
        }
    }

    #[test]
    fn refuses_what_is_not_encoded() {
        for text in ["100%.pdf", "%", "%4", "%zz", "%+1", "a%é1"] {
            assert_eq!(
                decode(text),
                Err(FormError::BadEscape { text: text.into() })
            );
        }
        for text in ["%FF", "caf%E9.pdf"] {
            assert_eq!(decode(text), Err(FormError::NotUtf8 { text: text.into() }));
        }
    }

    #[test]
    fn splits_before_decoding() {
        assert_eq!(
            decode_pairs("note=Phone+Booth&&startswith=a%26b%3Dc&limit").unwrap(),
            [
                ("note", "Phone Booth"),
                ("startswith", "a&b=c"),
                ("limit", "")
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(decode_pairs("").unwrap(), []);
    }

    proptest! {
        #[test]
        fn every_text_survives_the_journey(raw in any::<String>()) {
            let encoded = utf8_percent_encode(&raw, NON_ALPHANUMERIC).to_string().replace("%20", "+");
            prop_assert_eq!(decode(&encoded).unwrap(), raw);
        }
    }
}
