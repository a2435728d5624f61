//! How the stage's own servers call AWS's services, which the emulator is.

use std::error::Error;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_lambda::config::{BehaviorVersion, SharedHttpClient};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::region::Region;

use crate::Keys;

/// The configuration of a client that calls the emulator as the account's root user. Nothing is
/// from the environment: the user's own AWS settings do not concern the local stage.
pub(crate) fn config(
    endpoint: &str,
    keys: &Keys,
    region: &str,
    http: SharedHttpClient,
) -> SdkConfig {
    let credentials = Credentials::new(
        &keys.access_key_id,
        &keys.secret_access_key,
        None,
        None,
        "local stage",
    );
    let app_name = AppName::new("local-stage").ok();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(endpoint)
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http);
    // By which the emulator knows that it is the stage that calls: see `observed.py`.
    config.set_app_name(app_name);
    config.build()
}

/// What a service says, or what kept it from answering, in one line.
pub(crate) fn text_of(error: &(impl ProvideErrorMetadata + Error)) -> String {
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or_default());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
