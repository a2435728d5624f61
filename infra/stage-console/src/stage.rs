//! The stage as pages see it: its app, its clients, and what its resources are called.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_types::app_name::AppName;
use deploy::{Outputs, Target};

use crate::access::Secrets;
use crate::host::Host;
use crate::model::{AppModel, FunctionModel, NodeModel};
use crate::notices::Notices;
use crate::problem::{Problem, Result};

/// What every page works with.
pub(crate) struct Stage {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) target: Target,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) secrets: Secrets,
    pub(crate) notices: Notices,
    /// For uploads on their way.
    pub(crate) scratch: PathBuf,
}

/// What the stack's resources are called in AWS: physical by logical IDs.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Stage {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        target: Target,
        secrets: Secrets,
        scratch: PathBuf,
    ) -> Self {
        // `xtask` and the stage make calls that are nobody's events. Those of the console are a person's.
        let mut config = target.sdk_config().to_builder();
        config.set_app_name(AppName::new("stage-console").ok());
        let config = &config.build();
        let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(true);
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            lambda: aws_sdk_lambda::Client::new(config),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sns: aws_sdk_sns::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            host,
            secrets,
            scratch,
            notices: Notices::default(),
            target,
        }
    }

    pub(crate) fn app(&self) -> Arc<AppModel> {
        self.host.app()
    }

    pub(crate) async fn names(&self) -> Result<Names> {
        let names = deploy::resource_names(&self.target, &self.app().stack).await?;
        Ok(Names(names))
    }

    pub(crate) async fn outputs(&self) -> Result<Outputs> {
        let outputs = deploy::outputs(&self.target, &self.app().stack).await?;
        Ok(outputs.unwrap_or_default())
    }

    /// A resource of the app, and what AWS calls it.
    pub(crate) async fn resource(&self, noun: &str, name: &str) -> Result<(NodeModel, String)> {
        let app = self.app();
        let node = app
            .node(noun, name)
            .ok_or_else(|| Problem::missing(format!("the app declares no {noun} `{name}`")))?;
        let names = self.names().await?;
        let physical = names.of(&node.id).ok_or_else(|| {
            Problem::missing(format!("{noun} `{name}` is not deployed"))
                .hint("save a change of the manifest, or run cargo xtask deploy --stage local")
        })?;
        Ok((node.clone(), physical.to_owned()))
    }

    /// A function of the app.
    pub(crate) fn function(&self, name: &str) -> Result<FunctionModel> {
        let app = self.app();
        let function = app.function(name);
        function
            .cloned()
            .ok_or_else(|| Problem::missing(format!("the app declares no function `{name}`")))
    }
}

impl Names {
    /// Of a resource by its logical ID.
    pub(crate) fn of(&self, logical_id: &str) -> Option<&str> {
        self.0.get(logical_id).map(String::as_str)
    }

    /// The resource of the app that has this ARN, or something in it.
    pub(crate) fn node_at<'a>(&self, app: &'a AppModel, arn: &str) -> Option<&'a NodeModel> {
        let resource = arn.splitn(6, ':').nth(5)?;
        let mut parts = resource.split(['/', ':']);
        let known = |part: &str| {
            app.nodes.iter().find(|node| {
                let physical = self.of(&node.id).unwrap_or_default();
                let name = physical.rsplit(['/', ':']).next().unwrap_or_default();
                !part.is_empty() && name == part
            })
        };
        parts.find_map(known)
    }

    /// A text with the app's names in the place of AWS's: `orders` for `shop-local-OrdersTable-1A2B`.
    pub(crate) fn friendly(&self, app: &AppModel, text: &str) -> String {
        let mut text = text.to_owned();
        let mut names: Vec<(&str, &str)> = app
            .nodes
            .iter()
            .filter_map(|node| {
                let physical = self.of(&node.id)?;
                let last = physical.rsplit(['/', ':']).next()?;
                Some((last, node.name.as_str()))
            })
            .chain(
                app.functions
                    .iter()
                    .map(|function| (function.physical_name.as_str(), function.name.as_str())),
            )
            .filter(|(physical, _)| physical.len() > 3)
            .collect();
        // A name may be the beginning of another.
        names.sort_by_key(|(physical, _)| std::cmp::Reverse(physical.len()));
        for (physical, name) in names {
            text = text.replace(physical, name);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::shop;

    #[test]
    fn a_resource_is_known_by_its_arn() {
        let app = shop();
        let names = Names(BTreeMap::from(
            [
                ("OrdersTable", "shop-local-OrdersTable-1"),
                ("PhotosBucket", "shop-photos"),
                (
                    "OrdersTopic",
                    "arn:aws:sns:us-east-1:000000000000:shop-OrdersTopic-2",
                ),
                (
                    "ParcelsQueue",
                    "http://127.0.0.1:4566/000000000000/shop-ParcelsQueue-3",
                ),
                ("SellFunction", "shop-local-sell"),
            ]
            .map(|(logical, physical)| (logical.to_owned(), physical.to_owned())),
        ));
        for (arn, expected) in [
            (
                "arn:aws:dynamodb:us-east-1:0:table/shop-local-OrdersTable-1/stream/2026",
                Some("orders"),
            ),
            ("arn:aws:s3:::shop-photos/*", Some("photos")),
            (
                "arn:aws:sns:us-east-1:000000000000:shop-OrdersTopic-2",
                Some("orders"),
            ),
            (
                "arn:aws:sqs:us-east-1:000000000000:shop-ParcelsQueue-3",
                Some("parcels"),
            ),
            (
                "arn:aws:lambda:us-east-1:0:function:shop-local-sell",
                Some("sell"),
            ),
            ("arn:aws:s3:::others", None),
            ("*", None),
            ("", None),
        ] {
            let node = names.node_at(&app, arn);
            assert_eq!(node.map(|node| node.name.as_str()), expected, "{arn}");
        }
    }
}
