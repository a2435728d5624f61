//! A value that an operator stores: read when it is first needed, and kept.
//!
//! - For five minutes after it was read, a value is served from memory. The first call after that
//!   reads it again, so a change by the operator is known within five minutes.
//! - If that fails, the old value is served, for at most an hour after it was read, and the log
//!   warns. The function does not stop because Parameter Store throttles, and a value that the
//!   operator took away does not live on for ever. The next attempt is made after 30 seconds.
//! - A service that refuses a value may have got a new one in the meantime: `read_again` asks for it
//!   at once.
//!
//! The times are those of the clock, not of the process, which Lambda freezes between invocations.
//! [`Value`] shows nothing of itself in logs and errors.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tracing::warn;

/// How long a value is served without another look.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// How long after an attempt that failed the next one is made.
const RETRY: Duration = Duration::from_secs(30);
/// How long after it was read a value is served that cannot be read again.
const SERVED_MAX: Duration = Duration::from_secs(60 * 60);

/// A stored value. It can be a secret, so its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Arc<str>);

impl Value {
    /// The value itself: not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(not shown)")
    }
}

/// A stored value could not be read, and none is known that could be served instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not read {kind} {name}: {why}")]
pub struct ReadError {
    kind: &'static str,
    name: String,
    why: String,
}

/// A value by its name, and what is known of it.
#[derive(Debug)]
pub(crate) struct Kept {
    kind: &'static str,
    name: String,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    value: Value,
    read_at: SystemTime,
    tried_at: SystemTime,
}

impl Known {
    fn is_due(&self, now: SystemTime) -> bool {
        let pause = if self.tried_at == self.read_at {
            FRESH
        } else {
            RETRY
        };
        age(self.tried_at, now) >= pause
    }
}

/// A clock that was set back tells nothing: then the value is as good as old.
fn age(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or(Duration::MAX)
}

impl Kept {
    pub(crate) fn new(kind: &'static str, name: String) -> Self {
        Self {
            kind,
            name,
            known: Mutex::new(None),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The value as it is known at `now`, or else what `read` gives. Calls that come meanwhile
    /// wait for the same answer.
    pub(crate) async fn value(
        &self,
        now: SystemTime,
        read: impl Future<Output = Result<String, String>>,
    ) -> Result<Value, ReadError> {
        let mut known = self.known.lock().await;
        if let Some(known) = &*known
            && !known.is_due(now)
        {
            return Ok(known.value.clone());
        }
        match (read.await, &mut *known) {
            (Ok(text), known) => Ok(remember(known, text, now)),
            (Err(why), Some(known)) if age(known.read_at, now) < SERVED_MAX => {
                known.tried_at = now;
                warn!(
                    kind = self.kind,
                    name = self.name,
                    why,
                    "could not read a stored value again: the function goes on with the value that it has"
                );
                Ok(known.value.clone())
            }
            (Err(why), _) => Err(self.error(why)),
        }
    }

    /// What `read` gives, whatever is known.
    pub(crate) async fn read_again(
        &self,
        now: SystemTime,
        read: impl Future<Output = Result<String, String>>,
    ) -> Result<Value, ReadError> {
        let mut known = self.known.lock().await;
        let text = read.await.map_err(|why| self.error(why))?;
        Ok(remember(&mut known, text, now))
    }

    fn error(&self, why: String) -> ReadError {
        ReadError {
            kind: self.kind,
            name: self.name.clone(),
            why,
        }
    }
}

fn remember(known: &mut Option<Known>, text: String, now: SystemTime) -> Value {
    let value = Value(text.into());
    *known = Some(Known {
        value: value.clone(),
        read_at: now,
        tried_at: now,
    });
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    /// What is served at a time, if the store then answers this, and whether the store was asked.
    async fn served(
        kept: &Kept,
        seconds: u64,
        answer: Result<&str, &str>,
    ) -> (Result<String, String>, bool) {
        let mut asked = false;
        let read = async {
            asked = true;
            answer.map(str::to_owned).map_err(str::to_owned)
        };
        let value = kept.value(at(seconds), read).await;
        let value = value.map(|value| value.expose().to_owned());
        (value.map_err(|error| error.to_string()), asked)
    }

    fn ok(text: &str, asked: bool) -> (Result<String, String>, bool) {
        (Ok(text.to_owned()), asked)
    }

    #[tokio::test]
    async fn a_value_is_read_again_after_five_minutes() {
        let kept = Kept::new("parameter", "/shop-dev/tax".to_owned());
        assert_eq!(served(&kept, 0, Ok("7")).await, ok("7", true));
        assert_eq!(served(&kept, 299, Ok("9")).await, ok("7", false));
        assert_eq!(served(&kept, 300, Ok("9")).await, ok("9", true));
        assert_eq!(served(&kept, 301, Ok("11")).await, ok("9", false));
    }

    #[tokio::test]
    async fn an_old_value_is_served_for_an_hour_while_the_store_does_not_answer() {
        let kept = Kept::new("parameter", "/shop-dev/tax".to_owned());
        assert_eq!(served(&kept, 0, Ok("7")).await, ok("7", true));
        assert_eq!(served(&kept, 300, Err("slow")).await, ok("7", true));
        assert_eq!(served(&kept, 329, Ok("9")).await, ok("7", false));
        assert_eq!(served(&kept, 59 * MINUTE, Err("slow")).await, ok("7", true));
        let (gone, asked) = served(&kept, 60 * MINUTE, Err("slow")).await;
        assert_eq!(
            gone.unwrap_err(),
            "could not read parameter /shop-dev/tax: slow"
        );
        assert!(asked);
        assert_eq!(served(&kept, 61 * MINUTE, Ok("9")).await, ok("9", true));
    }

    #[tokio::test]
    async fn without_a_value_an_error_is_an_error() {
        let kept = Kept::new("secret", "shop-dev/key".to_owned());
        assert!(served(&kept, 0, Err("denied")).await.0.is_err());
        assert_eq!(served(&kept, 1, Ok("k")).await, ok("k", true));
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_makes_a_value_old() {
        let kept = Kept::new("secret", "shop-dev/key".to_owned());
        assert_eq!(served(&kept, 500, Ok("k")).await, ok("k", true));
        assert_eq!(served(&kept, 0, Ok("l")).await, ok("l", true));
    }

    #[tokio::test]
    async fn a_refused_value_is_read_again_at_once() {
        let kept = Kept::new("secret", "shop-dev/key".to_owned());
        assert_eq!(served(&kept, 0, Ok("k")).await, ok("k", true));
        let read = async { Ok("l".to_owned()) };
        assert_eq!(kept.read_again(at(1), read).await.unwrap().expose(), "l");
        assert_eq!(served(&kept, 2, Ok("m")).await, ok("l", false));
        let failed = async { Err("denied".to_owned()) };
        assert!(kept.read_again(at(3), failed).await.is_err());
        assert_eq!(served(&kept, 4, Ok("m")).await, ok("l", false));
    }

    #[tokio::test]
    async fn a_value_does_not_show_itself() {
        let kept = Kept::new("secret", "shop-dev/key".to_owned());
        let read = async { Ok("s3cr3t".to_owned()) };
        let value = kept.value(at(0), read).await.unwrap();
        for shown in [format!("{value:?}"), format!("{kept:?}")] {
            assert!(!shown.contains("s3cr3t"), "{shown}");
        }
    }
}
