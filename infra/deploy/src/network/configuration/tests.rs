use super::*;

/// A folder for the two files, and variables that name them.
struct Home {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Home {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        std::fs::write(folder.path().join(".aws/config"), config).unwrap();
        let variables = vec![("HOME".to_owned(), folder.path().display().to_string())];
        Self { folder, variables }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    async fn read(&self) -> Result<Configuration> {
        self.read_for(&Settings::default()).await
    }

    async fn read_for(&self, settings: &Settings) -> Result<Configuration> {
        let environment = self.variables.iter().cloned().collect();
        Configuration::read(environment, settings).await
    }
}

const WORK: &str = "[default]\nregion = eu-north-1\n\n[profile work]\nregion = eu-west-1\n";

#[tokio::test]
async fn a_profile_that_is_not_there_is_named_with_its_files() {
    for variable in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
        let home = Home::new(WORK).with(variable, "nosuch");
        let error = home.read().await.unwrap_err();
        let told = error.to_string();
        assert!(
            told.contains("profile `nosuch`") && told.contains(variable),
            "{told}"
        );
        assert!(
            told.contains(".aws/config") && told.contains(".aws/credentials"),
            "{told}"
        );
        assert_eq!(error.next_step(), Some("the profiles are: default, work"));
    }
}

#[tokio::test]
async fn a_file_that_does_not_exist_is_named_when_it_is_needed() {
    let home = Home::new(WORK).with("AWS_CONFIG_FILE", "/nowhere/gone.ini");
    assert_eq!(home.read().await.unwrap().region().unwrap(), None);
    let error = home.with("AWS_PROFILE", "work").read().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/nowhere/gone.ini (from AWS_CONFIG_FILE: it does not exist)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_with_its_line() {
    for (text, why) in [
        ("[default]\nregion = x\n[profile work\n", "line 3"),
        ("region = x\n", "line 1"),
    ] {
        let error = Home::new(text).read().await.unwrap_err();
        assert!(error.what().contains(".aws/config"), "{error}");
        assert!(error.why().unwrap().contains(why), "{error}");
    }
    let home = Home::new(WORK);
    let folder = home.folder.path().display().to_string();
    let error = home
        .with("AWS_CONFIG_FILE", &folder)
        .read()
        .await
        .unwrap_err();
    assert!(error.what().contains("AWS_CONFIG_FILE"), "{error}");
    let home = Home::new(WORK);
    let credentials = home.folder.path().join("latin1");
    std::fs::write(&credentials, b"[default]\n# caf\xe9\n").unwrap();
    let named = credentials.display().to_string();
    let home = home.with("AWS_SHARED_CREDENTIALS_FILE", &named);
    assert_eq!(
        home.read().await.unwrap_err().why(),
        Some("it is not UTF-8")
    );
}

#[tokio::test]
async fn the_region_is_that_of_the_stage_the_environment_or_the_profile() {
    let home = Home::new(WORK);
    assert_eq!(
        home.read().await.unwrap().region().unwrap().unwrap(),
        "eu-north-1"
    );
    let home = home.with("AWS_PROFILE", "work").with("AWS_REGION", "");
    assert_eq!(
        home.read().await.unwrap().region().unwrap().unwrap(),
        "eu-west-1"
    );
    let home = home.with("AWS_DEFAULT_REGION", "us-east-2");
    assert_eq!(
        home.read().await.unwrap().region().unwrap().unwrap(),
        "us-east-2"
    );
    let stage = Settings {
        region: Some("sa-east-1".to_owned()),
        ..Settings::default()
    };
    let configuration = home.read_for(&stage).await.unwrap();
    assert_eq!(configuration.region().unwrap().unwrap(), "sa-east-1");
}

#[tokio::test]
async fn a_region_that_makes_no_sense_is_blamed_by_its_source() {
    for region in [
        " eu-north-1",
        "eu-north-1\n",
        "Stockholm",
        "eu north",
        "-",
        "eu_north_1",
        "ü",
    ] {
        let home = Home::new("").with("AWS_REGION", region);
        let error = home.read().await.unwrap().region().unwrap_err();
        assert!(error.what().starts_with("AWS_REGION is `"), "{error}");
    }
    let home = Home::new("[default]\nregion = EU-WEST-1\n");
    let error = home.read().await.unwrap().region().unwrap_err();
    assert!(
        error.what().starts_with("`region` of profile default is"),
        "{error}"
    );
}

#[tokio::test]
async fn an_endpoint_that_makes_no_sense_is_blamed_by_its_source() {
    for url in [
        "localhost:4566",
        "http://",
        "ftp://x",
        "http:// x",
        "4566",
        "https://u:p@x",
        "http://x?y",
    ] {
        let home = Home::new("").with("AWS_ENDPOINT_URL_S3", url);
        let error = home.read().await.unwrap().endpoints().unwrap_err();
        assert!(
            error.what().starts_with("AWS_ENDPOINT_URL_S3 is `"),
            "{error}"
        );
    }
}

/// What is used instead of AWS, as it is shown.
async fn detours(home: &Home, settings: &Settings) -> Vec<String> {
    let configuration = home.read_for(settings).await.unwrap();
    let endpoints = configuration.endpoints().unwrap();
    let detours = configuration.detours(&endpoints).unwrap();
    let shown = detours.iter();
    shown
        .map(|detour| format!("{detour}, from {}", detour.source))
        .collect()
}

#[tokio::test]
async fn the_endpoints_are_known_with_their_sources() {
    let stage = Settings::default();
    let home = Home::new(WORK);
    assert!(detours(&home, &stage).await.is_empty());
    let home = home.with("AWS_ENDPOINT_URL", "http://localhost:4566");
    assert_eq!(
        detours(&home, &stage).await,
        ["http://localhost:4566, from AWS_ENDPOINT_URL"]
    );
    let home = home.with("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://logs");
    let both = detours(&home, &stage).await;
    assert!(
        both.contains(
            &"http://logs for CloudWatch Logs, from AWS_ENDPOINT_URL_CLOUDWATCH_LOGS".to_owned()
        ),
        "{both:?}"
    );
    let own = Settings {
        endpoint_url: Some("http://own".to_owned()),
        ..Settings::default()
    };
    assert_eq!(
        detours(&home, &own).await,
        ["http://own, from `endpoint_url` in infra/stages.yaml"]
    );
    let home = home.with("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    assert!(detours(&home, &stage).await.is_empty());
    assert_eq!(detours(&home, &own).await.len(), 1);
}

#[tokio::test]
async fn the_endpoints_of_a_profile_are_known() {
    let config = "[default]\nendpoint_url = http://all\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = http://s3\n";
    let shown = detours(&Home::new(config), &Settings::default()).await;
    assert!(
        shown.contains(&"http://s3 for S3, from `services mine` of profile default".to_owned()),
        "{shown:?}"
    );
    assert!(
        shown
            .iter()
            .any(|shown| shown.starts_with("http://all for CloudFormation")),
        "{shown:?}"
    );
}

#[tokio::test]
async fn fips_and_dual_stack_are_shown_or_contradict_an_endpoint() {
    for variable in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
        let home = Home::new("").with(variable, "True");
        let shown = detours(&home, &Settings::default()).await;
        assert!(
            shown.len() == 1 && shown[0].ends_with(variable),
            "{shown:?}"
        );
        let home = home.with("AWS_ENDPOINT_URL", "http://localhost:4566");
        let error = home.read().await.unwrap().endpoints().unwrap_err();
        assert!(
            error.what().contains(variable) && error.what().contains("AWS_ENDPOINT_URL"),
            "{error}"
        );
        let home = Home::new("").with(variable, "1");
        let configuration = home.read().await.unwrap();
        let error = configuration.detours(&BTreeMap::new()).unwrap_err();
        assert!(error.what().contains(variable), "{error}");
    }
}

#[tokio::test]
async fn attempts_are_those_asked_for() {
    let attempts = async |home: &Home| {
        let retries = home.read().await.unwrap().retries()?;
        Ok::<_, Error>(retries.max_attempts())
    };
    assert_eq!(attempts(&Home::new("")).await.unwrap(), ATTEMPTS_MAX);
    let home = Home::new("[default]\nmax_attempts = 2\nretry_mode = legacy\n");
    assert_eq!(attempts(&home).await.unwrap(), 2);
    let home = home.with("AWS_MAX_ATTEMPTS", "1");
    assert_eq!(attempts(&home).await.unwrap(), 1);
    for (variable, value) in [
        ("AWS_MAX_ATTEMPTS", "0"),
        ("AWS_MAX_ATTEMPTS", "many"),
        ("AWS_RETRY_MODE", "never"),
    ] {
        let error = attempts(&Home::new("").with(variable, value))
            .await
            .unwrap_err();
        assert!(error.what().starts_with(variable), "{error}");
    }
}

#[tokio::test]
async fn a_bundle_may_be_the_profiles() {
    let home = Home::new("[default]\nca_bundle = ~/ca.pem\n");
    let bundle = home.read().await.unwrap().ca_bundle().unwrap();
    assert_eq!(Path::new(&bundle.value), home.folder.path().join("ca.pem"));
    let home = home.with("AWS_CA_BUNDLE", "/etc/ca.pem");
    assert_eq!(
        home.read().await.unwrap().ca_bundle().unwrap().value,
        "/etc/ca.pem"
    );
}

/// What is told when there are no credentials.
async fn without_credentials(home: &Home) -> Error {
    let error = Error::new("could not ask")
        .because("no credentials found in chain. Attempted: …")
        .of_kind(ErrorKind::NoCredentials)
        .hint("sign in");
    home.read().await.unwrap().explain(error)
}

#[tokio::test]
async fn missing_credentials_are_told_by_what_the_profile_has() {
    let error = without_credentials(&Home::new(WORK).with("AWS_PROFILE", "work")).await;
    assert!(error.why().unwrap().contains("profile `work`"), "{error}");
    assert!(!error.why().unwrap().contains("chain"), "{error}");
    for (section, command) in [
        ("sso_session = office", "aws sso login --profile p"),
        (
            "sso_start_url = https://office",
            "aws sso login --profile p",
        ),
        (
            "login_session = arn:aws:iam::111122223333:user/pat",
            "aws login --profile p",
        ),
        (
            "role_arn = r\nsource_profile = q",
            "aws sso login --profile q",
        ),
        ("role_arn = r\nsource_profile = p", "sign in"),
        ("credential_process = vault", "credential_process"),
    ] {
        let config = format!("[profile p]\n{section}\n[profile q]\nsso_session = office\n");
        let error = without_credentials(&Home::new(&config).with("AWS_PROFILE", "p")).await;
        let hint = error.next_step().unwrap();
        assert!(hint.contains(command), "{section}: {hint}");
    }
    let error = without_credentials(&Home::new("").with("AWS_ACCESS_KEY_ID", "AKIA")).await;
    assert!(
        error
            .why()
            .unwrap()
            .contains("AWS_SECRET_ACCESS_KEY is not"),
        "{error}"
    );
}
