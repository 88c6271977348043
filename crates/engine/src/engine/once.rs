//! One pass without a running engine.

use std::time::Instant;

use lamplight_model::view::{ImportProgress, ImportTotals, Status};

use super::StartError;
use super::writer::publish_now;
use crate::clock;
use crate::config::Config;
use crate::core::Core;
use crate::facts::Input;
use crate::forget;
use crate::import;
use crate::lock::DirLock;
use crate::sources::hooks;
use crate::store::{Store, StoreError};

/// One pass in this process, without a running engine: locks the data directory, imports, probes the registries.
///
/// # Errors
/// As [`Engine::start`].
pub fn run_once(
    config: Config,
    mut progress: impl FnMut(ImportProgress),
) -> Result<(ImportTotals, Status), StartError> {
    let began = Instant::now();
    let _lock = DirLock::take(&config.data_dir)?;
    let store = Store::open(&config.data_dir, config.durable)?;
    let mut core = Core::new(store, config, clock::now())?;
    let bytes = |core: &Core| -> Result<u64, StoreError> {
        Ok(crate::store::files::sums(&core.store.db)?.iter().map(|(_, _, bytes)| bytes).sum())
    };
    forget::finish(&mut core)?;
    let before = bytes(&core)?;
    if core.is_imported()? {
        import::again(&mut core)?;
    } else {
        import::first(
            &mut core,
            |core| {
                publish_now(core);
                if let Some(done) = core.board.status(clock::now()).importing {
                    progress(done);
                }
            },
            || false,
        )?;
    }
    let probed = crate::sources::probe(&core.config);
    let now = clock::now();
    core.apply_all(probed, now)?;
    let (hooks, files) = hooks::read_all(&hooks::folder(&core.config.data_dir), now);
    core.apply_all(hooks, now)?;
    files.iter().for_each(|file| hooks::remove(file));
    core.apply_all(vec![Input::Listed { at: now, asked: 0 }], now)?;
    core.first_look_done(now)?;
    core.seen_until(now)?;
    publish_now(&mut core);
    let mut totals = crate::store::rows::totals(&core.store.db)?;
    totals.bytes_read = bytes(&core)?.saturating_sub(before);
    totals.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((totals, core.board.status(now)))
}
