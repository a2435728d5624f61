//! The words by which a new function is wired to events: `topic:orders`, `GET:/orders`.
//!
//! Each kind says in its own module which words it has, how the resource is declared if the app does
//! not declare it, what an event looks like, and what a function that handles it begins as.

use serde_json::Value;

use crate::name;
use crate::resource_id::ResourceId;
use crate::stage::Stage;

/// A word that `cargo xtask new function --on` and `cargo xtask generate-event` take.
pub(crate) struct TriggerWord {
    /// What stands before the colon, such as `topic`.
    pub(crate) word: &'static str,
    /// What stands after the colon, such as `TOPIC`; empty if the word stands alone.
    pub(crate) takes: &'static str,
    /// Something that may stand after the colon, such as `orders`.
    pub(crate) example: &'static str,
    /// What invokes the function, in half a line.
    pub(crate) about: &'static str,
    /// The name of the resource that the events come from, by what stands after the colon and the
    /// function's name. An empty name is that of the only resource of the kind. The error says
    /// what the text should look like.
    pub(crate) resource: fn(text: &str, function: &str) -> Result<String, String>,
    /// The expression that declares a resource of this name for what stands after the colon, with
    /// `app` as the manifest. `None` if the app must declare the resource already.
    pub(crate) declare: Option<fn(app: &str, name: &str, text: &str) -> String>,
    /// The call on the function, by the variable of the resource and what stands after the colon;
    /// such as `.trigger(orders.published())`.
    pub(crate) call: fn(variable: &str, text: &str) -> String,
    /// What the call needs of `manifest::kinds`, such as `ItemChange::*`.
    pub(crate) imports: &'static [&'static str],
    /// The names by which the skeleton tells events apart, such as `GET /orders`; none if it does
    /// not. They take the places of `"EVENTS"` and `"EVENT"` in the skeleton.
    pub(crate) events: fn(text: &str) -> Vec<String>,
    /// An event as AWS sends it.
    pub(crate) sample: fn(&Sample<'_>) -> Value,
    pub(crate) skeleton: &'static Skeleton,
}

impl TriggerWord {
    /// What most words have in common. The rest is for each word to say.
    pub(crate) const DEFAULTS: Self = Self {
        word: "",
        takes: "",
        example: "",
        about: "",
        resource: named_resource,
        declare: None,
        call: |_, _| String::new(),
        imports: &[],
        events: |_| Vec::new(),
        sample: |_| Value::Null,
        skeleton: &Skeleton {
            handles: "",
            main: "",
            dependencies: &[],
        },
    };
}

/// The source of a function that handles events, to begin with. It is Rust that compiles; names in
/// it stand for others:
///
/// | in the source          | stands for                                                        |
/// |------------------------|-------------------------------------------------------------------|
/// | `new-function`         | the function's name, also as `new_function` and `NewFunction`     |
/// | `"RESOURCE_VARIABLE"`  | the variable that tells the resource's name to functions          |
/// | `"EVENTS"`             | the names of the events, separated by commas                      |
/// | `"EVENT"`              | the names of the events, as a pattern of alternatives             |
pub(crate) struct Skeleton {
    /// What the function is handed, such as `messages of a topic`.
    pub(crate) handles: &'static str,
    /// `src/main.rs`: the handler, and a test that hands it `assets/events/new-function.json`.
    pub(crate) main: &'static str,
    /// Dependencies of the workspace beside those that every function has: `lambda_runtime`,
    /// `runtime`, and for tests `serde_json` and `tokio`.
    pub(crate) dependencies: &'static [&'static str],
}

/// What a sample event is about.
pub(crate) struct Sample<'a> {
    /// What stands after the colon.
    pub(crate) text: &'a str,
    /// Where the event comes from; `None` if that is not a resource of the app.
    pub(crate) id: Option<&'a ResourceId>,
    /// The key of something in the resource, as the resource has it; null if it says none.
    pub(crate) key: Value,
    pub(crate) names: &'a SampleNames,
}

impl Sample<'_> {
    /// The resource's name in the manifest.
    pub(crate) fn name(&self) -> &str {
        self.id.map_or("", ResourceId::name)
    }

    /// The resource's name in AWS, if CloudFormation makes it up.
    pub(crate) fn made_up_name(&self) -> String {
        let logical_id = self.id.map(ResourceId::logical_id).unwrap_or_default();
        format!("{}-{logical_id}-EXAMPLE12345", self.names.stack)
    }

    /// The resource's name in AWS, if it is a bucket.
    pub(crate) fn bucket_name(&self) -> String {
        match &self.names.bucket {
            Some(bucket) => bucket.clone(),
            None => name::bucket(self.name())
                .replace("${AWS::StackName}", &self.names.stack)
                .replace("${AWS::AccountId}", &self.names.account)
                .replace("${AWS::Region}", &self.names.region),
        }
    }

    /// An ARN in the stage's account and region, such as `arn:aws:sns:…:orders`.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        let SampleNames {
            account, region, ..
        } = self.names;
        let partition = name::partition(region);
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

/// The names that sample events hold. What only a deployment tells is made up.
#[derive(Clone, Debug)]
pub(crate) struct SampleNames {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) stack: String,
    /// The name of every bucket, if it does not derive from the others.
    bucket: Option<String>,
}

/// The account of AWS's documents.
const ACCOUNT: &str = "123456789012";
/// The region of AWS's documents.
const REGION: &str = "us-east-1";
/// The bucket of AWS's documents.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
const BUCKET: &str = "amzn-s3-demo-bucket";

impl SampleNames {
    /// The names of a stage. Account and region are those of AWS's documents, unless the stage has
    /// its own.
    pub(crate) fn of_stage(app: &str, stage: &Stage) -> Self {
        let or = |own: &Option<String>, documented: &str| {
            own.clone().unwrap_or_else(|| documented.to_owned())
        };
        Self {
            account: or(&stage.account, ACCOUNT),
            region: or(&stage.region, REGION),
            stack: name::stack(app, &stage.name),
            bucket: None,
        }
    }

    /// The names of AWS's documents, for events that are committed.
    pub(crate) fn documented(app: &str) -> Self {
        Self {
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            stack: name::stack(app, "dev"),
            bucket: Some(BUCKET.to_owned()),
        }
    }
}

/// What stands after the colon is the name of the resource.
fn named_resource(text: &str, _function: &str) -> Result<String, String> {
    if name::is_kebab_case(text) {
        Ok(text.to_owned())
    } else {
        Err("write its name in the manifest".to_owned())
    }
}
