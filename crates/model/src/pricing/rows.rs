//! Reads the two data files: prices and context windows, each row with the page it was read in.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::Price;

/// Columns of `prices.csv`.
const PRICE_COLUMNS: &str =
    "model,valid_from,input,output,cache_write_5m,cache_write_1h,cache_read,source,copy";
/// Columns of `windows.csv`.
const WINDOW_COLUMNS: &str = "model,window,source,copy";

/// Why a line of a data file is no row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowError {
    #[error("line {line}: the columns must be {expected}")]
    Columns { line: usize, expected: &'static str },
    #[error("line {line}: {found} fields, {expected} expected")]
    Fields { line: usize, found: usize, expected: usize },
    #[error("line {line}: no model")]
    Model { line: usize },
    #[error("line {line}: {column} is not a date")]
    Date { line: usize, column: &'static str },
    #[error("line {line}: {column} is not an amount")]
    Amount { line: usize, column: &'static str },
    #[error("line {line}: no page is cited")]
    Citation { line: usize },
    #[error("line {line}: a second row for the same model and day")]
    Twice { line: usize },
}

/// Reads `prices.csv`; lines that are no rows are returned as errors and give no price.
pub(super) fn read_prices(text: &str) -> (Vec<Price>, Vec<RowError>) {
    let (mut rows, mut errors) = (Vec::<Price>::new(), Vec::new());
    for line in lines(text, PRICE_COLUMNS, &mut errors) {
        match price(&line) {
            Ok(row) if rows.iter().any(|r| r.model == row.model && r.valid_from == row.valid_from) => {
                errors.push(RowError::Twice { line: line.number });
            }
            Ok(row) => rows.push(row),
            Err(error) => errors.push(error),
        }
    }
    (rows, errors)
}

/// Reads `windows.csv`, model to tokens.
pub(super) fn read_windows(text: &str) -> (BTreeMap<String, u64>, Vec<RowError>) {
    let (mut windows, mut errors) = (BTreeMap::new(), Vec::new());
    for line in lines(text, WINDOW_COLUMNS, &mut errors) {
        match window(&line) {
            Ok((model, _)) if windows.contains_key(&model) => {
                errors.push(RowError::Twice { line: line.number })
            }
            Ok((model, tokens)) => {
                windows.insert(model, tokens);
            }
            Err(error) => errors.push(error),
        }
    }
    (windows, errors)
}

/// A line that is neither empty nor a comment nor the names of the columns.
struct Line<'a> {
    number: usize,
    fields: Vec<&'a str>,
}

fn lines<'a>(text: &'a str, columns: &'static str, errors: &mut Vec<RowError>) -> Vec<Line<'a>> {
    let mut rows = text
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    match rows.next() {
        Some((_, first)) if first == columns => {}
        other => {
            errors.push(RowError::Columns { line: other.map_or(1, |(number, _)| number), expected: columns });
            return Vec::new();
        }
    }
    rows.map(|(number, line)| Line { number, fields: line.split(',').map(str::trim).collect() }).collect()
}

fn price(line: &Line<'_>) -> Result<Price, RowError> {
    let &[model, valid_from, input, output, write_5m, write_1h, read, source, copy] = line.fields.as_slice()
    else {
        return Err(RowError::Fields { line: line.number, found: line.fields.len(), expected: 9 });
    };
    let amount = |column, text: &str| match text.parse::<f64>() {
        Ok(n) if n.is_finite() && n >= 0.0 => Ok(n),
        _ => Err(RowError::Amount { line: line.number, column }),
    };
    Ok(Price {
        model: model_name(line.number, model)?,
        input: amount("input", input)?,
        output: amount("output", output)?,
        cache_write_5m: amount("cache_write_5m", write_5m)?,
        cache_write_1h: amount("cache_write_1h", write_1h)?,
        cache_read: amount("cache_read", read)?,
        valid_from: date(line.number, "valid_from", valid_from)?,
        source: citation(line.number, source, copy)?,
    })
}

fn window(line: &Line<'_>) -> Result<(String, u64), RowError> {
    let &[model, tokens, source, copy] = line.fields.as_slice() else {
        return Err(RowError::Fields { line: line.number, found: line.fields.len(), expected: 4 });
    };
    citation(line.number, source, copy)?;
    let tokens = tokens.parse().ok().filter(|&n| n > 0);
    let tokens = tokens.ok_or(RowError::Amount { line: line.number, column: "window" })?;
    Ok((model_name(line.number, model)?, tokens))
}

/// Prefixes are for a user's own prices; in the table every model stands by name.
fn model_name(line: usize, model: &str) -> Result<String, RowError> {
    if model.is_empty() || model.contains(['*', '[']) {
        return Err(RowError::Model { line });
    }
    Ok(model.to_owned())
}

fn date(line: usize, column: &'static str, text: &str) -> Result<NaiveDate, RowError> {
    text.parse().map_err(|_| RowError::Date { line, column })
}

/// No citation, no row: a page, and the date its copy bears or the word that it bears none.
fn citation(line: usize, source: &str, copy: &str) -> Result<String, RowError> {
    let host = source.strip_prefix("https://").and_then(|rest| rest.split('/').next());
    if !host.is_some_and(|host| host.contains('.')) || source.contains(char::is_whitespace) {
        return Err(RowError::Citation { line });
    }
    if copy == "undated" {
        return Ok(format!("{source} (copy undated)"));
    }
    date(line, "copy", copy).map(|date| format!("{source} (copy of {date})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_price(row: &str, expected: Result<(), RowError>) {
        let (rows, errors) = read_prices(&format!("# comment\n\n{PRICE_COLUMNS}\n{row}\n"));
        match expected {
            Ok(()) => assert_eq!((rows.len(), errors), (1, vec![]), "{row}"),
            Err(error) => assert_eq!((rows.len(), errors), (0, vec![error]), "{row}"),
        }
    }

    #[test]
    fn a_row_needs_every_field_and_a_citation() {
        let line = 4;
        let page = "https://example.org/prices";
        check_price(&format!("m,2026-01-02,1,2,3,4,0.5,{page},2026-02-03"), Ok(()));
        check_price(&format!("m,2026-01-02,1,2,3,4,0.5,{page},undated"), Ok(()));
        check_price("m,2026-01-02,1,2,3,4,0.5,,", Err(RowError::Citation { line }));
        check_price("m,2026-01-02,1,2,3,4,0.5,I remember,undated", Err(RowError::Citation { line }));
        check_price("m,2026-01-02,1,2,3,4,0.5,https://,undated", Err(RowError::Citation { line }));
        check_price("m,2026-01-02,1,2,3,4,0.5,http://example.org/,undated", Err(RowError::Citation { line }));
        check_price(
            &format!("m,2026-01-02,1,2,3,4,0.5,{page},"),
            Err(RowError::Date { line, column: "copy" }),
        );
        check_price(
            &format!("m,2026-01-02,1,2,3,4,0.5,{page}"),
            Err(RowError::Fields { line, found: 8, expected: 9 }),
        );
        check_price(&format!(",2026-01-02,1,2,3,4,0.5,{page},undated"), Err(RowError::Model { line }));
        check_price(&format!("m*,2026-01-02,1,2,3,4,0.5,{page},undated"), Err(RowError::Model { line }));
        check_price(
            &format!("m,soon,1,2,3,4,0.5,{page},undated"),
            Err(RowError::Date { line, column: "valid_from" }),
        );
        for bad in ["", "-1", "NaN", "inf", "$1"] {
            check_price(
                &format!("m,2026-01-02,1,2,{bad},4,0.5,{page},undated"),
                Err(RowError::Amount { line, column: "cache_write_5m" }),
            );
        }
    }

    #[test]
    fn a_row_keeps_what_it_says() {
        let page = "https://example.org/prices";
        let (rows, _) = read_prices(&format!("{PRICE_COLUMNS}\nm,2026-01-02,1,2,3,4,0.5,{page},2026-02-03"));
        assert_eq!(
            rows,
            [Price {
                model: "m".to_owned(),
                input: 1.0,
                output: 2.0,
                cache_write_5m: 3.0,
                cache_write_1h: 4.0,
                cache_read: 0.5,
                valid_from: NaiveDate::from_ymd_opt(2026, 1, 2).unwrap(),
                source: format!("{page} (copy of 2026-02-03)"),
            }]
        );
    }

    #[test]
    fn one_row_for_a_model_and_day() {
        let row = "m,2026-01-02,1,2,3,4,0.5,https://example.org/,undated";
        let (rows, errors) = read_prices(&format!("{PRICE_COLUMNS}\n{row}\n{row}\n"));
        assert_eq!((rows.len(), errors), (1, vec![RowError::Twice { line: 3 }]));
        let row = "m,200000,https://example.org/,undated";
        let (windows, errors) = read_windows(&format!("{WINDOW_COLUMNS}\n{row}\n{row}\n"));
        assert_eq!((windows.len(), errors), (1, vec![RowError::Twice { line: 3 }]));
    }

    #[test]
    fn a_window_needs_tokens_and_a_citation() {
        for (row, error) in [
            ("m,0,https://example.org/,undated", RowError::Amount { line: 2, column: "window" }),
            ("m,1M,https://example.org/,undated", RowError::Amount { line: 2, column: "window" }),
            ("m,200000,,undated", RowError::Citation { line: 2 }),
            ("m,200000", RowError::Fields { line: 2, found: 2, expected: 4 }),
        ] {
            let (windows, errors) = read_windows(&format!("{WINDOW_COLUMNS}\n{row}\n"));
            assert_eq!((windows.len(), errors), (0, vec![error]), "{row}");
        }
    }

    #[test]
    fn other_columns_give_no_rows() {
        let expected = PRICE_COLUMNS;
        for (text, line) in [("model,price\nm,1", 1), ("", 1), ("# only a comment", 1), ("#\nmodel", 2)] {
            let (rows, errors) = read_prices(text);
            assert_eq!((rows, errors), (vec![], vec![RowError::Columns { line, expected }]), "{text:?}");
        }
    }
}
