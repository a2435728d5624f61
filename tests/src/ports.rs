//! Ports for the servers of tests.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// The first of two adjacent free ports, which this process gives to nobody else: whatever takes
/// them may do so later. They lie below the ports that systems give to connections, or one of
/// those might come first.
pub(crate) fn two_free_ports() -> u16 {
    const FIRST: u16 = 10_000;
    const PAIRS: u16 = 11_000;
    static GIVEN: AtomicU16 = AtomicU16::new(0);

    // Other processes of tests count from elsewhere.
    let start = std::process::id() % u32::from(PAIRS);
    loop {
        let given = u32::from(GIVEN.fetch_add(1, Ordering::Relaxed));
        let pair = (start * 7 + given) % u32::from(PAIRS);
        let port = FIRST + 2 * u16::try_from(pair).unwrap_or_default();
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 1) {
            return port;
        }
    }
}
