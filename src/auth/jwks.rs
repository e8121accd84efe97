//! A JSON Web Key Set (RFC 7517) becomes a [`KeySet`]. What cannot be used of it is passed
//! over, and said: an issuer may publish keys for others, too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::keys::{Key, KeySet, is_key_id};

/// Bytes of a document; issuers publish a few keys of some hundred bytes each.
pub(super) const JWKS_BYTES_MAX: usize = 256 * 1024;

/// Keys of a document that are looked at.
const KEYS_MAX: usize = 64;

/// RSA keys with fewer bits can be broken, and those with more cost too much to check.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The bytes of a coordinate on P-256, and of a key of Ed25519.
const COORDINATE_BYTES: usize = 32;

/// A document that has been understood.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) keys: KeySet,
    /// Each key that was passed over, with the reason.
    pub(super) passed_over: Vec<String>,
}

#[derive(Deserialize)]
struct RawDocument {
    keys: Vec<Value>,
}

/// The members that matter, of all kinds of keys.
#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    // Of a private key, which nobody else may have.
    d: Option<Value>,
    p: Option<Value>,
    q: Option<Value>,
    dp: Option<Value>,
    dq: Option<Value>,
    qi: Option<Value>,
}

/// The document's keys that can be used.
///
/// # Errors
/// Why there is none; the text quotes nothing of the document.
pub(super) fn read(document: &[u8]) -> Result<Document, String> {
    if document.len() > JWKS_BYTES_MAX {
        return Err(format!("has more than {JWKS_BYTES_MAX} bytes"));
    }
    let RawDocument { keys: raw } =
        serde_json::from_slice(document).map_err(|_| "is no JSON Web Key Set".to_owned())?;
    let mut passed_over = Vec::new();
    if raw.len() > KEYS_MAX {
        passed_over.push(format!("all after the first {KEYS_MAX}"));
    }
    let mut keys = Vec::new();
    for (at, raw) in raw.into_iter().take(KEYS_MAX).enumerate() {
        match key(raw) {
            Ok(key) => keys.push(key),
            Err((id, reason)) => {
                let name = id.map_or_else(|| format!("number {}", at + 1), |id| format!("'{id}'"));
                passed_over.push(format!("{name} {reason}"));
            }
        }
    }
    match KeySet::new(keys) {
        Some(keys) => Ok(Document { keys, passed_over }),
        None if passed_over.is_empty() => Err("has no keys".to_owned()),
        None => Err(format!("has no key that can be used: {}", passed_over.join("; "))),
    }
}

type NotTaken = (Option<String>, &'static str);

fn key(raw: Value) -> Result<Key, NotTaken> {
    let mut raw: RawKey = serde_json::from_value(raw).map_err(|_| (None, "is no JSON Web Key"))?;
    let id = raw.kid.take();
    if id.as_deref().is_some_and(|id| !is_key_id(id)) {
        return Err((None, "has a name that is empty, too long or not printable"));
    }
    match public_key(&raw) {
        Ok((algorithm, key)) => Ok(Key { algorithm, id, key }),
        Err(reason) => Err((id, reason)),
    }
}

/// A key of exactly one of the kinds that are known, with the algorithm of its kind.
fn public_key(raw: &RawKey) -> Result<(Algorithm, DecodingKey), &'static str> {
    let is_private =
        [&raw.d, &raw.p, &raw.q, &raw.dp, &raw.dq, &raw.qi].into_iter().any(Option::is_some);
    if is_private {
        return Err("is a private key, which should not be published");
    }
    let signs = raw.r#use.as_deref().is_none_or(|name| name == "sig")
        && raw.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !signs {
        return Err("is not for signatures");
    }
    let is_for = |names: &[&str]| raw.alg.as_deref().is_none_or(|alg| names.contains(&alg));
    match (raw.kty.as_str(), raw.crv.as_deref()) {
        ("RSA", _) if is_for(&["RS256"]) => Ok((Algorithm::RS256, rsa(raw)?)),
        ("EC", Some("P-256")) if is_for(&["ES256"]) => Ok((Algorithm::ES256, p256(raw)?)),
        ("OKP", Some("Ed25519")) if is_for(&["EdDSA", "Ed25519"]) => {
            let x = coordinate(raw.x.as_deref())?;
            Ok((Algorithm::EdDSA, DecodingKey::from_ed_der(&x)))
        }
        ("oct", _) => Err("is a symmetric key, which should not be published"),
        _ => Err("is for an algorithm that is not used here"),
    }
}

fn rsa(raw: &RawKey) -> Result<DecodingKey, &'static str> {
    let (n, e) = (number(raw.n.as_deref())?, number(raw.e.as_deref())?);
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("is an RSA key of fewer than 2048 or more than 8192 bits");
    }
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

/// As an uncompressed point.
fn p256(raw: &RawKey) -> Result<DecodingKey, &'static str> {
    let (x, y) = (coordinate(raw.x.as_deref())?, coordinate(raw.y.as_deref())?);
    Ok(DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
}

const INCOMPLETE: &str = "lacks a part, or has one that is not understood";

fn bytes(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD.decode(text.ok_or(INCOMPLETE)?).map_err(|_| INCOMPLETE)
}

fn coordinate(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    bytes(text).and_then(|it| if it.len() == COORDINATE_BYTES { Ok(it) } else { Err(INCOMPLETE) })
}

/// A number without the zeros in front that some issuers write.
fn number(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let bytes = bytes(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes[zeros..].to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use serde_json::json;

    use super::*;

    fn text(bytes: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xA5; bytes])
    }

    fn rsa_key(bytes: usize) -> Value {
        json!({ "kty": "RSA", "kid": "r", "n": text(bytes), "e": "AQAB" })
    }

    fn with(mut key: Value, member: &str, value: impl Into<Value>) -> Value {
        key[member] = value.into();
        key
    }

    fn taken(keys: &[Value]) -> Result<Document, String> {
        read(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn keys_are_taken_each_for_the_algorithm_of_its_kind() {
        let ec =
            json!({ "kty": "EC", "crv": "P-256", "kid": "same", "x": text(32), "y": text(32) });
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "same", "x": text(32) });
        let all = [with(rsa_key(256), "alg", "RS256"), with(ec, "use", "sig"), ed];
        let document = taken(&all).expect("three keys");
        assert_eq!((document.keys.len(), document.passed_over.len()), (3, 0));
        let found = |algorithm, id| document.keys.candidates(algorithm, id).count();
        assert_eq!(found(Algorithm::ES256, Some("same")), 1);
        assert_eq!(found(Algorithm::EdDSA, Some("same")), 1);
        assert_eq!(found(Algorithm::RS256, Some("same")), 0);
        assert_eq!(found(Algorithm::RS256, None), 1);
        assert_eq!(found(Algorithm::HS256, None), 0);
    }

    #[test]
    fn keys_that_cannot_or_must_not_be_used_are_passed_over_by_name() {
        let ec = json!({ "kty": "EC", "crv": "P-256", "kid": "e", "x": text(32), "y": text(32) });
        for (bad, said) in [
            (rsa_key(128), "'r' is an RSA key of fewer"),
            (rsa_key(2048), "'r' is an RSA key of fewer than 2048 or more"),
            (with(rsa_key(256), "use", "enc"), "'r' is not for signatures"),
            (with(rsa_key(256), "key_ops", json!(["encrypt"])), "'r' is not for signatures"),
            (with(rsa_key(256), "alg", "RS512"), "'r' is for an algorithm"),
            (with(rsa_key(256), "alg", "HS256"), "'r' is for an algorithm"),
            (with(rsa_key(256), "d", text(256)), "'r' is a private key"),
            (with(rsa_key(256), "n", "not base64!"), "'r' lacks a part"),
            (with(rsa_key(256), "n", Value::Null), "'r' lacks a part"),
            (with(rsa_key(256), "n", ""), "'r' is an RSA key of fewer"),
            (with(ec.clone(), "x", text(31)), "'e' lacks a part"),
            (with(ec.clone(), "crv", "P-384"), "'e' is for an algorithm"),
            (with(ec, "kid", "a\nb"), "number 2 has a name"),
            (json!({ "kty": "oct", "kid": "s", "k": text(32) }), "'s' is a symmetric key"),
            (json!({ "kid": "none" }), "number 2 is no JSON Web Key"),
            (json!(7), "number 2 is no JSON Web Key"),
        ] {
            let document = taken(&[rsa_key(256), bad]).expect("the good key stays");
            assert_eq!(document.keys.len(), 1);
            assert!(document.passed_over[0].starts_with(said), "{:?}", document.passed_over);
        }
    }

    #[test]
    fn a_document_without_a_key_that_can_be_used_is_refused() {
        assert_eq!(taken(&[]).expect_err("none"), "has no keys");
        let said = taken(&[rsa_key(128)]).expect_err("none");
        assert!(said.starts_with("has no key that can be used: 'r' is an RSA key"), "{said}");
        for garbage in ["", "<html>", "[]", "{}", "{\"keys\":7}"] {
            assert_eq!(read(garbage.as_bytes()).expect_err("none"), "is no JSON Web Key Set");
        }
        assert!(read(&vec![b' '; JWKS_BYTES_MAX + 1]).expect_err("none").contains("more than"));
    }

    #[test]
    fn zeros_in_front_of_a_modulus_do_not_count() {
        let mut modulus = vec![0];
        modulus.extend([0xA5; 128]);
        let key = with(rsa_key(256), "n", URL_SAFE_NO_PAD.encode(modulus));
        assert!(taken(&[key]).is_err(), "1024 bits");
    }

    proptest! {
        #[test]
        fn whatever_a_document_says_no_key_is_for_another_algorithm_and_no_line_is_forged(
            changes in vec((any::<Index>(), any::<u8>()), 0..6),
            cut in proptest::option::of(any::<Index>()),
            anything in vec(any::<u8>(), 0..200),
        ) {
            let ec = json!({ "kty": "EC", "crv": "P-256", "kid": "e", "x": text(32), "y": text(32) });
            let ed = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "d", "x": text(32), "use": "sig" });
            let mut document = json!({ "keys": [ec, ed] }).to_string().into_bytes();
            for (place, byte) in changes {
                let place = place.index(document.len());
                document[place] = byte;
            }
            if let Some(cut) = cut {
                document.truncate(cut.index(document.len()));
            }
            for document in [document, anything] {
                let said = match read(&document) {
                    Ok(document) => {
                        prop_assert_eq!(document.keys.candidates(Algorithm::HS256, None).count(), 0);
                        prop_assert!(document.keys.len() <= KEYS_MAX);
                        document.passed_over.join(" ")
                    }
                    Err(said) => said,
                };
                prop_assert!(!said.contains(char::is_control), "{:?}", said);
            }
        }
    }
}
