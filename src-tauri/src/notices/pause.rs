//! The person's own quiet: chosen in the tray, ends by itself, forgotten when the app ends.

use std::sync::{Mutex, PoisonError};

use chrono::{Days, Local, NaiveTime, TimeZone as _};

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

    /// Returns the end, in milliseconds since the epoch; `i64::MAX` for no end.
    fn until(self, now_ms: i64) -> i64 {
        match self {
            Self::HalfHour => now_ms + 30 * 60_000,
            Self::TwoHours => now_ms + 120 * 60_000,
            Self::Tomorrow => tomorrow_morning(now_ms).unwrap_or(now_ms + 12 * 3_600_000),
            Self::Open => i64::MAX,
        }
    }
}

/// Returns 07:30 of the next local day; `None` where the calendar has no such moment.
fn tomorrow_morning(now_ms: i64) -> Option<i64> {
    let today = Local.timestamp_millis_opt(now_ms).single()?.date_naive();
    let morning = today.checked_add_days(Days::new(1))?.and_time(NaiveTime::from_hms_opt(7, 30, 0)?);
    Some(morning.and_local_timezone(Local).earliest()?.timestamp_millis())
}

/// The pause that was chosen, if any.
#[derive(Debug, Default)]
pub struct Pause {
    /// Held for single reads and writes.
    chosen: Mutex<Option<(PauseChoice, i64)>>,
}

impl Pause {
    /// Chooses a pause from now on, or none.
    pub fn choose(&self, choice: Option<PauseChoice>, now_ms: i64) {
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = choice.map(|choice| (choice, choice.until(now_ms)));
    }

    /// Returns the choice that still holds.
    pub fn chosen(&self, now_ms: i64) -> Option<PauseChoice> {
        let chosen = *self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        chosen.filter(|(_, until)| now_ms < *until).map(|(choice, _)| choice)
    }

    /// Returns whether notifications stay away.
    pub fn is_on(&self, now_ms: i64) -> bool {
        self.chosen(now_ms).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself_and_can_be_ended() {
        let (pause, noon) = (Pause::default(), 1_795_176_000_000);
        assert!(!pause.is_on(noon));
        pause.choose(Some(PauseChoice::HalfHour), noon);
        assert_eq!(pause.chosen(noon + 29 * 60_000), Some(PauseChoice::HalfHour));
        assert!(!pause.is_on(noon + 30 * 60_000));
        pause.choose(Some(PauseChoice::Open), noon);
        assert!(pause.is_on(i64::MAX - 1));
        pause.choose(None, noon);
        assert!(!pause.is_on(noon));
    }

    #[test]
    fn tomorrow_is_between_one_and_thirty_three_hours_away() {
        for hour in 0..48 {
            let now = 1_795_176_000_000 + hour * 3_600_000;
            let away = PauseChoice::Tomorrow.until(now) - now;
            assert!((3_600_000..=33 * 3_600_000).contains(&away), "{away} ms at hour {hour}");
        }
    }
}
