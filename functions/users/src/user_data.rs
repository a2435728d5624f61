//! The object that each user has in the user bucket, and the rule that keeps the bucket in
//! step with the table.
//!
//! The object exists exactly if the item does. A record of the stream that says that an item was
//! created or deleted is only the occasion to look: [`reconcile`] follows the rule of
//! [`runtime::in_step`].
//!
//! S3 cannot tell a deletion that was sent before the item came back.
//!
//! `handle-user-stream` has a test that drives this through random interleavings.

use std::future::Future;

use runtime::in_step::{ROUNDS, bring_in_step};
use runtime::s3::DerivedKey;

use crate::user::UserId;

/// What the object holds.
pub const CONTENT: &str = "just some data";

/// Key of a user's object: `<user's key>/userdata`, see [`DerivedKey`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserDataKey(DerivedKey);

impl UserDataKey {
    /// The key of this user's object.
    pub fn of(user: &UserId) -> Self {
        Self(DerivedKey::new(user.as_str(), "userdata"))
    }

    /// The key as S3 takes it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What this rule needs of the users table.
pub trait Users {
    /// Whether the item exists. Every write that ended before is seen.
    fn exists(&self, user: &UserId) -> impl Future<Output = Result<bool, ReconcileError>>;
}

/// The user bucket.
pub trait UserData {
    /// Makes sure that the object exists. One that does stays as it is.
    fn put(&self, key: &UserDataKey) -> impl Future<Output = Result<(), ReconcileError>>;

    /// Makes sure that the object does not exist.
    fn delete(&self, key: &UserDataKey) -> impl Future<Output = Result<(), ReconcileError>>;
}

/// Why an object is not known to be in step with its item. Trying again later may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// The item could not be read.
    #[error("could not read the user: {0}")]
    Users(String),
    /// The object could not be put or deleted.
    #[error("could not {action} the user's object: {reason}")]
    UserData {
        /// What was tried, as in "put".
        action: &'static str,
        /// What the storage said.
        reason: String,
    },
    /// Someone creates and deletes the item all the time.
    #[error("the user was created or deleted again in each of {ROUNDS} rounds")]
    Unsettled,
}

/// How an object was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// The user exists, and so does the object.
    Present,
    /// The user does not exist, nor does the object.
    Absent,
}

/// Brings a user's object in step with the user.
pub async fn reconcile(
    users: &impl Users,
    user_data: &impl UserData,
    user: &UserId,
) -> Result<Reconciled, ReconcileError> {
    let key = UserDataKey::of(user);
    let look = async || users.exists(user).await;
    let act = async |exists: &bool| match exists {
        true => user_data.put(&key).await,
        false => user_data.delete(&key).await,
    };
    match bring_in_step(look, act).await? {
        Some(true) => Ok(Reconciled::Present),
        Some(false) => Ok(Reconciled::Absent),
        None => Err(ReconcileError::Unsettled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;

    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use runtime::s3::MAX_KEY_BYTES;

    fn key_of(user: &str) -> String {
        UserDataKey::of(&UserId::new(user).unwrap())
            .as_str()
            .to_owned()
    }

    #[test]
    fn a_users_key_is_one_segment() {
        for (user, key) in [
            ("john", "john/userdata"),
            (
                "019b8d5a-3f60-7cc2-a2b4-5d6e7f809102",
                "019b8d5a-3f60-7cc2-a2b4-5d6e7f809102/userdata",
            ),
            ("a.b_c~d-E9", "a.b_c~d-E9/userdata"),
            (".", "%2E/userdata"),
            ("..", "%2E%2E/userdata"),
            ("...", ".../userdata"),
            ("../jane", "..%2Fjane/userdata"),
            ("jane/userdata", "jane%2Fuserdata/userdata"),
            ("%2E", "%252E/userdata"),
            ("john smith", "john%20smith/userdata"),
            ("john+smith", "john%2Bsmith/userdata"),
            ("\0\n", "%00%0A/userdata"),
            ("é", "%C3%A9/userdata"),
        ] {
            assert_eq!(key_of(user), key);
        }
    }

    #[test]
    fn a_key_too_long_for_s3_is_hashed() {
        let longest = "a".repeat(MAX_KEY_BYTES - "/userdata".len());
        assert_eq!(key_of(&longest), format!("{longest}/userdata"));
        assert_eq!(
            key_of(&format!("{longest}a")),
            "%sha256-356291541f75d348df26c874d8d4fd9aec8150513c768c94af34a06fd0340255/userdata"
        );
        assert_eq!(
            key_of(&"é".repeat(1024)).len(),
            "%sha256-/userdata".len() + 64
        );
    }

    fn any_user() -> impl Strategy<Value = String> {
        prop_oneof![
            "[./%2EFa]{1,4}",
            "\\PC{1,8}",
            "[a/]{1010,1020}",
            Just(format!("%sha256-{}", "0".repeat(64))),
        ]
    }

    proptest! {
        #[test]
        fn a_key_tells_its_user(user in any_user()) {
            let key = key_of(&user);
            prop_assert!(key.len() <= MAX_KEY_BYTES);
            let segment = key.strip_suffix("/userdata").unwrap();
            prop_assert!(!segment.contains('/') && segment != "." && segment != "..");
            // Whatever can be decoded has one origin, and hashes cannot.
            if segment.starts_with("%sha256-") {
                prop_assert!(user.len() > 300);
            } else {
                let decoded = percent_decode_str(segment).decode_utf8().unwrap();
                prop_assert_eq!(decoded, user);
            }
        }

        #[test]
        fn no_two_users_have_the_same_object(one in any_user(), other in any_user()) {
            prop_assert_eq!(key_of(&one) == key_of(&other), one == other);
        }
    }

    /// A table that answers from a script, and the effects on the bucket.
    #[derive(Default)]
    struct Script {
        answers: RefCell<VecDeque<bool>>,
        effects: RefCell<Vec<&'static str>>,
        failing: Cell<bool>,
    }

    impl Users for Script {
        async fn exists(&self, _: &UserId) -> Result<bool, ReconcileError> {
            let answer = self.answers.borrow_mut().pop_front();
            answer.ok_or_else(|| ReconcileError::Users("throttled".into()))
        }
    }

    impl Script {
        fn effect(&self, action: &'static str) -> Result<(), ReconcileError> {
            self.effects.borrow_mut().push(action);
            if self.failing.get() {
                let reason = "throttled".into();
                return Err(ReconcileError::UserData { action, reason });
            }
            Ok(())
        }
    }

    impl UserData for Script {
        async fn put(&self, _: &UserDataKey) -> Result<(), ReconcileError> {
            self.effect("put")
        }

        async fn delete(&self, _: &UserDataKey) -> Result<(), ReconcileError> {
            self.effect("delete")
        }
    }

    async fn reconciled(
        answers: &[bool],
    ) -> (Result<Reconciled, ReconcileError>, Vec<&'static str>) {
        let script = Script::default();
        script.answers.borrow_mut().extend(answers);
        let user = UserId::new("john").unwrap();
        let result = reconcile(&script, &script, &user).await;
        (result, script.effects.take())
    }

    #[tokio::test]
    async fn the_object_follows_the_item_until_it_rests() {
        let (present, absent) = (Ok(Reconciled::Present), Ok(Reconciled::Absent));
        assert_eq!(reconciled(&[true; 2]).await, (present.clone(), vec!["put"]));
        assert_eq!(reconciled(&[false; 2]).await, (absent, vec!["delete"]));
        assert_eq!(
            reconciled(&[true, false, true, true]).await,
            (present, vec!["put", "delete", "put"])
        );
    }

    #[tokio::test]
    async fn an_item_that_never_rests_is_left_to_the_next_delivery() {
        let (result, effects) = reconciled(&[true, false, true, false, true, false, true]).await;
        assert_eq!(result, Err(ReconcileError::Unsettled));
        assert_eq!(effects.len(), ROUNDS);
    }

    #[tokio::test]
    async fn a_call_that_fails_fails_the_whole() {
        for answers in [vec![], vec![true]] {
            let (result, _) = reconciled(&answers).await;
            assert!(matches!(result, Err(ReconcileError::Users(_))));
        }
        let script = Script::default();
        script.answers.borrow_mut().extend([true, true]);
        script.failing.set(true);
        let user = UserId::new("john").unwrap();
        let error = reconcile(&script, &script, &user).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not put the user's object: throttled"
        );
    }
}
