//! Boxes of ISO/IEC 14496-12, which Apple's QuickTime File Format calls atoms: a length, a name, and what is in it.

use super::super::{VideoError, damaged};

/// A box of the index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Box<'a> {
    pub(super) name: [u8; 4],
    pub(super) body: &'a [u8],
}

impl<'a> Box<'a> {
    /// The boxes in this one, behind so many bytes of its own.
    pub(super) fn children(&self, before: usize) -> Boxes<'a> {
        Boxes(self.body.get(before..).unwrap_or_default())
    }

    /// The first box of a name in this one.
    pub(super) fn child(&self, name: &[u8; 4]) -> Option<Box<'a>> {
        self.children(0).find(|child| child.name == *name)
    }

    /// The first box of a name in this one, which must be there.
    pub(super) fn required(&self, name: &[u8; 4]) -> Result<Box<'a>, VideoError> {
        self.child(name).ok_or_else(|| {
            damaged(format!(
                "its index has no `{}` in `{}`",
                name.escape_ascii(),
                self.name.escape_ascii()
            ))
        })
    }

    /// What is in this box, to be read from its start.
    pub(super) fn fields(&self) -> Fields<'a> {
        Fields {
            name: self.name,
            rest: self.body,
        }
    }
}

/// Boxes that follow each other. They end where no box can begin: QuickTime ends some lists with four zeros, and programs
/// leave bytes over. What lacks then is missed by the one who needs it.
pub(super) struct Boxes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = Box<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (header, _) = self.0.split_first_chunk::<8>()?;
        let [a, b, c, d, name @ ..] = *header;
        let (size, header) = match u32::from_be_bytes([a, b, c, d]) {
            1 => {
                let size = self.0.get(8..16)?.first_chunk::<8>()?;
                (usize::try_from(u64::from_be_bytes(*size)).ok()?, 16)
            }
            size => (size as usize, 8),
        };
        if size < header {
            return None;
        }
        let (whole, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(Box {
            name,
            body: &whole[header..],
        })
    }
}

/// Numbers at the start of what is in a box.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    name: [u8; 4],
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8], VideoError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(bytes)
            .ok_or_else(|| self.too_short())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], VideoError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| self.too_short())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, VideoError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, VideoError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, VideoError> {
        self.array().map(u64::from_be_bytes)
    }

    /// The version and the flags with which a full box begins.
    pub(super) fn version_and_flags(&mut self) -> Result<(u8, u32), VideoError> {
        let [version, flags @ ..] = self.array::<4>()?;
        let [a, b, c] = flags;
        Ok((version, u32::from_be_bytes([0, a, b, c])))
    }

    /// A number of 64 bits in version 1 of a box, and of 32 before.
    pub(super) fn long(&mut self, version: u8) -> Result<u64, VideoError> {
        if version == 0 {
            self.u32().map(u64::from)
        } else {
            self.u64()
        }
    }

    /// A table: its number of entries, and entries of so many bytes, all of which must be there.
    pub(super) fn table<const BYTES: usize>(&mut self) -> Result<&'a [[u8; BYTES]], VideoError> {
        let count = self.u32()? as usize;
        let bytes = count.checked_mul(BYTES).ok_or_else(|| self.too_short())?;
        Ok(self.take(bytes)?.as_chunks().0)
    }

    fn too_short(&self) -> VideoError {
        damaged(format!(
            "the box `{}` is too short for what it announces",
            self.name.escape_ascii()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_end_where_none_can_begin() {
        let names = |bytes: &[u8]| Boxes(bytes).map(|it| it.name).collect::<Vec<_>>();
        let one = b"\0\0\0\x0aabcd12";
        assert_eq!(names(one), [*b"abcd"]);
        for end in [
            &b""[..],
            b"\0\0\0\0",
            b"12345",
            b"\0\0\0\x07efgh",
            b"\0\0\0\xffefgh",
            b"\0\0\0\x01efgh\0\0\0\0\0\0\0\x0f",
        ] {
            assert_eq!(names(&[one, end].concat()), [*b"abcd"], "{end:?}");
        }
        let long = b"\0\0\0\x01efgh\0\0\0\0\0\0\0\x11!";
        let found = Boxes(long).next().unwrap();
        assert_eq!((found.name, found.body), (*b"efgh", &b"!"[..]));
    }

    #[test]
    fn a_table_must_be_as_long_as_it_says() {
        let fields = |body| {
            Box {
                name: *b"stco",
                body,
            }
            .fields()
        };
        let body = b"\0\0\0\x02\0\0\0\x01\0\0\0\x02";
        assert_eq!(
            fields(&body[..]).table::<4>().unwrap(),
            [[0, 0, 0, 1], [0, 0, 0, 2]]
        );
        for body in [&body[..11], b"\xff\xff\xff\xff\0\0\0\0", b"\0"] {
            let refused = fields(body).table::<4>().unwrap_err().to_string();
            assert!(refused.contains("`stco` is too short"), "{refused}");
        }
    }
}
