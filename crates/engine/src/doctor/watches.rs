//! File watches: how many there may be, and how many are needed.

use lamplight_model::view::DoctorCheck;

use super::roots::Seen;
use super::{ok, warn};

/// Watches of Lamplight's own beside one per folder of transcripts.
const OWN: u64 = 16;

pub(super) fn checks(seen: &Seen) -> Vec<DoctorCheck> {
    let limit = |name: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?.trim().parse().ok()
    };
    // Another platform has no such limit.
    let (Some(watches), Some(instances)) = (limit("max_user_watches"), limit("max_user_instances")) else {
        return Vec::new();
    };
    vec![judge(seen.roots.iter().map(|root| root.folders).sum::<u64>() + OWN, watches, instances)]
}

/// Other programs of the same user take watches too (an editor takes tens of thousands): half of the limit is near it.
fn judge(needed: u64, watches: u64, instances: u64) -> DoctorCheck {
    let message = format!(
        "{needed} of the {watches} that a user may have are needed, in {instances} instances at most."
    );
    if needed > watches / 2 || instances < 16 {
        let more = needed.saturating_mul(4).max(524_288);
        return warn(
            "watches",
            "File watches",
            message,
            &format!(
                "Raise the limits: sysctl fs.inotify.max_user_watches={more} fs.inotify.max_user_instances=512."
            ),
        );
    }
    ok("watches", "File watches", message)
}

#[cfg(test)]
mod tests {
    use lamplight_model::view::DoctorState;

    use super::*;

    #[test]
    fn a_limit_that_is_near_is_said_before_it_is_reached() {
        assert_eq!(judge(100, 65_536, 128).state, DoctorState::Ok);
        let near = judge(40_000, 65_536, 128);
        assert_eq!(near.state, DoctorState::Warn);
        assert!(near.remedy.is_some_and(|remedy| remedy.contains("max_user_watches=524288")));
        assert_eq!(judge(100, 65_536, 8).state, DoctorState::Warn);
    }
}
