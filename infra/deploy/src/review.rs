//! What a deployment changes, for a person to review before it happens.

mod properties;

pub use properties::PropertyChange;
pub(crate) use properties::told_by;
