//! Benchmarks: they print figures and assert none.

use std::time::{Duration, SystemTime};

use super::fixture::{Fixture, Function, item, names, numbered};

/// How many records a second go through a mapping.
pub(crate) async fn throughput(fixture: &Fixture) {
    const RECORDS: usize = 5_000;
    let table = fixture.table().await;
    // Written before they are read, so that writing takes no part in it.
    table.put_all(numbered(RECORDS)).await;
    for batch_size in [100, 1_000] {
        let function = fixture.function(&format!("-{batch_size}")).await;
        fixture
            .map(&table, &function, |mapping| mapping.batch_size(batch_size))
            .await;
        let last = numbered(RECORDS).pop().unwrap();
        let seen = function.wait_until_seen(&last).await;
        let took = seen.last().unwrap().started_ms - seen[0].started_ms;
        println!(
            "batches of {batch_size}: {RECORDS} records in {} invocations, {} records/s",
            seen.len(),
            RECORDS as u64 * 1000 / took.max(1)
        );
    }
}

/// How long after a write the function is invoked, and what waiting costs. Two mappings, as
/// many as one stream may have.
pub(crate) async fn delay_and_idle_cpu(fixture: &Fixture) {
    let table = fixture.table().await;
    let functions = [fixture.function("-a").await, fixture.function("-b").await];
    for function in &functions {
        fixture.map(&table, function, |mapping| mapping).await;
    }
    table.put_all(["first"]).await;
    for function in &functions {
        function.wait_until_seen("first").await;
    }

    let mut written = Vec::new();
    for name in numbered(50) {
        // Not in step with the poller.
        tokio::time::sleep(Duration::from_millis(217)).await;
        table.put(item(&name)).await;
        written.push(milliseconds());
    }
    let mut delays = delays(&functions[0], &written).await;
    delays.sort_unstable();
    println!(
        "from write to invocation: p50 {} ms, p90 {} ms, longest {} ms",
        delays[delays.len() / 2],
        delays[delays.len() * 9 / 10],
        delays[delays.len() - 1]
    );

    const SECONDS: u64 = 20;
    let before = processor_ticks();
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let after = processor_ticks();
    for ((process, before), (_, after)) in before.iter().zip(&after) {
        // A tick is a hundredth of a second, so this is per cent of one processor.
        let share = (after - before) as f64 / SECONDS as f64;
        println!("idle, {process}: {share:.1} % of a processor");
    }
}

async fn delays(function: &Function, written: &[u64]) -> Vec<u64> {
    let seen = function
        .wait_until_seen(&numbered(written.len()).pop().unwrap())
        .await;
    let of_records = seen.iter().flat_map(|invocation| {
        let count = invocation.records.len();
        std::iter::repeat_n(invocation.started_ms, count)
    });
    assert_eq!(names(&seen)[1..], numbered(written.len()));
    of_records
        .skip(1)
        .zip(written)
        .map(|(started, written)| started.saturating_sub(*written))
        .collect()
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}

/// What this process (with the poller) and its children (the emulator) have used so far.
/// Nothing on systems without `/proc`.
fn processor_ticks() -> Vec<(String, u64)> {
    let ticks = |process: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let (name, fields) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let used: u64 =
            fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some((name.to_owned(), used))
    };
    let mut processes = vec!["self".to_owned()];
    for thread in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let children = std::fs::read_to_string(thread.path().join("children"));
        processes.extend(
            children
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned),
        );
    }
    processes
        .iter()
        .filter_map(|process| ticks(process))
        .collect()
}
