//! Which frames are looked at.

use super::*;

fn showings(times: impl IntoIterator<Item = u64>) -> Vec<Showing> {
    let mut showings: Vec<_> = times
        .into_iter()
        .enumerate()
        .map(|(frame, millis)| Showing { millis, frame })
        .collect();
    showings.sort_by_key(|it| it.millis);
    showings
}

#[test]
fn a_long_video_is_sampled_less_often() {
    let wanted = |minutes: u64| {
        let frames = (minutes * 600) as usize;
        let times = showings((0..minutes * 600).map(|index| index * 100));
        let moments = Moments::new(&times, frames, minutes * 60_000);
        (0..frames).filter(|frame| moments.want(*frame)).count()
    };
    assert_eq!(wanted(1), 120);
    assert_eq!(wanted(60), 7200);
    assert_eq!(wanted(360), 7200);
}

#[test]
fn frames_are_chosen_by_the_time_they_are_shown() {
    // Decoded in another order than shown, and with a gap.
    let times = showings([0, 480, 520, 500, 1600]);
    let mut moments = Moments::new(&times, 5, 1700);
    let wanted: Vec<_> = (0..5).map(|frame| moments.want(frame)).collect();
    assert_eq!(wanted, [true, false, false, true, true]);
    // The next of the same half second takes the place of one that cannot be decoded.
    moments.missed(0);
    assert_eq!(moments.shown(1), [480]);
    assert!(moments.shown(2).is_empty());
    moments.missed(3);
    moments.missed(4);
    assert!(!moments.want(1));
}

#[test]
fn a_frame_may_be_shown_more_than_once() {
    let times: Vec<_> = [0, 100, 700, 1000]
        .map(|millis| Showing { millis, frame: 0 })
        .to_vec();
    assert_eq!(Moments::new(&times, 1, 1100).shown(0), [0, 700, 1000]);
}
