//! How much the endpoint takes: calls a second, and jobs at a time.
//!
//! AWS has a quota of calls for each operation, account and region, from 5 to 50 a second, and one of jobs at a time for
//! stored videos. <https://docs.aws.amazon.com/general/latest/gr/rekognition.html>

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::protocol::{ApiError, ErrorKind};

/// What is taken at most.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// Calls of each operation in a second.
    pub calls_per_second: u32,
    /// Jobs that wait or run at a time.
    pub jobs: usize,
}

impl Default for Quotas {
    /// Those of AWS's large regions.
    fn default() -> Self {
        Self {
            calls_per_second: 50,
            jobs: 20,
        }
    }
}

/// Counts calls. A second's calls may come at once, and are there again a second later.
#[derive(Debug)]
pub struct Calls {
    per_second: f64,
    operations: Mutex<HashMap<&'static str, Allowance>>,
}

#[derive(Debug)]
struct Allowance {
    calls: f64,
    at: Instant,
}

impl Calls {
    /// So many calls of each operation.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            operations: Mutex::default(),
        }
    }

    /// Counts a call of an operation.
    ///
    /// # Errors
    /// The calls come too fast.
    pub fn admit(&self, operation: &'static str, now: Instant) -> Result<(), ApiError> {
        let mut operations = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let full = Allowance {
            calls: self.per_second,
            at: now,
        };
        let allowance = operations.entry(operation).or_insert(full);
        let elapsed = now.saturating_duration_since(allowance.at).as_secs_f64();
        allowance.calls = (allowance.calls + elapsed * self.per_second).min(self.per_second);
        allowance.at = now;
        if allowance.calls < 1.0 {
            return Err(ApiError::new(
                ErrorKind::ThroughputExceeded,
                format!(
                    "more than {} calls of {operation} in a second",
                    self.per_second
                ),
            ));
        }
        allowance.calls -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn calls_of_an_operation_are_limited_and_come_back() {
        let calls = Calls::new(2);
        let start = Instant::now();
        let admitted = |operation, milliseconds| {
            let at = start + Duration::from_millis(milliseconds);
            calls.admit(operation, at).is_ok()
        };
        assert_eq!([0; 3].map(|at| admitted("a", at)), [true, true, false]);
        assert!(admitted("b", 0), "each operation has a quota of its own");
        assert!(!admitted("a", 499));
        assert!(admitted("a", 500));
        assert!(!admitted("a", 500));
        // A long rest brings no more than a second's calls.
        assert_eq!([9000; 3].map(|at| admitted("a", at)), [true, true, false]);
        let error = calls.admit("a", start).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ThroughputExceeded);
    }
}
