//! The kinds of changes.

use super::TableAction;

/// What happens to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemChange {
    /// A new item.
    Insert,
    /// Other attributes of an item that was there.
    Modify,
    /// An item gone, whether deleted by a call or expired by its time to live.
    Remove,
}

impl ItemChange {
    /// Its name in a stream's records.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html>
    pub(super) fn event_name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Modify => "MODIFY",
            Self::Remove => "REMOVE",
        }
    }

    /// What makes such a change. An update of an item that is not there makes it.
    pub(super) fn causes(self) -> &'static [TableAction] {
        match self {
            Self::Insert | Self::Modify => &[TableAction::PutItem, TableAction::UpdateItem],
            Self::Remove => &[TableAction::DeleteItem],
        }
    }
}
