//! Reads a gob.

use super::{
    definition,
    error::{GobError, GobErrorKind},
    input::Input,
    limits::{MAX_DEPTH, MAX_LEN, MAX_NAME, MAX_VALUES},
    types::{Definition, Field, TypeId, Types},
    value::Value,
};

/// Reads the first value of a gob, and the types that it defines.
pub(super) fn read(bytes: &[u8]) -> Result<(Types, Value), GobError> {
    let mut reader = Reader {
        input: Input::new(bytes),
        types: Types::new(),
        values: 0,
        depth: 0,
    };
    if bytes.len() > MAX_LEN {
        return Err(reader.error(GobErrorKind::TooLarge));
    }
    let ty = reader.type_sequence(Place::Top)?;
    let value = reader.single(ty)?;
    Ok((reader.types, value))
}

/// The place of a value whose type may be preceded by definitions.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Top,
    Interface,
}

struct Reader<'b> {
    input: Input<'b>,
    types: Types,
    /// The number of values read so far.
    values: usize,
    /// The nesting of the current value.
    depth: usize,
}

impl Reader<'_> {
    const fn error(&self, kind: GobErrorKind) -> GobError {
        self.input.error(kind)
    }

    /// Reads definitions up to the type of a value.
    ///
    /// At the top, each definition ends its message. In an interface the message may go on with a
    /// length that Go counts as that of the value: it is skipped.
    fn type_sequence(&mut self, place: Place) -> Result<TypeId, GobError> {
        loop {
            if self.input.is_at_end() {
                self.input.next_message()?;
            }
            let id = i32::try_from(self.input.int()?).ok();
            let id = id.ok_or_else(|| self.error(GobErrorKind::Definition))?;
            if id >= 0 {
                return Ok(TypeId::new(id));
            }
            self.define(TypeId::new(id.saturating_neg()))?;
            match place {
                _ if self.input.is_at_end() => {}
                Place::Interface => drop(self.input.uint()?),
                Place::Top => return Err(self.error(GobErrorKind::Excess)),
            }
        }
    }

    fn define(&mut self, id: TypeId) -> Result<(), GobError> {
        let definition = definition::read(&mut self.input)?;
        match self.types.enter(id, definition) {
            true => Ok(()),
            false => Err(self.error(GobErrorKind::DuplicateType(id))),
        }
    }

    /// Reads a value at the top or directly in an interface. Gob writes one that is not a struct
    /// like a field whose number is zero.
    fn single(&mut self, ty: TypeId) -> Result<Value, GobError> {
        let is_struct = matches!(self.types.get(ty), Some(Definition::Struct { .. }));
        if !is_struct && self.input.uint()? != 0 {
            return Err(self.error(GobErrorKind::Field));
        }
        self.value(ty)
    }

    fn value(&mut self, ty: TypeId) -> Result<Value, GobError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(GobErrorKind::TooLarge));
        }
        let input = &mut self.input;
        Ok(match ty {
            TypeId::BOOL => Value::Bool(input.uint()? != 0),
            TypeId::INT => Value::Int(input.int()?),
            TypeId::UINT => Value::Uint(input.uint()?),
            TypeId::FLOAT => Value::Float(input.float()?),
            TypeId::COMPLEX => Value::Complex(input.float()?, input.float()?),
            TypeId::STRING => Value::String(input.byte_string()?.to_vec()),
            TypeId::BYTES => Value::Bytes(input.byte_string()?.to_vec()),
            TypeId::INTERFACE => return self.within(Self::interface),
            ty => return self.within(|reader| reader.composite(ty)),
        })
    }

    fn within(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value, GobError>,
    ) -> Result<Value, GobError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(GobErrorKind::TooDeep));
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn interface(&mut self) -> Result<Value, GobError> {
        let name = self.input.name()?.to_owned();
        if name.is_empty() {
            return Ok(Value::Nil);
        }
        if name.len() > MAX_NAME {
            return Err(self.error(GobErrorKind::Name));
        }
        let ty = self.type_sequence(Place::Interface)?;
        // The length, for readers that skip the value. If the value defines types, it covers only
        // the part before them.
        self.input.uint()?;
        let value = Box::new(self.single(ty)?);
        Ok(Value::Named { name, value })
    }

    fn composite(&mut self, ty: TypeId) -> Result<Value, GobError> {
        let definition = self.types.shared(ty);
        let definition = definition.ok_or_else(|| self.error(GobErrorKind::UnknownType(ty)))?;
        Ok(match &*definition {
            Definition::Array { elem, len, .. } => {
                let count = self.input.count()?;
                if count != *len {
                    return Err(self.error(GobErrorKind::Count));
                }
                let items = self.items(*elem, count)?;
                Value::List { ty, items }
            }
            Definition::Slice { elem, .. } => {
                let count = self.input.count()?;
                let items = self.items(*elem, count)?;
                Value::List { ty, items }
            }
            Definition::Map { key, elem, .. } => {
                let entries = self.entries(*key, *elem)?;
                Value::Map { ty, entries }
            }
            Definition::Struct { fields, .. } => {
                let fields = self.fields(fields)?;
                Value::Struct { ty, fields }
            }
            Definition::Opaque { .. } => {
                let bytes = self.input.byte_string()?.to_vec();
                Value::Opaque { ty, bytes }
            }
        })
    }

    /// Reads an element. At the end of a message, a struct of zeros may have no bytes, so a few
    /// bytes could ask for any number of elements: an element without bytes is refused.
    fn element(&mut self, ty: TypeId) -> Result<Value, GobError> {
        match self.input.is_at_end() {
            true => Err(self.error(GobErrorKind::Truncated)),
            false => self.value(ty),
        }
    }

    /// Reserves no room for `count` elements, since they need not exist.
    fn items(&mut self, elem: TypeId, count: usize) -> Result<Vec<Value>, GobError> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.element(elem)?);
        }
        Ok(items)
    }

    fn entries(&mut self, key: TypeId, elem: TypeId) -> Result<Vec<(Value, Value)>, GobError> {
        let mut entries = Vec::new();
        for _ in 0..self.input.count()? {
            entries.push((self.element(key)?, self.element(elem)?));
        }
        Ok(entries)
    }

    fn fields(&mut self, all: &[Field]) -> Result<Vec<(usize, Value)>, GobError> {
        let mut fields = Vec::new();
        let mut number = 0;
        while self.input.next_field(&mut number)? {
            // Numbers count from one.
            let index = number - 1;
            let field = all.get(index);
            let field = field.ok_or_else(|| self.error(GobErrorKind::Field))?;
            fields.push((index, self.value(field.ty)?));
        }
        Ok(fields)
    }
}
