//! The failure queues before and after: every app has them, and no check may fill one.

use std::collections::BTreeMap;

use crate::check::{Check, Difference, Problem};
use crate::stage::Stage;

pub(crate) const FAILURE_QUEUES: Check = Check {
    name: "failure-queues",
    what: "no function gives up an event meanwhile",
};

/// How many events wait in each function's failure queue, hidden ones included.
pub(crate) type Depths = BTreeMap<String, u64>;

/// Counts the events in all failure queues.
pub(crate) async fn depths(stage: &Stage) -> Result<Depths, Problem> {
    let mut depths = Depths::new();
    for (name, function) in &stage.functions {
        if let Some(url) = &function.failure_queue_url {
            let depth = deploy::queue_depth(&stage.target, url).await?;
            depths.insert(name.clone(), depth.waiting + depth.hidden);
        }
    }
    Ok(depths)
}

/// What came into the queues between two counts. What was there before is somebody else's.
pub(crate) fn compare(stage: &str, before: &Depths, after: &Depths) -> Result<String, Problem> {
    let count = |depths: &Depths, function: &str| depths.get(function).copied().unwrap_or_default();
    let full: Vec<&String> = after
        .keys()
        .filter(|function| count(after, function) > count(before, function))
        .collect();
    let told = |depths: &Depths, function: &str| {
        format!("{} in that of {function}", events(count(depths, function)))
    };
    let list = |depths: &Depths| {
        let told: Vec<String> = full.iter().map(|function| told(depths, function)).collect();
        told.join(", ")
    };
    if full.is_empty() {
        let old = before.values().sum();
        let old = match old {
            0 => String::new(),
            old => format!(", {} from before this run", events(old)),
        };
        return Ok(format!("{} queues: no new event{old}", after.len()));
    }
    let commands: Vec<String> = full
        .iter()
        .map(|function| format!("cargo xtask redrive {function} --stage {stage} --dry-run"))
        .collect();
    Err(Problem::Difference(Difference {
        expected: format!("as many as before the run: {}", list(before)),
        seen: list(after),
        next: commands.join("; "),
    }))
}

fn events(count: u64) -> String {
    match count {
        1 => "1 event".to_owned(),
        count => format!("{count} events"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depths(of: &[(&str, u64)]) -> Depths {
        of.iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn events_from_before_are_somebody_elses() {
        let before = depths(&[("resize", 3), ("mail", 0)]);
        assert_eq!(
            compare("dev", &before, &before),
            Ok("2 queues: no new event, 3 events from before this run".to_owned())
        );
        // Somebody has redriven them meanwhile.
        let empty = depths(&[("resize", 0), ("mail", 0)]);
        assert!(compare("dev", &before, &empty).is_ok());
    }

    #[test]
    fn a_new_event_is_a_difference() {
        let before = depths(&[("resize", 3), ("mail", 0)]);
        let after = depths(&[("resize", 3), ("mail", 1)]);
        assert_eq!(
            compare("dev", &before, &after),
            Err(Problem::difference(
                "as many as before the run: 0 events in that of mail",
                "1 event in that of mail",
                "cargo xtask redrive mail --stage dev --dry-run",
            ))
        );
    }
}
