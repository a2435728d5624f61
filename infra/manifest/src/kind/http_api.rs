//! API Gateway HTTP APIs, and the functions that serve their routes.

use serde_json::json;

use super::Kind;
use crate::check::Check;
use crate::cloudformation::sub;
use crate::deployer::{Deployer, OfService, Statement};
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::name;
use crate::resource_id::{Noun, ResourceId};
use crate::synthesis::Synthesis;
use crate::trigger::{Invocation, Trigger};
use crate::trigger_word::{Skeleton, TriggerWord};

mod path;
mod rules;
mod sample;
mod settings;
mod template;

#[cfg(test)]
mod tests;

pub(super) use template::{CORS_MAX_AGE_SECONDS, SIGNATURE_HEADERS};

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: None,
    has_url: true,
    // What is granted on an API is granted to its callers.
    is_at: |_, _, _, _| false,
    settings: settings::check,
    deployer: deployer_statements,
    triggers: &[
        TriggerWord {
            word: "GET",
            about: "GET requests for a path of an HTTP API",
            call: |api, text| format!(".trigger({api}.get({:?}))", path_of(text)),
            events: |text| vec![format!("GET {}", path_of(text))],
            sample: |about| sample::request(about, "GET"),
            ..REQUESTS
        },
        TriggerWord {
            word: "POST",
            about: "POST requests for a path of an HTTP API",
            call: |api, text| format!(".trigger({api}.post({:?}))", path_of(text)),
            events: |text| vec![format!("POST {}", path_of(text))],
            sample: |about| sample::request(about, "POST"),
            ..REQUESTS
        },
    ],
};

/// What the words of the kind have in common.
const REQUESTS: TriggerWord = TriggerWord {
    takes: "PATH",
    example: "/orders/{id}",
    resource: api_of,
    declare: Some(|app, name, _| {
        let variable = name::environment_variable(name, "URL");
        format!("{app}.http_api({name:?}).variable({variable:?})")
    }),
    skeleton: &Skeleton {
        handles: "requests of an HTTP API",
        main: include_str!("http_api/skeleton/main.rs"),
        dependencies: &["aws_lambda_events", "serde_json"],
    },
    ..TriggerWord::DEFAULTS
};

/// The API of `/path` or `api/path`, and the path.
fn api_and_path(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

fn path_of(text: &str) -> &str {
    api_and_path(text).1
}

fn api_of(text: &str, _function: &str) -> Result<String, String> {
    let (api, path) = api_and_path(text);
    if (api.is_empty() || name::is_kebab_case(api)) && path::is_valid(path) {
        Ok(api.to_owned())
    } else {
        Err("write a path like `/`, `/orders/{id}` or `/{name+}`, after the API's name if the app has several, like `shop/orders`".to_owned())
    }
}

pub(super) static NOUN: Noun = Noun {
    noun: "HTTP API",
    logical_id: "HttpApi",
    identifier: "api",
    value: |id| sub(&format!("${{{}.ApiEndpoint}}/", id.logical_id())),
};

/// An API Gateway HTTP API on its `$default` stage, so that paths carry no prefix.
#[derive(Clone, Debug)]
pub struct HttpApi(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    cors: Option<Cors>,
    document: Option<fn() -> String>,
}

impl Manifest {
    /// Declares an HTTP API.
    #[track_caller]
    pub fn http_api(&self, name: &str) -> HttpApi {
        HttpApi(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
            cors: None,
            document: None,
        }))
    }
}

impl HttpApi {
    /// The environment variable that tells the API's URL to the shell of `cargo
    /// xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0
            .change(|http_api| http_api.named.variable = Some(name));
        self
    }

    /// The web pages that may use the API: none of another origin unless told.
    pub fn cors(self, cors: Cors) -> Self {
        self.0.change(|http_api| http_api.cors = Some(cors));
        self
    }

    /// What describes the API: an OpenAPI document in JSON, for `cargo xtask openapi`.
    pub fn openapi(self, document: fn() -> String) -> Self {
        self.0.change(|http_api| http_api.document = Some(document));
        self
    }

    /// `GET` requests for `path`; `/{name+}` takes the rest of a path, slashes
    /// included.
    #[must_use]
    pub fn get(&self, path: &str) -> Requests {
        self.route("GET", path)
    }

    /// `POST` requests for `path`.
    #[must_use]
    pub fn post(&self, path: &str) -> Requests {
        self.route("POST", path)
    }

    /// `DELETE` requests for `path`.
    #[must_use]
    pub fn delete(&self, path: &str) -> Requests {
        self.route("DELETE", path)
    }

    fn route(&self, method: &'static str, path: &str) -> Requests {
        Requests {
            http_api: self.id(),
            route: Route {
                method,
                path: path.to_owned(),
            },
            is_for_writers: false,
        }
    }

    pub(crate) fn id(&self) -> ResourceId {
        self.0.get().named.id
    }
}

/// Requests for a route of an HTTP API: a trigger.
#[derive(Clone, Debug)]
pub struct Requests {
    http_api: ResourceId,
    route: Route,
    is_for_writers: bool,
}

impl Requests {
    /// The route changes something that not everybody may change. It is there only on stages whose
    /// setting `writable` names the API, or that have an authorizer for it. The function's variable
    /// `WRITE_ROUTES` names the routes of this kind that are there, such as `POST /orders`.
    #[must_use]
    pub fn for_writers(mut self) -> Self {
        self.is_for_writers = true;
        self
    }
}

impl From<Requests> for Trigger {
    fn from(requests: Requests) -> Self {
        let Requests {
            http_api,
            route,
            is_for_writers,
        } = requests;
        let key = route.key();
        let trigger = Self::new(http_api, Invocation::Synchronous, route).labelled(key);
        if is_for_writers {
            trigger.for_writers()
        } else {
            trigger
        }
    }
}

/// What web pages of other origins may do with an HTTP API: call its routes by their
/// methods, with a body of any content type. API Gateway answers preflight requests itself
/// and replaces headers of this kind that a function sends.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    pub(super) origins: Vec<String>,
    pub(super) exposed_headers: Vec<String>,
}

impl Cors {
    /// Lets in pages of these origins, each like `https://example.com`, or `*` for all.
    #[must_use]
    pub fn origins<const N: usize>(origins: [&str; N]) -> Self {
        Self {
            origins: origins.map(str::to_owned).to_vec(),
            exposed_headers: Vec::new(),
        }
    }

    /// The headers of an answer that pages may read, besides those that every page may.
    #[must_use]
    pub fn expose_headers<const N: usize>(mut self, headers: [&str; N]) -> Self {
        self.exposed_headers = headers.map(str::to_owned).to_vec();
        self
    }
}

/// A route of an HTTP API.
#[derive(Clone, Debug)]
struct Route {
    method: &'static str,
    path: String,
}

impl Route {
    /// API Gateway's name of the route, such as `GET /`.
    fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

in_template!(HttpApi);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn document(&self) -> Option<String> {
        self.document.map(|document| document())
    }

    fn check(&self, check: &mut Check<'_>) {
        self.check_routes(check);
        self.check_cors(check);
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        self.synth_api(synthesis);
        self.synth_routes(synthesis);
    }
}

/// API Gateway's actions are the methods of its own HTTP API.
const API_GATEWAY: OfService = &[
    (
        "AWS::ApiGatewayV2::Api",
        &["DELETE", "GET", "PATCH", "POST", "PUT"],
    ),
    (
        "AWS::ApiGatewayV2::Stage",
        &["TagResource", "UntagResource"],
    ),
];

/// What API Gateway does with the permissions of its caller to have access logs delivered.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html>
const ACCESS_LOGS: &[&str] = &[
    "CreateLogDelivery",
    "DeleteLogDelivery",
    "GetLogDelivery",
    "ListLogDeliveries",
    "PutResourcePolicy",
    "UpdateLogDelivery",
];

/// API Gateway makes up the identifiers of APIs.
fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let apis = ["/apis", "/apis/*", "/tags/*"].map(|path| {
        let (partition, region) = (deployer.partition(), deployer.region());
        format!("arn:{partition}:apigateway:{region}::{path}")
    });
    let deploy = deployer.needed("DeployHttpApis", "apigateway", API_GATEWAY, &json!(apis));
    let Some(deploy) = deploy else {
        return Vec::new();
    };
    vec![
        deploy,
        Statement::allow("DeliverAccessLogs", "logs", ACCESS_LOGS, &json!("*")),
        service_linked_role(deployer),
    ]
}

/// API Gateway makes its role for the first API of an account, if its caller may.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html>
fn service_linked_role(deployer: &Deployer<'_>) -> Statement {
    const SERVICE: &str = "ops.apigateway.amazonaws.com";
    let role = format!("role/aws-service-role/{SERVICE}/AWSServiceRoleForAPIGateway");
    Statement::allow(
        "CreateServiceLinkedRoles",
        "iam",
        &["CreateServiceLinkedRole"],
        &json!(deployer.global_arn("iam", &role)),
    )
    .when(json!({"StringEquals": {"iam:AWSServiceName": SERVICE}}))
}
