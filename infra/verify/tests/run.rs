//! What a run makes of flows that end well, fail, forget a check, panic, or are interrupted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use deploy::{Error, Settings};
use verify::{
    Api, Callers, Check, Event, Flow, Left, Options, Outcome, Owned, Probe, Problem, Report, Run,
    Stage, Stopped, Suite,
};

const CHECKS: &[Check] = &[
    Check {
        name: "first",
        what: "the first promise",
    },
    Check {
        name: "second",
        what: "the second promise",
    },
];

/// A stage without functions, at an endpoint that knows who calls and nothing else.
async fn stage() -> Stage {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint_url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 65536]);
            let body = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account><Arn>arn:aws:iam::123456789012:user/ann</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>";
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    let api = Api {
        url: format!("{endpoint_url}/"),
        callers: Callers::WithToken(None),
    };
    let settings = Settings {
        region: Some("eu-west-1".to_owned()),
        endpoint_url: Some(endpoint_url),
        account: None,
        static_credentials: Some(("AKIAIOSFODNN7EXAMPLE".to_owned(), "secret".to_owned())),
    };
    Stage {
        name: "dev".to_owned(),
        target: deploy::connect(&settings).await.unwrap(),
        variables: BTreeMap::new(),
        functions: BTreeMap::new(),
        apis: [("SHOP_URL".to_owned(), api)].into(),
    }
}

async fn run_of<F>(flow: impl Fn(Probe) -> F + Send + Sync + 'static) -> Run
where
    F: Future<Output = Result<(), Stopped>> + Send + 'static,
{
    let suite = Suite {
        about: "",
        flows: vec![Flow::new("flow", CHECKS, flow)],
    };
    let options = Options {
        timeout: Duration::from_millis(200),
        only: Vec::new(),
    };
    Run::new(suite, stage().await, &options, |_: &Event| {})
}

async fn complete(run: &Run) -> Report {
    run.flows().await;
    run.clean_up().await;
    run.compare_queues().await;
    run.report(false)
}

fn outcome(report: &Report, name: &str) -> Outcome {
    let mut checks = report.checks.iter();
    let verdict = checks.find(|verdict| verdict.check.name == name);
    verdict.unwrap().outcome.clone()
}

/// Passes a check.
async fn pass(probe: &Probe, name: &str) -> Result<(), Stopped> {
    probe
        .check(name, async { Ok(((), "well".to_owned())) })
        .await
}

#[tokio::test]
async fn a_flow_that_ends_well_passes() {
    let run = run_of(|probe| async move {
        pass(&probe, "first").await?;
        pass(&probe, "second").await
    })
    .await;
    let report = complete(&run).await;
    assert!(report.passed);
    assert_eq!(run.count(), 4);
    for name in ["first", "second", "failure-queues", "clean-up"] {
        assert!(outcome(&report, name).is_passed(), "{name}: {report:?}");
    }
}

#[tokio::test]
async fn a_check_that_fails_keeps_those_behind_it_from_being_made() {
    let run = run_of(|probe| async move {
        let look = || async { Ok(Err::<(), _>("nothing".to_owned())) };
        probe
            .check("first", async {
                probe.eventually("something", "look there", look).await?;
                Ok(((), String::new()))
            })
            .await?;
        pass(&probe, "second").await
    })
    .await;
    let report = complete(&run).await;
    assert!(!report.passed);
    let Outcome::Failed { took, difference } = outcome(&report, "first") else {
        panic!("{report:?}");
    };
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert_eq!(
        Problem::Difference(difference),
        Problem::difference("within 0 s: something", "nothing", "look there")
    );
    let reason = "first did not pass".to_owned();
    assert_eq!(outcome(&report, "second"), Outcome::NotChecked { reason });
}

#[tokio::test]
async fn a_check_that_cannot_be_made_is_no_failure() {
    let run = run_of(|probe| async move {
        let impossible = async { Err(Problem::NotChecked("no permission".to_owned())) };
        probe.check::<()>("first", impossible).await?;
        pass(&probe, "second").await
    })
    .await;
    let report = complete(&run).await;
    assert!(report.passed);
    let reason = "no permission".to_owned();
    assert_eq!(outcome(&report, "first"), Outcome::NotChecked { reason });
}

#[tokio::test]
async fn an_api_that_asks_for_a_token_is_not_checked_without_one() {
    let run = run_of(|probe| async move {
        let asked = async { Ok((probe.http("SHOP_URL", "GET", "", "").await?, String::new())) };
        probe.check("first", asked).await?;
        pass(&probe, "second").await
    })
    .await;
    let report = complete(&run).await;
    assert!(report.passed);
    let Outcome::NotChecked { reason } = outcome(&report, "first") else {
        panic!("{report:?}");
    };
    assert!(reason.ends_with("set XTASK_API_TOKEN"), "{reason}");
}

#[tokio::test]
async fn a_check_that_is_forgotten_fails() {
    let run = run_of(|probe| async move { pass(&probe, "first").await }).await;
    let report = complete(&run).await;
    assert!(!report.passed);
    assert!(outcome(&report, "second").is_failed(), "{report:?}");
}

#[tokio::test]
async fn a_flow_that_panics_fails_and_what_it_made_is_deleted() {
    let run = run_of(|probe| async move {
        probe.own(Owned::new("a thing", "rm thing", || async { Ok(()) }));
        pass(&probe, "first").await?;
        panic!("as the test wants it");
    })
    .await;
    let report = complete(&run).await;
    assert!(!report.passed);
    assert!(outcome(&report, "second").is_failed(), "{report:?}");
    let Outcome::Passed { seen, .. } = outcome(&report, "clean-up") else {
        panic!("{report:?}");
    };
    assert_eq!(seen, "1 deleted at the end");
}

#[tokio::test]
async fn what_cannot_be_deleted_fails_the_run_and_is_named() {
    let run = run_of(|probe| async move {
        probe.own(Owned::new("a thing", "rm thing", || async {
            Err(Error::new("could not delete it"))
        }));
        pass(&probe, "first").await?;
        pass(&probe, "second").await
    })
    .await;
    let report = complete(&run).await;
    assert!(!report.passed);
    assert!(outcome(&report, "clean-up").is_failed(), "{report:?}");
    let left = Left {
        what: "a thing".to_owned(),
        why: "could not delete it".to_owned(),
        command: "rm thing".to_owned(),
    };
    assert_eq!(report.left, [left]);
}

#[tokio::test]
async fn an_interrupted_run_does_not_pass() {
    let run = run_of(|probe| async move {
        pass(&probe, "first").await?;
        std::future::pending().await
    })
    .await;
    let flows = tokio::time::timeout(Duration::from_millis(200), run.flows());
    assert!(flows.await.is_err());
    run.clean_up().await;
    let report = run.report(true);
    assert!(!report.passed);
    assert!(outcome(&report, "first").is_passed(), "{report:?}");
    let reason = "the run was interrupted".to_owned();
    assert_eq!(outcome(&report, "second"), Outcome::NotChecked { reason });
}
