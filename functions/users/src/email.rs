//! E-mail addresses.
//!
//! No library does this: the small ones take `<a@example.com>` or a `!` in the domain, the
//! strict ones bring a regular expression engine or Unicode's tables into the zip.

use std::fmt;

/// The longest address, in bytes. RFC 5321 (4.5.3.1.3) allows a path of 256, and a path has
/// angle brackets around the address.
const MAX_BYTES: usize = 254;

/// The longest part before the `@`, in bytes (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL_PART_BYTES: usize = 64;

/// The longest part of a domain between dots (RFC 1035, 2.3.4).
const MAX_LABEL_CHARS: usize = 63;

/// What RFC 5322 (3.2.3) allows in a local part besides letters and digits.
const LOCAL_PART_SYMBOLS: &str = "!#$%&'*+-/=?^_`{|}~";

/// An address that mail can be sent to: a `Mailbox` of RFC 5321, with the other alphabets of
/// RFC 6531, as it was written.
///
/// Not among them are quoted local parts (`"a b"@example.com`), which RFC 5321 advises
/// against, and what is not reached from the internet or not by name: domains without a
/// dot, and IP addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

/// Why a text is not an e-mail address. It does not hold the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// It is longer than a mail server takes.
    #[error("an e-mail address must have at most {MAX_BYTES} bytes")]
    TooLong,
    /// There is no `@`.
    #[error("an e-mail address must have an \"@\"")]
    NoAt,
    /// What is before the `@` is not a local part.
    #[error(
        "before its \"@\", an e-mail address must have 1 to {MAX_LOCAL_PART_BYTES} bytes of letters, digits, {LOCAL_PART_SYMBOLS} and single dots between them"
    )]
    LocalPart,
    /// What is after the `@` is not a domain.
    #[error(
        "after its \"@\", an e-mail address must have a domain as in example.com: names of letters, digits and hyphens, with dots between them"
    )]
    Domain,
}

impl EmailAddress {
    /// Checks a text. Nothing is changed, not even spaces around it.
    pub fn new(text: impl Into<String>) -> Result<Self, EmailError> {
        let text = text.into();
        if text.len() > MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        let (local_part, domain) = text.split_once('@').ok_or(EmailError::NoAt)?;
        if local_part.len() > MAX_LOCAL_PART_BYTES || !local_part.split('.').all(is_atom) {
            return Err(EmailError::LocalPart);
        }
        if !is_domain(domain) {
            return Err(EmailError::Domain);
        }
        Ok(Self(text))
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_atom(text: &str) -> bool {
    let allowed = |c: char| {
        c.is_ascii_alphanumeric() || LOCAL_PART_SYMBOLS.contains(c) || is_of_another_alphabet(c)
    };
    !text.is_empty() && text.chars().all(allowed)
}

fn is_domain(text: &str) -> bool {
    let Some((_, last)) = text.rsplit_once('.') else {
        return false;
    };
    // Else it would be an IP address.
    let is_numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    !is_numeric && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || is_of_another_alphabet(c);
    (1..=MAX_LABEL_CHARS).contains(&text.chars().count())
        && text.chars().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_of_another_alphabet(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace() && !c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_mail_can_be_sent_to_is_taken_as_it_is() {
        let longest = [
            format!("{}@example.com", "x".repeat(64)),
            format!("a@{}.com", "x".repeat(63)),
            format!(
                "{}@{}.com",
                "x".repeat(62),
                ["y".repeat(62), "z".repeat(62), "w".repeat(61)].join(".")
            ),
        ];
        for text in [
            "test@test.com",
            "john@example.com",
            "John@GMAIL.com",
            "a@b.co",
            "first.last+tag@sub.example-domain.co.uk",
            "o'brien!#$%&*+-/=?^_`{|}~@example.com",
            "1@2.example",
            "a@1.2.3.example",
            "a@xn--bcher-kva.example",
            "jürgen@bücher.example",
            "用户@例子.广告",
            "👋@example.com",
        ]
        .into_iter()
        .chain(longest.iter().map(String::as_str))
        {
            assert_eq!(EmailAddress::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_text() {
        use EmailError::{Domain, LocalPart, NoAt, TooLong};
        for (text, error) in [
            ("", NoAt),
            ("example.com", NoAt),
            ("@", LocalPart),
            ("@example.com", LocalPart),
            (" a@example.com", LocalPart),
            ("a b@example.com", LocalPart),
            ("\u{a0}a@example.com", LocalPart),
            ("a\0@example.com", LocalPart),
            (".a@example.com", LocalPart),
            ("a.@example.com", LocalPart),
            ("a..b@example.com", LocalPart),
            ("\"a\"@example.com", LocalPart),
            (" <a@example.com>", LocalPart),
            ("A <a@example.com>", LocalPart),
            ("a,b@example.com", LocalPart),
            ("a(comment)@example.com", LocalPart),
            ("a@", Domain),
            ("a@b", Domain),
            ("a@localhost", Domain),
            ("a@b@example.com", Domain),
            ("a@.com", Domain),
            ("a@example..com", Domain),
            ("a@example.com.", Domain),
            ("a@-example.com", Domain),
            ("a@example-.com", Domain),
            ("a@exa_mple.com", Domain),
            ("a@exa!mple.com", Domain),
            ("a@example.com ", Domain),
            ("a@example.com\n", Domain),
            ("a@192.0.2.1", Domain),
            ("a@[192.0.2.1]", Domain),
            ("a@example.com\r\nbcc: b@example.com", Domain),
            (&format!("{}@example.com", "x".repeat(65)), LocalPart),
            (&format!("{}@example.com", "é".repeat(33)), LocalPart),
            (&format!("a@{}.com", "x".repeat(64)), Domain),
            (&format!("a@{}com", "x.".repeat(125)), TooLong),
        ] {
            assert_eq!(EmailAddress::new(text), Err(error), "{text:?}");
        }
        let message = EmailError::LocalPart.to_string();
        assert!(message.contains("1 to 64 bytes"), "{message}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            if let Ok(address) = EmailAddress::new(text.clone()) {
                prop_assert_eq!(address.as_str(), text);
            }
        }

        #[test]
        fn addresses_of_ordinary_parts_are_taken(text in "[a-z0-9_+-]{1,64}@([a-z0-9]{1,20}\\.){1,3}[a-z]{2,10}") {
            prop_assert!(EmailAddress::new(text).is_ok());
        }

        /// Whatever is added in front of an address or behind it.
        #[test]
        fn an_address_has_no_spaces_or_control_characters(
            index in 0..=16_usize,
            intruder in "[\\x00-\\x20\\x7f\u{85}\u{a0}\u{2028}]",
        ) {
            let mut text = String::from("john@example.com");
            text.insert_str(index, &intruder);
            prop_assert!(EmailAddress::new(text).is_err());
        }
    }
}
