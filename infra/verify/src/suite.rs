//! An app's checks, and what proves them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::check::{Check, Stopped};
use crate::probe::Probe;

/// All checks of an app.
#[derive(Debug)]
pub struct Suite {
    /// What the checks do with a stage, and what a run costs, in sentences.
    pub about: &'static str,
    /// They run side by side.
    pub flows: Vec<Flow>,
}

/// Checks that build on each other, in their order.
pub struct Flow {
    /// What a user selects it by.
    pub name: &'static str,
    /// Its checks.
    pub checks: &'static [Check],
    run: Box<dyn Fn(Probe) -> Running + Send + Sync>,
}

type Running = Pin<Box<dyn Future<Output = Result<(), Stopped>> + Send>>;

impl Flow {
    /// A flow and the function that proves its checks.
    pub fn new<F>(
        name: &'static str,
        checks: &'static [Check],
        run: impl Fn(Probe) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Stopped>> + Send + 'static,
    {
        let run = Box::new(move |probe| -> Running { Box::pin(run(probe)) });
        Self { name, checks, run }
    }

    pub(crate) fn start(&self, probe: Probe) -> Running {
        (self.run)(probe)
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("name", &self.name)
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}
