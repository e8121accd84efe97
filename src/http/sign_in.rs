//! How people sign in to the page: somewhere else, if it is configured. The page gets a
//! token handed over, and renews it, without this server having a part in that.

use actix_web::http::Uri;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::HttpState;

/// Where the page's users get their tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignInPages {
    /// A page that hands a token over in the fragment of the address that it returns to.
    pub sign_in_url: Option<String>,
    /// What answers another token to whoever is signed in there, by the browser's cookies.
    pub token_renewal_url: Option<String>,
}

/// The same, ready for requests.
#[derive(Debug)]
pub struct SignIn {
    pages: SignInPages,
    /// What the page may load and do.
    policy: HeaderValue,
}

impl SignIn {
    /// Everything comes from this server, and the page calls nobody else but where it
    /// renews its token.
    #[must_use]
    pub fn new(pages: SignInPages) -> Self {
        let renewal =
            pages.renewal_origin().map_or_else(String::new, |origin| format!(" {origin}"));
        let policy = format!(
            "default-src 'self'; connect-src 'self'{renewal}; img-src 'self' data:; \
             object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::try_from(policy).expect("an origin is of plain characters");
        Self { pages, policy }
    }

    pub(super) fn policy(&self) -> &HeaderValue {
        &self.policy
    }
}

/// What the page is told of it, whoever asks: nothing of it is a secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignIn)]
pub(super) struct SignInJson {
    /// Whether there are personas to be tried.
    is_demo: bool,
    /// Where to get a token; null where one is pasted.
    sign_in_url: Option<String>,
    /// Where to get the next one; null where there is none to be had.
    token_renewal_url: Option<String>,
}

/// Why a text is no address that a browser can be sent to; none if it is.
#[must_use]
pub fn page_url_fault(url: &str) -> Option<String> {
    origin_of(url).is_none().then(|| {
        format!("'{url}' is no address: https://HOST/PATH, or http://, without user or fragment")
    })
}

impl SignInPages {
    /// The origin that the page may call beside its own, as browsers write it.
    fn renewal_origin(&self) -> Option<String> {
        origin_of(self.token_renewal_url.as_deref()?)
    }
}

/// Scheme, host and port, if these are all that stands before the path.
fn origin_of(url: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '\\' | '<' | '>');
    let uri = url.parse::<Uri>().ok().filter(|_| url.chars().all(is_plain))?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "https" | "http"))?;
    let authority = uri.authority()?.as_str();
    // It becomes part of a header's list, where a separator would begin another entry.
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    (!uri.host()?.is_empty() && authority.chars().all(is_host))
        .then(|| format!("{scheme}://{}", authority.to_ascii_lowercase()))
}

pub(super) async fn pages(state: web::Data<HttpState>) -> HttpResponse {
    let SignInPages { sign_in_url, token_renewal_url } = state.sign_in.pages.clone();
    let is_demo = state.demo.is_some();
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(SignInJson {
        is_demo,
        sign_in_url,
        token_renewal_url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_nothing_that_hides_another_one() {
        for (url, origin) in [
            ("https://login.example/renew?for=board", "https://login.example"),
            ("https://Login.example:8443", "https://login.example:8443"),
            ("http://127.0.0.1:9/x", "http://127.0.0.1:9"),
            ("http://[::1]:9/x", "http://[::1]:9"),
        ] {
            assert_eq!(origin_of(url).as_deref(), Some(origin));
            assert_eq!(page_url_fault(url), None);
        }
        for url in [
            "",
            "/renew",
            "//login.example/renew",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://login.example/",
            "https://",
            "https:///renew",
            "https://user@login.example/",
            "https://a.example;script-src/*",
            "https://a.example,b.example/",
            "https://*.example/",
            "https://a.example b.example/",
            "https://a.example/#fragment",
            "https://a.example/\r\nx: y",
        ] {
            assert!(page_url_fault(url).is_some(), "{url}");
        }
    }

    #[test]
    fn the_page_may_call_where_tokens_are_renewed_and_not_where_people_sign_in() {
        let pages = SignInPages {
            sign_in_url: Some("https://login.example/".to_owned()),
            token_renewal_url: Some("https://tokens.example/renew".to_owned()),
        };
        assert_eq!(pages.renewal_origin().as_deref(), Some("https://tokens.example"));
        assert_eq!(SignInPages { token_renewal_url: None, ..pages }.renewal_origin(), None);
    }
}
