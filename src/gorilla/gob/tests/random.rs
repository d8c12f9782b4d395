//! Random values, written and read back.

use proptest::prelude::*;

use super::super::*;

/// Makes types and values from a seed.
struct Maker {
    seed: u64,
    types: Types,
}

impl Maker {
    fn below(&mut self, below: u64) -> u64 {
        // SplitMix64.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn number(&mut self) -> u64 {
        let shift = self.below(64);
        self.below(u64::MAX) >> shift
    }

    fn text(&mut self) -> Vec<u8> {
        let len = self.below(20);
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    fn name(&mut self) -> String {
        format!("T{}", self.below(1_000_000))
    }

    fn ty(&mut self, depth: u32) -> TypeId {
        let kinds = if depth == 0 { 8 } else { 13 };
        let (name, kind) = (self.name(), self.below(kinds));
        match kind {
            8 => {
                let (elem, len) = (self.ty(depth - 1), self.below(4) as usize);
                self.types.define(Definition::Array { name, elem, len })
            }
            9 => {
                let elem = self.ty(depth - 1);
                self.types.slice_of(elem)
            }
            10 => {
                let (key, elem) = (self.ty(depth - 1), self.ty(depth - 1));
                self.types.map_of(key, elem)
            }
            11 => {
                let fields = 0..self.below(5);
                let fields = fields.map(|_| Field::new(self.name(), self.ty(depth - 1)));
                let fields = fields.collect();
                self.types.define(Definition::Struct { name, fields })
            }
            12 => {
                let by = [Marshaler::Gob, Marshaler::Binary, Marshaler::Text];
                let by = by[self.below(3) as usize];
                self.types.define(Definition::Opaque { name, by })
            }
            basic => TypeId::new(basic as i32 + 1),
        }
    }

    fn value(&mut self, ty: TypeId, depth: u32) -> Value {
        match ty {
            TypeId::BOOL => Value::Bool(self.below(2) == 0),
            TypeId::INT => Value::Int(self.number() as i64),
            TypeId::UINT => Value::Uint(self.number()),
            TypeId::FLOAT => Value::Float(self.number() as f64 / 256.0),
            TypeId::COMPLEX => Value::Complex(self.number() as f64, -0.5),
            TypeId::STRING => Value::String(self.text()),
            TypeId::BYTES => Value::Bytes(self.text()),
            TypeId::INTERFACE if depth == 0 || self.below(4) == 0 => Value::Nil,
            TypeId::INTERFACE => {
                let ty = self.ty(depth - 1);
                let name = self.name();
                self.value(ty, depth - 1).named(name)
            }
            ty => self.composite(ty, depth.saturating_sub(1)),
        }
    }

    fn composite(&mut self, ty: TypeId, depth: u32) -> Value {
        let definition = self.types.get(ty).unwrap().clone();
        match definition {
            Definition::Array { elem, len, .. } => {
                let items = (0..len).map(|_| self.value(elem, depth)).collect();
                Value::List { ty, items }
            }
            Definition::Slice { elem, .. } => {
                let items = 0..self.below(4);
                let items = items.map(|_| self.value(elem, depth)).collect();
                Value::List { ty, items }
            }
            Definition::Map { key, elem, .. } => {
                let entries = 0..self.below(4);
                let entries = entries.map(|_| (self.value(key, depth), self.value(elem, depth)));
                let entries = entries.collect();
                Value::Map { ty, entries }
            }
            Definition::Struct { fields, .. } => {
                let mut given = Vec::new();
                for (index, field) in fields.iter().enumerate() {
                    if self.below(3) > 0 {
                        given.push((index, self.value(field.ty, depth)));
                    }
                }
                let fields = given;
                Value::Struct { ty, fields }
            }
            Definition::Opaque { .. } => {
                let bytes = self.text();
                Value::Opaque { ty, bytes }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_written_gob_is_read(seed: u64) {
        let types = Types::new();
        let mut maker = Maker { seed, types };
        let ty = maker.ty(4);
        let value = maker.value(ty, 6);
        let gob = Gob::new(maker.types, value);
        let bytes = gob.encode().unwrap();
        let read = Gob::decode(&bytes).unwrap();
        prop_assert_eq!(&read.value, &gob.value);
        prop_assert_eq!(read.encode().unwrap(), bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        drop(Gob::decode(&bytes));
    }
}
