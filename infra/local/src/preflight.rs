//! What to check before anything is started, so that a start does not fail half-way.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::Error;
use crate::error::PortTaken;

/// What a first run writes: 0.3 GB of Python packages and about 2 GB for the
/// development build of the workspace with its dependencies, and some room to work.
const FIRST_RUN_BYTES: u64 = 3_700_000_000;

/// What a first run writes for the local Rekognition: its build, and 30 MB of models.
const REKOGNITION_BYTES: u64 = 300_000_000;

/// What a start writes when everything is built: functions' zips, uploads, logs.
const WARM_RUN_BYTES: u64 = 500_000_000;

/// What the start of a stage writes.
pub(crate) fn needed_bytes(is_first_run: bool, has_rekognition: bool) -> u64 {
    match (is_first_run, has_rekognition) {
        (false, _) => WARM_RUN_BYTES,
        (true, false) => FIRST_RUN_BYTES,
        (true, true) => FIRST_RUN_BYTES + REKOGNITION_BYTES,
    }
}

/// Says which of the ports, each with its purpose, cannot be listened on.
pub(crate) fn check_ports(ports: &[(impl AsRef<str>, u16)]) -> Result<(), Error> {
    let taken: Vec<_> = ports
        .iter()
        .filter_map(|(purpose, port)| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, *port))
                .err()
                .map(|reason| PortTaken {
                    purpose: purpose.as_ref().to_owned(),
                    port: *port,
                    reason,
                })
        })
        .collect();
    if taken.is_empty() {
        Ok(())
    } else {
        Err(Error::PortsTaken(taken))
    }
}

/// Says whether `needed_bytes` more fit on the disk of the folder `path`, which must exist.
pub(crate) fn check_free_space(path: &Path, needed_bytes: u64) -> Result<(), Error> {
    let disk = rustix::fs::statvfs(path)
        .map_err(|error| Error::io("measure the free space of", path)(error.into()))?;
    let available_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    if available_bytes >= needed_bytes {
        return Ok(());
    }
    Err(Error::DiskFull {
        path: path.to_owned(),
        available_bytes,
        needed_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_taken_port_is_reported() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let two = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let (one_port, two_port) = (port(&one), port(&two));

        let error = check_ports(&[("one", one_port), ("two", two_port)]).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(&format!("port {one_port} on 127.0.0.1 (one)")),
            "{message}"
        );
        assert!(
            message.contains(&format!("port {two_port} on 127.0.0.1 (two)")),
            "{message}"
        );
        assert!(
            error.hint().contains(&format!("-iTCP:{two_port}")),
            "{}",
            error.hint()
        );

        drop((one, two));
        check_ports(&[("one", one_port), ("two", two_port)]).unwrap();
    }

    #[test]
    fn a_first_run_needs_less_space_without_the_local_rekognition() {
        assert_eq!(needed_bytes(true, true), 4_000_000_000);
        assert_eq!(needed_bytes(true, false), 3_700_000_000);
        assert_eq!(needed_bytes(false, true), needed_bytes(false, false));
    }

    #[test]
    fn too_small_a_disk_is_reported_in_megabytes() {
        check_free_space(Path::new("."), 0).unwrap();
        let error = check_free_space(Path::new("."), u64::MAX).unwrap_err();
        assert!(error.to_string().contains("the stage needs"), "{error}");
    }
}
