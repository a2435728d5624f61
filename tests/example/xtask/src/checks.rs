//! What `verify` checks of the shop. Nothing that it does leaves a trace.

use std::time::Duration;

use verify::{Check, Flow, Probe, Problem, Stopped, Suite};

/// The checks of the shop.
pub(crate) fn suite() -> Suite {
    Suite {
        about: "The checks only look.",
        flows: vec![
            Flow::new("visitors", VISITORS, visitors),
            Flow::new("roles", ROLES, roles),
            Flow::new("quiet", QUIET, quiet),
        ],
    }
}

const VISITORS: &[Check] = &[Check {
    name: "unknown-photo",
    what: "a photo that is not there is not found",
}];

async fn visitors(probe: Probe) -> Result<(), Stopped> {
    probe.check("unknown-photo", unknown_photo(&probe)).await
}

async fn unknown_photo(probe: &Probe) -> Result<((), String), Problem> {
    let answer = probe.http("SHOP_URL", "GET", probe.run(), "").await?;
    let seen = answer.status.to_string();
    if answer.status != 404 {
        return Err(Problem::difference(
            "404",
            seen,
            probe.stage().errors("serve-shop"),
        ));
    }
    Ok(((), seen))
}

const ROLES: &[Check] = &[
    Check {
        name: "role-of-serve-shop",
        what: "the role of serve-shop lacks dynamodb:PutItem",
    },
    Check {
        name: "role-of-place-order",
        what: "the role of place-order lacks dynamodb:DeleteItem",
    },
];

async fn roles(probe: Probe) -> Result<(), Stopped> {
    for (check, function, lacks, table) in [
        (
            ROLES[0],
            "serve-shop",
            "dynamodb:PutItem",
            "PHOTOS_TABLE_NAME",
        ),
        (
            ROLES[1],
            "place-order",
            "dynamodb:DeleteItem",
            "ORDERS_TABLE_NAME",
        ),
    ] {
        let proof = async {
            let table = probe.stage().table_arn(probe.stage().variable(table)?);
            let has = ("dynamodb:Scan", table.as_str());
            let seen = probe.role_lacks(function, (lacks, &table), has).await?;
            Ok(((), seen))
        };
        // The others do not build on it.
        let _ = probe.check(check.name, proof).await;
    }
    Ok(())
}

const QUIET: &[Check] = &[Check {
    name: "no-photo-appears",
    what: "a photo that nobody uploads does not appear for ten seconds",
}];

async fn quiet(probe: Probe) -> Result<(), Stopped> {
    let proof = async {
        for _ in 0..10 {
            unknown_photo(&probe).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(((), "10 looks".to_owned()))
    };
    probe.check("no-photo-appears", proof).await
}
