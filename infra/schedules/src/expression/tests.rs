use super::*;

fn timestamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The first times at which an expression fires after a moment, as the zone's clocks show them.
fn times(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let expression = Expression::parse(expression).unwrap();
    let zone = TimeZone::named(zone).unwrap();
    let created = timestamp(after);
    let mut now = created;
    let mut times = Vec::new();
    while let Some(next) = expression.next(&zone, created, now)
        && times.len() < count
    {
        assert!(next > now);
        times.push(zone.shown_at(next).to_string());
        now = next;
    }
    times
}

fn of_cron(fields: &str) -> Vec<String> {
    let mut times = times(&format!("cron({fields})"), "UTC", "2027-01-01T00:00:00Z", 3);
    for time in &mut times {
        time.truncate("2027-01-01T00:00".len());
    }
    times
}

#[test]
fn every_field_of_a_cron_expression_has_its_say() {
    for (fields, expected) in [
        // Those of AWS's page.
        (
            "15 10 ? * 6L 2022-2028",
            ["2027-01-29T10:15", "2027-02-26T10:15", "2027-03-26T10:15"],
        ),
        (
            "0 10 * * ? *",
            ["2027-01-01T10:00", "2027-01-02T10:00", "2027-01-03T10:00"],
        ),
        (
            "0 18 ? * MON-FRI *",
            ["2027-01-01T18:00", "2027-01-04T18:00", "2027-01-05T18:00"],
        ),
        (
            "0 8 1 * ? *",
            ["2027-01-01T08:00", "2027-02-01T08:00", "2027-03-01T08:00"],
        ),
        (
            "0/15 * * * ? *",
            ["2027-01-01T00:15", "2027-01-01T00:30", "2027-01-01T00:45"],
        ),
        (
            "0/5 8-17 ? * 2-6 *",
            ["2027-01-01T08:00", "2027-01-01T08:05", "2027-01-01T08:10"],
        ),
        // Others.
        (
            "59 23 L * ? *",
            ["2027-01-31T23:59", "2027-02-28T23:59", "2027-03-31T23:59"],
        ),
        (
            "0 0 29 FEB ? *",
            ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"],
        ),
        (
            "0 0 ? 2,3 3#5 *",
            ["2027-03-30T00:00", "2028-02-29T00:00", "2032-03-30T00:00"],
        ),
        (
            "0 12 ? * L *",
            ["2027-01-02T12:00", "2027-01-09T12:00", "2027-01-16T12:00"],
        ),
        (
            "0,30 7,9 31 1-4 ? 2028",
            ["2028-01-31T07:00", "2028-01-31T07:30", "2028-01-31T09:00"],
        ),
        (
            "0 0 1/10 * ? *",
            ["2027-01-11T00:00", "2027-01-21T00:00", "2027-01-31T00:00"],
        ),
    ] {
        assert_eq!(of_cron(fields), expected, "{fields}");
    }
}

#[test]
fn a_weekday_near_a_day_is_in_the_same_month() {
    for (fields, expected) in [
        // 2 January 2027 is a Saturday, 3 January a Sunday, 5 January a Tuesday.
        ("1 0 2W 1 ? 2027", "2027-01-01T00:01"),
        ("1 0 3W 1 ? 2027", "2027-01-04T00:01"),
        ("1 0 5W 1 ? 2027", "2027-01-05T00:01"),
        // 1 May 2027 is a Saturday.
        ("1 0 1W 5 ? 2027", "2027-05-03T00:01"),
        // 31 January 2027 is a Sunday, and 30 November 2025 was.
        ("1 0 31W 1 ? 2027", "2027-01-29T00:01"),
    ] {
        assert_eq!(of_cron(fields), [expected], "{fields}");
    }
}

#[test]
fn a_rate_fires_at_once_and_then_again() {
    let expression = Expression::parse("rate(5 minutes)").unwrap();
    let created = timestamp("2027-01-01T00:00:30Z");
    let next = |after| expression.next(&TimeZone::UTC, created, timestamp(after));
    for (after, expected) in [
        ("2026-01-01T00:00:00Z", "2027-01-01T00:00:30Z"),
        ("2027-01-01T00:00:30Z", "2027-01-01T00:05:30Z"),
        ("2027-01-01T00:05:29Z", "2027-01-01T00:05:30Z"),
        ("2027-01-01T01:00:00Z", "2027-01-01T01:00:30Z"),
    ] {
        assert_eq!(next(after), Some(timestamp(expected)), "{after}");
    }
    let hourly = Expression::parse("rate(1 hour)").unwrap();
    let next = hourly.next(&TimeZone::UTC, created, created);
    assert_eq!(next, Some(timestamp("2027-01-01T01:00:30Z")));
}

#[test]
fn clocks_that_are_changed_skip_times_and_repeat_none() {
    // In Zurich, 02:00 to 03:00 is skipped on 28 March 2027 and shown twice on 31 October 2027.
    let zurich = |expression, after| times(expression, "Europe/Zurich", after, 3);
    assert_eq!(
        zurich("cron(30 2 * * ? *)", "2027-03-26T12:00:00Z"),
        [
            "2027-03-27T02:30:00",
            "2027-03-29T02:30:00",
            "2027-03-30T02:30:00"
        ]
    );
    assert_eq!(
        zurich("cron(0/30 2 31 10 ? *)", "2027-10-30T12:00:00Z"),
        [
            "2027-10-31T02:00:00",
            "2027-10-31T02:30:00",
            "2028-10-31T02:00:00"
        ]
    );
    // A day has 24 hours on the clock.
    assert_eq!(
        zurich("rate(1 day)", "2027-03-26T12:00:00Z"),
        [
            "2027-03-27T13:00:00",
            "2027-03-28T13:00:00",
            "2027-03-29T13:00:00"
        ]
    );
    assert_eq!(
        zurich("rate(2 days)", "2027-10-29T12:00:00Z"),
        [
            "2027-10-31T14:00:00",
            "2027-11-02T14:00:00",
            "2027-11-04T14:00:00"
        ]
    );
}

#[test]
fn once_is_once() {
    let at = |after| times("at(2027-07-01T09:30:00)", "Europe/Zurich", after, 2);
    assert_eq!(at("2027-01-01T00:00:00Z"), ["2027-07-01T09:30:00"]);
    assert_eq!(at("2027-07-01T07:29:59Z"), ["2027-07-01T09:30:00"]);
    assert_eq!(at("2027-07-01T07:30:00Z"), [""; 0]);
}

#[test]
fn what_is_in_no_calendar_never_fires() {
    let can_fire = |text, zone| {
        let expression = Expression::parse(text).unwrap();
        expression.can_fire(&TimeZone::named(zone).unwrap())
    };
    for text in [
        "cron(0 0 31 2 ? *)",
        "cron(0 0 30,31 FEB ? *)",
        "cron(0 0 31 4,6,9,11 ? *)",
        "cron(0 0 29 2 ? 2027)",
        "cron(0 0 31W 2 ? *)",
    ] {
        assert!(!can_fire(text, "UTC"), "{text}");
    }
    assert!(can_fire("cron(0 0 29 2 ? *)", "UTC"));
    assert!(can_fire("rate(1 day)", "UTC"));
    // The clocks of Zurich skip it, and those of New York do not.
    assert!(!can_fire("cron(30 2 28 3 ? 2027)", "Europe/Zurich"));
    assert!(can_fire("cron(30 2 28 3 ? 2027)", "America/New_York"));
}

#[test]
fn what_is_wrong_is_told() {
    for (text, reason) in [
        ("5 minutes", "it is not `rate(…)`"),
        ("RATE(5 minutes)", "it is not `rate(…)`"),
        ("rate(5 minutes) ", "it is not `rate(…)`"),
        ("rate(0 minutes)", "a rate is a positive number"),
        ("rate(-1 minutes)", "a rate is a positive number"),
        ("rate(+1 minute)", "a rate is a positive number"),
        ("rate(5  minutes)", "a rate is a positive number"),
        ("rate(30 seconds)", "a rate is a positive number"),
        ("rate(1 minutes)", "the unit of 1 is `minute`"),
        ("rate(5 minute)", "the unit of 5 is `minutes`"),
        ("cron(0 3 * * ?)", "it has 5 fields"),
        ("cron(0 3 * * * *)", "must be `?`, and only one"),
        ("cron(0 3 ? * ? *)", "must be `?`, and only one"),
        (
            "cron(60 3 * * ? *)",
            "its minutes `60` has something else than 0 to 59",
        ),
        (
            "cron(0 24 * * ? *)",
            "its hours `24` has something else than 0 to 23",
        ),
        ("cron(0 3 0 * ? *)", "its day of month `0` has"),
        (
            "cron(0 3 * 13 ? *)",
            "its month `13` has something else than 1 to 12 or JAN to DEC",
        ),
        (
            "cron(0 3 ? * 0 *)",
            "its day of week `0` has something else than 1 to 7 or SUN to SAT",
        ),
        ("cron(0 3 ? * mon *)", "its day of week `mon` has"),
        ("cron(0 3 ? * FRI-MON *)", "has a range that runs backwards"),
        ("cron(0 3 ? * 2/2 *)", "has a step, which it cannot have"),
        (
            "cron(0/0 3 * * ? *)",
            "has a step that is not a positive number",
        ),
        ("cron(0 3 ? * 2#6 *)", "is not one day, `#`"),
        ("cron(0 3 ? * 2#1,3#1 *)", "is not one day, `#`"),
        (
            "cron(0 3 * * ? 2200)",
            "its year `2200` has something else than 1970 to 2199",
        ),
        ("cron(, 3 * * ? *)", "its minutes `,` has"),
        ("at(2027-01-01)", "it is not a date and time"),
        ("at(2027-02-29T00:00:00)", "it is not a date and time"),
        ("at(2027-1-1T00:00:00)", "it is not a date and time"),
        ("at(2027-01-01T00:00:00Z)", "it is not a date and time"),
    ] {
        let error = Expression::parse(text).unwrap_err();
        assert!(error.to_string().contains(reason), "{text}: {error}");
        assert!(!error.remedy().is_empty());
    }
}
