//! What goes wrong on purpose, and what does not.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use local::{
    FailingCalls, Fault, FaultKind, Observer, Seed, Shares, StreamPoller, StreamPollerConfig,
};
use serde_json::Value;

use crate::fixture::{REGION, Stage};

/// Which messages the functions began with, and ended, by request ID.
struct Told {
    begun: Vec<(String, u32)>,
    ended: Vec<(String, u32)>,
}

fn told(file: &Path) -> Told {
    let text = std::fs::read_to_string(file).unwrap();
    let with = |kind: &str| {
        text.lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .filter(|words| words[0] == kind)
            .map(|words| (words[2].to_owned(), words[1].parse().unwrap()))
            .collect()
    };
    Told {
        begun: with("begin"),
        ended: with("end"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_chaos_events_come_twice_late_and_in_disorder_and_none_is_lost() {
    // The decisions for a hundred events follow from it: some are delivered twice, and
    // some functions are killed.
    let stage = Stage::start_with(Some("16".parse().unwrap())).await;
    let chaos = &stage.chaos;
    let file = PathBuf::from(stage.output_of("publish.py").trim());

    let figure = |kind| chaos.figures().faults[&kind];
    let deadline = Instant::now() + Duration::from_secs(60);
    let told = loop {
        let told = told(&file);
        let twice = figure(FaultKind::EventTwice);
        let expected = 100 + twice.injected;
        if twice.opportunities == 100 && told.ended.len() as u64 >= expected {
            break told;
        }
        assert!(
            Instant::now() < deadline,
            "{} of {expected} deliveries ended\n{}",
            told.ended.len(),
            chaos.figures()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    std::fs::remove_file(&file).unwrap();

    let mut messages: Vec<_> = told.ended.iter().map(|(_, message)| *message).collect();
    assert!(!messages.is_sorted());
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages, (0..100).collect::<Vec<_>>());

    // Each delivery is a request. It ends once, however often it was begun.
    let mut requests: Vec<_> = told.ended.iter().map(|(request, _)| request).collect();
    requests.sort_unstable();
    requests.dedup();
    assert_eq!(requests.len(), told.ended.len());
    assert!(figure(FaultKind::EventTwice).injected > 0);
    assert!(figure(FaultKind::EventLate).injected > 0);
    let killed = figure(FaultKind::FunctionKilled).injected;
    let begun_again = told.begun.len() - told.ended.len();
    assert!(
        (1..=killed).contains(&(begun_again as u64)),
        "{begun_again} of {killed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn under_chaos_records_of_a_stream_come_again_after_later_ones_and_none_is_lost() {
    let stage = Stage::start_with(Some("24".parse().unwrap())).await;
    let chaos = &stage.chaos;
    let poller = StreamPoller::start(StreamPollerConfig {
        endpoint: stage.emulator.endpoint(),
        keys: stage.emulator.keys(),
        region: REGION,
        chaos: Some(chaos),
        observer: &Observer::new().unwrap(),
    });
    let file = PathBuf::from(stage.output_of("put_items.py").trim());

    let deadline = Instant::now() + Duration::from_secs(60);
    let ended = loop {
        let ended: Vec<u32> = told(&file)
            .ended
            .into_iter()
            .map(|(_, item)| item)
            .collect();
        let different: HashSet<_> = ended.iter().collect();
        if different.len() == 100 && !ended.is_sorted() {
            break ended;
        }
        assert!(
            Instant::now() < deadline,
            "{} of 100 items ended: {ended:?}\n{}",
            different.len(),
            chaos.figures()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    std::fs::remove_file(&file).unwrap();
    poller.shutdown().await;

    // Only second deliveries are out of order.
    let mut known = HashSet::new();
    let first: Vec<_> = ended
        .into_iter()
        .filter(|item| known.insert(*item))
        .collect();
    assert_eq!(first, (0..100).collect::<Vec<_>>());
    for kind in [FaultKind::BatchTwice, FaultKind::BatchLate] {
        assert!(chaos.figures().faults[&kind].injected > 0, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_chaos_functions_call_through_the_proxies_as_who_they_are() {
    let stage = Stage::start_with(Some("1".parse().unwrap())).await;
    let seen = stage.probe("/?list-buckets");
    assert_eq!(seen["list_buckets"], "AccessDenied");
    let environment = seen["environment"].as_object().unwrap();
    assert!(!environment.contains_key("CHAOS_URL"));
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_REKOGNITION"] {
        let url = environment[variable].as_str().unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        assert_ne!(url, stage.emulator.endpoint());
        assert_ne!(url, "http://127.0.0.1:9");
    }
}

fn process(seen: &Value) -> u64 {
    seen["function_pid"].as_u64().unwrap()
}

fn calls_directly(stage: &Stage, seen: &Value) -> bool {
    seen["environment"]["AWS_ENDPOINT_URL"] == stage.emulator.endpoint()
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_switched_on_and_off_while_the_stage_runs() {
    let stage = Stage::start().await;
    let faults = stage.chaos.switch();
    let seen = stage.probe("/");
    assert!(calls_directly(&stage, &seen));
    assert_eq!(process(&stage.probe("/")), process(&seen), "it stays warm");

    let none = Shares {
        calls: 0.0,
        late: 0.0,
        twice: 0.0,
        killed: 0.0,
        completions: 0.0,
    };
    faults.begin(Seed::random(), none).await.unwrap();
    let proxied = stage.probe("/?list-buckets");
    assert!(!calls_directly(&stage, &proxied));
    assert_ne!(process(&proxied), process(&seen));
    assert_eq!(proxied["list_buckets"], "AccessDenied");
    let figures = faults.figures();
    assert_eq!(figures.faults[&FaultKind::CallThrottled].opportunities, 1);
    assert_eq!(figures.faults[&FaultKind::FunctionKilled].injected, 0);

    let all_killed = Shares {
        killed: 1.0,
        ..none
    };
    faults.begin(Seed::random(), all_killed).await.unwrap();
    assert_eq!(stage.get("/").0, 500);

    faults.stop().await.unwrap();
    assert!(calls_directly(&stage, &stage.probe("/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ordered_happens_once() {
    let stage = Stage::start().await;
    let faults = stage.chaos.switch();
    let calls = FailingCalls {
        service: "s3".to_owned(),
        operation: "ListBuckets".to_owned(),
        fault: Fault::Throttled,
        left: 1,
    };
    faults.order_failing_calls(calls).await.unwrap();
    // The SDK tries again.
    let seen = stage.probe("/?list-buckets");
    assert_eq!(seen["list_buckets"], "AccessDenied");
    assert!(!calls_directly(&stage, &seen));
    let made = |kind| faults.figures().faults[&kind].injected;
    assert_eq!(made(FaultKind::OrderedCallFailed), 1);
    // Nothing is left to go wrong, so functions call directly again.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !calls_directly(&stage, &stage.probe("/")) {
        assert!(Instant::now() < deadline);
    }

    let seen = stage.probe("/");
    faults.order_kill("probe", Duration::ZERO).await.unwrap();
    assert_eq!(stage.get("/").0, 500);
    let again = stage.probe("/");
    assert_ne!(process(&again), process(&seen));
    assert_eq!(made(FaultKind::OrderedKill), 1);

    assert_eq!(faults.kill_now("probe").await.unwrap(), 1);
    assert_ne!(process(&stage.probe("/")), process(&again));
    assert_eq!(faults.kill_now("nobody").await.unwrap(), 0);
    assert_eq!(made(FaultKind::OrderedKill), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_queue_come_late_until_faults_are_stopped() {
    for (late, expected) in [(3, 3.0..30.0), (600, 1.0..60.0)] {
        let stage = Stage::start().await;
        let faults = stage.chaos.switch();
        let url = format!("http://localhost:{}/000000000000/late", stage.emulator_port);
        faults.order_late_queue(&url, late).await.unwrap();
        let stops = late == 600;
        let stop = async {
            while !faults
                .figures()
                .faults
                .contains_key(&FaultKind::OrderedMessageLate)
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if stops {
                tokio::time::sleep(Duration::from_secs(1)).await;
                faults.stop().await.unwrap();
            }
        };
        let seconds = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let came = scope.spawn(|| stage.output_of("late_message.py"));
                tokio::runtime::Handle::current().block_on(stop);
                came.join().unwrap()
            })
        });
        let seconds: f64 = seconds.trim().parse().unwrap();
        assert!(expected.contains(&seconds), "{seconds}");
    }
}
