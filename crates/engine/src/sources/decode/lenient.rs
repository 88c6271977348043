//! Types that take a JSON value for what it is worth: where another type stands than expected, they are empty and the
//! rest of the record is read all the same. They borrow from the line and can be read from a stream too.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Returns the first `most` characters of a text.
pub(super) fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

/// What a lenient type makes of each JSON value; everything is ignored unless said otherwise.
pub(super) trait Take<'de>: Default {
    fn from_text(_text: Cow<'de, str>) -> Self {
        Self::default()
    }
    fn from_integer(_number: u64) -> Self {
        Self::default()
    }
    fn from_number(_number: f64) -> Self {
        Self::default()
    }
    fn from_bool(_bool: bool) -> Self {
        Self::default()
    }
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

struct AnyValue<T>(PhantomData<T>);

/// Reads any JSON value as a lenient type.
pub(super) fn take<'de, T: Take<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(AnyValue(PhantomData))
}

impl<'de, T: Take<'de>> Visitor<'de> for AnyValue<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T, E> {
        Ok(T::from_text(Cow::Borrowed(text)))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::from_text(Cow::Owned(text.to_owned())))
    }
    fn visit_string<E: Error>(self, text: String) -> Result<T, E> {
        Ok(T::from_text(Cow::Owned(text)))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok(T::from_integer(number))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        Ok(u64::try_from(number).map(T::from_integer).unwrap_or_default())
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        Ok(T::from_number(number))
    }
    fn visit_bool<E: Error>(self, bool: bool) -> Result<T, E> {
        Ok(T::from_bool(bool))
    }
    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_none<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::from_list(list)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
    }
}

macro_rules! deserialize_leniently {
    ($([$($generics:tt)*] $type:ty),+ $(,)?) => {
        $(impl<'de, $($generics)*> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                take(deserializer)
            }
        })+
    };
}

/// A text held whole: ids, names, words. A number is taken as its digits.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Text<'de>(Option<Cow<'de, str>>);

impl Text<'_> {
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
    pub fn is(&self, word: &str) -> bool {
        self.get() == Some(word)
    }
    pub fn into_string(self) -> Option<String> {
        self.0.map(Cow::into_owned)
    }
}

impl<'de> Take<'de> for Text<'de> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self(Some(text))
    }
    fn from_integer(number: u64) -> Self {
        Self(Some(Cow::Owned(number.to_string())))
    }
}

/// The first `MOST` characters of a text.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Clip<'de, const MOST: usize>(Option<Cow<'de, str>>);

impl<const MOST: usize> Clip<'_, MOST> {
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
    pub fn into_string(self) -> Option<String> {
        self.0.map(Cow::into_owned)
    }
}

struct ClipVisitor<const MOST: usize>;

impl<'de, const MOST: usize> Take<'de> for Clip<'de, MOST> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self(Some(match text {
            Cow::Borrowed(text) => Cow::Borrowed(cut(text, MOST)),
            Cow::Owned(mut text) => {
                let end = cut(&text, MOST).len();
                text.truncate(end);
                Cow::Owned(text)
            }
        }))
    }
}

impl<'de, const MOST: usize> Visitor<'de> for ClipVisitor<MOST> {
    type Value = Clip<'de, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Clip(Some(Cow::Borrowed(cut(text, MOST)))))
    }
    // A text with escapes is in the parser's own buffer: only what is kept of it is copied.
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Clip(Some(Cow::Owned(cut(text, MOST).to_owned()))))
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Clip(None))
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Clip(None))
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Clip(None))
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Clip(None))
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Clip(None))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Clip::from_list(list)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Clip::from_map(map)
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for Clip<'de, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClipVisitor)
    }
}

/// A count. Digits in a text are taken; what is negative or no number is nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Count(pub Option<u64>);

impl Count {
    pub fn or_zero(self) -> u64 {
        self.0.unwrap_or_default()
    }
}

impl<'de> Take<'de> for Count {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self(text.trim().parse().ok())
    }
    fn from_integer(number: u64) -> Self {
        Self(Some(number))
    }
    fn from_number(number: f64) -> Self {
        // 2^53: above it a number written with a fraction says nothing exact.
        let whole = (0.0..9_007_199_254_740_992.0).contains(&number);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within range, checked above"
        )]
        Self(whole.then_some(number as u64))
    }
}

/// A number with a fraction.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Real(pub Option<f64>);

impl<'de> Take<'de> for Real {
    fn from_integer(number: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "an amount of money, far below 2^53")]
        Self(Some(number as f64))
    }
    fn from_number(number: f64) -> Self {
        Self(Some(number))
    }
}

/// A flag; absent is false.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Flag(pub bool);

impl<'de> Take<'de> for Flag {
    fn from_bool(bool: bool) -> Self {
        Self(bool)
    }
}

/// A list, at most `MOST` of its elements; the others are passed over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct List<T, const MOST: usize>(pub Vec<T>);

impl<T, const MOST: usize> Default for List<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Take<'de> for List<T, MOST> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut taken = Vec::new();
        while taken.len() < MOST {
            match list.next_element()? {
                Some(element) => taken.push(element),
                None => return Ok(Self(taken)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self(taken))
    }
}

deserialize_leniently! {
    [] Text<'de>,
    [] Count,
    [] Real,
    [] Flag,
    [T: Deserialize<'de>, const MOST: usize] List<T, MOST>,
}

/// The name of a member; borrowed unless it is written with escapes.
pub(super) struct Key<'de>(pub Cow<'de, str>);

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(text)))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Declares what is read of a JSON object: unknown members are passed over, of two with one name the later counts, and
/// where no object stands the whole is empty.
macro_rules! object {
    ($(#[$meta:meta])* $name:ident { $($key:literal => $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(super) struct $name<'de> {
            $(pub $field: $type,)+
            /// Ties the lifetime where no member borrows.
            pub line: std::marker::PhantomData<&'de ()>,
        }
        impl<'de> $crate::sources::decode::lenient::Take<'de> for $name<'de> {
            fn from_map<A: serde::de::MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
                let mut object = Self::default();
                while let Some(key) = map.next_key::<$crate::sources::decode::lenient::Key<'de>>()? {
                    match key.0.as_ref() {
                        $($key => object.$field = map.next_value()?,)+
                        _ => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(object)
            }
        }
        impl<'de> serde::de::Deserialize<'de> for $name<'de> {
            fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::sources::decode::lenient::take(deserializer)
            }
        }
    };
}
pub(super) use object;
