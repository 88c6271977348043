//! `lamp`.
fn main() {}
