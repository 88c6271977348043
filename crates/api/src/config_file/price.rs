//! A configured price as the model's price table takes it.

use std::collections::BTreeMap;

use lamplight_model::pricing::Price;

/// Keys of a price.
pub(super) const PRICE_KEYS: &[&str] = &["input", "output", "cache_write_5m", "cache_write_1h", "cache_read"];

/// Makes a row of the price table from amounts in US dollars per million tokens, or says what is wrong with them.
pub(super) fn configured(model: &str, amounts: &BTreeMap<&str, f64>) -> Result<Price, &'static str> {
    let (Some(input), Some(output)) = (amounts.get("input").copied(), amounts.get("output").copied()) else {
        return Err("needs input and output, in US dollars per million tokens");
    };
    // Anthropic's published multiples of the input price; agents without cache writes never count any.
    let or = |key: &str, multiple: f64| amounts.get(key).copied().unwrap_or(input * multiple);
    let price = Price {
        model: model.to_owned(),
        input,
        output,
        cache_write_5m: or("cache_write_5m", 1.25),
        cache_write_1h: or("cache_write_1h", 2.0),
        cache_read: or("cache_read", 0.1),
        valid_from: Price::ALWAYS,
        source: "your settings".to_owned(),
    };
    match price.problem() {
        Some(problem) => Err(problem),
        None => Ok(price),
    }
}
