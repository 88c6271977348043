//! The person's own quiet: chosen in the tray, ends by itself, forgotten when the app ends.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{Days, Local, NaiveTime, TimeZone as _};
use lamplight_engine::clock;
use tauri::async_runtime::JoinHandle;
use tauri::{AppHandle, Manager as _};
use tokio::sync::Notify;

use crate::host::Host;

/// How long notifications stay away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseChoice {
    /// Half an hour.
    HalfHour,
    /// Two hours.
    TwoHours,
    /// Until half past seven the next morning, local time.
    Tomorrow,
    /// Until they are turned on again, or the app ends.
    Open,
}

impl PauseChoice {
    /// All of them, in the order of the menu.
    pub const ALL: [Self; 4] = [Self::HalfHour, Self::TwoHours, Self::Tomorrow, Self::Open];

    /// Returns the words of the menu.
    pub fn label(self) -> &'static str {
        match self {
            Self::HalfHour => "For 30 minutes",
            Self::TwoHours => "For 2 hours",
            Self::Tomorrow => "Until tomorrow, 07:30",
            Self::Open => "Until I turn them on",
        }
    }

    /// Returns when it ends if it begins now, `None` for no end.
    fn until_ms(self, now_ms: i64) -> Option<i64> {
        match self {
            Self::HalfHour => Some(now_ms + 30 * 60_000),
            Self::TwoHours => Some(now_ms + 120 * 60_000),
            Self::Tomorrow => Some(tomorrow_morning(now_ms).unwrap_or(now_ms + 12 * 3_600_000)),
            Self::Open => None,
        }
    }
}

/// How long to sleep before looking at the clock again; `None` once the time has come. Timers stand still while the machine
/// sleeps, the clock on the wall does not.
fn nap(until_ms: i64, now_ms: i64) -> Option<Duration> {
    let left = u64::try_from(until_ms - now_ms).ok().filter(|left| *left > 0)?;
    Some(Duration::from_millis(left).min(NAP))
}

/// Returns 07:30 of the next local day; `None` where the calendar has no such moment.
pub fn tomorrow_morning(now_ms: i64) -> Option<i64> {
    let today = Local.timestamp_millis_opt(now_ms).single()?.date_naive();
    let morning = today.checked_add_days(Days::new(1))?.and_time(NaiveTime::from_hms_opt(7, 30, 0)?);
    Some(morning.and_local_timezone(Local).earliest()?.timestamp_millis())
}

/// The pause that was chosen, if any.
#[derive(Default)]
pub struct Pause {
    /// Held while a choice is exchanged. The task ends the pause when its time has come.
    chosen: Mutex<Option<(PauseChoice, JoinHandle<()>)>>,
    changed: Notify,
}

impl Pause {
    fn exchange(&self, next: Option<(PauseChoice, JoinHandle<()>)>) {
        let last = std::mem::replace(&mut *self.chosen.lock().unwrap_or_else(PoisonError::into_inner), next);
        // Before the task that may be this very one is ended.
        self.changed.notify_one();
        if let Some((_, end)) = last {
            end.abort();
        }
    }

    /// Waits until it begins, ends or becomes another; also when that was since the last time somebody waited.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns the choice that holds.
    pub fn chosen(&self) -> Option<PauseChoice> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(choice, _)| *choice)
    }
}

/// Longest sleep without a look at the clock.
const NAP: Duration = Duration::from_secs(30);

/// Keeps notifications away from now on.
pub fn begin(app: &AppHandle, choice: PauseChoice) {
    let ending = app.clone();
    let end = tauri::async_runtime::spawn(async move {
        set_engine(&ending, true).await;
        let Some(until_ms) = choice.until_ms(clock::now().0) else { return std::future::pending().await };
        while let Some(nap) = nap(until_ms, clock::now().0) {
            tokio::time::sleep(nap).await;
        }
        set_engine(&ending, false).await;
        // Last: exchanging ends this very task.
        ending.state::<Pause>().exchange(None);
    });
    app.state::<Pause>().exchange(Some((choice, end)));
}

/// Lets notifications come again.
pub fn end(app: &AppHandle) {
    app.state::<Pause>().exchange(None);
    let app = app.clone();
    tauri::async_runtime::spawn(async move { set_engine(&app, false).await });
}

async fn set_engine(app: &AppHandle, is_paused: bool) {
    // No engine: the app is ending, and says why.
    if let Ok(engine) = app.state::<Host>().engine().await {
        engine.pause_notices(is_paused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tomorrow_is_between_seven_and_thirty_three_hours_away() {
        for hour in 0..48 {
            let now = 1_795_176_000_000 + hour * 3_600_000;
            let away = (PauseChoice::Tomorrow.until_ms(now).unwrap_or(0) - now) / 3_600_000;
            assert!((6..=33).contains(&away), "{away} h at hour {hour}");
        }
    }

    #[test]
    fn a_machine_that_slept_ends_its_pause_by_the_clock_on_the_wall() {
        let until = PauseChoice::TwoHours.until_ms(0).unwrap_or(0);
        assert_eq!(nap(until, 0), Some(NAP), "it looks again");
        assert_eq!(nap(until, until - 1_500), Some(Duration::from_millis(1_500)));
        assert_eq!((nap(until, until), nap(until, until + 9 * 3_600_000)), (None, None));
    }

    #[test]
    fn only_the_open_pause_has_no_end() {
        let endless: Vec<PauseChoice> =
            PauseChoice::ALL.into_iter().filter(|choice| choice.until_ms(0).is_none()).collect();
        assert_eq!(endless, [PauseChoice::Open]);
    }
}
