//! The URL of an endpoint: what is wrong with it can be said at once, or only when its name is
//! resolved. This is the first part; the dispatcher checks every connection again.

use shared::guard::Guard;
use url::Url;

const MAX_LEN: usize = 2048;

/// Checks a URL and writes it in its normal form, without fragment; the error says what is wrong.
pub(super) fn normalise(text: &str, guard: &Guard) -> Result<String, String> {
    if text.len() > MAX_LEN {
        return Err("longer than 2048 bytes".into());
    }
    // The parser would quietly drop or turn these.
    if text.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\') {
        return Err("must not contain control characters or backslashes".into());
    }
    let mut url = Url::parse(text.trim()).map_err(|_| "not a URL")?;
    guard.url(&url).map_err(|refusal| refusal.to_string())?;
    url.set_fragment(None);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(text: &str) -> Result<String, String> {
        normalise(text, &Guard::default())
    }

    #[test]
    fn takes_https_and_writes_the_normal_form() {
        assert_eq!(
            strict("HTTPS://Example.COM:443/a/../b?q#f").unwrap(),
            "https://example.com/b?q"
        );
        assert!(strict("https://1.1.1.1/").is_ok());
        assert!(strict("https://[2606:4700::1111]/").is_ok());
    }

    #[test]
    fn refuses_what_the_parser_would_mend() {
        for text in ["", "example.com", "https:\\\\example.com", "https://exa\tmple.com/"] {
            assert!(strict(text).is_err(), "{text}: {:?}", strict(text));
        }
    }

    #[test]
    fn refuses_what_the_guard_refuses() {
        assert!(strict("https://127.1/").unwrap_err().contains("not public"));
        assert!(strict("http://example.com/").unwrap_err().contains("https"));
    }
}
