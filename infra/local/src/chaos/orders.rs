//! Single faults that somebody orders.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::call::{Call, Fault};

/// What is ordered, and still to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Orders {
    /// The functions of which the next invocation is killed, by Lambda's name, and how many milliseconds after it was
    /// handed its event. If it ends earlier, it is killed when it answers.
    pub kill_after_ms: BTreeMap<String, u64>,
    /// The calls of functions that fail.
    pub failing_calls: Vec<FailingCalls>,
    /// The queues whose messages come late to functions, by URL, and by how many seconds.
    pub late_queues: BTreeMap<String, u64>,
}

/// Calls that fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailingCalls {
    /// The service as signatures name it: `dynamodb`.
    pub service: String,
    /// AWS's name of the operation: `PutItem`.
    pub operation: String,
    /// How they fail.
    pub fault: Fault,
    /// How many there are still to be.
    pub left: u64,
}

impl Orders {
    /// Calls of the same operation fail in the order in which that was ordered.
    pub(super) fn of_call(&mut self, call: &Call) -> Option<Fault> {
        let mut orders = self.failing_calls.iter_mut();
        let order = orders.find(|order| call.is(&order.service, &order.operation))?;
        order.left -= 1;
        let fault = order.fault;
        self.failing_calls.retain(|order| order.left > 0);
        Some(fault)
    }

    pub(super) fn kill(&mut self, function: &str) -> Option<Duration> {
        self.kill_after_ms
            .remove(function)
            .map(Duration::from_millis)
    }
}
