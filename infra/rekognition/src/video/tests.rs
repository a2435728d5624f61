#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use super::*;
use std::io::Write;

const SAMPLE: &[u8] = include_bytes!("../../../../assets/sample.mp4");

fn copy(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn a_video_is_sampled_twice_a_second() {
    let mut file = copy(SAMPLE);
    let video = open(&mut file).unwrap();
    let mut times = Vec::new();
    let metadata = video
        .sample(&mut file, |millis, picture| {
            assert_eq!(picture.dimensions(), (640, 426));
            times.push(millis);
        })
        .unwrap();
    times.sort_unstable();
    assert_eq!(times, (0..12).map(|index| index * 500).collect::<Vec<_>>());
    println!("{metadata:?}");
}
