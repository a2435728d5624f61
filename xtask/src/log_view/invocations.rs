//! What logs tell of invocations, in the words of traces.

use std::collections::BTreeMap;

use traces::{
    Invocation, InvocationEnd, InvocationResult, LogLine, Occurrence, Payload, Trigger,
    TriggerKind, What,
};

use super::LoggedLine;
use super::entry::{Entry, Platform, Report, Status};

/// Lambda's error type of a function that does not end in time.
const TIMED_OUT: &str = "Sandbox.Timedout";

/// An invocation whose report has not come.
#[derive(Debug, Default)]
struct Begun {
    id: String,
    log: Vec<LogLine>,
    /// In Lambda's words.
    failure: Option<String>,
}

/// The invocations that lines of functions' logs tell of. A log names neither what has invoked a function nor what the
/// function has called.
pub(crate) fn invocations(lines: &[LoggedLine<'_>]) -> Vec<Occurrence> {
    let mut occurrences = Vec::new();
    // By the execution environment, which has one invocation at a time.
    let mut begun: BTreeMap<(&str, &str), Begun> = BTreeMap::new();
    let mut attempts: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines {
        let at_ms = in_ms(line.timestamp_ms.unwrap_or_default());
        let environment = (line.function, line.stream);
        match Entry::of(line.message) {
            Entry::Platform(request_id, Platform::Started) => {
                let attempt = attempts.entry(request_id.clone()).or_default();
                *attempt += 1;
                let id = format!("{request_id}-{attempt}");
                begun.insert(
                    environment,
                    Begun {
                        id: id.clone(),
                        ..Begun::default()
                    },
                );
                occurrences.push(Occurrence {
                    at_ms,
                    what: What::Invocation(Box::new(Invocation {
                        id,
                        request_id,
                        function: line.function.to_owned(),
                        attempt: *attempt,
                        trigger: Trigger {
                            kind: TriggerKind::Invoke,
                            source: None,
                            detail: Some("by what its log does not say".to_owned()),
                        },
                        causes: Vec::new(),
                        started_ms: at_ms,
                        event: Payload::default(),
                    })),
                });
            }
            Entry::Platform(_, Platform::Report(report)) => {
                if let Some(begun) = begun.remove(&environment) {
                    let what = What::Ended(Box::new(begun.ended(&report)));
                    occurrences.push(Occurrence { at_ms, what });
                }
            }
            Entry::Platform(_, Platform::TimedOut(text) | Platform::Failed(text)) => {
                if let Some(begun) = begun.get_mut(&environment) {
                    begun.failure = Some(text);
                }
            }
            Entry::Record(_) | Entry::Text(_) => {
                if let Some(begun) = begun.get_mut(&environment) {
                    begun.log.push(LogLine {
                        at_ms,
                        text: line.message.to_owned(),
                    });
                }
            }
            Entry::Platform(_, Platform::Ended) | Entry::Init(_) => {}
        }
    }
    occurrences
}

impl Begun {
    fn ended(self, report: &Report) -> InvocationEnd {
        let message = self.failure.unwrap_or_default();
        let error = |error_type: &str| InvocationResult::Error {
            error_type: error_type.to_owned(),
            message,
        };
        let figures = &report.figures;
        InvocationEnd {
            id: self.id,
            init_ms: figures.init_ms,
            duration_ms: figures.duration_ms.unwrap_or_default(),
            billed_ms: figures.billed_ms.unwrap_or_default(),
            memory_mb: figures.memory_mb.unwrap_or_default(),
            max_memory_mb: figures.max_memory_mb,
            log: self.log,
            lines_left_out: 0,
            result: match &report.status {
                Status::Success => InvocationResult::Ok,
                Status::Timeout => error(TIMED_OUT),
                Status::Failure(error_type) => error(error_type.as_deref().unwrap_or("Unknown")),
            },
            answer: Payload::default(),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this millennium have fewer digits"
)]
fn in_ms(timestamp_ms: i64) -> f64 {
    timestamp_ms as f64
}

#[cfg(test)]
mod tests {
    use traces::{Filter, History, Limits, Outcome};

    use super::super::PLAIN;
    use super::*;

    const FIRST: &str = "7af35afe-c240-4193-bb6e-2f6e5405a84f";
    const SECOND: &str = "c06eb3d3-874b-4dff-890a-c0dd37bc467d";

    fn history(lines: &[(i64, &str, String)]) -> History {
        let lines: Vec<LoggedLine<'_>> = lines
            .iter()
            .map(|(timestamp_ms, stream, message)| LoggedLine {
                timestamp_ms: Some(*timestamp_ms),
                function: "sell",
                style: PLAIN,
                stream,
                message,
            })
            .collect();
        let mut history = History::new(Limits::default());
        for occurrence in invocations(&lines) {
            history.add(occurrence);
        }
        history
    }

    #[test]
    fn invocations_of_two_environments_are_kept_apart() {
        let history = history(&[
            (0, "a", format!("START RequestId: {FIRST} Version: $LATEST")),
            (
                1,
                "b",
                format!("START RequestId: {SECOND} Version: $LATEST"),
            ),
            (2, "a", "of the first".to_owned()),
            (3, "b", "of the second".to_owned()),
            (4, "a", format!("END RequestId: {FIRST}")),
            (
                5,
                "a",
                format!(
                    "REPORT RequestId: {FIRST}\tDuration: 3.50 ms\tBilled Duration: 104 ms\t\
                     Memory Size: 128 MB\tMax Memory Used: 25 MB\tInit Duration: 100.00 ms"
                ),
            ),
            (
                3001,
                "b",
                format!("2026-11-27T05:00:00Z {SECOND} Task timed out after 3.00 seconds"),
            ),
            (
                3002,
                "b",
                format!(
                    "REPORT RequestId: {SECOND}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t\
                     Memory Size: 128 MB\tStatus: timeout"
                ),
            ),
        ]);
        let summaries = history.summaries(&Filter::default());
        let outcomes: Vec<Outcome> = summaries.iter().map(|it| it.outcome).collect();
        assert_eq!(outcomes, [Outcome::Failed, Outcome::Ok]);
        // Whoever has the identifier from a log finds the trace.
        let trace = history.trace(FIRST).unwrap();
        let titles: Vec<&str> = trace.spans.iter().map(|span| &*span.title).collect();
        assert_eq!(titles, ["sell", "of the first"]);
        let text = serde_json::to_value(&trace).unwrap();
        let end = &text["spans"][0]["details"]["end"];
        assert_eq!(
            (&end["init_ms"], &end["billed_ms"], &end["max_memory_mb"]),
            (&100.0.into(), &104.into(), &25.into())
        );
    }

    #[test]
    fn an_invocation_without_a_report_goes_on() {
        let history = history(&[(0, "a", format!("START RequestId: {FIRST} Version: 1"))]);
        let summaries = history.summaries(&Filter::default());
        assert_eq!(summaries[0].outcome, Outcome::Running);
    }
}
