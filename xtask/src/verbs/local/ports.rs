//! The ports that a stage is asked to take.

use local::{Port, Ports};

use crate::cli;
use crate::error::{CliError, Result};

/// A port as it is asked for: counted from that of an option.
struct Asked {
    purpose: String,
    first: u16,
    place: u16,
}

/// Refuses what cannot be: a port after the last one, or one for two things.
pub(super) fn of(
    args: &cli::Local,
    uses_rekognition: bool,
    apis: impl IntoIterator<Item = String>,
) -> Result<Ports> {
    let mut taken = Vec::new();
    let aws = Asked {
        purpose: "the AWS endpoint, --aws-port".to_owned(),
        first: args.aws_port,
        place: 0,
    };
    let aws = take(&mut taken, aws)?;
    let rekognition = uses_rekognition.then(|| Asked {
        purpose: "Rekognition, the port after --aws-port".to_owned(),
        first: args.aws_port,
        place: 1,
    });
    let rekognition = rekognition
        .map(|asked| take(&mut taken, asked))
        .transpose()?;
    let apis = apis.into_iter().zip(0..).map(|(api, place)| {
        let option = match place {
            0 => "--port",
            _ => "a port after --port",
        };
        let asked = Asked {
            purpose: format!("the {api}, {option}"),
            first: args.port,
            place,
        };
        take(&mut taken, asked)
    });
    let apis = apis.collect::<Result<_>>()?;
    let console = match (args.no_console, args.console_port) {
        (true, _) => None,
        (false, Some(first)) => Some(Asked {
            purpose: "the console, --console-port".to_owned(),
            first,
            place: 0,
        }),
        (false, None) => Some(Asked {
            purpose: "the console, the second port after --aws-port".to_owned(),
            first: args.aws_port,
            place: 2,
        }),
    };
    let console = console.map(|asked| take(&mut taken, asked)).transpose()?;
    Ok(Ports {
        aws,
        rekognition,
        apis,
        console,
    })
}

fn take(taken: &mut Vec<Port>, asked: Asked) -> Result<Port> {
    let Asked {
        purpose,
        first,
        place,
    } = asked;
    let Some(number) = first.checked_add(place) else {
        return Err(CliError::misuse(format!(
            "there is no port for {purpose}: {first} is given, and 65535 is the last"
        ))
        .hint("choose lower ports with --port and --aws-port"));
    };
    if let Some(other) = taken.iter().find(|other| other.number == number) {
        return Err(CliError::misuse(format!(
            "port {number} is asked for twice: for {}, and for {purpose}",
            other.purpose
        ))
        .hint("choose other ports with --port, --aws-port and --console-port"));
    }
    let port = Port { purpose, number };
    taken.push(port.clone());
    Ok(port)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn ports(arguments: &[&str]) -> Result<Ports> {
        of_app(arguments, true)
    }

    fn of_app(arguments: &[&str], uses_rekognition: bool) -> Result<Ports> {
        let cli = Cli::parse_from([&["cargo xtask", "local"], arguments].concat());
        let Verb::Local(args) = cli.verb else {
            unreachable!("it was asked for");
        };
        let apis = ["orders API", "reports API"].map(str::to_owned);
        of(&args, uses_rekognition, apis)
    }

    #[test]
    fn each_thing_has_a_port_of_its_own() {
        let ports = ports(&["--port", "9000", "--aws-port", "9002"]).unwrap();
        let numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
        assert_eq!(numbers, [9002, 9003, 9000, 9001, 9004]);
    }

    #[test]
    fn the_console_is_where_it_is_wanted_or_nowhere() {
        let console = |arguments: &[&str]| ports(arguments).unwrap().console;
        let port = console(&["--console-port", "9100"]).unwrap();
        assert_eq!(port.number, 9100);
        assert_eq!(console(&["--no-console"]), None);
    }

    #[test]
    fn an_app_without_rekognition_takes_no_port_for_it() {
        let ports = of_app(
            &[
                "--port",
                "4567",
                "--aws-port",
                "4566",
                "--console-port",
                "4569",
            ],
            false,
        )
        .unwrap();
        assert_eq!(ports.rekognition, None);
        let numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
        assert_eq!(numbers, [4566, 4567, 4568, 4569]);
    }

    #[test]
    fn ports_that_cannot_be_are_refused_by_name() {
        for (port, aws_port, expected) in [
            ("65535", "4566", "there is no port for the reports API"),
            ("8000", "65535", "there is no port for Rekognition"),
            (
                "4566",
                "4566",
                "port 4566 is asked for twice: for the AWS endpoint, --aws-port, and for the orders API",
            ),
            (
                "4567",
                "4566",
                "port 4567 is asked for twice: for Rekognition",
            ),
            (
                "4565",
                "4566",
                "port 4566 is asked for twice: for the AWS endpoint, --aws-port, and for the reports API",
            ),
        ] {
            let error = ports(&["--port", port, "--aws-port", aws_port]).unwrap_err();
            let error = format!("{error:?}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
