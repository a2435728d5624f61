//! Whether functions stay within their budgets.

use std::fmt::Display;

use indicatif::DecimalBytes;
use manifest::Function;
use serde::Serialize;

use crate::error::{CliError, Result};

/// What was measured of a function.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) zip_bytes: u64,
    pub(super) init_ms: f64,
    pub(super) first_event_ms: f64,
    pub(super) warm_p50_ms: f64,
    pub(super) warm_p99_ms: f64,
    /// Known on Linux only.
    pub(super) peak_memory_bytes: Option<u64>,
    /// How many starts `init_ms` and `first_event_ms` are medians of.
    pub(super) starts: usize,
    /// How many events the warm times are of.
    pub(super) events: usize,
}

impl Figures {
    /// In which figures a function exceeds its budget, and by how much.
    pub(super) fn excesses(&self, function: &Function) -> Vec<String> {
        let budget = function.budget();
        let init = format!(
            "{:.1} ms of init (median of {} starts)",
            self.init_ms, self.starts
        );
        let warm_p99 = format!(
            "{:.2} ms as warm p99 (of {} events)",
            self.warm_p99_ms, self.events
        );
        let peak_memory = |bytes| {
            let measured = format!("{} of peak memory", DecimalBytes(bytes));
            bytes_excess(function, &measured, bytes, budget.peak_memory_bytes)
        };
        [
            zip_excess(function, self.zip_bytes),
            ms_excess(function, &init, self.init_ms, budget.init_ms),
            ms_excess(function, &warm_p99, self.warm_p99_ms, budget.warm_p99_ms),
            self.peak_memory_bytes.and_then(peak_memory),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// By how much the zip of a function exceeds its budget.
pub(super) fn zip_excess(function: &Function, zip_bytes: u64) -> Option<String> {
    let measured = format!("a zip of {}", DecimalBytes(zip_bytes));
    bytes_excess(function, &measured, zip_bytes, function.budget().zip_bytes)
}

fn bytes_excess(function: &Function, measured: &str, bytes: u64, budget: u64) -> Option<String> {
    let over = bytes.checked_sub(budget).filter(|over| *over > 0)?;
    Some(excess(
        function,
        measured,
        &DecimalBytes(over),
        &DecimalBytes(budget),
    ))
}

fn ms_excess(function: &Function, measured: &str, ms: f64, budget: u32) -> Option<String> {
    let over = ms - f64::from(budget);
    (over > 0.0).then(|| {
        let (over, budget) = (format!("{over:.2} ms"), format!("{budget} ms"));
        excess(function, measured, &over, &budget)
    })
}

fn excess(function: &Function, measured: &str, over: &dyn Display, budget: &dyn Display) -> String {
    format!(
        "{} has {measured}, {over} more than the {budget} of its budget, {}",
        function.name(),
        function.budget_declared_at()
    )
}

/// Fails if there are excesses; names all of them.
pub(super) fn check(excesses: &[String]) -> Result<()> {
    if excesses.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = excesses
        .iter()
        .map(|excess| format!("\n  - {excess}"))
        .collect();
    Err(CliError::new(format!(
        "functions exceed their budgets:{}",
        list.concat()
    ))
    .hint("make them cheaper (docs/reference/size-and-speed.md tells what costs how much), or declare a larger budget by `.budget(…)`"))
}

#[cfg(test)]
mod tests {
    use manifest::{Budget, Manifest, Stage};

    use super::*;

    const BUDGET: Budget = Budget {
        zip_bytes: 2_000_000,
        init_ms: 5,
        warm_p99_ms: 3,
        peak_memory_bytes: 6_000_000,
    };

    const AT_BUDGET: Figures = Figures {
        zip_bytes: 2_000_000,
        init_ms: 5.0,
        first_event_ms: 100.0,
        warm_p50_ms: 1.0,
        warm_p99_ms: 3.0,
        peak_memory_bytes: Some(6_000_000),
        starts: 20,
        events: 1000,
    };

    fn excesses(figures: &Figures) -> Vec<String> {
        let app = Manifest::new("shop");
        app.function("pack-order").budget(BUDGET);
        let app = app.resolve(&Stage::with_defaults("bench")).unwrap();
        let function = app.functions().next().unwrap();
        let at = format!(" of its budget, {}", function.budget_declared_at());
        let excesses = figures.excesses(function).into_iter();
        let excesses = excesses.map(|excess| excess.strip_suffix(&at).unwrap().to_owned());
        excesses.collect()
    }

    #[test]
    fn a_function_may_cost_as_much_as_its_budget() {
        assert_eq!(excesses(&AT_BUDGET), Vec::<String>::new());
        check(&excesses(&AT_BUDGET)).unwrap();
    }

    #[test]
    fn every_excess_is_told_with_how_much_it_is() {
        let figures = Figures {
            zip_bytes: 2_010_000,
            init_ms: 5.06,
            warm_p99_ms: 4.5,
            peak_memory_bytes: Some(6_500_000),
            ..AT_BUDGET
        };
        let excesses = excesses(&figures);
        assert_eq!(
            excesses,
            [
                "pack-order has a zip of 2.01 MB, 10.00 kB more than the 2.00 MB",
                "pack-order has 5.1 ms of init (median of 20 starts), 0.06 ms more than the 5 ms",
                "pack-order has 4.50 ms as warm p99 (of 1000 events), 1.50 ms more than the 3 ms",
                "pack-order has 6.50 MB of peak memory, 500.00 kB more than the 6.00 MB",
            ]
        );
        let error = check(&excesses).unwrap_err();
        assert_eq!(error.message().lines().count(), 5, "{}", error.message());
    }

    #[test]
    fn memory_that_is_not_known_exceeds_nothing() {
        let figures = Figures {
            peak_memory_bytes: None,
            ..AT_BUDGET
        };
        assert_eq!(excesses(&figures), Vec::<String>::new());
    }
}
