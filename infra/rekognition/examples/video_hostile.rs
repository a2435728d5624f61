//! Feeds damaged videos to the demuxers and the decoder for a time: `video_hostile SECONDS VIDEO...`.
//!
//! Every round cuts, overwrites or repeats parts of one of the videos, by a seed that is printed when something is wrong.
//! As in the server, each runs in a thread of its own and may panic there; what may not happen is that it ends the
//! process, takes more than [`MAX_SECONDS`] or more than [`MAX_MEMORY_KB`].

use std::{
    env, fs,
    io::Write,
    panic,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rekognition_local::video;

const MAX_SECONDS: u64 = 60;
const MAX_MEMORY_KB: u64 = 1 << 20;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let usage = "usage: video_hostile SECONDS VIDEO...";
    let budget = Duration::from_secs(arguments.next().context(usage)?.parse()?);
    let videos = arguments
        .map(|path| fs::read(&path).with_context(|| format!("cannot read {path}")))
        .collect::<Result<Vec<_>, _>>()?;
    anyhow::ensure!(!videos.is_empty(), usage);
    panic::set_hook(Box::new(|_| {}));
    let (started, mut slowest) = (Instant::now(), Duration::ZERO);
    let (mut rounds, mut refused, mut panicked, mut frames) = (0_u64, 0_u64, 0_u64, 0_u64);
    while started.elapsed() < budget {
        let seed = rounds;
        let bytes = damaged(
            &videos,
            &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        );
        let at = Instant::now();
        let (sender, receiver) = mpsc::channel();
        let run = thread::Builder::new().stack_size(8 << 20).spawn(move || {
            // The receiver is gone if this took too long.
            let _ = sender.send(decode(&bytes));
        })?;
        match receiver.recv_timeout(Duration::from_secs(MAX_SECONDS)) {
            Ok(Ok(seen)) => frames += seen,
            Ok(Err(_)) => refused += 1,
            Err(mpsc::RecvTimeoutError::Disconnected) => panicked += 1,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                anyhow::bail!("seed {seed} takes more than {MAX_SECONDS} s")
            }
        }
        // A panic has been counted.
        let _ = run.join();
        slowest = slowest.max(at.elapsed());
        rounds += 1;
        let memory = peak_memory_kb();
        anyhow::ensure!(memory <= MAX_MEMORY_KB, "seed {seed} takes {memory} kB");
    }
    println!(
        "{rounds} videos in {} s: {refused} refused, {panicked} panics contained, {frames} frames shown; slowest {} ms, peak memory {} MB",
        started.elapsed().as_secs(),
        slowest.as_millis(),
        peak_memory_kb() >> 10
    );
    Ok(())
}

/// How many frames are shown.
fn decode(bytes: &[u8]) -> anyhow::Result<u64> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    let mut frames = 0;
    video::open(&mut file)?.sample(&mut file, |_, _| frames += 1)?;
    Ok(frames)
}

fn damaged(videos: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = videos[random.below(videos.len())].clone();
    if random.below(50) == 0 {
        bytes = (0..random.below(4096)).map(|_| random.byte()).collect();
    }
    for _ in 0..=random.below(12) {
        if bytes.is_empty() {
            return bytes;
        }
        let place = random.below(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(place),
            1 => {
                let from = random.below(bytes.len());
                let part = bytes[from..(from + random.below(64)).min(bytes.len())].to_vec();
                bytes.splice(place..place, part);
            }
            2 => drop(bytes.drain(place..(place + random.below(16)).min(bytes.len()))),
            3 => {
                // Numbers are four bytes, and the greatest and least are the interesting ones.
                let number = [0, 1, u32::MAX, 0x7fff_ffff, 0x1_0000][random.below(5)].to_be_bytes();
                for (byte, new) in bytes[place..].iter_mut().zip(number) {
                    *byte = new;
                }
            }
            4 | 5 => bytes[place] ^= 1 << random.below(8),
            _ => bytes[place] = random.byte(),
        }
    }
    bytes
}

/// xorshift64: the same videos on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }
}

/// The largest resident set so far, 0 where the system does not tell it.
fn peak_memory_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|size| size.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
