//! The interpreter on small networks that are built here, against what the layers are defined to do.

use proptest::prelude::*;

use super::{ModelError, Network};

/// The header that darknet writes.
const HEADER: [u32; 5] = [0, 2, 5, 0, 0];

fn file(numbers: &[f32]) -> Vec<u8> {
    let header = HEADER.iter().flat_map(|word| word.to_le_bytes());
    header
        .chain(numbers.iter().flat_map(|number| number.to_le_bytes()))
        .collect()
}

/// A network of a width, height and channels, with `layers` before a detecting layer that tells one number: how far to
/// the right its only box lies.
fn configuration([width, height, channels]: [usize; 3], layers: &str) -> String {
    format!(
        "[net]\nwidth={width}\nheight={height}\nchannels={channels}\n{layers}\n\
        [convolutional]\nsize=1\nstride=1\nfilters=6\nactivation=linear\n\
        [yolo]\nmask=0\nanchors=0.0001,0.0001\nclasses=1\n"
    )
}

/// Weights of `layers`, then those of the closing convolution: `mix` says how often each channel counts for the number.
fn weights(layers: &[f32], mix: &[f32]) -> Vec<f32> {
    let mut weights = layers.to_vec();
    // Where, how large, whether there is a thing, and its class.
    weights.extend([0.0, 0.0, 0.0, 0.0, 20.0, 20.0]);
    weights.extend(mix);
    weights.extend(vec![0.0; 5 * mix.len()]);
    weights
}

/// The number that a network of one detecting cell computes.
fn computed(size: [usize; 3], layers: (&str, &[f32]), mix: &[f32], input: &[f32]) -> f32 {
    let network = Network::read(
        &configuration(size, layers.0),
        &file(&weights(layers.1, mix)),
    );
    // Twice: the second run finds the buffers of the first.
    let [first, second] = {
        let network = network.unwrap();
        [(); 2].map(|()| network.run(input, 0.5))
    };
    assert_eq!(first, second);
    let [found] = first[..] else {
        panic!("{first:?}")
    };
    let middle = found.bounds.left + found.bounds.width / 2.0;
    (middle / (1.0 - middle)).ln()
}

fn assert_near(value: f32, expected: f32) {
    assert!((value - expected).abs() < 1e-3, "{value} is not {expected}");
}

#[test]
fn batch_normalization_is_part_of_a_convolution() {
    let layer = "[convolutional]\nbatch_normalize=1\nsize=1\nfilters=1\nactivation=leaky";
    // Bias, scale, mean, variance, weights.
    let weights = [0.5, 2.0, 1.0, 4.0, 1.0, -3.0];
    let value = |input: [f32; 2]| computed([1, 1, 2], (layer, &weights), &[1.0], &input);
    // The sum less 1, times 2 / sqrt(4), plus 0.5.
    assert_near(value([3.0, 0.0]), 2.5);
    assert_near(value([0.2, 0.7]), 0.1 * -2.4);
}

#[test]
fn a_window_sees_rows_columns_and_channels_in_their_order() {
    let layer = "[convolutional]\nsize=2\nfilters=1\nactivation=linear";
    // Bias, then all places of the first channel, then those of the second.
    let weights = [0.25, 1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0];
    for (place, expected) in [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0]
        .into_iter()
        .enumerate()
    {
        let mut input = [0.0; 8];
        input[place] = 0.1;
        let value = computed([2, 2, 2], (layer, &weights), &[1.0], &input);
        assert_near(value, 0.25 + 0.1 * expected);
    }
}

#[test]
fn padding_surrounds_the_input_with_zeros() {
    let layer = "[convolutional]\nsize=3\nstride=2\npad=1\nfilters=1\nactivation=linear";
    let weights = [0.0, 1.0, 1.0, 1.0, 1.0, 5.0, 1.0, 1.0, 1.0, 1.0];
    assert_near(computed([1, 1, 1], (layer, &weights), &[1.0], &[0.3]), 1.5);
}

#[test]
fn a_pool_takes_the_greatest() {
    let layer = "[maxpool]\nsize=2\nstride=2";
    let value = computed([2, 2, 1], (layer, &[]), &[1.0], &[-1.0, -0.5, -3.0, -2.0]);
    assert_near(value, -0.5);
}

#[test]
fn a_route_joins_layers_and_takes_groups_of_channels() {
    let groups = "[maxpool]\nsize=1\n[route]\nlayers=-1\ngroups=2\ngroup_id=1";
    let value = computed(
        [1, 1, 4],
        (groups, &[]),
        &[1.0, 10.0],
        &[0.1, 0.2, 0.3, 0.04],
    );
    assert_near(value, 0.3 + 0.4);

    let identity = "[convolutional]\nsize=1\nfilters=1\nactivation=linear";
    // Half, then twice that, then both, the second one first.
    let joined = format!("{identity}\n{identity}\n[route]\nlayers = -1, 0");
    let value = computed(
        [1, 1, 1],
        (&joined, &[0.0, 0.5, 0.0, 2.0]),
        &[1.0, -1.0],
        &[0.8],
    );
    assert_near(value, 0.8 - 0.4);
}

#[test]
fn an_upsampled_pixel_is_four() {
    let layers = "[upsample]\nstride=2\n[convolutional]\nsize=2\nfilters=1\nactivation=linear";
    let weights = [0.0, 1.0, 2.0, 3.0, 4.0];
    assert_near(computed([1, 1, 1], (layers, &weights), &[1.0], &[0.2]), 2.0);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let whole = file(&weights(&[], &[1.0]));
    let read = |weights: &[u8]| Network::read(&configuration([1, 1, 1], ""), weights).err();
    assert!(read(&whole).is_none());
    for cut in [1, 4, whole.len() - 20] {
        assert!(
            matches!(
                read(&whole[..whole.len() - cut]),
                Some(ModelError::Size { .. })
            ),
            "{cut}"
        );
    }
    assert!(matches!(
        read(&[&whole[..], &[0; 4]].concat()),
        Some(ModelError::Size { .. })
    ));
    assert!(matches!(read(b""), Some(ModelError::Header)));
    assert!(matches!(
        read(b"TFL3 an unrelated file, and long"),
        Some(ModelError::Header)
    ));
    let damaged = file(&weights(&[], &[f32::NAN]));
    assert!(matches!(
        read(&damaged),
        Some(ModelError::Numbers { layer: 0 })
    ));
}

#[test]
fn configurations_that_make_no_sense_are_refused_with_their_line() {
    let refused =
        |layers: &str| match Network::read(&configuration([8, 8, 3], layers), &file(&[0.0; 4096]))
            .err()
        {
            Some(ModelError::Configuration { line, reason }) => {
                assert!(line >= 5, "{layers}: {line}");
                reason
            }
            other => panic!("{layers}: {other:?}"),
        };
    for (layers, part) in [
        ("[lstm]", "not supported"),
        ("nonsense", "neither"),
        ("[convolutional]\nsize=3", "no option `filters`"),
        ("[convolutional]\nfilters=many", "`many`"),
        ("[convolutional]\nfilters=1\nsize=0", "`0`"),
        (
            "[convolutional]\nfilters=1\nsize=9",
            "larger than its input",
        ),
        ("[convolutional]\nfilters=1\nactivation=mish", "mish"),
        ("[convolutional]\nfilters=1\ngroups=3", "groups"),
        ("[convolutional]\nfilters=99999999999", "output"),
        ("[route]\nlayers=-1", "no layer"),
        ("[route]\nlayers=7", "no layer"),
        ("[maxpool]\n[route]\nlayers=-1\ngroups=2", "groups"),
        (
            "[maxpool]\nsize=2\nstride=2\n[maxpool]\nsize=2\nstride=2\n[route]\nlayers=0,1",
            "unequal",
        ),
        ("[upsample]\nstride=64\n[upsample]\nstride=64", "a size of"),
    ] {
        let reason = refused(layers);
        assert!(reason.contains(part), "{layers}: {reason}");
    }
    for text in ["", "[net]\nwidth=8\nheight=8\n"] {
        assert!(matches!(
            Network::read(text, &file(&[])),
            Err(ModelError::NoHead)
        ));
    }
}

proptest! {
    #[test]
    fn a_damaged_configuration_does_no_harm(place in any::<prop::sample::Index>(), character in "[ -~\n]") {
        let layers = "[maxpool]\nsize=2\nstride=2\n[upsample]\nstride=2\n[route]\nlayers=-1,-2\n";
        let mut text = configuration([4, 4, 1], layers);
        let place = place.index(text.len());
        text.replace_range(place..=place, &character);
        // Either outcome is right: a character may not matter.
        if let Ok(network) = Network::read(&text, &file(&weights(&[], &[1.0, 1.0]))) {
            let (height, width, channels) = network.input_size();
            let _ = network.run(&vec![0.5; (height * width * channels) as usize], 0.1);
        }
    }
}
