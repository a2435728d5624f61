use runtime::s3::{ObjectKey, Sequencer};

use crate::catalogue::{Catalogue, ChangeKind, MediaItem, ObjectChange, Outcome, State};
use crate::detector::Failure;
use crate::media_type::MediaType;

/// Checks, by panicking, what every [`Catalogue`] promises. The names of its items
/// begin with `prefix`, which must be fresh in a catalogue that outlives the test;
/// `item` reads one.
pub async fn check_catalogue<C: Catalogue>(
    catalogue: &C,
    prefix: &str,
    item: impl AsyncFn(&ObjectKey) -> Option<MediaItem>,
) {
    let subject = Subject {
        catalogue,
        prefix,
        item,
    };
    subject.knows_nothing_at_first().await;
    subject.records_in_order().await;
    subject.leaves_late_and_repeated_changes_out().await;
    subject.compares_sequencers_of_different_length().await;
    subject.remembers_a_removal().await;
    subject.replaces_labels_by_a_failure_and_back().await;
    subject.saves_by_hand_unless_the_state_moved().await;
    subject.keeps_any_key().await;
}

struct Subject<'a, C, I> {
    catalogue: &'a C,
    prefix: &'a str,
    item: I,
}

fn labelled(labels: &[&str]) -> ChangeKind {
    ChangeKind::Labelled {
        media_type: MediaType::Image,
        labels: labels.iter().map(ToString::to_string).collect(),
    }
}

fn failure() -> Failure {
    Failure {
        code: "InvalidImageFormatException".into(),
        message: "Request has invalid image format".into(),
    }
}

fn state_at(sequencer: &str) -> Option<State> {
    let sequencer = Sequencer::parse(sequencer).unwrap();
    Some(State {
        sequencer,
        failure: None,
    })
}

impl<C: Catalogue, I: AsyncFn(&ObjectKey) -> Option<MediaItem>> Subject<'_, C, I> {
    fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(format!("{}{name}", self.prefix)).unwrap()
    }

    async fn record(&self, name: &ObjectKey, sequencer: &str, kind: ChangeKind) -> Outcome {
        let change = ObjectChange {
            name: name.clone(),
            sequencer: Sequencer::parse(sequencer).unwrap(),
            kind,
        };
        self.catalogue.record(&change).await.unwrap()
    }

    async fn save(&self, name: &ObjectKey, labels: &[&str], seen: Option<State>) -> Outcome {
        let item = MediaItem {
            name: name.clone(),
            media_type: MediaType::Image,
            labels: labels.iter().map(ToString::to_string).collect(),
        };
        self.catalogue.save(&item, seen.as_ref()).await.unwrap()
    }

    async fn state(&self, name: &ObjectKey) -> Option<State> {
        self.catalogue.state(name).await.unwrap()
    }

    async fn labels(&self, name: &ObjectKey) -> Option<Vec<String>> {
        let item = (self.item)(name).await?;
        assert_eq!((&item.name, item.media_type), (name, MediaType::Image));
        Some(item.labels)
    }

    async fn knows_nothing_at_first(&self) {
        let name = self.key("unknown.jpg");
        assert_eq!(self.state(&name).await, None);
        assert_eq!(self.labels(&name).await, None);
    }

    async fn records_in_order(&self) {
        let name = self.key("order.jpg");
        assert_eq!(
            self.record(&name, "01", labelled(&["Dog", "Animal"])).await,
            Outcome::Recorded
        );
        assert_eq!(self.labels(&name).await.unwrap(), ["Dog", "Animal"]);
        assert_eq!(
            self.record(&name, "02", labelled(&[])).await,
            Outcome::Recorded
        );
        assert_eq!(self.labels(&name).await.unwrap(), [""; 0]);
        assert_eq!(self.state(&name).await, state_at("02"));
    }

    async fn leaves_late_and_repeated_changes_out(&self) {
        let name = self.key("late.jpg");
        assert_eq!(
            self.record(&name, "05", labelled(&["Dog"])).await,
            Outcome::Recorded
        );
        for (sequencer, kind) in [
            ("05", labelled(&["Cat"])),
            ("0500", ChangeKind::Removed),
            ("04", ChangeKind::Removed),
            ("03", ChangeKind::Failed(failure())),
        ] {
            assert_eq!(
                self.record(&name, sequencer, kind).await,
                Outcome::Superseded
            );
        }
        assert_eq!(self.labels(&name).await.unwrap(), ["Dog"]);
        assert_eq!(self.state(&name).await, state_at("05"));
    }

    async fn compares_sequencers_of_different_length(&self) {
        let name = self.key("length.jpg");
        assert_eq!(
            self.record(&name, "0a", labelled(&["Dog"])).await,
            Outcome::Recorded
        );
        assert_eq!(
            self.record(&name, "09FFFF", ChangeKind::Removed).await,
            Outcome::Superseded
        );
        assert_eq!(
            self.record(&name, "0A01", labelled(&["Cat"])).await,
            Outcome::Recorded
        );
        assert_eq!(
            self.record(&name, "0B", labelled(&["Bus"])).await,
            Outcome::Recorded
        );
        assert_eq!(self.labels(&name).await.unwrap(), ["Bus"]);
    }

    async fn remembers_a_removal(&self) {
        let name = self.key("removed.jpg");
        assert_eq!(
            self.record(&name, "02", ChangeKind::Removed).await,
            Outcome::Recorded
        );
        assert_eq!(
            self.record(&name, "01", labelled(&["Dog"])).await,
            Outcome::Superseded
        );
        assert_eq!(self.labels(&name).await, None);
        assert_eq!(
            self.record(&name, "03", labelled(&["Dog"])).await,
            Outcome::Recorded
        );
        assert_eq!(
            self.record(&name, "04", ChangeKind::Removed).await,
            Outcome::Recorded
        );
        assert_eq!(self.labels(&name).await, None);
        assert_eq!(self.state(&name).await, state_at("04"));
    }

    async fn replaces_labels_by_a_failure_and_back(&self) {
        let name = self.key("failure.jpg");
        self.record(&name, "01", labelled(&["Dog"])).await;
        assert_eq!(
            self.record(&name, "02", ChangeKind::Failed(failure()))
                .await,
            Outcome::Recorded
        );
        assert_eq!(self.labels(&name).await, None);
        assert_eq!(self.state(&name).await.unwrap().failure, Some(failure()));
        assert_eq!(
            self.record(&name, "03", labelled(&["Cat"])).await,
            Outcome::Recorded
        );
        assert_eq!(self.labels(&name).await.unwrap(), ["Cat"]);
        assert_eq!(self.state(&name).await, state_at("03"));
    }

    async fn saves_by_hand_unless_the_state_moved(&self) {
        let name = self.key("by-hand.jpg");
        assert_eq!(self.save(&name, &["Dog"], None).await, Outcome::Recorded);
        assert_eq!(self.labels(&name).await.unwrap(), ["Dog"]);
        assert_eq!(self.state(&name).await, None);

        self.record(&name, "01", ChangeKind::Removed).await;
        assert_eq!(self.save(&name, &["Dog"], None).await, Outcome::Superseded);
        assert_eq!(
            self.save(&name, &["Dog"], state_at("02")).await,
            Outcome::Superseded
        );
        assert_eq!(self.labels(&name).await, None);

        assert_eq!(
            self.save(&name, &["Cat"], state_at("01")).await,
            Outcome::Recorded
        );
        assert_eq!(self.labels(&name).await.unwrap(), ["Cat"]);
        assert_eq!(self.state(&name).await, state_at("01"));

        let vanished = self.key("vanished.jpg");
        assert_eq!(
            self.save(&vanished, &["Dog"], state_at("01")).await,
            Outcome::Superseded
        );
        assert_eq!(self.labels(&vanished).await, None);
    }

    async fn keeps_any_key(&self) {
        for raw in ["a b+c%.jpg", "holiday/2024/café 🐕.png", "%2F.jpg"] {
            let name = self.key(raw);
            assert_eq!(
                self.record(&name, "01", labelled(&["Dog"])).await,
                Outcome::Recorded
            );
            assert_eq!(self.labels(&name).await.unwrap(), ["Dog"], "{raw}");
        }
    }
}
