//! From checked values to the types of the resolved configurations.

use super::{ConfigError, Value};

/// A type that a field of a resolved configuration can have.
pub(super) trait Field: Sized {
    /// Reads a value that its key has checked already; `None` is a key that is unset and has no
    /// default. An error says what is allowed.
    fn from_value(value: Option<Value>) -> Result<Self, String>;
}

macro_rules! plain_field {
    ($($type:ty = $variant:ident $name:literal),*) => {$(
        impl Field for $type {
            fn from_value(value: Option<Value>) -> Result<Self, String> {
                match value { Some(Value::$variant(value)) => Ok(value), _ => Err($name.to_owned()) }
            }
        }
    )*};
}
plain_field!(
    bool = Boolean "true or false",
    i32 = Int "a whole number of 32 bits",
    i64 = Long "a whole number of 64 bits",
    f64 = Double "a number",
    String = String "text",
    Vec<String> = List "a list"
);

/// Unset, or a text.
impl Field for Option<String> {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        value.map(|value| String::from_value(Some(value))).transpose()
    }
}

/// Unset, or a list.
impl Field for Option<Vec<String>> {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        value.map(|value| <Vec<String>>::from_value(Some(value))).transpose()
    }
}

/// Unset, or a number.
impl Field for Option<i32> {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        value.map(|value| i32::from_value(Some(value))).transpose()
    }
}

/// A limit, of which any negative number says that there is none.
impl Field for Option<u64> {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        match value.as_ref().and_then(Value::as_i64) {
            Some(number) => Ok(u64::try_from(number).ok()),
            None => Err("a whole number".to_owned()),
        }
    }
}

/// An amount of bytes that is never negative.
impl Field for u64 {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        let number = value.as_ref().and_then(Value::as_i64);
        number.and_then(|number| number.try_into().ok()).ok_or_else(|| "a whole number, 0 or more".to_owned())
    }
}

/// Reads one field; an error names its key.
pub(super) fn field<T: Field>(key: &'static str, value: Option<Value>) -> Result<T, ConfigError> {
    let shown = value.as_ref().map(Value::to_string).unwrap_or_default();
    T::from_value(value).map_err(|allowed| ConfigError::InvalidValue {
        key: key.to_owned(),
        value: shown,
        allowed,
    })
}

/// Declares a resolved configuration: its fields, each with the key it is read from, and a
/// `KEYS` table of those names, by which tests compare the struct with the catalogue.
macro_rules! typed {
    (
        $(#[$meta:meta])* pub struct $name:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty = $key:literal,)*
        }
    ) => {
        $(#[$meta])*
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl $name {
            /// The keys that the fields are read from, in their order.
            pub const KEYS: &'static [&'static str] = &[$($key),*];

            /// The fields, in the same order.
            #[cfg(test)]
            pub(super) const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn read(
                value: &dyn Fn(&'static str) -> Result<Option<Value>, ConfigError>,
            ) -> Result<$name, ConfigError> {
                Ok($name { $($field: $crate::config::typed::field($key, value($key)?)?,)* })
            }
        }
    };
}
pub(super) use typed;
