//! Values that must be there before an app is deployed.

/// A value that an operator stores, outside of the stack, before the app is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorValue {
    /// The service that keeps it.
    pub store: ValueStore,
    /// Its name in the manifest.
    pub name: String,
    /// Its name in the store, on the app's stage.
    pub stored_as: String,
    /// The alias of the customer managed key that encrypts it; `None` for the key that AWS
    /// manages.
    pub key: Option<String>,
    /// The line that declares it.
    pub declared_at: String,
}

/// A service that keeps values of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueStore {
    /// Systems Manager Parameter Store.
    Parameters,
    /// Secrets Manager.
    Secrets,
}
