//! Settings that change while the engine runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::Config;
use crate::sources::watch::{Interest, Watch, WatchError, WatchEvent};

/// Editors write a file in several steps; it is read when they have come to rest.
const SETTLE: Duration = Duration::from_millis(200);

/// Follows a file until it is dropped.
#[derive(Debug)]
pub(super) struct Follower {
    _watch: Arc<Watch>,
    ended: Arc<AtomicBool>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Calls `changed` after each change of a file, or of the one it is a link to, on a thread of its own. Where its folder is
/// missing, the nearest one above
/// it is watched until that appears; nothing is made.
pub(super) fn follow(path: PathBuf, changed: impl Fn() + Send + 'static) -> Result<Follower, WatchError> {
    let (bell, rings) = sync_channel(1);
    let named = Arc::new(Mutex::new(names(&path)));
    let heard = Arc::clone(&named);
    let watch = Arc::new(Watch::start(None, move |events| {
        let named = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if events.iter().any(|event| named.iter().any(|name| concerns(event, name))) {
            // One ring is enough for however many events.
            let _ = bell.try_send(());
        }
    })?);
    watch_nearest(&watch, &path)?;
    watch_target(&watch, &path);
    let ended = Arc::new(AtomicBool::new(false));
    let (theirs, is_over) = (Arc::downgrade(&watch), Arc::clone(&ended));
    let thread = std::thread::Builder::new().name("settings".to_owned()).spawn(move || {
        while rings.recv().is_ok() {
            // Until nothing has happened for a while.
            while rings.recv_timeout(SETTLE) == Ok(()) {}
            let Some(watch) = theirs.upgrade() else { return };
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            // Its folder may have come, gone or been replaced; without it the next start reads the file.
            let _ = watch_nearest(&watch, &path);
            watch_target(&watch, &path);
            *named.lock().unwrap_or_else(PoisonError::into_inner) = names(&path);
            drop(watch);
            changed();
        }
    });
    thread.map_err(WatchError::Start)?;
    Ok(Follower { _watch: watch, ended })
}

/// The names an event of the file may have: its own, and that of the file it is a link to.
fn names(path: &Path) -> Vec<PathBuf> {
    let target = path.canonicalize().ok().filter(|target| target != path);
    std::iter::once(path.to_owned()).chain(target).collect()
}

/// Watches the folder of the file that it is a link to. Without it the next start reads the change.
fn watch_target(watch: &Watch, path: &Path) {
    for target in names(path).iter().skip(1) {
        if let Err(error) = watch_nearest(watch, target) {
            tracing::warn!(path = %target.display(), %error, "the settings cannot be followed there");
        }
    }
}

fn watch_nearest(watch: &Watch, path: &Path) -> Result<(), WatchError> {
    let mut outcome = Err(WatchError::Absent(path.to_owned()));
    for folder in path.ancestors().skip(1) {
        outcome = watch.add(folder, Interest::Writes).map(|_| ());
        if !matches!(outcome, Err(WatchError::Absent(_))) {
            break;
        }
    }
    outcome
}

/// Whether an event may mean that the file, or a folder on the way to it, is another one now.
fn concerns(event: &WatchEvent, path: &Path) -> bool {
    match event {
        WatchEvent::Appeared { path: at, .. }
        | WatchEvent::Written { path: at }
        | WatchEvent::Gone { path: at, .. }
        | WatchEvent::Ended { path: at } => path.starts_with(at),
        WatchEvent::Overflow => true,
    }
}

/// New settings, with what only holds from a start on as it was; each such difference is a warning.
pub(super) fn merged(old: &Config, new: Config) -> Config {
    let mut config = new;
    let mut kept = |name: &str, differs: bool| {
        if differs {
            config.warnings.push(format!("{name} was changed: the change holds from the next start on."));
        }
    };
    kept("[[roots]]", old.roots != config.roots);
    kept("[store] durable", old.durable != config.durable);
    kept("[otlp] token", old.otlp_token != config.otlp_token);
    kept("[git] status", old.git != config.git);
    kept("[terminals] find", old.terminals != config.terminals);
    Config {
        data_dir: old.data_dir.clone(),
        home: old.home.clone(),
        setup: old.setup.clone(),
        roots: old.roots.clone(),
        durable: old.durable,
        otlp_token: old.otlp_token.clone(),
        git: old.git,
        terminals: old.terminals,
        ..config
    }
}
