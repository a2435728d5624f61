//! What the parts of the local stage tell.

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::moving::AboveMovingLine;
use super::text::{DIM, RED, YELLOW, inert};

/// Prints what the parts of the local stage tell while it runs, such as a line per request at
/// level `INFO`, and records that are lost at `WARN`.
pub(crate) fn show_parts(level: LevelFilter) {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| AboveMovingLine)
        // The terminal's colours are `anstream`'s to decide, here as everywhere.
        .with_ansi(false)
        // It would print, and panic, where a line cannot be written.
        .log_internal_errors(false)
        .event_format(PartLine);
    let ours = tracing_subscriber::filter::Targets::new().with_target("local", level);
    // Fails only if there is a subscriber already.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(ours)
        .try_init();
}

/// A line of a part of the local stage, in the manner of a line of progress.
struct PartLine;

impl<S, N> FormatEvent<S, N> for PartLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let level = *event.metadata().level();
        let style = match level {
            Level::ERROR => RED,
            Level::WARN => YELLOW,
            _ => DIM,
        };
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        let fields = inert(&fields);
        writeln!(writer, "{style}{:>12}{style:#} {fields}", level.as_str())
    }
}
