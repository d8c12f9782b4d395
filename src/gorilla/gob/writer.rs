//! Writes a gob.

use std::collections::BTreeSet;

use super::{
    definition,
    error::{GobError, GobErrorKind},
    limits::{MAX_DEPTH, MAX_NAME},
    output::Output,
    types::{Definition, Field, TypeId, Types},
    value::Value,
};

/// Writes the types that the value needs, each in its own message, then the value.
pub(super) fn write(types: &Types, value: &Value) -> Result<Vec<u8>, GobError> {
    let mut writer = Writer {
        types,
        used: BTreeSet::new(),
        out: Output::default(),
        depth: 0,
    };
    writer.message(value)?;
    let mut out = Output::default();
    for id in closure(types, writer.used) {
        if let Some(definition) = types.get(id) {
            let mut message = Output::default();
            definition::write(&mut message, id, definition);
            out.byte_string(&message.into_bytes());
        }
    }
    let mut bytes = out.into_bytes();
    bytes.append(&mut writer.out.into_bytes());
    Ok(bytes)
}

/// Adds the types of which the used ones consist, at any depth.
fn closure(types: &Types, mut used: BTreeSet<TypeId>) -> BTreeSet<TypeId> {
    let mut open: Vec<_> = used.iter().copied().collect();
    while let Some(id) = open.pop() {
        let parts = types.get(id).map(Definition::parts).unwrap_or_default();
        open.extend(parts.into_iter().filter(|part| used.insert(*part)));
    }
    used
}

struct Writer<'t> {
    types: &'t Types,
    used: BTreeSet<TypeId>,
    out: Output,
    depth: usize,
}

impl Writer<'_> {
    const fn error(&self, kind: GobErrorKind) -> GobError {
        self.out.error(kind)
    }

    fn message(&mut self, value: &Value) -> Result<(), GobError> {
        self.with_len(|writer| {
            writer.out.int(value.type_id().get().into());
            writer.single(value)
        })
    }

    fn with_len(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), GobError>,
    ) -> Result<(), GobError> {
        let before = std::mem::take(&mut self.out);
        let written = write(self);
        let within = std::mem::replace(&mut self.out, before);
        self.out.byte_string(&within.into_bytes());
        written
    }

    fn single(&mut self, value: &Value) -> Result<(), GobError> {
        if !matches!(value, Value::Struct { .. }) {
            self.out.uint(0);
        }
        self.value(value.type_id(), value)
    }

    fn value(&mut self, ty: TypeId, value: &Value) -> Result<(), GobError> {
        if value.type_id() != ty {
            return Err(self.error(GobErrorKind::Mismatch));
        }
        match value {
            Value::Bool(value) => self.out.uint(u64::from(*value)),
            Value::Int(number) => self.out.int(*number),
            Value::Uint(number) => self.out.uint(*number),
            Value::Float(number) => self.out.float(*number),
            Value::Complex(real, imaginary) => {
                self.out.float(*real);
                self.out.float(*imaginary);
            }
            Value::String(bytes) | Value::Bytes(bytes) => self.out.byte_string(bytes),
            Value::Nil => return self.within(|writer| writer.interface(None)),
            Value::Named { name, value } => {
                return self.within(|writer| writer.interface(Some((name, value))));
            }
            Value::List { .. }
            | Value::Map { .. }
            | Value::Struct { .. }
            | Value::Opaque { .. } => return self.within(|writer| writer.composite(ty, value)),
        }
        Ok(())
    }

    fn within(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), GobError>,
    ) -> Result<(), GobError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(GobErrorKind::TooDeep));
        }
        self.depth += 1;
        write(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn interface(&mut self, held: Option<(&str, &Value)>) -> Result<(), GobError> {
        let Some((name, value)) = held else {
            self.out.uint(0);
            return Ok(());
        };
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(self.error(GobErrorKind::Name));
        }
        self.out.byte_string(name.as_bytes());
        self.out.int(value.type_id().get().into());
        self.with_len(|writer| writer.single(value))
    }

    fn composite(&mut self, ty: TypeId, value: &Value) -> Result<(), GobError> {
        self.used.insert(ty);
        let types = self.types;
        let definition = types.get(ty);
        let definition = definition.ok_or_else(|| self.error(GobErrorKind::UnknownType(ty)))?;
        match (definition, value) {
            (Definition::Array { elem, len, .. }, Value::List { items, .. }) => {
                match items.len() == *len {
                    true => self.items(*elem, items),
                    false => Err(self.error(GobErrorKind::Count)),
                }
            }
            (Definition::Slice { elem, .. }, Value::List { items, .. }) => self.items(*elem, items),
            (Definition::Map { key, elem, .. }, Value::Map { entries, .. }) => {
                self.entries(*key, *elem, entries)
            }
            (Definition::Struct { fields, .. }, Value::Struct { fields: given, .. }) => {
                self.fields(fields, given)
            }
            (Definition::Opaque { .. }, Value::Opaque { bytes, .. }) => {
                self.out.byte_string(bytes);
                Ok(())
            }
            _ => Err(self.error(GobErrorKind::Mismatch)),
        }
    }

    fn items(&mut self, elem: TypeId, items: &[Value]) -> Result<(), GobError> {
        self.out.uint(items.len() as u64);
        items.iter().try_for_each(|item| self.value(elem, item))
    }

    fn entries(
        &mut self,
        key: TypeId,
        elem: TypeId,
        entries: &[(Value, Value)],
    ) -> Result<(), GobError> {
        self.out.uint(entries.len() as u64);
        for (name, value) in entries {
            self.value(key, name)?;
            self.value(elem, value)?;
        }
        Ok(())
    }

    /// Writes each field's number as the distance from the previous one.
    fn fields(&mut self, all: &[Field], fields: &[(usize, Value)]) -> Result<(), GobError> {
        let mut last = 0;
        for (index, value) in fields {
            let number = index.saturating_add(1);
            let field = all.get(*index).filter(|_| number > last);
            let field = field.ok_or_else(|| self.error(GobErrorKind::Field))?;
            self.out.uint((number - last) as u64);
            self.value(field.ty, value)?;
            last = number;
        }
        self.out.uint(0);
        Ok(())
    }
}
