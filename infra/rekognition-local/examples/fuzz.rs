//! Feeds damaged input to what reads files and requests: `fuzz TARGET SECONDS [SEED [FILE...]]`.
//!
//! Targets: `picture` (JPEG, PNG, EXIF), `video` (MP4, MOV, AVI, H.264), `protocol` (requests), `tflite` (needs the path of
//! a model) and `darknet`. Files are more samples, and may be damaged already. One
//! thread mutates valid samples and checks that each mutant is used or refused within [`MAX_TIME`]; a panic or a slower run
//! is printed and its input kept in the folder for temporary files. Checksums of PNG are made right again for half of the
//! mutants, or none would get past them. The same seed gives the same mutants. Guided fuzzers need an instrumented build
//! of all dependencies, which the stable toolchain does not give.

use std::{
    env, fs,
    io::Write,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use png::{BitDepth, ColorType};
use rekognition_local::{
    darknet, detect_labels, job::StartRequest, label_detection::GetRequest, picture, tflite, video,
};

/// More than any sample takes a hundred times.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Activations of a mutated network are as large as its limits allow; to run one takes long but finds nothing new.
const MAX_INPUT_LEN: usize = 1 << 18;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let usage = "usage: fuzz picture|video|protocol|tflite|darknet SECONDS [SEED [FILE...]]";
    let name = arguments.next().context(usage)?;
    let seconds: u64 = arguments.next().context(usage)?.parse()?;
    let seed: u64 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let mut target = Target::new(&name, &arguments.map(PathBuf::from).collect::<Vec<_>>())?;
    // The decoder of videos may panic on damaged frames, which is contained.
    panic::set_hook(Box::new(|_| {}));

    let mut random = Random(seed);
    let (mut runs, mut accepted, mut failures) = (0_u64, 0_u64, 0_u64);
    let mut slowest = Duration::ZERO;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(seconds) {
        let input = target.mutant(&mut random);
        let run_started = Instant::now();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| target.run(&input)));
        let took = run_started.elapsed();
        slowest = slowest.max(took);
        runs += 1;
        accepted += u64::from(matches!(outcome, Ok(true)));
        if outcome.is_err() || took > MAX_TIME {
            failures += 1;
            let path = env::temp_dir().join(format!("fuzz-{name}-{seed}-{runs}"));
            fs::write(&path, &input)?;
            println!("run {runs} took {took:?}: {}", path.display());
        }
    }
    println!(
        "{name}: {runs} runs, {accepted} of valid input, {failures} failures, slowest {slowest:?}, peak memory {}",
        peak_memory()
    );
    anyhow::ensure!(failures == 0, "{failures} failures");
    Ok(())
}

/// What is tested, and valid input for it.
struct Target {
    read: fn(&[u8]) -> bool,
    samples: Vec<Vec<u8>>,
    /// Where numbers are that say how the input is built, for files that consist mostly of others.
    structure: Vec<usize>,
    mend: fn(&mut [u8]),
}

impl Target {
    fn new(name: &str, files: &[PathBuf]) -> anyhow::Result<Self> {
        let nothing: fn(&mut [u8]) = |_| {};
        let (read, samples, mend): (fn(&[u8]) -> bool, _, _) = match name {
            "picture" => (
                |input| picture::decode(input).is_ok(),
                pictures()?,
                mend_png as fn(&mut [u8]),
            ),
            "video" => (read_video, videos()?, nothing),
            "protocol" => (read_requests, requests(), nothing),
            "tflite" => {
                anyhow::ensure!(!files.is_empty(), "tflite needs the path of a model");
                (read_tflite, Vec::new(), nothing)
            }
            "darknet" => (read_darknet, vec![darknet_sample()], nothing),
            _ => anyhow::bail!("no target `{name}`"),
        };
        for (index, sample) in samples.iter().enumerate() {
            anyhow::ensure!(read(sample), "sample {index} of {name} is refused");
        }
        let given = files
            .iter()
            .map(|path| fs::read(path).with_context(|| path.display().to_string()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let structure = match (name, given.first()) {
            ("tflite", Some(model)) => structure(model),
            _ => Vec::new(),
        };
        Ok(Self {
            read,
            samples: [samples, given].concat(),
            structure,
            mend,
        })
    }

    fn run(&self, input: &[u8]) -> bool {
        (self.read)(input)
    }

    fn mutant(&mut self, random: &mut Random) -> Vec<u8> {
        let mut input = random.choose(&self.samples).clone();
        for _ in 0..=random.below(6) {
            self.mutate(&mut input, random);
        }
        if random.below(2) == 0 {
            (self.mend)(&mut input);
        }
        input
    }

    fn mutate(&self, input: &mut Vec<u8>, random: &mut Random) {
        const NUMBERS: [u32; 14] = [
            0,
            1,
            2,
            7,
            0x7f,
            0x80,
            0xff,
            0x100,
            0x7fff,
            0xffff,
            0x1_0000,
            0x7fff_ffff,
            0x8000_0000,
            u32::MAX,
        ];
        if input.is_empty() {
            input.push(random.next() as u8);
            return;
        }
        let place = if self.structure.is_empty() || random.below(8) == 0 {
            random.below(input.len())
        } else {
            random
                .choose(&self.structure)
                .saturating_add(random.below(4))
                .min(input.len() - 1)
        };
        let length = 1 + random.below(16.min(input.len() - place));
        match random.below(8) {
            0 => input[place] ^= 1 << random.below(8),
            1 => input[place] = random.next() as u8,
            2 | 3 => {
                let number = *random.choose(&NUMBERS);
                let bytes = if random.below(2) == 0 {
                    number.to_le_bytes()
                } else {
                    number.to_be_bytes()
                };
                let size = *random.choose(&[1, 2, 4, 4]);
                for (to, from) in input[place..].iter_mut().take(size).zip(bytes) {
                    *to = from;
                }
            }
            4 => {
                let sum = i64::from(input[place]) + random.below(33) as i64 - 16;
                input[place] = sum as u8;
            }
            5 => {
                input.drain(place..place + length);
            }
            6 => {
                let copy = input[place..place + length].to_vec();
                let to = random.below(input.len());
                input.splice(to..to, copy);
            }
            _ if random.below(4) == 0 => input.truncate(place),
            _ => {
                let other = random.choose(&self.samples);
                let from = random.below(other.len());
                let part = &other[from..other.len().min(from + length)];
                for (to, from) in input[place..].iter_mut().zip(part) {
                    *to = *from;
                }
            }
        }
    }
}

/// Vigna's SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Small pictures of each kind, all of which decode.
fn pictures() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut samples = files("tests/pictures", &["jpg"])?;
    // Some are of kinds that are refused.
    samples.retain(|sample| picture::decode(sample).is_ok());
    for (color, depth) in [
        (ColorType::Rgb, BitDepth::Eight),
        (ColorType::Rgb, BitDepth::Sixteen),
        (ColorType::Rgba, BitDepth::Eight),
        (ColorType::Grayscale, BitDepth::One),
        (ColorType::Grayscale, BitDepth::Eight),
        (ColorType::GrayscaleAlpha, BitDepth::Eight),
    ] {
        let (width, height) = (96_u32, 80_u32);
        let bits = color.samples() * depth as usize * width as usize;
        let samples_of_row = bits.div_ceil(8);
        let pixels: Vec<u8> = (0..samples_of_row * height as usize)
            .map(|index| ((index * 7) ^ (index / samples_of_row)) as u8)
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.write_header()?.write_image_data(&pixels)?;
        samples.push(bytes);
    }
    Ok(samples)
}

fn videos() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut samples = files("tests/videos", &["mp4", "mov", "avi"])?;
    samples.retain(|sample| read_video(sample));
    Ok(samples)
}

/// The files with these extensions in a folder of this crate.
fn files(folder: &str, extensions: &[&str]) -> anyhow::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    let is_wanted = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default();
        extensions.iter().any(|wanted| extension == *wanted)
    };
    let paths = paths.iter().filter(|path| is_wanted(path));
    paths.map(|path| Ok(fs::read(path)?)).collect()
}

fn read_video(input: &[u8]) -> bool {
    let decode = || -> anyhow::Result<()> {
        let mut file = tempfile::tempfile()?;
        file.write_all(input)?;
        video::open(&mut file)?.sample(&mut file, |_, _| {})?;
        Ok(())
    };
    decode().is_ok()
}

/// Writes the right checksum after each chunk of a PNG, as far as its lengths make sense.
fn mend_png(input: &mut [u8]) {
    if !input.starts_with(b"\x89PNG\r\n\x1a\n") {
        return;
    }
    let mut start = 8;
    while let Some((length, _)) = input.get(start..).and_then(|rest| rest.split_first_chunk()) {
        let body = start + 4;
        let Some(end) = body.checked_add(4 + u32::from_be_bytes(*length) as usize) else {
            return;
        };
        let Some(crc) = input.get(body..end).map(crc32fast::hash) else {
            return;
        };
        let Some(checksum) = input.get_mut(end..end + 4) else {
            return;
        };
        checksum.copy_from_slice(&crc.to_be_bytes());
        start = end + 4;
    }
}

fn requests() -> Vec<Vec<u8>> {
    [
        r#"{"Image": {"Bytes": "AAECAwQF"}, "MaxLabels": 10, "MinConfidence": 55.5}"#,
        r#"{"Image": {"S3Object": {"Bucket": "photos", "Name": "a b/é.jpg", "Version": "null"}},
            "Features": ["GENERAL_LABELS", "IMAGE_PROPERTIES"],
            "Settings": {"GeneralLabels": {"LabelInclusionFilters": ["Cat"], "LabelExclusionFilters": ["Dog"],
            "LabelCategoryInclusionFilters": ["Animals and Pets"], "LabelCategoryExclusionFilters": []},
            "ImageProperties": {"MaxDominantColors": 20}}}"#,
        r#"{"Video": {"S3Object": {"Bucket": "videos", "Name": "a.mp4"}}, "ClientRequestToken": "a-b_1",
            "MinConfidence": 50, "NotificationChannel": {"SNSTopicArn": "arn:aws:sns:us-east-1:000000000000:AmazonRekognition",
            "RoleArn": "arn:aws:iam::000000000000:role/rekognition"}, "JobTag": "tag", "Features": ["GENERAL_LABELS"],
            "Settings": {"GeneralLabels": {"LabelExclusionFilters": ["Dog"]}}}"#,
        r#"{"JobId": "0123456789abcdef", "MaxResults": 10,
            "NextToken": "WyIwMTIzNDU2Nzg5YWJjZGVmIiwiVElNRVNUQU1QIiwiU0VHTUVOVFMiLDEwXQ", "SortBy": "TIMESTAMP", "AggregateBy": "SEGMENTS"}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Every request's parser gets every request.
fn read_requests(input: &[u8]) -> bool {
    let parsed = [
        detect_labels::Request::parse(input).is_ok(),
        StartRequest::parse(input).is_ok(),
        GetRequest::parse(input).is_ok(),
    ];
    parsed.contains(&true)
}

fn read_tflite(input: &[u8]) -> bool {
    let Ok(network) = tflite::Network::read(input) else {
        return false;
    };
    let (height, width, channels) = network.input_size();
    let len = height as usize * width as usize * channels as usize;
    if len <= MAX_INPUT_LEN {
        let scores = network.run(&vec![0.25; len]);
        assert_eq!(scores.len(), network.class_count());
    }
    true
}

/// Small numbers, such as offsets, lengths and sizes, at places that are a multiple of four.
fn structure(file: &[u8]) -> Vec<usize> {
    let (words, _) = file.as_chunks::<4>();
    let numbers = words.iter().enumerate();
    numbers
        .filter(|(_, word)| (1..0x4000).contains(&u32::from_le_bytes(**word)))
        .map(|(index, _)| 4 * index)
        .collect()
}

const CONFIGURATION: &str = "\
[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[route]
layers=-1
groups=2
group_id=1
[maxpool]
size=2
stride=2
[upsample]
stride=2
[route]
layers = -1,-4
[convolutional]
size=1
stride=1
filters=14
activation=linear
[yolo]
mask = 0,1
anchors = 10,14, 23,27
classes=2
scale_x_y = 1.05
";

/// A small configuration, a zero and weights for it.
fn darknet_sample() -> Vec<u8> {
    let mut sample = CONFIGURATION.as_bytes().to_vec();
    sample.push(0);
    for number in [0_u32, 2, 5, 0, 0] {
        sample.extend(number.to_le_bytes());
    }
    let weights = 4 * 4 + 4 * 3 * 9 + 14 + 14 * 6;
    for index in 0..weights {
        sample.extend((0.1 + (index % 17) as f32 / 10.0).to_le_bytes());
    }
    sample
}

fn read_darknet(input: &[u8]) -> bool {
    let end = input
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(input.len());
    let (configuration, weights) = input.split_at(end);
    let configuration = String::from_utf8_lossy(configuration);
    let weights = weights.get(1..).unwrap_or_default();
    let Ok(network) = darknet::Network::read(&configuration, weights) else {
        return false;
    };
    let (height, width, channels) = network.input_size();
    let len = height as usize * width as usize * channels as usize;
    if len <= MAX_INPUT_LEN {
        for found in network.run(&vec![0.25; len], 0.1) {
            assert!(found.class < network.class_count());
            assert!((0.0..=1.0).contains(&found.bounds.left) && found.bounds.width <= 1.0);
        }
    }
    true
}

/// The largest resident set so far, where the system tells it.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |size| size.trim().to_owned())
}
