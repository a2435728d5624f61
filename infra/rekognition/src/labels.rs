//! The labels: what the classes of the model are called, and what they are kinds of.
//!
//! The table `data/labels.tsv` is derived from WordNet; `data/generate.py` says how.

use std::collections::BTreeMap;

/// The vocabulary of ImageNet-1k, arranged by WordNet.
pub struct Vocabulary {
    labels: Vec<Label>,
    /// For each class of the model: its name there, and the labels it counts for, its own first.
    classes: Vec<(&'static str, Vec<usize>)>,
}

/// A label and those above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// As it is shown, such as `German Shepherd`.
    pub name: &'static str,
    /// All labels that this one is a kind of, from the nearest to the most general.
    pub parents: Vec<&'static str>,
}

/// A label of one image.
#[derive(Debug, Clone)]
pub struct Detection<'a> {
    /// What was detected.
    pub label: &'a Label,
    /// Percent, from 0 to 100.
    pub confidence: f32,
    /// Where it was seen, from the most to the least confident. What describes the whole picture has no place in it.
    pub instances: Vec<Instance>,
}

/// One thing in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instance {
    /// Around the thing, inside the picture.
    pub bounds: BoundingBox,
    /// Percent, from 0 to 100.
    pub confidence: f32,
}

/// A part of a picture, in ratios of the picture's width and height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox {
    /// From the picture's left side.
    pub left: f32,
    /// From the picture's top.
    pub top: f32,
    /// Of the part.
    pub width: f32,
    /// Of the part.
    pub height: f32,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self::parse(include_str!("../data/labels.tsv"))
    }
}

impl Vocabulary {
    fn parse(table: &'static str) -> Self {
        let rows = table
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let mut columns = line.split('\t');
                let mut column = || columns.next().unwrap_or_default();
                let (class, name, parents) = (column(), column(), column());
                (
                    class,
                    Label {
                        name,
                        parents: parents
                            .split(',')
                            .filter(|parent| !parent.is_empty())
                            .collect(),
                    },
                )
            });
        let (mut labels, mut indices, mut classes) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (class, label) in rows {
            let name = label.name;
            indices.entry(name).or_insert_with(|| {
                labels.push(label);
                labels.len() - 1
            });
            if !class.is_empty() {
                classes.push((class, name));
            }
        }
        let counts_for = |name| {
            let own = indices[name];
            let parents = labels[own]
                .parents
                .iter()
                .filter_map(|parent| indices.get(parent));
            std::iter::once(own).chain(parents.copied()).collect()
        };
        let classes = classes
            .into_iter()
            .map(|(class, name)| (class, counts_for(name)))
            .collect();
        Self { labels, classes }
    }

    /// The names of the classes, as the model has them and in its order.
    pub fn class_names(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.classes.iter().map(|(name, _)| *name)
    }

    /// The labels of an image whose classes have these probabilities, from the most to the least confident.
    ///
    /// A label is as probable as all the classes below it together, so a parent is never less confident than a child.
    #[must_use]
    pub fn detections(&self, probabilities: &[f32]) -> Vec<Detection<'_>> {
        // In double precision the sum of all classes does not come out above one by more than rounding can hide.
        let mut sums = vec![0.0_f64; self.labels.len()];
        for ((_, labels), probability) in self.classes.iter().zip(probabilities) {
            for label in labels {
                sums[*label] += f64::from(*probability);
            }
        }
        let mut detections: Vec<_> = self
            .labels
            .iter()
            .zip(sums)
            .map(|(label, sum)| Detection {
                label,
                confidence: (sum.min(1.0) * 100.0) as f32,
                instances: Vec::new(),
            })
            .collect();
        // Among equals the more general label comes first.
        detections.sort_by(|a, b| {
            b.confidence
                .total_cmp(&a.confidence)
                .then_with(|| a.label.parents.len().cmp(&b.label.parents.len()))
                .then_with(|| a.label.name.cmp(b.label.name))
        });
        detections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "# comment\n\
        tabby\tTabby Cat\tCat,Animal\n\
        Siamese cat\tSiamese Cat\tCat,Animal\n\
        maillot\tSwimsuit\tClothing\n\
        maillot\tSwimsuit\tClothing\n\
        \tCat\tAnimal\n\
        \tAnimal\t\n\
        \tClothing\t\n";

    fn shown(detections: &[Detection<'_>]) -> Vec<(&'static str, i32)> {
        detections
            .iter()
            .map(|found| (found.label.name, found.confidence.round() as i32))
            .collect()
    }

    #[test]
    fn a_parent_is_as_probable_as_its_classes_together() {
        let vocabulary = Vocabulary::parse(TABLE);
        let detections = vocabulary.detections(&[0.5, 0.2, 0.2, 0.1]);
        let expected = [
            ("Animal", 70),
            ("Cat", 70),
            ("Tabby Cat", 50),
            ("Clothing", 30),
            ("Swimsuit", 30),
            ("Siamese Cat", 20),
        ];
        assert_eq!(shown(&detections), expected);
        assert_eq!(detections[2].label.parents, ["Cat", "Animal"]);
    }

    #[test]
    fn confidence_never_exceeds_one_hundred() {
        let vocabulary = Vocabulary::parse(TABLE);
        let detections = vocabulary.detections(&[0.6, 0.6, 0.0, 0.0]);
        assert_eq!(shown(&detections)[..2], [("Animal", 100), ("Cat", 100)]);
    }

    #[test]
    fn the_committed_table_is_consistent() {
        let vocabulary = Vocabulary::default();
        assert_eq!(vocabulary.class_names().len(), 1000);
        let by_name: BTreeMap<_, _> = vocabulary
            .labels
            .iter()
            .map(|label| (label.name, label))
            .collect();
        assert_eq!(by_name.len(), vocabulary.labels.len());
        for label in &vocabulary.labels {
            assert!(
                !label.name.is_empty() && !label.parents.contains(&label.name),
                "{label:?}"
            );
            for parent in &label.parents {
                let above = &by_name[parent].parents;
                assert!(
                    above.iter().all(|name| label.parents.contains(name)),
                    "{label:?} and its {parent}"
                );
            }
        }
    }

    #[test]
    fn abstractions_of_wordnet_are_not_labels() {
        let vocabulary = Vocabulary::default();
        for name in [
            "Entity",
            "Whole",
            "Physical Object",
            "Artifact",
            "Chordate",
            "Placental",
            "Carnivore",
        ] {
            assert!(
                vocabulary.labels.iter().all(|label| label.name != name),
                "{name}"
            );
        }
    }

    #[test]
    fn familiar_classes_have_familiar_labels() {
        let vocabulary = Vocabulary::default();
        let labels = |class: &str| {
            let (_, labels) = vocabulary
                .classes
                .iter()
                .find(|(name, _)| *name == class)
                .unwrap();
            labels
                .iter()
                .map(|label| vocabulary.labels[*label].name)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            labels("German shepherd"),
            [
                "German Shepherd",
                "Sheepdog",
                "Dog",
                "Pet",
                "Canine",
                "Mammal",
                "Animal"
            ]
        );
        assert_eq!(
            labels("school bus"),
            ["School Bus", "Bus", "Vehicle", "Transportation"]
        );
        assert_eq!(
            labels("espresso"),
            ["Espresso", "Coffee", "Beverage", "Food"]
        );
    }
}
