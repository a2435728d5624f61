use super::*;

fn complaint(yaml: &str) -> String {
    Stages::parse(yaml).unwrap_err().to_string()
}

#[test]
fn a_stage_without_settings_has_the_defaults() {
    let yaml = "dev:\n";
    let dev = Stages::parse(yaml).unwrap().get("dev").unwrap();
    assert_eq!(
        dev,
        Stage {
            name: "dev".to_owned(),
            region: None,
            account: None,
            endpoint_url: None,
            production: false,
            removal: Removal::Delete,
            express: false,
            permissions_boundary: None,
            tags: BTreeMap::new(),
            architecture: Architecture::X86_64,
            memory_mb: PerFunction::AsDeclared,
            ephemeral_storage_mb: PerFunction::AsDeclared,
            timeout_seconds: PerFunction::AsDeclared,
            reserved_concurrency: BTreeMap::new(),
            environment: BTreeMap::new(),
            log_level: PerFunction::AsDeclared,
            log_retention_days: 14,
            tracing: false,
            alarms: Alarms::Off,
            rollback_on_alarm_minutes: None,
            canary: None,
            authorization: BTreeMap::new(),
            writable: vec![],
            throttling: BTreeMap::new(),
            yaml: yaml.to_owned(),
        }
    );
}

#[test]
fn every_setting_is_read() {
    let yaml = "
all:
  region: eu-central-1
  account: '123456789012'
  endpoint_url: http://127.0.0.1:4566
  production: true
  removal: delete
  express: true
  permissions_boundary: arn:aws:iam::123456789012:policy/boundary
  tags: {team: shop}
  architecture: arm64
  memory_mb: 512
  ephemeral_storage_mb: {sell: 1024}
  timeout_seconds: {sell: 20}
  reserved_concurrency: {sell: 5}
  environment: {GREETING: hello}
  log_level: debug
  log_retention_days: 30
  tracing: true
  alarms: arn:aws:sns:eu-central-1:123456789012:alarms
  rollback_on_alarm_minutes: 10
  canary: {percent: 20, minutes: 15}
  authorization:
    shop: iam
    bills: {jwt: {issuer: https://example.com, audience: [shop]}}
    open: none
  writable: [open]
  throttling:
    shop:
      default: {rate: 100, burst: 200}
      GET /: {rate: 1, burst: 2}
";
    for setting in SETTINGS {
        assert!(yaml.contains(&format!("  {setting}:")), "{setting}");
    }
    let text = str::to_owned;
    let all = Stages::parse(yaml).unwrap().get("all").unwrap();
    assert_eq!(
        all,
        Stage {
            name: text("all"),
            region: Some(text("eu-central-1")),
            account: Some(text("123456789012")),
            endpoint_url: Some(text("http://127.0.0.1:4566")),
            production: true,
            removal: Removal::Delete,
            express: true,
            permissions_boundary: Some(text("arn:aws:iam::123456789012:policy/boundary")),
            tags: [(text("team"), text("shop"))].into(),
            architecture: Architecture::Arm64,
            memory_mb: PerFunction::All(512),
            ephemeral_storage_mb: PerFunction::Some([(text("sell"), 1024)].into()),
            timeout_seconds: PerFunction::Some([(text("sell"), 20)].into()),
            reserved_concurrency: [(text("sell"), 5)].into(),
            environment: [(text("GREETING"), text("hello"))].into(),
            log_level: PerFunction::All(LogLevel::Debug),
            log_retention_days: 30,
            tracing: true,
            alarms: Alarms::Topic(text("arn:aws:sns:eu-central-1:123456789012:alarms")),
            rollback_on_alarm_minutes: Some(10),
            canary: Some(Canary {
                percent: 20,
                minutes: 15,
            }),
            authorization: [
                (text("shop"), Authorization::Iam),
                (
                    text("bills"),
                    Authorization::Jwt(Jwt {
                        issuer: text("https://example.com"),
                        audience: vec![text("shop")],
                    })
                ),
                (text("open"), Authorization::None),
            ]
            .into(),
            writable: vec![text("open")],
            throttling: [(
                text("shop"),
                [
                    (
                        text("default"),
                        Throttle {
                            rate: 100,
                            burst: 200,
                        }
                    ),
                    (text("GET /"), Throttle { rate: 1, burst: 2 }),
                ]
                .into()
            )]
            .into(),
            yaml: yaml.to_owned(),
        }
    );
}

#[test]
fn every_setting_is_explained_where_it_is_set() {
    let explained: Vec<&str> = include_str!("../../../stages.yaml")
        .lines()
        .filter_map(|line| line.strip_prefix("#   ")?.split(' ').next())
        .collect();
    for setting in SETTINGS {
        assert!(explained.contains(&setting), "{setting}");
    }
}

#[test]
fn production_keeps_data_unless_told() {
    let stages = Stages::parse(
        "a: {production: true}\nb: {production: true, removal: delete}\nc: {removal: retain}\n",
    )
    .unwrap();
    let removal = |stage| stages.get(stage).unwrap().removal;
    assert_eq!(removal("a"), Removal::Retain);
    assert_eq!(removal("b"), Removal::Delete);
    assert_eq!(removal("c"), Removal::Retain);
}

#[test]
fn values_of_several_forms_are_told_with_their_line() {
    for (setting, parts) in [
        ("alarms: [a]", "true, false, or the ARN of an SNS topic"),
        (
            "memory_mb: lots",
            "a number, or numbers by functions' names",
        ),
        (
            "memory_mb: 5000000000",
            "the number 5000000000 is too large",
        ),
        ("log_level: loud", "unknown variant `loud`"),
        (
            "authorization: {shop: aim}",
            "unknown authorization `aim`; there are `none`, `iam` and `jwt`",
        ),
        (
            "authorization: {shop: jwt}",
            "`jwt` needs `issuer` and `audience`",
        ),
        (
            "authorization: {shop: {jwt: {issuer: x}}}",
            "missing field `audience`",
        ),
        (
            "authorization: {shop: {jwt: }}",
            "`jwt` needs `issuer` and `audience`",
        ),
        (
            "authorization: {shop: }",
            "authorization.shop: expected `none`, `iam` or `jwt`, found nothing",
        ),
        (
            "reserved_concurrency: 5",
            "expected a mapping, names with a value each",
        ),
        (
            "authorization: {shop: {jot: 1}}",
            "unknown field `jot`, expected `jwt`",
        ),
        (
            "throttling: {shop: {default: {rate: 1}}}",
            "missing field `burst`",
        ),
    ] {
        let complaint = complaint(&format!("dev:\n  tracing: true\n  {setting}\n"));
        assert!(complaint.contains(parts), "{complaint}");
        assert!(complaint.contains("line 3"), "{complaint}");
    }
}

#[test]
fn the_hosts_architecture_can_be_asked_for() {
    let stages = Stages::parse("local: {architecture: host}").unwrap();
    let local = stages.get("local").unwrap();
    assert_eq!(local.architecture, Architecture::HOST);
}

#[test]
fn a_misspelt_setting_is_found_with_its_line() {
    let complaint = complaint("dev:\n  production: true\n  regoin: eu-central-1\n");
    assert!(
        complaint.contains("unknown setting `regoin`; did you mean `region`?"),
        "{complaint}"
    );
    assert!(complaint.contains("line 3"), "{complaint}");
    assert!(complaint.starts_with("stages.yaml: dev"), "{complaint}");
}

#[test]
fn an_unheard_of_setting_lists_those_there_are() {
    let complaint = complaint("dev:\n  banana: 1\n");
    assert!(
        complaint.contains("a stage has: region, account, endpoint_url"),
        "{complaint}"
    );
}

#[test]
fn a_value_of_the_wrong_type_is_found_with_its_line() {
    let complaint = complaint("dev:\n  region: x\n  production: maybe\n");
    assert!(complaint.contains("production"), "{complaint}");
    assert!(complaint.contains("line 3"), "{complaint}");
}

#[test]
fn what_is_written_twice_is_an_error() {
    for (yaml, twice) in [
        ("dev:\nprod:\ndev:\n", "`dev`"),
        ("dev:\n  region: a\n  region: b\n", "`dev.region`"),
        (
            "dev:\n  authorization: {shop: iam}\n  authorization: {shop: none}\n",
            "`dev.authorization`",
        ),
        (
            "dev:\n  authorization: {shop: iam, admin: iam, shop: none}\n",
            "`dev.authorization.shop`",
        ),
    ] {
        let complaint = complaint(yaml);
        assert!(
            complaint.contains(&format!("{twice} is written twice")),
            "{complaint}"
        );
    }
}

#[test]
fn what_has_nothing_behind_it_is_not_set() {
    let dev = |yaml: &str| {
        let stage = Stages::parse(yaml).unwrap().get("dev").unwrap();
        Stage {
            yaml: String::new(),
            ..stage
        }
    };
    let defaults = Stage::with_defaults("dev");
    for nothing in ["", "~", "null", "# a comment", "!!null ~"] {
        for setting in SETTINGS {
            let yaml = format!("dev:\n  {setting}: {nothing}\n");
            assert_eq!(dev(&yaml), defaults, "{yaml}");
        }
        for setting in [
            "tags",
            "memory_mb",
            "timeout_seconds",
            "reserved_concurrency",
            "environment",
            "throttling",
        ] {
            let written = dev(&format!("dev:\n  {setting}:\n    name: {nothing}\n"));
            assert_eq!(written.tags, defaults.tags);
            assert_eq!(written.memory_mb.of("name"), None);
            assert_eq!(written.timeout_seconds.of("name"), None);
            assert_eq!(written.reserved_concurrency, defaults.reserved_concurrency);
            assert_eq!(written.environment, defaults.environment);
            assert_eq!(written.throttling, BTreeMap::new().into_iter().collect());
        }
        assert_eq!(dev(&format!("dev: {nothing}\n")), defaults);
    }
    let environment = dev("dev: {environment: {A: '', B: 'null', C: \"~\"}}\n").environment;
    let values: Vec<&str> = environment.values().map(String::as_str).collect();
    assert_eq!(values, ["", "null", "~"]);
}

#[test]
fn a_part_that_something_needs_is_missed_by_its_line() {
    for (settings, part) in [
        ("canary: {percent: 10, minutes: }", "canary.minutes"),
        (
            "throttling: {shop: {default: {rate: , burst: 1}}}",
            "throttling.shop.default.rate",
        ),
    ] {
        let complaint = complaint(&format!("dev:\n  tracing: true\n  {settings}\n"));
        assert!(
            complaint.contains(&format!(
                "dev.{part}: expected a whole number, found nothing at line 3"
            )),
            "{complaint}"
        );
    }
}

#[test]
fn numbers_are_whole_and_written_in_digits() {
    for (written, expected) in [
        ("-512", "expected 0 or more, found the negative -512"),
        ("512.0", "expected a whole number, found one with a decimal"),
        ("1e3", "expected a whole number, found one with a decimal"),
        (".inf", "expected a whole number, found one with a decimal"),
        (
            "'512'",
            "without quotes or leading zeros, found the text `512`",
        ),
        (
            "014",
            "without quotes or leading zeros, found the text `014`",
        ),
        ("512MB", "found the text `512MB`"),
        ("1_024", "found the text `1_024`"),
        ("true", "invalid type: boolean `true`"),
        ("[512]", "invalid type: sequence"),
        ("4294967296", "the number 4294967296 is too large"),
        (
            "99999999999999999999",
            "the number 99999999999999999999 is too large",
        ),
        (
            "-99999999999999999999",
            "found the negative -99999999999999999999",
        ),
    ] {
        for setting in [
            "memory_mb: VALUE",
            "memory_mb: {sell: VALUE}",
            "timeout_seconds: VALUE",
            "timeout_seconds: {sell: VALUE}",
            "reserved_concurrency: {sell: VALUE}",
            "log_retention_days: VALUE",
            "rollback_on_alarm_minutes: VALUE",
            "canary: {minutes: 1, percent: VALUE}",
            "canary: {percent: 1, minutes: VALUE}",
            "throttling: {shop: {default: {rate: VALUE, burst: 1}}}",
            "throttling: {shop: {default: {rate: 1, burst: VALUE}}}",
        ] {
            let setting = setting.replace("VALUE", written);
            let complaint = complaint(&format!("dev:\n  tracing: true\n  {setting}\n"));
            assert!(complaint.contains(expected), "{setting}: {complaint}");
            assert!(complaint.contains("line 3"), "{setting}: {complaint}");
        }
    }
    for (written, days) in [("14", 14), ("+14", 14), ("0o16", 14), ("0xE", 14)] {
        let stages = Stages::parse(&format!("dev: {{log_retention_days: {written}}}"));
        let dev = stages.unwrap().get("dev").unwrap();
        assert_eq!(dev.log_retention_days, days, "{written}");
    }
}

#[test]
fn switches_are_true_or_false_and_no_other_word() {
    for (written, expected) in [
        ("yes", "expected true without quotes, found the text `yes`"),
        ("On", "expected true without quotes, found the text `On`"),
        (
            "'true'",
            "expected true without quotes, found the text `true`",
        ),
        ("no", "expected false without quotes, found the text `no`"),
        (
            "\"false\"",
            "expected false without quotes, found the text `false`",
        ),
        ("maybe", "expected true or false, found the text `maybe`"),
        ("1", "invalid type: integer `1`, expected true or false"),
    ] {
        for setting in ["production", "express", "tracing"] {
            let complaint = complaint(&format!("dev:\n  region: x\n  {setting}: {written}\n"));
            assert!(complaint.contains(expected), "{complaint}");
            assert!(complaint.contains("line 3"), "{complaint}");
        }
    }
    for (written, is_on) in [("true", true), ("True", true), ("FALSE", false)] {
        let stages = Stages::parse(&format!("dev: {{tracing: {written}}}")).unwrap();
        assert_eq!(stages.get("dev").unwrap().tracing, is_on, "{written}");
    }
}

#[test]
fn texts_are_as_they_are_written() {
    for written in [
        "012345678901",
        "001234567012",
        "123456789012",
        "0x1F",
        "0o17",
        "1_000",
        "1e3",
        "1.10",
        "12:30:45",
        "yes",
        "True",
        "2026-01-31",
    ] {
        let yaml = format!("dev: {{account: {written}, environment: {{A: {written}}}}}");
        let dev = Stages::parse(&yaml).unwrap().get("dev").unwrap();
        assert_eq!(dev.account.as_deref(), Some(written));
        assert_eq!(dev.environment["A"], written);
    }
}

#[test]
fn a_character_that_yaml_does_not_take_is_told_with_its_line() {
    for (yaml, expected) in [
        (
            "dev:\n  region: x\0\n",
            "stages.yaml:2: the character U+0000 is not",
        ),
        ("\u{7}dev:\n", "stages.yaml:1: the character U+0007 is not"),
        (
            "\u{feff}dev:\r\n\r\n  region: \u{1b}[1m\r\n",
            "stages.yaml:3: the character U+001B",
        ),
        ("# a\n\u{7f}", "stages.yaml:2: the character U+007F"),
        (
            "a:\nb:\n\u{feff}c:\n",
            "stages.yaml:3: the character U+FEFF",
        ),
    ] {
        let complaint = complaint(yaml);
        assert!(complaint.contains(expected), "{complaint}");
    }
    Stages::parse("\u{feff}dev: # \u{85}\n  tags: {a: 'é\u{2028}'}\n").unwrap();
}

#[test]
fn a_file_without_stages_is_no_error_until_one_is_asked_for() {
    for yaml in ["", "# only a comment\n", "{}", "---\n", "~\n", "---\n...\n"] {
        let stages = Stages::parse(yaml).unwrap();
        assert_eq!(stages.names().count(), 0);
        assert_eq!(
            stages.get("dev").unwrap_err().to_string(),
            "unknown stage `dev`: stages.yaml declares no stages"
        );
    }
    let list = complaint("- dev\n- prod\n");
    assert!(list.contains("expected stages by their names"), "{list}");
    let number = complaint("dev: 5\n");
    assert!(
        number.contains("expected settings by their names"),
        "{number}"
    );
}

#[test]
fn an_unknown_stage_names_the_nearest_and_all() {
    let stages = Stages::parse("local:\ndev:\nprod:\n").unwrap();
    assert_eq!(
        stages.get("prd").unwrap_err().to_string(),
        "unknown stage `prd`; did you mean `prod`? (stages.yaml has: dev, local, prod)"
    );
    assert_eq!(
        stages.get("banana").unwrap_err().to_string(),
        "unknown stage `banana` (stages.yaml has: dev, local, prod)"
    );
}
