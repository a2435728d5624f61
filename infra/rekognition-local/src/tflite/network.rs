//! From what a file says to a list of steps that can be run without further checks.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use super::{
    ModelError,
    graph::{Activation, Element, Graph, Kind, Operator, Padding, Tensor, inconsistent},
    kernels::{Depthwise, Kernel, Range, Requantize},
};
use crate::convolution::{Convolution, Shape, Window, transpose};

/// The most values that one activation may have, and all buffers together may have four times as many. The networks
/// that this is for stay below 2^21; a damaged file may ask for anything.
const MAX_LEN: usize = 1 << 24;

/// The most rows or columns of a window, so that a damaged file cannot make a run last for ever.
const MAX_WINDOW: usize = 1024;

/// A quantized network that classifies: one image in, one score for each class out.
pub struct Network {
    input: Port,
    input_range: Range,
    output: Port,
    steps: Vec<Step>,
    /// Values in each buffer.
    buffer_lens: Vec<usize>,
    /// Buffers of past runs, which spare the next one the page faults of fresh memory.
    idle: Mutex<Vec<Vec<Vec<f32>>>>,
}

/// Where the outside meets the network.
struct Port {
    buffer: usize,
    shape: Shape,
    /// The real number that one step of a value stands for.
    scale: f32,
}

struct Step {
    kernel: Kernel,
    /// Buffers; a kernel with one input has it twice.
    inputs: [usize; 2],
    output: usize,
    output_len: usize,
}

impl Network {
    /// Reads the network of a TFLite file.
    ///
    /// The closing softmax, if there is one, is left out: quantized to steps of 1/256 it loses the many small
    /// probabilities that sums over groups of classes need.
    ///
    /// # Errors
    /// The file is not a TFLite model, is damaged, or is not a quantized classifier of the supported operators.
    pub fn read(file: &[u8]) -> Result<Self, ModelError> {
        let graph = Graph::read(file)?;
        let (last, scores) = scores(&graph)?;
        let operators = &graph.operators[..=last];
        let mut buffers = Buffers::new(&graph, operators, scores);
        let input = &graph.tensors[graph.input];
        let input_port = Port {
            buffer: buffers.assign(graph.input, input.activation_shape()?)?,
            shape: input.activation_shape()?,
            scale: input.scale()?,
        };
        let mut steps = Vec::with_capacity(operators.len());
        for (index, operator) in operators.iter().enumerate() {
            let (kernel, shape) = kernel(&graph, operator)?;
            let output = operator.output()?;
            if graph.tensors[output].activation_shape()? != shape {
                return Err(inconsistent(&format!(
                    "{:?} gives {shape:?}, not what its output says",
                    operator.kind
                )));
            }
            let first = operator.input(0)?;
            let second = if operator.kind == Kind::Add {
                operator.input(1)?
            } else {
                first
            };
            let inputs = [buffers.holding(first)?, buffers.holding(second)?];
            let output = buffers.assign(output, shape)?;
            buffers.release(index);
            steps.push(Step {
                kernel,
                inputs,
                output,
                output_len: shape.len(),
            });
        }
        let output = &graph.tensors[scores];
        Ok(Self {
            input: input_port,
            input_range: input.range(Activation::None)?,
            output: Port {
                buffer: buffers.holding(scores)?,
                shape: output.activation_shape()?,
                scale: output.scale()?,
            },
            steps,
            buffer_lens: buffers.lens,
            idle: Mutex::default(),
        })
    }

    /// Height, width and channels of the input.
    #[must_use]
    pub fn input_size(&self) -> (u32, u32, u32) {
        // A shape has at most MAX_LEN values, so each of its sides fits.
        let Shape {
            height,
            width,
            channels,
        } = self.input.shape;
        (height as u32, width as u32, channels as u32)
    }

    /// Number of classes.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.output.shape.len()
    }

    /// The score of each class, a logarithm of its odds up to a constant. Runs on the threads of rayon's current pool.
    ///
    /// # Panics
    /// `input` does not have the size of the network's input.
    #[must_use]
    pub fn run(&self, input: &[f32]) -> Vec<f32> {
        assert_eq!(
            input.len(),
            self.input.shape.len(),
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
        for (value, real) in buffers[self.input.buffer].iter_mut().zip(input) {
            *value = self.input_range.nearest(real / self.input.scale);
        }
        for step in &self.steps {
            let mut output = mem::take(&mut buffers[step.output]);
            let [input, other] = step.inputs.map(|buffer| buffers[buffer].as_slice());
            step.kernel
                .run(input, other, &mut output[..step.output_len]);
            buffers[step.output] = output;
        }
        let scores = buffers[self.output.buffer][..self.output.shape.len()]
            .iter()
            .map(|value| value * self.output.scale)
            .collect();
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(buffers);
        scores
    }
}

/// The operator that computes the scores, and the tensor that holds them: what the closing softmax takes, or the output.
fn scores(graph: &Graph<'_>) -> Result<(usize, usize), ModelError> {
    let producer = |tensor: usize, before: usize| {
        graph.operators[..before]
            .iter()
            .rposition(|operator| operator.outputs.contains(&Some(tensor)))
            .ok_or_else(|| inconsistent("nothing computes its output"))
    };
    let mut tensor = graph.output;
    let mut index = producer(tensor, graph.operators.len())?;
    while let Kind::Quantize | Kind::Softmax = graph.operators[index].kind {
        tensor = graph.operators[index].input(0)?;
        index = producer(tensor, index)?;
    }
    Ok((index, tensor))
}

/// Gives activations their buffers; those that are not needed at the same time share one.
struct Buffers {
    lens: Vec<usize>,
    free: Vec<usize>,
    /// The buffer of each tensor that has been computed.
    of_tensor: Vec<Option<usize>>,
    /// For each operator, the tensors that no later one needs.
    last_uses: Vec<Vec<usize>>,
}

impl Buffers {
    fn new(graph: &Graph<'_>, operators: &[Operator<'_>], scores: usize) -> Self {
        let mut last_use = vec![None; graph.tensors.len()];
        for (index, operator) in operators.iter().enumerate() {
            for tensor in operator.inputs.iter().chain(&operator.outputs).flatten() {
                last_use[*tensor] = Some(index);
            }
        }
        last_use[scores] = None;
        let mut last_uses = vec![Vec::new(); operators.len()];
        for (tensor, operator) in last_use.into_iter().enumerate() {
            if let Some(operator) = operator {
                last_uses[operator].push(tensor);
            }
        }
        Self {
            lens: Vec::new(),
            free: Vec::new(),
            of_tensor: vec![None; graph.tensors.len()],
            last_uses,
        }
    }

    fn assign(&mut self, tensor: usize, shape: Shape) -> Result<usize, ModelError> {
        if self.of_tensor[tensor].is_some() {
            return Err(inconsistent(&format!("tensor {tensor} is computed twice")));
        }
        let buffer = self.free.pop().unwrap_or_else(|| {
            self.lens.push(0);
            self.lens.len() - 1
        });
        self.lens[buffer] = self.lens[buffer].max(shape.len());
        self.of_tensor[tensor] = Some(buffer);
        if self.lens.iter().sum::<usize>() > 4 * MAX_LEN {
            return Err(ModelError::Unsupported(
                "more memory for its activations".to_owned(),
            ));
        }
        Ok(buffer)
    }

    fn holding(&self, tensor: usize) -> Result<usize, ModelError> {
        self.of_tensor[tensor]
            .ok_or_else(|| inconsistent(&format!("tensor {tensor} is used before it is computed")))
    }

    /// Frees the buffers that no operator after this one needs.
    fn release(&mut self, operator: usize) {
        for tensor in &self.last_uses[operator] {
            self.free.extend(self.of_tensor[*tensor]);
        }
    }
}

/// The kernel of an operator, and the shape of what it gives.
fn kernel(graph: &Graph<'_>, operator: &Operator<'_>) -> Result<(Kernel, Shape), ModelError> {
    let tensor = |index: usize| &graph.tensors[index];
    let input = tensor(operator.input(0)?);
    let output = tensor(operator.output()?);
    let shape = input.activation_shape()?;
    let same_len = |shape: Shape| {
        let output = output.activation_shape()?;
        if output.len() == shape.len() {
            Ok(output)
        } else {
            Err(inconsistent("tensors of unequal size"))
        }
    };
    match operator.kind {
        Kind::Convolution => convolution(graph, operator),
        Kind::DepthwiseConvolution => depthwise(graph, operator),
        Kind::FullyConnected => fully_connected(graph, operator),
        Kind::AveragePool => {
            let size = [operator.count(4, 0)?, operator.count(3, 0)?];
            let (window, height, width) = window(operator, shape, size)?;
            let output_shape = Shape {
                height,
                width,
                channels: shape.channels,
            };
            let range = output.range(operator.activation(5)?)?;
            if input.scale()?.to_bits() != output.scale()?.to_bits() {
                return Err(ModelError::Unsupported(
                    "an average pool that changes the scale".to_owned(),
                ));
            }
            Ok((
                Kernel::AveragePool {
                    window,
                    input: shape,
                    output: output_shape,
                    range,
                },
                output_shape,
            ))
        }
        Kind::Add => {
            let other = tensor(operator.input(1)?);
            if other.activation_shape()? != shape {
                return Err(ModelError::Unsupported(
                    "an addition of unequal shapes".to_owned(),
                ));
            }
            let factors = [
                input.scale()? / output.scale()?,
                other.scale()? / output.scale()?,
            ];
            Ok((
                Kernel::Add {
                    factors,
                    range: output.range(operator.activation(0)?)?,
                },
                shape,
            ))
        }
        Kind::Quantize | Kind::Reshape => {
            let factor = input.scale()? / output.scale()?;
            Ok((
                Kernel::Rescale {
                    factor,
                    range: output.range(Activation::None)?,
                },
                same_len(shape)?,
            ))
        }
        Kind::Softmax => Err(ModelError::Unsupported(
            "a softmax that is not the last operator".to_owned(),
        )),
        Kind::Other(code) => Err(ModelError::Unsupported(format!("operator {code}"))),
    }
}

fn convolution(graph: &Graph<'_>, operator: &Operator<'_>) -> Result<(Kernel, Shape), ModelError> {
    let input = &graph.tensors[operator.input(0)?];
    let weights = &graph.tensors[operator.input(1)?];
    let shape = input.activation_shape()?;
    let [channels, height, width, depth] = *weights.shape else {
        return Err(inconsistent(
            "weights of a convolution without four dimensions",
        ));
    };
    if depth != shape.channels {
        return Err(ModelError::Unsupported("a grouped convolution".to_owned()));
    }
    not_dilated(operator, [4, 5])?;
    let (window, output_height, output_width) = window(operator, shape, [height, width])?;
    let output = Shape {
        height: output_height,
        width: output_width,
        channels,
    };
    let requantize = requantize(graph, operator, 0, channels, 3)?;
    dense(weights, window, shape, output, requantize)
}

fn fully_connected(
    graph: &Graph<'_>,
    operator: &Operator<'_>,
) -> Result<(Kernel, Shape), ModelError> {
    let input = &graph.tensors[operator.input(0)?];
    let weights = &graph.tensors[operator.input(1)?];
    let [channels, depth] = *weights.shape else {
        return Err(inconsistent(
            "weights of a fully connected layer without two dimensions",
        ));
    };
    if depth != input.activation_shape()?.len() {
        return Err(inconsistent(
            "a fully connected layer that does not fit its input",
        ));
    }
    let window = Window {
        height: 1,
        width: 1,
        stride_y: 1,
        stride_x: 1,
        top: 0,
        left: 0,
    };
    let requantize = requantize(graph, operator, 0, channels, 0)?;
    let pixel = |channels| Shape {
        height: 1,
        width: 1,
        channels,
    };
    dense(weights, window, pixel(depth), pixel(channels), requantize)
}

/// A convolution whose weights are stored with the output channel varying slowest.
fn dense(
    weights: &Tensor<'_>,
    window: Window,
    input: Shape,
    output: Shape,
    requantize: Requantize,
) -> Result<(Kernel, Shape), ModelError> {
    let stored = weights.weights()?;
    let kernel = Convolution {
        window,
        input,
        output,
        weights: transpose(&stored, output.channels),
        finish: requantize,
    };
    if output
        .pixels()
        .checked_mul(kernel.depth())
        .is_none_or(|len| len > MAX_LEN)
    {
        return Err(ModelError::Unsupported(
            "more memory for a convolution".to_owned(),
        ));
    }
    Ok((Kernel::Convolution(kernel), output))
}

fn depthwise(graph: &Graph<'_>, operator: &Operator<'_>) -> Result<(Kernel, Shape), ModelError> {
    let input = &graph.tensors[operator.input(0)?];
    let weights = &graph.tensors[operator.input(1)?];
    let shape = input.activation_shape()?;
    let [1, height, width, channels] = *weights.shape else {
        return Err(inconsistent(
            "weights of a depthwise convolution of an unknown shape",
        ));
    };
    if channels != shape.channels {
        return Err(ModelError::Unsupported(
            "a depthwise convolution that multiplies channels".to_owned(),
        ));
    }
    not_dilated(operator, [5, 6])?;
    let (window, output_height, output_width) = window(operator, shape, [height, width])?;
    let output = Shape {
        height: output_height,
        width: output_width,
        channels,
    };
    let requantize = requantize(graph, operator, 3, channels, 4)?;
    let weights = weights.weights()?;
    Ok((
        Kernel::Depthwise(Depthwise {
            window,
            input: shape,
            output,
            weights,
            requantize,
        }),
        output,
    ))
}

/// What follows the sums of an operator with weights: its biases, scales and the activation function in `slot`.
fn requantize(
    graph: &Graph<'_>,
    operator: &Operator<'_>,
    channel_axis: usize,
    channels: usize,
    slot: usize,
) -> Result<Requantize, ModelError> {
    let input = graph.tensors[operator.input(0)?].scale()?;
    let weights = &graph.tensors[operator.input(1)?];
    let output = &graph.tensors[operator.output()?];
    let output_scale = output.scale()?;
    let biases = match operator.input(2) {
        Ok(biases) => graph.tensors[biases].biases(channels)?,
        Err(_) => vec![0.0; channels],
    };
    let multipliers = weights
        .channel_scales(channel_axis, channels)?
        .into_iter()
        .map(|weight| input * weight / output_scale)
        .collect();
    Ok(Requantize {
        biases,
        multipliers,
        range: output.range(operator.activation(slot)?)?,
    })
}

/// The window of a convolution or pool with `size` rows and columns, and the height and width of its output.
fn window(
    operator: &Operator<'_>,
    input: Shape,
    size: [usize; 2],
) -> Result<(Window, usize, usize), ModelError> {
    let (stride_x, stride_y) = (operator.count(1, 0)?, operator.count(2, 0)?);
    let padding = operator.padding()?;
    let along = |input: usize, size: usize, stride: usize| -> Result<(usize, usize), ModelError> {
        let (output, padded) = match padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                (output, ((output - 1) * stride + size).saturating_sub(input))
            }
            Padding::Valid => {
                let room = (input + 1).checked_sub(size).filter(|room| *room > 0);
                let room = room.ok_or_else(|| inconsistent("a window larger than its input"))?;
                (room.div_ceil(stride), 0)
            }
        };
        Ok((output, padded / 2))
    };
    let [height, width] = size;
    if ![height, width]
        .iter()
        .all(|size| (1..=MAX_WINDOW).contains(size))
    {
        return Err(inconsistent(&format!("a window of {width} x {height}")));
    }
    let (output_height, top) = along(input.height, height, stride_y)?;
    let (output_width, left) = along(input.width, width, stride_x)?;
    Ok((
        Window {
            height,
            width,
            stride_y,
            stride_x,
            top,
            left,
        },
        output_height,
        output_width,
    ))
}

fn not_dilated(operator: &Operator<'_>, slots: [usize; 2]) -> Result<(), ModelError> {
    for slot in slots {
        if operator.count(slot, 1)? != 1 {
            return Err(ModelError::Unsupported("a dilated convolution".to_owned()));
        }
    }
    Ok(())
}

impl Tensor<'_> {
    /// The shape of an activation for one image.
    fn activation_shape(&self) -> Result<Shape, ModelError> {
        let shape = match *self.shape {
            [1, height, width, channels] => Shape {
                height,
                width,
                channels,
            },
            [1, channels] => Shape {
                height: 1,
                width: 1,
                channels,
            },
            _ => {
                return Err(ModelError::Unsupported(format!(
                    "an activation of shape {:?}",
                    self.shape
                )));
            }
        };
        let len = shape
            .height
            .checked_mul(shape.width)
            .and_then(|pixels| pixels.checked_mul(shape.channels));
        match len {
            Some(1..=MAX_LEN) => Ok(shape),
            _ => Err(ModelError::Unsupported(format!(
                "an activation of shape {:?}",
                self.shape
            ))),
        }
    }

    /// The scale of a tensor that has one for all its values.
    fn scale(&self) -> Result<f32, ModelError> {
        match *self.scales {
            [scale] if scale.is_normal() && scale > 0.0 => Ok(scale),
            _ => Err(ModelError::Unsupported(
                "an activation that is not quantized".to_owned(),
            )),
        }
    }

    /// The values an activation can have, the zero point subtracted.
    fn range(&self, activation: Activation) -> Result<Range, ModelError> {
        let (least, greatest) = match self.element {
            Element::Int8 => (-128, 127),
            Element::Uint8 => (0, 255),
            other => {
                return Err(ModelError::Unsupported(format!(
                    "an activation of {other:?}"
                )));
            }
        };
        let zero_point = match *self.zero_points {
            [] => 0,
            [zero_point] if (least..=greatest).contains(&zero_point) => zero_point,
            _ => return Err(inconsistent("a zero point outside the range of values")),
        };
        // At most 255 either way, which every float type holds.
        let (low, high) = ((least - zero_point) as f32, (greatest - zero_point) as f32);
        Ok(match activation {
            Activation::None => Range { low, high },
            Activation::Relu => Range {
                low: low.max(0.0),
                high,
            },
            Activation::Relu6 => Range {
                low: low.max(0.0),
                high: high.min((6.0 / self.scale()?).round()),
            },
        })
    }

    /// The values of constant weights.
    fn weights(&self) -> Result<Vec<f32>, ModelError> {
        if self.element != Element::Int8
            || self.zero_points.iter().any(|zero_point| *zero_point != 0)
        {
            return Err(ModelError::Unsupported(
                "weights that are not symmetric 8-bit integers".to_owned(),
            ));
        }
        let len = self
            .shape
            .iter()
            .try_fold(1_usize, |len, size| len.checked_mul(*size));
        if len != Some(self.data.len()) || self.data.is_empty() {
            return Err(inconsistent(
                "weights that do not have the size of their shape",
            ));
        }
        Ok(self
            .data
            .iter()
            .map(|byte| f32::from(i8::from_le_bytes([*byte])))
            .collect())
    }

    /// The scale of each output channel of constant weights.
    fn channel_scales(&self, axis: usize, channels: usize) -> Result<Vec<f32>, ModelError> {
        let scales = match &*self.scales {
            [scale] => vec![*scale; channels],
            scales if scales.len() == channels && self.quantized_axis == axis => scales.to_vec(),
            _ => return Err(inconsistent("weights without a scale for each channel")),
        };
        if scales.iter().all(|scale| scale.is_normal() && *scale > 0.0) {
            Ok(scales)
        } else {
            Err(inconsistent("a scale that is not a positive number"))
        }
    }

    fn biases(&self, channels: usize) -> Result<Vec<f32>, ModelError> {
        let (biases, rest) = self.data.as_chunks();
        if self.element != Element::Int32 || biases.len() != channels || !rest.is_empty() {
            return Err(inconsistent("biases that do not fit their channels"));
        }
        Ok(biases
            .iter()
            .map(|bytes| i32::from_le_bytes(*bytes) as f32)
            .collect())
    }
}
