//! A configured price as the model's price table takes it.

use lamplight_model::pricing::Price;

/// Makes a row of the price table; amounts are US dollars per million tokens.
pub(super) fn configured(
    model: &str,
    input: f64,
    output: f64,
    cache_write_5m: f64,
    cache_write_1h: f64,
    cache_read: f64,
) -> Price {
    Price {
        model: model.to_owned(),
        input,
        output,
        cache_write_5m,
        cache_write_1h,
        cache_read,
        valid_from: Price::ALWAYS,
        source: "settings".to_owned(),
    }
}
