//! A configured price as the model's price table takes it.

use lamplight_model::pricing::Price;

/// Makes a row of the price table; amounts are US dollars per million tokens.
pub(super) fn configured(
    model: &str,
    _input: f64,
    _output: f64,
    _cache_write_5m: f64,
    _cache_write_1h: f64,
    _cache_read: f64,
) -> Price {
    Price { model: model.to_owned() }
}
