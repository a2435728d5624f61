//! Asking for a state again and again.

use std::time::Duration;

/// How often a state is asked for while waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PollInterval {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl PollInterval {
    /// AWS throttles polling; an endpoint on this machine does not.
    pub(crate) fn for_endpoint(endpoint_url: Option<&str>) -> Self {
        let local = endpoint_url
            .is_some_and(|url| url.contains("//127.0.0.1") || url.contains("//localhost"));
        if local {
            Self {
                first: Duration::from_millis(10),
                longest: Duration::from_millis(100),
            }
        } else {
            Self {
                first: Duration::from_millis(500),
                longest: Duration::from_secs(3),
            }
        }
    }

    /// Waits that grow by half each time, up to the longest.
    pub(crate) fn waits(self) -> Waits {
        Waits {
            next: self.first,
            longest: self.longest,
        }
    }
}

/// The waits between asking and asking again.
#[derive(Debug)]
pub(crate) struct Waits {
    next: Duration,
    longest: Duration,
}

impl Waits {
    /// Waits, each time longer.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.advance()).await;
    }

    fn advance(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 3 / 2).min(self.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest() {
        let mut waits = PollInterval::for_endpoint(None).waits();
        let waits = [(); 7].map(|()| waits.advance().as_millis());
        assert_eq!(waits, [500, 750, 1125, 1687, 2531, 3000, 3000]);
    }
}
