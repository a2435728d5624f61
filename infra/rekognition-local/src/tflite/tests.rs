//! The interpreter on small models that are built here, against what the operators are defined to do.

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, TableFinishedWIPOffset, Vector, WIPOffset};
use proptest::prelude::*;

use super::{ModelError, Network};

const INT32: u8 = 2;
const UINT8: u8 = 3;
const INT8: u8 = 9;

const ADD: i32 = 0;
const AVERAGE_POOL: i32 = 1;
const CONVOLUTION: i32 = 3;
const DEPTHWISE: i32 = 4;
const FULLY_CONNECTED: i32 = 9;
const RESHAPE: i32 = 22;
const SOFTMAX: i32 = 25;
const QUANTIZE: i32 = 114;

struct Tensor {
    shape: Vec<i32>,
    element: u8,
    scales: Vec<f32>,
    zero_points: Vec<i64>,
    axis: i32,
    data: Vec<u8>,
}

fn activation(shape: &[i32], element: u8, scale: f32, zero_point: i64) -> Tensor {
    Tensor {
        shape: shape.to_vec(),
        element,
        scales: vec![scale],
        zero_points: vec![zero_point],
        axis: 0,
        data: vec![],
    }
}

fn weights(shape: &[i32], scales: &[f32], axis: i32, values: &[i8]) -> Tensor {
    let data = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Tensor {
        shape: shape.to_vec(),
        element: INT8,
        scales: scales.to_vec(),
        zero_points: vec![0; scales.len()],
        axis,
        data,
    }
}

fn biases(values: &[i32]) -> Tensor {
    let data = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Tensor {
        shape: vec![values.len() as i32],
        element: INT32,
        scales: vec![],
        zero_points: vec![],
        axis: 0,
        data,
    }
}

#[derive(Clone, Copy)]
enum Setting {
    Byte(u16, u8),
    Int(u16, i32),
}

struct Operator {
    code: i32,
    inputs: Vec<i32>,
    output: i32,
    options: Vec<Setting>,
}

fn operator(code: i32, inputs: &[i32], output: i32, options: &[Setting]) -> Operator {
    Operator {
        code,
        inputs: inputs.to_vec(),
        output,
        options: options.to_vec(),
    }
}

/// A model whose input is its first tensor, and whose output is its last.
fn file(tensors: &[Tensor], operators: &[Operator]) -> Vec<u8> {
    type Table = WIPOffset<TableFinishedWIPOffset>;
    fn slot(field: u16) -> u16 {
        4 + 2 * field
    }
    fn vector<'a>(
        fbb: &mut FlatBufferBuilder<'a>,
        tables: &[Table],
    ) -> WIPOffset<Vector<'a, ForwardsUOffset<TableFinishedWIPOffset>>> {
        fbb.create_vector(tables)
    }
    let mut fbb = FlatBufferBuilder::new();
    let (mut buffer_tables, mut tensor_tables) = (Vec::new(), Vec::new());
    for (index, tensor) in tensors.iter().enumerate() {
        let data = fbb.create_vector(&tensor.data);
        let table = fbb.start_table();
        fbb.push_slot_always(slot(0), data);
        buffer_tables.push(fbb.end_table(table));
        let (scales, zero_points) = (
            fbb.create_vector(&tensor.scales),
            fbb.create_vector(&tensor.zero_points),
        );
        let table = fbb.start_table();
        fbb.push_slot_always(slot(2), scales);
        fbb.push_slot_always(slot(3), zero_points);
        fbb.push_slot_always(slot(6), tensor.axis);
        let quantization = fbb.end_table(table);
        let shape = fbb.create_vector(&tensor.shape);
        let table = fbb.start_table();
        fbb.push_slot_always(slot(0), shape);
        fbb.push_slot_always(slot(1), tensor.element);
        fbb.push_slot_always(slot(2), index as u32);
        fbb.push_slot_always(slot(4), quantization);
        tensor_tables.push(fbb.end_table(table));
    }
    let (mut code_tables, mut operator_tables) = (Vec::new(), Vec::new());
    for (index, operator) in operators.iter().enumerate() {
        let table = fbb.start_table();
        fbb.push_slot_always(slot(0), operator.code as u8);
        fbb.push_slot_always(slot(3), operator.code);
        code_tables.push(fbb.end_table(table));
        let (inputs, outputs) = (
            fbb.create_vector(&operator.inputs),
            fbb.create_vector(&[operator.output]),
        );
        let table = fbb.start_table();
        for option in &operator.options {
            match *option {
                Setting::Byte(field, value) => fbb.push_slot_always(slot(field), value),
                Setting::Int(field, value) => fbb.push_slot_always(slot(field), value),
            }
        }
        let options = fbb.end_table(table);
        let table = fbb.start_table();
        fbb.push_slot_always(slot(0), index as u32);
        fbb.push_slot_always(slot(1), inputs);
        fbb.push_slot_always(slot(2), outputs);
        fbb.push_slot_always(slot(4), options);
        operator_tables.push(fbb.end_table(table));
    }
    let (inputs, outputs) = (
        fbb.create_vector(&[0]),
        fbb.create_vector(&[tensors.len() as i32 - 1]),
    );
    let (tensors, operators) = (
        vector(&mut fbb, &tensor_tables),
        vector(&mut fbb, &operator_tables),
    );
    let table = fbb.start_table();
    fbb.push_slot_always(slot(0), tensors);
    fbb.push_slot_always(slot(1), inputs);
    fbb.push_slot_always(slot(2), outputs);
    fbb.push_slot_always(slot(3), operators);
    let subgraph = fbb.end_table(table);
    let (codes, subgraphs) = (
        vector(&mut fbb, &code_tables),
        vector(&mut fbb, &[subgraph]),
    );
    let buffers = vector(&mut fbb, &buffer_tables);
    let table = fbb.start_table();
    fbb.push_slot_always(slot(0), 3_u32);
    fbb.push_slot_always(slot(1), codes);
    fbb.push_slot_always(slot(2), subgraphs);
    fbb.push_slot_always(slot(4), buffers);
    let model = fbb.end_table(table);
    fbb.finish(model, Some("TFL3"));
    fbb.finished_data().to_vec()
}

/// A classifier with every operator: a 4 x 4 picture of two channels, three classes.
fn classifier() -> Vec<u8> {
    let tensors = [
        activation(&[1, 4, 4, 2], UINT8, 0.5, 100),
        activation(&[1, 4, 4, 2], INT8, 0.5, -28),
        weights(
            &[2, 3, 3, 2],
            &[0.5, 0.25],
            0,
            &(0..36).map(|n| n - 18).collect::<Vec<_>>(),
        ),
        biases(&[10, -20]),
        activation(&[1, 4, 4, 2], INT8, 1.0, 3),
        weights(
            &[1, 3, 3, 2],
            &[0.25, 0.5],
            3,
            &(0..18).map(|n| 9 - n).collect::<Vec<_>>(),
        ),
        biases(&[1, 2]),
        activation(&[1, 4, 4, 2], INT8, 2.0, 0),
        activation(&[1, 4, 4, 2], INT8, 4.0, -5),
        activation(&[1, 1, 1, 2], INT8, 4.0, -5),
        activation(&[1, 2], INT8, 4.0, -5),
        weights(&[3, 2], &[0.5], 0, &[1, 2, -3, 4, 5, -6]),
        biases(&[0, 1, -1]),
        activation(&[1, 3], INT8, 1.0, 0),
        activation(&[1, 3], INT8, 1.0 / 256.0, -128),
        activation(&[1, 3], UINT8, 1.0 / 256.0, 0),
    ];
    let window = [Setting::Int(1, 1), Setting::Int(2, 1)];
    let pool = [
        Setting::Byte(0, 1),
        Setting::Int(1, 4),
        Setting::Int(2, 4),
        Setting::Int(3, 4),
        Setting::Int(4, 4),
    ];
    let operators = [
        operator(QUANTIZE, &[0], 1, &[]),
        operator(CONVOLUTION, &[1, 2, 3], 4, &window),
        operator(DEPTHWISE, &[4, 5, 6], 7, &window),
        operator(ADD, &[4, 7], 8, &[]),
        operator(AVERAGE_POOL, &[8], 9, &pool),
        operator(RESHAPE, &[9], 10, &[]),
        operator(FULLY_CONNECTED, &[10, 11, 12], 13, &[]),
        operator(SOFTMAX, &[13], 14, &[]),
        operator(QUANTIZE, &[14], 15, &[]),
    ];
    file(&tensors, &operators)
}

#[test]
fn the_scores_are_those_before_the_softmax() {
    let network = Network::read(&classifier()).unwrap();
    assert_eq!(network.input_size(), (4, 4, 2));
    assert_eq!(network.class_count(), 3);
    // The scale of the scores is one, while a softmax would have left fractions.
    let scores = network.run(&[0.0; 32]);
    assert!(
        scores.iter().all(|score| score.fract() == 0.0),
        "{scores:?}"
    );
    assert_eq!(scores, network.run(&[0.0; 32]), "buffers are used again");
    assert_ne!(scores, network.run(&[20.0; 32]));
}

/// A model of one operator with weights, from and to activations with scale one.
fn single(
    code: i32,
    side: i32,
    channels: [i32; 2],
    weights: Tensor,
    options: &[Setting],
    output: [i32; 2],
    bias: &[i32],
) -> Vec<u8> {
    let tensors = [
        activation(&[1, side, side, channels[0]], INT8, 1.0, 0),
        weights,
        biases(bias),
        activation(&[1, output[0], output[1], channels[1]], INT8, 1.0, 0),
    ];
    file(&tensors, &[operator(code, &[0, 1, 2], 3, options)])
}

/// The sum under a window of `size` around output `y`, `x`, of what `value` gives for places in the window and the input.
fn sum(
    side: i32,
    size: i32,
    stride: i32,
    before: i32,
    y: i32,
    x: i32,
    value: impl Fn(i32, i32, i32, i32) -> i32,
) -> i32 {
    let mut sum = 0;
    for window_y in 0..size {
        for window_x in 0..size {
            let (input_y, input_x) = (
                y * stride + window_y - before,
                x * stride + window_x - before,
            );
            if (0..side).contains(&input_y) && (0..side).contains(&input_x) {
                sum += value(window_y, window_x, input_y, input_x);
            }
        }
    }
    sum
}

fn requantized(sum: i32, scale: f32) -> f32 {
    (sum as f32 * scale).round_ties_even().clamp(-128.0, 127.0)
}

proptest! {
    #[test]
    fn convolutions_follow_their_definition(
        side in 1_i32..9,
        size in 1_i32..4,
        stride in 1_i32..3,
        valid in any::<bool>(),
        depthwise in any::<bool>(),
        channels in 1_i32..5,
        outputs in 1_i32..20,
        seed in any::<u32>(),
    ) {
        let side = if valid { side.max(size) } else { side };
        let outputs = if depthwise { channels } else { outputs };
        let mut state = seed;
        let mut random = |count: i32| -> Vec<i8> {
            (0..count)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8 as i8
                })
                .collect()
        };
        let input = random(side * side * channels);
        let values = random(if depthwise { size * size * channels } else { outputs * size * size * channels });
        let bias: Vec<i32> = random(outputs).into_iter().map(|value| i32::from(value) * 64).collect();
        let scales: Vec<f32> = (0..outputs).map(|output| 1.0 / (64 << (output % 3)) as f32).collect();
        let (length, padding) = if valid {
            ((side - size) / stride + 1, 0)
        } else {
            let length = (side + stride - 1) / stride;
            (length, ((length - 1) * stride + size - side).max(0) / 2)
        };
        let shape = if depthwise { [1, size, size, channels] } else { [outputs, size, size, channels] };
        let options = [Setting::Byte(0, u8::from(valid)), Setting::Int(1, stride), Setting::Int(2, stride)];
        let constant = weights(&shape, &scales, if depthwise { 3 } else { 0 }, &values);
        let code = if depthwise { DEPTHWISE } else { CONVOLUTION };
        let model = single(code, side, [channels, outputs], constant, &options, [length, length], &bias);
        let network = Network::read(&model).unwrap();
        let scores = network.run(&input.iter().map(|value| f32::from(*value)).collect::<Vec<_>>());
        let at = |values: &[i8], index: i32| i32::from(values[index as usize]);
        for y in 0..length {
            for x in 0..length {
                for output in 0..outputs {
                    let expected = bias[output as usize] + sum(side, size, stride, padding, y, x, |wy, wx, iy, ix| {
                        if depthwise {
                            at(&input, (iy * side + ix) * channels + output) * at(&values, (wy * size + wx) * channels + output)
                        } else {
                            (0..channels)
                                .map(|c| {
                                    at(&input, (iy * side + ix) * channels + c)
                                        * at(&values, ((output * size + wy) * size + wx) * channels + c)
                                })
                                .sum()
                        }
                    });
                    let score = scores[((y * length + x) * outputs + output) as usize];
                    prop_assert_eq!(score, requantized(expected, scales[output as usize]));
                }
            }
        }
    }

    #[test]
    fn a_damaged_model_does_no_harm(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut file = classifier();
        for (place, byte) in damage {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Ok(network) = Network::read(&file) {
            let (height, width, channels) = network.input_size();
            let len = height as usize * width as usize * channels as usize;
            prop_assert_eq!(network.run(&vec![1.0; len]).len(), network.class_count());
        }
    }

    #[test]
    fn random_bytes_are_not_a_model(mut bytes in prop::collection::vec(any::<u8>(), 0..256), identified in any::<bool>()) {
        if identified && bytes.len() >= 8 {
            bytes[4..8].copy_from_slice(b"TFL3");
        }
        prop_assert!(Network::read(&bytes).is_err());
    }
}

#[test]
fn a_truncated_model_is_an_error() {
    let file = classifier();
    for length in 0..file.len() {
        assert!(
            Network::read(&file[..length]).is_err(),
            "the first {length} of {} bytes",
            file.len()
        );
    }
}

#[test]
fn an_addition_brings_both_inputs_to_the_scale_of_its_output() {
    let tensors = [
        activation(&[1, 4], INT8, 1.0, 0),
        activation(&[1, 4], INT8, 0.5, 7),
        activation(&[1, 4], INT8, 2.0, -100),
    ];
    let relu6 = [Setting::Byte(0, 3)];
    let scores = |options: &[Setting]| {
        let model = file(
            &tensors,
            &[
                operator(QUANTIZE, &[0], 1, &[]),
                operator(ADD, &[0, 1], 2, options),
            ],
        );
        Network::read(&model)
            .unwrap()
            .run(&[1.0, -3.0, 10.0, 120.0])
    };
    // Twice the input, in steps of two; 120 x 0.5 saturates at (127 - 7) x 0.5 = 60.
    assert_eq!(scores(&[]), [2.0, -6.0, 20.0, 180.0]);
    assert_eq!(scores(&relu6), [2.0, 0.0, 6.0, 6.0]);
}

#[test]
fn an_average_does_not_count_the_padding() {
    let tensors = [
        activation(&[1, 3, 3, 1], INT8, 1.0, 4),
        activation(&[1, 2, 2, 1], INT8, 1.0, 4),
    ];
    let options = [
        Setting::Int(1, 2),
        Setting::Int(2, 2),
        Setting::Int(3, 2),
        Setting::Int(4, 2),
    ];
    let network = Network::read(&file(
        &tensors,
        &[operator(AVERAGE_POOL, &[0], 1, &options)],
    ))
    .unwrap();
    let scores = network.run(&[1.0, 3.0, 10.0, 5.0, 7.0, 20.0, 9.0, 11.0, 50.0]);
    assert_eq!(scores, [4.0, 15.0, 10.0, 50.0]);
}

#[test]
fn what_the_interpreter_does_not_have_is_named() {
    let tensors = [
        activation(&[1, 4], INT8, 1.0, 0),
        activation(&[1, 4], INT8, 1.0, 0),
    ];
    let unsupported = |operators: &[Operator]| match Network::read(&file(&tensors, operators)) {
        Err(ModelError::Unsupported(what)) => what,
        other => panic!("{:?}", other.err()),
    };
    assert_eq!(unsupported(&[operator(77, &[0], 1, &[])]), "operator 77");
    assert!(
        unsupported(&[operator(ADD, &[0, 0], 1, &[Setting::Byte(0, 4)])])
            .contains("activation function 4")
    );
}
