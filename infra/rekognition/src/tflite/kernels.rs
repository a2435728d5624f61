//! The arithmetic of the operators.
//!
//! An activation is held as `f32`, each value being the stored integer minus its tensor's zero point: padding is then
//! zero, and a product of quantized tensors is a plain matrix product. Sums of products of 8-bit integers stay exact in
//! `f32` up to 2^24, so results do not depend on the order of summation, the number of threads or the machine.

use ndarray::{ArrayView2, ArrayViewMut2, Axis, linalg::general_mat_mul};
use rayon::prelude::*;

/// Height, width and channels of an activation; channels vary fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

impl Shape {
    pub(super) fn pixels(self) -> usize {
        self.height * self.width
    }

    pub(super) fn len(self) -> usize {
        self.pixels() * self.channels
    }
}

/// How a kernel's window moves over its input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) stride_y: usize,
    pub(super) stride_x: usize,
    /// Rows and columns of padding before the input.
    pub(super) top: usize,
    pub(super) left: usize,
}

impl Window {
    /// The input rows or columns that a window covers: pairs of the place in the window and in the input.
    fn covered(
        output: usize,
        stride: usize,
        padding: usize,
        size: usize,
        input: usize,
    ) -> impl Iterator<Item = (usize, usize)> + Clone {
        (0..size).filter_map(move |place| {
            let at = (output * stride + place).checked_sub(padding)?;
            (at < input).then_some((place, at))
        })
    }

    fn rows(&self, output_y: usize, input: Shape) -> impl Iterator<Item = (usize, usize)> + Clone {
        Self::covered(output_y, self.stride_y, self.top, self.height, input.height)
    }

    fn columns(
        &self,
        output_x: usize,
        input: Shape,
    ) -> impl Iterator<Item = (usize, usize)> + Clone {
        Self::covered(output_x, self.stride_x, self.left, self.width, input.width)
    }

    /// Whether each output pixel sees exactly the input pixel at its own place.
    fn is_pointwise(&self) -> bool {
        (self.height, self.width, self.stride_y, self.stride_x) == (1, 1, 1, 1)
    }
}

/// The range of a tensor's values, the zero point subtracted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) low: f32,
    pub(super) high: f32,
}

impl Range {
    /// The nearest value of the range.
    ///
    /// Adding 1.5 × 2^23 leaves no bits for a fraction; unlike `f32::round_ties_even` it needs no instruction beyond
    /// those of every x86-64 processor, and so is vectorized.
    pub(super) fn nearest(self, value: f32) -> f32 {
        const WHOLE: f32 = 12_582_912.0;
        (value.clamp(self.low, self.high) + WHOLE) - WHOLE
    }
}

/// From sums of products to the output's scale, per channel.
pub(super) struct Requantize {
    pub(super) biases: Vec<f32>,
    pub(super) multipliers: Vec<f32>,
    pub(super) range: Range,
}

impl Requantize {
    /// `sums` are consecutive channels from `first_channel` on.
    fn apply(&self, sums: &mut [f32], first_channel: usize) {
        let factors = self.biases[first_channel..]
            .iter()
            .zip(&self.multipliers[first_channel..]);
        for (value, (bias, multiplier)) in sums.iter_mut().zip(factors) {
            *value = self.range.nearest((*value + bias) * multiplier);
        }
    }
}

/// What turns inputs into an output.
pub(super) enum Kernel {
    Convolution(Convolution),
    Depthwise(Depthwise),
    /// Sum of two inputs after bringing them to the output's scale.
    Add {
        factors: [f32; 2],
        range: Range,
    },
    AveragePool {
        window: Window,
        input: Shape,
        output: Shape,
        range: Range,
    },
    /// Another scale for the same values.
    Rescale {
        factor: f32,
        range: Range,
    },
}

impl Kernel {
    /// `other` is the second input, which only [`Kernel::Add`] has.
    pub(super) fn run(&self, input: &[f32], other: &[f32], output: &mut [f32]) {
        match self {
            Self::Convolution(kernel) => kernel.run(input, output),
            Self::Depthwise(kernel) => kernel.run(input, output),
            Self::Add { factors, range } => {
                for (sum, (a, b)) in output.iter_mut().zip(input.iter().zip(other)) {
                    *sum = range.nearest(a * factors[0] + b * factors[1]);
                }
            }
            Self::AveragePool {
                window,
                input: from,
                output: to,
                range,
            } => {
                average_pool(window, *from, *to, *range, input, output);
            }
            Self::Rescale { factor, range } => {
                for (output, input) in output.iter_mut().zip(input) {
                    *output = range.nearest(input * factor);
                }
            }
        }
    }
}

/// A convolution over all channels; a fully connected layer is one over a single pixel.
pub(super) struct Convolution {
    pub(super) window: Window,
    pub(super) input: Shape,
    pub(super) output: Shape,
    /// Window rows × window columns × input channels × output channels, the last varying fastest.
    pub(super) weights: Vec<f32>,
    pub(super) requantize: Requantize,
}

impl Convolution {
    /// Rows of a tile: enough to repay packing the weights, few enough to stay in the cache until requantized.
    const TILE_ROWS: usize = 512;

    /// Values of the input that one output value depends on.
    pub(super) fn depth(&self) -> usize {
        self.window.height * self.window.width * self.input.channels
    }

    fn run(&self, input: &[f32], output: &mut [f32]) {
        if self.window.is_pointwise() {
            self.multiply(input, output);
        } else {
            self.multiply(&self.patches(input), output);
        }
    }

    /// The input values under the window, for each output pixel.
    fn patches(&self, input: &[f32]) -> Vec<f32> {
        let mut patches = vec![0.0; self.output.pixels() * self.depth()];
        let channels = self.input.channels;
        patches
            .par_chunks_mut(self.output.width * self.depth())
            .enumerate()
            .for_each(|(y, row)| {
                for (x, patch) in row.chunks_mut(self.depth()).enumerate() {
                    for (window_y, input_y) in self.window.rows(y, self.input) {
                        for (window_x, input_x) in self.window.columns(x, self.input) {
                            let to = (window_y * self.window.width + window_x) * channels;
                            let from = (input_y * self.input.width + input_x) * channels;
                            patch[to..to + channels].copy_from_slice(&input[from..from + channels]);
                        }
                    }
                }
            });
        patches
    }

    /// `output` = `patches` × weights, requantized, in tiles across the longer side.
    fn multiply(&self, patches: &[f32], output: &mut [f32]) {
        let (rows, columns, depth) = (self.output.pixels(), self.output.channels, self.depth());
        let patches = matrix(patches, rows, depth);
        let weights = matrix(&self.weights, depth, columns);
        let by_rows = rows >= columns;
        let share = rows.max(columns).div_ceil(rayon::current_num_threads());
        let (axis, size) = if by_rows {
            (Axis(0), share.min(Self::TILE_ROWS))
        } else {
            (Axis(1), share)
        };
        let mut output = matrix_mut(output, rows, columns);
        let tiles: Vec<_> = output.axis_chunks_iter_mut(axis, size).collect();
        tiles
            .into_par_iter()
            .enumerate()
            .for_each(|(index, mut tile)| {
                let start = index * size;
                let covered = (start..start + tile.len_of(axis)).into();
                let (patches, weights, first_channel) = if by_rows {
                    (patches.slice_axis(axis, covered), weights, 0)
                } else {
                    (patches, weights.slice_axis(axis, covered), start)
                };
                general_mat_mul(1.0, &patches, &weights, 0.0, &mut tile);
                for mut row in tile.rows_mut() {
                    if let Some(sums) = row.as_slice_mut() {
                        self.requantize.apply(sums, first_channel);
                    }
                }
            });
    }
}

/// A convolution of each channel by itself.
pub(super) struct Depthwise {
    pub(super) window: Window,
    pub(super) input: Shape,
    pub(super) output: Shape,
    /// Window rows × window columns × channels.
    pub(super) weights: Vec<f32>,
    pub(super) requantize: Requantize,
}

impl Depthwise {
    fn run(&self, input: &[f32], output: &mut [f32]) {
        let channels = self.input.channels;
        output
            .par_chunks_mut(self.output.width * channels)
            .enumerate()
            .for_each(|(y, row)| {
                for (x, sums) in row.chunks_mut(channels).enumerate() {
                    sums.fill(0.0);
                    for (window_y, input_y) in self.window.rows(y, self.input) {
                        for (window_x, input_x) in self.window.columns(x, self.input) {
                            let values = &input
                                [(input_y * self.input.width + input_x) * channels..][..channels];
                            let weights = &self.weights
                                [(window_y * self.window.width + window_x) * channels..];
                            for (sum, (value, weight)) in
                                sums.iter_mut().zip(values.iter().zip(weights))
                            {
                                *sum += value * weight;
                            }
                        }
                    }
                    self.requantize.apply(sums, 0);
                }
            });
    }
}

fn average_pool(
    window: &Window,
    input: Shape,
    output: Shape,
    range: Range,
    values: &[f32],
    means: &mut [f32],
) {
    for (pixel, means) in means.chunks_mut(output.channels).enumerate() {
        let (y, x) = (pixel / output.width, pixel % output.width);
        means.fill(0.0);
        let mut count = 0.0_f32;
        for (_, input_y) in window.rows(y, input) {
            for (_, input_x) in window.columns(x, input) {
                let values = &values[(input_y * input.width + input_x) * input.channels..];
                for (sum, value) in means.iter_mut().zip(values) {
                    *sum += value;
                }
                count += 1.0;
            }
        }
        for mean in means {
            *mean = range.nearest(*mean / count);
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "the network's shapes agree with its buffers"
)]
fn matrix(values: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), &values[..rows * columns])
        .expect("as many values as the shape has")
}

#[expect(
    clippy::expect_used,
    reason = "the network's shapes agree with its buffers"
)]
fn matrix_mut(values: &mut [f32], rows: usize, columns: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, columns), &mut values[..rows * columns])
        .expect("as many values as the shape has")
}
