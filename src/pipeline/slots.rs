//! What a stage keeps for each stream. Streams come and go while the line runs, so a table grows on demand and is emptied
//! slot by slot.

use crate::frame::StreamId;

/// One `T` a stream, where there is one.
#[derive(Debug)]
pub struct Slots<T>(Vec<Option<T>>);

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Slots<T> {
    /// The slot of a stream, empty or not.
    pub fn slot(&mut self, stream: StreamId) -> &mut Option<T> {
        if self.0.len() <= stream.index() {
            self.0.resize_with(stream.index() + 1, || None);
        }
        &mut self.0[stream.index()]
    }

    /// What a stream has.
    pub fn get_mut(&mut self, stream: StreamId) -> Option<&mut T> {
        self.0.get_mut(stream.index())?.as_mut()
    }

    /// What a stream had; its slot is empty then.
    pub fn take(&mut self, stream: StreamId) -> Option<T> {
        self.0.get_mut(stream.index())?.take()
    }

    /// Every stream that has something.
    pub fn streams(&self) -> Vec<StreamId> {
        let full = self.0.iter().enumerate().filter(|(_, slot)| slot.is_some());
        full.map(|(index, _)| StreamId(index as u16)).collect()
    }
}
