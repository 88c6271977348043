//! The contract: every command declared once.
