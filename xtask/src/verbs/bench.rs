//! `bench`: what each function costs on this machine, without AWS.
//!
//! The packaged binary runs as on Lambda, against a Runtime API on the loopback interface
//! that hands it the sample event of `assets/events/<function>.json`. AWS itself is played
//! by a server that answers at once, so the figures are the function's own. What it answers is
//! in `assets/answers/<function>.json`.

mod answers;
mod budget;
mod life;
mod sample;
mod server;
mod variables;

use std::path::Path;
use std::time::Duration;

use indicatif::DecimalBytes;
use manifest::{App, Architecture, Budget, Function};
use serde::Serialize;
use tokio::process::Command;

use self::budget::Figures;
use self::life::measure;
use self::sample::Sample;
use self::variables::Template;
use crate::cli;
use crate::context::function_of;
use crate::error::Result;
use crate::output::json;
use crate::package::{self, Package};
use crate::table::table;
use crate::terminal::{spinner, status};
use crate::workspace::{LOCAL, Workspace};

/// The package of the function with the Lambda runtime and nothing else.
const FLOOR: &str = "lambda-floor";

/// What one function costs.
#[derive(Debug, Serialize)]
struct Row {
    function: String,
    #[serde(flatten)]
    figures: Figures,
    /// The floor has none.
    budget: Option<Budget>,
}

pub(crate) async fn run(workspace: &Workspace, args: &cli::Bench) -> Result<()> {
    let app = as_for_aws(workspace, None)?;
    let function = args.function.as_deref();
    let functions: Vec<&Function> = match function {
        Some(name) => vec![function_of(&app, name)?],
        None => app.functions().collect(),
    };
    let what = function.map_or_else(|| "the functions".to_owned(), str::to_owned);
    status("Building", format!("{what} as for AWS"));
    let names = functions.iter().map(|function| function.name());
    let names: Vec<&str> = names.chain([FLOOR]).collect();
    let packages = package::package_functions(workspace, &app, &names)?;

    let template = Template::of(&app)?;
    let working = spinner("measuring");
    let mut rows = Vec::new();
    let mut excesses = Vec::new();
    for package in packages {
        let name = &package.artifact.function;
        working.set_message(format!("measuring {name}"));
        let function = functions.iter().find(|function| function.name() == name);
        let sample = match function {
            Some(_) => Sample::of(workspace, &template, name).await?,
            None => Sample::of_floor(),
        };
        let figures = figures_of(&package, &sample, args).await?;
        if let Some(function) = function {
            excesses.extend(figures.excesses(function));
        }
        rows.push(Row {
            function: package.artifact.function,
            figures,
            budget: function.map(|function| function.budget()),
        });
    }
    working.finish_and_clear();
    rows.sort_by_key(|row| row.function == FLOOR);
    if args.json {
        json(&rows)?;
    } else {
        show(&rows)?;
        status(
            "Measured",
            format!(
                "medians of {} starts; {} warm events each; init is from exec to the first request for an event",
                args.starts, args.events
            ),
        );
    }
    if args.check {
        budget::check(&excesses)?;
    }
    Ok(())
}

/// The app on a stage whose functions are built as for AWS, but for this machine's processor, so
/// that they run here, or for another one.
fn as_for_aws(workspace: &Workspace, architecture: Option<Architecture>) -> Result<App> {
    let mut stage = workspace.stage(LOCAL)?;
    // Any name but `local` builds as for AWS.
    "bench".clone_into(&mut stage.name);
    if let Some(architecture) = architecture {
        stage.architecture = architecture;
    }
    workspace.resolve(&stage)
}

/// Builds functions as for AWS, and fails if the zip of one exceeds its budget. To be called in a tokio runtime.
pub(crate) fn check_zips(workspace: &Workspace, functions: &[&str]) -> Result<()> {
    let app = as_for_aws(workspace, None)?;
    let packages = package::package_functions(workspace, &app, functions)?;
    check_packages(&app, &packages)
}

fn check_packages(app: &App, packages: &[Package]) -> Result<()> {
    let mut excesses = Vec::new();
    for package in packages {
        let function = function_of(app, &package.artifact.function)?;
        excesses.extend(budget::zip_excess(function, package.artifact.zip_bytes));
    }
    budget::check(&excesses)
}

async fn figures_of(package: &Package, sample: &Sample, args: &cli::Bench) -> Result<Figures> {
    let process = || Command::new(&package.binary);
    let mut inits = Vec::new();
    let mut firsts = Vec::new();
    for _ in 0..args.starts {
        let life = measure(process(), sample, 1).await?;
        inits.push(life.init);
        firsts.push(life.events[0]);
    }
    let warm = measure(process(), sample, args.events + 1).await?;
    let mut events = warm.events[1..].to_vec();
    Ok(Figures {
        zip_bytes: package.artifact.zip_bytes,
        init_ms: quantile_ms(&mut inits, 0.5),
        first_event_ms: quantile_ms(&mut firsts, 0.5),
        warm_p50_ms: quantile_ms(&mut events, 0.5),
        warm_p99_ms: quantile_ms(&mut events, 0.99),
        peak_memory_bytes: warm.peak_memory_bytes,
        starts: args.starts,
        events: args.events,
    })
}

fn show(rows: &[Row]) -> Result<()> {
    let head = [
        "FUNCTION",
        "ZIP",
        "INIT",
        "FIRST EVENT",
        "WARM P50",
        "WARM P99",
        "PEAK MEMORY",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(
        |Row {
             function, figures, ..
         }| {
            vec![
                function.clone(),
                DecimalBytes(figures.zip_bytes).to_string(),
                format!("{:.1} ms", figures.init_ms),
                format!("{:.2} ms", figures.first_event_ms),
                format!("{:.2} ms", figures.warm_p50_ms),
                format!("{:.2} ms", figures.warm_p99_ms),
                figures
                    .peak_memory_bytes
                    .map_or_else(|| "-".to_owned(), |bytes| DecimalBytes(bytes).to_string()),
            ]
        },
    ));
    table(&lines)
}

/// Lets a function, built for this machine, answer its sample event twice. To be called in a tokio
/// runtime.
pub(super) async fn answer_here(
    workspace: &Workspace,
    function: &str,
    executable: &Path,
) -> Result<()> {
    let app = workspace.declared_app()?;
    let sample = Sample::of(workspace, &Template::of(&app)?, function).await?;
    measure(Command::new(executable), &sample, 2).await?;
    Ok(())
}

/// Where Debian and Ubuntu put arm64's C library (`libc6-arm64-cross`). What is not there is
/// looked up as on arm64 itself.
const ARM64_LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// Builds a function for arm64, as for Lambda, and lets it answer its sample event twice, in an emulated processor. Fails if
/// its zip exceeds its budget, too. To be called in a tokio runtime.
pub(crate) async fn answer_on_arm64(
    workspace: &Workspace,
    function: &str,
    emulator: &str,
) -> Result<()> {
    let app = as_for_aws(workspace, Some(Architecture::Arm64))?;
    let packages = package::package_functions(workspace, &app, &[function])?;
    let sample = Sample::of(workspace, &Template::of(&app)?, function).await?;
    for package in &packages {
        let mut process = Command::new(emulator);
        process.args(["-L", ARM64_LIBRARIES]).arg(&package.binary);
        measure(process, &sample, 2).await?;
    }
    check_packages(&app, &packages)
}

fn quantile_ms(durations: &mut [Duration], quantile: f64) -> f64 {
    durations.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index between 0 and the length"
    )]
    let index = (quantile * (durations.len().saturating_sub(1)) as f64).round() as usize;
    durations
        .get(index)
        .map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_durations() {
        let mut durations: Vec<Duration> = (1..=101).rev().map(Duration::from_millis).collect();
        assert!((quantile_ms(&mut durations, 0.5) - 51.0).abs() < 1e-9);
        assert!((quantile_ms(&mut durations, 0.99) - 100.0).abs() < 1e-9);
    }
}
