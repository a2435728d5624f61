//! Time zones by their names.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{self, AmbiguousOffset, TimeZoneDatabase};

/// A time zone of the IANA database, by which a schedule reads its expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone(tz::TimeZone);

/// There is no time zone of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone `{name}`")]
pub struct UnknownTimeZone {
    /// The name.
    pub name: String,
    /// The name that was probably meant.
    pub nearest: Option<String>,
}

impl TimeZone {
    /// Coordinated Universal Time, which a schedule has if none is named.
    pub const UTC: Self = Self(tz::TimeZone::UTC);

    /// The time zone of this name, such as `Europe/Zurich`, in these capitals.
    ///
    /// # Errors
    /// When the IANA database has no such name.
    pub fn named(name: &str) -> Result<Self, UnknownTimeZone> {
        const NEAR_ENOUGH: f64 = 0.7;
        let database = TimeZoneDatabase::bundled();
        match database.get(name) {
            // The database looks for names without regard to capitals.
            Ok(zone) if zone.iana_name() == Some(name) => Ok(Self(zone)),
            _ => {
                let similarity = |other: &str| {
                    strsim::normalized_damerau_levenshtein(
                        &name.to_lowercase(),
                        &other.to_lowercase(),
                    )
                };
                let names = database.available().map(|other| other.to_string());
                let nearest = names
                    .map(|other| (similarity(&other), other))
                    .filter(|(similarity, _)| *similarity >= NEAR_ENOUGH)
                    .max_by(|(left, _), (right, _)| left.total_cmp(right));
                Err(UnknownTimeZone {
                    name: name.to_owned(),
                    nearest: nearest.map(|(_, name)| name),
                })
            }
        }
    }

    /// What clocks show at a moment.
    pub(crate) fn shown_at(&self, moment: Timestamp) -> DateTime {
        self.0.to_datetime(moment)
    }

    /// The first moment at which clocks show `time`; `None` if they skip it, as they do when
    /// daylight saving time begins.
    pub(crate) fn first_moment_of(&self, time: DateTime) -> Option<Timestamp> {
        let moment = self.0.to_ambiguous_timestamp(time);
        match moment.offset() {
            AmbiguousOffset::Gap { .. } => None,
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                moment.earlier().ok()
            }
        }
    }

    /// Likewise, but a time that clocks skip is the one that they show instead.
    pub(crate) fn moment_of(&self, time: DateTime) -> Option<Timestamp> {
        self.0.to_ambiguous_timestamp(time).compatible().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_has_the_name_of_the_database() {
        assert!(TimeZone::named("Europe/Zurich").is_ok());
        assert_eq!(TimeZone::named("UTC"), Ok(TimeZone::UTC));
        for (name, nearest) in [
            ("Europe/Zürich", Some("Europe/Zurich")),
            ("europe/zurich", Some("Europe/Zurich")),
            ("Mars", None),
        ] {
            let error = TimeZone::named(name).unwrap_err();
            assert_eq!(error.nearest.as_deref(), nearest, "{name}");
        }
    }
}
