//! What the operations for pictures and for videos say about labels, and the filters that both take.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    image_properties::DominantColor,
    labels::{self, Detection},
    protocol::{ApiError, ErrorKind},
};

/// The most values of a filter, from the reference of the type `GeneralLabelsSettings`.
const MAX_FILTER_VALUES: usize = 100;

/// The most characters of a filter's value, from the same page.
const MAX_FILTER_LENGTH: usize = 50;

/// The settings `GeneralLabels` of a request: which labels are wanted.
///
/// A label is wanted if an inclusion filter names it or its category, or if there is no inclusion filter, and no
/// exclusion filter names it or its category.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GeneralLabelsSettings {
    /// Labels.
    pub label_inclusion_filters: Option<Vec<String>>,
    /// Labels.
    pub label_exclusion_filters: Option<Vec<String>>,
    /// Categories.
    pub label_category_inclusion_filters: Option<Vec<String>>,
    /// Categories.
    pub label_category_exclusion_filters: Option<Vec<String>>,
}

impl GeneralLabelsSettings {
    /// Checks the constraints of the API reference. Amazon Rekognition may know labels that are unknown here.
    ///
    /// # Errors
    /// A filter has too many values, or a value that cannot be a label or a category.
    pub fn validate(&self) -> Result<(), ApiError> {
        for (name, filter) in [
            ("LabelInclusionFilters", &self.label_inclusion_filters),
            ("LabelExclusionFilters", &self.label_exclusion_filters),
            (
                "LabelCategoryInclusionFilters",
                &self.label_category_inclusion_filters,
            ),
            (
                "LabelCategoryExclusionFilters",
                &self.label_category_exclusion_filters,
            ),
        ] {
            let invalid = |reason: String| {
                let message = format!("Settings.GeneralLabels.{name} has {reason}");
                Err(ApiError::new(ErrorKind::InvalidParameter, message))
            };
            let values = filter.as_deref().unwrap_or_default();
            if values.len() > MAX_FILTER_VALUES {
                return invalid(format!(
                    "{} values; up to {MAX_FILTER_VALUES} are allowed",
                    values.len()
                ));
            }
            for value in values {
                if value.chars().count() > MAX_FILTER_LENGTH {
                    return invalid(format!(
                        "a value of more than {MAX_FILTER_LENGTH} characters"
                    ));
                }
                if let Some(other) = value.chars().find(|it| !may_be_in_a_name(*it)) {
                    return invalid(format!(
                        "a value with the character {other:?}, which is in no label"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether a label is wanted.
    #[must_use]
    pub fn admit(&self, label: &labels::Label) -> bool {
        fn named(filter: Option<&Vec<String>>, name: Option<&str>) -> bool {
            filter
                .into_iter()
                .flatten()
                .any(|value| Some(value.as_str()) == name)
        }
        let (name, category) = (Some(label.name), label.category);
        let inclusions = [
            &self.label_inclusion_filters,
            &self.label_category_inclusion_filters,
        ];
        let included = inclusions.into_iter().flatten().all(Vec::is_empty)
            || named(self.label_inclusion_filters.as_ref(), name)
            || named(self.label_category_inclusion_filters.as_ref(), category);
        included
            && !named(self.label_exclusion_filters.as_ref(), name)
            && !named(self.label_category_exclusion_filters.as_ref(), category)
    }
}

/// The pattern of the type `GeneralLabelsFilterValue`: from the apostrophe to the underscore, ASCII is allowed whole.
fn may_be_in_a_name(character: char) -> bool {
    matches!(character, 'A'..='Z' | 'a'..='z' | '\''..='_' | ' ' | 'à' | 'â' | 'è' | 'ç' | 'ñ' | 'ó')
}

/// A label in a response.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Label {
    /// What was seen.
    pub name: Cow<'static, str>,
    /// Percent.
    pub confidence: f32,
    /// Where it was seen.
    pub instances: Vec<Instance>,
    /// What it is a kind of.
    pub parents: Vec<Name>,
    /// Other words for it.
    pub aliases: Vec<Name>,
    /// What it is filed under.
    pub categories: Vec<Name>,
}

/// A parent, an alias or a category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Name {
    /// The name.
    pub name: Cow<'static, str>,
}

/// One thing in a response.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    /// Around the thing.
    pub bounding_box: labels::BoundingBox,
    /// Percent.
    pub confidence: f32,
    /// Told only when the picture's properties are asked for, too. Those of videos are not.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub dominant_colors: Option<Vec<DominantColor>>,
}

impl Label {
    /// A detection as a response shows it, with the instances of at least this confidence, in percent.
    #[must_use]
    pub fn new(detection: &Detection<'_>, min_confidence: f32) -> Self {
        let names = |names: &[&'static str]| {
            let names = names.iter().copied().map(Cow::Borrowed);
            names.map(|name| Name { name }).collect()
        };
        let label = detection.label;
        Self {
            name: Cow::Borrowed(label.name),
            confidence: detection.confidence,
            instances: detection
                .instances
                .iter()
                .filter(|instance| instance.confidence >= min_confidence)
                .map(|instance| Instance {
                    bounding_box: instance.bounds,
                    confidence: instance.confidence,
                    dominant_colors: None,
                })
                .collect(),
            parents: names(&label.parents),
            aliases: names(&label.aliases),
            categories: names(label.category.as_slice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn label(name: &'static str, category: Option<&'static str>) -> labels::Label {
        labels::Label {
            name,
            parents: vec!["Animal"],
            aliases: vec!["Kitty"],
            category,
        }
    }

    fn settings(value: serde_json::Value) -> GeneralLabelsSettings {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn filters_include_by_label_or_category_and_exclude_by_either() {
        let cat = label("Cat", Some("Animals and Pets"));
        let cup = label("Cup", None);
        for (filters, admits_cat, admits_cup) in [
            (json!({}), true, true),
            (json!({"LabelInclusionFilters": []}), true, true),
            (json!({"LabelInclusionFilters": ["Cup"]}), false, true),
            (json!({"LabelInclusionFilters": ["cat"]}), false, false),
            (
                json!({"LabelCategoryInclusionFilters": ["Animals and Pets"]}),
                true,
                false,
            ),
            (
                json!({"LabelInclusionFilters": ["Cup"], "LabelCategoryInclusionFilters": ["Animals and Pets"]}),
                true,
                true,
            ),
            (json!({"LabelExclusionFilters": ["Cat"]}), false, true),
            (
                json!({"LabelCategoryExclusionFilters": ["Animals and Pets"]}),
                false,
                true,
            ),
            (
                json!({"LabelCategoryInclusionFilters": ["Animals and Pets"], "LabelExclusionFilters": ["Cat"]}),
                false,
                false,
            ),
        ] {
            let settings = settings(filters.clone());
            assert_eq!(
                (settings.admit(&cat), settings.admit(&cup)),
                (admits_cat, admits_cup),
                "{filters}"
            );
        }
    }

    #[test]
    fn constraints_on_filters_are_those_of_the_reference() {
        let valid =
            |values: Vec<String>| settings(json!({"LabelExclusionFilters": values})).validate();
        assert!(valid(vec!["Dog's Toy (small), à la carte_1.".into()]).is_ok());
        assert!(valid(vec!["x".repeat(50); 100]).is_ok());
        for refused in [
            vec!["x".to_owned(); 101],
            vec!["x".repeat(51)],
            vec!["Käse".into()],
            vec!["\n".into()],
        ] {
            let error = valid(refused).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidParameter);
            assert!(
                error.message.contains("LabelExclusionFilters"),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn a_label_has_the_members_of_the_reference_and_its_confident_instances() {
        let cat = label("Cat", Some("Animals and Pets"));
        let at = |left, confidence| labels::Instance {
            bounds: labels::BoundingBox {
                left,
                top: 0.25,
                width: 0.5,
                height: 0.75,
            },
            confidence,
        };
        let detection = Detection {
            label: &cat,
            confidence: 91.5,
            instances: vec![at(0.0, 80.0), at(0.5, 79.0)],
        };
        let expected = json!({
            "Name": "Cat",
            "Confidence": 91.5,
            "Instances": [{
                "BoundingBox": {"Left": 0.0, "Top": 0.25, "Width": 0.5, "Height": 0.75},
                "Confidence": 80.0,
            }],
            "Parents": [{"Name": "Animal"}],
            "Aliases": [{"Name": "Kitty"}],
            "Categories": [{"Name": "Animals and Pets"}],
        });
        assert_eq!(
            serde_json::to_value(Label::new(&detection, 80.0)).unwrap(),
            expected
        );
    }
}
