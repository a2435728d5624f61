//! What a stage's stack shall be: the manifest and the packages, joined.

use std::collections::BTreeMap;

use deploy::{Mode, RollbackAlarm, StackSpec, Store};
use manifest::{App, Function};

use crate::context::Context;

/// The template's parameter for the bucket with the functions' code.
pub(crate) const ARTIFACT_BUCKET_PARAMETER: &str = "ArtifactBucket";

/// Where an app's code for a stage lies in the artifact bucket.
pub(crate) fn artifact_prefix(context: &Context) -> String {
    format!("{}/{}/", context.app.name(), context.app.stage().name)
}

/// A stack's template and all that goes with it.
#[derive(Debug)]
pub(crate) struct Wanted {
    stack: String,
    template: String,
    parameters: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    bucket: String,
    prefix: String,
    functions: BTreeMap<String, String>,
    mode: Mode,
    retains_data: bool,
    rollback_alarm: Option<RollbackAlarm>,
}

impl Wanted {
    /// `keys` are those of the functions' code in `bucket`, by the functions' names.
    pub(crate) fn new(context: &Context, bucket: String, keys: &BTreeMap<String, String>) -> Self {
        let app = &context.app;
        let mut parameters =
            BTreeMap::from([(ARTIFACT_BUCKET_PARAMETER.to_owned(), bucket.clone())]);
        for function in app.functions() {
            if let Some(key) = keys.get(function.name()) {
                parameters.insert(function.code_parameter(), key.clone());
            }
        }
        let code = |function: &Function| (function.physical_name(), function.code_parameter());
        Self {
            stack: app.stack_name(),
            template: context.template().to_owned(),
            parameters,
            tags: app.tags(),
            bucket,
            prefix: artifact_prefix(context),
            functions: app.functions().map(code).collect(),
            mode: if app.stage().express {
                Mode::Express
            } else {
                Mode::Standard
            },
            retains_data: context.retains_data(),
            rollback_alarm: rollback_alarm(app),
        }
    }

    pub(crate) fn spec(&self) -> StackSpec<'_> {
        StackSpec {
            parameters: self.parameters.clone(),
            tags: self.tags.clone(),
            store: Some(Store {
                bucket: &self.bucket,
                prefix: &self.prefix,
            }),
            functions: self.functions.clone(),
            mode: self.mode,
            retains_data: self.retains_data,
            rollback_alarm: self.rollback_alarm,
            ..StackSpec::new(&self.stack, &self.template)
        }
    }
}

fn rollback_alarm(app: &App) -> Option<RollbackAlarm> {
    if app.ignores_alarms() {
        return None;
    }
    let minutes = app.stage().rollback_on_alarm_minutes?;
    Some(RollbackAlarm {
        output: app.rollback_alarm_output()?,
        minutes: i32::try_from(minutes).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use manifest::Stages;

    use super::*;
    use crate::testing;

    #[test]
    fn an_update_is_watched_unless_alarms_are_ignored() {
        let stages = "dev: {alarms: true, rollback_on_alarm_minutes: 5}";
        let stage = Stages::parse(stages).unwrap().get("dev").unwrap();
        let app = testing::app().resolve(&stage).unwrap();
        assert_eq!(rollback_alarm(&app).map(|alarm| alarm.minutes), Some(5));
        assert_eq!(rollback_alarm(&app.ignoring_alarms()), None);
    }
}
