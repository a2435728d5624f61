//! The way to a stage's account: what the settings and the user's AWS configuration make of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::origin::Origin;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::error::{CHECK_NETWORK, Error, ErrorKind, Result};
use crate::network::certificates::Authorities;
use crate::network::configuration::{Configuration, Endpoint};
use crate::network::environment::{Environment, Setting};
use crate::network::http_client::{Client, Limits, Tell};
use crate::network::proxy::Proxies;
use crate::settings::{ATTEMPTS_MAX, BACKOFF_MAX, Settings};
use crate::target::Target;

/// How long a provider of credentials may take. A credential process may ask the user for a code
/// or a fingerprint.
const CREDENTIALS_PATIENCE: Duration = Duration::from_secs(60);

/// The way to a stage's account, before anything has been asked there.
#[derive(Debug)]
pub struct Connection {
    config: SdkConfig,
    client: Client,
    limits: Limits,
    tell: Told,
    /// The user's AWS configuration, if it is used.
    configuration: Option<Configuration>,
    detours: Vec<Endpoint>,
    /// The only account that may be on the other side.
    account: Option<String>,
}

/// A [`Tell`] in a struct that can be shown.
struct Told(Tell);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

impl Connection {
    /// Finds the region, the endpoints and where credentials come from. When a request
    /// takes seconds, `tell` gets what it waits for: `for https://… to answer`.
    ///
    /// # Errors
    /// When the AWS configuration says what cannot be used, or there is no region.
    pub async fn find(
        settings: &Settings,
        tell: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self> {
        let environment = Environment::of_process();
        Self::find_in(environment, settings, Limits::USUAL, Arc::new(tell)).await
    }

    pub(crate) async fn find_in(
        environment: Environment,
        settings: &Settings,
        limits: Limits,
        tell: Tell,
    ) -> Result<Self> {
        match &settings.static_credentials {
            Some(credentials) => Self::to_fixed_place(settings, credentials, limits, tell),
            None => Self::configured(environment, settings, limits, tell).await,
        }
    }

    /// The way to an endpoint with credentials of its own, such as the local stage. Nothing of
    /// the caller's environment has an influence on it.
    fn to_fixed_place(
        settings: &Settings,
        (access_key_id, secret_access_key): &(String, String),
        limits: Limits,
        tell: Tell,
    ) -> Result<Self> {
        let client = Client::new(
            Proxies::default(),
            Authorities::default(),
            limits,
            Arc::clone(&tell),
        )?;
        let credentials = Credentials::new(access_key_id, secret_access_key, None, None, "stage");
        let mut config = SdkConfig::builder()
            .behavior_version(behavior())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .identity_cache(IdentityCache::lazy().build())
            .region(settings.region.clone().map(Region::new))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS_MAX)
                    .with_max_backoff(BACKOFF_MAX),
            )
            .timeout_config(timeouts(limits))
            .http_client(client.clone());
        // By which the stage tells what a deployment does from what comes in.
        config.set_app_name(AppName::new("cargo-xtask").ok());
        config.set_endpoint_url(settings.endpoint_url.clone());
        let endpoint = settings.endpoint_url.clone().map(|url| Endpoint {
            url,
            services: Vec::new(),
            source: "the stage".to_owned(),
        });
        Ok(Self {
            config: config.build(),
            client,
            limits,
            tell: Told(tell),
            configuration: None,
            detours: endpoint.into_iter().collect(),
            account: settings.account.clone(),
        })
    }

    async fn configured(
        environment: Environment,
        settings: &Settings,
        limits: Limits,
        tell: Tell,
    ) -> Result<Self> {
        let configuration = Configuration::read(environment, settings).await?;
        let region = configuration.region()?;
        let endpoints = configuration.endpoints()?;
        let detours = configuration.detours(&endpoints)?;
        let bundle = configuration.ca_bundle();
        let authorities = Authorities::with(bundle.as_ref())?;
        let client = Client::new(
            configuration.proxies()?,
            authorities,
            limits,
            Arc::clone(&tell),
        )?;
        let region = match region {
            Some(region) => Region::new(region),
            None => region_of_instance(&client).await.ok_or_else(|| {
                Error::new("no AWS region is set")
                    .of_kind(ErrorKind::Configuration)
                    .hint("set `region` for the stage in infra/stages.yaml, or AWS_REGION, or a region in the AWS profile")
            })?,
        };
        let config = aws_config::defaults(behavior())
            .http_client(client.clone())
            .region(region)
            .profile_name(configuration.profile())
            .retry_config(configuration.retries()?)
            .timeout_config(timeouts(limits))
            .identity_cache(
                IdentityCache::lazy()
                    .load_timeout(CREDENTIALS_PATIENCE)
                    .build(),
            )
            .load()
            .await;
        // The endpoints are those that have been checked and will be shown.
        let mut config = config.into_builder().service_config(Endpoints(endpoints));
        config.set_endpoint_url(None);
        config.insert_origin("endpoint_url", Origin::unknown());
        Ok(Self {
            config: config.build(),
            client,
            limits,
            tell: Told(tell),
            configuration: Some(configuration),
            detours,
            account: settings.account.clone(),
        })
    }

    /// What is used instead of AWS's usual endpoints.
    pub fn detours(&self) -> &[Endpoint] {
        &self.detours
    }

    /// Asks STS who the caller is, and whether that is who it must be.
    ///
    /// # Errors
    /// When there are no credentials, they are refused, the endpoint cannot be reached, or the
    /// account is not the one that the stage allows.
    pub async fn connect(self) -> Result<Target> {
        let identity = self.identity().await?;
        let account = identity.account().unwrap_or_default().to_owned();
        if account.is_empty() {
            return Err(Error::new("could not determine the AWS account")
                .because("the answer names no account")
                .of_kind(ErrorKind::NotAws)
                .hint("check AWS_ENDPOINT_URL: something other than AWS answers there"));
        }
        if let Some(allowed) = &self.account
            && *allowed != account
        {
            return Err(Error::new(format!("the credentials belong to account {account}, but this stage is for account {allowed}"))
                .of_kind(ErrorKind::AccessDenied)
                .hint("use the right AWS_PROFILE, or change `account` in infra/stages.yaml"));
        }
        let region = self.config.region().map(ToString::to_string);
        Ok(Target {
            caller_arn: identity.arn().unwrap_or_default().to_owned(),
            region: region.unwrap_or_default(),
            account,
            ..Target::from_config(&self.config, self.client, self.detours)
        })
    }

    async fn identity(
        &self,
    ) -> Result<aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityOutput> {
        let sts = aws_sdk_sts::Client::new(&self.config);
        let asked = sts.get_caller_identity().send();
        let answer = tokio::select! {
            answer = asked => answer,
            never = self.tell_of_credentials() => match never {},
        };
        answer.map_err(|error| {
            let error = self.blame(Error::aws("determine the AWS account", &error));
            match &self.configuration {
                Some(configuration) => configuration.explain(error),
                None => error,
            }
        })
    }

    /// Says what led to an endpoint that cannot be reached.
    fn blame(&self, error: Error) -> Error {
        match self.detours.first() {
            Some(detour) if error.next_step() == Some(CHECK_NETWORK) => {
                let source = &detour.source;
                error.hint(if detour.is_url() {
                    format!("check the network, and {source}, which names this endpoint")
                } else {
                    format!("check the network, and {source}: not every service has such an endpoint in every region")
                })
            }
            _ => error,
        }
    }

    /// Tells the user when the provider of credentials takes long.
    async fn tell_of_credentials(&self) -> std::convert::Infallible {
        tokio::time::sleep(self.limits.tell).await;
        if let Some(configuration) = &self.configuration
            && !self.client.is_used()
        {
            (self.tell.0)(&format!(
                "for the credentials of {}",
                configuration.credentials_source()
            ));
        }
        std::future::pending().await
    }
}

/// Finds the region and credentials, and asks STS who the caller is.
///
/// # Errors
/// As those of [`Connection::find`] and [`Connection::connect`].
pub async fn connect(settings: &Settings) -> Result<Target> {
    Connection::find(settings, |_| {}).await?.connect().await
}

fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

fn timeouts(limits: Limits) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(limits.connect)
        .read_timeout(limits.silence)
        .build()
}

/// The region of the instance that this runs on, if it does.
async fn region_of_instance(client: &Client) -> Option<Region> {
    let config = ProviderConfig::without_region().with_http_client(client.clone());
    let provider = ImdsRegionProvider::builder().configure(&config).build();
    ProvideRegion::region(&provider).await
}

/// Endpoints, as the SDK looks for them.
#[derive(Debug)]
struct Endpoints(BTreeMap<&'static str, Setting>);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let wanted = key.profile() == "endpoint_url";
        let endpoint = self.0.get(key.service_id()).filter(|_| wanted)?;
        Some(endpoint.value.clone())
    }
}

#[cfg(test)]
mod tests;
