//! The command table: each operation is one row, used by the desktop shell, the HTTP host and `lamp` alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use lamplight_engine::setup::{self, Wish};
use lamplight_engine::{CauseAction, Engine, Forget, TraceFilter, Wanted};
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::resume::classify_failure;
use lamplight_model::view::{
    Doctor, Forgotten, ImportTotals, NoticePage, Report, Resume, RunDetail, RunPage, Service, ServiceDetail,
    SessionCard, SessionDetail, SessionPage, Settings, SetupAgent, SetupChoices, SetupDone, SetupPlan,
    SetupState, Status, Trace, TracePage,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::config_file;
use crate::error::{ApiError, ErrorCode};

/// Cards in a page unless asked otherwise.
const DEFAULT_PAGE: u32 = 50;
/// Most cards in a page: a page stays under a few megabytes of JSON.
const MAX_PAGE: u32 = 500;
/// Runs in a page unless asked otherwise; the members of each are added up.
const DEFAULT_RUNS: u32 = 25;
/// Most runs in a page.
const MAX_RUNS: u32 = 100;

/// How a command is reached over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads; parameters come from path and query.
    Get,
    /// Changes something; parameters come from path and JSON body.
    Post,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Name, as `invoke` and [`call`] take it.
    pub name: &'static str,
    /// HTTP method.
    pub verb: Verb,
    /// HTTP path; parts in braces are parameters of that name.
    pub path: &'static str,
    /// Parameter that the whole body is, where it is not an object of parameters.
    pub body_is: Option<&'static str>,
    /// Name of the type of its parameters.
    pub params: &'static str,
    /// Name of the type of its answer.
    pub output: &'static str,
    run: fn(&Engine, Value) -> Result<Value, ApiError>,
}

impl Command {
    /// Runs it. Blocks on SQLite: never call it on an async thread.
    ///
    /// # Errors
    /// `bad_request` when `params` are not what the command takes, else what the command says.
    pub fn run(&self, engine: &Engine, params: Value) -> Result<Value, ApiError> {
        (self.run)(engine, params)
    }
}

macro_rules! commands {
    ($($name:ident($params:ty) -> $output:ty: $verb:ident $path:literal $(body is $body:literal)?;)+) => {
        /// Every command there is.
        pub const COMMANDS: &[Command] = &[$(Command {
            name: stringify!($name),
            verb: Verb::$verb,
            path: $path,
            body_is: commands!(@body $($body)?),
            params: stringify!($params),
            output: stringify!($output),
            run: |engine, params| typed::<$params, $output>(engine, params, $name),
        }),+];
    };
    (@body) => { None };
    (@body $body:literal) => { Some($body) };
}

commands! {
    status(NoParams) -> Arc<Status>: Get "/api/v1/status";
    sessions(SessionsParams) -> SessionPage: Get "/api/v1/sessions";
    session(IdParams) -> SessionDetail: Get "/api/v1/sessions/{id}";
    resume(IdParams) -> Resume: Get "/api/v1/sessions/{id}/resume";
    viable(ViableParams) -> SessionCard: Get "/api/v1/viable";
    services(NoParams) -> Vec<Service>: Get "/api/v1/services";
    service(ServiceParams) -> ServiceDetail: Get "/api/v1/services/{name}";
    traces(TracesParams) -> TracePage: Get "/api/v1/traces";
    trace(TraceParams) -> Trace: Get "/api/v1/traces/{trace_id}";
    resume_failed(ResumeFailedParams) -> Resume: Post "/api/v1/sessions/{id}/resume-failed";
    set_label(LabelParams) -> SessionCard: Post "/api/v1/sessions/{id}/label";
    set_muted(MutedParams) -> SessionCard: Post "/api/v1/sessions/{id}/mute";
    focus(IdParams) -> SessionCard: Post "/api/v1/sessions/{id}/focus";
    archive(IdParams) -> SessionCard: Post "/api/v1/sessions/{id}/archive";
    unarchive(IdParams) -> SessionCard: Post "/api/v1/sessions/{id}/unarchive";
    forget(ForgetParams) -> Forgotten: Post "/api/v1/forget";
    report(IdParams) -> Report: Get "/api/v1/sessions/{id}/report";
    close(CloseParams) -> Closed: Post "/api/v1/sessions/close";
    runs(RunsParams) -> RunPage: Get "/api/v1/runs";
    run(RunParams) -> RunDetail: Get "/api/v1/runs/{id}";
    notices(NoticesParams) -> NoticePage: Get "/api/v1/notices";
    set_cause(CauseParams) -> Done: Post "/api/v1/causes/{causeId}" body is "action";
    settings(NoParams) -> Settings: Get "/api/v1/settings";
    set_settings(SettingsParams) -> Settings: Post "/api/v1/settings";
    doctor(NoParams) -> Doctor: Get "/api/v1/doctor";
    totals(NoParams) -> ImportTotals: Get "/api/v1/totals";
    import(NoParams) -> ImportTotals: Post "/api/v1/import";
    setup_state(NoParams) -> SetupState: Get "/api/v1/setup";
    setup_plan(SetupChoices) -> SetupPlan: Post "/api/v1/setup/plan";
    setup_apply(SetupApplyParams) -> SetupDone: Post "/api/v1/setup/apply";
    setup_undo(SetupUndoParams) -> SetupDone: Post "/api/v1/setup/undo";
}

/// Runs the command called `command`. Blocks on SQLite: never call it on an async thread.
///
/// # Errors
/// `not_found` when there is no such command, `bad_request` when `params` are not what it takes, else what it says.
pub fn call(engine: &Engine, command: &str, params: Value) -> Result<Value, ApiError> {
    let row = COMMANDS
        .iter()
        .find(|row| row.name == command)
        .ok_or_else(|| ApiError::not_found(format!("There is no command {command:?}.")))?;
    row.run(engine, params)
}

fn typed<P: DeserializeOwned, O: Serialize>(
    engine: &Engine,
    params: Value,
    body: fn(&Engine, P) -> Result<O, ApiError>,
) -> Result<Value, ApiError> {
    // A command without parameters may be called with none at all.
    let params = if params.is_null() { Value::Object(serde_json::Map::new()) } else { params };
    let params = serde_json::from_value(params)
        .map_err(|error| ApiError::bad_request(format!("The parameters cannot be used: {error}.")))?;
    let output = body(engine, params)?;
    serde_json::to_value(output).map_err(|error| {
        ApiError::new(ErrorCode::Internal, format!("The answer cannot be written as JSON: {error}."))
    })
}

/// A command that takes nothing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct NoParams {}

/// A page of the archive, or a search.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SessionsParams {
    /// Cursor of an earlier page; `null` for the first.
    #[serde(default)]
    pub before: Option<String>,
    /// Cards wanted, 1 to 500; 50 when absent.
    #[serde(default, deserialize_with = "number_or_digits")]
    pub limit: Option<u32>,
    /// Words to search for; `q` over HTTP.
    #[serde(default, alias = "q")]
    pub query: Option<String>,
}

/// A page of runs.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct RunsParams {
    /// Cursor of an earlier page; `null` for the first.
    #[serde(default)]
    pub before: Option<String>,
    /// Runs wanted, 1 to 100; 25 when absent.
    #[serde(default, deserialize_with = "number_or_digits")]
    pub limit: Option<u32>,
}

/// A page of the log of notifications.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct NoticesParams {
    /// Cursor of an earlier page; `null` for the first.
    #[serde(default)]
    pub before: Option<String>,
    /// Entries wanted, 1 to 500; 50 when absent.
    #[serde(default, deserialize_with = "number_or_digits")]
    pub limit: Option<u32>,
}

/// One run.
#[derive(Debug, Clone, Deserialize)]
pub struct RunParams {
    /// Its id, as its spawner declared it.
    pub id: String,
}

/// One session.
#[derive(Debug, Clone, Deserialize)]
pub struct IdParams {
    /// `agent:session_id`, or the bare id where only one agent uses it.
    pub id: String,
}

/// Which sessions a resume may take up.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ViableParams {
    /// Only those of this project, by its name.
    #[serde(default)]
    pub project: Option<String>,
    /// Only those of this agent: `claude-code`, `codex`, …
    #[serde(default)]
    pub agent: Option<String>,
}

/// One service.
#[derive(Debug, Clone, Deserialize)]
pub struct ServiceParams {
    /// `service.name`.
    pub name: String,
    /// `service.namespace`, empty for none; when absent, the service of that name without one, else the one seen last.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// A page of traces: of a service, of a session, of both, or of everybody.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct TracesParams {
    /// `service.name`; a coding agent's is its word, for example `claude-code`.
    #[serde(default)]
    pub service: Option<String>,
    /// `service.namespace`, empty for none; any when absent.
    #[serde(default)]
    pub namespace: Option<String>,
    /// `agent:session_id`, or the bare id where only one agent uses it.
    #[serde(default)]
    pub session: Option<String>,
    /// Cursor of an earlier page; `null` for the first.
    #[serde(default)]
    pub before: Option<String>,
    /// Traces wanted, 1 to 200; 50 when absent.
    #[serde(default, deserialize_with = "number_or_digits")]
    pub limit: Option<u32>,
}

/// One trace.
#[derive(Debug, Clone, Deserialize)]
pub struct TraceParams {
    /// 32 hex digits.
    pub trace_id: String,
}

/// A resume that was tried and failed.
#[derive(Debug, Clone, Deserialize)]
pub struct ResumeFailedParams {
    /// `agent:session_id`, or the bare id where only one agent uses it.
    pub id: String,
    /// What the agent said, which tells the class; only the class is kept.
    pub said: String,
}

/// A new name.
#[derive(Debug, Clone, Deserialize)]
pub struct LabelParams {
    /// `agent:session_id`, or the bare id where only one agent uses it.
    pub id: String,
    /// The name; `null` or blank goes back to the default. Must be there, so that a misspelt key resets nothing.
    #[serde(deserialize_with = "present_or_null")]
    pub label: Option<String>,
}

/// A session to silence, or to let call again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutedParams {
    /// `agent:session_id`, or the bare id where only one agent uses it.
    pub id: String,
    /// Whether it is silenced.
    pub muted: bool,
}

/// Sessions to forget: those that fit everything that is given; one of the first three is needed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgetParams {
    /// `agent:session_id`, or the bare id where only one agent uses it.
    #[serde(default)]
    pub id: Option<String>,
    /// Those of this project, by its name.
    #[serde(default)]
    pub project: Option<String>,
    /// Those whose last activity is older than this, milliseconds since the epoch.
    #[serde(default)]
    pub before_ms: Option<i64>,
    /// Only say which ones.
    #[serde(default)]
    pub dry_run: bool,
}

/// Settings to write.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsParams {
    /// Values by the names of the settings file (`notify.enabled`, `roots`); `null` takes one out.
    pub set: BTreeMap<String, Value>,
}

/// Sessions to close; one of the two is needed.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CloseParams {
    /// `agent:session_id` or the bare id.
    #[serde(default)]
    pub session_id: Option<String>,
    /// `service.instance.id`.
    #[serde(default)]
    pub instance_id: Option<String>,
}

/// What to do with a cause.
#[derive(Debug, Clone, Deserialize)]
pub struct CauseParams {
    /// The cause's id, from a card.
    #[serde(rename = "causeId")]
    pub cause_id: String,
    /// Dismiss, restore or snooze it.
    pub action: CauseAction,
}

/// A plan that was agreed to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupApplyParams {
    /// What the plan was asked for.
    pub choices: SetupChoices,
    /// Its digest: nothing else is written than what was shown.
    pub digest: String,
}

/// What to take back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SetupUndoParams {
    /// Agents; empty for everything set-up wrote.
    pub agents: Vec<SetupAgent>,
}

/// How many sessions were closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Number of sessions.
    pub closed: u64,
}

/// It was done and there is nothing to say; `{}` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// Returns everything the screen needs at once, from memory.
///
/// # Errors
/// None today; the table's shape asks for a result.
pub fn status(engine: &Engine, _: NoParams) -> Result<Arc<Status>, ApiError> {
    Ok(engine.status())
}

/// Returns a page of all sessions, last activity first, or of those that match.
///
/// # Errors
/// What the engine says, for example about a cursor that is none.
pub fn sessions(engine: &Engine, params: SessionsParams) -> Result<SessionPage, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let query = params.query.as_deref().map(str::trim).filter(|q| !q.is_empty());
    let before = params.before.as_deref().filter(|b| !b.is_empty());
    Ok(engine.sessions(query, before, limit)?)
}

/// Returns one session in full.
///
/// # Errors
/// `not_found`, `ambiguous`, or what the engine says.
pub fn session(engine: &Engine, params: IdParams) -> Result<SessionDetail, ApiError> {
    let key = engine.find(&params.id)?;
    engine.session(&key)?.ok_or_else(|| ApiError::not_found("No session has this id."))
}

/// Returns the command that takes the person back, its state and the reason.
///
/// # Errors
/// `not_found`, `ambiguous`, or what the engine says.
pub fn resume(engine: &Engine, params: IdParams) -> Result<Resume, ApiError> {
    Ok(session(engine, params)?.card.resume)
}

/// Returns the session active last of those that are worth resuming.
///
/// # Errors
/// `not_found` when none is, with the reasons; `bad_request` for an agent that is none; else what the engine says.
pub fn viable(engine: &Engine, params: ViableParams) -> Result<SessionCard, ApiError> {
    let given = |text: &'_ Option<String>| text.clone().filter(|t| !t.is_empty());
    let (project, agent) = (given(&params.project), given(&params.agent));
    let agent = agent
        .map(|word| {
            Agent::from_word(&word)
                .ok_or_else(|| ApiError::bad_request(format!("{word:?} is no agent that is known.")))
        })
        .transpose()?;
    engine.viable(Wanted { project: project.as_deref(), agent })?.map_err(ApiError::not_found)
}

/// Returns the services that sent something within the last 7 days, from memory.
///
/// # Errors
/// None today; the table's shape asks for a result.
pub fn services(engine: &Engine, _: NoParams) -> Result<Vec<Service>, ApiError> {
    Ok(engine.status().services.clone())
}

/// Returns one service in full.
///
/// # Errors
/// `not_found`, or what the engine says.
pub fn service(engine: &Engine, params: ServiceParams) -> Result<ServiceDetail, ApiError> {
    let found = engine.service(&params.name, params.namespace.as_deref())?;
    found.ok_or_else(|| ApiError::not_found(format!("No service {:?} has sent anything.", params.name)))
}

/// Returns a page of traces, the one that began last first.
///
/// # Errors
/// What the engine says, for example about a session that is not known.
pub fn traces(engine: &Engine, params: TracesParams) -> Result<TracePage, ApiError> {
    let given = |text: &'_ Option<String>| text.clone().filter(|t| !t.is_empty());
    let (service, session, before) = (given(&params.service), given(&params.session), given(&params.before));
    let filter = TraceFilter {
        service: service.as_deref(),
        namespace: params.namespace.as_deref(),
        session: session.as_deref(),
    };
    Ok(engine.traces(filter, before.as_deref(), params.limit.unwrap_or(DEFAULT_PAGE))?)
}

/// Returns one trace in full.
///
/// # Errors
/// `bad_request` for an id that is none, `not_found`, or what the engine says.
pub fn trace(engine: &Engine, params: TraceParams) -> Result<Trace, ApiError> {
    let found = engine.trace(&params.trace_id)?;
    found.ok_or_else(|| ApiError::not_found("No trace has this id; the oldest ones may have been let go."))
}

/// Notes that a resume was tried and failed, classified by what the agent said, and returns what the card says of it.
///
/// # Errors
/// `not_found`, `ambiguous`, or what the engine says.
pub fn resume_failed(engine: &Engine, params: ResumeFailedParams) -> Result<Resume, ApiError> {
    let key = engine.find(&params.id)?;
    let card = engine.resume_failed(&key, classify_failure(&params.said))?;
    seen_by_all(engine)?;
    Ok(card.resume)
}

/// Renames a session and returns its card.
///
/// # Errors
/// `not_found`, `ambiguous`, or what the engine says.
pub fn set_label(engine: &Engine, params: LabelParams) -> Result<SessionCard, ApiError> {
    let key = engine.find(&params.id)?;
    let card = engine.set_label(&key, params.label.as_deref())?;
    seen_by_all(engine)?;
    Ok(card)
}

/// Silences a session or lets it call again, and returns its card.
///
/// # Errors
/// `not_found`, `ambiguous`, or what the engine says.
pub fn set_muted(engine: &Engine, params: MutedParams) -> Result<SessionCard, ApiError> {
    let key = engine.find(&params.id)?;
    let card = engine.set_muted(&key, params.muted)?;
    seen_by_all(engine)?;
    Ok(card)
}

/// Brings the terminal of a running session to the front, and returns the session's card.
///
/// # Errors
/// `not_found`, `ambiguous`, or `conflict` when nothing runs it or its terminal cannot be brought; the sentence says why.
pub fn focus(engine: &Engine, params: IdParams) -> Result<SessionCard, ApiError> {
    let key = engine.find(&params.id)?;
    Ok(engine.focus(&key)?)
}

/// Puts a session away until something happens in it, and returns its card.
///
/// # Errors
/// `not_found`, `ambiguous`, `conflict` while a process runs it, or what the engine says.
pub fn archive(engine: &Engine, params: IdParams) -> Result<SessionCard, ApiError> {
    set_archived(engine, &params, true)
}

/// Takes a session that was put away out again, with what it asked for, and returns its card.
///
/// # Errors
/// `not_found`, `ambiguous`, or what the engine says.
pub fn unarchive(engine: &Engine, params: IdParams) -> Result<SessionCard, ApiError> {
    set_archived(engine, &params, false)
}

fn set_archived(engine: &Engine, params: &IdParams, archived: bool) -> Result<SessionCard, ApiError> {
    let card = engine.set_archived(&engine.find(&params.id)?, archived)?;
    seen_by_all(engine)?;
    Ok(card)
}

/// Forgets sessions for good, or says which ones would be. The agents' own files are not touched. Answers once the bytes are
/// gone, which may take seconds.
///
/// # Errors
/// `bad_request` when nothing says which ones, `not_found`, `ambiguous`, or what the engine says.
pub fn forget(engine: &Engine, params: ForgetParams) -> Result<Forgotten, ApiError> {
    let what = Forget {
        session: params.id.as_deref().map(|id| engine.find(id)).transpose()?,
        project: params.project.filter(|project| !project.is_empty()),
        before: params.before_ms.map(Timestamp),
    };
    let gone = engine.forget(&what, params.dry_run)?;
    seen_by_all(engine)?;
    Ok(gone)
}

/// Returns a bug report of a session's evidence, without names, paths or texts of the person.
///
/// # Errors
/// `not_found`, `ambiguous`, or what the engine says.
pub fn report(engine: &Engine, params: IdParams) -> Result<Report, ApiError> {
    let key = engine.find(&params.id)?;
    engine.report(&key)?.ok_or_else(|| ApiError::not_found("No session has this id."))
}

/// Returns the settings as the settings file has them.
///
/// # Errors
/// `internal` when the file cannot be read.
pub fn settings(engine: &Engine, _: NoParams) -> Result<Settings, ApiError> {
    Ok(config_file::shown(&engine.config())?)
}

/// Writes settings into the settings file, which the engine follows, and returns what it has afterwards.
///
/// # Errors
/// `bad_request` for what would not be understood, `conflict` while the file is no TOML, `internal` when it cannot be
/// written; nothing was written then.
pub fn set_settings(engine: &Engine, params: SettingsParams) -> Result<Settings, ApiError> {
    Ok(config_file::change(&engine.config(), &params.set)?)
}

/// Closes sessions by id or by service instance.
///
/// # Errors
/// `bad_request` when neither is given, else what the engine says.
pub fn close(engine: &Engine, params: CloseParams) -> Result<Closed, ApiError> {
    if params.session_id.is_none() && params.instance_id.is_none() {
        return Err(ApiError::bad_request("Nothing to close: give session_id or instance_id."));
    }
    let closed = engine.close(params.session_id.as_deref(), params.instance_id.as_deref())?;
    seen_by_all(engine)?;
    Ok(Closed { closed })
}

/// Returns a page of runs, the one active last first.
///
/// # Errors
/// What the engine says, for example about a cursor that is none.
pub fn runs(engine: &Engine, params: RunsParams) -> Result<RunPage, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_RUNS).clamp(1, MAX_RUNS);
    Ok(engine.runs(params.before.as_deref().filter(|b| !b.is_empty()), limit)?)
}

/// Returns a page of what became of telling about each cause: told, held back and why, taken back.
///
/// # Errors
/// What the engine says, for example about a cursor that is none.
pub fn notices(engine: &Engine, params: NoticesParams) -> Result<NoticePage, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    Ok(engine.notice_log(params.before.as_deref().filter(|b| !b.is_empty()), limit)?)
}

/// Returns a run: its sums, and its members as a tree.
///
/// # Errors
/// `not_found` when no session declared it.
pub fn run(engine: &Engine, params: RunParams) -> Result<RunDetail, ApiError> {
    let found = engine.run(&params.id)?;
    found.ok_or_else(|| ApiError::not_found(format!("No session declared a run {:?}.", params.id)))
}

/// Dismisses, restores or snoozes a cause.
///
/// # Errors
/// `not_found` when no cause has this id, else what the engine says.
pub fn set_cause(engine: &Engine, params: CauseParams) -> Result<Done, ApiError> {
    engine.set_cause(&params.cause_id, params.action)?;
    seen_by_all(engine)?;
    Ok(Done {})
}

/// Looks at everything Lamplight depends on and says what is wrong and what to do.
///
/// # Errors
/// None today; the table's shape asks for a result.
pub fn doctor(engine: &Engine, _: NoParams) -> Result<Doctor, ApiError> {
    Ok(engine.doctor())
}

/// Returns the totals of the database.
///
/// # Errors
/// What the engine says.
pub fn totals(engine: &Engine, _: NoParams) -> Result<ImportTotals, ApiError> {
    Ok(engine.totals()?)
}

/// Reads what is new on disk and returns the totals after it.
///
/// # Errors
/// What the engine says.
pub fn import(engine: &Engine, _: NoParams) -> Result<ImportTotals, ApiError> {
    Ok(engine.rescan()?)
}

/// Returns who is connected.
///
/// # Errors
/// None today; the table's shape asks for a result.
pub fn setup_state(engine: &Engine, _: NoParams) -> Result<SetupState, ApiError> {
    Ok(setup::state(&engine.config().setup))
}

/// Returns what set-up would change, and changes nothing.
///
/// # Errors
/// None today; the table's shape asks for a result.
pub fn setup_plan(engine: &Engine, choices: SetupChoices) -> Result<SetupPlan, ApiError> {
    Ok(setup::plan(&engine.config().setup, &Wish { choices, ..Wish::default() }).view())
}

/// Writes a plan that was shown.
///
/// # Errors
/// `conflict` when a file was changed since, `internal` when one cannot be written.
pub fn setup_apply(engine: &Engine, params: SetupApplyParams) -> Result<SetupDone, ApiError> {
    let wish = Wish { choices: params.choices, ..Wish::default() };
    Ok(setup::apply(&setup::plan(&engine.config().setup, &wish), &params.digest)?)
}

/// Takes back what set-up wrote.
///
/// # Errors
/// `internal` when what was kept cannot be reached.
pub fn setup_undo(engine: &Engine, params: SetupUndoParams) -> Result<SetupDone, ApiError> {
    Ok(setup::undo(&engine.config().setup.data_dir, &params.agents)?)
}

/// Waits until what was changed is published: whoever is told "done" and asks again must not see the old state.
fn seen_by_all(engine: &Engine) -> Result<(), ApiError> {
    Ok(engine.barrier()?)
}

/// Accepts `20` as a query string carries it beside `20` as JSON does.
fn number_or_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Digits(String),
    }
    match Option::<Either>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Either::Number(n)) => Ok(Some(n)),
        Some(Either::Digits(text)) if text.is_empty() => Ok(None),
        Some(Either::Digits(text)) => {
            text.parse().map(Some).map_err(|_| serde::de::Error::custom(format!("{text:?} is not a number")))
        }
    }
}

/// Reads an optional value whose key must be there.
fn present_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer)
}
