//! Whether an e-mail address is a personal one, and the flag in the item that says so.
//!
//! # The flag
//! An item with an e-mail address has a flag: whether the address is at one of the personal
//! domains. The function writes it when an item is created or its address changes, if the flag
//! is not right already. So there are four cases:
//!
//! 1. An item is created: the flag is written.
//! 2. It changes, but not its address: nothing to do. The function's own writes are such
//!    changes, so it does not set itself going for ever.
//! 3. Its address changes, and the flag is right for the new one: nothing to do.
//! 4. Its address changes, and the flag is wrong for the new one: the flag is written.
//!
//! An item without an address needs no flag. When the address is taken away from an item, a
//! flag that says "personal" becomes false. An address that is NULL is none.
//!
//! # Why no order of records goes wrong
//! A record may come late, twice, after newer ones, or while another invocation is at it. Two
//! rules make that harmless.
//!
//! - _[`Correction`] writes on a condition_: the item still has the address that the value was
//!   computed of, and has not got the value. DynamoDB orders the writes of one item, so
//!   whenever the function writes a flag, it is right at that moment. Without the condition,
//!   the write that an older address demanded could come after the address changed back, whose
//!   record demands nothing; and it would bring back an item that was deleted.
//! - _[`correction`] compares with the flag that the item had after the change_, in the new
//!   image. The change may have taken the flag away, when it replaced the whole item.
//!
//! Call the flag right if it is what the item's address demands. Only a change of the address
//! makes it wrong, as the function's own writes make it right, and other attributes have no
//! part in it. Take the last change of an address, and its record.
//!
//! - The flag in its new image is right. No later write can make it wrong, and none is needed.
//! - It is wrong or missing. The record demands a write, and whenever that comes, the item has
//!   this address, for no change followed. Either the flag is still wrong, and the write goes
//!   through; or the write of another delivery, or of an older record with the same address,
//!   has made it right, and this one is refused.
//!
//! So once every record is handled, flags are right. A flag that is wrong is written exactly
//! once, or not at all if another change of the address makes it right before. An item that
//! was deleted meets no condition.
//!
//! A flag that someone else overwrites while the address stays is not looked after: case 2.

use std::collections::BTreeSet;
use std::future::Future;
use std::str::FromStr;

use runtime::stream::{EventName, RecordError, StreamRecord};
use serde_json::json;

use crate::schema::Schema;
use crate::user::UserId;

/// Domains at which people have personal addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalDomains(BTreeSet<String>);

/// Why a text is not a list of domains.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonalDomainsError {
    /// An empty part between two commas, or an empty list.
    #[error(
        "the list of personal domains has an empty entry: separate domains by single commas, as in \"gmail.com,outlook.com\""
    )]
    Empty,
    /// Not a domain name.
    #[error(
        "{0:?} in the list of personal domains is not a domain: write domains as in \"gmail.com,outlook.com\", international ones in their ASCII form (\"xn--\")"
    )]
    NoDomain(String),
}

impl FromStr for PersonalDomains {
    type Err = PersonalDomainsError;

    /// Reads domains that are separated by commas. Space around them is ignored.
    fn from_str(list: &str) -> Result<Self, PersonalDomainsError> {
        let domains = list.split(',').map(|entry| match entry.trim() {
            "" => Err(PersonalDomainsError::Empty),
            entry if is_domain(canonical(entry)) => Ok(canonical(entry).to_ascii_lowercase()),
            entry => Err(PersonalDomainsError::NoDomain(entry.into())),
        });
        domains.collect::<Result<_, _>>().map(Self)
    }
}

impl PersonalDomains {
    /// Whether the address is at one of these domains: that is what comes after its last `@`.
    /// Domains are the same in capitals, and with a dot at the end.
    pub fn have(&self, email: &str) -> bool {
        email
            .rsplit_once('@')
            .is_some_and(|(_, domain)| self.0.contains(&canonical(domain).to_ascii_lowercase()))
    }
}

/// A domain without the dot of the root.
fn canonical(domain: &str) -> &str {
    domain.strip_suffix('.').unwrap_or(domain)
}

/// Two or more labels of letters, digits and inner hyphens, at most as long as DNS allows
/// (RFC 1035, section 2.3.4).
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

/// A write that makes an item's flag right, if the item is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correction {
    /// The flag of an item that has this address, unless it has this value.
    OfAddress {
        /// The address.
        email: String,
        /// What the flag is to be.
        is_personal: bool,
    },
    /// To false, if the item has no address, or NULL for one, and its flag is true.
    OfNone,
}

/// What became of a [`Correction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corrected {
    /// The flag was written.
    Written,
    /// The item is not as it was, or its flag is right, maybe by an attempt of the same write
    /// whose answer got lost: nothing was written.
    Superseded,
}

/// The flags in the users table.
pub trait Flags {
    /// Makes one conditional write.
    fn correct(
        &self,
        user: &UserId,
        correction: &Correction,
    ) -> impl Future<Output = Result<Corrected, FlagError>>;
}

/// Why a flag could not be written. Trying again later may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not write the flag: {reason}")]
pub struct FlagError {
    /// What the storage said.
    pub reason: String,
}

/// What the record demands, by the rule of the [module](self).
pub fn correction(
    record: &StreamRecord,
    schema: &Schema,
    domains: &PersonalDomains,
) -> Result<Option<Correction>, RecordError> {
    let created = match record.event() {
        EventName::Insert => true,
        EventName::Modify => false,
        EventName::Remove => return Ok(None),
    };
    let new = record.new_image()?;
    let email = &schema.email;
    if !created && record.old_image()?.get(email) == new.get(email) {
        return Ok(None);
    }
    let flag = new.get(&schema.is_personal_email);
    let is = |value: bool| flag == Some(&json!({"BOOL": value}));
    Ok(match new.text(email)? {
        Some(email) => {
            let is_personal = domains.have(email);
            let email = email.into();
            (!is(is_personal)).then_some(Correction::OfAddress { email, is_personal })
        }
        None => (!created && is(true)).then_some(Correction::OfNone),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const EVENT: &str = include_str!("../../../assets/events/check-email.json");

    fn domains() -> PersonalDomains {
        "gmail.com,outlook.com,hotmail.com".parse().unwrap()
    }

    #[test]
    fn addresses_are_compared_by_domain() {
        for personal in [
            "john@gmail.com",
            "John@GMAIL.com",
            "john@gmail.com.",
            "\"a@b\"@hotmail.com",
            "é@outlook.com",
        ] {
            assert!(domains().have(personal), "{personal}");
        }
        for other in [
            "john@example.com",
            "john@notgmail.com",
            "john@mail.gmail.com",
            "john@gmail.com.example.com",
            "john@gmail.com..",
            "john@gmail.com@example.com",
            "john@gmail.co",
            "gmail.com",
            "john@",
            "",
        ] {
            assert!(!domains().have(other), "{other}");
        }
    }

    #[test]
    fn a_list_of_domains_is_trimmed_and_canonical() {
        let list = " Gmail.com , outlook.com.,hotmail.com,gmail.com";
        assert_eq!(list.parse(), Ok(domains()));
    }

    #[test]
    fn a_list_that_is_none_is_refused() {
        for list in ["", " ", ",", "gmail.com,", "gmail.com,,outlook.com"] {
            assert_eq!(
                list.parse::<PersonalDomains>(),
                Err(PersonalDomainsError::Empty),
                "{list:?}"
            );
        }
        let long = format!("{}.com", "a".repeat(64));
        for entry in [
            "gmail",
            "@gmail.com",
            "gmail.com outlook.com",
            ".com",
            "a..b",
            "-a.com",
            "a-.com",
            "gmail.com..",
            ".",
            "müller.de",
            "gmail_.com",
            &long,
        ] {
            let list = format!("outlook.com,{entry}");
            assert_eq!(
                list.parse::<PersonalDomains>(),
                Err(PersonalDomainsError::NoDomain(entry.into()))
            );
        }
    }

    fn schema() -> Schema {
        Schema {
            key: "Id".into(),
            email: "Email".into(),
            timestamp: "timestamp".into(),
            is_personal_email: "IsPersonalEmail".into(),
        }
    }

    /// An item of the source's table.
    fn item(email: Option<Value>, is_personal: Option<Value>) -> Value {
        let mut item = json!({"Id": {"S": "ID1"}});
        if let Some(email) = email {
            item["Email"] = email;
        }
        if let Some(is_personal) = is_personal {
            item["IsPersonalEmail"] = is_personal;
        }
        item
    }

    fn at(email: &str) -> Option<Value> {
        Some(json!({"S": email}))
    }

    fn flag(value: bool) -> Option<Value> {
        Some(json!({"BOOL": value}))
    }

    /// What a record of this change demands.
    fn demanded(old: Option<Value>, new: Option<Value>) -> Result<Option<Correction>, RecordError> {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        let mut record = event["Records"][0].take();
        record["eventName"] = match (&old, &new) {
            (None, Some(_)) => "INSERT".into(),
            (Some(_), Some(_)) => "MODIFY".into(),
            _ => "REMOVE".into(),
        };
        let change = &mut record["dynamodb"];
        change["Keys"] = json!({"Id": {"S": "ID1"}});
        change["OldImage"] = old.into();
        change["NewImage"] = new.into();
        let record = StreamRecord::read(record).unwrap();
        correction(&record, &schema(), &domains())
    }

    fn write(email: &str, is_personal: bool) -> Result<Option<Correction>, RecordError> {
        let email = email.into();
        Ok(Some(Correction::OfAddress { email, is_personal }))
    }

    const NOTHING: Result<Option<Correction>, RecordError> = Ok(None);

    const WORK: &str = "john@example.com";
    const HOME: &str = "john@gmail.com";

    #[test]
    fn a_created_item_gets_its_flag() {
        for (email, is_personal) in [(WORK, false), (HOME, true)] {
            let new = |flag| Some(item(at(email), flag));
            assert_eq!(demanded(None, new(None)), write(email, is_personal));
            assert_eq!(
                demanded(None, new(flag(!is_personal))),
                write(email, is_personal)
            );
            assert_eq!(demanded(None, new(flag(is_personal))), NOTHING);
        }
        assert_eq!(demanded(None, Some(item(None, None))), NOTHING);
        assert_eq!(demanded(None, Some(item(None, flag(true)))), NOTHING);
    }

    #[test]
    fn an_item_with_the_same_address_is_left_alone() {
        for flag in [None, flag(false), flag(true)] {
            let old = Some(item(at(HOME), None));
            assert_eq!(demanded(old, Some(item(at(HOME), flag))), NOTHING);
        }
    }

    #[test]
    fn a_changed_address_demands_a_write_only_of_a_wrong_flag() {
        let change = |old, new, flag: Option<Value>| {
            demanded(Some(item(old, flag.clone())), Some(item(new, flag)))
        };
        assert_eq!(
            change(at(WORK), at("jane@example.org"), flag(false)),
            NOTHING
        );
        assert_eq!(
            change(at(HOME), at("jane@outlook.com"), flag(true)),
            NOTHING
        );
        assert_eq!(change(at(WORK), at(HOME), flag(false)), write(HOME, true));
        assert_eq!(change(at(HOME), at(WORK), flag(true)), write(WORK, false));
        // The flag of the first address was not written yet.
        assert_eq!(change(at(WORK), at(HOME), None), write(HOME, true));
        // An address that was not there before.
        assert_eq!(change(None, at(HOME), flag(false)), write(HOME, true));
        assert_eq!(change(None, at(WORK), flag(false)), NOTHING);
        // Damage is repaired.
        assert_eq!(change(at(WORK), at(HOME), at("yes")), write(HOME, true));
    }

    #[test]
    fn the_flag_that_counts_is_the_one_after_the_change() {
        // One write sets the address and a flag that is wrong for it. By the flag before,
        // which is right for the new address, there would be nothing to do.
        let (old, new) = (item(at(WORK), flag(true)), item(at(HOME), flag(false)));
        assert_eq!(demanded(Some(old), Some(new)), write(HOME, true));
    }

    #[test]
    fn an_address_taken_away_leaves_no_flag_that_says_personal() {
        let removal = |flag: Option<Value>| {
            demanded(Some(item(at(HOME), flag.clone())), Some(item(None, flag)))
        };
        assert_eq!(removal(flag(true)), Ok(Some(Correction::OfNone)));
        assert_eq!(removal(flag(false)), NOTHING);
        assert_eq!(removal(None), NOTHING);
    }

    #[test]
    fn an_address_that_is_null_is_none() {
        let null = || Some(json!({"NULL": true}));
        assert_eq!(demanded(None, Some(item(null(), None))), NOTHING);
        let removal = |flag: Option<Value>| {
            demanded(Some(item(at(HOME), flag.clone())), Some(item(null(), flag)))
        };
        assert_eq!(removal(flag(true)), Ok(Some(Correction::OfNone)));
        assert_eq!(removal(flag(false)), NOTHING);
        // One way to have none becomes the other.
        let change = demanded(Some(item(null(), None)), Some(item(None, None)));
        assert_eq!(change, NOTHING);
        let given = demanded(Some(item(null(), None)), Some(item(at(HOME), None)));
        assert_eq!(given, write(HOME, true));
    }

    #[test]
    fn a_deleted_item_is_left_alone() {
        assert_eq!(demanded(Some(item(at(HOME), flag(true))), None), NOTHING);
    }

    #[test]
    fn an_address_that_is_no_string_is_an_error_once() {
        let number = || Some(json!({"N": "7"}));
        let error = demanded(None, Some(item(number(), None))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the attribute \"Email\" of its new image is of type N, not a string (S)"
        );
        let changed = demanded(Some(item(at(HOME), None)), Some(item(number(), None)));
        assert_eq!(changed, Err(error));
        // The record of another attribute's change is not to blame.
        let other = demanded(Some(item(number(), None)), Some(item(number(), flag(true))));
        assert_eq!(other, NOTHING);
        let repaired = demanded(Some(item(number(), None)), Some(item(at(HOME), None)));
        assert_eq!(repaired, write(HOME, true));
    }

    #[test]
    fn images_are_needed() {
        let missing = demanded(Some(json!({})), Some(item(at(HOME), None))).unwrap_err();
        assert_eq!(missing, RecordError::NoImage { part: "old image" });
        let missing = demanded(None, Some(json!({}))).unwrap_err();
        assert_eq!(missing, RecordError::NoImage { part: "new image" });
    }
}
