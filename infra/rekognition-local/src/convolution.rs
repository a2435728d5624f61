//! Convolutions as matrix products: the bulk of the work of every network here.

use ndarray::{ArrayView2, ArrayViewMut2, Axis, linalg::general_mat_mul};
use rayon::prelude::*;

/// Height, width and channels of an activation; channels vary fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Shape {
    pub(crate) fn pixels(self) -> usize {
        self.height * self.width
    }

    pub(crate) fn len(self) -> usize {
        self.pixels() * self.channels
    }
}

/// How a kernel's window moves over its input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) stride_y: usize,
    pub(crate) stride_x: usize,
    /// Rows and columns of padding before the input.
    pub(crate) top: usize,
    pub(crate) left: usize,
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

    pub(crate) fn rows(
        &self,
        output_y: usize,
        input: Shape,
    ) -> impl Iterator<Item = (usize, usize)> + Clone {
        Self::covered(output_y, self.stride_y, self.top, self.height, input.height)
    }

    pub(crate) fn columns(
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

/// What follows the sums of products: biases, scales, an activation function.
pub(crate) trait Finish: Sync {
    /// `sums` are consecutive channels from `first_channel` on.
    fn apply(&self, sums: &mut [f32], first_channel: usize);
}

/// A convolution over all channels; a fully connected layer is one over a single pixel.
pub(crate) struct Convolution<F> {
    pub(crate) window: Window,
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    /// Window rows × window columns × input channels × output channels, the last varying fastest.
    pub(crate) weights: Vec<f32>,
    pub(crate) finish: F,
}

impl<F: Finish> Convolution<F> {
    /// Rows of a tile: enough to repay packing the weights, few enough to stay in the cache until finished.
    const TILE_ROWS: usize = 512;

    /// Values of the input that one output value depends on.
    pub(crate) fn depth(&self) -> usize {
        self.window.height * self.window.width * self.input.channels
    }

    /// Computes `output` in tiles across the longer side of the matrix.
    pub(crate) fn run(&self, input: &[f32], output: &mut [f32]) {
        let (rows, columns) = (self.output.pixels(), self.output.channels);
        let share = rows.max(columns).div_ceil(rayon::current_num_threads());
        let output = matrix_mut(output, rows, columns);
        if rows >= columns {
            self.run_by_rows(input, output, share.min(Self::TILE_ROWS));
        } else {
            self.run_by_columns(input, output, share);
        }
    }

    /// Each tile gathers the patches of its own pixels, so that they are still in the cache when they are multiplied.
    fn run_by_rows(&self, input: &[f32], mut output: ArrayViewMut2<'_, f32>, tile_rows: usize) {
        let depth = self.depth();
        let weights = matrix(&self.weights, depth, self.output.channels);
        let tiles: Vec<_> = output.axis_chunks_iter_mut(Axis(0), tile_rows).collect();
        tiles
            .into_par_iter()
            .enumerate()
            .for_each_init(Vec::new, |patches, (index, mut tile)| {
                let (start, rows) = (index * tile_rows, tile.nrows());
                let patches = if self.window.is_pointwise() {
                    &input[start * depth..]
                } else {
                    patches.clear();
                    patches.resize(rows * depth, 0.0);
                    for (row, patch) in patches.chunks_exact_mut(depth).enumerate() {
                        self.gather(input, start + row, patch);
                    }
                    patches
                };
                general_mat_mul(1.0, &matrix(patches, rows, depth), &weights, 0.0, &mut tile);
                self.finish(tile, 0);
            });
    }

    /// All tiles need all patches.
    fn run_by_columns(
        &self,
        input: &[f32],
        mut output: ArrayViewMut2<'_, f32>,
        tile_columns: usize,
    ) {
        let (rows, depth) = (self.output.pixels(), self.depth());
        let mut gathered = Vec::new();
        let patches = if self.window.is_pointwise() {
            input
        } else {
            gathered.resize(rows * depth, 0.0);
            gathered
                .par_chunks_mut(depth)
                .enumerate()
                .for_each(|(pixel, patch)| self.gather(input, pixel, patch));
            &gathered
        };
        let patches = matrix(patches, rows, depth);
        let weights = matrix(&self.weights, depth, self.output.channels);
        let tiles: Vec<_> = output.axis_chunks_iter_mut(Axis(1), tile_columns).collect();
        tiles
            .into_par_iter()
            .enumerate()
            .for_each(|(index, mut tile)| {
                let start = index * tile_columns;
                let covered = (start..start + tile.ncols()).into();
                let weights = weights.slice_axis(Axis(1), covered);
                general_mat_mul(1.0, &patches, &weights, 0.0, &mut tile);
                self.finish(tile, start);
            });
    }

    fn finish(&self, mut tile: ArrayViewMut2<'_, f32>, first_channel: usize) {
        for mut row in tile.rows_mut() {
            if let Some(sums) = row.as_slice_mut() {
                self.finish.apply(sums, first_channel);
            }
        }
    }

    /// Copies the input values under the window at an output pixel into `patch`; what lies outside stays as it is.
    fn gather(&self, input: &[f32], pixel: usize, patch: &mut [f32]) {
        let (y, x) = (pixel / self.output.width, pixel % self.output.width);
        let channels = self.input.channels;
        for (window_y, input_y) in self.window.rows(y, self.input) {
            for (window_x, input_x) in self.window.columns(x, self.input) {
                let to = (window_y * self.window.width + window_x) * channels;
                let from = (input_y * self.input.width + input_x) * channels;
                patch[to..to + channels].copy_from_slice(&input[from..from + channels]);
            }
        }
    }
}

/// Weights stored with the output channel varying slowest, as a [`Convolution`] wants them.
pub(crate) fn transpose(stored: &[f32], channels: usize) -> Vec<f32> {
    let depth = stored.len() / channels;
    let mut transposed = vec![0.0; stored.len()];
    for (channel, values) in stored.chunks_exact(depth).enumerate() {
        for (place, value) in values.iter().enumerate() {
            transposed[place * channels + channel] = *value;
        }
    }
    transposed
}

#[expect(
    clippy::expect_used,
    reason = "the network's shapes agree with its buffers"
)]
pub(crate) fn matrix(values: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), &values[..rows * columns])
        .expect("as many values as the shape has")
}

#[expect(
    clippy::expect_used,
    reason = "the network's shapes agree with its buffers"
)]
pub(crate) fn matrix_mut(
    values: &mut [f32],
    rows: usize,
    columns: usize,
) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, columns), &mut values[..rows * columns])
        .expect("as many values as the shape has")
}
