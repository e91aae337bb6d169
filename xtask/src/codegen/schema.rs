//! A message definition as a typed tree.
//!
//! Every range is narrowed while parsing: a field's versions to those of its struct, a struct's to those of
//! the field it hangs on; structs that several fields share have the versions of the whole message. Fields of which nothing is left are dropped, so no code is written for versions
//! that cannot occur.

use std::collections::BTreeMap;

use serde_json::Value;

/// An inclusive range of versions; empty ranges are `None` of an `Option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    /// `3`, `1-4`, `2+`, `none`.
    pub fn parse(text: &str) -> Result<Option<Versions>, String> {
        let number = |digits: &str| digits.parse::<i16>().map_err(|_| format!("not a version range: {text}"));
        if text == "none" {
            return Ok(None);
        }
        let (min, max) = if let Some(min) = text.strip_suffix('+') {
            (number(min)?, i16::MAX)
        } else if let Some((min, max)) = text.split_once('-') {
            (number(min)?, number(max)?)
        } else {
            (number(text)?, number(text)?)
        };
        Ok(Some(Versions { min, max }))
    }

    pub fn intersect(self, other: Versions) -> Option<Versions> {
        let both = Versions { min: self.min.max(other.min), max: self.max.min(other.max) };
        (both.min <= both.max).then_some(both)
    }

    pub fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    I8,
    I16,
    U16,
    I32,
    I64,
    F64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Result<Type, String> {
        if let Some(element) = text.strip_prefix("[]") {
            return Ok(Type::Array(Box::new(Type::parse(element)?)));
        }
        Ok(match text {
            "bool" => Type::Bool,
            "int8" => Type::I8,
            "int16" => Type::I16,
            "uint16" => Type::U16,
            "int32" => Type::I32,
            "int64" => Type::I64,
            "float64" => Type::F64,
            "uuid" => Type::Uuid,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            name if name.starts_with(|first: char| first.is_ascii_uppercase()) => Type::Struct(name.into()),
            _ => return Err(format!("unknown type {text}")),
        })
    }

    /// The struct at the bottom of the type.
    pub fn struct_name(&self) -> Option<&str> {
        match self {
            Type::Struct(name) => Some(name),
            Type::Array(element) => element.struct_name(),
            _ => None,
        }
    }
}

/// What a field is when the version does not have it.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// Zero, false, empty, or a struct of defaults.
    Natural,
    Null,
    /// A number or `true`, as Rust writes it.
    Literal(String),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub versions: Versions,
    /// In which of `versions` null is allowed.
    pub nullable: Option<Versions>,
    /// In which of `versions` the field is in the tagged section, and its tag.
    pub tagged: Option<(Versions, u32)>,
    pub default: Default,
    /// A value that the version cannot carry is dropped, not an error.
    pub ignorable: bool,
}

impl Field {
    /// In which versions the field is at its place among the others, not tagged.
    pub fn plain(&self) -> Option<Versions> {
        match self.tagged {
            None => Some(self.versions),
            Some((tagged, _)) if tagged.min <= self.versions.min => None,
            Some((tagged, _)) => Some(Versions { min: self.versions.min, max: tagged.min - 1 }),
        }
    }

    /// The Rust type is an `Option`. Records say null by a variant of their own.
    pub fn optional(&self) -> bool {
        self.nullable.is_some() && self.ty != Type::Records
    }
}

#[derive(Clone, Debug)]
pub struct Struct {
    pub name: String,
    pub versions: Versions,
    /// In which of `versions` lengths are compact and tagged fields follow.
    pub flexible: Option<Versions>,
    pub fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request(i16),
    Response(i16),
    /// Key of a record that a coordinator keeps in a topic, with the number of the record's type.
    RecordKey(i16),
    /// Value of such a record.
    RecordValue(i16),
    Data,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub kind: Kind,
    pub name: String,
    pub versions: Versions,
    /// As the definition has it: it may begin before `versions`.
    pub flexible: Option<Versions>,
    /// The newest version is not offered to clients yet.
    pub latest_unstable: bool,
    /// A request that brokers serve, not only controllers.
    pub on_brokers: bool,
    /// The message itself first, then the structs below it in the order of their first use.
    pub structs: Vec<Struct>,
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, String> {
    value[key].as_str().ok_or_else(|| format!("no {key} in {}", value["name"]))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl Message {
    /// `None` for kinds that Flumen has no use for, and messages that have no versions left.
    pub fn parse(value: &Value) -> Result<Option<Message>, String> {
        let key = || value["apiKey"].as_i64().and_then(|key| i16::try_from(key).ok()).ok_or("no apiKey");
        let kind = match text(value, "type")? {
            "request" => Kind::Request(key()?),
            "response" => Kind::Response(key()?),
            "coordinator-key" => Kind::RecordKey(key()?),
            "coordinator-value" => Kind::RecordValue(key()?),
            "data" => Kind::Data,
            _ => return Ok(None),
        };
        let Some(versions) = Versions::parse(text(value, "validVersions")?)? else { return Ok(None) };
        let flexible = Versions::parse(value["flexibleVersions"].as_str().unwrap_or("none"))?;
        let name = text(value, "name")?.to_owned();
        let common =
            list(&value["commonStructs"]).iter().map(|common| Ok((text(common, "name")?, &common["fields"])));
        let common = common.collect::<Result<BTreeMap<_, _>, String>>()?;
        let mut structs = Structs { flexible, valid: versions, common, found: Vec::new() };
        structs.visit(&name, versions, &value["fields"]).map_err(|error| format!("{name}: {error}"))?;
        Ok(Some(Message {
            kind,
            versions,
            flexible,
            latest_unstable: value["latestVersionUnstable"].as_bool().unwrap_or(false),
            on_brokers: list(&value["listeners"]).iter().any(|listener| listener == "broker"),
            structs: structs.found,
            name,
        }))
    }

    /// The API key of a request or response.
    pub fn key(&self) -> Option<i16> {
        match self.kind {
            Kind::Request(key) | Kind::Response(key) => Some(key),
            Kind::RecordKey(_) | Kind::RecordValue(_) | Kind::Data => None,
        }
    }

    pub fn find(&self, name: &str) -> &Struct {
        let found = self.structs.iter().find(|candidate| candidate.name == name);
        found.unwrap_or_else(|| panic!("{}: no struct {name}, though parsing has met it", self.name))
    }
}

struct Structs<'v> {
    flexible: Option<Versions>,
    valid: Versions,
    common: BTreeMap<&'v str, &'v Value>,
    found: Vec<Struct>,
}

impl<'v> Structs<'v> {
    fn visit(&mut self, name: &str, versions: Versions, fields: &'v Value) -> Result<(), String> {
        if self.found.iter().any(|known| known.name == name) {
            return Err(format!("two structs named {name}"));
        }
        let parsed = list(fields).iter().map(|field| parse_field(field, versions));
        let parsed: Vec<(Field, &Value)> =
            parsed.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        self.found.push(Struct {
            name: name.into(),
            versions,
            flexible: self.flexible.and_then(|flexible| flexible.intersect(versions)),
            fields: parsed.iter().map(|(field, _)| field.clone()).collect(),
        });
        for (field, nested) in &parsed {
            let Some(name) = field.ty.struct_name() else { continue };
            if nested.is_array() {
                self.visit(name, field.versions, nested)?;
            } else if !self.found.iter().any(|known| known.name == name) {
                let fields = self.common.get(name).copied().ok_or_else(|| format!("no struct {name}"))?;
                self.visit(name, self.valid, fields)?;
            }
        }
        Ok(())
    }
}

/// The field and its nested fields; `None` if it exists in none of `within`.
fn parse_field(value: &Value, within: Versions) -> Result<Option<(Field, &Value)>, String> {
    let range = |key: &str| Versions::parse(value[key].as_str().unwrap_or("none"));
    // Some tagged fields of records have no versions of their own.
    let exists = if value["versions"].is_null() { "taggedVersions" } else { "versions" };
    let Some(versions) = range(exists)?.and_then(|versions| versions.intersect(within)) else {
        return Ok(None);
    };
    if !value["flexibleVersions"].is_null() {
        return Err(format!("{}: a field with flexible versions of its own", value["name"]));
    }
    let ty = Type::parse(text(value, "type")?)?;
    let nullable = range("nullableVersions")?.and_then(|nullable| nullable.intersect(versions));
    let tagged = range("taggedVersions")?.and_then(|tagged| tagged.intersect(versions));
    let tagged = match (tagged, value["tag"].as_u64().and_then(|tag| u32::try_from(tag).ok())) {
        (None, _) => None,
        (Some(tagged), Some(tag)) if tagged.max == versions.max => Some((tagged, tag)),
        _ => return Err(format!("{}: tagged in a way that is not understood", value["name"])),
    };
    let default = parse_default(&ty, &value["default"], nullable.is_some())?;
    let ignorable = value["ignorable"].as_bool().unwrap_or(false);
    let name = text(value, "name")?.to_owned();
    Ok(Some((Field { name, ty, versions, nullable, tagged, default, ignorable }, &value["fields"])))
}

fn parse_default(ty: &Type, value: &Value, nullable: bool) -> Result<Default, String> {
    let given = match value {
        Value::Null => return Ok(Default::Natural),
        Value::String(given) => given.to_lowercase(),
        other => other.to_string(),
    };
    let number = |digits: &str| match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => digits.parse::<i64>().ok(),
    };
    Ok(match ty {
        // A default of null is kept out where no version that is left can be null.
        _ if given == "null" => {
            if nullable {
                Default::Null
            } else {
                Default::Natural
            }
        }
        Type::Bool if given == "false" => Default::Natural,
        Type::Bool if given == "true" => Default::Literal(given),
        Type::I8 | Type::I16 | Type::U16 | Type::I32 | Type::I64 => match number(&given) {
            Some(0) => Default::Natural,
            Some(number) => Default::Literal(number.to_string()),
            None => return Err(format!("default {given} is not a number")),
        },
        _ if given.is_empty() => Default::Natural,
        _ => return Err(format!("default {given} of {ty:?}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ranges() {
        let range = |min, max| Ok(Some(Versions { min, max }));
        assert_eq!(Versions::parse("3"), range(3, 3));
        assert_eq!(Versions::parse("1-4"), range(1, 4));
        assert_eq!(Versions::parse("2+"), range(2, i16::MAX));
        assert_eq!(Versions::parse("none"), Ok(None));
        assert!(Versions::parse("x+").is_err());
        assert_eq!(Versions { min: 0, max: 2 }.intersect(Versions { min: 3, max: 9 }), None);
    }

    #[test]
    fn fields_outside_the_valid_versions_are_dropped() {
        let definition = serde_json::json!({
            "type": "request", "apiKey": 1, "name": "XRequest", "validVersions": "3-5",
            "flexibleVersions": "4+", "listeners": ["broker"],
            "fields": [
                { "name": "Old", "type": "int32", "versions": "0-2" },
                { "name": "Kept", "type": "[]Item", "versions": "1-4", "nullableVersions": "0-1", "fields": [
                    { "name": "Id", "type": "int16", "versions": "0+", "default": "0x7f" }
                ]}
            ]
        });
        let message = Message::parse(&definition).unwrap().unwrap();
        assert_eq!(message.structs.len(), 2);
        let kept = &message.structs[0].fields;
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].versions, kept[0].nullable), (Versions { min: 3, max: 4 }, None));
        assert_eq!(message.structs[1].flexible, Some(Versions { min: 4, max: 4 }));
        assert_eq!(message.structs[1].fields[0].default, Default::Literal("127".into()));
    }
}
