//! The checksums that the AWS SDK takes from the crate `crc-fast`, by the same names.
//!
//! That crate has tables for fifty checksums, for processors without carry-less multiplication. Which of them a program
//! uses is decided while it runs, so all of them are linked: 0.66 MB that do not compress, in every function that
//! calls Amazon S3. The SDK uses three. `Cargo.toml` puts this crate in the place of that one.
//!
//! The SDK computes CRC-32 by default. `crc32fast` does so by the processor's instructions. The other
//! two are computed byte by byte.

use std::fmt;

/// The checksums of Amazon S3 that are cyclic redundancy checks.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrcAlgorithm {
    /// CRC-32, as in gzip.
    Crc32IsoHdlc,
    /// CRC-32C.
    Crc32Iscsi,
    /// CRC-64/NVME.
    Crc64Nvme,
}

/// A checksum of the bytes so far.
#[derive(Clone)]
pub struct Digest(State);

#[derive(Clone)]
enum State {
    Crc32(crc32fast::Hasher),
    /// By a table, whose entries are those of the reflected polynomial; inverted at the beginning and at the end.
    Table(&'static [u64; 256], u64, u64),
}

static CRC_32C: [u64; 256] = table(0x82f6_3b78);
static CRC_64_NVME: [u64; 256] = table(0x9a6c_9329_ac4b_c9b5);

const fn table(polynomial: u64) -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut entry = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            entry = (entry >> 1) ^ (polynomial * (entry & 1));
            bit += 1;
        }
        table[byte] = entry;
        byte += 1;
    }
    table
}

impl Digest {
    /// The checksum of no bytes.
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        let all_ones = u64::from(u32::MAX);
        Self(match algorithm {
            CrcAlgorithm::Crc32IsoHdlc => State::Crc32(crc32fast::Hasher::new()),
            CrcAlgorithm::Crc32Iscsi => State::Table(&CRC_32C, all_ones, all_ones),
            CrcAlgorithm::Crc64Nvme => State::Table(&CRC_64_NVME, u64::MAX, u64::MAX),
        })
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc32(hasher) => hasher.update(bytes),
            State::Table(table, state, _) => {
                for byte in bytes {
                    let [low, ..] = state.to_le_bytes();
                    *state = table[usize::from(low ^ byte)] ^ (*state >> 8);
                }
            }
        }
    }

    /// The checksum. Those of 32 bits are in the lower half.
    pub fn finalize(&self) -> u64 {
        match &self.0 {
            State::Crc32(hasher) => u64::from(hasher.clone().finalize()),
            State::Table(_, state, inversion) => state ^ inversion,
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Digest").field(&self.finalize()).finish()
    }
}

/// The checksum of bytes.
pub fn checksum(algorithm: CrcAlgorithm, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new(algorithm);
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of <https://reveng.sourceforge.io/crc-catalogue/all.htm>.
    #[test]
    fn checksums_are_those_of_the_catalogue() {
        for (algorithm, expected) in [
            (CrcAlgorithm::Crc32IsoHdlc, 0xcbf4_3926),
            (CrcAlgorithm::Crc32Iscsi, 0xe306_9283),
            (CrcAlgorithm::Crc64Nvme, 0xae8b_1486_0a79_9888),
        ] {
            assert_eq!(checksum(algorithm, b"123456789"), expected, "{algorithm:?}");
            assert_eq!(checksum(algorithm, b""), 0, "{algorithm:?}");
            let mut parts = Digest::new(algorithm);
            parts.update(b"1234");
            parts.update(b"56789");
            assert_eq!(parts.finalize(), expected, "{algorithm:?}");
        }
    }
}
