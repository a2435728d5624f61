//! A bounds-checked reader of FlatBuffers, for TFLite models.
//!
//! The accessors that code generators emit rest on `unsafe`; a model file is input like any other, so here every
//! offset is checked where it is followed. The layout is that of the FlatBuffers "internals" document: a table starts
//! with the signed distance to its vtable, which lists the offset of each field, zero for an absent one.

use super::ModelError;

/// A table inside a buffer.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    buffer: &'a [u8],
    position: usize,
    /// Offsets of the fields, two bytes each.
    slots: &'a [u8],
}

impl<'a> Table<'a> {
    /// The root table of `buffer`, which must carry the file identifier.
    pub(super) fn root(buffer: &'a [u8], identifier: [u8; 4]) -> Result<Self, ModelError> {
        if buffer.get(4..8) != Some(&identifier) {
            return Err(ModelError::NotTflite);
        }
        Self::at(buffer, follow(buffer, 0)?)
    }

    fn at(buffer: &'a [u8], position: usize) -> Result<Self, ModelError> {
        let distance = i32::from_le_bytes(bytes(buffer, position)?);
        let vtable = usize::try_from(i64::try_from(position)? - i64::from(distance))?;
        let size = usize::from(u16::from_le_bytes(bytes(buffer, vtable)?));
        let slots = vtable
            .checked_add(size)
            .and_then(|end| buffer.get(vtable..end))
            .and_then(|vtable| vtable.get(4..))
            .ok_or(ModelError::Truncated)?;
        Ok(Self {
            buffer,
            position,
            slots,
        })
    }

    /// Where the field lies, if it is present.
    fn field(&self, slot: usize) -> Option<usize> {
        let offset = self.slots.chunks_exact(2).nth(slot)?;
        match u16::from_le_bytes([offset[0], offset[1]]) {
            0 => None,
            offset => Some(self.position + usize::from(offset)),
        }
    }

    fn scalar<const N: usize>(&self, slot: usize) -> Result<Option<[u8; N]>, ModelError> {
        self.field(slot)
            .map(|at| bytes(self.buffer, at))
            .transpose()
    }

    /// A byte, or zero, the default of every byte field that is read here.
    pub(super) fn u8(&self, slot: usize) -> Result<u8, ModelError> {
        Ok(self.scalar(slot)?.map_or(0, u8::from_le_bytes))
    }

    pub(super) fn i32_or(&self, slot: usize, default: i32) -> Result<i32, ModelError> {
        Ok(self.scalar(slot)?.map_or(default, i32::from_le_bytes))
    }

    pub(super) fn table(&self, slot: usize) -> Result<Option<Self>, ModelError> {
        self.field(slot)
            .map(|at| Self::at(self.buffer, follow(self.buffer, at)?))
            .transpose()
    }

    /// A vector of tables, empty when absent.
    pub(super) fn tables(&self, slot: usize) -> Result<Vec<Self>, ModelError> {
        let Some((start, entries)) = self.vector(slot, 4)? else {
            return Ok(Vec::new());
        };
        (0..entries.len() / 4)
            .map(|index| Self::at(self.buffer, follow(self.buffer, start + 4 * index)?))
            .collect()
    }

    pub(super) fn bytes(&self, slot: usize) -> Result<&'a [u8], ModelError> {
        Ok(self.vector(slot, 1)?.map_or(&[], |(_, entries)| entries))
    }

    pub(super) fn i32s(&self, slot: usize) -> Result<Vec<i32>, ModelError> {
        self.numbers(slot, i32::from_le_bytes)
    }

    pub(super) fn i64s(&self, slot: usize) -> Result<Vec<i64>, ModelError> {
        self.numbers(slot, i64::from_le_bytes)
    }

    pub(super) fn f32s(&self, slot: usize) -> Result<Vec<f32>, ModelError> {
        self.numbers(slot, f32::from_le_bytes)
    }

    fn numbers<T, const N: usize>(
        &self,
        slot: usize,
        convert: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, ModelError> {
        let entries = self
            .vector(slot, N)?
            .map_or(&[][..], |(_, entries)| entries);
        Ok(entries
            .as_chunks::<N>()
            .0
            .iter()
            .map(|entry| convert(*entry))
            .collect())
    }

    /// The start of a vector's entries, and the entries.
    fn vector(
        &self,
        slot: usize,
        entry_size: usize,
    ) -> Result<Option<(usize, &'a [u8])>, ModelError> {
        let Some(at) = self.field(slot) else {
            return Ok(None);
        };
        let at = follow(self.buffer, at)?;
        let length = usize::try_from(u32::from_le_bytes(bytes(self.buffer, at)?))?;
        let start = at + 4;
        let entries = length
            .checked_mul(entry_size)
            .and_then(|size| start.checked_add(size))
            .and_then(|end| self.buffer.get(start..end))
            .ok_or(ModelError::Truncated)?;
        Ok(Some((start, entries)))
    }
}

/// The place that the offset at `at` points to.
fn follow(buffer: &[u8], at: usize) -> Result<usize, ModelError> {
    let offset = usize::try_from(u32::from_le_bytes(bytes(buffer, at)?))?;
    at.checked_add(offset).ok_or(ModelError::Truncated)
}

fn bytes<const N: usize>(buffer: &[u8], at: usize) -> Result<[u8; N], ModelError> {
    buffer
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .ok_or(ModelError::Truncated)
}
