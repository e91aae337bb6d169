//! `impl Encode` of a struct.

use std::fmt::Write;

use super::decode::{fixed, presence};
use super::emit::{Context, condition, differs_from_default, ident, negated, parameter};
use super::schema::{Field, Type, Versions};

pub fn emit(context: &Context<'_>, out: &mut String) {
    let body = body(context);
    let name = context.type_anonymous();
    let version = parameter("version", &body);
    let writer = parameter("writer", &body);
    _ = writeln!(
        out,
        "\nimpl Encode for {name} {{\n\
         fn encode(&self, {writer}: &mut Writer, {version}: i16) -> Result<(), WireError> {{\n{body}}}\n}}"
    );
}

fn body(context: &Context<'_>) -> String {
    let mut rest = String::new();
    for field in &context.definition.fields {
        rest.push_str(&plain(context, field));
    }
    rest.push_str(&tag_section(context));
    rest.push_str("Ok(())\n");
    context.check_version() + &context.let_flexible(&rest) + &rest
}

/// Writes a field at its place in the versions that have it there, and refuses to lose a value in those
/// that do not have it at all.
fn plain(context: &Context<'_>, field: &Field) -> String {
    let mut out = String::new();
    if let Some(versions) = field.plain() {
        let write = value(context, field, versions, context.flexible());
        match context.condition(versions) {
            None => return write,
            Some(condition) => _ = write!(out, "if {condition} {{ {write} }} "),
        }
    }
    if field.ignorable {
        return out + "\n";
    }
    let absent = match context.condition(field.versions) {
        None => return out + "\n",
        // The branch for its plain versions is taken already.
        Some(_) if field.tagged.is_none() => differs_from_default(field),
        Some(condition) => format!("{} && {}", negated(&condition), differs_from_default(field)),
    };
    let keyword = if out.is_empty() { "" } else { "else " };
    _ = writeln!(
        out,
        "{keyword}if {absent} {{ return Err(WireError::UnsupportedField {{ field: {:?}, version }}); }}",
        field.name
    );
    out
}

/// Writes a field in `versions`; null is an error where the version has no null.
fn value(context: &Context<'_>, field: &Field, versions: Versions, flexible: &str) -> String {
    let place = format!("self.{}", ident(&field.name));
    if field.ty == Type::Records {
        return records(field, versions, &place, flexible);
    }
    // The writer counts the errors of what it writes.
    if field.ty == Type::I16 && ident(&field.name).ends_with("error_code") {
        return format!("writer.error_code({place});\n");
    }
    // And notes where this is, which is filled in last.
    if field.ty == Type::I32 && field.name == "ThrottleTimeMs" {
        return format!("writer.throttle_time({place});\n");
    }
    if !field.optional() {
        return present(&field.ty, &place, flexible);
    }
    let refuse = format!("return Err(WireError::NullField {{ field: {:?} }})", field.name);
    let null = match &field.ty {
        Type::Struct(_) => format!("writer.{}(false)", presence(field)),
        Type::String => format!("writer.nullable_string({flexible}, None)?"),
        Type::Bytes => format!("writer.nullable_bytes({flexible}, None)?"),
        Type::Array(_) => format!("writer.array_count({flexible}, None)?"),
        other => panic!("{}: a nullable {other:?}", context.message.name),
    };
    let range = field.nullable.and_then(|nullable| nullable.intersect(versions));
    let presence = presence(field);
    // A struct that may be null is introduced by a byte in the versions that allow null, and only there.
    let (null, introduce) = match range.map(|range| condition(range, versions)) {
        None => (refuse, String::new()),
        Some(None) => (null, format!("writer.{presence}(true);")),
        Some(Some(condition)) => (
            format!("if {condition} {{ {null} }} else {{ {refuse} }}"),
            format!("if {condition} {{ writer.{presence}(true); }}"),
        ),
    };
    let introduce = if matches!(field.ty, Type::Struct(_)) { introduce } else { String::new() };
    let present = present(&field.ty, "value", flexible);
    format!("match &{place} {{ None => {{ {null} }} Some(value) => {{ {introduce} {present} }} }}\n")
}

fn records(field: &Field, versions: Versions, place: &str, flexible: &str) -> String {
    let refuse = format!("return Err(WireError::NullField {{ field: {:?} }})", field.name);
    let check = |condition: &str| format!("if {condition} {place} == Records::Null {{ {refuse}; }}");
    let check = match field.nullable.and_then(|range| range.intersect(versions)) {
        None => check(""),
        Some(range) => condition(range, versions)
            .map_or(String::new(), |condition| check(&format!("{} &&", negated(&condition)))),
    };
    format!("{check} writer.records({flexible}, &{place})?;\n")
}

/// Writes a value that is not null. `place` is a field, or a reference to what is in an option.
fn present(ty: &Type, place: &str, flexible: &str) -> String {
    let borrow = if place.starts_with("self.") { "&" } else { "" };
    match ty {
        Type::String => format!("writer.string({flexible}, {borrow}{place})?;\n"),
        Type::Bytes => format!("writer.byte_array({flexible}, {borrow}{place})?;\n"),
        Type::Struct(_) => format!("{place}.encode(writer, version)?;\n"),
        Type::Array(element) => {
            let write = match &**element {
                Type::Struct(_) => "element.encode(writer, version)?;".into(),
                Type::String => format!("writer.string({flexible}, element)?;"),
                Type::Bytes => format!("writer.byte_array({flexible}, element)?;"),
                other => format!("writer.{}(*element);", fixed(other)),
            };
            format!(
                "writer.array_count({flexible}, Some({place}.len()))?;\n\
                 for element in {borrow}{place} {{ {write} }}\n"
            )
        }
        other => format!("writer.{}({place});\n", fixed(other)),
    }
}

fn tag_section(context: &Context<'_>) -> String {
    let mut tagged: Vec<(Versions, u32, &Field)> = context
        .definition
        .fields
        .iter()
        .filter_map(|field| field.tagged.map(|(versions, tag)| (versions, tag, field)))
        .collect();
    // Kafka's readers take any order, its writers use this one.
    tagged.sort_by_key(|&(_, tag, _)| tag);
    let section = if tagged.is_empty() {
        "writer.unsigned_varint(0);\n".to_owned()
    } else {
        tagged_fields(context, &tagged)
    };
    match context.flexible() {
        "false" => String::new(),
        "true" => section,
        _ => format!("if flexible {{ {section} }}\n"),
    }
}

fn tagged_fields(context: &Context<'_>, tagged: &[(Versions, u32, &Field)]) -> String {
    let mut counts = Vec::new();
    let mut writes = String::new();
    for &(versions, tag, field) in tagged {
        let differs = differs_from_default(field);
        let name = format!("has_{}", super::emit::snake_case(&field.name));
        let present = match context.definition.flexible.and_then(|flexible| condition(versions, flexible)) {
            None => differs,
            Some(condition) => format!("{condition} && {differs}"),
        };
        _ = writeln!(
            writes,
            "if {name} {{ let start = writer.begin_tag({tag}); {} writer.end_tag(start)?; }}",
            value(context, field, versions, "true")
        );
        counts.push((name, present));
    }
    let lets: String = counts.iter().map(|(name, present)| format!("let {name} = {present};\n")).collect();
    let sum: Vec<String> = counts.iter().map(|(name, _)| format!("u32::from({name})")).collect();
    format!("{lets}writer.unsigned_varint({});\n{writes}", sum.join(" + "))
}
