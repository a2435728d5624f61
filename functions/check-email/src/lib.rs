//! Keeps each user's flag right that says whether the e-mail address is a personal one.
//!
//! The flag is written only when an address was set or changed and the flag is wrong for it. The rule, and why
//! no order of records goes wrong, is in [`users::personal_email`].

use users::Schema;
use users::personal_email::{Corrected, FlagError, Flags, PersonalDomains, correction};
use users::stream::{RecordError, StreamEvent, StreamRecord, StreamResponse, UnnumberedRecord};

/// The function, with what it works on.
#[derive(Debug)]
pub struct CheckEmail<F> {
    /// The names in the users table.
    pub schema: Schema,
    /// Domains at which addresses are personal.
    pub domains: PersonalDomains,
    /// Where flags are written.
    pub flags: F,
}

/// How a record was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It demanded a write.
    Flag(Corrected),
    /// It demanded none.
    NothingToDo,
}

/// Why a record failed.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Flag(#[from] FlagError),
}

impl<F: Flags> CheckEmail<F> {
    /// Handles one batch of records.
    pub async fn handle(&self, event: StreamEvent) -> Result<StreamResponse, UnnumberedRecord> {
        let check_record = async |record: &StreamRecord| self.check_record(record).await;
        event.handle_in_order(check_record).await
    }

    async fn check_record(&self, record: &StreamRecord) -> Result<Outcome, CheckError> {
        let user = record.user(&self.schema)?;
        match correction(record, &self.schema, &self.domains)? {
            Some(correction) => Ok(Outcome::Flag(self.flags.correct(&user, &correction).await?)),
            None => Ok(Outcome::NothingToDo),
        }
    }
}
