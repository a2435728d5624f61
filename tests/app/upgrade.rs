//! A stage that was deployed before this version of the app keeps its data when it is deployed
//! again: nothing that holds data, or that clients know by name, is replaced.
//!
//! `fixtures/deployed-stage.yaml` is the template of such a stage. It is replaced only when nobody
//! has a stage of it any more.
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use acceptance::small_stack::{ACCOUNT, Ground, REGION, sha256, write_zip};
use aws_sdk_dynamodb::types::AttributeValue;
use deploy::{Artifact, ChangeSet, Deployment, Error, Outcome, Settings, StackSpec, Store, Target};
use manifest::{App, Stages};
use media::dynamodb::{DynamoCatalogue, Filter, PATIENCE, Phase, Tables};
use runtime::{Aws, Environment};
use tempfile::TempDir;

const DEPLOYED: &str = include_str!("fixtures/deployed-stage.yaml");

/// Their names are in programs and bookmarks, and their contents nowhere else.
const KEPT: [&str; 5] = [
    "AWS::ApiGatewayV2::Api",
    "AWS::DynamoDB::Table",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
];

#[test]
fn a_stage_of_an_earlier_version_is_deployed_without_a_replacement() {
    let ground = Ground::start();
    let app = app_on(ground.endpoint());
    let stage = ground.runtime.block_on(Stage::new(&ground, &app));
    ground.runtime.block_on(stage.deploy(DEPLOYED));
    let before = kept(&ground, &app.stack_name());
    assert!(before.len() > KEPT.len(), "{before:?}");
    let data = Data::of(&ground, &before);
    ground.runtime.block_on(data.write());

    let template = app.synth().template;
    ground.runtime.block_on(stage.deploy(&template));
    let after = kept(&ground, &app.stack_name());
    for (logical_id, physical_id) in &before {
        assert_eq!(after.get(logical_id), Some(physical_id), "{logical_id}");
    }
    ground.runtime.block_on(data.assert_there());
    ground.runtime.block_on(data.assert_found(&ground, &after));
}

/// The app on the stage whose template the fixture is.
fn app_on(endpoint: &str) -> App {
    let stages = format!(
        "local: {{endpoint_url: '{endpoint}', region: {REGION}, account: '{ACCOUNT}', \
         architecture: x86_64, log_retention_days: 1}}"
    );
    let stage = Stages::parse(&stages).unwrap().get("local").unwrap();
    app::app().resolve(&stage).unwrap()
}

/// The physical IDs of what is to be kept, by logical ID.
fn kept(ground: &Ground, stack: &str) -> BTreeMap<String, String> {
    let resources = ground.resources(stack).into_iter();
    let kept = resources.filter(|resource| KEPT.contains(&resource.resource_type().unwrap()));
    kept.map(|resource| {
        let physical_id = resource.physical_resource_id().unwrap();
        let logical_id = resource.logical_resource_id().unwrap();
        (logical_id.to_owned(), physical_id.to_owned())
    })
    .collect()
}

/// A stage, and how its stack is deployed.
struct Stage<'a> {
    app: &'a App,
    target: Target,
    bucket: String,
    prefix: String,
    parameters: BTreeMap<String, String>,
    _zips: TempDir,
}

impl<'a> Stage<'a> {
    /// A stage whose functions do nothing.
    async fn new(ground: &Ground, app: &'a App) -> Self {
        let target = deploy::connect(&Settings {
            region: Some(REGION.to_owned()),
            endpoint_url: Some(ground.endpoint().to_owned()),
            account: Some(ACCOUNT.to_owned()),
            static_credentials: Some((
                ground.keys().access_key_id.clone(),
                ground.keys().secret_access_key.clone(),
            )),
        })
        .await
        .unwrap();
        let bucket = deploy::ensure_bootstrap(
            &target,
            &app.bootstrap_stack_name(),
            &app.bootstrap_template(),
            &|_| true,
            &|_| {},
        )
        .await
        .unwrap();
        let zips = TempDir::new().unwrap();
        let artifacts = app.functions().map(|function| {
            let zip = zips.path().join(format!("{}.zip", function.name()));
            write_zip(&zip, function.name(), 1);
            Artifact {
                function: function.name().to_owned(),
                zip_bytes: std::fs::metadata(&zip).unwrap().len(),
                sha256: hex::encode(sha256(&zip)),
                zip,
            }
        });
        let prefix = format!("{}/local/", app.name());
        let published = deploy::publish(&target, &bucket, &prefix, artifacts.collect(), &|_| {})
            .await
            .unwrap();
        let mut parameters = BTreeMap::from([("ArtifactBucket".to_owned(), bucket.clone())]);
        parameters.extend(app.functions().map(|function| {
            let key = published.keys[function.name()].clone();
            (function.code_parameter(), key)
        }));
        Self {
            app,
            target,
            bucket,
            prefix,
            parameters,
            _zips: zips,
        }
    }

    async fn deploy(&self, template: &str) {
        let name = self.app.stack_name();
        let mut parameters = self.parameters.clone();
        // An earlier version may have lacked a function.
        parameters.retain(|parameter, _| template.contains(&format!("  {parameter}:")));
        let spec = StackSpec {
            parameters,
            tags: self.app.tags(),
            store: Some(Store {
                bucket: &self.bucket,
                prefix: &self.prefix,
            }),
            ..StackSpec::new(&name, template)
        };
        let approve = async |_: &ChangeSet| Ok::<_, Error>(());
        let deployment = deploy::deploy(&self.target, &spec, approve, &|_| true, &|_| {}).await;
        match deployment.unwrap() {
            Deployment::Unchanged { .. } | Deployment::Executed(Outcome::Deployed(_)) => {}
            Deployment::Executed(Outcome::RolledBack(diagnosis)) => {
                panic!("{}", diagnosis.error(&name));
            }
        }
    }
}

/// An item and an object.
struct Data {
    dynamodb: aws_sdk_dynamodb::Client,
    s3: aws_sdk_s3::Client,
    table: String,
    bucket: String,
}

impl Data {
    fn of(ground: &Ground, kept: &BTreeMap<String, String>) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(ground.config()),
            s3: ground.s3(),
            table: kept["MediaTable"].clone(),
            // No function is notified of its objects.
            bucket: kept["UsersBucket"].clone(),
        }
    }

    async fn write(&self) {
        let name = AttributeValue::S("photo.jpg".to_owned());
        let labels = AttributeValue::L(vec![AttributeValue::S("Cat".to_owned())]);
        let put = self.dynamodb.put_item().table_name(&self.table);
        let put = put
            .item("name", name)
            .item("type", AttributeValue::S("image".to_owned()))
            .item("labels", labels);
        put.send().await.unwrap();
        let put = self.s3.put_object().bucket(&self.bucket);
        put.key("photo.jpg").send().await.unwrap();
    }

    async fn assert_there(&self) {
        let name = AttributeValue::S("photo.jpg".to_owned());
        let get = self.dynamodb.get_item().table_name(&self.table);
        let found = get.key("name", name).send().await.unwrap();
        assert!(found.item.is_some());
        let head = self.s3.head_object().bucket(&self.bucket);
        head.key("photo.jpg").send().await.unwrap();
    }

    /// A search finds the item before the index has it, and after that in the index.
    async fn assert_found(&self, ground: &Ground, tables: &BTreeMap<String, String>) {
        let environment = Environment::from_iter([
            ("AWS_ENDPOINT_URL", ground.endpoint()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", &ground.keys().access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &ground.keys().secret_access_key),
            ("MEDIA_TABLE_NAME", &tables["MediaTable"]),
            ("MEDIA_STATE_TABLE_NAME", &tables["MediaStateTable"]),
            ("MEDIA_INDEX_TABLE_NAME", &tables["MediaIndexTable"]),
        ]);
        let aws = Aws::new(&environment).unwrap();
        let catalogue = DynamoCatalogue::new(&aws, Tables::named_by(&environment).unwrap());
        let filter = Filter {
            label: Some("cat".to_owned()),
            ..Filter::default()
        };
        let now = SystemTime::now();
        for (now, phase) in [
            (now, Phase::Waiting),
            (now + PATIENCE, Phase::Entries),
            (now + PATIENCE, Phase::Complete),
        ] {
            let progress = catalogue.backfill(now, Duration::ZERO).await.unwrap();
            assert_eq!(progress.phase, phase);
            let page = catalogue.list(&filter, 10, None).await.unwrap();
            let names: Vec<_> = page.items.iter().map(|item| item.name.as_str()).collect();
            assert_eq!(names, ["photo.jpg"], "{phase:?}");
        }
    }
}
