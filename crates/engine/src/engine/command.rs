//! What the writer's thread is asked to do.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use lamplight_model::ids::{FactId, SessionKey};
use lamplight_model::session::ResumeFailure;
use lamplight_model::view::SessionCard;

use super::{CauseAction, EngineError};
use crate::config::Config;
use crate::core::Gone;
use crate::core::Notice;
use crate::detail;
use crate::facts::Input;
use crate::forget::Group;
use crate::forward::PassOn;
use crate::otlp::Waiting;
use crate::sources::otlp::Batch;

/// What the writer is asked to do besides facts. Answers go back through the sender inside.
#[derive(Debug)]
pub(super) enum Command {
    Facts(Input),
    /// Telemetry; answered once it is committed.
    Ingest {
        batch: Box<Batch>,
        waiting: Waiting,
        /// What to pass on once it is committed.
        pass_on: Option<PassOn>,
        answer: tokio::sync::oneshot::Sender<()>,
    },
    SetLabel {
        key: SessionKey,
        label: Option<String>,
        answer: Sender<Result<SessionCard, EngineError>>,
    },
    SetMuted {
        key: SessionKey,
        muted: bool,
        answer: Sender<Result<SessionCard, EngineError>>,
    },
    LookAtWorktrees,
    Close {
        session: Option<String>,
        instance: Option<String>,
        answer: Sender<Result<u64, EngineError>>,
    },
    SetArchived {
        key: SessionKey,
        archived: bool,
        answer: Sender<Result<SessionCard, EngineError>>,
    },
    /// Sessions are to be forgotten.
    Forget {
        groups: Vec<Group>,
        answer: Sender<Result<Gone, EngineError>>,
    },
    /// The bytes of what was forgotten are to go from the files.
    Wipe(Sender<Result<(), EngineError>>),
    /// A resume was tried and failed.
    ResumeFailed {
        key: SessionKey,
        class: ResumeFailure,
        answer: Sender<Result<SessionCard, EngineError>>,
    },
    SetCause {
        id: FactId,
        action: CauseAction,
        answer: Sender<Result<(), EngineError>>,
    },
    /// Other settings hold.
    Reconfigure(Arc<Config>),
    /// The settings file cannot be used; why.
    SettingsFailed(String),
    Pause(bool),
    Attend(Option<String>),
    Notices(Sender<Notice>),
    Barrier(Sender<()>),
    /// The sources have ended though nobody told them to.
    SourcesFailed,
    /// Answered when the next complete listing has been stored.
    AwaitListed {
        number: u64,
        answer: Sender<()>,
    },
    /// A story was read, or could not be.
    Story {
        session: i64,
        key: SessionKey,
        story: Option<detail::Story>,
    },
    /// Answered as soon as one complete listing has been stored since the start.
    AwaitFirstLook(Sender<()>),
    Stop,
}
