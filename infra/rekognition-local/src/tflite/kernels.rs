//! The arithmetic of the operators.
//!
//! An activation is held as `f32`, each value being the stored integer minus its tensor's zero point: padding is then
//! zero, and a product of quantized tensors is a plain matrix product. Sums of products of 8-bit integers stay exact in
//! `f32` up to 2^24, so results do not depend on the order of summation, the number of threads or the machine.

use rayon::prelude::*;

use crate::convolution::{Convolution, Finish, Shape, Window};

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

impl Finish for Requantize {
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
    Convolution(Convolution<Requantize>),
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
                let mut taps = Vec::new();
                for (x, sums) in row.chunks_mut(channels).enumerate() {
                    taps.clear();
                    for (window_y, input_y) in self.window.rows(y, self.input) {
                        for (window_x, input_x) in self.window.columns(x, self.input) {
                            let value = (input_y * self.input.width + input_x) * channels;
                            let weight = (window_y * self.window.width + window_x) * channels;
                            taps.push((
                                &input[value..][..channels],
                                &self.weights[weight..][..channels],
                            ));
                        }
                    }
                    sum_of_products(&taps, sums);
                    self.requantize.apply(sums, 0);
                }
            });
    }
}

/// Adds up the products of values and weights, channel by channel. A few channels are added up at a time, so that their
/// sums stay in registers.
fn sum_of_products(taps: &[(&[f32], &[f32])], sums: &mut [f32]) {
    const LANES: usize = 16;
    let (whole, rest) = sums.as_chunks_mut::<LANES>();
    for (place, sums) in whole.iter_mut().enumerate() {
        let mut lanes = [0.0; LANES];
        for (values, weights) in taps {
            let (values, weights) = (
                values.as_chunks::<LANES>().0,
                weights.as_chunks::<LANES>().0,
            );
            for (lane, (value, weight)) in lanes
                .iter_mut()
                .zip(values[place].iter().zip(&weights[place]))
            {
                *lane += value * weight;
            }
        }
        *sums = lanes;
    }
    let first = whole.len() * LANES;
    rest.fill(0.0);
    for (values, weights) in taps {
        let products = values[first..].iter().zip(&weights[first..]);
        for (sum, (value, weight)) in rest.iter_mut().zip(products) {
            *sum += value * weight;
        }
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
