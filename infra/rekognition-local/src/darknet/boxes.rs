//! From the numbers of a detecting layer to boxes.

use crate::labels::BoundingBox;

/// A thing that a network found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// What it is, as an index into the network's classes.
    pub class: usize,
    /// From 0 to 1.
    pub probability: f32,
    /// Where it is in the network's input.
    pub bounds: BoundingBox,
}

/// Two boxes of one class that share more than this part of their union show one thing. It is what darknet detects with.
const MAX_OVERLAP: f32 = 0.45;

/// Two boxes of different classes that share more than this part of their union show one thing as well, which cannot be
/// both a cat and a dog. It is above what a rider and a horse share.
const MAX_OVERLAP_OF_CLASSES: f32 = 0.8;

/// A layer that detects: for each cell of a grid and each of some typical sizes, a box, whether there is a thing in it, and
/// how probable each class is if there is.
pub(super) struct Head {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Widths and heights of typical boxes, in ratios of the network's input.
    pub(super) anchors: Vec<(f32, f32)>,
    pub(super) classes: usize,
    /// How far the middle of a box may leave its cell: 1 for not at all.
    pub(super) scale: f32,
}

impl Head {
    /// Values for each box before those of its classes: its place, its size, and whether it holds a thing.
    pub(super) const BOX_VALUES: usize = 5;

    /// Channels of the layer's input.
    pub(super) fn channels(&self) -> usize {
        self.anchors.len() * (Self::BOX_VALUES + self.classes)
    }

    /// Appends what `values` say is there with at least `min_probability` to `found`.
    pub(super) fn find(&self, values: &[f32], min_probability: f32, found: &mut Vec<Found>) {
        for (cell, values) in values.chunks_exact(self.channels()).enumerate() {
            let (row, column) = (cell / self.width, cell % self.width);
            let boxes = values.chunks_exact(Self::BOX_VALUES + self.classes);
            for (anchor, values) in self.anchors.iter().zip(boxes) {
                let [x, y, width, height, object] = [0, 1, 2, 3, 4].map(|index| values[index]);
                let object = sigmoid(object);
                if object < min_probability {
                    continue;
                }
                let middle = |value, cell, cells| {
                    (self.scale * (sigmoid(value) - 0.5) + 0.5 + cell as f32) / cells as f32
                };
                let bounds = inside(
                    (middle(x, column, self.width), middle(y, row, self.height)),
                    (width.exp() * anchor.0, height.exp() * anchor.1),
                );
                for (class, value) in values[Self::BOX_VALUES..].iter().enumerate() {
                    let probability = object * sigmoid(*value);
                    // Not a number is not greater, either.
                    if probability >= min_probability && bounds.width > 0.0 && bounds.height > 0.0 {
                        found.push(Found {
                            class,
                            probability,
                            bounds,
                        });
                    }
                }
            }
        }
    }
}

fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// The part of a box that lies inside the picture.
fn inside(middle: (f32, f32), size: (f32, f32)) -> BoundingBox {
    let along = |middle: f32, size: f32| {
        let start = (middle - size / 2.0).clamp(0.0, 1.0);
        (start, (middle + size / 2.0).clamp(0.0, 1.0) - start)
    };
    let ((left, width), (top, height)) = (along(middle.0, size.0), along(middle.1, size.1));
    BoundingBox {
        left,
        top,
        width,
        height,
    }
}

/// Drops boxes that show what a more probable one shows; the rest comes most probable first.
pub(super) fn distinct(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let mut distinct: Vec<Found> = Vec::new();
    for candidate in found {
        let known = distinct.iter().any(|known| {
            let allowed = if known.class == candidate.class {
                MAX_OVERLAP
            } else {
                MAX_OVERLAP_OF_CLASSES
            };
            overlap(known.bounds, candidate.bounds) > allowed
        });
        if !known {
            distinct.push(candidate);
        }
    }
    distinct
}

/// What two boxes share, as a part of what they cover together.
fn overlap(a: BoundingBox, b: BoundingBox) -> f32 {
    let shared = |a_start: f32, a_size: f32, b_start: f32, b_size: f32| {
        ((a_start + a_size).min(b_start + b_size) - a_start.max(b_start)).max(0.0)
    };
    let both = shared(a.left, a.width, b.left, b.width) * shared(a.top, a.height, b.top, b.height);
    both / (a.width * a.height + b.width * b.height - both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(left: f32, top: f32, size: f32) -> BoundingBox {
        BoundingBox {
            left,
            top,
            width: size,
            height: size,
        }
    }

    fn found(class: usize, probability: f32, bounds: BoundingBox) -> Found {
        Found {
            class,
            probability,
            bounds,
        }
    }

    #[test]
    fn a_box_is_read_from_its_cell_and_anchor() {
        let head = Head {
            height: 2,
            width: 2,
            anchors: vec![(0.25, 0.5)],
            classes: 2,
            scale: 1.0,
        };
        // Nothing but in the cell at the top right: a box of twice the anchor's width in the middle of the cell.
        let mut values = vec![-100.0; 4 * head.channels()];
        values[7..14].copy_from_slice(&[0.0, 0.0, 2.0_f32.ln(), 0.0, 100.0, -100.0, 0.0]);
        let mut boxes = Vec::new();
        head.find(&values, 0.25, &mut boxes);
        let bounds = BoundingBox {
            left: 0.5,
            top: 0.0,
            width: 0.5,
            height: 0.5,
        };
        assert_eq!(boxes, [found(1, 0.5, bounds)]);
    }

    #[test]
    fn a_box_ends_at_the_side_of_the_picture() {
        let bounds = inside((0.9, 0.5), (0.4, 3.0));
        assert!((bounds.left - 0.7).abs() < 1e-6 && (bounds.width - 0.3).abs() < 1e-6);
        assert_eq!((bounds.top, bounds.height), (0.0, 1.0));
    }

    #[test]
    fn numbers_that_are_none_find_nothing() {
        let head = Head {
            height: 1,
            width: 1,
            anchors: vec![(1.0, 1.0)],
            classes: 1,
            scale: 1.0,
        };
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut boxes = Vec::new();
            head.find(&[value; 6], 0.1, &mut boxes);
            assert!(
                boxes
                    .iter()
                    .all(|it| it.probability.is_finite() && it.bounds.width <= 1.0)
            );
        }
    }

    #[test]
    fn one_thing_is_found_once_and_its_neighbour_too() {
        let boxes = distinct(vec![
            found(0, 0.6, square(0.11, 0.11, 0.4)),
            found(0, 0.9, square(0.1, 0.1, 0.4)),
            found(1, 0.5, square(0.1, 0.1, 0.41)),
            found(2, 0.5, square(0.15, 0.1, 0.4)),
            found(0, 0.4, square(0.6, 0.1, 0.4)),
        ]);
        let shown: Vec<_> = boxes.iter().map(|it| (it.class, it.probability)).collect();
        assert_eq!(shown, [(0, 0.9), (2, 0.5), (0, 0.4)]);
    }

    #[test]
    fn overlap_is_a_part_of_the_union() {
        let one = square(0.0, 0.0, 0.5);
        assert!((overlap(one, one) - 1.0).abs() < 1e-6);
        assert_eq!(overlap(one, square(0.5, 0.5, 0.5)), 0.0);
        assert!((overlap(one, square(0.25, 0.0, 0.5)) - 1.0 / 3.0).abs() < 1e-6);
    }
}
