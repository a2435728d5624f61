//! What the app promises, as checks of a stage that is deployed: `cargo xtask verify` runs them.

use verify::{Check, Flow, Probe, Problem, Stopped, Suite};

/// All checks of the app.
#[must_use]
pub fn suite() -> Suite {
    Suite {
        about: "The checks only look.",
        flows: vec![Flow::new("visitors", VISITORS, visitors)],
    }
}

const VISITORS: &[Check] = &[Check {
    name: "front-page",
    what: "GET / is answered",
}];

async fn visitors(probe: Probe) -> Result<(), Stopped> {
    probe.check("front-page", front_page(&probe)).await
}

async fn front_page(probe: &Probe) -> Result<((), String), Problem> {
    let answer = probe.http("API_URL", "GET", "", "").await?;
    let seen = answer.status.to_string();
    if answer.status != 200 {
        let errors = probe.stage().errors("hello");
        return Err(Problem::difference("200", seen, errors));
    }
    Ok(((), seen))
}
