//! A pipeline file that changes while it runs: SIGHUP, or a new version of the file, has it read again. What is wrong with
//! it is reported and nothing changes; else the streams become those of the file, and no other stream notices.

use super::{media::Media, operate};
use crate::{
    config::{self, host::ThisMachine, plan::Plan},
    pipeline::Control,
};
use signal_hook::{consts::SIGHUP, flag};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Watches `file` on a thread of its own for as long as the line runs. `plan` is what runs now.
pub fn watch_file(file: PathBuf, plan: Arc<Plan>, control: Control, media: Media) -> io::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    flag::register(SIGHUP, Arc::clone(&asked))?;
    thread::Builder::new().name("reload".to_owned()).spawn(move || {
        let mut plan = plan.as_ref().clone();
        let mut version = version_of(&file);
        while !control.faults().is_stopped() {
            thread::sleep(LOOK_INTERVAL);
            let now = version_of(&file);
            // An editor may have taken the file away for a moment.
            let is_new = now.is_some() && now != version;
            if asked.swap(false, Ordering::Relaxed) || is_new {
                version = now;
                if let Some(wanted) = read(&file) {
                    apply(&plan, &wanted, &control, &media);
                    plan = wanted;
                }
            }
        }
    })?;
    Ok(())
}

fn version_of(file: &Path) -> Option<(SystemTime, u64)> {
    let data = fs::metadata(file).ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// The plan of the file, if it is sound; else its faults are printed.
fn read(file: &Path) -> Option<Plan> {
    match config::load(file, &ThisMachine) {
        Ok(checked) => {
            checked.unusable.iter().for_each(|fault| eprintln!("eyeline: {}", fault.in_file(file)));
            Some(checked.plan)
        }
        Err(faults) => {
            faults.0.iter().for_each(|fault| eprintln!("eyeline: {}", fault.in_file(file)));
            eprintln!("eyeline: {} is unsound; what ran before runs on", file.display());
            None
        }
    }
}

/// Makes the running streams those of `wanted`.
fn apply(before: &Plan, wanted: &Plan, control: &Control, media: &Media) {
    let patience = wanted.runtime.shutdown;
    let said = |done: Result<(), crate::pipeline::ControlError>, what: &str, name: &str| match done {
        Ok(()) => eprintln!("eyeline: {name}: {what}"),
        Err(error) => eprintln!("eyeline: {name}: not {what}: {error}"),
    };
    for old in &before.streams {
        let is_kept =
            wanted.streams.iter().any(|new| new.name == old.name && new.live == old.live && new.file == old.file);
        if let (false, Some(stream)) = (is_kept, control.roster().find(&old.name)) {
            said(control.remove(stream, patience), "removed", &old.name);
        }
    }
    for new in &wanted.streams {
        match control.roster().find(&new.name).map(|stream| (stream, control.roster().get(stream))) {
            None => said(operate::add(control, media, new.clone()).map(drop), "added", &new.name),
            Some((stream, Some(now)))
                if now.zones != new.zones
                    || now.lines != new.lines
                    || now.ground != new.ground
                    || now.filter != new.filter =>
            {
                let change = |plan: &mut config::plan::StreamPlan| *plan = new.clone();
                said(control.change(stream, change), "changed", &new.name);
            }
            Some(_) => {}
        }
    }
    let strip = |plan: &Plan| Plan { streams: Vec::new(), ..plan.clone() };
    if strip(before) != strip(wanted) {
        eprintln!("eyeline: what the file says beside its streams holds from the next start on");
    }
}
