//! When the samples of a track are shown: the edit list, which players follow and which hides what was trimmed away.

use super::{
    super::{MAX_FRAMES, Showing, VideoError, damaged, limit, millis},
    boxes::Box,
    samples::Sample,
};

/// One line of an edit list, box `elst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// How long it is shown, in ticks of the movie's clock. 0 and all ones mean to the end.
    duration: u64,
    /// From where in the track, in ticks of the track's clock; `None` shows nothing.
    start: Option<i64>,
    /// Whether a single frame is shown all the time.
    is_still: bool,
}

/// Reads the edit list of a track, which may have none.
pub(super) fn edits(track: &Box<'_>) -> Result<Vec<Edit>, VideoError> {
    let Some(list) = track.child(b"edts").and_then(|edits| edits.child(b"elst")) else {
        return Ok(Vec::new());
    };
    let mut fields = list.fields();
    let (version, _) = fields.version_and_flags()?;
    let is_short = version == 0;
    let count = fields.u32()?;
    // There may be less than is announced, but no more than there is.
    let mut edits = Vec::new();
    for _ in 0..count {
        let duration = fields.long(version)?;
        let start = fields.long(version)?;
        let rate = fields.i32()?;
        let start = if is_short {
            i64::from((start as u32).cast_signed())
        } else {
            start.cast_signed()
        };
        edits.push(Edit {
            duration: match duration {
                all if is_short && all == u64::from(u32::MAX) => 0,
                u64::MAX => 0,
                duration => duration,
            },
            start: (start >= 0).then_some(start),
            is_still: rate == 0,
        });
    }
    Ok(edits)
}

/// Ticks a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    pub(super) movie: u64,
    pub(super) track: u64,
}

/// When each sample is shown, in the order of these times, and how long all of it takes in milliseconds.
pub(super) fn showings(
    samples: &[Sample],
    edits: &[Edit],
    clocks: Clocks,
) -> Result<(Vec<Showing>, u64), VideoError> {
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_by_key(|index| samples[*index].composition_time);
    let time = |position: usize| samples[order[position]].composition_time;
    let Some(first) = order.first().map(|_| time(0)) else {
        return Ok((Vec::new(), 0));
    };
    let end = samples
        .iter()
        .map(|it| it.composition_time.saturating_add(it.duration.into()))
        .max()
        .unwrap_or(first);
    let track_millis = |ticks: i64| millis(ticks.max(0).cast_unsigned(), clocks.track);

    let whole = [Edit {
        duration: 0,
        start: Some(first),
        is_still: false,
    }];
    let edits = if edits.is_empty() { &whole } else { edits };
    let begins_empty = edits.first().is_some_and(|edit| edit.start.is_none());
    let (mut showings, mut at) = (Vec::new(), 0_u64);
    for edit in edits {
        let Some(start) = edit.start else {
            at = at.saturating_add(millis(edit.duration, clocks.movie)?);
            continue;
        };
        // Fragments of a broadcast may begin hours after their clock did.
        let start = start.max(first);
        let (length, stop) = extent(edit, start, end, clocks)?;
        let from = order.partition_point(|index| samples[*index].composition_time < start);
        let to = if edit.is_still {
            from
        } else {
            order.partition_point(|index| samples[*index].composition_time < stop)
        };
        // If no frame begins in it, the one that began before is still there.
        let range = if from < to {
            from..to
        } else {
            let shown = order.partition_point(|index| samples[*index].composition_time <= start);
            shown.saturating_sub(1)..shown
        };
        if showings.len() + range.len() > 2 * MAX_FRAMES {
            return Err(limit("its edit list shows more frames than six hours have"));
        }
        for position in range {
            showings.push(Showing {
                millis: at.saturating_add(track_millis(time(position).saturating_sub(start))?),
                frame: order[position],
            });
        }
        at = at.saturating_add(length);
    }
    // What precedes the first frame is not shown, unless the edit list asks for it.
    if !begins_empty && let Some(lead) = showings.iter().map(|it| it.millis).min() {
        for showing in &mut showings {
            showing.millis -= lead;
        }
    }
    showings.sort_by_key(|it| it.millis);
    Ok((showings, at))
}

/// For how many milliseconds an edit that begins at `start` is shown, and before which time of the track its frames begin.
fn extent(edit: &Edit, start: i64, end: i64, clocks: Clocks) -> Result<(u64, i64), VideoError> {
    let left = end.saturating_sub(start).max(0);
    let left_millis = millis(left.cast_unsigned(), clocks.track)?;
    if edit.duration == 0 {
        return Ok((left_millis, end.saturating_add(1)));
    }
    let asked = millis(edit.duration, clocks.movie)?;
    if edit.is_still {
        return Ok((asked, start));
    }
    if clocks.movie == 0 {
        return Err(damaged("its clock does not run"));
    }
    // The two clocks rarely agree on where a frame begins: what begins in the last tick of the slower one is not meant.
    let ticks = (i128::from(edit.duration) * i128::from(clocks.track) - i128::from(clocks.track))
        / i128::from(clocks.movie);
    let stop = i128::from(start) + ticks.max(1);
    Ok((
        asked.min(left_millis),
        i64::try_from(stop).unwrap_or(i64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCKS: Clocks = Clocks {
        movie: 1000,
        track: 90_000,
    };
    const FRAME: i64 = 9_000;

    /// Ten frames a second, the second and the third decoded in the other order.
    fn samples(count: i64, first: i64) -> Vec<Sample> {
        (0..count)
            .map(|index| Sample {
                offset: 0,
                bytes: 1,
                composition_time: first
                    + FRAME
                        * match index {
                            1 => 2,
                            2 => 1,
                            other => other,
                        },
                duration: FRAME as u32,
                is_sync: index == 0,
                description: 0,
            })
            .collect()
    }

    fn edit(duration: u64, start: i64) -> Edit {
        Edit {
            duration,
            start: (start >= 0).then_some(start),
            is_still: false,
        }
    }

    fn shown(samples: &[Sample], edits: &[Edit]) -> (Vec<(u64, usize)>, u64) {
        let (showings, duration) = showings(samples, edits, CLOCKS).unwrap();
        (
            showings.iter().map(|it| (it.millis, it.frame)).collect(),
            duration,
        )
    }

    #[test]
    fn without_edits_all_is_shown_from_the_first_frame() {
        let all = vec![(0, 0), (100, 2), (200, 1), (300, 3)];
        for first in [0, 18_000, 90_000 * 3600 * 100, -18_000] {
            assert_eq!(shown(&samples(4, first), &[]), (all.clone(), 400));
        }
        assert_eq!(shown(&[], &[]), (vec![], 0));
    }

    #[test]
    fn an_edit_shows_a_part() {
        let samples = samples(10, 18_000);
        // As encoders undo the delay of their B-frames.
        let (frames, duration) = shown(&samples, &[edit(1000, 18_000)]);
        assert_eq!((frames.len(), duration), (10, 1000));
        assert_eq!(
            shown(&samples, &[edit(200, 18_000 + 4 * FRAME)]),
            (vec![(0, 4), (100, 5)], 200)
        );
        // Rounded up and down to the movie's clock.
        for duration in [199, 200, 201] {
            let (frames, _) = shown(&samples, &[edit(duration, 18_000 + 4 * FRAME)]);
            assert_eq!(frames, [(0, 4), (100, 5)], "{duration}");
        }
        // To the end, and beyond it.
        for duration in [0, 100_000] {
            let (frames, duration) = shown(&samples, &[edit(duration, 18_000 + 8 * FRAME)]);
            assert_eq!((frames, duration), (vec![(0, 8), (100, 9)], 200));
        }
        // Between two frames, and behind the last.
        let (frames, _) = shown(&samples, &[edit(10, 18_000 + 4 * FRAME + 100)]);
        assert_eq!(frames, [(0, 4)]);
        let (frames, _) = shown(&samples, &[edit(10, i64::MAX)]);
        assert_eq!(frames, [(0, 9)]);
    }

    #[test]
    fn edits_follow_each_other() {
        let samples = samples(4, 0);
        let edits = [edit(500, -1), edit(100, 3 * FRAME), edit(200, 0)];
        assert_eq!(
            shown(&samples, &edits),
            (vec![(500, 3), (600, 0), (700, 2)], 800)
        );
        let still = Edit {
            is_still: true,
            ..edit(3000, 0)
        };
        assert_eq!(
            shown(&samples, &[still, edit(100, FRAME)]),
            (vec![(0, 0), (3000, 2)], 3100)
        );
    }

    #[test]
    fn an_edit_list_that_never_ends_is_refused() {
        let refused = showings(&samples(1000, 0), &vec![edit(0, 0); 3000], CLOCKS).unwrap_err();
        assert!(matches!(refused, VideoError::LocalLimit(_)), "{refused}");
    }
}
