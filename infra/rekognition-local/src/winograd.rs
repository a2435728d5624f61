//! Convolutions of three rows and columns with a quarter of the multiplications.
//!
//! Winograd's minimal filtering F(4×4, 3×3): a tile of 4×4 output values takes 6×6 products for each pair of channels
//! instead of 4×4×9, after its 6×6 input values and the weights have been transformed by constant matrices. See Lavin and
//! Gray, "Fast Algorithms for Convolutional Neural Networks", <https://arxiv.org/abs/1509.09308>. The transforms vary
//! fastest along channels, so that they are vectorized.

use std::{
    array,
    cell::Cell,
    ops::{Add, Mul, Sub},
};

use ndarray::linalg::general_mat_mul;
use rayon::prelude::*;

use crate::convolution::{Finish, Shape, Window, matrix, matrix_mut};

/// Output values of a tile along each side.
const TILE: usize = 4;
/// Rows and columns of the weights.
const TAPS: usize = 3;
/// Input values of a tile along each side.
const SEEN: usize = TILE + TAPS - 1;
/// Products of a tile, for each pair of channels.
const POINTS: usize = SEEN * SEEN;

/// Channels that are transformed together.
const LANES: usize = 4;

/// Fewer tiles do not repay reading the transformed weights, which are four times as many.
const MIN_TILES: usize = 32;

/// The most tiles of a block, whose transformed values should stay in the cache.
const BLOCK_TILES: usize = 128;

/// A convolution of 3×3 weights whose output is as large as its input.
pub(crate) struct Winograd<F> {
    input: Shape,
    output: Shape,
    /// A matrix of input channels × output channels for each point.
    weights: Vec<f32>,
    finish: F,
}

impl<F: Finish> Winograd<F> {
    /// Whether a convolution can be computed like this, and is computed in less time.
    pub(crate) fn suits(window: &Window, input: Shape, output: Shape) -> bool {
        (window.height, window.width) == (TAPS, TAPS)
            && (window.stride_y, window.stride_x, window.top, window.left) == (1, 1, 1, 1)
            && (input.height, input.width) == (output.height, output.width)
            && [input, output].iter().all(|it| it.channels % LANES == 0)
            && tiles(output.height) * tiles(output.width) >= MIN_TILES
    }

    /// `weights` are window rows × window columns × input channels × output channels, the last varying fastest, of a
    /// convolution that [suits](Self::suits).
    pub(crate) fn new(input: Shape, output: Shape, weights: &[f32], finish: F) -> Self {
        let pairs = input.channels * output.channels;
        let mut transformed = vec![0.0; POINTS * pairs];
        for pair in (0..pairs).step_by(LANES) {
            both_ways(
                |y, x| Lanes::read(&weights[(y * TAPS + x) * pairs + pair..]),
                transformed_weights,
                |y, x, lanes| lanes.write(&mut transformed[(y * SEEN + x) * pairs + pair..]),
            );
        }
        Self {
            input,
            output,
            weights: transformed,
            finish,
        }
    }

    /// Computes `output`. Runs on the threads of rayon's current pool.
    pub(crate) fn run(&self, input: &[f32], output: &mut [f32]) {
        let row = self.output.width * self.output.channels;
        let (tile_rows, tile_columns) = (tiles(self.output.height), tiles(self.output.width));
        let block_rows = (BLOCK_TILES / tile_columns).clamp(1, tile_rows);
        output[..self.output.len()]
            .par_chunks_mut(block_rows * TILE * row)
            .enumerate()
            .for_each(|(block, output)| self.run_block(input, block * block_rows, output));
    }

    /// Computes rows of tiles from `first_row` on.
    fn run_block(&self, input: &[f32], first_row: usize, output: &mut [f32]) {
        let row = self.output.width * self.output.channels;
        let columns = tiles(self.output.width);
        let count = tiles(output.len() / row) * columns;
        let (channels, out_channels) = (self.input.channels, self.output.channels);
        let mut scratch = SCRATCH.take();
        let len = POINTS * count * (channels + out_channels);
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        let (seen, products) = scratch[..len].split_at_mut(POINTS * count * channels);

        for tile in 0..count {
            let (y, x) = (first_row + tile / columns, tile % columns);
            self.transform_input(input, (y, x), tile * channels, count * channels, seen);
        }
        let pairs = channels * out_channels;
        seen.par_chunks_exact(count * channels)
            .zip(products.par_chunks_exact_mut(count * out_channels))
            .zip(self.weights.par_chunks_exact(pairs))
            .for_each(|((seen, products), weights)| {
                let seen = matrix(seen, count, channels);
                let weights = matrix(weights, channels, out_channels);
                let mut products = matrix_mut(products, count, out_channels);
                general_mat_mul(1.0, &seen, &weights, 0.0, &mut products);
            });
        for tile in 0..count {
            let (y, x) = (tile / columns, tile % columns);
            let (start, step) = (tile * out_channels, count * out_channels);
            self.transform_output(products, start, step, (y, x), output);
        }
        SCRATCH.set(scratch);
    }

    /// Writes what the products of a tile are made of, from `start` on and for each point `step` further.
    fn transform_input(
        &self,
        input: &[f32],
        (tile_y, tile_x): (usize, usize),
        start: usize,
        step: usize,
        seen: &mut [f32],
    ) {
        let Shape {
            height,
            width,
            channels,
        } = self.input;
        // Padding is a row and a column before the first.
        let pixel = |y: usize, x: usize| {
            let y = (tile_y * TILE + y).checked_sub(1).filter(|y| *y < height)?;
            let x = (tile_x * TILE + x).checked_sub(1).filter(|x| *x < width)?;
            Some((y * width + x) * channels)
        };
        let pixels: [[Option<usize>; SEEN]; SEEN] =
            array::from_fn(|y| array::from_fn(|x| pixel(y, x)));
        for channel in (0..channels).step_by(LANES) {
            both_ways(
                |y, x| match pixels[y][x] {
                    Some(pixel) => Lanes::read(&input[pixel + channel..]),
                    None => Lanes::ZERO,
                },
                transformed_input,
                |y, x, lanes| {
                    lanes.write(&mut seen[start + (y * SEEN + x) * step + channel..]);
                },
            );
        }
    }

    /// Writes the pixels of a tile, less those beyond the output's last row and column.
    fn transform_output(
        &self,
        products: &[f32],
        start: usize,
        step: usize,
        (tile_y, tile_x): (usize, usize),
        output: &mut [f32],
    ) {
        let Shape {
            width, channels, ..
        } = self.output;
        let rows = output.len() / (width * channels);
        for channel in (0..channels).step_by(LANES) {
            both_ways(
                |y, x| Lanes::read(&products[start + (y * SEEN + x) * step + channel..]),
                transformed_output,
                |y, x, lanes| {
                    let (y, x) = (tile_y * TILE + y, tile_x * TILE + x);
                    if y < rows && x < width {
                        lanes.write(&mut output[(y * width + x) * channels + channel..]);
                    }
                },
            );
        }
        for y in (tile_y * TILE..rows).take(TILE) {
            for x in (tile_x * TILE..width).take(TILE) {
                let start = (y * width + x) * channels;
                self.finish.apply(&mut output[start..start + channels], 0);
            }
        }
    }
}

thread_local! {
    /// Memory of past runs, which spares the next one the page faults of fresh memory. Whoever uses it takes it: while a
    /// thread waits for others, rayon may give it another block.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The tiles that cover so many values.
fn tiles(values: usize) -> usize {
    values.div_ceil(TILE)
}

/// Applies a transform to each column, and then to each row of the result.
#[inline(always)]
fn both_ways<const FROM: usize, const TO: usize>(
    read: impl Fn(usize, usize) -> Lanes,
    transform: impl Fn([Lanes; FROM]) -> [Lanes; TO],
    mut write: impl FnMut(usize, usize, Lanes),
) {
    let mut rows = [[Lanes::ZERO; FROM]; TO];
    for x in 0..FROM {
        let mut column = [Lanes::ZERO; FROM];
        for (y, lanes) in column.iter_mut().enumerate() {
            *lanes = read(y, x);
        }
        for (row, lanes) in rows.iter_mut().zip(transform(column)) {
            row[x] = lanes;
        }
    }
    for (y, row) in rows.into_iter().enumerate() {
        for (x, lanes) in transform(row).into_iter().enumerate() {
            write(y, x, lanes);
        }
    }
}

#[inline(always)]
fn transformed_weights([a, b, c]: [Lanes; TAPS]) -> [Lanes; SEEN] {
    let (even, odd) = ((a + c) * (1.0 / 6.0), b * (1.0 / 6.0));
    let (wide, twice) = (a * (1.0 / 24.0) + c * (1.0 / 6.0), b * (1.0 / 12.0));
    [
        a * 0.25,
        Lanes::ZERO - even - odd,
        odd - even,
        wide + twice,
        wide - twice,
        c,
    ]
}

#[inline(always)]
fn transformed_input([a, b, c, d, e, f]: [Lanes; SEEN]) -> [Lanes; SEEN] {
    let (even, odd) = (e - c * 4.0, d - b * 4.0);
    let (wide, twice) = (e - c, (d - b) * 2.0);
    [
        a * 4.0 - c * 5.0 + e,
        even + odd,
        even - odd,
        wide + twice,
        wide - twice,
        b * 4.0 - d * 5.0 + f,
    ]
}

#[inline(always)]
fn transformed_output([a, b, c, d, e, f]: [Lanes; SEEN]) -> [Lanes; TILE] {
    let (near, near_slope) = (b + c, b - c);
    let (far, far_slope) = (d + e, d - e);
    [
        a + near + far,
        near_slope + far_slope * 2.0,
        near + far * 4.0,
        near_slope + far_slope * 8.0 + f,
    ]
}

/// Values of neighbouring channels.
#[derive(Clone, Copy)]
struct Lanes([f32; LANES]);

impl Lanes {
    const ZERO: Self = Self([0.0; LANES]);

    #[inline(always)]
    fn read(values: &[f32]) -> Self {
        let mut lanes = Self::ZERO;
        lanes.0.copy_from_slice(&values[..LANES]);
        lanes
    }

    #[inline(always)]
    fn write(self, values: &mut [f32]) {
        values[..LANES].copy_from_slice(&self.0);
    }
}

impl Add for Lanes {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let mut lanes = self;
        for (lane, other) in lanes.0.iter_mut().zip(other.0) {
            *lane += other;
        }
        lanes
    }
}

impl Sub for Lanes {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let mut lanes = self;
        for (lane, other) in lanes.0.iter_mut().zip(other.0) {
            *lane -= other;
        }
        lanes
    }
}

impl Mul<f32> for Lanes {
    type Output = Self;

    #[inline(always)]
    fn mul(self, factor: f32) -> Self {
        let mut lanes = self;
        for lane in &mut lanes.0 {
            *lane *= factor;
        }
        lanes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::convolution::Convolution;

    /// Adds to each sum the number of its channel.
    struct Numbered;

    impl Finish for Numbered {
        fn apply(&self, sums: &mut [f32], first_channel: usize) {
            for (channel, sum) in sums.iter_mut().enumerate() {
                *sum += (first_channel + channel) as f32;
            }
        }
    }

    const WINDOW: Window = Window {
        height: 3,
        width: 3,
        stride_y: 1,
        stride_x: 1,
        top: 1,
        left: 1,
    };

    fn shape(height: usize, width: usize, channels: usize) -> Shape {
        Shape {
            height,
            width,
            channels,
        }
    }

    /// Numbers between -1 and 1 that look random.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_result_is_that_of_the_convolution(
            height in 1_usize..50, width in 1_usize..50, inputs in 1_usize..4, outputs in 1_usize..4, seed: u32,
        ) {
            let (input, output) = (shape(height, width, 8 * inputs), shape(height, width, 8 * outputs));
            let weights = numbers(9 * input.channels * output.channels, seed);
            let values = numbers(input.len(), seed ^ 1);
            let winograd = Winograd::new(input, output, &weights, Numbered);
            let convolution = Convolution { window: WINDOW, input, output, weights, finish: Numbered };
            let (mut found, mut expected) = (vec![f32::NAN; output.len()], vec![0.0; output.len()]);
            // Twice: the second run finds the memory of the first.
            for _ in 0..2 {
                winograd.run(&values, &mut found);
            }
            convolution.run(&values, &mut expected);
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
            }
        }
    }

    #[test]
    fn only_what_it_computes_suits() {
        let suits =
            |window: Window, input, output| Winograd::<Numbered>::suits(&window, input, output);
        let large = shape(26, 26, 64);
        assert!(suits(WINDOW, large, large));
        assert!(!suits(
            Window {
                height: 1,
                ..WINDOW
            },
            large,
            large
        ));
        assert!(!suits(
            Window {
                stride_x: 2,
                ..WINDOW
            },
            large,
            large
        ));
        assert!(!suits(Window { left: 0, ..WINDOW }, large, large));
        assert!(!suits(WINDOW, shape(28, 28, 64), large));
        assert!(!suits(WINDOW, shape(26, 26, 3), large));
        assert!(!suits(WINDOW, shape(13, 13, 64), shape(13, 13, 64)));
    }
}
