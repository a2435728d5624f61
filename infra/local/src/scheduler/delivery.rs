//! How a firing reaches Lambda, or else the schedule's dead-letter queue.

use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_lambda::config::SharedHttpClient;
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sqs::types::MessageAttributeValue;
use aws_types::SdkConfig;
use schedules::{Firing, Timestamp};
use traces::What;
use tracing::{error, warn};
use uuid::Uuid;

use super::schedule::Listed;
use crate::aws::{self, text_of};
use crate::observer::{in_ms, now_ms};
use crate::{Emulator, Observer};

/// On AWS, the pauses between attempts grow to minutes.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Says on whose behalf a role is assumed, and which service assumes it: see `emulator.py`.
const SOURCE_ACCOUNT: &str = "x-amz-source-account";
const SOURCE_ARN: &str = "x-amz-source-arn";
const SERVICE_PRINCIPAL: &str = "x-local-service-principal";

/// Codes of errors that another attempt may be spared.
const PASSING: [&str; 3] = [
    "ServiceException",
    "TooManyRequestsException",
    "ThrottlingException",
];

/// Delivers firings.
#[derive(Debug)]
pub(super) struct Delivery {
    config: SdkConfig,
    sts: aws_sdk_sts::Client,
    observer: Observer,
}

/// Why an event was not taken.
#[derive(Debug)]
struct Refusal {
    code: String,
    message: String,
    may_pass: bool,
}

impl Refusal {
    fn of(error: &(impl ProvideErrorMetadata + std::error::Error)) -> Self {
        Self {
            code: error.code().unwrap_or("Unknown").to_owned(),
            message: error
                .message()
                .map_or_else(|| text_of(error), str::to_owned),
            // Without a code, nobody has answered.
            may_pass: error.code().is_none_or(|code| PASSING.contains(&code)),
        }
    }
}

impl Delivery {
    pub(super) fn new(
        emulator: &Emulator,
        region: &str,
        http: SharedHttpClient,
        observer: Observer,
    ) -> Self {
        let config = aws::config(emulator.endpoint(), emulator.keys(), region, http);
        let sts = aws_sdk_sts::Client::new(&config);
        Self {
            config,
            sts,
            observer,
        }
    }

    /// Returns when Lambda has the event, or the dead-letter queue.
    pub(super) async fn deliver(&self, schedule: &Listed, scheduled_time: Timestamp) {
        if !schedule.target.arn.contains(":lambda:") {
            let target = &schedule.target.arn;
            warn!(
                schedule = schedule.arn,
                target, "the local stage fires schedules of functions only"
            );
            return;
        }
        let policy = &schedule.target.retry_policy;
        let give_up_after = Duration::from_secs(policy.maximum_event_age_in_seconds);
        let began = Instant::now();
        let mut firing = Firing {
            schedule_arn: schedule.arn.clone(),
            scheduled_time,
            execution_id: Uuid::new_v4().to_string(),
            attempt_number: 1,
        };
        loop {
            let event = schedule.target.input().event(&firing);
            let started_ms = now_ms();
            let invoked = self.invoke(schedule, &event).await;
            self.note(&firing, started_ms, invoked.as_ref());
            let Err(refusal) = invoked else {
                return;
            };
            let pause = Duration::from_secs(1 << (firing.attempt_number - 1).min(8)).min(PAUSE_MAX);
            let exhausted = if !refusal.may_pass {
                None
            } else if firing.attempt_number > policy.maximum_retry_attempts {
                Some("MaximumRetryAttempts")
            } else if began.elapsed() + pause > give_up_after {
                Some("MaximumEventAgeInSeconds")
            } else {
                tokio::time::sleep(pause).await;
                firing.attempt_number += 1;
                continue;
            };
            self.give_up(schedule, &firing, event, &refusal, exhausted)
                .await;
            return;
        }
    }

    fn note(&self, firing: &Firing, started_ms: f64, invoked: Result<&Option<String>, &Refusal>) {
        self.observer.add(What::Firing(traces::Firing {
            execution_id: firing.execution_id.clone(),
            schedule: firing.schedule_arn.clone(),
            scheduled_ms: in_ms(SystemTime::from(firing.scheduled_time)),
            started_ms,
            attempt: firing.attempt_number,
            request_id: invoked.ok().cloned().flatten(),
            error: invoked.err().map(|refusal| refusal.message.clone()),
        }));
    }

    /// Returns Lambda's identifier of the event.
    async fn invoke(&self, schedule: &Listed, event: &str) -> Result<Option<String>, Refusal> {
        let credentials = self.assume_role(schedule).await?;
        let config = aws_sdk_lambda::config::Builder::from(&self.config)
            .credentials_provider(credentials)
            .build();
        aws_sdk_lambda::Client::from_conf(config)
            .invoke()
            .function_name(&schedule.target.arn)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(event))
            .send()
            .await
            .map(|answer| answer.request_id().map(str::to_owned))
            .map_err(|error| Refusal::of(&error))
    }

    /// As AWS does it: with the event, and why it is there.
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html>
    async fn give_up(
        &self,
        schedule: &Listed,
        firing: &Firing,
        event: String,
        refusal: &Refusal,
        exhausted: Option<&str>,
    ) {
        let (arn, reason) = (&schedule.arn, &refusal.message);
        let retries = (firing.attempt_number - 1).to_string();
        let time = firing.scheduled_time.to_string();
        let attributes = [
            ("ERROR_CODE", refusal.code.as_str()),
            ("ERROR_MESSAGE", reason),
            ("EXECUTION_ID", &firing.execution_id),
            ("IS_PAYLOAD_TRUNCATED", "false"),
            ("RETRY_ATTEMPTS", &retries),
            ("SCHEDULED_TIME", &time),
            ("SCHEDULE_ARN", arn),
            ("TARGET_ARN", &schedule.target.arn),
        ];
        let exhausted = exhausted.map(|condition| ("EXHAUSTED_RETRY_CONDITION", condition));
        let attributes = attributes.into_iter().chain(exhausted);
        let Some(queue) = &schedule.target.dead_letter_config else {
            error!(
                schedule = arn,
                event, reason, "an event is lost: the schedule has no dead-letter queue"
            );
            return;
        };
        match self
            .send(schedule, &queue.arn, event.clone(), attributes)
            .await
        {
            Ok(()) => warn!(
                schedule = arn,
                reason, "Lambda did not take the event; it is in the dead-letter queue"
            ),
            // On AWS it would be counted as InvocationsFailedToBeSentToDeadLetterCount.
            Err(refused) => error!(
                schedule = arn,
                event,
                reason,
                queue = refused.message,
                "an event is lost: the dead-letter queue did not take it"
            ),
        }
    }

    async fn send<'a>(
        &self,
        schedule: &Listed,
        queue_arn: &str,
        event: String,
        attributes: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Refusal> {
        let credentials = self.assume_role(schedule).await?;
        let config = aws_sdk_sqs::config::Builder::from(&self.config)
            .credentials_provider(credentials)
            .build();
        let mut parts = queue_arn.rsplit(':');
        let (name, account) = (parts.next(), parts.next());
        let url = aws_sdk_sqs::Client::new(&self.config)
            .get_queue_url()
            .set_queue_name(name.map(str::to_owned))
            .set_queue_owner_aws_account_id(account.map(str::to_owned))
            .send()
            .await
            .map_err(|error| Refusal::of(&error))?
            .queue_url;
        let mut message = aws_sdk_sqs::Client::from_conf(config)
            .send_message()
            .set_queue_url(url)
            .message_body(event);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value);
            // The data type is there.
            if let Ok(value) = value.build() {
                message = message.message_attributes(name, value);
            }
        }
        let sent = message.send().await;
        sent.map(drop).map_err(|error| Refusal::of(&error))
    }

    async fn assume_role(&self, schedule: &Listed) -> Result<Credentials, Refusal> {
        let parts: Vec<&str> = schedule.arn.split(':').collect();
        let account = parts.get(4).copied().unwrap_or_default().to_owned();
        let group = schedule.arn.replacen(":schedule/", ":schedule-group/", 1);
        let group = group
            .rsplit_once('/')
            .map_or(group.clone(), |(group, _)| group.to_owned());
        let assumed = self
            .sts
            .assume_role()
            .role_arn(&schedule.target.role_arn)
            .role_session_name("scheduler")
            .customize()
            .mutate_request(move |request| {
                let headers = request.headers_mut();
                headers.insert(SOURCE_ACCOUNT, account.clone());
                headers.insert(SOURCE_ARN, group.clone());
                headers.insert(SERVICE_PRINCIPAL, "scheduler.amazonaws.com");
            })
            .send()
            .await
            .map_err(|error| Refusal::of(&error))?;
        let credentials = assumed.credentials.ok_or_else(|| Refusal {
            code: "Unknown".to_owned(),
            message: "STS gave no credentials".to_owned(),
            may_pass: false,
        })?;
        Ok(Credentials::new(
            credentials.access_key_id,
            credentials.secret_access_key,
            Some(credentials.session_token),
            None,
            "schedule's role",
        ))
    }
}
