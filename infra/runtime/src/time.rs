//! Times in events.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A time like `2027-01-01T03:00:00Z`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = DateTime::from_str(&text, Format::DateTime).map_err(D::Error::custom)?;
    SystemTime::try_from(time).map_err(D::Error::custom)
}
