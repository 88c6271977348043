//! Sessions that ran one after the other in one pane of a terminal: which of them has taken the place of another.
//!
//! A pane is where a person types. Whoever started a new conversation there, or resumed an old one, has left the one before,
//! and knows: it was on the screen in front of them. It is not lost by that, and takes its place back as soon as it runs
//! again.

use crate::ids::{Agent, FactId, SessionId, Timestamp};

/// A session in a pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sitting {
    /// Whose.
    pub agent: Agent,
    /// Which.
    pub id: SessionId,
    /// The pane its latest process ran in; `None` where that is not known.
    pub pane: Option<FactId>,
    /// When its latest process was found there.
    pub since: Timestamp,
    /// A process runs it.
    pub is_alive: bool,
    /// Something was said in it: a start that came to nothing takes nobody's place.
    pub is_more_than_a_start: bool,
}

/// The session that has taken the place of another in its pane: the latest there that is of the same agent and came after
/// it. `None` while a process runs the former, however many there are: an agent may start others in its own terminal.
#[must_use]
pub fn successor<'a>(former: &Sitting, others: impl IntoIterator<Item = &'a Sitting>) -> Option<&'a Sitting> {
    let pane = former.pane.filter(|_| !former.is_alive)?;
    others
        .into_iter()
        .filter(|other| other.pane == Some(pane) && other.agent == former.agent && other.id != former.id)
        .filter(|other| other.is_alive || other.is_more_than_a_start)
        .filter(|other| (other.since, &other.id) > (former.since, &former.id))
        .max_by(|a, b| (a.is_alive, a.since, &a.id).cmp(&(b.is_alive, b.since, &b.id)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sitting(id: &str, pane: Option<u128>, since: i64, is_alive: bool, is_more: bool) -> Sitting {
        Sitting {
            agent: Agent::ClaudeCode,
            id: SessionId::new(id).unwrap(),
            pane: pane.map(FactId),
            since: Timestamp(since),
            is_alive,
            is_more_than_a_start: is_more,
        }
    }

    fn kept(all: &[Sitting]) -> Vec<&str> {
        all.iter().filter(|s| successor(s, all).is_none()).map(|s| s.id.as_str()).collect()
    }

    #[test]
    fn of_several_in_one_pane_the_latest_is_kept_b53_b55_b56_b61() {
        let pane = Some(7);
        let two = [sitting("a", pane, 1, false, true), sitting("b", pane, 2, true, true)];
        assert_eq!(kept(&two), ["b"]);
        let four = [
            sitting("d", pane, 4, true, false),
            sitting("a", pane, 1, false, true),
            sitting("c", pane, 3, false, true),
            sitting("b", pane, 2, false, true),
        ];
        assert_eq!(kept(&four), ["d"]);
        let ended = [sitting("a", pane, 1, false, true), sitting("b", pane, 2, false, true)];
        assert_eq!(kept(&ended), ["b"], "also when none of them runs any more");
    }

    #[test]
    fn a_start_that_came_to_nothing_takes_nobodys_place_b54() {
        let all = [sitting("a", Some(7), 1, false, true), sitting("b", Some(7), 2, false, false)];
        assert_eq!(successor(&all[0], &all), None);
    }

    #[test]
    fn others_are_left_as_they_are_b57_b58_b59_b62() {
        let panes = [sitting("a", Some(7), 1, false, true), sitting("b", Some(8), 2, true, true)];
        assert_eq!(kept(&panes), ["a", "b"]);
        assert_eq!(kept(&panes[..1]), ["a"]);
        let unknown = [sitting("a", None, 1, false, true), sitting("b", None, 2, true, true)];
        assert_eq!(kept(&unknown), ["a", "b"], "not known is not the same");
        let mut codex = sitting("b", Some(7), 2, true, true);
        codex.agent = Agent::Codex;
        let agents = [sitting("a", Some(7), 1, false, true), codex];
        assert_eq!(kept(&agents), ["a", "b"], "another agent goes on with nothing");
    }

    #[test]
    fn who_runs_is_never_superseded_and_who_runs_again_is_not_any_more_b64_b65() {
        let nested = [sitting("a", Some(7), 1, true, true), sitting("b", Some(7), 2, true, true)];
        assert_eq!(kept(&nested), ["a", "b"]);
        let again = [sitting("a", Some(7), 3, true, true), sitting("b", Some(7), 2, false, true)];
        assert_eq!(kept(&again), ["a"]);
    }

    fn any_sitting() -> impl Strategy<Value = Sitting> {
        ("[a-f]", proptest::option::of(0_u128..3), 0_i64..6, any::<bool>(), any::<bool>())
            .prop_map(|(id, pane, since, alive, more)| sitting(&id, pane, since, alive, more))
    }

    proptest! {
        #![proptest_config(crate::cases::config(256))]

        #[test]
        fn a_pane_that_had_one_keeps_one_in_any_order_b60_b61_b63(
            all in proptest::collection::vec(any_sitting(), 0..8)
        ) {
            let mut all = all;
            all.sort_by(|a, b| a.id.cmp(&b.id));
            all.dedup_by(|a, b| a.id == b.id);
            let mut turned = all.clone();
            turned.reverse();
            for one in &all {
                let of = successor(one, &all);
                prop_assert_eq!(of, successor(one, &turned));
                if let Some(next) = of {
                    prop_assert!(successor(next, &all).is_none_or(|later| later.since >= next.since));
                    prop_assert!(!one.is_alive);
                }
            }
            for pane in 0..3 {
                let here: Vec<&Sitting> = all.iter().filter(|s| s.pane == Some(FactId(pane))).collect();
                let is_kept = |s: &&&Sitting| successor(s, &all).is_none();
                prop_assert!(here.is_empty() || here.iter().any(|s| is_kept(&s)));
            }
        }
    }
}
