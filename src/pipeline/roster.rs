//! Which streams there are and what they are like now. Read by every stage, changed by `control` while the line runs.

use crate::{config::plan::StreamPlan, frame::StreamId};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The streams of a line by their number. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Roster(Arc<RwLock<Vec<Option<Arc<StreamPlan>>>>>);

/// A `StreamId` counts to here.
pub const MAX_STREAMS: usize = 1 << 16;

impl Roster {
    /// A roster of `streams`, numbered from 0.
    pub fn new(streams: impl IntoIterator<Item = StreamPlan>) -> Self {
        Self(Arc::new(RwLock::new(streams.into_iter().map(|plan| Some(Arc::new(plan))).collect())))
    }

    /// What a stream is like now; `None` if no stream has this number.
    pub fn get(&self, stream: StreamId) -> Option<Arc<StreamPlan>> {
        self.read().get(stream.index()).cloned().flatten()
    }

    /// A stream's name; empty if no stream has this number.
    pub fn name(&self, stream: StreamId) -> String {
        self.get(stream).map(|plan| plan.name.clone()).unwrap_or_default()
    }

    /// The number of the stream that goes by `name`, whatever its case.
    pub fn find(&self, name: &str) -> Option<StreamId> {
        let wanted = name.to_lowercase();
        let same = |plan: &Option<Arc<StreamPlan>>| plan.as_ref().is_some_and(|p| p.name.to_lowercase() == wanted);
        self.read().iter().position(same).map(|index| StreamId(index as u16))
    }

    /// Every stream's number, ascending.
    pub fn streams(&self) -> Vec<StreamId> {
        let plans = self.read();
        let taken = plans.iter().enumerate().filter(|(_, plan)| plan.is_some());
        taken.map(|(index, _)| StreamId(index as u16)).collect()
    }

    /// Enters a stream under the lowest free number; `None` if its name is taken or no number is free.
    pub fn enter(&self, plan: StreamPlan) -> Option<StreamId> {
        if self.find(&plan.name).is_some() {
            return None;
        }
        let mut plans = self.write();
        let free = plans.iter().position(Option::is_none).unwrap_or(plans.len());
        if free == MAX_STREAMS {
            return None;
        }
        if free == plans.len() {
            plans.push(None);
        }
        plans[free] = Some(Arc::new(plan));
        Some(StreamId(free as u16))
    }

    /// Changes what a stream is like.
    pub fn change(&self, stream: StreamId, plan: Arc<StreamPlan>) {
        if let Some(slot) = self.write().get_mut(stream.index()) {
            *slot = Some(plan);
        }
    }

    /// Strikes a stream off; its number is free then.
    pub fn leave(&self, stream: StreamId) {
        if let Some(slot) = self.write().get_mut(stream.index()) {
            *slot = None;
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Option<Arc<StreamPlan>>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Option<Arc<StreamPlan>>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_names_are_unique() {
        let plan = |name: &str| StreamPlan::recording(name, "x.mp4");
        let roster = Roster::new(["a", "b", "c"].map(plan));
        assert_eq!(roster.enter(plan("B")), None);
        assert_eq!(roster.find("C"), Some(StreamId(2)));
        roster.leave(StreamId(1));
        assert_eq!((roster.find("b"), roster.name(StreamId(1))), (None, String::new()));
        assert_eq!(roster.enter(plan("d")), Some(StreamId(1)));
        assert_eq!(roster.enter(plan("e")), Some(StreamId(3)));
        assert_eq!(roster.streams().len(), 4);
    }
}
