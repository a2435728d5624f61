use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::catalogue::CatalogueError;
use crate::detector::JobId;
use crate::running::{RunningJob, RunningJobs};

/// Jobs in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryJobs(Rc<RefCell<BTreeMap<JobId, RunningJob>>>);

impl RunningJobs for MemoryJobs {
    async fn note(&self, job: &RunningJob) -> Result<(), CatalogueError> {
        self.0.borrow_mut().insert(job.id.clone(), job.clone());
        Ok(())
    }

    async fn list(&self) -> Result<Vec<RunningJob>, CatalogueError> {
        Ok(self.0.borrow().values().cloned().collect())
    }

    async fn forget(&self, job: &JobId) -> Result<(), CatalogueError> {
        self.0.borrow_mut().remove(job);
        Ok(())
    }
}
