//! `lamp status --watch`: the status again whenever it changes.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lamplight_api::serve::{Running, spawn_socket};
use lamplight_engine::config::Config;
use lamplight_engine::{Engine, StartError};
use lamplight_model::view::{ChangeSet, SessionCard, Status, StreamMessage};

use crate::client::{AskError, Client, Stream};
use crate::page::Look;
use crate::status::text;
use crate::{output, reach};

/// Time after which the ages on the screen are written anew.
const REPAINT: Duration = Duration::from_secs(10);
/// Time an engine that holds the data directory gets to open its socket.
const LOCKED_PATIENCE: Duration = Duration::from_secs(15);
/// Pause between two tries.
const LOCKED_PAUSE: Duration = Duration::from_millis(50);

/// Follows the running engine, or one of our own while nobody else runs one.
pub(crate) fn run(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let runtime = reach::runtime()?;
    runtime.block_on(async {
        let stop = reach::told_to_stop()?;
        tokio::pin!(stop);
        let (mut stream, own) = open(config).await?;
        let mut screen = Screen::new(as_json);
        loop {
            let message = tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(REPAINT), if screen.is_painted() => {
                    screen.paint()?;
                    continue;
                }
                message = stream.next() => message?,
            };
            match message {
                Some(message) => screen.show(message)?,
                None => bail!("the running Lamplight stopped. Start it again, then lamp status --watch."),
            }
        }
        drop(own);
        Ok(())
    })
}

/// An engine of this process, with the socket other `lamp` commands find it by. Stops in order when dropped.
struct OwnEngine {
    engine: Engine,
    socket: Option<Running>,
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.shutdown();
        }
        self.engine.shutdown();
    }
}

async fn open(config: &Config) -> anyhow::Result<(Stream, Option<OwnEngine>)> {
    let client = Client::new(&config.data_dir);
    let patience = Instant::now() + LOCKED_PATIENCE;
    let mut own = None;
    loop {
        match client.stream().await {
            Ok(stream) => return Ok((stream, own)),
            Err(AskError::NobodyThere) if own.is_none() => {}
            Err(AskError::NobodyThere) => bail!("the control socket vanished. Try again."),
            Err(AskError::Refused(error)) => return Err(reach::failure(error)),
            Err(AskError::Broken(error)) => return Err(error),
        }
        match Engine::start(config.clone()) {
            Ok(engine) => {
                let mut started = OwnEngine { engine, socket: None };
                started.socket = Some(spawn_socket(started.engine.clone(), &config.data_dir)?);
                own = Some(started);
            }
            Err(StartError::Locked { .. }) if Instant::now() < patience => {
                tokio::time::sleep(LOCKED_PAUSE).await
            }
            Err(error) => return Err(reach::start_failure(error)),
        }
    }
}

/// What was shown last.
struct Screen {
    as_json: bool,
    is_terminal: bool,
    /// The status, and when it was received.
    status: Option<(Status, Instant)>,
}

impl Screen {
    fn new(as_json: bool) -> Self {
        Self { as_json, is_terminal: std::io::stdout().is_terminal(), status: None }
    }

    fn is_painted(&self) -> bool {
        self.is_terminal && !self.as_json && self.status.is_some()
    }

    fn show(&mut self, message: StreamMessage) -> anyhow::Result<()> {
        if self.as_json {
            return output::print_json(&message);
        }
        match message {
            StreamMessage::Snapshot(status) => self.status = Some((status, Instant::now())),
            StreamMessage::Change(change) => {
                let (status, received) =
                    self.status.as_mut().context("a change came before the first snapshot")?;
                apply(status, change);
                *received = Instant::now();
            }
        }
        self.paint()
    }

    fn paint(&self) -> anyhow::Result<()> {
        let Some((status, received)) = &self.status else { return Ok(()) };
        let since = i64::try_from(received.elapsed().as_millis()).unwrap_or(i64::MAX);
        let page = text(status, status.at_ms.saturating_add(since), Look::of_stdout());
        if !self.is_terminal {
            return output::print(&format!("{page}\n"));
        }
        let rows = terminal_size::terminal_size()
            .map_or(usize::MAX, |(_, terminal_size::Height(rows))| usize::from(rows));
        // Home, each line cleared to its end, then everything below: repainting in place does not flicker.
        let mut out = String::from("\x1b[H");
        for line in page.lines().take(rows.saturating_sub(1)) {
            out.push_str(line);
            out.push_str("\x1b[K\n");
        }
        out.push_str("\x1b[J");
        output::print(&out)
    }
}

/// Applies a change to the status it starts from.
fn apply(status: &mut Status, change: ChangeSet) {
    let key = |card: &SessionCard| format!("{}:{}", card.agent, card.session_id);
    status.sessions.retain(|card| !change.removed.contains(&key(card)));
    for card in change.upserted {
        match status
            .sessions
            .iter_mut()
            .find(|known| known.agent == card.agent && known.session_id == card.session_id)
        {
            Some(known) => *known = card,
            None => status.sessions.push(card),
        }
    }
    status.revision = change.revision;
    status.at_ms = change.at_ms;
    if let Some(worktrees) = change.worktrees {
        status.worktrees = worktrees;
    }
    if let Some(services) = change.services {
        status.services = services;
    }
    if let Some(sources) = change.sources {
        status.sources = sources;
    }
    if let Some(hidden) = change.hidden {
        status.hidden = hidden;
    }
    if let Some(archived) = change.archived {
        status.archived = archived;
    }
    if change.importing_done {
        status.importing = None;
    } else if change.importing.is_some() {
        status.importing = change.importing;
    }
}
