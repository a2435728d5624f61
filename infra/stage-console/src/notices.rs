//! What was done, told on the page that follows.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Who has not seen a notice by then has closed the page.
const MOST: usize = 64;

/// Sentences by their numbers. The address of a page holds the number alone: a text there could be anybody's.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<(u64, VecDeque<(u64, String)>)>);

impl Notices {
    /// Keeps a sentence, and tells its number.
    pub(crate) fn keep(&self, sentence: String) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, sentences) = &mut *kept;
        *last += 1;
        sentences.push_back((*last, sentence));
        if sentences.len() > MOST {
            sentences.pop_front();
        }
        *last
    }

    /// The sentence of a number.
    pub(crate) fn of(&self, number: &str) -> Option<String> {
        let number: u64 = number.parse().ok()?;
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sentences = kept.1.iter();
        sentences
            .find(|(known, _)| *known == number)
            .map(|(_, sentence)| sentence.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sentences_are_kept() {
        let notices = Notices::default();
        let numbers: Vec<u64> = (0..=MOST)
            .map(|number| notices.keep(number.to_string()))
            .collect();
        assert_eq!(notices.of(&numbers[0].to_string()), None);
        assert_eq!(notices.of(&numbers[1].to_string()).as_deref(), Some("1"));
        assert_eq!(notices.of("x"), None);
    }
}
