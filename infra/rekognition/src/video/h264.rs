//! H.264: from compressed frames to pictures.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{self, AssertUnwindSafe},
};

use rusty_h264_common::{
    BitReader, NalUnitType, YuvFrame, bit_reader::OutOfData, nal::emulation_unprevent,
};
use rusty_h264_decoder::DecodeError;
use serde::Serialize;

/// Macroblocks of the largest picture: 4096 × 2304, the most that level 5.1 allows.
const MAX_MACROBLOCKS: u64 = 36_864;

/// Pictures that others may refer to, from clause A.3 of the standard.
const MAX_REFERENCES: u32 = 16;

/// Units of one frame: a slice for each row of macroblocks of the tallest picture many times over.
const MAX_UNITS: usize = 16_384;

/// The greatest numbers of parameter sets, from clauses 7.4.2.1.1 and 7.4.2.2.
const MAX_SEQUENCE: u32 = 31;
const MAX_PICTURE: u32 = 255;

/// Bits of the greatest number of a frame, from clause 7.4.2.1.1.
const MAX_NUMBER_BITS: u32 = 16;

/// Bytes within which what is read of a slice's header ends: five numbers of at most 63 bits.
const SLICE_HEADER_BYTES: usize = 64;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What separates the units of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each is preceded by its length in so many bytes, from 1 to 4.
    Length(usize),
    /// Each is preceded by a start code.
    StartCodes,
}

/// Which numbers black and white are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ColourRange {
    /// 0 and 255.
    Full,
    /// 16 and 235.
    Limited,
}

/// How a picture's three planes become red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Colour {
    pub(super) range: ColourRange,
    /// What red and blue contribute to brightness.
    pub(super) red: f32,
    pub(super) blue: f32,
}

impl Colour {
    const BT601: (f32, f32) = (0.299, 0.114);
    const BT709: (f32, f32) = (0.2126, 0.0722);
    const BT2020: (f32, f32) = (0.2627, 0.0593);

    fn new(is_full: bool, (red, blue): (f32, f32)) -> Self {
        let range = if is_full {
            ColourRange::Full
        } else {
            ColourRange::Limited
        };
        Self { range, red, blue }
    }
}

/// Why a frame, or a whole video, cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is compressed with something else.
    Codec(String),
    /// It uses a part of H.264 that is not supported.
    Unsupported(String),
    /// It is damaged, or what it refers to is.
    Damaged(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(name) => write!(formatter, "it is compressed with {name}"),
            Self::Unsupported(what) => write!(formatter, "{what} is not supported"),
            Self::Damaged(reason) => formatter.write_str(reason),
        }
    }
}

impl Fault {
    fn damaged(reason: &str) -> Self {
        Self::Damaged(reason.to_owned())
    }
}

impl From<OutOfData> for Fault {
    fn from(_: OutOfData) -> Self {
        Self::damaged("its data ends in the middle of a header")
    }
}

/// What must be known of a video before its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    framing: Framing,
    /// Sequence and picture parameter sets that are not in the frames.
    parameter_sets: Vec<Vec<u8>>,
}

impl Configuration {
    /// Reads the record `AVCDecoderConfigurationRecord` of ISO/IEC 14496-15.
    pub(super) fn parse(record: &[u8]) -> Result<Self, Fault> {
        let cut = || Fault::damaged("the description of its H.264 (`avcC`) is cut off");
        let [_, _, _, _, length, count, rest @ ..] = record else {
            return Err(cut());
        };
        let (mut rest, mut parameter_sets) = (rest, Vec::new());
        let mut take = |rest: &mut &[u8], count: u8| {
            for _ in 0..count {
                let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
                let length = u16::from_be_bytes(*length).into();
                let (set, after) = after.split_at_checked(length).ok_or_else(cut)?;
                parameter_sets.push(set.to_vec());
                *rest = after;
            }
            Ok::<_, Fault>(())
        };
        take(&mut rest, count & 31)?;
        if let Some((count, mut rest)) = rest.split_first() {
            take(&mut rest, *count)?;
        }
        Self::new(Framing::Length(usize::from(length & 3) + 1), parameter_sets)
    }

    /// Reads parameter sets with start codes, of which there may be none: then they are in the frames.
    pub(super) fn of_stream(mut sets: &[u8]) -> Result<Self, Fault> {
        let mut parameter_sets = Vec::new();
        while let Some(set) = Framing::StartCodes.next_unit(&mut sets)? {
            parameter_sets.push(set.to_vec());
        }
        Self::new(Framing::StartCodes, parameter_sets)
    }

    fn new(framing: Framing, parameter_sets: Vec<Vec<u8>>) -> Result<Self, Fault> {
        let mut sets = ParameterSets::default();
        for set in &parameter_sets {
            sets.add(set)?;
        }
        Ok(Self {
            framing,
            parameter_sets,
        })
    }
}

/// The parameter sets that slices refer to by their numbers.
#[derive(Default)]
struct ParameterSets {
    sequences: BTreeMap<u32, (Sequence, Vec<u8>)>,
    /// The numbers of their sequences, and the sets themselves.
    pictures: BTreeMap<u32, (u32, Vec<u8>)>,
}

impl ParameterSets {
    /// Takes in a unit, and tells whether it is a parameter set.
    fn add(&mut self, unit: &[u8]) -> Result<bool, Fault> {
        let Some((header, payload)) = unit.split_first() else {
            return Ok(false);
        };
        match NalUnitType::from_id(*header) {
            NalUnitType::Sps => {
                let (number, sequence) = Sequence::parse(&emulation_unprevent(payload))?;
                sequence.check()?;
                if number > MAX_SEQUENCE {
                    return Err(Fault::damaged("its sequence parameter sets are damaged"));
                }
                self.sequences.insert(number, (sequence, unit.to_vec()));
            }
            NalUnitType::Pps => {
                let payload = emulation_unprevent(payload);
                let mut reader = BitReader::new(&payload);
                let (number, sequence) = (reader.read_ue()?, reader.read_ue()?);
                reader.skip_bits(2)?; // entropy coding, order of fields
                if number > MAX_PICTURE {
                    return Err(Fault::damaged("its picture parameter sets are damaged"));
                }
                if reader.read_ue()? > 0 {
                    return Err(unsupported("H.264 in slice groups (FMO)"));
                }
                self.pictures.insert(number, (sequence, unit.to_vec()));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn units(&self) -> impl Iterator<Item = &[u8]> {
        let sequences = self.sequences.values().map(|(_, unit)| &**unit);
        sequences.chain(self.pictures.values().map(|(_, unit)| &**unit))
    }
}

/// What the headers of a frame's slices say.
struct Header {
    /// Whether nothing before it is referred to, by it or by any frame after it.
    is_idr: bool,
    /// Whether it refers to no other frame.
    is_intra: bool,
    /// Whether it may refer to frames that are shown later.
    is_bidirectional: bool,
    /// Whether others may refer to it.
    is_reference: bool,
    /// Whether it is announced that what follows it can be decoded.
    is_recovery_point: bool,
    /// `frame_num`.
    number: u32,
    sequence: Sequence,
}

impl Header {
    /// Clause 7.3.3 of the standard.
    fn parse(header: u8, payload: &[u8], sets: &ParameterSets) -> Result<Self, Fault> {
        let start = emulation_unprevent(&payload[..payload.len().min(SLICE_HEADER_BYTES)]);
        let mut reader = BitReader::new(&start);
        reader.read_ue()?; // first macroblock
        let kind = reader.read_ue()? % 5;
        let sequence = sets
            .pictures
            .get(&reader.read_ue()?)
            .and_then(|(sequence, _)| sets.sequences.get(sequence))
            .map(|(sequence, _)| *sequence)
            .ok_or_else(|| Fault::damaged("its parameter sets are missing"))?;
        let number = reader.read_bits(sequence.number_bits)?;
        if sequence.may_be_interlaced && reader.read_bit()? {
            return Err(unsupported("interlaced H.264"));
        }
        let is_bidirectional = kind == 1;
        if is_bidirectional && sequence.has_order_cycle {
            return Err(unsupported(
                "H.264 with B-frames and picture order count type 1",
            ));
        }
        Ok(Self {
            is_idr: header & 31 == 5,
            is_intra: kind == 2,
            is_bidirectional,
            is_reference: header & 0x60 != 0,
            is_recovery_point: false,
            number,
            sequence,
        })
    }

    /// This frame with one more slice.
    fn with(self, slice: &Self) -> Self {
        Self {
            is_intra: self.is_intra && slice.is_intra,
            is_bidirectional: self.is_bidirectional || slice.is_bidirectional,
            is_reference: self.is_reference || slice.is_reference,
            ..self
        }
    }
}

/// What the frames before the next one allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Only a frame that refers to no other can be decoded.
    Lost,
    /// Decoding began at a frame that is not an IDR frame. B-frames right behind it may refer to frames before it.
    Begun,
    /// Each frame refers to frames that were decoded.
    Following,
}

/// Decodes the frames of one video. After a frame that cannot be decoded, it goes on at one that does not depend on it.
pub(super) struct Decoder {
    decoder: rusty_h264_decoder::Decoder,
    framing: Framing,
    /// Why there is no framing for the frames that come.
    fault: Option<Fault>,
    sets: ParameterSets,
    state: State,
    /// Whether a frame was begun in the library and not ended. It says so at the next one, and forgets it.
    is_unfinished: bool,
    /// Number of the last frame to which others may refer.
    reference: u32,
    colour: Colour,
    /// The frame with start codes, which the library asks for.
    stream: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            decoder: rusty_h264_decoder::Decoder::new(),
            framing: Framing::StartCodes,
            fault: None,
            sets: ParameterSets::default(),
            state: State::Lost,
            is_unfinished: false,
            reference: 0,
            colour: Colour::new(false, Colour::BT601),
            stream: Vec::new(),
        }
    }

    /// Takes in how the frames that come are to be read.
    pub(super) fn configure(&mut self, configuration: Option<&Result<Configuration, Fault>>) {
        self.state = State::Lost;
        self.fault = match configuration {
            None => Some(Fault::damaged("its index does not describe it (`stsd`)")),
            Some(Err(fault)) => Some(fault.clone()),
            Some(Ok(configuration)) => {
                self.framing = configuration.framing;
                let sets = &configuration.parameter_sets;
                sets.iter().find_map(|set| self.sets.add(set).err())
            }
        };
    }

    /// The colours of the picture decoded last.
    pub(super) fn colour(&self) -> Colour {
        self.colour
    }

    /// Decodes a frame. One to which no other frame refers is decoded only if it is wanted.
    pub(super) fn decode(
        &mut self,
        frame: &[u8],
        is_sync: bool,
        wanted: bool,
    ) -> Result<Option<YuvFrame>, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let header = match self.read(frame) {
            Ok(Some(header)) => header,
            // Parameter sets, or nothing at all.
            Ok(None) => return Ok(None),
            Err(fault) => {
                self.state = State::Lost;
                return Err(fault);
            }
        };
        self.follow(&header, is_sync)?;
        if !header.is_reference && !wanted {
            return Ok(None);
        }
        let outcome = self.run();
        if header.is_reference {
            self.reference = header.number;
            if outcome.is_err() {
                self.state = State::Lost;
            }
        }
        self.colour = header.sequence.colour();
        outcome.map(Some)
    }

    /// Whether a frame can be decoded after those before it.
    fn follow(&mut self, header: &Header, is_sync: bool) -> Result<(), Fault> {
        let is_next = self.is_next(header);
        match self.state {
            State::Following if is_next => return Ok(()),
            State::Begun if header.is_bidirectional => {
                if header.is_reference {
                    self.reference = header.number;
                }
                return Err(Fault::damaged(
                    "it refers to a frame before the one at which decoding can begin",
                ));
            }
            State::Begun if is_next => {
                self.state = State::Following;
                return Ok(());
            }
            _ => {}
        }
        // A frame that refers to no other can be shown, whatever was before.
        if header.is_intra {
            let can_begin = header.is_recovery_point || is_sync || header.sequence.references <= 1;
            self.state = match (header.is_idr, can_begin) {
                (true, _) => State::Following,
                (false, true) => State::Begun,
                (false, false) => State::Lost,
            };
            return self.restart();
        }
        self.state = State::Lost;
        Err(Fault::damaged(
            "it refers to frames that are damaged or missing",
        ))
    }

    /// Whether no frame to which others may refer is missing before this one. Clause 7.4.3 of the standard says how they
    /// are numbered.
    fn is_next(&self, header: &Header) -> bool {
        let sequence = &header.sequence;
        let next = (self.reference + 1) & ((1 << sequence.number_bits) - 1);
        header.is_idr
            || sequence.has_gaps
            || header.number == next
            || header.number == self.reference
    }

    /// Begins anew, with the parameter sets alone.
    fn restart(&mut self) -> Result<(), Fault> {
        let mut sets = Vec::new();
        for unit in self.sets.units() {
            sets.extend_from_slice(&START_CODE);
            sets.extend_from_slice(unit);
        }
        self.decoder = rusty_h264_decoder::Decoder::new();
        self.is_unfinished = false;
        self.decoder
            .decode(&sets)
            .map(drop)
            .map_err(|error| reason(&error))
    }

    /// Reads the headers of a frame, and makes a stream of its units; `None` if it shows nothing.
    fn read(&mut self, frame: &[u8]) -> Result<Option<Header>, Fault> {
        self.stream.clear();
        let (mut header, mut is_recovery_point) = (None::<Header>, false);
        let (mut rest, mut count) = (frame, 0);
        while let Some(unit) = self.framing.next_unit(&mut rest)? {
            count += 1;
            if count > MAX_UNITS {
                return Err(Fault::Damaged(format!(
                    "it has more than {MAX_UNITS} units"
                )));
            }
            let Some((first, payload)) = unit.split_first() else {
                continue;
            };
            match first & 31 {
                1 | 5 => {
                    let slice = Header::parse(*first, payload, &self.sets)?;
                    header = Some(match header {
                        None => slice,
                        Some(frame) => frame.with(&slice),
                    });
                }
                2..=4 => return Err(unsupported("H.264 in data partitions")),
                6 => {
                    is_recovery_point |= announces_recovery(&emulation_unprevent(payload));
                    continue;
                }
                _ => {
                    if !self.sets.add(unit)? {
                        continue;
                    }
                }
            }
            self.stream.extend_from_slice(&START_CODE);
            self.stream.extend_from_slice(unit);
        }
        if header.is_none() && !self.stream.is_empty() {
            self.decoder
                .decode(&self.stream)
                .map_err(|error| reason(&error))?;
        }
        Ok(header.map(|header| Header {
            is_recovery_point,
            ..header
        }))
    }

    /// Gives the stream to the library.
    fn run(&mut self) -> Result<YuvFrame, Fault> {
        let Self {
            decoder, stream, ..
        } = self;
        let mut outcome = contained(|| decoder.decode(stream));
        if self.is_unfinished && matches!(outcome, Ok(Err(_))) {
            outcome = contained(|| decoder.decode(stream));
        }
        self.is_unfinished = !matches!(outcome, Ok(Ok(Some(_))));
        match outcome {
            Ok(Ok(Some(picture))) => Ok(picture),
            Ok(Ok(None)) => Err(Fault::damaged("a part of its data is missing")),
            Ok(Err(error)) => Err(reason(&error)),
            Err(Panicked) => {
                self.state = State::Lost;
                Err(Fault::damaged("it makes the decoder fail"))
            }
        }
    }
}

/// What is left of a call that panicked. The library may do so on hostile frames.
struct Panicked;

fn contained<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    panic::catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}

fn reason(error: &DecodeError) -> Fault {
    Fault::Damaged(match error {
        DecodeError::Truncated => "its data is damaged or ends too early".to_owned(),
        DecodeError::MissingParameterSet => "its parameter sets are missing".to_owned(),
        DecodeError::Unsupported(what) => {
            format!("it is damaged or uses a part of H.264 that is not supported ({what})")
        }
        DecodeError::Internal(what) => format!("it makes the decoder fail ({what})"),
    })
}

fn unsupported(what: &str) -> Fault {
    Fault::Unsupported(what.to_owned())
}

/// Whether supplemental information says that what follows can be decoded from here on: clause D.1.8 of the standard.
fn announces_recovery(information: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    let number = |rest: &mut &[u8]| {
        let mut number = 0;
        while let Some((byte, after)) = rest.split_first() {
            *rest = after;
            number += usize::from(*byte);
            if *byte != 255 {
                return Some(number);
            }
        }
        None
    };
    let mut rest = information;
    while let Some((kind, length)) = number(&mut rest).zip(number(&mut rest)) {
        if kind == RECOVERY_POINT {
            return true;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

impl Framing {
    /// Splits a unit off.
    fn next_unit<'a>(self, rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
        match self {
            _ if rest.is_empty() => Ok(None),
            Self::Length(size) => {
                let (length, after) = rest
                    .split_at_checked(size)
                    .ok_or_else(|| Fault::damaged("it ends in the middle of a unit"))?;
                let length = length
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte));
                let (unit, after) = after
                    .split_at_checked(length)
                    .ok_or_else(|| Fault::damaged("it ends in the middle of a unit"))?;
                *rest = after;
                Ok(Some(unit))
            }
            Self::StartCodes => {
                let code =
                    |bytes: &[u8]| bytes.windows(3).position(|three| *three == START_CODE[1..]);
                let Some(start) = code(rest) else {
                    *rest = &[];
                    return Ok(None);
                };
                let after = &rest[start + 3..];
                let end = code(after).unwrap_or(after.len());
                *rest = &after[end..];
                Ok(Some(&after[..end]))
            }
        }
    }
}

/// What a sequence parameter set says that matters before anything is decoded, or that the library leaves out.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sequence {
    chroma_format: u32,
    /// Bits of brightness and colour.
    depth: u32,
    /// Bits of a frame's number.
    number_bits: u32,
    /// Whether numbers may be left out.
    has_gaps: bool,
    /// Whether the order of frames comes from a cycle: picture order count type 1.
    has_order_cycle: bool,
    macroblocks: u64,
    height: u64,
    references: u32,
    /// Whether a frame may be coded as two fields.
    may_be_interlaced: bool,
    /// Whether each pair of macroblocks may be.
    is_adaptive: bool,
    /// Whether the range is full, if it is said.
    is_full: Option<bool>,
    /// Number of the matrix in table E-5 of the standard, if it is said.
    matrix: Option<u32>,
}

impl Sequence {
    /// The number of the set and what it says: clause 7.3.2.1.1 of the standard.
    fn parse(payload: &[u8]) -> Result<(u32, Self), Fault> {
        let mut reader = BitReader::new(payload);
        let profile = reader.read_bits(8)?;
        reader.skip_bits(16)?; // constraints and level
        let number = reader.read_ue()?;
        let (mut chroma_format, mut depth) = (1, 8);
        if matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            chroma_format = reader.read_ue()?;
            if chroma_format == 3 {
                reader.read_bit()?; // separate planes
            }
            depth = 8 + reader.read_ue()?.max(reader.read_ue()?).min(255);
            reader.read_bit()?; // transform bypass
            if reader.read_bit()? {
                for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if reader.read_bit()? {
                        skip_scaling_list(&mut reader, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        let number_bits = reader.read_ue()?.saturating_add(4);
        let order = reader.read_ue()?;
        match order {
            0 => drop(reader.read_ue()?), // picture order bits
            1 => {
                reader.read_bit()?;
                reader.read_se()?;
                reader.read_se()?;
                for _ in 0..reader.read_ue()?.min(255) {
                    reader.read_se()?;
                }
            }
            _ => {}
        }
        let references = reader.read_ue()?;
        let has_gaps = reader.read_bit()?;
        let width = u64::from(reader.read_ue()?) + 1;
        let height = u64::from(reader.read_ue()?) + 1;
        let may_be_interlaced = !reader.read_bit()?;
        let is_adaptive = may_be_interlaced && reader.read_bit()?;
        // Of interlaced video, the height is that of a field.
        let height = if may_be_interlaced {
            2 * height
        } else {
            height
        };
        reader.read_bit()?; // direct inference
        if reader.read_bit()? {
            for _ in 0..4 {
                reader.read_ue()?; // cropping
            }
        }
        // Some encoders cut the rest off, which only says how colours are meant.
        let (is_full, matrix) = colours(&mut reader).unwrap_or_default();
        let sequence = Self {
            chroma_format,
            depth,
            number_bits,
            has_gaps,
            has_order_cycle: order == 1,
            macroblocks: width * height,
            height,
            references,
            may_be_interlaced,
            is_adaptive,
            is_full,
            matrix,
        };
        Ok((number, sequence))
    }

    /// Whether the pictures are of a kind and size that can be decoded.
    fn check(&self) -> Result<(), Fault> {
        let kind = match self {
            Self { depth: 9.., .. } => format!("{}-bit H.264", self.depth),
            Self {
                chroma_format: 0, ..
            } => "monochrome (4:0:0) H.264".to_owned(),
            Self {
                chroma_format: 2, ..
            } => "4:2:2 H.264".to_owned(),
            Self {
                chroma_format: 3, ..
            } => "4:4:4 H.264".to_owned(),
            Self {
                is_adaptive: true, ..
            } => "interlaced H.264 (MBAFF)".to_owned(),
            _ => return self.check_size(),
        };
        Err(Fault::Unsupported(kind))
    }

    fn check_size(&self) -> Result<(), Fault> {
        let too_large = if self.macroblocks > MAX_MACROBLOCKS {
            format!(
                "H.264 whose frames have more than {MAX_MACROBLOCKS} macroblocks, as many as 4096 x 2304 pixels,"
            )
        } else if self.references > MAX_REFERENCES {
            format!(
                "H.264 that refers to {} frames, not up to {MAX_REFERENCES},",
                self.references
            )
        } else if self.number_bits > MAX_NUMBER_BITS {
            return Err(Fault::damaged("its sequence parameter sets are damaged"));
        } else {
            return Ok(());
        };
        Err(Fault::Unsupported(too_large))
    }

    fn colour(&self) -> Colour {
        let matrix = match self.matrix {
            Some(1) => Colour::BT709,
            Some(9 | 10) => Colour::BT2020,
            Some(4..=7) => Colour::BT601,
            // Unsaid: high definition usually has the newer matrix.
            _ if self.height * 16 >= 720 => Colour::BT709,
            _ => Colour::BT601,
        };
        Colour::new(self.is_full.unwrap_or(false), matrix)
    }
}

/// Clause E.1.1: whether the range is full, and the number of the matrix.
fn colours(reader: &mut BitReader<'_>) -> Result<(Option<bool>, Option<u32>), OutOfData> {
    let (mut is_full, mut matrix) = (None, None);
    if reader.read_bit()? {
        if reader.read_bit()? && reader.read_bits(8)? == 255 {
            reader.skip_bits(32)?; // aspect ratio
        }
        if reader.read_bit()? {
            reader.read_bit()?; // overscan
        }
        if reader.read_bit()? {
            reader.skip_bits(3)?; // PAL, NTSC
            is_full = Some(reader.read_bit()?);
            if reader.read_bit()? {
                reader.skip_bits(16)?; // primaries and transfer
                matrix = Some(reader.read_bits(8)?);
            }
        }
    }
    Ok((is_full, matrix))
}

/// Clause 7.3.2.1.1.1.
fn skip_scaling_list(reader: &mut BitReader<'_>, size: usize) -> Result<(), OutOfData> {
    let mut next = 8;
    for _ in 0..size {
        if next != 0 {
            next = (next + reader.read_se()?) & 0xff;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(framing: Framing, mut frame: &[u8]) -> Result<Vec<&[u8]>, Fault> {
        let mut units = Vec::new();
        while let Some(unit) = framing.next_unit(&mut frame)? {
            units.push(unit);
        }
        Ok(units)
    }

    #[test]
    fn units_are_told_apart_by_length_or_start_code() {
        let by_length = [0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        let expected: [&[u8]; 3] = [&[7, 8], &[], &[9]];
        assert_eq!(units(Framing::Length(4), &by_length).unwrap(), expected);
        let by_start_code = [0, 0, 0, 1, 7, 8, 0, 0, 1, 9];
        let expected: [&[u8]; 2] = [&[7, 8], &[9]];
        assert_eq!(
            units(Framing::StartCodes, &by_start_code).unwrap(),
            expected
        );
        assert!(units(Framing::StartCodes, &[1, 2, 3]).unwrap().is_empty());
    }

    #[test]
    fn a_length_beyond_the_frame_is_an_error() {
        for frame in [&[0, 0, 0][..], &[0, 0, 0, 2, 7], &[0xff; 9]] {
            assert!(units(Framing::Length(4), frame).is_err(), "{frame:?}");
        }
    }

    fn sequence() -> Sequence {
        Sequence {
            chroma_format: 1,
            depth: 8,
            number_bits: 4,
            has_gaps: false,
            has_order_cycle: false,
            macroblocks: 80 * 45,
            height: 45,
            references: 4,
            may_be_interlaced: false,
            is_adaptive: false,
            is_full: None,
            matrix: None,
        }
    }

    #[test]
    fn colours_are_as_said_or_as_usual() {
        assert_eq!(sequence().colour(), Colour::new(false, Colour::BT709));
        let small = Sequence {
            height: 30,
            ..sequence()
        };
        assert_eq!(small.colour(), Colour::new(false, Colour::BT601));
        let said = Sequence {
            is_full: Some(true),
            matrix: Some(6),
            ..sequence()
        };
        assert_eq!(said.colour(), Colour::new(true, Colour::BT601));
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        assert_eq!(sequence().check(), Ok(()));
        for (sequence, name) in [
            (
                Sequence {
                    depth: 10,
                    ..sequence()
                },
                "10-bit",
            ),
            (
                Sequence {
                    chroma_format: 0,
                    ..sequence()
                },
                "4:0:0",
            ),
            (
                Sequence {
                    chroma_format: 2,
                    ..sequence()
                },
                "4:2:2",
            ),
            (
                Sequence {
                    chroma_format: 3,
                    ..sequence()
                },
                "4:4:4",
            ),
            (
                Sequence {
                    is_adaptive: true,
                    ..sequence()
                },
                "interlaced",
            ),
            (
                Sequence {
                    macroblocks: MAX_MACROBLOCKS + 1,
                    ..sequence()
                },
                "4096 x 2304",
            ),
            (
                Sequence {
                    references: MAX_REFERENCES + 1,
                    ..sequence()
                },
                "17 frames",
            ),
        ] {
            match sequence.check() {
                Err(Fault::Unsupported(what)) => assert!(what.contains(name), "{what}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_recovery_point_is_found_among_other_information() {
        assert!(announces_recovery(&[6, 1, 0x80]));
        assert!(announces_recovery(&[5, 3, 1, 2, 3, 6, 1, 0x80]));
        let long = [&[5, 255, 1][..], &[6; 256], &[6, 1, 0x80]].concat();
        assert!(announces_recovery(&long));
        for none in [&[][..], &[5], &[5, 3, 1, 2, 6], &[255; 9], &[5, 2, 6, 1]] {
            assert!(!announces_recovery(none), "{none:?}");
        }
    }

    #[test]
    fn a_configuration_that_is_cut_off_is_an_error() {
        let whole = [1, 66, 0, 30, 0xff, 0xe0, 0];
        assert!(Configuration::parse(&whole).is_ok());
        for record in [&whole[..5], &[1, 66, 0, 30, 0xff, 0xe1, 0, 9, 0x67], &[]] {
            assert!(
                matches!(Configuration::parse(record), Err(Fault::Damaged(_))),
                "{record:?}"
            );
        }
    }
}
