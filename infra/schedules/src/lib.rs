//! Schedule expressions of EventBridge Scheduler: what they may say, and when they fire.
//!
//! Pure: no file, no clock, and the time zones are those that the crate `jiff` carries. The
//! manifest checks expressions with it, and the local stage runs schedules by it.
//!
//! ```
//! use schedules::{Expression, TimeZone};
//!
//! let nightly = Expression::parse("cron(0 3 * * ? *)").unwrap();
//! let zurich = TimeZone::named("Europe/Zurich").unwrap();
//! let created = "2027-01-01T12:00:00Z".parse().unwrap();
//! let next = nightly.next(&zurich, created, created).unwrap();
//! assert_eq!(next.to_string(), "2027-01-02T02:00:00Z");
//! ```
//!
//! <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>

mod cron;
mod expression;
mod input;
mod zone;

pub use expression::{Expression, ExpressionError};
pub use input::{Firing, Input};
/// A moment.
pub use jiff::Timestamp;
pub use zone::{TimeZone, UnknownTimeZone};
