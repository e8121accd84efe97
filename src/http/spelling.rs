//! One spelling for each path. Routes are found by the path after its escapes are read, and
//! what stands before them (a proxy's rules, a log) sees it as it was sent: a path that is
//! read otherwise than it looks is refused.

use actix_web::HttpRequest;

/// Whether the request's target has its one spelling.
///
/// # Errors
/// With what is wrong about it.
pub(super) fn check(request: &HttpRequest) -> Result<(), &'static str> {
    let target = request.uri();
    if let Some(authority) = target.authority() {
        // RFC 9112, 3.2.2: a client sends the target's own authority as its Host, and a
        // server goes by the target's.
        let host = request.headers().get("host").map(|host| host.as_bytes());
        if host != Some(authority.as_str().as_bytes()) {
            return Err("the target and the Host header name different hosts");
        }
    }
    check_path(target.path())
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let mut rest = path.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'%' => {
                let (digits, behind) =
                    behind.split_at_checked(2).ok_or("the path ends in an escape")?;
                rest = behind;
                check_escape(digits)?;
            }
            b'\\' => return Err("the path has a backslash"),
            _ => {}
        }
    }
    let is_plain = |segment: &str| !matches!(segment, "." | "..");
    if path.split('/').all(is_plain) { Ok(()) } else { Err("the path has a segment of dots") }
}

fn check_escape(digits: &[u8]) -> Result<(), &'static str> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'));
    let byte = text.and_then(|text| u8::from_str_radix(text, 16).ok());
    match byte.ok_or("the path has an escape that is none")? {
        b if b.is_ascii_control() => Err("the path has an escaped control character"),
        // RFC 3986, 2.3: what is not reserved should not be escaped.
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => {
            Err("the path has an escape of a character that needs none")
        }
        b'\\' => Err("the path has a backslash"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for good in ["/", "/api/jobs", "/a%2Fb", "/contractor%2f1", "/%C3%A9", "/a.b/...", "*"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in [
            "/%61pi/jobs",
            "/api/%2e%2e/jobs",
            "/api/../jobs",
            "/api/./jobs",
            "/..",
            "/a%00",
            "/a%0a",
            "/a%0D",
            "/a%7f",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%+1",
            "/a\\b",
            "/a%5cb",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
