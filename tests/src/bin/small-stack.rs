//! Deploys and deletes the small stack of the tests as `xtask` does the app:
//! `small-stack ENDPOINT APP ZIPS (deploy VERSION [CODE] | hotswap CODE | rollback | delete)`.
//! The outcome goes to standard output, the steps and the error to standard error.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use acceptance::small_stack::{
    ACCOUNT, BOOTSTRAP_TEMPLATE, FUNCTIONS, REGION, STAGE, artifact_prefix, bootstrap_stack_name,
    sha256, stack_name, tags, template,
};
use deploy::{
    Artifact, ChangeSet, DeleteSpec, Deployment, Error, Hotswap, Outcome, Progress, Question,
    Settings, StackSpec, Store, Target,
};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments).await {
        Ok(outcome) => {
            println!("{outcome}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.next_step() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[&str]) -> Result<String, Error> {
    let [endpoint, app, zips, verb @ ..] = arguments else {
        return Err(Error::new("too few arguments"));
    };
    let target = deploy::connect(&Settings {
        region: Some(REGION.to_owned()),
        endpoint_url: Some((*endpoint).to_owned()),
        account: Some(ACCOUNT.to_owned()),
        static_credentials: None,
    })
    .await?;
    match verb {
        ["deploy", version] => deploy(&target, app, zips, Some(version), version).await,
        ["deploy", version, code] => deploy(&target, app, zips, Some(version), code).await,
        ["hotswap", code] => deploy(&target, app, zips, None, code).await,
        ["rollback"] => roll_back(&target, app).await,
        ["delete"] => delete(&target, app).await,
        _ => Err(Error::new("no such verb")),
    }
}

/// Resources and bytes are left out: there are many, and their order is no matter.
fn tell(progress: Progress) {
    match progress {
        Progress::Resource(_) | Progress::Uploaded { .. } => {}
        step => eprintln!("{step:?}"),
    }
}

fn agree(question: &Question) -> bool {
    eprintln!("{question}");
    true
}

async fn approve(_: &ChangeSet) -> Result<(), Error> {
    Ok(())
}

/// Without a version, only the code is replaced.
async fn deploy(
    target: &Target,
    app: &str,
    zips: &str,
    version: Option<&str>,
    code: &str,
) -> Result<String, Error> {
    let bucket = deploy::ensure_bootstrap(
        target,
        &bootstrap_stack_name(app),
        BOOTSTRAP_TEMPLATE,
        &agree,
        &tell,
    )
    .await?;
    let artifacts = FUNCTIONS.map(|function| {
        let zip = Path::new(zips).join(format!("{function}-{code}.zip"));
        Artifact {
            function: function.to_owned(),
            zip_bytes: std::fs::metadata(&zip).unwrap().len(),
            sha256: hex::encode(sha256(&zip)),
            zip,
        }
    });
    let prefix = artifact_prefix(app);
    let published = deploy::publish(target, &bucket, &prefix, artifacts.into(), &tell).await?;
    let name = stack_name(app);
    let template = match version {
        Some(version) => template(app, version.parse().unwrap()),
        None => {
            let deployed = deploy::deployed(target, &name).await?;
            deployed.map_or_else(String::new, |deployed| deployed.template)
        }
    };
    let mut spec = spec(app, &name, &template, &bucket, &prefix);
    spec.parameters = BTreeMap::from([
        ("ArtifactBucket".to_owned(), bucket.clone()),
        ("ReaderCode".to_owned(), published.keys["reader"].clone()),
        ("WriterCode".to_owned(), published.keys["writer"].clone()),
    ]);
    if version.is_none() {
        return Ok(match deploy::hotswap(target, &spec, &tell).await? {
            Hotswap::Swapped { functions, .. } => format!("hotswapped {}", functions.join(", ")),
            Hotswap::NotPossible(why) => format!("not possible: {why}"),
        });
    }
    outcome(
        deploy::deploy(target, &spec, approve, &agree, &tell).await?,
        &name,
    )
}

fn spec<'a>(
    app: &str,
    name: &'a str,
    template: &'a str,
    bucket: &'a str,
    prefix: &'a str,
) -> StackSpec<'a> {
    let code = [("reader", "ReaderCode"), ("writer", "WriterCode")];
    let code = code
        .map(|(function, parameter)| (format!("{app}-{STAGE}-{function}"), parameter.to_owned()));
    StackSpec {
        tags: tags(app),
        store: Some(Store { bucket, prefix }),
        functions: code.into(),
        ..StackSpec::new(name, template)
    }
}

fn outcome(deployment: Deployment, stack: &str) -> Result<String, Error> {
    match deployment {
        Deployment::Unchanged { repaired, .. } if repaired.is_empty() => Ok("unchanged".to_owned()),
        Deployment::Unchanged { repaired, .. } => Ok(format!("repaired {}", repaired.join(", "))),
        Deployment::Executed(Outcome::Deployed(_)) => Ok("deployed".to_owned()),
        Deployment::Executed(Outcome::RolledBack(diagnosis)) => Err(diagnosis.error(stack)),
    }
}

async fn roll_back(target: &Target, app: &str) -> Result<String, Error> {
    let name = stack_name(app);
    let prefix = artifact_prefix(app);
    let deployed = deploy::deployed(target, &name)
        .await?
        .ok_or_else(|| Error::new("it is not deployed"))?;
    let bucket = &deployed.parameters["ArtifactBucket"];
    let spec = spec(app, &name, &deployed.template, bucket, &prefix);
    let previous = deploy::previous_deployment(target, &spec)
        .await?
        .ok_or_else(|| Error::new("there is no earlier deployment"))?;
    let back = previous.spec(&spec);
    outcome(
        deploy::deploy(target, &back, approve, &agree, &tell).await?,
        &name,
    )
}

async fn delete(target: &Target, app: &str) -> Result<String, Error> {
    let deleted = deploy::delete(
        target,
        &DeleteSpec {
            stack: &stack_name(app),
            tags: tags(app),
            retains_data: false,
            bootstrap_stack: &bootstrap_stack_name(app),
            artifact_prefix: &artifact_prefix(app),
        },
        &agree,
        &tell,
    )
    .await?;
    Ok(match deleted {
        None => "absent".to_owned(),
        Some(deleted) => format!(
            "deleted {} resources, {} object versions, {} artifacts; left: {:?}",
            deleted.resources.len(),
            deleted.object_versions,
            deleted.artifacts,
            deleted.leftovers
        ),
    })
}
