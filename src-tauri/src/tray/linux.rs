//! StatusNotifierItem, spoken directly: left click and tooltip, which libappindicator lacks.

use ksni::menu::{CheckmarkItem, MenuItem, StandardItem, SubMenu};
use ksni::{Handle, Icon, OfflineReason, ToolTip, TrayMethods as _};
use lamplight_engine::{CauseAction, clock};
use tauri::{AppHandle, Manager as _};
use tauri_plugin_autostart::ManagerExt as _;

use crate::board::{Lamp, Need, Summary, wait};
use crate::notices::pause::{self, Pause, PauseChoice};
use crate::snooze::Snooze;
use crate::tray::icon::{self, Panel};
use crate::{commands, desk, text, window};

/// Sessions listed by name; the rest is one line that opens the window.
const MAX_LISTED: usize = 8;
/// Characters of a session's name in the menu.
const MAX_LABEL: usize = 48;

/// The lamp on the session bus, or nothing where there is no bus.
pub struct Tray(Option<Handle<Item>>);

impl Tray {
    /// Offers the lamp to the panel. Without a panel it waits for one, and the window says so.
    pub async fn start(app: &AppHandle) -> Self {
        let item = Item { app: app.clone(), panel: panel().await, summary: Summary::default() };
        // A missing watcher is no error here: it arrives as `watcher_offline`, before `spawn` returns.
        match item.assume_sni_available(true).spawn().await {
            Ok(handle) => {
                desk::tray_offered(app);
                Self(Some(handle))
            }
            Err(error) => {
                tracing::warn!("no tray: {error}");
                desk::set_tray(app, false);
                Self(None)
            }
        }
    }

    /// Shows what is the case.
    pub async fn show(&self, summary: Summary) {
        if let Some(handle) = &self.0 {
            handle.update(|item| item.summary = summary).await;
        }
    }
}

struct Item {
    app: AppHandle,
    panel: Panel,
    summary: Summary,
}

impl ksni::Tray for Item {
    fn id(&self) -> String {
        "lamplight".to_owned()
    }

    fn title(&self) -> String {
        format!("Lamplight: {}", self.summary.headline())
    }

    fn status(&self) -> ksni::Status {
        match self.summary.lamp() {
            Lamp::NeedsYou => ksni::Status::NeedsAttention,
            Lamp::Quiet | Lamp::Working => ksni::Status::Active,
        }
    }

    fn icon_pixmap(&self) -> Vec<Icon> {
        icon::lamp(self.summary.lamp(), self.panel, self.summary.needs.len())
            .into_iter()
            .filter_map(argb)
            .collect()
    }

    fn attention_icon_pixmap(&self) -> Vec<Icon> {
        self.icon_pixmap()
    }

    fn tool_tip(&self) -> ToolTip {
        let summary = &self.summary;
        let lines =
            [summary.tiers(), summary.at_work(), summary.at_risk(), summary.quieted(), summary.paused()];
        let lines: Vec<String> = lines.into_iter().flatten().collect();
        ToolTip { title: self.title(), description: lines.join("\n"), ..ToolTip::default() }
    }

    fn activate(&mut self, _x: i32, _y: i32) {
        window::show(&self.app);
    }

    /// Present so that the menu is built anew whenever it opens: its waits would be those of the last change.
    fn menu_about_to_show(&mut self) {}

    fn watcher_online(&self) {
        desk::set_tray(&self.app, true);
    }

    fn watcher_offline(&self, _reason: OfflineReason) -> bool {
        desk::set_tray(&self.app, false);
        // Stay: a panel that starts later, or again, finds the lamp.
        true
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let mut items = vec![note(self.summary.headline())];
        items.extend(self.summary.tiers().map(note));
        items.extend(self.summary.needs.iter().take(MAX_LISTED).map(|need| need_menu(need, clock::now().0)));
        if let Some(more) = self.summary.needs.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            items.push(action(format!("{more} more"), |item| window::show_now(&item.app)));
        }
        items.push(MenuItem::Separator);
        let summary = &self.summary;
        let facts = [summary.at_work(), summary.at_risk(), summary.quieted(), summary.paused()];
        let facts: Vec<MenuItem<Self>> = facts.into_iter().flatten().map(note).collect();
        if !facts.is_empty() {
            items.extend(facts);
            items.push(MenuItem::Separator);
        }
        items.push(action("Open Lamplight".to_owned(), |item| window::show(&item.app)));
        items.push(pause_menu(&self.app));
        items.push(start_at_login(&self.app));
        items.push(MenuItem::Separator);
        items.push(action("Quit".to_owned(), |item| item.app.exit(0)));
        items
    }
}

fn note(label: String) -> MenuItem<Item> {
    StandardItem { label, enabled: false, ..StandardItem::default() }.into()
}

fn action(label: String, act: impl Fn(&mut Item) + Send + 'static) -> MenuItem<Item> {
    StandardItem { label, activate: Box::new(act), ..StandardItem::default() }.into()
}

fn need_menu(need: &Need, now_ms: i64) -> MenuItem<Item> {
    let name = text::escape_access_key(&text::one_line(&need.label, MAX_LABEL));
    let (open, copy, goes_to) = (need.id.clone(), need.id.clone(), need.id.clone());
    let mut submenu =
        vec![action("Open".to_owned(), move |item| window::show_session(&item.app, open.clone()))];
    if need.can_focus {
        submenu.push(action("Go to it".to_owned(), move |item| {
            commands::focus_in_background(&item.app, goes_to.clone())
        }));
    }
    submenu.extend([
        StandardItem {
            label: "Copy resume command".to_owned(),
            enabled: need.has_resume,
            activate: Box::new(move |item: &mut Item| {
                commands::copy_resume_in_background(&item.app, copy.clone())
            }),
            ..StandardItem::default()
        }
        .into(),
        MenuItem::Separator,
    ]);
    submenu.extend(Snooze::ALL.map(|choice| {
        let cause = need.cause_id.clone();
        action(choice.label().to_owned(), move |item| {
            commands::set_cause_in_background(&item.app, cause.clone(), choice.action(clock::now().0))
        })
    }));
    let cause = need.cause_id.clone();
    submenu.push(action("Mark as handled".to_owned(), move |item| {
        commands::set_cause_in_background(&item.app, cause.clone(), CauseAction::Dismiss)
    }));
    SubMenu {
        label: format!("{}: {name}  ({})", need.reason, wait(now_ms - need.since_ms)),
        submenu,
        ..SubMenu::default()
    }
    .into()
}

fn pause_menu(app: &AppHandle) -> MenuItem<Item> {
    let chosen = app.state::<Pause>().chosen();
    let mut submenu: Vec<MenuItem<Item>> = PauseChoice::ALL
        .into_iter()
        .map(|choice| {
            CheckmarkItem {
                label: choice.label().to_owned(),
                checked: chosen == Some(choice),
                activate: Box::new(move |item: &mut Item| pause::begin(&item.app, choice)),
                ..CheckmarkItem::default()
            }
            .into()
        })
        .collect();
    if chosen.is_some() {
        submenu.push(MenuItem::Separator);
        submenu.push(action("Turn them on".to_owned(), |item| pause::end(&item.app)));
    }
    SubMenu { label: "Pause notifications".to_owned(), submenu, ..SubMenu::default() }.into()
}

fn start_at_login(app: &AppHandle) -> MenuItem<Item> {
    let is_on = app.autolaunch().is_enabled().unwrap_or(false);
    CheckmarkItem {
        label: "Start at login".to_owned(),
        checked: is_on,
        activate: Box::new(move |item: &mut Item| {
            let autolaunch = item.app.autolaunch();
            if let Err(error) = if is_on { autolaunch.disable() } else { autolaunch.enable() } {
                tracing::error!("cannot change the start at login: {error}");
            }
        }),
        ..CheckmarkItem::default()
    }
    .into()
}

/// Turns straight RGBA into the ARGB in network order that the interface asks for.
fn argb(pixels: icon::Pixels) -> Option<Icon> {
    let edge = i32::try_from(pixels.size).ok()?;
    let mut data = pixels.rgba;
    for pixel in data.chunks_exact_mut(4) {
        pixel.rotate_right(1);
    }
    Some(Icon { width: edge, height: edge, data })
}

/// Returns what the panel is drawn in. The interface does not tell; GNOME's bar is dark in both of its schemes and the
/// panels of Xfce, Cinnamon and MATE are unless changed, so only a desktop whose panel follows the scheme is asked.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell is a host: which desktop this is stands in the environment only"
)]
async fn panel() -> Panel {
    let desktop = std::env::var("XDG_CURRENT_DESKTOP").unwrap_or_default();
    let follows_scheme =
        desktop.split(':').any(|name| name.eq_ignore_ascii_case("KDE") || name.eq_ignore_ascii_case("LXQt"));
    if follows_scheme && !prefers_dark().await.unwrap_or(false) { Panel::Light } else { Panel::Dark }
}

/// Asks the settings portal for the colour scheme (`1` = prefer dark).
async fn prefers_dark() -> zbus::Result<bool> {
    let bus = zbus::Connection::session().await?;
    let portal = "org.freedesktop.portal.Desktop";
    let answer = bus
        .call_method(
            Some(portal),
            "/org/freedesktop/portal/desktop",
            Some("org.freedesktop.portal.Settings"),
            "Read",
            &("org.freedesktop.appearance", "color-scheme"),
        )
        .await?;
    // A variant in a variant.
    let body = answer.body();
    let value: zbus::zvariant::Value<'_> = body.deserialize()?;
    let scheme: u32 = match value {
        zbus::zvariant::Value::Value(inner) => inner.downcast_ref()?,
        other => other.downcast_ref()?,
    };
    Ok(scheme == 1)
}
