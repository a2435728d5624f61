//! The number that decisions follow from.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The number that all decisions follow from. The same seed and the same number of
/// opportunities give the same faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(u64);

impl Seed {
    /// One that is hardly ever the same twice, and short enough to be typed.
    #[must_use]
    pub fn random() -> Self {
        Self(RandomState::new().build_hasher().finish() % 1_000_000)
    }

    /// A number in 0..1 for the n-th occurrence of something: a hash, so that the order
    /// in which different things occur has no influence.
    #[must_use]
    pub fn fraction(self, question: &str, subject: &str, number: u64) -> f64 {
        let text = format!("{}\n{question}\n{subject}\n{number}", self.0);
        let hash = Sha256::digest(text);
        let bits = hash
            .iter()
            .take(7)
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        // 53 of the 56 bits, as many as a float holds exactly.
        (bits >> 3) as f64 / (1_u64 << 53) as f64
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Seed {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of how decisions are made would make seeds worthless that people noted down.
    #[test]
    fn a_seed_means_the_same_for_ever() {
        let fraction = Seed(42).fraction("kill", "resize", 3);
        assert_eq!(fraction, 0.275_767_157_038_811_6);
    }
}
