//! What operators ask of a live stream, handed to its thread without either waiting for the other.

use super::flow::Turn;
use crossbeam_channel::{Receiver, Sender, bounded};
use crossbeam_queue::SegQueue;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What an operator may ask of a camera while it runs. Clones share it.
#[derive(Clone, Debug)]
pub struct Switches(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    paused: AtomicBool,
    removed: AtomicBool,
    restart: AtomicBool,
    turns: SegQueue<Turn>,
    bell: Sender<()>,
    heard: Receiver<()>,
}

impl Switches {
    /// Switched on, or paused from the start.
    pub fn new(enabled: bool) -> Self {
        let (bell, heard) = bounded(1);
        let (removed, restart) = (AtomicBool::new(false), AtomicBool::new(false));
        let paused = AtomicBool::new(!enabled);
        Self(Arc::new(Shared { paused, removed, restart, turns: SegQueue::new(), bell, heard }))
    }

    /// Closes the connection until `resume`.
    pub fn pause(&self) {
        self.0.paused.store(true, Ordering::Relaxed);
        self.ring();
    }

    /// Connects again.
    pub fn resume(&self) {
        self.0.paused.store(false, Ordering::Relaxed);
        self.ring();
    }

    /// Closes the connection and makes a new one at once.
    pub fn restart(&self) {
        self.0.restart.store(true, Ordering::Relaxed);
        self.ring();
    }

    /// Ends the stream.
    pub fn remove(&self) {
        self.0.removed.store(true, Ordering::Relaxed);
        self.ring();
    }

    /// Sends a turn down the line, between two frames.
    pub fn tell(&self, turn: Turn) {
        self.0.turns.push(turn);
        self.ring();
    }

    /// Whether the stream was paused.
    pub fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::Relaxed)
    }

    /// Whether the stream was removed.
    pub fn is_removed(&self) -> bool {
        self.0.removed.load(Ordering::Relaxed)
    }

    /// Whether a new connection is asked for.
    pub fn is_restart_asked(&self) -> bool {
        self.0.restart.load(Ordering::Relaxed)
    }

    /// The connection about to be made is new enough.
    pub fn forget_restart(&self) {
        self.0.restart.store(false, Ordering::Relaxed);
    }

    /// The next turn that was sent and has not gone down the line.
    pub fn next_turn(&self) -> Option<Turn> {
        self.0.turns.pop()
    }

    /// Rings when anything was asked.
    pub fn heard(&self) -> &Receiver<()> {
        &self.0.heard
    }

    fn ring(&self) {
        // One ring that waits to be heard is enough.
        let _ = self.0.bell.try_send(());
    }
}
