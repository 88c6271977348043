//! How OTLP's JSON is read: leniently, because clients differ. 64-bit numbers come as text or as numbers, enums as
//! numbers or as names, ids as hex, absent things as `null`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::proto::{AnyValue, MAX_ATTRIBUTES, Value};

/// `null` counts as absent.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

/// `null` counts as empty.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A list of which at most [`MAX_ATTRIBUTES`] are built; `null` counts as empty.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while all.len() < MAX_ATTRIBUTES {
                match seq.next_element()? {
                    Some(one) => all.push(one),
                    None => return Ok(all),
                }
            }
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(all)
        }
    }
    from.deserialize_any(Bounded(PhantomData))
}

/// Reads a whole number written as a number or as text.
struct Whole;

impl Visitor<'_> for Whole {
    type Value = Option<i128>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, as a number or as text")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
        Ok(Some(n.into()))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Self::Value, E> {
        Ok(Some(n.into()))
    }
    fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<Self::Value, E> {
        // `1.7e18` of a client that keeps its numbers as floats.
        if n.fract() == 0.0 && n.abs() < 1.9e19 {
            format!("{n:.0}").parse().map(Some).map_err(E::custom)
        } else {
            Err(E::custom("not a whole number"))
        }
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() { Ok(None) } else { text.trim().parse().map(Some).map_err(E::custom) }
    }
}

/// An unsigned 64-bit number; absent is 0.
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let n = from.deserialize_any(Whole)?.unwrap_or(0);
    u64::try_from(n).map_err(serde::de::Error::custom)
}

/// Reads an enum written as its number or as its name; an unknown name counts as 0, "unspecified".
pub(crate) fn by_name<'de, D: Deserializer<'de>>(
    from: D,
    names: &'static [(&'static str, i32)],
) -> Result<i32, D::Error> {
    struct Name(&'static [(&'static str, i32)]);
    impl Visitor<'_> for Name {
        type Value = i32;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the number or the name of a choice")
        }
        fn visit_unit<E>(self) -> Result<i32, E> {
            Ok(0)
        }
        fn visit_u64<E>(self, n: u64) -> Result<i32, E> {
            Ok(i32::try_from(n).unwrap_or(0))
        }
        fn visit_i64<E>(self, n: i64) -> Result<i32, E> {
            Ok(i32::try_from(n).unwrap_or(0))
        }
        fn visit_str<E>(self, text: &str) -> Result<i32, E> {
            let named = self.0.iter().find(|(name, _)| text.starts_with(name)).map(|(_, n)| *n);
            Ok(named.or_else(|| text.parse().ok()).unwrap_or(0))
        }
    }
    from.deserialize_any(Name(names))
}

/// A severity; each name stands for the first number of its four.
pub(crate) fn severity<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    by_name(
        from,
        &[
            ("SEVERITY_NUMBER_TRACE", 1),
            ("SEVERITY_NUMBER_DEBUG", 5),
            ("SEVERITY_NUMBER_INFO", 9),
            ("SEVERITY_NUMBER_WARN", 13),
            ("SEVERITY_NUMBER_ERROR", 17),
            ("SEVERITY_NUMBER_FATAL", 21),
        ],
    )
}

/// A span's kind.
pub(crate) fn span_kind<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    by_name(
        from,
        &[
            ("SPAN_KIND_INTERNAL", 1),
            ("SPAN_KIND_SERVER", 2),
            ("SPAN_KIND_CLIENT", 3),
            ("SPAN_KIND_PRODUCER", 4),
            ("SPAN_KIND_CONSUMER", 5),
        ],
    )
}

/// A span's status.
pub(crate) fn status_code<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    by_name(from, &[("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)])
}

/// A trace or span id in hex, of either case; absent is empty.
pub(crate) fn hex<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text: Option<std::borrow::Cow<'de, str>> = Option::deserialize(from)?;
    let text = text.unwrap_or_default();
    if !text.len().is_multiple_of(2) || text.len() > 64 {
        return Err(serde::de::Error::custom("an id is 16 or 32 hex digits"));
    }
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| serde::de::Error::custom("an id is written in hex"))
}

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOf;
        impl<'de> Visitor<'de> for OneOf {
            type Value = AnyValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
                let mut value = None;
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match key.as_ref() {
                        "stringValue" => value = map.next_value::<Option<String>>()?.map(Value::Text),
                        "boolValue" => value = map.next_value::<Option<bool>>()?.map(Value::Bool),
                        "intValue" => {
                            let n = map.next_value::<Int>()?.0;
                            value = n.and_then(|n| i64::try_from(n).ok()).map(Value::Int);
                        }
                        "doubleValue" => value = map.next_value::<Real>()?.0.map(Value::Double),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(AnyValue { value })
            }
        }
        from.deserialize_map(OneOf)
    }
}

pub(crate) struct Int(pub(crate) Option<i128>);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Whole).map(Self)
    }
}

/// A float, written as a number or as text (`"NaN"`).
pub(crate) struct Real(pub(crate) Option<f64>);

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Option<f64>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_f64<E>(self, n: f64) -> Result<Self::Value, E> {
                Ok(Some(n))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
                Ok(Some(n as f64))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Self::Value, E> {
                Ok(Some(n as f64))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map(Some).map_err(E::custom)
            }
        }
        from.deserialize_any(Number).map(Self)
    }
}

/// A double; absent is `None`, and so is one that is no number.
pub(super) fn double<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(Real::deserialize(from)?.0)
}

/// A signed 64-bit number; absent is `None`.
pub(super) fn signed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let n = from.deserialize_any(Whole)?;
    n.map(i64::try_from).transpose().map_err(serde::de::Error::custom)
}

/// `null` counts as false.
pub(super) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// How the points of a sum follow each other.
pub(super) fn temporality<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    by_name(from, &[("AGGREGATION_TEMPORALITY_DELTA", 1), ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2)])
}
