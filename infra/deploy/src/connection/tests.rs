use super::*;
use crate::testing::{Aws, query};

/// A connection to an AWS that knows this caller.
fn connection(account: &str, allowed: Option<&str>) -> Connection {
    let caller = format!(
        "<Arn>arn:aws:iam::123456789012:user/ann</Arn><UserId>AIDA</UserId><Account>{account}</Account>"
    );
    let aws = Aws::new().on("GetCallerIdentity", [query("GetCallerIdentity", &caller)]);
    let tell: Tell = Arc::new(|_: &str| {});
    let settings = Settings {
        account: allowed.map(str::to_owned),
        ..Settings::default()
    };
    let credentials = ("id".to_owned(), "secret".to_owned());
    let connection =
        Connection::to_fixed_place(&settings, &credentials, Limits::USUAL, tell).unwrap();
    Connection {
        config: aws.config(),
        ..connection
    }
}

#[tokio::test]
async fn only_the_stages_own_account_is_deployed_to() {
    let account = "123456789012";
    let target = connection(account, Some(account)).connect().await.unwrap();
    assert_eq!(target.caller_arn, "arn:aws:iam::123456789012:user/ann");
    assert_eq!(target.account, account);
    let refused = connection(account, Some("210987654321")).connect().await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert!(
        error.what().contains("belong to account 123456789012"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_without_an_account_is_not_of_aws() {
    let error = connection("", None).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAws);
}

#[tokio::test]
async fn a_fixed_place_has_no_settings_of_the_users() {
    let hostile = [
        ("AWS_CONFIG_FILE", "/"),
        ("AWS_PROFILE", "nosuch"),
        ("AWS_REGION", "Stockholm"),
        ("AWS_ENDPOINT_URL", "nonsense"),
        ("AWS_ENDPOINT_URL_S3", "http://elsewhere"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_CA_BUNDLE", "/nowhere"),
        ("HTTP_PROXY", "socks5://x"),
    ];
    let hostile = hostile.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some("http://127.0.0.1:4566".to_owned()),
        static_credentials: Some(("id".to_owned(), "secret".to_owned())),
        ..Settings::default()
    };
    let found = Connection::find_in(
        hostile.into_iter().collect(),
        &settings,
        Limits::USUAL,
        Arc::new(|_: &str| {}),
    );
    let config = found.await.unwrap().config;
    assert_eq!(config.endpoint_url(), settings.endpoint_url.as_deref());
    assert!(config.service_config().is_none());
    assert_eq!(config.use_fips(), None);
    assert_eq!(config.region().unwrap().as_ref(), "us-east-1");
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_told_with_its_source() {
    let unreachable = || Error::new("could not ask").hint(CHECK_NETWORK);
    let from = |url: &str, source: &str| Connection {
        detours: vec![Endpoint {
            url: url.to_owned(),
            services: Vec::new(),
            source: source.to_owned(),
        }],
        ..connection("123456789012", None)
    };
    for (url, source) in [
        ("http://127.0.0.1:4566", "AWS_ENDPOINT_URL"),
        ("FIPS endpoints", "AWS_USE_FIPS_ENDPOINT"),
    ] {
        let error = from(url, source).blame(unreachable());
        assert!(error.next_step().unwrap().contains(source), "{error:?}");
    }
    let plain = connection("123456789012", None).blame(unreachable());
    assert_eq!(plain.next_step(), Some(CHECK_NETWORK));
}
