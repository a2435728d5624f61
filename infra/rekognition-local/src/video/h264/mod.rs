//! H.264: from compressed frames to pictures.

mod fault;
mod parameter_sets;
mod sequence;
mod slice;
mod units;

use std::panic::{self, AssertUnwindSafe};

use rusty_h264_common::{YuvFrame, nal::emulation_unprevent};

pub(super) use fault::Fault;
use fault::{reason, unsupported};
pub(super) use parameter_sets::Configuration;
use parameter_sets::ParameterSets;
pub(super) use sequence::{Colour, ColourRange};
use slice::Header;
use units::{Framing, START_CODE, announces_recovery};

/// Units of one frame: a slice for each row of macroblocks of the tallest picture many times over.
const MAX_UNITS: usize = 16_384;

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
