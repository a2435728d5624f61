//! Ports for the servers of tests.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// The first of so many adjacent free ports, which this process gives to nobody else: whatever takes
/// them may do so later. They lie below the ports that systems give to connections, or one of
/// those might come first.
pub(crate) fn free_ports(count: u16) -> u16 {
    const FIRST: u16 = 10_000;
    const PORTS: u16 = 22_000;
    static GIVEN: AtomicU16 = AtomicU16::new(0);

    // Other processes of tests count from elsewhere.
    let start = std::process::id() % u32::from(PORTS);
    loop {
        let given = u32::from(GIVEN.fetch_add(count, Ordering::Relaxed));
        let place = (start * 14 + given) % u32::from(PORTS);
        let port = FIRST + u16::try_from(place).unwrap_or_default();
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (port..port + count).all(is_free) {
            return port;
        }
    }
}
