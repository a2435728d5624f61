//! The keys of one start of the local stage.

use std::fmt;

use crate::Error;

/// The letters of an access key ID, each of which stands for five bits.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Random keys, made when the emulator starts and void when it ends.
/// They are secrets: a caller that has one can make the emulator run a program as this user.
#[derive(Clone)]
pub struct Keys {
    /// The access key of the account's root user, whom no policy restricts.
    pub access_key_id: String,
    /// The secret access key that goes with it.
    pub secret_access_key: String,
    /// What the stage's own servers show the emulator when they pass on a request of others.
    pub(crate) stage_key: String,
}

impl Keys {
    /// Makes new ones.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn random() -> Result<Self, Error> {
        Ok(Self {
            access_key_id: format!("AKIA{}", random_text(16)?),
            secret_access_key: random_text(40)?,
            stage_key: random_text(40)?,
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Text of capitals and digits, with five random bits in each of `length`.
pub(crate) fn random_text(length: usize) -> Result<String, Error> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(Error::NoRandomness)?;
    Ok(bytes
        .into_iter()
        .map(|byte| char::from(BASE32[usize::from(byte % 32)]))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_starts_have_the_same_keys_and_none_is_shown() {
        let (one, two) = (Keys::random().unwrap(), Keys::random().unwrap());
        assert_ne!(one.access_key_id, two.access_key_id);
        assert_ne!(one.secret_access_key, two.secret_access_key);
        assert_ne!(one.stage_key, two.stage_key);
        assert_eq!(one.access_key_id.len(), 20);
        let shown = format!("{one:?}");
        assert!(!shown.contains(&one.secret_access_key) && !shown.contains(&one.stage_key));
    }
}
