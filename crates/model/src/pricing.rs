//! Cost by a dated price table.

/// One row of the price table, US dollars per million tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// Model, as written or as a prefix that ends with `*`.
    pub model: String,
}
