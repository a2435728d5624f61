//! From a configuration and weights to a list of steps that can be run without further checks.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use rayon::prelude::*;

use super::{
    ModelError,
    boxes::{Found, Head, distinct},
    config::{Section, sections},
};
use crate::{
    convolution::{Convolution, Finish, Shape, Window, transpose},
    winograd::Winograd,
};

/// The most values that one activation may have, and all together may have four times as many. YOLOv4-tiny stays below
/// 2^21; a damaged file may ask for anything.
const MAX_LEN: usize = 1 << 24;

/// The most pixels a side of a window, by which a picture may be reduced or enlarged, and the like.
const MAX_SIZE: usize = 64;

/// What darknet adds to a variance before it divides by its root.
const VARIANCE_FLOOR: f32 = 1e-5;

/// The slope of darknet's leaky activation below zero.
const LEAK: f32 = 0.1;

/// A network that detects: one image in, boxes out.
pub struct Network {
    input: Shape,
    steps: Vec<Step>,
    heads: Vec<(usize, Head)>,
    /// Values in each buffer; the first holds the input.
    buffer_lens: Vec<usize>,
    /// Buffers of past runs, which spare the next one the page faults of fresh memory.
    idle: Mutex<Vec<Vec<Vec<f32>>>>,
}

struct Step {
    layer: Layer,
    input: usize,
    output: usize,
    output_len: usize,
}

enum Layer {
    Convolution(Convolution<Activate>),
    Winograd(Winograd<Activate>),
    MaxPool {
        window: Window,
        input: Shape,
        output: Shape,
    },
    /// Repeats each pixel in both directions.
    Upsample {
        factor: usize,
        input: Shape,
    },
    /// Puts parts of other layers' outputs beside each other.
    Join {
        parts: Vec<Part>,
        channels: usize,
    },
}

/// Some channels of a buffer.
struct Part {
    buffer: usize,
    /// Channels in the buffer.
    channels: usize,
    first: usize,
    count: usize,
}

/// Adds biases and applies the activation function.
struct Activate {
    biases: Vec<f32>,
    /// Otherwise the sum is left as it is.
    leaky: bool,
}

impl Finish for Activate {
    fn apply(&self, sums: &mut [f32], first_channel: usize) {
        for (sum, bias) in sums.iter_mut().zip(&self.biases[first_channel..]) {
            *sum += bias;
        }
        if self.leaky {
            for sum in sums {
                *sum = sum.max(LEAK * *sum);
            }
        }
    }
}

impl Network {
    /// Reads a network from its configuration and its weights.
    ///
    /// # Errors
    /// The configuration is damaged or has layers that are not supported, or the weights are not those of its layers.
    pub fn read(configuration: &str, weights: &[u8]) -> Result<Self, ModelError> {
        let sections = sections(configuration)?;
        let Some((net, layers)) = sections.split_first() else {
            return Err(ModelError::NoHead);
        };
        let input = Shape {
            height: net.required("height")?,
            width: net.required("width")?,
            channels: net.value("channels", 3)?,
        };
        let mut builder = Builder::new(input, net)?;
        let mut weights = Weights::open(weights)?;
        for section in layers {
            builder.add(section, &mut weights)?;
        }
        weights.close()?;
        builder.finish(input)
    }

    /// Height, width and channels of the input.
    #[must_use]
    pub fn input_size(&self) -> (u32, u32, u32) {
        // A shape has at most MAX_LEN values, so each of its sides fits.
        let Shape {
            height,
            width,
            channels,
        } = self.input;
        (height as u32, width as u32, channels as u32)
    }

    /// Number of classes.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.heads.first().map_or(0, |(_, head)| head.classes)
    }

    /// What `input`, values from 0 to 1, shows with at least `min_probability`, the most probable first. Runs on the
    /// threads of rayon's current pool.
    ///
    /// # Panics
    /// `input` does not have the size of the network's input.
    #[must_use]
    pub fn run(&self, input: &[f32], min_probability: f32) -> Vec<Found> {
        assert_eq!(
            input.len(),
            self.input.len(),
            "one value for each of the network's inputs"
        );
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut buffers = idle.unwrap_or_else(|| {
            self.buffer_lens
                .iter()
                .map(|len| vec![0.0; *len])
                .collect::<Vec<_>>()
        });
        buffers[0][..input.len()].copy_from_slice(input);
        let mut found = Vec::new();
        let mut heads = self.heads.iter().peekable();
        for (index, step) in self.steps.iter().enumerate() {
            let mut output = mem::take(&mut buffers[step.output]);
            step.layer
                .run(step.input, &buffers, &mut output[..step.output_len]);
            buffers[step.output] = output;
            while let Some((_, head)) = heads.next_if(|(after, _)| *after == index) {
                head.find(
                    &buffers[step.output][..step.output_len],
                    min_probability,
                    &mut found,
                );
            }
        }
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(buffers);
        distinct(found)
    }
}

impl Layer {
    fn run(&self, input: usize, buffers: &[Vec<f32>], output: &mut [f32]) {
        match self {
            Self::Convolution(convolution) => convolution.run(&buffers[input], output),
            Self::Winograd(convolution) => convolution.run(&buffers[input], output),
            Self::MaxPool {
                window,
                input: from,
                output: to,
            } => max_pool(window, *from, *to, &buffers[input], output),
            Self::Upsample {
                factor,
                input: from,
            } => {
                let width = from.width * factor;
                for (pixel, values) in output.chunks_exact_mut(from.channels).enumerate() {
                    let (y, x) = (pixel / width / factor, pixel % width / factor);
                    let start = (y * from.width + x) * from.channels;
                    values.copy_from_slice(&buffers[input][start..start + from.channels]);
                }
            }
            Self::Join { parts, channels } => {
                let mut place = 0;
                for part in parts {
                    let pixels = buffers[part.buffer].chunks_exact(part.channels);
                    for (to, from) in output.chunks_exact_mut(*channels).zip(pixels) {
                        to[place..place + part.count]
                            .copy_from_slice(&from[part.first..part.first + part.count]);
                    }
                    place += part.count;
                }
            }
        }
    }
}

fn max_pool(window: &Window, input: Shape, output: Shape, values: &[f32], greatest: &mut [f32]) {
    let channels = output.channels;
    greatest
        .par_chunks_mut(output.width * channels)
        .enumerate()
        .for_each(|(y, row)| {
            for (x, greatest) in row.chunks_mut(channels).enumerate() {
                greatest.fill(f32::NEG_INFINITY);
                for (_, input_y) in window.rows(y, input) {
                    for (_, input_x) in window.columns(x, input) {
                        let values = &values[(input_y * input.width + input_x) * channels..];
                        for (greatest, value) in greatest.iter_mut().zip(values) {
                            *greatest = greatest.max(*value);
                        }
                    }
                }
            }
        });
}

/// Adds layers, each after those it takes its input from.
struct Builder {
    /// The network's input, then each layer's output, as buffer and shape. A detecting layer has that of its input.
    outputs: Vec<(usize, Shape)>,
    steps: Vec<Step>,
    heads: Vec<(usize, Head)>,
    buffer_lens: Vec<usize>,
}

impl Builder {
    fn new(input: Shape, net: &Section<'_>) -> Result<Self, ModelError> {
        let mut builder = Self {
            outputs: Vec::new(),
            steps: Vec::new(),
            heads: Vec::new(),
            buffer_lens: Vec::new(),
        };
        let buffer = builder.buffer(net, input)?;
        builder.outputs.push((buffer, input));
        Ok(builder)
    }

    fn add(&mut self, section: &Section<'_>, weights: &mut Weights<'_>) -> Result<(), ModelError> {
        let (input, shape) = self.outputs[self.outputs.len() - 1];
        let (layer, output) = match section.name {
            "convolutional" => {
                let layer = self.outputs.len() - 1;
                convolution(section, shape, weights, layer)?
            }
            "maxpool" => {
                let stride = size(section, "stride", 1)?;
                let side = size(section, "size", stride)?;
                let padding = section.value("padding", side - 1)?;
                let (window, output) =
                    window(section, shape, shape.channels, side, stride, padding)?;
                let pool = Layer::MaxPool {
                    window,
                    input: shape,
                    output,
                };
                (pool, output)
            }
            "upsample" => {
                let factor = size(section, "stride", 2)?;
                let output = Shape {
                    height: shape.height * factor,
                    width: shape.width * factor,
                    channels: shape.channels,
                };
                (
                    Layer::Upsample {
                        factor,
                        input: shape,
                    },
                    output,
                )
            }
            "route" => self.join(section)?,
            "yolo" => {
                let head = head(section, shape, self.outputs[0].1)?;
                if self
                    .heads
                    .iter()
                    .any(|(_, other)| other.classes != head.classes)
                {
                    return Err(section.error("other classes than the [yolo] before it"));
                }
                let Some(step) = self.steps.len().checked_sub(1) else {
                    return Err(section.error("no layer before it"));
                };
                self.heads.push((step, head));
                self.outputs.push((input, shape));
                return Ok(());
            }
            _ => return Err(section.error("a kind of layer that is not supported")),
        };
        let buffer = self.buffer(section, output)?;
        self.outputs.push((buffer, output));
        self.steps.push(Step {
            layer,
            input,
            output: buffer,
            output_len: output.len(),
        });
        Ok(())
    }

    /// A route, which names its inputs.
    fn join(&self, section: &Section<'_>) -> Result<(Layer, Shape), ModelError> {
        let layer = self.outputs.len() - 1;
        let groups = size(section, "groups", 1)?;
        let group: usize = section.value("group_id", 0)?;
        let (mut parts, mut joined) = (Vec::new(), None::<Shape>);
        for number in section.list::<isize>("layers")? {
            // Counted back from this layer, or from the first.
            let source = if number < 0 {
                layer.checked_add_signed(number)
            } else {
                usize::try_from(number).ok()
            };
            let Some(source) = source.filter(|source| *source < layer) else {
                return Err(section.error(format!("{number} in `layers`, where there is no layer")));
            };
            // The network's input comes before the first layer.
            let (buffer, shape) = self.outputs[source + 1];
            if shape.channels % groups != 0 || group >= groups {
                return Err(
                    section.error(format!("{groups} groups of {} channels", shape.channels))
                );
            }
            let count = shape.channels / groups;
            parts.push(Part {
                buffer,
                channels: shape.channels,
                first: count * group,
                count,
            });
            let total = joined.map_or(0, |joined| joined.channels) + count;
            if joined
                .is_some_and(|joined| (joined.height, joined.width) != (shape.height, shape.width))
            {
                return Err(section.error("`layers` of unequal size"));
            }
            joined = Some(Shape {
                channels: total,
                ..shape
            });
        }
        let joined = joined.ok_or_else(|| section.error("no `layers`"))?;
        let channels = joined.channels;
        Ok((Layer::Join { parts, channels }, joined))
    }

    /// A buffer for an activation.
    fn buffer(&mut self, section: &Section<'_>, shape: Shape) -> Result<usize, ModelError> {
        let len =
            checked_len(shape).ok_or_else(|| section.error(format!("a size of {shape:?}")))?;
        self.buffer_lens.push(len);
        if self.buffer_lens.iter().sum::<usize>() > 4 * MAX_LEN {
            return Err(section.error("an output for which there is no memory left"));
        }
        Ok(self.buffer_lens.len() - 1)
    }

    /// Lets activations that are not needed at the same time share memory.
    fn finish(mut self, input: Shape) -> Result<Network, ModelError> {
        if self.heads.is_empty() {
            return Err(ModelError::NoHead);
        }
        let mut last_uses = vec![0; self.buffer_lens.len()];
        for (index, step) in self.steps.iter().enumerate() {
            // An output that nobody reads is needed while it is written.
            last_uses[step.output] = last_uses[step.output].max(index);
            for buffer in step.reads() {
                last_uses[buffer] = index;
            }
        }
        let (mut lens, mut free) = (vec![self.buffer_lens[0]], Vec::new());
        let mut shared = vec![0; self.buffer_lens.len()];
        for (index, step) in self.steps.iter_mut().enumerate() {
            let (own, len) = (step.output, step.output_len);
            let buffer = free.pop().unwrap_or_else(|| {
                lens.push(0);
                lens.len() - 1
            });
            lens[buffer] = lens[buffer].max(len);
            shared[own] = buffer;
            step.output = buffer;
            let unshared: Vec<usize> = step.reads().chain([own]).collect();
            step.input = shared[step.input];
            if let Layer::Join { parts, .. } = &mut step.layer {
                for part in parts {
                    part.buffer = shared[part.buffer];
                }
            }
            let mut ended: Vec<usize> = unshared
                .into_iter()
                .filter(|buffer| last_uses[*buffer] == index)
                .map(|buffer| shared[buffer])
                .collect();
            ended.sort_unstable();
            ended.dedup();
            free.extend(ended);
        }
        Ok(Network {
            input,
            steps: self.steps,
            heads: self.heads,
            buffer_lens: lens,
            idle: Mutex::default(),
        })
    }
}

impl Step {
    /// The buffers that it takes its input from.
    fn reads(&self) -> impl Iterator<Item = usize> {
        let (input, parts) = match &self.layer {
            Layer::Join { parts, .. } => (None, parts.as_slice()),
            _ => (Some(self.input), &[][..]),
        };
        input
            .into_iter()
            .chain(parts.iter().map(|part| part.buffer))
    }
}

fn convolution(
    section: &Section<'_>,
    input: Shape,
    weights: &mut Weights<'_>,
    layer: usize,
) -> Result<(Layer, Shape), ModelError> {
    for (option, only) in [("groups", 1), ("dilation", 1)] {
        if section.value(option, only)? != only {
            return Err(section.error(format!("the option `{option}`, which is not supported")));
        }
    }
    let side = size(section, "size", 1)?;
    let stride = size(section, "stride", 1)?;
    let padding = if section.value("pad", 0)? == 0 {
        section.value("padding", 0)?
    } else {
        side / 2
    };
    let filters: usize = section.required("filters")?;
    let (window, output) = window(section, input, filters, side, stride, 2 * padding)?;
    let leaky = match section
        .value("activation", String::from("logistic"))?
        .as_str()
    {
        "leaky" => true,
        "linear" => false,
        other => {
            return Err(section.error(format!("the activation `{other}`, which is not supported")));
        }
    };
    let depth = side * side * input.channels;
    if depth.checked_mul(filters).is_none_or(|len| len > MAX_LEN)
        || depth
            .checked_mul(output.pixels())
            .is_none_or(|len| len > MAX_LEN)
    {
        return Err(section.error("weights or an input for which there is no memory"));
    }
    let mut biases = weights.take(filters)?;
    let normalized = section.value("batch_normalize", 0)? != 0;
    let normalization = if normalized {
        Some([
            weights.take(filters)?,
            weights.take(filters)?,
            weights.take(filters)?,
        ])
    } else {
        None
    };
    let mut stored = weights.take(depth * filters)?;
    if let Some([scales, means, variances]) = normalization {
        for (filter, weights) in stored.chunks_exact_mut(depth).enumerate() {
            let factor = scales[filter] / (variances[filter] + VARIANCE_FLOOR).sqrt();
            biases[filter] -= means[filter] * factor;
            for weight in weights {
                *weight *= factor;
            }
        }
    }
    if stored
        .iter()
        .chain(&biases)
        .any(|weight| !weight.is_finite())
    {
        return Err(ModelError::Numbers { layer });
    }
    let weights = transpose(
        &channels_last(&stored, side * side, input.channels),
        filters,
    );
    let finish = Activate { biases, leaky };
    let layer = if Winograd::<Activate>::suits(&window, input, output) {
        Layer::Winograd(Winograd::new(input, output, &weights, finish))
    } else {
        Layer::Convolution(Convolution {
            window,
            input,
            output,
            weights,
            finish,
        })
    };
    Ok((layer, output))
}

/// Darknet keeps all places of a window together for each input channel; here all channels are for each place.
fn channels_last(stored: &[f32], places: usize, channels: usize) -> Vec<f32> {
    let mut moved = Vec::with_capacity(stored.len());
    for filter in stored.chunks_exact(places * channels) {
        for place in 0..places {
            moved.extend(filter.iter().skip(place).step_by(places));
        }
    }
    moved
}

/// A square window and what it makes of its input; `padding` is what both sides get together.
fn window(
    section: &Section<'_>,
    input: Shape,
    channels: usize,
    side: usize,
    stride: usize,
    padding: usize,
) -> Result<(Window, Shape), ModelError> {
    if padding > 2 * MAX_SIZE {
        return Err(section.error(format!("a padding of {padding}")));
    }
    let along = |input: usize| {
        let room = (input + padding).checked_sub(side);
        let room = room.ok_or_else(|| section.error("a window larger than its input"))?;
        Ok(room / stride + 1)
    };
    let output = Shape {
        height: along(input.height)?,
        width: along(input.width)?,
        channels,
    };
    if checked_len(output).is_none() {
        return Err(section.error(format!("an output of {output:?}")));
    }
    let window = Window {
        height: side,
        width: side,
        stride_y: stride,
        stride_x: stride,
        top: padding / 2,
        left: padding / 2,
    };
    Ok((window, output))
}

fn head(section: &Section<'_>, input: Shape, picture: Shape) -> Result<Head, ModelError> {
    let sizes: Vec<f32> = section.list("anchors")?;
    let (pairs, _) = sizes.as_chunks::<2>();
    let anchors = section
        .list::<usize>("mask")?
        .into_iter()
        .map(|index| {
            let [width, height] = pairs
                .get(index)
                .ok_or_else(|| section.error(format!("no anchor {index}")))?;
            Ok((width / picture.width as f32, height / picture.height as f32))
        })
        .collect::<Result<_, ModelError>>()?;
    let head = Head {
        height: input.height,
        width: input.width,
        anchors,
        classes: section.required("classes")?,
        scale: section.value("scale_x_y", 1.0)?,
    };
    if head.classes == 0 || head.classes > MAX_LEN || head.channels() != input.channels {
        return Err(section.error(format!("an input of {} channels", input.channels)));
    }
    Ok(head)
}

/// A number of pixels or the like.
fn size(section: &Section<'_>, key: &str, default: usize) -> Result<usize, ModelError> {
    let value = section.value(key, default)?;
    if (1..=MAX_SIZE).contains(&value) {
        Ok(value)
    } else {
        Err(section.error(format!("`{value}` for its option `{key}`")))
    }
}

/// The number of values, if there are some and not too many.
fn checked_len(shape: Shape) -> Option<usize> {
    shape
        .height
        .checked_mul(shape.width)
        .and_then(|pixels| pixels.checked_mul(shape.channels))
        .filter(|len| (1..=MAX_LEN).contains(len))
}

/// A file of weights, read from its start to its end.
struct Weights<'a> {
    /// What is left of the numbers.
    numbers: &'a [[u8; 4]],
    taken: usize,
    header: usize,
    actual: usize,
}

impl<'a> Weights<'a> {
    /// Skips the header: a version in three numbers, then how many images were seen, in eight bytes since version 0.2.
    fn open(file: &'a [u8]) -> Result<Self, ModelError> {
        let (words, _) = file.as_chunks::<4>();
        let [major, minor, _] = *words.first_chunk().ok_or(ModelError::Header)?;
        let (major, minor) = (u32::from_le_bytes(major), u32::from_le_bytes(minor));
        let header = match (major, minor) {
            (0, 0 | 1) => 16,
            (0, 2..=9) => 20,
            _ => return Err(ModelError::Header),
        };
        let body = file.get(header..).ok_or(ModelError::Header)?;
        Ok(Self {
            numbers: body.as_chunks().0,
            taken: 0,
            header,
            actual: file.len(),
        })
    }

    fn take(&mut self, count: usize) -> Result<Vec<f32>, ModelError> {
        self.taken += count;
        let (taken, rest) = self
            .numbers
            .split_at_checked(count)
            .ok_or_else(|| self.size())?;
        self.numbers = rest;
        Ok(taken
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect())
    }

    /// Checks that all was needed.
    fn close(&self) -> Result<(), ModelError> {
        let error = self.size();
        match error {
            ModelError::Size { expected, actual } if expected == actual => Ok(()),
            _ => Err(error),
        }
    }

    fn size(&self) -> ModelError {
        ModelError::Size {
            expected: self.header + 4 * self.taken,
            actual: self.actual,
        }
    }
}
