//! What a function may cost at most.

use serde::Serialize;

/// The most that a function may cost, as `cargo xtask bench` measures it. A budget is not part of the template: AWS does
/// not learn of it.
///
/// ```
/// use manifest::{Budget, Manifest};
///
/// let app = Manifest::new("shop");
/// app.function("pack-order").budget(Budget {
///     zip_bytes: 3_000_000,
///     ..Budget::default()
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// The size of its zip.
    pub zip_bytes: u64,
    /// The time from its start to its first request for an event, in milliseconds.
    pub init_ms: u32,
    /// The time from handing out an event to its answer that one event in a hundred exceeds, in milliseconds.
    pub warm_p99_ms: u32,
    /// The largest part of its memory that is ever resident.
    pub peak_memory_bytes: u64,
}

impl Budget {
    /// The largest zip. What is in it may have 250 MB, and a zip is no larger than that.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
    pub(crate) const MAX_ZIP_BYTES: u64 = 250 * 1024 * 1024;
    /// The longest init.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
    pub(crate) const MAX_INIT_MS: u32 = 10_000;
}

impl Default for Budget {
    /// What a function with clients of three AWS services stays within. Sizes differ little from one machine to the
    /// next. Times do, so their budgets are several times what is usual.
    fn default() -> Self {
        Self {
            zip_bytes: 2_400_000,
            init_ms: 20,
            warm_p99_ms: 20,
            peak_memory_bytes: 10_000_000,
        }
    }
}
