//! Something that is derived from something else and kept in step with it: an object for each item
//! of a table, a summary for each report.
//!
//! # The rule
//! An event says that the original changed once, which may be long ago: events are repeated, come
//! back from the failure queue days later, and may be handled by two invocations at once. So an
//! event is only the occasion to look. Whatever it says, [`bring_in_step`]
//!
//! 1. reads how the original is;
//! 2. makes what is derived from it as it has to be then: writes it, or deletes it;
//! 3. reads again. If the original is no longer as it was, it goes back to 2.
//!
//! # Why no interleaving goes wrong
//! Assume that the original does not change any more, and that every event of it was handled. Each
//! call takes effect at one moment, and reads are consistent. Take the last effect on what is
//! derived: a deletion, or a write, be it one that found it as it should be. It is then as the
//! original was when the caller read it before. Then the caller
//!
//! - _read again_, and saw the original as before, or it would have had another effect. If the
//!   original's last change came before this read, what is derived is in step with it. If it came
//!   after, its event was handled later still, with an effect of its own: this was not the last
//!   one.
//! - _or did not read again, or gave up_: it died, a call failed, or the original had changed too
//!   often. Then its event was delivered again, at once or from the failure queue, and handled with
//!   an effect of its own: this was not the last one.
//!
//! What this rests on: a call that got no answer takes effect before the event's next delivery is
//! over, or never; and no two different originals look the same to `look`.
//!
//! ```
//! use std::cell::RefCell;
//!
//! use runtime::in_step::bring_in_step;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (order_exists, invoice) = (true, RefCell::new(None));
//! let look = async || Ok::<_, &str>(order_exists);
//! let act = async |exists: &bool| {
//!     invoice.replace(exists.then_some("an invoice"));
//!     Ok(())
//! };
//! assert_eq!(bring_in_step(look, act).await, Ok(Some(true)));
//! assert!(invoice.borrow().is_some());
//! # }
//! ```

/// How often an original may change while what is derived from it is brought in step. One that
/// changes as often as it is looked at is left to the next delivery.
pub const ROUNDS: usize = 5;

/// Brings what is derived in step with its original, by the rule of the [module](self). The answer
/// is how the original was; `None` if it changed in each of the [`ROUNDS`].
pub async fn bring_in_step<S: PartialEq, E>(
    look: impl AsyncFn() -> Result<S, E>,
    act: impl AsyncFn(&S) -> Result<(), E>,
) -> Result<Option<S>, E> {
    let mut seen = look().await?;
    for _ in 0..ROUNDS {
        act(&seen).await?;
        let seen_before = std::mem::replace(&mut seen, look().await?);
        if seen == seen_before {
            return Ok(Some(seen));
        }
    }
    Ok(None)
}
