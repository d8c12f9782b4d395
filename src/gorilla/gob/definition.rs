//! Type definitions, which gob writes as a struct `wireType`.

use super::{
    error::{GobError, GobErrorKind},
    input::Input,
    output::Output,
    types::{Definition, Field, Marshaler, TypeId},
};

/// The numbers of the fields of `wireType`.
const ARRAY: usize = 1;
const SLICE: usize = 2;
const STRUCT: usize = 3;
const MAP: usize = 4;
const GOB: usize = 5;
const BINARY: usize = 6;
const TEXT: usize = 7;

/// Reads a definition.
pub(super) fn read(input: &mut Input<'_>) -> Result<Definition, GobError> {
    let mut field = 0;
    if !input.next_field(&mut field)? {
        return Err(input.error(GobErrorKind::Definition));
    }
    let definition = match field {
        ARRAY => array(input)?,
        SLICE => slice(input)?,
        STRUCT => structure(input)?,
        MAP => map(input)?,
        GOB => opaque(input, Marshaler::Gob)?,
        BINARY => opaque(input, Marshaler::Binary)?,
        TEXT => opaque(input, Marshaler::Text)?,
        _ => return Err(input.error(GobErrorKind::Definition)),
    };
    match input.next_field(&mut field)? {
        true => Err(input.error(GobErrorKind::Definition)),
        false => Ok(definition),
    }
}

/// Reads a struct: calls `read` with the number of each field that is present, counted from one.
fn fields<'b>(
    input: &mut Input<'b>,
    mut read: impl FnMut(&mut Input<'b>, usize) -> Result<(), GobError>,
) -> Result<(), GobError> {
    let mut field = 0;
    while input.next_field(&mut field)? {
        read(input, field)?;
    }
    Ok(())
}

const fn unknown(input: &Input<'_>) -> GobError {
    input.error(GobErrorKind::Definition)
}

/// Reads a `CommonType` and returns its name. Its id repeats the one before the definition.
fn common(input: &mut Input<'_>) -> Result<String, GobError> {
    let mut name = String::new();
    fields(input, |input, field| {
        match field {
            1 => input.name()?.clone_into(&mut name),
            2 => drop(input.int()?),
            _ => return Err(unknown(input)),
        }
        Ok(())
    })?;
    Ok(name)
}

fn type_id(input: &mut Input<'_>) -> Result<TypeId, GobError> {
    let id = i32::try_from(input.int()?).ok().filter(|id| *id > 0);
    id.map(TypeId::new).ok_or_else(|| unknown(input))
}

fn given<T>(input: &Input<'_>, given: Option<T>) -> Result<T, GobError> {
    given.ok_or_else(|| unknown(input))
}

fn array(input: &mut Input<'_>) -> Result<Definition, GobError> {
    let (mut name, mut elem, mut len) = (String::new(), None, 0);
    fields(input, |input, field| {
        match field {
            1 => name = common(input)?,
            2 => elem = Some(type_id(input)?),
            3 => len = usize::try_from(input.int()?).map_err(|_| unknown(input))?,
            _ => return Err(unknown(input)),
        }
        Ok(())
    })?;
    let elem = given(input, elem)?;
    Ok(Definition::Array { name, elem, len })
}

fn slice(input: &mut Input<'_>) -> Result<Definition, GobError> {
    let (mut name, mut elem) = (String::new(), None);
    fields(input, |input, field| {
        match field {
            1 => name = common(input)?,
            2 => elem = Some(type_id(input)?),
            _ => return Err(unknown(input)),
        }
        Ok(())
    })?;
    let elem = given(input, elem)?;
    Ok(Definition::Slice { name, elem })
}

fn map(input: &mut Input<'_>) -> Result<Definition, GobError> {
    let (mut name, mut key, mut elem) = (String::new(), None, None);
    fields(input, |input, field| {
        match field {
            1 => name = common(input)?,
            2 => key = Some(type_id(input)?),
            3 => elem = Some(type_id(input)?),
            _ => return Err(unknown(input)),
        }
        Ok(())
    })?;
    let (key, elem) = (given(input, key)?, given(input, elem)?);
    Ok(Definition::Map { name, key, elem })
}

fn structure(input: &mut Input<'_>) -> Result<Definition, GobError> {
    let (mut name, mut all) = (String::new(), Vec::new());
    fields(input, |input, number| {
        match number {
            1 => name = common(input)?,
            2 => {
                for _ in 0..input.count()? {
                    all.push(field(input)?);
                }
            }
            _ => return Err(unknown(input)),
        }
        Ok(())
    })?;
    Ok(Definition::Struct { name, fields: all })
}

fn field(input: &mut Input<'_>) -> Result<Field, GobError> {
    let (mut name, mut ty) = (String::new(), None);
    fields(input, |input, field| {
        match field {
            1 => input.name()?.clone_into(&mut name),
            2 => ty = Some(type_id(input)?),
            _ => return Err(unknown(input)),
        }
        Ok(())
    })?;
    match name.is_empty() {
        true => Err(unknown(input)),
        false => Ok(Field::new(name, given(input, ty)?)),
    }
}

fn opaque(input: &mut Input<'_>, by: Marshaler) -> Result<Definition, GobError> {
    let mut name = String::new();
    fields(input, |input, field| match field {
        1 => {
            name = common(input)?;
            Ok(())
        }
        _ => Err(unknown(input)),
    })?;
    Ok(Definition::Opaque { name, by })
}

/// Writes a definition, preceded by its id.
pub(super) fn write(out: &mut Output, id: TypeId, definition: &Definition) {
    out.int(-i64::from(id.get()));
    let (which, name) = match definition {
        Definition::Array { name, .. } => (ARRAY, name),
        Definition::Slice { name, .. } => (SLICE, name),
        Definition::Struct { name, .. } => (STRUCT, name),
        Definition::Map { name, .. } => (MAP, name),
        Definition::Opaque { name, by } => match by {
            Marshaler::Gob => (GOB, name),
            Marshaler::Binary => (BINARY, name),
            Marshaler::Text => (TEXT, name),
        },
    };
    out.uint(which as u64);
    write_common(out, id, name);
    match definition {
        Definition::Array { elem, len, .. } => {
            write_id(out, *elem);
            if *len > 0 {
                out.uint(1);
                out.int(*len as i64);
            }
        }
        Definition::Slice { elem, .. } => write_id(out, *elem),
        Definition::Map { key, elem, .. } => {
            write_id(out, *key);
            write_id(out, *elem);
        }
        Definition::Struct { fields, .. } => write_fields(out, fields),
        Definition::Opaque { .. } => {}
    }
    // The ends of the definition and of `wireType`.
    out.uint(0);
    out.uint(0);
}

/// Writes a `CommonType`. Gob omits zero fields, so an empty name is left out.
fn write_common(out: &mut Output, id: TypeId, name: &str) {
    out.uint(1);
    match name {
        "" => out.uint(2),
        name => {
            out.uint(1);
            out.byte_string(name.as_bytes());
            out.uint(1);
        }
    }
    out.int(id.get().into());
    out.uint(0);
}

fn write_id(out: &mut Output, id: TypeId) {
    out.uint(1);
    out.int(id.get().into());
}

fn write_fields(out: &mut Output, fields: &[Field]) {
    if fields.is_empty() {
        return;
    }
    out.uint(1);
    out.uint(fields.len() as u64);
    for field in fields {
        out.uint(1);
        out.byte_string(field.name.as_bytes());
        write_id(out, field.ty);
        out.uint(0);
    }
}
