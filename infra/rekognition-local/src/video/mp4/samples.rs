//! The samples of a track: where they lie, when they are shown, and by which description they are decoded.

use super::{
    super::{MAX_FRAMES, VideoError, damaged, limit},
    boxes::{Box, Boxes},
};

/// A compressed frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    /// In ticks of the track's clock, which may begin anywhere.
    pub(super) composition_time: i64,
    pub(super) duration: u32,
    /// Whether decoding can begin here.
    pub(super) is_sync: bool,
    /// Number of the description, from 0.
    pub(super) description: usize,
}

/// Reads the tables of a box `stbl`.
pub(super) fn from_tables(tables: &Box<'_>) -> Result<Vec<Sample>, VideoError> {
    let mut sizes = Sizes::read(tables)?;
    if sizes.count == 0 {
        return Ok(Vec::new());
    }
    check_count(sizes.count)?;
    let mut durations = Runs::read(tables, b"stts")?.ok_or_else(|| missing("stts"))?;
    let mut offsets = Runs::read(tables, b"ctts")?;
    let mut sync = Sync::read(tables)?;
    let mut chunks = Chunks::read(tables)?;
    let mut samples = Vec::with_capacity(sizes.count);
    let mut decode_time = 0_i64;
    for index in 0..sizes.count {
        let bytes = sizes.next()?;
        let (offset, description) = chunks.next(bytes)?;
        let duration = durations.next().ok_or_else(|| disagree("stts"))?;
        let shift = match &mut offsets {
            // Written by version 0 as well, which knows no sign.
            Some(offsets) => offsets
                .next()
                .ok_or_else(|| disagree("ctts"))?
                .cast_signed(),
            None => 0,
        };
        samples.push(Sample {
            offset,
            bytes,
            composition_time: decode_time + i64::from(shift),
            duration,
            is_sync: sync.has(index),
            description,
        });
        decode_time += i64::from(duration);
    }
    Ok(samples)
}

/// What a box of tables says of many samples in a row.
struct Runs<'a> {
    entries: &'a [[u8; 8]],
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn read(tables: &Box<'a>, name: &[u8; 4]) -> Result<Option<Self>, VideoError> {
        let Some(table) = tables.child(name) else {
            return Ok(None);
        };
        let mut fields = table.fields();
        fields.version_and_flags()?;
        Ok(Some(Self {
            entries: fields.table()?,
            left: 0,
            value: 0,
        }))
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            let ([a, b, c, d, value @ ..], rest) = self.entries.split_first()?;
            self.left = u32::from_be_bytes([*a, *b, *c, *d]);
            self.value = u32::from_be_bytes(*value);
            self.entries = rest;
        }
        self.left -= 1;
        Some(self.value)
    }
}

/// The boxes `stsz` and `stz2`.
struct Sizes<'a> {
    count: usize,
    /// The size of all samples, or 0.
    same: u32,
    bits: usize,
    table: &'a [u8],
    index: usize,
}

impl<'a> Sizes<'a> {
    fn read(tables: &Box<'a>) -> Result<Self, VideoError> {
        let (table, is_compact) = match tables.child(b"stsz") {
            Some(table) => (table, false),
            None => (tables.child(b"stz2").ok_or_else(|| missing("stsz"))?, true),
        };
        let mut fields = table.fields();
        fields.version_and_flags()?;
        let first = fields.u32()?;
        let count = fields.u32()? as usize;
        let (same, bits) = if is_compact {
            (0, (first & 0xff) as usize)
        } else {
            (first, 32)
        };
        if !matches!(bits, 4 | 8 | 16 | 32) {
            return Err(damaged(format!("the sizes in `stz2` have {bits} bits")));
        }
        let bytes = if same == 0 {
            (count * bits).div_ceil(8)
        } else {
            0
        };
        Ok(Self {
            count,
            same,
            bits,
            table: fields.take(bytes)?,
            index: 0,
        })
    }

    fn next(&mut self) -> Result<u32, VideoError> {
        let index = self.index;
        self.index += 1;
        let number = |bytes: usize| {
            let bytes = self.table.get(index * bytes..(index + 1) * bytes)?;
            Some(
                bytes
                    .iter()
                    .fold(0, |number, byte| number << 8 | u32::from(*byte)),
            )
        };
        match (self.same, self.bits) {
            (0, 4) => self.table.get(index / 2).map(|pair| {
                u32::from(if index.is_multiple_of(2) {
                    pair >> 4
                } else {
                    pair & 15
                })
            }),
            (0, bits) => number(bits / 8),
            (same, _) => Some(same),
        }
        .ok_or_else(|| disagree("stsz"))
    }
}

/// The box `stss`. Without it, decoding can begin anywhere.
struct Sync<'a>(Option<&'a [[u8; 4]]>);

impl<'a> Sync<'a> {
    fn read(tables: &Box<'a>) -> Result<Self, VideoError> {
        let Some(table) = tables.child(b"stss") else {
            return Ok(Self(None));
        };
        let mut fields = table.fields();
        fields.version_and_flags()?;
        Ok(Self(Some(fields.table()?)))
    }

    /// Whether the table names a sample, of which it numbers the first 1. Samples are asked for in order.
    fn has(&mut self, index: usize) -> bool {
        let Some(numbers) = &mut self.0 else {
            return true;
        };
        while let Some((number, rest)) = numbers.split_first() {
            let number = u32::from_be_bytes(*number) as usize;
            if number > index {
                return number == index + 1;
            }
            *numbers = rest;
        }
        false
    }
}

/// The boxes `stsc`, `stco` and `co64`: samples lie in chunks, and only those have a place.
struct Chunks<'a> {
    /// First chunk, samples in each, number of their description.
    runs: &'a [[u8; 12]],
    places: Places<'a>,
    chunk: usize,
    left: u32,
    per_chunk: u32,
    description: usize,
    at: u64,
}

enum Places<'a> {
    Short(&'a [[u8; 4]]),
    Long(&'a [[u8; 8]]),
}

impl Places<'_> {
    fn get(&self, index: usize) -> Option<u64> {
        match self {
            Self::Short(places) => places
                .get(index)
                .map(|place| u32::from_be_bytes(*place).into()),
            Self::Long(places) => places.get(index).map(|place| u64::from_be_bytes(*place)),
        }
    }
}

impl<'a> Chunks<'a> {
    fn read(tables: &Box<'a>) -> Result<Self, VideoError> {
        let mut runs = tables
            .child(b"stsc")
            .ok_or_else(|| missing("stsc"))?
            .fields();
        runs.version_and_flags()?;
        let places = match (tables.child(b"stco"), tables.child(b"co64")) {
            (Some(table), _) => {
                let mut fields = table.fields();
                fields.version_and_flags()?;
                Places::Short(fields.table()?)
            }
            (None, Some(table)) => {
                let mut fields = table.fields();
                fields.version_and_flags()?;
                Places::Long(fields.table()?)
            }
            (None, None) => return Err(missing("stco")),
        };
        Ok(Self {
            runs: runs.table()?,
            places,
            chunk: 0,
            left: 0,
            per_chunk: 0,
            description: 0,
            at: 0,
        })
    }

    /// Where the next sample of so many bytes lies, and its description.
    fn next(&mut self, bytes: u32) -> Result<(u64, usize), VideoError> {
        while self.left == 0 {
            if let Some(([a, b, c, d, e, f, g, h, description @ ..], rest)) =
                self.runs.split_first()
                && u32::from_be_bytes([*a, *b, *c, *d]) as usize == self.chunk + 1
            {
                self.per_chunk = u32::from_be_bytes([*e, *f, *g, *h]);
                self.description = (u32::from_be_bytes(*description) as usize).saturating_sub(1);
                self.runs = rest;
            }
            self.at = self
                .places
                .get(self.chunk)
                .ok_or_else(|| disagree("stco"))?;
            self.left = self.per_chunk;
            self.chunk += 1;
        }
        self.left -= 1;
        let offset = self.at;
        self.at = offset
            .checked_add(bytes.into())
            .ok_or_else(|| disagree("stco"))?;
        Ok((offset, self.description))
    }
}

/// The box `trex`: what a fragment of a track need not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    track: u32,
    description: u32,
    duration: u32,
    bytes: u32,
    flags: u32,
}

impl Defaults {
    pub(super) fn read(extends: &Box<'_>) -> Result<Self, VideoError> {
        let mut fields = extends.fields();
        fields.version_and_flags()?;
        Ok(Self {
            track: fields.u32()?,
            description: fields.u32()?,
            duration: fields.u32()?,
            bytes: fields.u32()?,
            flags: fields.u32()?,
        })
    }
}

/// A box `moof`, which may have been read into memory from anywhere in the file.
pub(super) struct Fragment {
    pub(super) offset: u64,
    pub(super) body: Vec<u8>,
}

/// Flag of a sample in fragments, from ISO/IEC 14496-12, 8.8.3.1: decoding cannot begin here.
const NOT_SYNC: u32 = 0x1_0000;

/// Adds the samples of a track that are in a fragment. `decode_time` is where the fragment before ended.
pub(super) fn add_fragment(
    samples: &mut Vec<Sample>,
    fragment: &Fragment,
    track: u32,
    defaults: &[Defaults],
    decode_time: &mut i64,
) -> Result<(), VideoError> {
    // Where the data of the track before ends, which is where that of the next begins if nothing else is said.
    let mut data_end = fragment.offset;
    for part in Boxes(&fragment.body).filter(|part| &part.name == b"traf") {
        let mut header = part.required(b"tfhd")?.fields();
        let (_, flags) = header.version_and_flags()?;
        let id = header.u32()?;
        let default = defaults.iter().find(|it| it.track == id);
        let base = match flags {
            _ if flags & 0x1 != 0 => header.u64()?,
            _ if flags & 0x2_0000 != 0 => fragment.offset,
            _ => data_end,
        };
        let mut value = |flag: u32, otherwise: fn(&Defaults) -> u32| {
            if flags & flag != 0 {
                header.u32()
            } else {
                Ok(default.map_or(0, otherwise))
            }
        };
        let part_defaults = Defaults {
            track: id,
            description: value(0x2, |it| it.description)?,
            duration: value(0x8, |it| it.duration)?,
            bytes: value(0x10, |it| it.bytes)?,
            flags: value(0x20, |it| it.flags)?,
        };
        let is_wanted = id == track;
        if let Some(time) = part.child(b"tfdt").filter(|_| is_wanted) {
            let mut fields = time.fields();
            let (version, _) = fields.version_and_flags()?;
            *decode_time = i64::try_from(fields.long(version)?)
                .map_err(|_| damaged("a fragment begins after the end of time"))?;
        }
        data_end = base;
        for run in part.children(0).filter(|run| &run.name == b"trun") {
            let sink = is_wanted.then_some((&mut *samples, &mut *decode_time));
            data_end = read_run(&run, base, data_end, &part_defaults, sink)?;
        }
    }
    Ok(())
}

/// Reads a run of samples that begins at `next` if it does not say where, and tells where its data ends. The samples go
/// into `sink`, if there is one.
fn read_run(
    run: &Box<'_>,
    base: u64,
    next: u64,
    defaults: &Defaults,
    mut sink: Option<(&mut Vec<Sample>, &mut i64)>,
) -> Result<u64, VideoError> {
    let mut fields = run.fields();
    let (_, flags) = fields.version_and_flags()?;
    let count = fields.u32()?;
    let mut at = match flags & 0x1 {
        0 => next,
        _ => base
            .checked_add_signed(fields.i32()?.into())
            .ok_or_else(|| damaged("a fragment's data begins before the file"))?,
    };
    let first_flags = match flags & 0x4 {
        0 => None,
        _ => Some(fields.u32()?),
    };
    if let Some((samples, _)) = &sink {
        check_count(samples.len() + count as usize)?;
    }
    let too_far = || damaged("a fragment's data ends beyond all files");
    if sink.is_none() && flags & 0x200 == 0 {
        // Nobody asks for the single samples.
        return at
            .checked_add(u64::from(count) * u64::from(defaults.bytes))
            .ok_or_else(too_far);
    }
    for index in 0..count {
        let mut value = |flag: u32, otherwise: u32| {
            if flags & flag != 0 {
                fields.u32()
            } else {
                Ok(otherwise)
            }
        };
        let duration = value(0x100, defaults.duration)?;
        let bytes = value(0x200, defaults.bytes)?;
        let sample_flags = value(0x400, defaults.flags)?;
        let shift = value(0x800, 0)?.cast_signed();
        if let Some((samples, decode_time)) = &mut sink {
            let sample_flags = first_flags.filter(|_| index == 0).unwrap_or(sample_flags);
            samples.push(Sample {
                offset: at,
                bytes,
                composition_time: decode_time.saturating_add(shift.into()),
                duration,
                is_sync: sample_flags & NOT_SYNC == 0,
                description: (defaults.description as usize).saturating_sub(1),
            });
            **decode_time = decode_time.saturating_add(duration.into());
        }
        at = at.checked_add(bytes.into()).ok_or_else(too_far)?;
    }
    Ok(at)
}

fn check_count(count: usize) -> Result<(), VideoError> {
    if count > MAX_FRAMES {
        return Err(limit(format!(
            "it has {count} frames, not up to {MAX_FRAMES}"
        )));
    }
    Ok(())
}

fn missing(name: &str) -> VideoError {
    damaged(format!("its index has no `{name}`"))
}

fn disagree(name: &str) -> VideoError {
    damaged(format!(
        "the tables of its index disagree: `{name}` knows fewer frames than there are"
    ))
}
