use super::*;

fn day(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(&format!("{text}T00:00:00Z")).unwrap()
}

fn now() -> Timestamp {
    day("2026-11-20")
}

fn own(model: &str, valid_from: &str, input: f64) -> Price {
    Price {
        model: model.to_owned(),
        input,
        output: 0.0,
        cache_write_5m: 0.0,
        cache_write_1h: 0.0,
        cache_read: 0.0,
        valid_from: valid_from.parse().unwrap(),
        source: "my contract".to_owned(),
    }
}

const MILLION_IN: Usage =
    Usage { input: 1_000_000, output: 0, cache_write_5m: 0, cache_write_1h: 0, cache_read: 0 };

#[track_caller]
fn check_close(found: Option<f64>, expected: f64) {
    let found = found.expect("a known cost");
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn every_line_of_the_data_files_is_a_row() {
    let (prices, errors) = rows::read_prices(include_str!("../../data/prices.csv"));
    assert_eq!(errors, []);
    assert!(prices.len() >= 50, "{}", prices.len());
    let (windows, errors) = rows::read_windows(include_str!("../../data/windows.csv"));
    assert_eq!(errors, []);
    assert!(windows.len() >= 50, "{}", windows.len());
}

#[test]
fn every_row_cites_a_page() {
    for row in BUILTIN.prices.values().flatten() {
        assert!(row.source.starts_with("https://") && row.source.contains(" (copy "), "{row:?}");
        assert_eq!(row.problem(), None, "{row:?}");
    }
}

/// A guard against slips of the pen: Anthropic's published multipliers, and no discount that costs more.
#[test]
fn rows_keep_the_published_proportions_a194() {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    for row in BUILTIN.prices.values().flatten() {
        assert!(row.input > 0.0 && row.output > row.input && row.cache_read < row.input, "{row:?}");
        if row.model == "claude-3-haiku" {
            continue; // Published rounded: $0.30 for a write, $0.03 for a read.
        }
        if row.model.starts_with("claude-") {
            assert!(near(row.cache_write_5m, row.input * 1.25), "{row:?}");
            assert!(near(row.cache_write_1h, row.input * 2.0), "{row:?}");
        } else {
            let after_5_5 = row.model.starts_with("gpt-6") || row.model.starts_with("gpt-5.6");
            let write = row.input * if after_5_5 { 1.25 } else { 1.0 };
            assert!(near(row.cache_write_5m, write) && near(row.cache_write_1h, write), "{row:?}");
        }
    }
}

#[test]
fn current_models_of_anthropic_have_their_published_rates_a194() {
    let table = PriceTable::builtin();
    for (model, input, output, read) in [
        ("claude-haiku-4-5-20251001", 1.0, 5.0, 0.10),
        ("claude-sonnet-4-5", 3.0, 15.0, 0.30),
        ("claude-opus-4-5", 5.0, 25.0, 0.50),
    ] {
        let row = table.price(model, now()).unwrap();
        assert_eq!((row.input, row.output, row.cache_read), (input, output, read), "{model}");
        assert_eq!((row.cache_write_5m, row.cache_write_1h), (input * 1.25, input * 2.0), "{model}");
    }
}

#[test]
fn each_kind_of_token_has_its_own_price_a192() {
    let table = PriceTable::builtin();
    let one = |usage: Usage| table.cost_usd("claude-opus-4-5-20251101", now(), &usage);
    let n = 1_000_000;
    check_close(one(Usage { input: n, ..Usage::default() }), 5.0);
    check_close(one(Usage { output: n, ..Usage::default() }), 25.0);
    check_close(one(Usage { cache_write_5m: n, ..Usage::default() }), 6.25);
    check_close(one(Usage { cache_write_1h: n, ..Usage::default() }), 10.0);
    check_close(one(Usage { cache_read: n, ..Usage::default() }), 0.5);
    check_close(
        one(Usage {
            input: 12,
            output: 3_400,
            cache_write_5m: 5_600,
            cache_write_1h: 7_800,
            cache_read: 90_000,
        }),
        (12.0 * 5.0 + 3_400.0 * 25.0 + 5_600.0 * 6.25 + 7_800.0 * 10.0 + 90_000.0 * 0.5) / 1e6,
    );
    check_close(one(Usage::default()), 0.0);
}

#[test]
fn models_find_their_own_row() {
    let table = PriceTable::builtin();
    for (model, row) in [
        ("claude-opus-4-20250514", Some("claude-opus-4")),
        ("claude-opus-4-1-20250805", Some("claude-opus-4-1")),
        ("claude-opus-4-5-20251101", Some("claude-opus-4-5")),
        ("claude-opus-4-5", Some("claude-opus-4-5")),
        ("claude-sonnet-4-5-20250929", Some("claude-sonnet-4-5")),
        ("claude-sonnet-4-5-20250929[1m]", Some("claude-sonnet-4-5")),
        ("claude-opus-5-5", Some("claude-opus-5-5")),
        ("claude-opus-5-5[1m]", Some("claude-opus-5-5")),
        ("claude-haiku-5-5", Some("claude-haiku-5-5")),
        ("claude-3-5-haiku-20241022", Some("claude-3-5-haiku")),
        ("gpt-5", Some("gpt-5")),
        ("gpt-5-2025-08-07", Some("gpt-5")),
        ("gpt-5-codex", Some("gpt-5-codex")),
        ("gpt-5.1-codex", Some("gpt-5.1-codex")),
        ("gpt-5.1-codex-max", Some("gpt-5.1-codex-max")),
        ("gpt-5.5", Some("gpt-5.5")),
        ("gpt-5.5-2026-04-23", Some("gpt-5.5")),
        ("gpt-6-sol", Some("gpt-6-sol")),
        ("gpt-6.1-sol", Some("gpt-6.1-sol")),
        // A name that begins like a known one is another model.
        ("gpt-5.7", None),
        ("gpt-5-turbo", None),
        ("gpt-5.5-pro", None),
        ("gpt-6", None),
        ("gpt", None),
        ("claude-opus-4-9", None),
        ("claude-opus-5-5-5", None),
        ("claude-opus", None),
        ("claude-opus-4-5-latest", None),
        // Sold elsewhere, at another price.
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", None),
        ("claude-opus-4-5@20251101", None),
        ("openai/gpt-5.5", None),
        // Cache reads are not published for it, so its calls cannot be priced.
        ("gpt-5-pro", None),
        ("<synthetic>", None),
        ("", None),
        ("[1m]", None),
    ] {
        assert_eq!(table.price(model, now()).map(|p| p.model.as_str()), row, "{model}");
    }
}

#[test]
fn no_row_is_not_known_rather_than_free() {
    let table = PriceTable::builtin();
    assert_eq!(table.cost_usd("gpt-7-nova", now(), &MILLION_IN), None);
    assert_eq!(table.cost_usd("gpt-7-nova", now(), &Usage::default()), None);
    assert_eq!(table.window("gpt-7-nova"), None);
}

#[test]
fn the_newest_row_from_that_day_or_before_holds() {
    let table = PriceTable::builtin();
    let sonnet = |at| table.price("claude-sonnet-5-5", at).unwrap().cache_read;
    let almost = Timestamp(day("2026-10-07").0 - 1);
    for (at, read) in [
        (day("2026-09-28"), 0.20),
        (almost, 0.20),
        (day("2026-10-07"), 0.10),
        (now(), 0.10),
        // Before the first row: the oldest one.
        (day("2020-01-01"), 0.20),
        (Timestamp(0), 0.20),
        (Timestamp(i64::MIN), 0.20),
        (Timestamp(i64::MAX), 0.10),
    ] {
        assert!((sonnet(at) - read).abs() < 1e-9, "{at:?}");
    }
}

#[test]
fn own_prices_win_from_their_day_on() {
    let input = |table: &PriceTable, model: &str, at: &str| table.price(model, day(at)).map(|p| p.input);
    let table = PriceTable::builtin().with_overrides(&[
        own("gpt-5.5", "2026-06-01", 4.0),
        own("gpt-5.5", "2026-08-01", 3.0),
        own("gpt-7-nova", "2026-06-01", 9.0),
        own("gpt-7-nova", "2026-08-01", 8.0),
    ]);
    for (model, at, expected) in [
        ("gpt-5.5", "2026-05-01", Some(5.0)), // the table's
        ("gpt-5.5", "2026-06-01", Some(4.0)),
        ("gpt-5.5-2026-04-23", "2026-06-01", Some(4.0)),
        ("gpt-5.5", "2026-11-20", Some(3.0)),
        ("gpt-5.4", "2026-11-20", Some(2.5)), // untouched
        // Not in the table: the oldest own price stands for all earlier days.
        ("gpt-7-nova", "2026-05-01", Some(9.0)),
        ("gpt-7-nova", "2026-11-20", Some(8.0)),
    ] {
        assert_eq!(input(&table, model, at), expected, "{model} {at}");
    }
    check_close(table.cost_usd("gpt-5.5", now(), &MILLION_IN), 3.0);
    assert_eq!(table.price("gpt-5.5", now()).unwrap().source, "my contract");
    // Given again, they replace the ones before.
    let table = table.with_overrides(&[]);
    assert_eq!(input(&table, "gpt-5.5", "2026-11-20"), Some(5.0));
    assert_eq!(input(&table, "gpt-7-nova", "2026-11-20"), None);
}

#[test]
fn an_own_price_without_a_day_always_holds() {
    let price = Price { valid_from: Price::ALWAYS, ..own("gpt-5.6-sol", "2026-01-01", 1.0) };
    let table = PriceTable::builtin().with_overrides(&[price]);
    for at in [Timestamp(0), day("2026-07-20"), now()] {
        assert_eq!(table.price("gpt-5.6-sol", at).map(|p| p.input), Some(1.0), "{at:?}");
    }
}

#[test]
fn of_own_prices_the_most_exact_wins() {
    let table = PriceTable::builtin().with_overrides(&[
        own("*", "2026-01-01", 1.0),
        own("claude-*", "2026-01-01", 2.0),
        own("claude-sonnet-4-5*", "2026-01-01", 3.0),
        own("claude-sonnet-4-5", "2026-01-01", 4.0),
        own("claude-sonnet-4-5[1m]", "2026-01-01", 5.0),
        own("claude-sonnet-4-5-20250929", "2026-01-01", 6.0),
        own("claude-opus-5*", "2027-01-01", 7.0),
        own("same", "2026-01-01", 8.0),
        own("same", "2026-01-01", 9.0),
    ]);
    for (model, expected) in [
        ("anything", 1.0),
        ("gpt-5.5", 1.0),
        ("claude-haiku-5-5", 2.0),
        ("claude-sonnet-4-5-latest", 3.0),
        ("claude-sonnet-4-5", 4.0),
        ("claude-sonnet-4-5[1m]", 5.0),
        ("claude-sonnet-4-5-20250929[1m]", 5.0),
        ("claude-sonnet-4-5-20250929", 6.0),
        ("claude-opus-5-5", 2.0), // the longer prefix does not hold yet
        ("same", 9.0),            // the later one in the list
    ] {
        assert_eq!(table.price(model, now()).map(|p| p.input), Some(expected), "{model}");
    }
}

#[test]
fn an_own_name_without_a_star_is_no_prefix() {
    let table = PriceTable::builtin().with_overrides(&[own("gpt-5", "2026-01-01", 99.0)]);
    assert_eq!(table.price("gpt-5.5", now()).map(|p| p.input), Some(5.0));
    assert_eq!(table.price("gpt-5-codex", now()).map(|p| p.input), Some(1.25));
    assert_eq!(table.price("gpt-5-2025-08-07", now()).map(|p| p.input), Some(99.0));
}

#[test]
fn unusable_own_prices_are_left_out() {
    for bad in [
        own("", "2026-01-01", 1.0),
        own("gpt-*-5", "2026-01-01", 1.0),
        own("gpt-5.5", "2026-01-01", -1.0),
        own("gpt-5.5", "2026-01-01", f64::NAN),
        own("gpt-5.5", "2026-01-01", f64::INFINITY),
    ] {
        assert!(bad.problem().is_some(), "{bad:?}");
        let table = PriceTable::builtin().with_overrides(&[bad]);
        assert_eq!(table.price("gpt-5.5", now()).map(|p| p.input), Some(5.0));
        assert_eq!(table.price("", now()), None);
    }
    assert_eq!(own("gpt-5*", "2026-01-01", 0.0).problem(), None);
}

#[test]
fn windows_by_model() {
    let table = PriceTable::builtin();
    for (model, window) in [
        ("claude-sonnet-4-5-20250929", Some(200_000)),
        ("claude-sonnet-4-5-20250929[1m]", Some(1_000_000)),
        ("claude-opus-4-5-20251101", Some(200_000)),
        ("claude-opus-4-6", Some(1_000_000)),
        ("claude-opus-5-5", Some(1_000_000)),
        ("claude-haiku-5-5", Some(1_000_000)),
        ("claude-haiku-4-5-20251001", Some(200_000)),
        // The suffix says it, whatever the model.
        ("claude-opus-9[1m]", Some(1_000_000)),
        ("claude-opus-9", None),
        ("gpt-5-codex", Some(400_000)),
        ("gpt-5-2025-08-07", Some(400_000)),
        ("gpt-5.5", Some(1_050_000)),
        ("gpt-5.3-codex-spark", Some(128_000)),
        ("gpt-5.7", None),
        ("", None),
    ] {
        assert_eq!(table.window(model), window, "{model}");
    }
}

#[test]
fn a_price_is_written_and_read_back() {
    let price = own("gpt-5*", "2026-01-01", 1.5);
    let text = serde_json::to_string(&price).unwrap();
    assert_eq!(serde_json::from_str::<Price>(&text).unwrap(), price);
}

/// Claude Code 2.x prices its own calls (`modelUsage` in `cost-state`); the table agrees with what it wrote.
#[test]
fn the_agents_own_sums_come_out() {
    let usage = |input, output, cache_write_5m, cache_write_1h, cache_read| Usage {
        input,
        output,
        cache_write_5m,
        cache_write_1h,
        cache_read,
    };
    let table = PriceTable::builtin();
    for (model, usage, usd) in [
        ("claude-opus-5-5", usage(927, 398, 690, 12_000, 44_600), 0.120_038),
        ("claude-opus-5-5", usage(967, 342, 70, 0, 1_017_100), 0.214_478),
        ("claude-haiku-5-5", usage(8, 7, 40, 0, 9_000), 0.000_099_3),
    ] {
        check_close(table.cost_usd(model, now(), &usage), usd);
    }
}
