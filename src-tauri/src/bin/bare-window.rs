//! The yardstick of the start-up benchmark: a window with the app's settings and an empty page.
//!
//! What the app takes above it is Lamplight's own; what both take is the platform's.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tauri::http::{Response, header};
use tauri::webview::PageLoadEvent;
use tauri::{WebviewUrl, WebviewWindowBuilder};

/// Served over a scheme of its own, as the app's page is over Tauri's.
const SCHEME: &str = "bare";
const EMPTY_PAGE: &[u8] = b"<!doctype html><html lang=\"en\"><title>bare</title><body></body></html>";

#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a line for the benchmark, which compares with its own wall clock"
)]
fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    tauri::Builder::default()
        .register_uri_scheme_protocol(SCHEME, |_context, _request| {
            Response::builder()
                .header(header::CONTENT_TYPE, "text/html")
                .body(EMPTY_PAGE)
                .expect("BUG: one constant header and a body make a response")
        })
        .setup(move |app| {
            WebviewWindowBuilder::new(
                app,
                "bare",
                WebviewUrl::CustomProtocol(format!("{SCHEME}://localhost/").parse()?),
            )
            .title("bare")
            .inner_size(1180.0, 800.0)
            .min_inner_size(340.0, 480.0)
            .on_page_load(move |_window, page| {
                if page.event() == PageLoadEvent::Finished {
                    let at_ms =
                        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
                    println!(
                        "{{\"event\":\"page_loaded\",\"at_ms\":{at_ms},\"since_main_ms\":{}}}",
                        started.elapsed().as_millis()
                    );
                }
            })
            .build()?;
            Ok(())
        })
        .run(tauri::generate_context!())?;
    Ok(())
}
