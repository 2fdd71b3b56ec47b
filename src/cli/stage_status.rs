//! The counters of the line as operators see them: one entry a stage, the inbox among them.

use crate::{
    pipeline::{
        counters::{LineCounters, StageCounters},
        stats::{DropReason, Stretch},
    },
    serve::operate::StageStatus,
};

/// What went through every stage. What waits before one is what the one before handed on and it did not take in.
pub fn stages(line: &LineCounters) -> Vec<StageStatus> {
    let mut told = vec![status(Stretch::Decode, line.stage(Stretch::Decode), 0), inbox(line)];
    for pair in Stretch::ALL[1..].windows(2) {
        let (before, stage) = (line.stage(pair[0]), line.stage(pair[1]));
        if pair[0] == Stretch::Detect {
            told.push(status(Stretch::Detect, before, 0));
        }
        // A line without videos has no such stage.
        if pair[1] != Stretch::Video || stage.received() > 0 {
            told.push(status(pair[1], stage, before.sent().saturating_sub(stage.received())));
        }
    }
    told
}

fn status(stretch: Stretch, stage: &StageCounters, queued: u64) -> StageStatus {
    StageStatus {
        stage: stretch.name().to_owned(),
        received: stage.received(),
        sent: stage.sent(),
        errors: stage.errors().into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect(),
        queued,
        ..StageStatus::default()
    }
}

/// Where frames wait for the detector, and are dropped.
fn inbox(line: &LineCounters) -> StageStatus {
    let dropped = DropReason::ALL.into_iter().map(|reason| (reason.name().to_owned(), line.dropped_for(reason)));
    StageStatus {
        stage: "inbox".to_owned(),
        received: line.stage(Stretch::Decode).sent(),
        sent: line.stage(Stretch::Detect).received(),
        dropped: dropped.collect(),
        queued: line.in_inbox(),
        ..StageStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted_where_it_waits() {
        let line = LineCounters::default();
        line.stage(Stretch::Decode).send(10);
        line.drop_frames(DropReason::Overload, 3);
        line.stage(Stretch::Detect).receive(6);
        line.stage(Stretch::Detect).send(5);
        line.stage(Stretch::Embed).receive(4);
        line.stage(Stretch::Decode).fail("stalled");
        let told = stages(&line);
        let row = |stage: &StageStatus| (stage.stage.clone(), stage.received, stage.sent, stage.queued);
        let expected = [
            ("decode", 0, 10, 0),
            ("inbox", 10, 6, 1),
            ("detect", 6, 5, 0),
            ("embed", 4, 0, 1),
            ("track", 0, 0, 0),
            ("analyze", 0, 0, 0),
            ("record", 0, 0, 0),
        ];
        let expected = expected.map(|(name, received, sent, queued)| (name.to_owned(), received, sent, queued));
        assert_eq!(told.iter().map(row).collect::<Vec<_>>(), expected);
        assert_eq!(told[0].errors["stalled"], 1);
        assert_eq!(told[1].dropped["overload"], 3);
    }
}
