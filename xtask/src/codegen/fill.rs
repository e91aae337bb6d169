//! `impl Fill` of a struct: made-up values for tests, behind the crate's feature `fill`.

use std::fmt::Write;

use super::emit::{Context, condition, default_value, ident, parameter};
use super::schema::{Field, Type};

pub fn emit(context: &Context<'_>, out: &mut String) {
    let name = context.type_anonymous();
    let mut fields = String::new();
    for field in &context.definition.fields {
        let made = made(field);
        let made = match context.condition(field.versions) {
            None => made,
            Some(condition) => format!("if {condition} {{ {made} }} else {{ {} }}", default_value(field)),
        };
        _ = writeln!(fields, "{}: {made},", ident(&field.name));
    }
    let version = parameter("version", &fields);
    let random = parameter("random", &fields);
    _ = writeln!(
        out,
        "\n#[cfg(any(test, feature = \"fill\"))]\nimpl Fill for {name} {{\n\
         fn fill({random}: &mut Random, {version}: i16) -> Self {{ Self {{ {fields} }} }}\n}}"
    );
}

/// A value of a field in a version that has it.
fn made(field: &Field) -> String {
    let value = value(&field.ty);
    let Some(nullable) = field.nullable else { return value };
    let may_be_null = condition(nullable, field.versions).unwrap_or("true".into());
    if field.ty == Type::Records {
        return format!("fill::nullable_records(random, {may_be_null})");
    }
    format!("fill::nullable(random, {may_be_null}, {})", maker(&field.ty))
}

/// A function that makes a value.
fn maker(ty: &Type) -> String {
    let value = value(ty);
    match value.strip_suffix("(random)") {
        Some(function) => function.into(),
        None => format!("|random| {value}"),
    }
}

fn value(ty: &Type) -> String {
    match ty {
        Type::Struct(name) => format!("{name}::fill(random, version)"),
        Type::Array(element) => format!("fill::array(random, {})", maker(element)),
        Type::String => "fill::string(random)".into(),
        Type::Bytes => "fill::bytes(random)".into(),
        Type::Records => "fill::records(random)".into(),
        Type::F64 => "fill::f64(random)".into(),
        Type::Uuid => "fill::uuid(random)".into(),
        Type::Bool => "random.one_in(2)".into(),
        Type::I8 => "random.next_u64() as i8".into(),
        Type::I16 => "random.next_u64() as i16".into(),
        Type::U16 => "random.next_u64() as u16".into(),
        Type::I32 => "random.next_u64() as i32".into(),
        Type::I64 => "random.next_u64() as i64".into(),
    }
}
