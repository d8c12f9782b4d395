//! The types of a gob: Go's basic types, and those that the gob defines.

use std::{collections::BTreeMap, sync::Arc};

/// Identifies a type within a gob.
///
/// The ids of Go's basic types are constants. All others differ from program to program: a gob
/// defines those that it uses, and its [`Types`] hold the definitions.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TypeId(i32);

impl TypeId {
    /// `bool`.
    pub const BOOL: Self = Self(1);
    /// `int`, `int8`, `int16`, `int32` and `int64`.
    pub const INT: Self = Self(2);
    /// `uint`, `uint8`, `uint16`, `uint32`, `uint64` and `uintptr`.
    pub const UINT: Self = Self(3);
    /// `float32` and `float64`.
    pub const FLOAT: Self = Self(4);
    /// `[]byte`.
    pub const BYTES: Self = Self(5);
    /// `string`.
    pub const STRING: Self = Self(6);
    /// `complex64` and `complex128`.
    pub const COMPLEX: Self = Self(7);
    /// `interface{}` and every other interface.
    pub const INTERFACE: Self = Self(8);

    /// The first id that a gob may define.
    pub(super) const FIRST: Self = Self(64);

    pub(super) const fn new(id: i32) -> Self {
        Self(id)
    }

    /// Returns the number that the gob uses.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the id `by` places further on, if the gob defines the type. Returns `None` if there
    /// is no such id.
    pub(super) fn moved(self, by: i32) -> Option<Self> {
        match self < Self::FIRST {
            true => Some(self),
            false => self.0.checked_add(by).map(Self),
        }
    }
}

/// A gob's definition of a type.
///
/// The names of slices, arrays and maps are empty, unless Go's source names the type.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Definition {
    /// An array.
    Array {
        /// What Go's source calls it, without the package.
        name: String,
        /// The type of its elements.
        elem: TypeId,
        /// The number of its elements.
        len: usize,
    },
    /// A slice of anything but bytes.
    Slice {
        /// What Go's source calls it, without the package.
        name: String,
        /// The type of its elements.
        elem: TypeId,
    },
    /// A struct.
    Struct {
        /// What Go's source calls it, without the package.
        name: String,
        /// Its exported fields, in the order of Go's source.
        fields: Vec<Field>,
    },
    /// A map.
    Map {
        /// What Go's source calls it, without the package.
        name: String,
        /// The type of its keys.
        key: TypeId,
        /// The type of its elements.
        elem: TypeId,
    },
    /// A type that writes its own bytes, as `time.Time` does.
    Opaque {
        /// What Go's source calls it, without the package.
        name: String,
        /// The Go interface that writes them.
        by: Marshaler,
    },
}

/// A field of a struct.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeId,
}

impl Field {
    /// Makes a field.
    #[must_use]
    pub fn new(name: impl Into<String>, ty: TypeId) -> Self {
        let name = name.into();
        Self { name, ty }
    }
}

/// The Go interface by which a type writes its own bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Marshaler {
    /// `gob.GobEncoder`.
    Gob,
    /// `encoding.BinaryMarshaler`.
    Binary,
    /// `encoding.TextMarshaler`.
    Text,
}

/// The types that a gob defines.
///
/// ```
/// use silverback::gorilla::gob::{TypeId, Types};
///
/// let mut types = Types::new();
/// let flashes = types.slice_of(TypeId::INTERFACE);
/// assert_eq!(flashes, types.slice_of(TypeId::INTERFACE));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Types(BTreeMap<TypeId, Arc<Definition>>);

impl Types {
    /// Makes an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the definition of a type. Go's basic types have none.
    #[must_use]
    pub fn get(&self, id: TypeId) -> Option<&Definition> {
        self.0.get(&id).map(|definition| &**definition)
    }

    pub(super) fn shared(&self, id: TypeId) -> Option<Arc<Definition>> {
        self.0.get(&id).cloned()
    }

    /// Returns the id of the type with this definition, and defines the type if it is new.
    ///
    /// ```
    /// use silverback::gorilla::gob::{Definition, Field, TypeId, Types};
    ///
    /// let mut types = Types::new();
    /// let fields = vec![Field::new("Name", TypeId::STRING)];
    /// let person = Definition::Struct { name: "Person".into(), fields };
    /// let id = types.define(person.clone());
    /// assert_eq!(types.get(id), Some(&person));
    /// ```
    pub fn define(&mut self, definition: Definition) -> TypeId {
        let mut known = self.0.iter();
        if let Some((id, _)) = known.find(|(_, known)| ***known == definition) {
            return *id;
        }
        let mut id = TypeId::FIRST;
        while self.0.contains_key(&id) {
            id = id.next();
        }
        self.0.insert(id, Arc::new(definition));
        id
    }

    /// Returns the id of the slice of `elem`, as [`define`](Self::define) does.
    pub fn slice_of(&mut self, elem: TypeId) -> TypeId {
        let name = String::new();
        self.define(Definition::Slice { name, elem })
    }

    /// Returns the id of the map from `key` to `elem`, as [`define`](Self::define) does.
    pub fn map_of(&mut self, key: TypeId, elem: TypeId) -> TypeId {
        let name = String::new();
        self.define(Definition::Map { name, key, elem })
    }

    /// Returns the types without a name whose values Go writes by their `GobEncode`.
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = TypeId> {
        let is_unnamed = |definition: &Definition| matches!(definition, Definition::Opaque { name, by: Marshaler::Gob } if name.is_empty());
        let all = self.0.iter();
        all.filter(move |(_, definition)| is_unnamed(definition))
            .map(|(id, _)| *id)
    }

    /// Names a type that writes its own bytes.
    pub(crate) fn name(&mut self, id: TypeId, to: &str) {
        let definition = self.0.get_mut(&id).map(Arc::make_mut);
        if let Some(Definition::Opaque { name, .. }) = definition {
            to.clone_into(name);
        }
    }

    /// Adds the types of another gob. Returns by how many places their ids move, because a gob's ids
    /// mean nothing in another one, or `None` if there are no such ids.
    pub(crate) fn adopt(&mut self, others: &Self) -> Option<i32> {
        let is_other = |(id, theirs)| self.0.get(id).is_some_and(|ours| ours != theirs);
        let last = others.0.iter().any(is_other).then(|| self.0.keys().last());
        let by = match last.flatten() {
            Some(last) => last.0.checked_add(1)? - TypeId::FIRST.0,
            None => 0,
        };
        for (id, definition) in &others.0 {
            let mut definition = Definition::clone(definition);
            for part in definition.parts_mut() {
                *part = part.moved(by)?;
            }
            self.0.insert(id.moved(by)?, Arc::new(definition));
        }
        Some(by)
    }

    /// Adds a gob's definition of a type. Returns `false` if the id is not free.
    pub(super) fn enter(&mut self, id: TypeId, definition: Definition) -> bool {
        let is_free = id >= TypeId::FIRST && !self.0.contains_key(&id);
        if is_free {
            self.0.insert(id, Arc::new(definition));
        }
        is_free
    }
}

impl Definition {
    /// Returns the types of which this one consists.
    pub(super) fn parts(&self) -> Vec<TypeId> {
        match self {
            Self::Array { elem, .. } | Self::Slice { elem, .. } => vec![*elem],
            Self::Map { key, elem, .. } => vec![*key, *elem],
            Self::Struct { fields, .. } => fields.iter().map(|field| field.ty).collect(),
            Self::Opaque { .. } => Vec::new(),
        }
    }

    fn parts_mut(&mut self) -> Vec<&mut TypeId> {
        match self {
            Self::Array { elem, .. } | Self::Slice { elem, .. } => vec![elem],
            Self::Map { key, elem, .. } => vec![key, elem],
            Self::Struct { fields, .. } => fields.iter_mut().map(|field| &mut field.ty).collect(),
            Self::Opaque { .. } => Vec::new(),
        }
    }
}
