//! org.freedesktop.Notifications, spoken directly: actions and withdrawal, which the portable crates lack.

use std::collections::HashMap;

use futures_util::{FutureExt as _, StreamExt as _};
use tauri::image::Image;
use tauri::{AppHandle, Builder, Wry};
use tokio::sync::mpsc::Receiver;
use zbus::proxy::OwnerChangedStream;
use zbus::zvariant::Value;

use lamplight_engine::clock;

use super::{Request, Shown};
use crate::snooze::Snooze;
use crate::{commands, desk, text, window};

/// The server decides how long it shows one.
const SERVER_DECIDES: i32 = -1;
/// Replaces none.
const NEW: u32 = 0;
/// Urgency "normal". "Critical" would break through a do-not-disturb that the person switched on.
const NORMAL: u8 = 1;
/// Name of the desktop file, without its ending.
const DESKTOP_ENTRY: &str = "Lamplight";

/// A click on the notification itself.
const DEFAULT: &str = "default";
const OPEN: &str = "open";
const GO_TO: &str = "go-to";
const COPY: &str = "copy";
const SNOOZE: &str = "snooze";

#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Notifications {
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;
    #[expect(clippy::too_many_arguments, reason = "the interface has eight")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Value<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;
    fn close_notification(&self, id: u32) -> zbus::Result<()>;
    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: String) -> zbus::Result<()>;
    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// Nothing to prepare.
pub fn install(builder: Builder<Wry>) -> Builder<Wry> {
    builder
}

/// Shows and withdraws as asked, and does what the person chooses on a notification, until the sender is gone.
pub async fn run(app: &AppHandle, mut requests: Receiver<Request>) {
    let server = match connect().await {
        Ok(server) => server,
        Err(error) => return without_bus(app, requests, &error).await,
    };
    let (mut actions, mut closed, mut owners) = match listen(&server).await {
        Ok(signals) => signals,
        Err(error) => return without_bus(app, requests, &error).await,
    };
    let mut shown: HashMap<u32, Shown> = HashMap::new();
    let mut has_warned = false;
    let mut owner = owner_of(&server).await;
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(Request::Show(notice)) => match show(&server, &notice).await {
                    Ok(id) => {
                        desk::set_notifications(app, true);
                        shown.insert(id, notice);
                    }
                    Err(error) => {
                        desk::set_notifications(app, false);
                        if !std::mem::replace(&mut has_warned, true) {
                            tracing::warn!("nobody shows notifications on this desktop: {error}");
                        }
                    }
                },
                Some(Request::Try { sound, done }) => {
                    let outcome = show(&server, &super::trial(sound)).await;
                    desk::set_notifications(app, outcome.is_ok());
                    // The one who waited may have stopped waiting.
                    let _ = done.send(outcome.is_ok());
                }
                Some(Request::Withdraw(cause_id)) => withdraw(&server, &mut shown, |id| *id == cause_id).await,
                Some(Request::WithdrawAll(done)) => {
                    withdraw(&server, &mut shown, |_| true).await;
                    // The one who waited may have stopped waiting.
                    let _ = done.send(());
                }
                None => return,
            },
            Some(action) = actions.next() => acted(app, &shown, &action),
            // Another server counts from one again: its numbers are other notifications, of whatever app.
            Some(next) = owners.next() => {
                let next = next.map(|name| name.to_string());
                if owner.is_some() && next != owner {
                    shown.clear();
                }
                owner = next;
            }
            // Also sent right after an action; what is closed can no longer be acted on or withdrawn.
            Some(gone) = closed.next() => {
                while let Some(Some(action)) = actions.next().now_or_never() {
                    acted(app, &shown, &action);
                }
                if let Ok(args) = gone.args() {
                    shown.remove(&args.id);
                }
            }
        }
    }
}

async fn connect() -> zbus::Result<NotificationsProxy<'static>> {
    let bus = zbus::Connection::session().await?;
    NotificationsProxy::builder(&bus).cache_properties(zbus::proxy::CacheProperties::No).build().await
}

async fn listen(
    server: &NotificationsProxy<'static>,
) -> zbus::Result<(ActionInvokedStream, NotificationClosedStream, OwnerChangedStream<'static>)> {
    Ok((
        server.receive_action_invoked().await?,
        server.receive_notification_closed().await?,
        server.inner().receive_owner_changed().await?,
    ))
}

/// Which connection shows notifications, if one does already.
async fn owner_of(server: &NotificationsProxy<'_>) -> Option<String> {
    let bus = zbus::fdo::DBusProxy::new(server.inner().connection()).await.ok()?;
    let owner = bus.get_name_owner(server.inner().destination().clone()).await.ok()?;
    Some(owner.to_string())
}

/// Says once that there is no session bus, and takes the requests so that nobody waits for them.
async fn without_bus(app: &AppHandle, mut requests: Receiver<Request>, error: &zbus::Error) {
    desk::set_notifications(app, false);
    tracing::warn!("no notifications without a session bus: {error}");
    while let Some(request) = requests.recv().await {
        // The one who waited may have stopped waiting.
        match request {
            Request::WithdrawAll(done) => drop(done.send(())),
            Request::Try { done, .. } => drop(done.send(false)),
            Request::Show(_) | Request::Withdraw(_) => {}
        }
    }
}

async fn show(server: &NotificationsProxy<'_>, notice: &Shown) -> zbus::Result<u32> {
    // Asked every time: the server may be another one than before, and may read markup where the last did not.
    let capabilities = server.get_capabilities().await?;
    let has = |name: &str| capabilities.iter().any(|capability| capability == name);
    let body = if has("body-markup") { text::escape_markup(&notice.body) } else { notice.body.clone() };
    let mut actions = Vec::new();
    if has("actions") {
        actions.extend([DEFAULT, "Open", OPEN, "Open"]);
        if notice.can_focus {
            actions.extend([GO_TO, "Go to it"]);
        }
        if notice.has_resume {
            actions.extend([COPY, "Copy resume"]);
        }
        if notice.session.is_some() {
            actions.extend([SNOOZE, "Snooze 1 h"]);
        }
    }
    let mut hints =
        HashMap::from([("desktop-entry", Value::from(DESKTOP_ENTRY)), ("urgency", Value::from(NORMAL))]);
    // Of the sound naming specification. A server without sounds does nothing with either.
    if notice.sound {
        hints.insert("sound-name", Value::from("message-new-instant"));
    } else {
        hints.insert("suppress-sound", Value::from(true));
    }
    if let Some(image) = app_image() {
        hints.insert("image-data", image);
    }
    server.notify("Lamplight", NEW, "", &notice.title, &body, &actions, hints, SERVER_DECIDES).await
}

/// Returns the app's icon as the interface carries pixels: width, height, bytes a row, alpha, bits, channels, data.
fn app_image() -> Option<Value<'static>> {
    let icon =
        Image::from_bytes(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/icons/app-64.png"))).ok()?;
    let (width, height) = (i32::try_from(icon.width()).ok()?, i32::try_from(icon.height()).ok()?);
    Some(Value::from((width, height, width * 4, true, 8_i32, 4_i32, icon.rgba().to_vec())))
}

/// Strikes out causes, and takes back the notifications that have none left.
async fn withdraw(
    server: &NotificationsProxy<'_>,
    shown: &mut HashMap<u32, Shown>,
    is_gone: impl Fn(&String) -> bool,
) {
    shown.values_mut().for_each(|notice| notice.cause_ids.retain(|id| !is_gone(id)));
    let due: Vec<u32> =
        shown.iter().filter(|(_, notice)| notice.cause_ids.is_empty()).map(|(id, _)| *id).collect();
    for id in due {
        shown.remove(&id);
        // A server that says it has no such notification has it off the screen, which is what was wanted.
        if let Err(error) = server.close_notification(id).await {
            tracing::debug!("notification {id} was gone already: {error}");
        }
    }
}

fn acted(app: &AppHandle, shown: &HashMap<u32, Shown>, action: &ActionInvoked) {
    if let Ok(args) = action.args()
        && let Some(notice) = shown.get(&args.id)
    {
        act(app, notice, &args.action_key);
    }
}

fn act(app: &AppHandle, notice: &Shown, action: &str) {
    match (action, &notice.session) {
        (DEFAULT | OPEN, Some(id)) => window::show_session(app, id.clone()),
        (DEFAULT | OPEN, None) => window::show_now(app),
        (GO_TO, Some(id)) => commands::focus_in_background(app, id.clone()),
        (COPY, Some(id)) => commands::copy_resume_in_background(app, id.clone()),
        (SNOOZE, Some(_)) => {
            for cause in &notice.cause_ids {
                let action = Snooze::Hour.action(clock::now().0);
                commands::set_cause_in_background(app, cause.clone(), action);
            }
        }
        (other, _) => {
            tracing::warn!("the notification server sent an action that was not offered: {other:?}")
        }
    }
}
