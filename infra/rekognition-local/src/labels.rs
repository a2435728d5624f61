//! The labels: what the classes of the model are called, and what they are kinds of.
//!
//! The table `data/labels.tsv` is derived from WordNet; `data/generate.py` says how. The tables `data/objects.tsv` and
//! `data/categories.tsv` are made by hand.

use std::{collections::BTreeMap, mem};

use serde::{Deserialize, Serialize};

/// The vocabulary: ImageNet-1k, which the classifier knows, arranged by WordNet, and COCO's things, which the detector
/// knows.
pub struct Vocabulary {
    labels: Vec<Label>,
    /// For each class of the classifier: its name there, and the labels it counts for, its own first.
    classes: Vec<(&'static str, Vec<usize>)>,
    /// The same for each class of the detector.
    objects: Vec<(&'static str, Vec<usize>)>,
}

/// A label and those above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// As it is shown, such as `German Shepherd`.
    pub name: &'static str,
    /// All labels that this one is a kind of, from the nearest to the most general.
    pub parents: Vec<&'static str>,
    /// Other words for the same.
    pub aliases: Vec<&'static str>,
    /// What Rekognition files it under, where that is known.
    pub category: Option<&'static str>,
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
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

/// What the models say of one picture.
#[derive(Debug, Default)]
pub struct Findings<'a> {
    /// The probability of each of the classifier's classes, once for each part of the picture that it saw.
    pub classes: &'a [Vec<f32>],
    /// Things, as an index into the detector's classes and a place.
    pub objects: &'a [(usize, Instance)],
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self::parse(
            include_str!("../data/labels.tsv"),
            include_str!("../data/objects.tsv"),
            include_str!("../data/categories.tsv"),
        )
    }
}

impl Vocabulary {
    fn parse(classes: &'static str, objects: &'static str, categories: &'static str) -> Self {
        let mut labels = BTreeMap::new();
        let mut order = Vec::new();
        let mut names_of_classes = [classes, objects].map(|table| {
            rows(table)
                .filter_map(|[class, name, parents]| {
                    labels.entry(name).or_insert_with(|| {
                        order.push(name);
                        Label {
                            name,
                            parents: list(parents),
                            aliases: Vec::new(),
                            category: None,
                        }
                    });
                    (!class.is_empty()).then_some((class, name))
                })
                .collect::<Vec<_>>()
        });
        let categories: BTreeMap<_, _> = rows(categories)
            .map(|[name, category, aliases]| (name, (category, list(aliases))))
            .collect();
        let indices: BTreeMap<_, _> = order.iter().zip(0..).collect();
        let mut labels: Vec<Label> = order
            .iter()
            .filter_map(|name| labels.remove(name))
            .collect();
        for label in &mut labels {
            let mut lineage = std::iter::once(&label.name).chain(&label.parents);
            label.category = lineage.find_map(|name| Some(categories.get(name)?.0));
            if let Some((_, aliases)) = categories.get(label.name) {
                label.aliases.clone_from(aliases);
            }
        }
        let [classes, objects] = names_of_classes.each_mut().map(|classes| {
            mem::take(classes)
                .into_iter()
                .map(|(class, name)| {
                    let own = indices[&name];
                    let parents = labels[own].parents.iter();
                    let parents = parents.filter_map(|parent| indices.get(parent));
                    (
                        class,
                        std::iter::once(own).chain(parents.copied()).collect(),
                    )
                })
                .collect()
        });
        Self {
            labels,
            classes,
            objects,
        }
    }

    /// The names of the classes, as the classifier has them and in its order.
    pub fn class_names(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.classes.iter().map(|(name, _)| *name)
    }

    /// The names of the things, as the detector has them and in its order.
    pub fn object_names(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.objects.iter().map(|(name, _)| *name)
    }

    /// The label of one of the detector's classes.
    #[must_use]
    pub fn object_label(&self, class: usize) -> &Label {
        &self.labels[self.objects[class].1[0]]
    }

    /// All labels of a picture, from the most to the least confident.
    ///
    /// To the classifier a label is as probable as all the classes below it together, to the detector as the most probable
    /// thing below it, and the greatest of their confidences counts. So a parent is never less confident than a child.
    #[must_use]
    pub fn detections(&self, findings: &Findings<'_>) -> Vec<Detection<'_>> {
        let mut detections: Vec<_> = self
            .labels
            .iter()
            .map(|label| Detection {
                label,
                confidence: 0.0,
                instances: Vec::new(),
            })
            .collect();
        for probabilities in findings.classes {
            // In double precision the sum of all classes does not come out above one by more than rounding can hide.
            let mut sums = vec![0.0_f64; self.labels.len()];
            for ((_, labels), probability) in self.classes.iter().zip(probabilities) {
                for label in labels {
                    sums[*label] += f64::from(*probability);
                }
            }
            for (detection, sum) in detections.iter_mut().zip(sums) {
                let confidence = (sum.min(1.0) * 100.0) as f32;
                detection.confidence = detection.confidence.max(confidence);
            }
        }
        for (class, instance) in findings.objects {
            let (_, labels) = &self.objects[*class];
            for label in labels {
                let confidence = &mut detections[*label].confidence;
                *confidence = confidence.max(instance.confidence);
            }
            detections[labels[0]].instances.push(*instance);
        }
        for detection in &mut detections {
            detection
                .instances
                .sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        }
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

/// The rows of a table, of which the last columns may be left out.
fn rows(table: &'static str) -> impl Iterator<Item = [&'static str; 3]> {
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let mut columns = line.split('\t');
        [(); 3].map(|()| columns.next().unwrap_or_default())
    })
}

fn list(column: &'static str) -> Vec<&'static str> {
    column.split(',').filter(|item| !item.is_empty()).collect()
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
    const OBJECTS: &str = "cat\tCat\nboot\tBoot\tClothing\n";
    const CATEGORIES: &str = "Animal\tFauna\nCat\tFelines\tKitty,Mog\n";

    fn vocabulary() -> Vocabulary {
        Vocabulary::parse(TABLE, OBJECTS, CATEGORIES)
    }

    fn classified(vocabulary: &Vocabulary, probabilities: &[f32]) -> Vec<(&'static str, i32)> {
        shown(&vocabulary.detections(&Findings {
            classes: &[probabilities.to_vec()],
            objects: &[],
        }))
    }

    fn shown(detections: &[Detection<'_>]) -> Vec<(&'static str, i32)> {
        detections
            .iter()
            .map(|found| (found.label.name, found.confidence.round() as i32))
            .collect()
    }

    #[test]
    fn a_parent_is_as_probable_as_its_classes_together() {
        let vocabulary = vocabulary();
        let expected = [
            ("Animal", 70),
            ("Cat", 70),
            ("Tabby Cat", 50),
            ("Clothing", 30),
            ("Swimsuit", 30),
            ("Siamese Cat", 20),
            ("Boot", 0),
        ];
        assert_eq!(classified(&vocabulary, &[0.5, 0.2, 0.2, 0.1]), expected);
    }

    #[test]
    fn confidence_never_exceeds_one_hundred() {
        let shown = classified(&vocabulary(), &[0.6, 0.6, 0.0, 0.0]);
        assert_eq!(shown[..2], [("Animal", 100), ("Cat", 100)]);
    }

    #[test]
    fn things_and_classes_of_one_name_are_one_label() {
        let vocabulary = vocabulary();
        let at = |left, confidence| Instance {
            bounds: BoundingBox {
                left,
                top: 0.0,
                width: 0.1,
                height: 0.1,
            },
            confidence,
        };
        let detections = vocabulary.detections(&Findings {
            classes: &[vec![0.4, 0.0, 0.0, 0.0], vec![0.0, 0.3, 0.0, 0.1]],
            objects: &[(0, at(0.1, 60.0)), (0, at(0.2, 90.0)), (1, at(0.3, 50.0))],
        });
        let expected = [
            ("Animal", 90),
            ("Cat", 90),
            ("Clothing", 50),
            ("Boot", 50),
            ("Tabby Cat", 40),
            ("Siamese Cat", 30),
            ("Swimsuit", 10),
        ];
        assert_eq!(shown(&detections), expected);
        assert_eq!(detections[1].instances, [at(0.2, 90.0), at(0.1, 60.0)]);
        assert!(detections[0].instances.is_empty() && detections[4].instances.is_empty());
    }

    #[test]
    fn a_label_has_its_own_category_or_that_of_its_nearest_ancestor() {
        let vocabulary = vocabulary();
        let label = |name| {
            vocabulary
                .labels
                .iter()
                .find(|label| label.name == name)
                .unwrap()
        };
        assert_eq!(label("Siamese Cat").category, Some("Felines"));
        assert_eq!(label("Animal").category, Some("Fauna"));
        assert_eq!(label("Boot").category, None);
        assert_eq!(label("Cat").aliases, ["Kitty", "Mog"]);
        assert!(label("Siamese Cat").aliases.is_empty());
    }

    #[test]
    fn the_committed_table_is_consistent() {
        let vocabulary = Vocabulary::default();
        assert_eq!(vocabulary.class_names().len(), 1000);
        assert_eq!(vocabulary.object_names().len(), 80);
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
            assert!(!label.aliases.contains(&label.name), "{label:?}");
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
    fn the_committed_categories_are_of_labels() {
        let vocabulary = Vocabulary::default();
        for [name, category, _] in rows(include_str!("../data/categories.tsv")) {
            let label = vocabulary.labels.iter().find(|label| label.name == name);
            assert_eq!(
                label.and_then(|label| label.category),
                Some(category),
                "{name}"
            );
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
