//! The bearer token: made once, kept in a file only its owner reads, compared in constant time.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

use super::ServeError;
use super::endpoint::write_private;

/// File name inside the data directory.
const TOKEN_NAME: &str = "token";
/// 256 random bits, as hex.
const TOKEN_CHARS: usize = 64;

/// A bearer token of 64 hex characters. `Debug` does not show it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token a user chose for exporters; one that cannot be used stands for a token nobody knows.
    pub(super) fn chosen(text: &str) -> io::Result<Self> {
        if crate::config_file::is_token(text) { Ok(Self(text.to_owned())) } else { Self::random() }
    }

    fn random() -> io::Result<Self> {
        let mut bytes = [0u8; TOKEN_CHARS / 2];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Whether `presented` is the token, in time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a token as the file holds it; `None` when it is not one (cut short, edited).
    #[must_use]
    pub fn from_file_text(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let ok = text.len() == TOKEN_CHARS
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ok.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Reads the token of `data_dir`, or makes one; a file that holds none is replaced, because nothing could use it.
pub(super) fn load_or_create(data_dir: &Path) -> Result<(Token, PathBuf), ServeError> {
    let path = data_dir.join(TOKEN_NAME);
    match read_or_make(&path) {
        Ok(token) => Ok((token, path)),
        Err(source) => Err(ServeError::File { path, source }),
    }
}

fn read_or_make(path: &Path) -> io::Result<Token> {
    let found = match std::fs::read(path) {
        Ok(bytes) => Token::from_file_text(&String::from_utf8_lossy(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(token) = found {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        return Ok(token);
    }
    let token = Token::random()?;
    write_private(path, token.as_str().as_bytes())?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let (first, path) = load_or_create(dir.path()).unwrap();
        assert_eq!(first.as_str().len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (second, _) = load_or_create(dir.path()).unwrap();
        assert_eq!(first.as_str(), second.as_str());
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "made private again"
        );
    }

    #[test]
    fn a_file_that_holds_no_token_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "abc").unwrap();
        let (token, path) = load_or_create(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), token.as_str());
    }

    #[test]
    fn only_the_whole_token_matches() {
        let token = Token::from_file_text(&"a1".repeat(32)).unwrap();
        assert!(token.matches("a1".repeat(32).as_bytes()));
        for wrong in ["", "a1", &"a1".repeat(31), &"a1".repeat(33), &"A1".repeat(32), &"a2".repeat(32)] {
            assert!(!token.matches(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
