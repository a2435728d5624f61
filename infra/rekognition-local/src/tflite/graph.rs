//! The part of the TFLite schema that the interpreter uses: field numbers and codes are those of TensorFlow's `schema.fbs`.

use super::{ModelError, flatbuffer::Table};

/// What a file says, not yet checked for sense.
pub(super) struct Graph<'a> {
    pub(super) tensors: Vec<Tensor<'a>>,
    pub(super) operators: Vec<Operator<'a>>,
    pub(super) input: usize,
    pub(super) output: usize,
}

pub(super) struct Tensor<'a> {
    pub(super) shape: Vec<usize>,
    pub(super) element: Element,
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i64>,
    /// The axis along which `scales` varies, when there is more than one.
    pub(super) quantized_axis: usize,
    /// Little-endian content of a constant; empty for an activation.
    pub(super) data: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Int8,
    Uint8,
    Int32,
    /// Known to the schema but of no use here; the schema's code.
    Other(u8),
}

pub(super) struct Operator<'a> {
    pub(super) kind: Kind,
    /// Tensors; `None` where an optional input is left out.
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) outputs: Vec<Option<usize>>,
    options: Option<Table<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Add,
    AveragePool,
    Convolution,
    DepthwiseConvolution,
    FullyConnected,
    Quantize,
    Reshape,
    Softmax,
    /// The schema's code of an operator without a kernel here.
    Other(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    Same,
    Valid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    None,
    Relu,
    Relu6,
}

impl<'a> Graph<'a> {
    /// Reads the first subgraph of the model in `file`.
    pub(super) fn read(file: &'a [u8]) -> Result<Self, ModelError> {
        let model = Table::root(file, *b"TFL3")?;
        let buffers = model.tables(4)?;
        let kinds: Vec<Kind> = model
            .tables(1)?
            .into_iter()
            .map(Kind::read)
            .collect::<Result<_, _>>()?;
        let subgraphs = model.tables(2)?;
        let subgraph = subgraphs
            .first()
            .ok_or_else(|| inconsistent("it has no graph"))?;
        let tensors: Vec<Tensor<'a>> = subgraph
            .tables(0)?
            .into_iter()
            .map(|table| Tensor::read(table, &buffers))
            .collect::<Result<_, _>>()?;
        let operators = subgraph
            .tables(3)?
            .into_iter()
            .map(|table| Operator::read(table, &kinds, tensors.len()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            input: only(&indices(subgraph.i32s(1)?, tensors.len())?, "input")?,
            output: only(&indices(subgraph.i32s(2)?, tensors.len())?, "output")?,
            tensors,
            operators,
        })
    }
}

impl<'a> Tensor<'a> {
    fn read(table: Table<'a>, buffers: &[Table<'a>]) -> Result<Self, ModelError> {
        let shape: Vec<usize> = table
            .i32s(0)?
            .into_iter()
            .map(usize::try_from)
            .collect::<Result<_, _>>()?;
        let buffer = usize::try_from(table.i32_or(2, 0)?)?;
        let buffer = buffers
            .get(buffer)
            .ok_or_else(|| inconsistent("a tensor without buffer"))?;
        let quantization = table.table(4)?;
        Ok(Self {
            shape,
            element: match table.u8(1)? {
                2 => Element::Int32,
                3 => Element::Uint8,
                9 => Element::Int8,
                code => Element::Other(code),
            },
            scales: quantization.map_or_else(|| Ok(Vec::new()), |table| table.f32s(2))?,
            zero_points: quantization.map_or_else(|| Ok(Vec::new()), |table| table.i64s(3))?,
            quantized_axis: usize::try_from(
                quantization.map_or(Ok(0), |table| table.i32_or(6, 0))?,
            )?,
            data: buffer.bytes(0)?,
        })
    }
}

impl Kind {
    fn read(table: Table<'_>) -> Result<Self, ModelError> {
        // Codes above 127 do not fit the first version's byte; readers take the larger of the two.
        let code = i32::from(table.u8(0)?).max(table.i32_or(3, 0)?);
        Ok(match code {
            0 => Self::Add,
            1 => Self::AveragePool,
            3 => Self::Convolution,
            4 => Self::DepthwiseConvolution,
            9 => Self::FullyConnected,
            22 => Self::Reshape,
            25 => Self::Softmax,
            114 => Self::Quantize,
            code => Self::Other(code),
        })
    }
}

impl<'a> Operator<'a> {
    fn read(table: Table<'a>, kinds: &[Kind], tensor_count: usize) -> Result<Self, ModelError> {
        let kind = usize::try_from(table.i32_or(0, 0)?)?;
        Ok(Self {
            kind: *kinds
                .get(kind)
                .ok_or_else(|| inconsistent("an operator without code"))?,
            inputs: indices(table.i32s(1)?, tensor_count)?,
            outputs: indices(table.i32s(2)?, tensor_count)?,
            options: table.table(4)?,
        })
    }

    /// The tensor of input `position`.
    pub(super) fn input(&self, position: usize) -> Result<usize, ModelError> {
        self.inputs
            .get(position)
            .copied()
            .flatten()
            .ok_or_else(|| inconsistent(&format!("{:?} lacks input {position}", self.kind)))
    }

    pub(super) fn output(&self) -> Result<usize, ModelError> {
        only(&self.outputs, "output of an operator")
    }

    pub(super) fn padding(&self) -> Result<Padding, ModelError> {
        match self.options.map_or(Ok(0), |options| options.u8(0))? {
            0 => Ok(Padding::Same),
            1 => Ok(Padding::Valid),
            code => Err(inconsistent(&format!("padding {code}"))),
        }
    }

    /// The fused activation, which lies in `slot` of this operator's options.
    pub(super) fn activation(&self, slot: usize) -> Result<Activation, ModelError> {
        match self.options.map_or(Ok(0), |options| options.u8(slot))? {
            0 => Ok(Activation::None),
            1 => Ok(Activation::Relu),
            3 => Ok(Activation::Relu6),
            code => Err(ModelError::Unsupported(format!(
                "activation function {code}"
            ))),
        }
    }

    /// A whole number in the options that must be at least one.
    pub(super) fn count(&self, slot: usize, default: i32) -> Result<usize, ModelError> {
        let value = self
            .options
            .map_or(Ok(default), |options| options.i32_or(slot, default))?;
        usize::try_from(value)
            .ok()
            .filter(|value| *value > 0)
            .ok_or_else(|| inconsistent(&format!("{:?} with option {slot} = {value}", self.kind)))
    }
}

/// Indices into the tensors, -1 standing for none.
fn indices(numbers: Vec<i32>, tensor_count: usize) -> Result<Vec<Option<usize>>, ModelError> {
    numbers
        .into_iter()
        .map(|number| match usize::try_from(number) {
            Ok(index) if index < tensor_count => Ok(Some(index)),
            Err(_) if number == -1 => Ok(None),
            _ => Err(inconsistent(&format!("there is no tensor {number}"))),
        })
        .collect()
}

fn only(indices: &[Option<usize>], what: &str) -> Result<usize, ModelError> {
    match indices {
        [Some(index)] => Ok(*index),
        _ => Err(ModelError::Unsupported(format!(
            "{} tensors as {what}",
            indices.len()
        ))),
    }
}

pub(super) fn inconsistent(what: &str) -> ModelError {
    ModelError::Inconsistent(what.to_owned())
}
