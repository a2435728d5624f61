//! The waiting line, as two queues of SQS.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use runtime::s3::ObjectEvent;
use runtime::sqs::{NewMessage, Queue};
use runtime::{Aws, Environment, MissingVariable};

use crate::media_type::MediaType;
use crate::waiting::{WaitError, WaitingLine, WaitingObject};

/// The variable that tells for how many seconds an object waits at least. It waits up to twice as
/// long, so that not all come back at once.
const SECONDS_VARIABLE: &str = "WAITING_SECONDS";
const SECONDS_DEFAULT: u64 = 60;
/// SQS delays a message by 15 minutes at most.
const SECONDS_MAX: u64 = 450;

/// Two queues, one for images and one for videos.
#[derive(Debug, Clone)]
pub struct WaitingQueues {
    images: Queue,
    videos: Queue,
    delay: Duration,
}

/// Why the queues are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWaitingQueues {
    /// Their URLs.
    #[error(transparent)]
    Missing(#[from] MissingVariable),
    /// How long objects wait.
    #[error(
        "the variable {SECONDS_VARIABLE} is {0:?}: set it to 0 to {SECONDS_MAX}, or not at all"
    )]
    Seconds(String),
}

impl WaitingQueues {
    /// The queues that the stack's variables name.
    pub fn named_by(aws: &Aws, environment: &Environment) -> Result<Self, NoWaitingQueues> {
        let queue = |variable| Ok(Queue::new(aws, environment.require(variable)?));
        Ok(Self {
            images: queue("WAITING_IMAGES_QUEUE_URL").map_err(NoWaitingQueues::Missing)?,
            videos: queue("WAITING_VIDEOS_QUEUE_URL").map_err(NoWaitingQueues::Missing)?,
            delay: delay(environment.get(SECONDS_VARIABLE))?,
        })
    }
}

fn delay(text: Option<&str>) -> Result<Duration, NoWaitingQueues> {
    let seconds = match text {
        None => SECONDS_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| *seconds <= SECONDS_MAX)
            .ok_or_else(|| NoWaitingQueues::Seconds(text.to_owned()))?,
    };
    Ok(Duration::from_secs(seconds))
}

impl WaitingLine for WaitingQueues {
    async fn wait(&self, media_type: MediaType, event: &ObjectEvent) -> Result<(), WaitError> {
        let queue = match media_type {
            MediaType::Image => &self.images,
            MediaType::Video => &self.videos,
        };
        let object = WaitingObject::from(event);
        let message = NewMessage::json(&object).map_err(|error| WaitError::of(event, error))?;
        let sent = queue.send(message.delay(spread(self.delay, event))).await;
        sent.map_err(|error| WaitError::of(event, error))
    }
}

/// From `delay` up to twice as long, by the object.
fn spread(delay: Duration, event: &ObjectEvent) -> Duration {
    let mut hasher = DefaultHasher::new();
    (event.key.as_str(), &event.sequencer).hash(&mut hasher);
    let per_mille = u32::try_from(hasher.finish() % 1000).unwrap_or_default();
    delay + delay * per_mille / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::s3::{ObjectKey, Sequencer};
    use runtime::testing::Wire;
    use serde_json::json;

    fn event(name: &str) -> ObjectEvent {
        ObjectEvent {
            key: ObjectKey::new(name).unwrap(),
            sequencer: Sequencer::parse("0055AED6DCD90281E5").unwrap(),
        }
    }

    fn queues(wire: &Wire) -> WaitingQueues {
        let environment = Environment::from_iter([
            ("WAITING_IMAGES_QUEUE_URL", "https://sqs.example/1/images"),
            ("WAITING_VIDEOS_QUEUE_URL", "https://sqs.example/1/videos"),
        ]);
        WaitingQueues::named_by(&wire.aws(), &environment).unwrap()
    }

    #[tokio::test]
    async fn images_and_videos_wait_apart_for_a_while() {
        let answer = || (200, json!({"MessageId": "a"}));
        let wire = Wire::new([answer(), answer()]);
        let queues = queues(&wire);
        let name = "my holiday/dog+é.jpg";
        queues.wait(MediaType::Image, &event(name)).await.unwrap();
        queues
            .wait(MediaType::Video, &event("a.mp4"))
            .await
            .unwrap();
        let requests = wire.requests();
        let urls: Vec<_> = requests.iter().map(|(_, body)| &body["QueueUrl"]).collect();
        assert_eq!(
            urls,
            [
                "https://sqs.example/1/images",
                "https://sqs.example/1/videos"
            ]
        );
        for (_, body) in &requests {
            let seconds = body["DelaySeconds"].as_u64().unwrap();
            assert!((60..=120).contains(&seconds), "{seconds}");
        }
        let body = requests[0].1["MessageBody"].as_str().unwrap();
        let object: WaitingObject = serde_json::from_str(body).unwrap();
        assert_eq!(ObjectEvent::try_from(object), Ok(event(name)));
    }

    #[tokio::test]
    async fn an_object_that_cannot_wait_is_an_error() {
        let wire = Wire::new([(
            400,
            json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist"}),
        )]);
        let error = queues(&wire).wait(MediaType::Image, &event("a.jpg")).await;
        let text = error.unwrap_err().to_string();
        assert!(
            text.starts_with("could not send \"a.jpg\" to the queue of waiting objects: "),
            "{text}"
        );
    }

    #[test]
    fn the_delay_is_one_that_sqs_takes() {
        assert_eq!(delay(None), Ok(Duration::from_secs(60)));
        assert_eq!(delay(Some("0")), Ok(Duration::ZERO));
        assert_eq!(delay(Some("450")), Ok(Duration::from_secs(450)));
        for text in ["", "451", "-1", "a minute"] {
            let seconds = NoWaitingQueues::Seconds(text.to_owned());
            assert_eq!(delay(Some(text)), Err(seconds));
        }
    }

    #[test]
    fn delays_are_spread() {
        let second = Duration::from_secs(1);
        let delays: std::collections::BTreeSet<_> = (0..20)
            .map(|number| spread(second, &event(&format!("{number}.jpg"))))
            .collect();
        assert!(delays.len() > 10, "{delays:?}");
        assert!(
            delays
                .iter()
                .all(|delay| (second..second * 2).contains(delay))
        );
    }
}
