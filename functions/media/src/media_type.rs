//! Which objects the catalogue holds.

use std::fmt;
use std::str::FromStr;

use runtime::s3::ObjectKey;

/// Kind of a media file. It follows from the key's extension alone, so that it is
/// the same for an object that is there and for one that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// Labelled by Rekognition Image.
    Image,
    /// Labelled by Rekognition Video.
    Video,
}

/// The extensions of media files, in lower case and without the dot.
const EXTENSIONS: [(&str, MediaType); 7] = [
    ("jpg", MediaType::Image),
    ("jpeg", MediaType::Image),
    ("png", MediaType::Image),
    ("mp4", MediaType::Video),
    ("mov", MediaType::Video),
    ("avi", MediaType::Video),
    ("flv", MediaType::Video),
];

impl MediaType {
    /// The type of an object by its key's extension, in upper or lower case.
    /// `None` is a file that the catalogue does not hold.
    pub fn of(key: &ObjectKey) -> Option<Self> {
        let extension = key.extension()?;
        EXTENSIONS
            .iter()
            .find(|(known, _)| extension.eq_ignore_ascii_case(known))
            .map(|(_, media_type)| *media_type)
    }

    /// The name in the table and in the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name of no media type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown media type {0:?}: use \"image\" or \"video\"")]
pub struct UnknownMediaType(String);

impl FromStr for MediaType {
    type Err = UnknownMediaType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Image, Self::Video]
            .into_iter()
            .find(|media_type| media_type.as_str() == name)
            .ok_or_else(|| UnknownMediaType(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_from_the_extension_in_any_case() {
        for (key, expected) in [
            ("sample.jpg", Some(MediaType::Image)),
            ("SAMPLE.JPG", Some(MediaType::Image)),
            ("a.b/c.Jpeg", Some(MediaType::Image)),
            ("x.png", Some(MediaType::Image)),
            (".png", Some(MediaType::Image)),
            ("clip.MOV", Some(MediaType::Video)),
            ("clip.mp4", Some(MediaType::Video)),
            ("clip.avi", Some(MediaType::Video)),
            ("clip.flv", Some(MediaType::Video)),
            ("notes.txt", None),
            ("jpg", None),
            ("photo.jpg.bak", None),
            ("photo.jpg/", None),
            ("photo.", None),
        ] {
            assert_eq!(
                MediaType::of(&ObjectKey::new(key).unwrap()),
                expected,
                "{key}"
            );
        }
    }

    #[test]
    fn names_read_back() {
        for media_type in [MediaType::Image, MediaType::Video] {
            assert_eq!(media_type.as_str().parse(), Ok(media_type));
        }
        assert!(
            "Image"
                .parse::<MediaType>()
                .unwrap_err()
                .to_string()
                .contains("\"video\"")
        );
    }
}
