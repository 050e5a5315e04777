//! Objects are objects: what a struct is read from must not be a list of its fields' values, however
//! deep it lies.
//!
//! `Deserialize` as serde derives it reads structs from both. [`Objects`] stands between it and the JSON
//! and lets lists through only where no struct is expected. What is kept as it came (`RawValue`) is not
//! looked into.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// A reader of JSON, of anything in it, or of a seed in it.
pub(crate) struct Objects<T>(pub(crate) T);

/// Takes what is read; `LISTS`: whether it may be a list.
struct Taking<V, const LISTS: bool>(V);

/// Hands on the questions of a type, and takes the answers.
macro_rules! ask {
    ($($what:ident)*) => {$(
        #[inline]
        fn $what<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$what(Taking::<V, true>(visitor))
        }
    )*};
}

/// Hands on the answers of JSON that hold nothing.
macro_rules! take {
    ($($what:ident: $kind:ty)*) => {$(
        #[inline]
        fn $what<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.0.$what(value)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    ask! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit
        deserialize_seq deserialize_map deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, Taking::<V, true>(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Taking::<V, true>(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, Taking::<V, true>(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, Taking::<V, true>(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Taking::<V, false>(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Taking::<V, true>(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>, const LISTS: bool> Visitor<'de> for Taking<V, LISTS> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    take! {
        visit_bool: bool
        visit_i64: i64
        visit_u64: u64
        visit_f64: f64
        visit_str: &str
        visit_borrowed_str: &'de str
        visit_string: String
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Objects(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Objects(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        match LISTS {
            true => self.0.visit_seq(Objects(items)),
            false => Err(A::Error::custom("expected an object, not a list")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Objects(fields))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Objects(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Objects<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Objects(inner))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Objects<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(Objects(seed))
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Objects<A> {
    type Error = A::Error;
    type Variant = Objects<A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Objects(seed))?;
        Ok((value, Objects(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.0.newtype_variant_seed(Objects(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Taking::<V, true>(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Taking::<V, false>(visitor))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json, value::RawValue};

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Inner {
        #[serde(default)]
        a: u8,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Choice {
        Unit,
        Wrapped(Inner),
        Fields { a: u8 },
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Outer {
        inner: Inner,
        maybe: Option<Inner>,
        list: Vec<Inner>,
        pair: Option<(u8, Inner)>,
        choice: Option<Choice>,
        any: Value,
    }

    fn read(text: &str) -> Result<Outer, serde_json::Error> {
        Outer::deserialize(Objects(&mut serde_json::Deserializer::from_str(text)))
    }

    #[test]
    fn what_a_struct_is_read_from_is_an_object_however_deep() {
        for value in [
            json!([{"a": 1}]),
            json!({"inner": []}),
            json!({"inner": [1]}),
            json!({"maybe": [1]}),
            json!({"list": [{"a": 1}, [1]]}),
            json!({"pair": [1, [1]]}),
            json!({"choice": {"Wrapped": [1]}}),
            json!({"choice": {"Fields": [1]}}),
        ] {
            let value = value.to_string();
            assert!(serde_json::from_str::<Outer>(&value).is_ok(), "serde itself takes {value}");
            let error = read(&value).unwrap_err().to_string();
            assert!(error.starts_with("expected an object, not a list"), "{value}: {error}");
        }
    }

    #[test]
    fn everything_else_is_read_as_ever() {
        for value in [
            json!({}),
            json!({"inner": {"a": 1}, "maybe": null, "list": [], "any": [[1], {"a": [true, -1.5]}]}),
            json!({"maybe": {"a": 2}, "list": [{"a": 1}, {}], "pair": [1, {"a": 3}]}),
            json!({"choice": "Unit", "any": "é\n"}),
            json!({"choice": {"Wrapped": {"a": 1}}}),
            json!({"choice": {"Fields": {"a": 1}}}),
            json!({"inner": {"a": 300}}),
            json!({"inner": "text"}),
        ] {
            let value = value.to_string();
            let (ours, serdes) = (read(&value), serde_json::from_str::<Outer>(&value));
            let told = |error: serde_json::Error| error.to_string();
            assert_eq!(ours.map_err(told), serdes.map_err(told), "{value}");
        }
    }

    #[test]
    fn raw_values_keep_their_bytes() {
        #[derive(Deserialize)]
        struct Kept<'a> {
            #[serde(borrow)]
            payload: &'a RawValue,
        }
        let text = r#"{"payload": [ {"a":1.00000000000000000001} , [] ]}"#;
        let mut reader = serde_json::Deserializer::from_str(text);
        let kept = Kept::deserialize(Objects(&mut reader)).unwrap();
        assert_eq!(kept.payload.get(), r#"[ {"a":1.00000000000000000001} , [] ]"#);
    }
}
