//! What the window may ask: rows of the contract passed on, and the few things only a desktop can do.

use std::path::PathBuf;

use lamplight_api::{ApiError, ErrorCode};
use lamplight_engine::CauseAction;
use lamplight_model::view::{SessionDetail, StreamMessage};
use serde::Serialize;
use serde_json::{Value, json};
use tauri::ipc::{Channel, Invoke};
use tauri::{AppHandle, Manager as _, State, WebviewWindow, Wry};
use tauri_plugin_autostart::ManagerExt as _;
use tauri_plugin_clipboard_manager::ClipboardExt as _;
use tauri_plugin_opener::OpenerExt as _;

use crate::desk::{self, Desk, ShellInfo};
use crate::feed::Feed;
use crate::host::Host;
use crate::trace::Started;
use crate::{notices, strip, window};

/// Returns the commands, for the builder.
pub fn handler() -> impl Fn(Invoke<Wry>) -> bool + Send + Sync + 'static {
    tauri::generate_handler![
        status,
        sessions,
        session,
        service,
        traces,
        trace,
        runs,
        run,
        set_label,
        archive,
        unarchive,
        forget,
        report,
        close,
        set_cause,
        setup_state,
        setup_plan,
        setup_apply,
        setup_undo,
        subscribe,
        copy_resume,
        copy_text,
        open_folder,
        set_on_screen,
        shell_info,
        notice_log,
        settings,
        set_settings,
        set_muted,
        focus,
        first_cards,
        test_notification,
        start_at_login,
        set_start_at_login,
        strip,
        set_strip,
        open_session,
    ]
}

#[tauri::command]
async fn status(host: State<'_, Host>) -> Result<Value, ApiError> {
    host.call("status", Value::Null).await
}

#[tauri::command]
async fn sessions(
    host: State<'_, Host>,
    before: Option<String>,
    limit: Option<u32>,
    query: Option<String>,
) -> Result<Value, ApiError> {
    host.call("sessions", json!({ "before": before, "limit": limit, "query": query })).await
}

#[tauri::command]
async fn session(host: State<'_, Host>, id: String) -> Result<Value, ApiError> {
    host.call("session", json!({ "id": id })).await
}

#[tauri::command]
async fn service(host: State<'_, Host>, name: String, namespace: Option<String>) -> Result<Value, ApiError> {
    host.call("service", json!({ "name": name, "namespace": namespace })).await
}

#[tauri::command]
async fn traces(
    host: State<'_, Host>,
    service: Option<String>,
    namespace: Option<String>,
    session: Option<String>,
    before: Option<String>,
    limit: Option<u32>,
) -> Result<Value, ApiError> {
    let params = json!({
        "service": service, "namespace": namespace, "session": session, "before": before, "limit": limit,
    });
    host.call("traces", params).await
}

#[tauri::command]
async fn trace(host: State<'_, Host>, id: String) -> Result<Value, ApiError> {
    host.call("trace", json!({ "trace_id": id })).await
}

#[tauri::command]
async fn runs(host: State<'_, Host>, before: Option<String>, limit: Option<u32>) -> Result<Value, ApiError> {
    host.call("runs", json!({ "before": before, "limit": limit })).await
}

#[tauri::command]
async fn run(host: State<'_, Host>, id: String) -> Result<Value, ApiError> {
    host.call("run", json!({ "id": id })).await
}

#[tauri::command]
async fn set_label(host: State<'_, Host>, id: String, label: Option<String>) -> Result<Value, ApiError> {
    host.call("set_label", json!({ "id": id, "label": label })).await
}

#[tauri::command]
async fn archive(host: State<'_, Host>, id: String) -> Result<Value, ApiError> {
    host.call("archive", json!({ "id": id })).await
}

#[tauri::command]
async fn unarchive(host: State<'_, Host>, id: String) -> Result<Value, ApiError> {
    host.call("unarchive", json!({ "id": id })).await
}

#[tauri::command(rename_all = "snake_case")]
async fn forget(
    host: State<'_, Host>,
    id: Option<String>,
    project: Option<String>,
    before_ms: Option<i64>,
    dry_run: bool,
) -> Result<Value, ApiError> {
    let params = json!({ "id": id, "project": project, "before_ms": before_ms, "dry_run": dry_run });
    host.call("forget", params).await
}

#[tauri::command]
async fn report(host: State<'_, Host>, id: String) -> Result<Value, ApiError> {
    host.call("report", json!({ "id": id })).await
}

#[tauri::command(rename_all = "snake_case")]
async fn close(host: State<'_, Host>, session_id: String) -> Result<Value, ApiError> {
    host.call("close", json!({ "session_id": session_id })).await
}

#[tauri::command]
async fn set_cause(host: State<'_, Host>, cause_id: String, action: Value) -> Result<Value, ApiError> {
    host.call("set_cause", json!({ "causeId": cause_id, "action": action })).await
}

#[tauri::command]
async fn notice_log(
    host: State<'_, Host>,
    before: Option<String>,
    limit: Option<u32>,
) -> Result<Value, ApiError> {
    host.call("notices", json!({ "before": before, "limit": limit })).await
}

#[tauri::command]
async fn settings(host: State<'_, Host>) -> Result<Value, ApiError> {
    host.call("settings", Value::Null).await
}

#[tauri::command]
async fn set_settings(host: State<'_, Host>, set: Value) -> Result<Value, ApiError> {
    host.call("set_settings", json!({ "set": set })).await
}

#[tauri::command]
async fn set_muted(host: State<'_, Host>, id: String, muted: bool) -> Result<Value, ApiError> {
    host.call("set_muted", json!({ "id": id, "muted": muted })).await
}

#[tauri::command]
async fn focus(host: State<'_, Host>, id: String) -> Result<Value, ApiError> {
    host.call("focus", json!({ "id": id })).await
}

#[tauri::command]
async fn setup_state(host: State<'_, Host>) -> Result<Value, ApiError> {
    host.call("setup_state", Value::Null).await
}

#[tauri::command]
async fn setup_plan(host: State<'_, Host>, choices: Value) -> Result<Value, ApiError> {
    host.call("setup_plan", choices).await
}

#[tauri::command]
async fn setup_apply(host: State<'_, Host>, choices: Value, digest: String) -> Result<Value, ApiError> {
    host.call("setup_apply", json!({ "choices": choices, "digest": digest })).await
}

#[tauri::command]
async fn setup_undo(host: State<'_, Host>, agents: Value) -> Result<Value, ApiError> {
    host.call("setup_undo", json!({ "agents": agents })).await
}

/// Sends a snapshot and every change after it, until the page goes away.
#[tauri::command]
async fn subscribe(
    host: State<'_, Host>,
    feed: State<'_, Feed>,
    page: WebviewWindow,
    channel: Channel<StreamMessage>,
) -> Result<(), ApiError> {
    feed.start(page.label(), host.engine().await?, channel);
    Ok(())
}

/// The line that went to the clipboard.
#[derive(Debug, Clone, Serialize)]
struct Copied {
    command: String,
}

#[tauri::command]
async fn copy_resume(app: AppHandle, id: String) -> Result<Copied, ApiError> {
    let resume = app.state::<Host>().call("resume", json!({ "id": id })).await?;
    let Some(command) = resume.get("command").and_then(Value::as_str) else {
        let reason = resume.get("reason").and_then(Value::as_str).unwrap_or("No safe command can be made.");
        return Err(ApiError::new(ErrorCode::Conflict, format!("This session cannot be resumed: {reason}")));
    };
    write_clipboard(&app, command)?;
    Ok(Copied { command: command.to_owned() })
}

#[tauri::command]
async fn copy_text(app: AppHandle, text: String) -> Result<(), ApiError> {
    write_clipboard(&app, &text)
}

/// Opens the session's working directory in the file manager. Nothing but an existing directory is ever opened: a path
/// an agent wrote must not start a program.
#[tauri::command]
async fn open_folder(app: AppHandle, id: String) -> Result<(), ApiError> {
    let detail = app.state::<Host>().call("session", json!({ "id": id })).await?;
    let detail: SessionDetail = serde_json::from_value(detail).map_err(failed("read the session"))?;
    let Some(cwd) = detail.folder.map(PathBuf::from).filter(|path| path.is_absolute()) else {
        return Err(ApiError::new(ErrorCode::Conflict, "The folder of this session is not known."));
    };
    let opener = app.clone();
    app.state::<Host>()
        .blocking(move || {
            if !cwd.is_dir() {
                return Err(ApiError::new(
                    ErrorCode::Conflict,
                    format!("{} is not there any more.", cwd.display()),
                ));
            }
            opener.opener().open_path(cwd.to_string_lossy(), None::<&str>).map_err(failed("open the folder"))
        })
        .await
}

#[tauri::command]
fn set_on_screen(app: AppHandle, id: Option<String>) {
    desk::set_on_screen(&app, id);
}

#[tauri::command]
fn shell_info(desk: State<'_, Desk>) -> ShellInfo {
    desk.info()
}

/// The page has drawn its first cards, and listens.
#[tauri::command]
fn first_cards(app: AppHandle, started: State<'_, Started>) {
    started.report("first_cards");
    desk::page_ready(&app);
}

/// Copies the resume command for tray and notifications, which have nobody to answer to.
pub fn copy_resume_in_background(app: &AppHandle, id: String) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if let Err(error) = copy_resume(app.clone(), id.clone()).await {
            tracing::warn!("{}", error.message);
            // The reason is on the session's page.
            window::show_session(&app, id);
        }
    });
}

/// Brings the terminal of a session to the front, for the tray.
pub fn focus_in_background(app: &AppHandle, id: String) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if let Err(error) = app.state::<Host>().call("focus", json!({ "id": id })).await {
            tracing::warn!("{}", error.message);
            // Where it is and why it cannot be shown stands on the session's page.
            window::show_session(&app, id);
        }
    });
}

/// Dismisses a cause or puts it off, for tray and notifications.
pub fn set_cause_in_background(app: &AppHandle, cause_id: String, action: CauseAction) {
    in_background(app, "set_cause", json!({ "causeId": cause_id, "action": action }));
}

fn in_background(app: &AppHandle, command: &'static str, params: Value) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if let Err(error) = app.state::<Host>().call(command, params).await {
            tracing::warn!("{}", error.message);
        }
    });
}

/// What came of a notification that was sent to try it.
#[derive(Debug, Clone, Copy, Serialize)]
struct Tried {
    /// A notification server took it.
    answered: bool,
}

#[tauri::command]
async fn test_notification(app: AppHandle) -> Tried {
    Tried { answered: notices::try_one(&app).await }
}

#[tauri::command]
fn start_at_login(app: AppHandle) -> Result<bool, ApiError> {
    app.autolaunch().is_enabled().map_err(failed("look at the start at login"))
}

#[tauri::command]
fn set_start_at_login(app: AppHandle, on: bool) -> Result<(), ApiError> {
    let autolaunch = app.autolaunch();
    if on { autolaunch.enable() } else { autolaunch.disable() }.map_err(failed("change the start at login"))
}

#[tauri::command]
fn strip(app: AppHandle) -> bool {
    strip::is_shown(&app)
}

/// Keeps the choice in the settings file, and shows or hides the strip as it then says.
#[tauri::command]
async fn set_strip(app: AppHandle, on: bool) -> Result<(), ApiError> {
    app.state::<Host>().call("set_settings", json!({ "set": { "window.strip": on } })).await?;
    strip::set(&app, on);
    Ok(())
}

#[tauri::command]
fn open_session(app: AppHandle, id: Option<String>) {
    match id {
        Some(id) => window::show_session(&app, id),
        None => window::show_now(&app),
    }
}

fn write_clipboard(app: &AppHandle, text: &str) -> Result<(), ApiError> {
    app.clipboard().write_text(text).map_err(failed("write to the clipboard"))
}

fn failed<E: std::fmt::Display>(doing: &'static str) -> impl Fn(E) -> ApiError {
    move |error| ApiError::new(ErrorCode::Internal, format!("Cannot {doing}: {error}."))
}
