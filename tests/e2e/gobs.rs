//! `gorilla::gob` beside Go's own encoding/gob.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::Child,
    thread,
};

use silverback::gorilla::gob::{Definition, Field, Gob, Time, TypeId, Types, Value};

use crate::go;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let bytes = digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16));
    bytes.collect::<Result<_, _>>().unwrap()
}

/// The output of the program for these lines of input.
fn answer(mut child: Child, lines: &[String]) -> String {
    let mut input = child.stdin.take().unwrap();
    let mut said = String::new();
    thread::scope(|scope| {
        // Writes while the output is read: with a full output pipe the program stops reading. A
        // program that fails ends this loop.
        scope.spawn(move || lines.iter().try_for_each(|line| writeln!(input, "{line}")));
        let output = child.stdout.as_mut().unwrap();
        output.read_to_string(&mut said).unwrap();
    });
    assert!(child.wait().unwrap().success());
    said
}

/// Every value that Go writes can be read, and after it is written back Go reads the same value.
#[test]
fn random_values_of_go_are_kept() {
    let Some(mut gobs) = go::program("gobs") else {
        return;
    };
    let count = match std::env::var_os("SILVERBACK_SOAK") {
        Some(_) => 200_000,
        None => 2_000,
    };
    let seed = std::env::var("SILVERBACK_SEED").unwrap_or_else(|_| "1".to_owned());
    let mut child = gobs
        .args(["compare", &seed, &count.to_string()])
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let mut output = BufReader::new(output);
    let (mut read, mut written) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        let gob = Gob::decode(&from_hex(&line)).unwrap_or_else(|error| panic!("{error}: {line}"));
        let again = gob
            .encode()
            .unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(Gob::decode(&again).unwrap(), gob, "{line}");
        written.push(hex(&again));
        read.push(line);
    }
    child.stdout = Some(output.into_inner());
    let verdicts = answer(child, &written);
    assert_eq!(verdicts.lines().count(), count);
    for (verdict, line) in verdicts.lines().zip(read) {
        assert_eq!(verdict, "same", "{line}");
    }
}

fn session(types: Types, entries: Vec<(Value, Value)>) -> String {
    let mut gob = Gob::session();
    let Value::Map { ty, .. } = gob.value else {
        panic!("a session is a map");
    };
    let mut types = types;
    assert_eq!(types.map_of(TypeId::INTERFACE, TypeId::INTERFACE), ty);
    gob.value = Value::Map { ty, entries };
    gob.types = types;
    hex(&gob.encode().unwrap())
}

/// Go reads new values, whose types it has not written itself, with the types they are named after.
#[test]
fn go_reads_new_values_of_every_kind() {
    let Some(mut gobs) = go::program("gobs") else {
        return;
    };
    let mut types = Types::new();
    types.map_of(TypeId::INTERFACE, TypeId::INTERFACE);
    let (any, texts) = (
        types.slice_of(TypeId::INTERFACE),
        types.slice_of(TypeId::STRING),
    );
    let object = types.map_of(TypeId::STRING, TypeId::INTERFACE);
    let time = Time::type_in(&mut types);
    let address = types.define(Definition::Struct {
        name: "Address".to_owned(),
        fields: vec![Field::new("Street", TypeId::STRING)],
    });
    let person = types.define(Definition::Struct {
        name: "Person".to_owned(),
        fields: vec![
            Field::new("Age", TypeId::INT),
            Field::new("Home", address),
            Field::new("Extra", TypeId::INTERFACE),
        ],
    });
    let text = |text: &str| Value::string(text).named("string");
    let list = |items| Value::List { ty: any, items }.named("[]interface {}");
    let born: Time = "2024-02-29T12:34:56.789Z".parse().unwrap();
    let home = Value::Struct {
        ty: address,
        fields: vec![(0, Value::string("Main"))],
    };
    let ann = Value::Struct {
        ty: person,
        fields: vec![
            (0, Value::Int(41)),
            (1, home),
            (2, Value::Uint(7).named("uint16")),
        ],
    };
    let values = [
        ("bool true", Value::Bool(true).named("bool")),
        ("int -1", Value::Int(-1).named("int")),
        ("int8 -128", Value::Int(-128).named("int8")),
        ("int16 -300", Value::Int(-300).named("int16")),
        ("int32 70000", Value::Int(70_000).named("int32")),
        (
            "int64 -9223372036854775808",
            Value::Int(i64::MIN).named("int64"),
        ),
        ("uint 1", Value::Uint(1).named("uint")),
        ("uint8 255", Value::Uint(255).named("uint8")),
        ("uint16 65535", Value::Uint(65_535).named("uint16")),
        ("uint32 7", Value::Uint(7).named("uint32")),
        (
            "uint64 18446744073709551615",
            Value::Uint(u64::MAX).named("uint64"),
        ),
        ("uintptr 9", Value::Uint(9).named("uintptr")),
        ("float32 0.5", Value::Float(0.5).named("float32")),
        ("float64 -0.1", Value::Float(-0.1).named("float64")),
        (
            "complex64 (1+2i)",
            Value::Complex(1.0, 2.0).named("complex64"),
        ),
        (
            "complex128 (0-1i)",
            Value::Complex(0.0, -1.0).named("complex128"),
        ),
        ("string é", text("é")),
        (
            "[]uint8 [0 255]",
            Value::Bytes(vec![0, 255]).named("[]uint8"),
        ),
        ("<nil> <nil>", Value::Nil),
        (
            "[]string [a b]",
            Value::List {
                ty: texts,
                items: vec![Value::string("a"), Value::string("b")],
            }
            .named("[]string"),
        ),
        (
            "[]interface {} [hi [<nil>]]",
            list(vec![text("hi"), list(vec![Value::Nil])]),
        ),
        (
            "map[string]interface {} map[n:7]",
            Value::Map {
                ty: object,
                entries: vec![(Value::string("n"), Value::Int(7).named("int"))],
            }
            .named("map[string]interface {}"),
        ),
        (
            "time.Time 2024-02-29 12:34:56.789 +0000 UTC",
            Value::Opaque {
                ty: time,
                bytes: born.to_bytes(),
            }
            .named(Time::NAME),
        ),
        ("main.Role 3", Value::Int(3).named("main.Role")),
        ("main.Person {Name: Age:41", ann.named("main.Person")),
    ];
    let lines = values.iter().map(|(_, value)| {
        let key = Value::Int(42).named("int");
        session(types.clone(), vec![(key, value.clone())])
    });
    let lines: Vec<_> = lines.collect();
    let said = answer(gobs.arg("describe").spawn().unwrap(), &lines);
    assert_eq!(said.lines().count(), values.len(), "{said}");
    for (said, (expected, _)) in said.lines().zip(&values) {
        let expected = format!("42 {expected}");
        assert!(said.starts_with(&expected), "{said} is not {expected}");
    }
    let person = said.lines().last().unwrap();
    assert!(person.contains("Home:{Street:Main Number:0}"), "{person}");
    assert!(person.contains("Extra:7"), "{person}");

    // All of them in one session.
    let keys = (0..).map(|key| Value::Int(key).named("int64"));
    let all = keys.zip(values.iter().map(|(_, value)| value.clone()));
    let all = session(types, all.collect());
    let mut gobs = go::program("gobs").unwrap();
    let said = answer(gobs.arg("describe").spawn().unwrap(), &[all]);
    assert_eq!(said.lines().count(), values.len());
}
