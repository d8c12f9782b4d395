//! Reads and writes a settings file.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::{
    file::{FIELDS, SessionSettings},
    value::Input,
};
use crate::text;

impl Serialize for SessionSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.written())
    }
}

// Written by hand: serde's macro would make every application build `syn`, and its errors name the
// field in TOML only.
impl<'de> Deserialize<'de> for SessionSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Table {
            within: None,
            fields: FIELDS,
        };
        deserializer.deserialize_struct("SessionSettings", FIELDS, all)
    }
}

/// A table of settings, or a nested one.
#[derive(Clone, Copy)]
struct Table {
    within: Option<&'static str>,
    fields: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Table {
    type Value = SessionSettings;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Table {
    type Value = SessionSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.within {
            None => f.write_str("the settings of a session"),
            Some(field) => write!(f, "a table of `{field}`"),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SessionSettings, A::Error> {
        let mut settings = SessionSettings::default();
        let mut seen = Vec::new();
        while let Some(field) = map.next_key_seed(Field(self))? {
            if seen.contains(&field) {
                return Err(de::Error::duplicate_field(field));
            }
            seen.push(field);
            map.next_value_seed(Setting {
                within: self.within,
                field,
                settings: &mut settings,
            })?;
        }
        Ok(settings)
    }
}

/// Reads the name of one of a table's fields.
struct Field(Table);

impl<'de> DeserializeSeed<'de> for Field {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Field {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a setting")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<&'static str, E> {
        let Table { within, fields } = self.0;
        let field = fields.iter().find(|field| **field == name);
        field.copied().ok_or_else(|| {
            let unknown = E::unknown_field(name, fields);
            match within {
                // The field may exist, but not in this table.
                Some(field) => E::custom(format_args!("`{field}`: {unknown}")),
                None => unknown,
            }
        })
    }
}

/// Reads the value of one field. Its errors name the field, since those of JSON give only the line.
struct Setting<'s> {
    within: Option<&'static str>,
    field: &'static str,
    settings: &'s mut SessionSettings,
}

impl Setting<'_> {
    fn set<E: de::Error>(self, input: &Input<'_>) -> Result<(), E> {
        let set = self.settings.set(self.field, input);
        set.map_err(|expected| {
            let within = self.within.map(|field| format!("{field}."));
            let (within, field) = (within.unwrap_or_default(), self.field);
            E::custom(format_args!(
                "`{within}{field}`: expected {expected}, got {input}"
            ))
        })
    }
}

impl<'de> DeserializeSeed<'de> for Setting<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Setting<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for `{}`", self.field)
    }

    fn visit_bool<E: de::Error>(self, is: bool) -> Result<(), E> {
        self.set(&Input::Bool(is))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.set(&Input::Number(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => self.set(&Input::Other("a number below zero")),
        }
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.set(&Input::Other(
            "a number that is too large or has a fraction",
        ))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.set(&Input::Text(text))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some(fields) = SessionSettings::fields_within(self.field) else {
            return self.set(&Input::Other("a list"));
        };
        let (field, within) = (self.field, Some(self.field));
        while let Some(table) = list.next_element_seed(Table { within, fields })? {
            let added = self.settings.add(field, &table);
            added.map_err(|why| de::Error::custom(format_args!("`{field}`: {why}")))?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match text::of_toml(map)? {
            Some(time) => self.visit_str(&time),
            None => self.set(&Input::Other("a table")),
        }
    }
}
