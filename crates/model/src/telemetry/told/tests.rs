use super::*;

fn decided(key: u128) -> Word {
    Word::ToolDecided { key: FactId(key), name: "Bash".to_owned(), accepted: true, by_person: false }
}

#[test]
fn a_word_heard_twice_or_late_is_as_heard_once() {
    let words = [
        (10, Word::Prompted { text: Some("first".to_owned()), is_title: false, is_persons: true }),
        (20, Word::Answered { model: Some("m".to_owned()) }),
        (30, decided(1)),
        (40, Word::ToolEnded { key: FactId(1), name: "Bash".to_owned() }),
        (50, Word::TurnSpanned { began: Timestamp(9) }),
        (60, Word::Prompted { text: Some("second".to_owned()), is_title: false, is_persons: true }),
        (70, Word::Mode("plan".to_owned())),
    ];
    let hear = |order: &[usize]| {
        let mut told = Told::default();
        for number in order {
            let (at, word) = &words[*number];
            told.hear(Timestamp(*at), None, word.clone());
        }
        told
    };
    let once = hear(&[0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(once.first_prompt.as_ref().unwrap().value, "first");
    assert_eq!(hear(&[6, 5, 4, 3, 2, 1, 0]), once);
    assert_eq!(hear(&[0, 1, 2, 3, 3, 1, 0, 4, 5, 6, 4]), once);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut told = Told::default();
    for n in 0..1_000u32 {
        let at = Timestamp(i64::from(n));
        told.hear(at, None, decided(u128::from(n)));
        told.hear(at, Some(&format!("agent-{n}")), Word::Worked);
        told.hear(at, None, Word::TurnSpanned { began: at });
        told.wait(FactId(u128::from(n)), 1);
    }
    assert_eq!(
        (told.tools.len(), told.agents.len(), told.turns.len(), told.waits.len()),
        (MAX_TOOLS, MAX_AGENTS, MAX_TURNS, MAX_TOOLS)
    );
    assert!(told.tools.contains_key(&FactId(999)), "the latest stay");
}

#[test]
fn a_subagents_words_are_none_of_the_main_threads_turn() {
    let mut told = Told::default();
    told.hear(Timestamp(1), Some("a1"), Word::Answered { model: Some("small".to_owned()) });
    told.hear(Timestamp(2), Some("a1"), decided(1));
    assert_eq!((told.answered_at, &told.model), (None, &None));
    assert!(told.running_at(Timestamp(3)).is_empty(), "its tools are its own");
}

#[test]
fn it_is_written_and_read_back() {
    let mut telemetry = crate::telemetry::Telemetry::default();
    telemetry.told.hear(Timestamp(5), None, decided(u128::MAX));
    telemetry.told.wait(FactId(u128::MAX - 1), 9);
    let cost = crate::telemetry::Meter::Cost { model: "m".to_owned() };
    telemetry.meters.add(cost.clone(), 3);
    telemetry.meters.set(FactId(u128::MAX), cost.clone(), 4);
    let text = serde_json::to_string(&telemetry).unwrap();
    let read: crate::telemetry::Telemetry = serde_json::from_str(&text).unwrap();
    assert_eq!(read, telemetry);
    assert_eq!(read.meters.get(&cost), Some(7));
}
