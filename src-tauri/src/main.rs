//! The desktop shell: window, tray, notifications and clipboard around an engine that runs in this process.
//!
//! It holds adapters only. What a session is doing, what needs its person and when to say so is decided by the engine;
//! every question of the window is one row of the contract in `lamplight_api`. Start from [`host::Host`] (the engine
//! and the questions asked of it), [`window`] (which may be gone while the lamp stays lit), [`tray`] and [`notices`].
//! It must not hold SQL, rules about sessions, or parsing of what agents wrote.

#![cfg_attr(all(not(debug_assertions), target_os = "windows"), windows_subsystem = "windows")]

mod board;
mod commands;
mod desk;
mod feed;
mod host;
mod notices;
mod snooze;
mod strip;
mod text;
mod trace;
mod tray;
mod window;

use std::process::ExitCode;

use anyhow::Context as _;
use tauri::{AppHandle, Manager as _, RunEvent, WindowEvent};
use tauri_plugin_autostart::MacosLauncher;

/// Starts without a window, for the start at login.
const HIDDEN: &str = "--hidden";

fn main() -> ExitCode {
    let started = trace::Started::at_entry();
    trace::log_to_stderr();
    match run(started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(started: trace::Started) -> anyhow::Result<()> {
    let is_hidden = std::env::args().any(|arg| arg == HIDDEN);
    notices::install(tauri::Builder::default())
        // First, so that a second start hands over and ends before it touches anything.
        .plugin(tauri_plugin_single_instance::init(|app, args, _cwd| {
            if !args.iter().any(|arg| arg == HIDDEN) {
                window::show(app);
            }
        }))
        .plugin(tauri_plugin_autostart::init(MacosLauncher::LaunchAgent, Some(vec![HIDDEN])))
        .plugin(tauri_plugin_clipboard_manager::init())
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_opener::init())
        .plugin(window::remember_place())
        .manage(started)
        .manage(host::Host::default())
        .manage(desk::Desk::default())
        .manage(feed::Feed::default())
        .setup(move |app| {
            let app = app.handle();
            // Before there is anything to flush.
            quit_on_signal(app)?;
            host::start(app);
            if !is_hidden {
                window::build(app)?;
            }
            tray::start(app);
            notices::start(app);
            Ok(())
        })
        .invoke_handler(commands::handler())
        .build(tauri::generate_context!())
        .context("while starting the desktop")?
        .run(on_event);
    Ok(())
}

fn on_event(app: &AppHandle, event: RunEvent) {
    match event {
        RunEvent::WindowEvent { label, event: WindowEvent::Focused(is_focused), .. }
            if label == window::LABEL =>
        {
            desk::set_focused(app, is_focused)
        }
        RunEvent::WindowEvent { label, event: WindowEvent::Destroyed, .. } => {
            app.state::<feed::Feed>().stop(&label);
            if label == window::LABEL {
                desk::window_gone(app);
            }
        }
        // No code: the last window closed. The lamp stays lit as long as the tray leads back to it.
        RunEvent::ExitRequested { code: None, api, .. } if app.state::<desk::Desk>().outlives_window() => {
            api.prevent_exit()
        }
        RunEvent::Exit => {
            notices::withdraw_all(app);
            app.state::<host::Host>().stop();
        }
        _ => {}
    }
}

/// Ends in order when the session manager or a terminal asks for it.
fn quit_on_signal(app: &AppHandle) -> std::io::Result<()> {
    let asked = tauri::async_runtime::block_on(async { host::Termination::listen() })?;
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        asked.arrived().await;
        app.exit(0);
    });
    Ok(())
}
