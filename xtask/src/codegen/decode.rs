//! `impl Decode` of a struct.

use std::fmt::Write;

use super::emit::{Context, condition, default_value, ident, parameter, rust_type};
use super::schema::{Field, Message, Struct, Type, Versions};

pub fn emit(context: &Context<'_>, out: &mut String) {
    let body = body(context);
    let generics = rust_type(context.message, &Type::Struct(context.definition.name.clone()), "'a");
    let version = parameter("version", &body);
    _ = writeln!(
        out,
        "\nimpl<'a> Decode<'a> for {generics} {{\n\
         fn decode(reader: &mut Reader<'a>, {version}: i16) -> Result<Self, WireError> {{\n{body}}}\n}}"
    );
}

fn body(context: &Context<'_>) -> String {
    let tagged = context.definition.fields.iter().any(|field| field.tagged.is_some());
    let mut fields = String::new();
    for field in &context.definition.fields {
        _ = writeln!(fields, "{}: {},", ident(&field.name), plain(context, field));
    }
    let tags = tag_section(context);
    let mutable = if tagged { "mut " } else { "" };
    let rest = if tags.is_empty() {
        format!("Ok(Self {{ {fields} }})\n")
    } else {
        format!("let {mutable}message = Self {{ {fields} }};\n{tags}Ok(message)\n")
    };
    context.check_version() + &context.let_flexible(&rest) + &rest
}

/// What a field is given at its place: read where it is there, else its default.
fn plain(context: &Context<'_>, field: &Field) -> String {
    let Some(versions) = field.plain() else { return default_value(field) };
    let read = value(context, field, versions, context.flexible());
    match context.condition(versions) {
        None => read,
        Some(condition) => format!("if {condition} {{ {read} }} else {{ {} }}", default_value(field)),
    }
}

/// Reads a field in `versions`, null or not as each version has it.
fn value(context: &Context<'_>, field: &Field, versions: Versions, flexible: &str) -> String {
    let strict = read(context, &field.ty, flexible, false);
    let nullable = || match &field.ty {
        Type::Struct(name) => {
            let presence = presence(field);
            format!("if reader.{presence}()? {{ Some({name}::decode(reader, version)?) }} else {{ None }}")
        }
        ty => read(context, ty, flexible, true),
    };
    let wrapped = if field.optional() { format!("Some({strict})") } else { strict };
    let Some(range) = field.nullable.and_then(|range| range.intersect(versions)) else { return wrapped };
    match condition(range, versions) {
        None => nullable(),
        Some(condition) => format!("if {condition} {{ {} }} else {{ {wrapped} }}", nullable()),
    }
}

/// The name of the method that reads or writes whether a nullable struct follows: in a tag Kafka says it otherwise.
pub fn presence(field: &Field) -> &'static str {
    if field.tagged.is_some() { "tagged_presence" } else { "presence" }
}

fn read(context: &Context<'_>, ty: &Type, flexible: &str, nullable: bool) -> String {
    let prefix = if nullable { "nullable_" } else { "" };
    match ty {
        Type::Struct(name) => format!("{name}::decode(reader, version)?"),
        Type::String => format!("reader.{prefix}string({flexible})?"),
        Type::Bytes => format!("reader.{prefix}bytes({flexible})?"),
        Type::Records => format!("reader.{prefix}records({flexible})?"),
        Type::Array(element) => {
            let size = min_element_size(context.message, element);
            match &**element {
                Type::Struct(_) => format!("reader.{prefix}structs({flexible}, {size}, version)?"),
                Type::String => {
                    format!("reader.{prefix}array({flexible}, {size}, |reader| reader.string({flexible}))?")
                }
                Type::Bytes => {
                    format!("reader.{prefix}array({flexible}, {size}, |reader| reader.bytes({flexible}))?")
                }
                other => {
                    format!("reader.{prefix}array({flexible}, {size}, Reader::{})?", fixed(other))
                }
            }
        }
        other => format!("reader.{}()?", fixed(other)),
    }
}

/// The name of the method that reads or writes a type of fixed size.
pub fn fixed(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::I8 => "i8",
        Type::I16 => "i16",
        Type::U16 => "u16",
        Type::I32 => "i32",
        Type::I64 => "i64",
        Type::F64 => "f64",
        Type::Uuid => "uuid",
        other => panic!("{other:?} has no fixed size"),
    }
}

fn tag_section(context: &Context<'_>) -> String {
    let mut arms = String::new();
    for field in &context.definition.fields {
        let Some((versions, tag)) = field.tagged else { continue };
        // The section exists in flexible versions only, so the condition is on those.
        let flexible = context.definition.flexible.unwrap_or(versions);
        let guard =
            condition(versions, flexible).map_or(String::new(), |condition| format!("if {condition}"));
        let value = value(context, field, versions, "true");
        _ = writeln!(arms, "{tag} {guard} => message.{} = {value},", ident(&field.name));
    }
    let section = if arms.is_empty() {
        "reader.skip_tagged_fields()?;\n".to_owned()
    } else {
        format!(
            "reader.tagged_fields(|reader, tag| {{ match tag {{ {arms} _ => return Ok(false), }} Ok(true) }})?;\n"
        )
    };
    match context.flexible() {
        "false" => String::new(),
        "true" => section,
        _ => format!("if flexible {{ {section} }}\n"),
    }
}

/// The least number of bytes an array element takes in any version; at least one, so that a count is
/// always bounded by the bytes that are left.
fn min_element_size(message: &Message, element: &Type) -> usize {
    match element {
        Type::Struct(name) => {
            let definition = message.find(name);
            let Versions { min, max } = definition.versions;
            (min..=max).map(|version| struct_size(message, definition, version)).min().unwrap_or(0).max(1)
        }
        other => {
            let flexible = message.flexible.is_some();
            type_size(message, other, message.versions.min, flexible, false)
        }
    }
}

fn struct_size(message: &Message, definition: &Struct, version: i16) -> usize {
    let flexible = definition.flexible.is_some_and(|flexible| flexible.contains(version));
    let fields =
        definition.fields.iter().filter(|field| field.plain().is_some_and(|plain| plain.contains(version)));
    let sizes = fields.map(|field| {
        let nullable = field.nullable.is_some_and(|nullable| nullable.contains(version));
        type_size(message, &field.ty, version, flexible, nullable)
    });
    sizes.sum::<usize>() + usize::from(flexible)
}

fn type_size(message: &Message, ty: &Type, version: i16, flexible: bool, nullable: bool) -> usize {
    match ty {
        Type::Bool | Type::I8 => 1,
        Type::I16 | Type::U16 => 2,
        Type::I32 => 4,
        Type::I64 | Type::F64 => 8,
        Type::Uuid => 16,
        Type::Struct(_) if nullable => 1,
        Type::Struct(name) => struct_size(message, message.find(name), version),
        _ if flexible => 1,
        Type::String => 2,
        Type::Bytes | Type::Records | Type::Array(_) => 4,
    }
}
