//! Function URLs: the URL of one function, without an API.

use serde_json::{Value, json};

use super::Kind;
use super::http_api::{CORS_MAX_AGE_SECONDS, Cors, SIGNATURE_HEADERS};
use crate::check::{Check, Subject};
use crate::cloudformation::{Resource, attribute, reference};
use crate::deployer::{Deployer, OfService, Statement};
use crate::function::Function;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::name;
use crate::origin::Origin;
use crate::resource_id::Noun;
use crate::synthesis::Synthesis;
use crate::trigger::{Invocation, Trigger};
use crate::trigger_word::{Sample, Skeleton, TriggerWord};

#[cfg(test)]
mod tests;

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: None,
    has_url: true,
    // What is granted on a URL is granted to its callers.
    is_at: |_, _, _, _| false,
    settings: super::no_settings,
    deployer: deployer_statements,
    triggers: &[TriggerWord {
        word: "url",
        takes: "CALLERS",
        example: "signed",
        about: "`signed` or `public` requests to a URL of its own",
        resource: |text, function| match text {
            SIGNED | PUBLIC => Ok(function.to_owned()),
            _ => Err(format!("the callers are `{SIGNED}` or `{PUBLIC}`")),
        },
        declare: Some(|app, name, text| {
            let variable = name::environment_variable(name, "URL");
            let public = if text == PUBLIC { ".public()" } else { "" };
            format!("{app}.function_url({name:?}).variable({variable:?}){public}")
        }),
        call: |url, _| format!(".trigger({url}.requests())"),
        sample,
        skeleton: &Skeleton {
            handles: "requests to a function URL",
            main: include_str!("function_url/skeleton/main.rs"),
            dependencies: &["aws_lambda_events", "serde_json"],
        },
        ..TriggerWord::DEFAULTS
    }],
};

/// Who may call a new URL, by what stands after the colon: who signs requests, or everybody.
const SIGNED: &str = "signed";
const PUBLIC: &str = "public";

/// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>
fn sample(about: &Sample<'_>) -> Value {
    const URL_ID: &str = "a1b2c3d4e5f6g7h8i9j0a1b2c3d4e5f6";
    let host = format!("{URL_ID}.lambda-url.{}.on.aws", about.names.region);
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "content-type": "application/json",
            "host": host,
            "user-agent": "curl/8.5.0",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": about.names.account,
            "apiId": URL_ID,
            "domainName": host,
            "domainPrefix": URL_ID,
            "http": {
                "method": "POST",
                "path": "/",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
            "routeKey": "$default",
            "stage": "$default",
            "time": "05/Jan/2026:09:30:00 +0000",
            "timeEpoch": 1_767_605_400_000_i64,
        },
        "body": "{}",
        "isBase64Encoded": false,
    })
}

static NOUN: Noun = Noun {
    noun: "function URL",
    logical_id: "FunctionUrl",
    identifier: "url",
    value: |id| attribute(&id.logical_id(), "FunctionUrl"),
};

/// The URL of a function. Who calls it signs the request with AWS credentials that may
/// `lambda:InvokeFunctionUrl` and `lambda:InvokeFunction`, unless it is [public](Self::public).
/// <https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html>
#[derive(Clone, Debug)]
pub struct FunctionUrl(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    is_public: bool,
    cors: Option<Cors>,
}

/// The requests to a URL.
struct Requests;

impl Manifest {
    /// Declares a URL, for one function.
    #[track_caller]
    pub fn function_url(&self, name: &str) -> FunctionUrl {
        FunctionUrl(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
            is_public: false,
            cors: None,
        }))
    }
}

impl FunctionUrl {
    /// The environment variable that tells the URL to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0.change(|url| url.named.variable = Some(name));
        self
    }

    /// Lets in everybody, without a signature. The function has to know its callers by other means,
    /// such as the signature of a webhook.
    pub fn public(self) -> Self {
        self.0.change(|url| url.is_public = true);
        self
    }

    /// The web pages that may use the URL: none of another origin unless told.
    pub fn cors(self, cors: Cors) -> Self {
        self.0.change(|url| url.cors = Some(cors));
        self
    }

    /// Requests to the URL, of every method and path, in the payload format 2.0 of HTTP APIs.
    #[must_use]
    pub fn requests(&self) -> Trigger {
        Trigger::new(self.0.get().named.id, Invocation::Synchronous, Requests).labelled("request")
    }
}

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn check(&self, check: &mut Check<'_>) {
        let subject = Subject::new(&self.named.id).at(self.named.origin);
        if let Some(cors) = &self.cors {
            cors.check(check, &subject);
        }
        let mut served = 0;
        for function in check.functions() {
            for (origin, Requests) in function.triggers_of::<Requests>(&self.named.id) {
                served += 1;
                let subject = Subject::of_function(function).at(origin);
                check.require(
                    served == 1,
                    &subject,
                    format!(
                        "handles requests to {}, which has a function",
                        self.named.id
                    ),
                    "declare another function URL",
                );
                let triggers = function
                    .triggers
                    .iter()
                    .map(|trigger| trigger.what.source());
                let first = triggers.into_iter().find(|source| source.is_of(&NOUN));
                check.require(
                    served > 1 || first == Some(&self.named.id),
                    &subject,
                    "has two function URLs, but Lambda takes one",
                    "remove one",
                );
            }
        }
        check.require(
            served > 0,
            &subject,
            "leads to no function",
            "add `.trigger(URL.requests())` to one, or remove the URL",
        );
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        for (function, triggers) in synthesis.invoked_by::<Requests>(&self.named.id) {
            let (origin, Requests) = triggers[0];
            self.synth_url(synthesis, function);
            if self.is_public {
                self.synth_permissions(synthesis, function, origin);
            }
        }
    }
}

impl Declaration {
    fn synth_url(&self, synthesis: &mut Synthesis<'_>, function: &Function) {
        let mut properties = json!({
            "AuthType": if self.is_public { "NONE" } else { "AWS_IAM" },
            "TargetFunctionArn": reference(&function.logical_id("Function")),
        });
        let mut depends_on = Vec::new();
        if synthesis.has_canary() {
            // It is named, not referred to.
            properties["Qualifier"] = json!(name::ALIAS);
            depends_on.push(function.logical_id("Alias"));
        }
        if let Some(cors) = &self.cors {
            properties["Cors"] = self.cors_configuration(cors);
        }
        let url = Resource::new("AWS::Lambda::Url", properties).depends_on(depends_on);
        synthesis.add(self.named.id.logical_id(), self.named.origin, url);
    }

    /// Everybody needs both permissions since October 2025. The second one is for calls by the URL
    /// only.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html>
    fn synth_permissions(
        &self,
        synthesis: &mut Synthesis<'_>,
        function: &Function,
        origin: Origin,
    ) {
        let logical_id = self.named.id.logical_id();
        for (part, permission) in [
            (
                "UrlPermission",
                json!({"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"}),
            ),
            (
                "Permission",
                json!({"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": true}),
            ),
        ] {
            let id = format!("{logical_id}{part}");
            synthesis.permission(id, origin, function, "*", permission);
        }
    }

    fn cors_configuration(&self, cors: &Cors) -> Value {
        let mut headers = vec!["content-type"];
        if !self.is_public {
            headers.extend(SIGNATURE_HEADERS);
        }
        let mut configuration = json!({
            "AllowOrigins": cors.origins,
            "AllowMethods": ["*"],
            "AllowHeaders": headers,
            "MaxAge": CORS_MAX_AGE_SECONDS,
        });
        if !cors.exposed_headers.is_empty() {
            configuration["ExposeHeaders"] = json!(cors.exposed_headers);
        }
        configuration
    }
}

const URL: OfService = &[(
    "AWS::Lambda::Url",
    &[
        "CreateFunctionUrlConfig",
        "DeleteFunctionUrlConfig",
        "GetFunctionUrlConfig",
        "UpdateFunctionUrlConfig",
    ],
)];

fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let functions = deployer.arn("lambda", &format!("function:{}-*", deployer.stack()));
    let deploy = deployer.needed("DeployFunctionUrls", "lambda", URL, &json!(functions));
    deploy.into_iter().collect()
}
