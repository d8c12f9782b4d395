//! Tests of the reader and the rules, on small crates.

use crate::{
    edges::{Crate, analyse},
    examples::public,
    graph,
    reader::{Source, read},
    rules,
};

fn sources_of(files: &[(&str, &str)]) -> Vec<Source> {
    read(&|path: &str| {
        let file = files.iter().find(|(name, _)| *name == path);
        file.map(|(_, text)| (*text).to_owned())
    })
}

fn crate_of(files: &[(&str, &str)]) -> Crate {
    analyse(&sources_of(files))
}

/// The edges as sentences, as in ``a.rs:1 names `B`, defined in b.rs``.
fn edges(files: &[(&str, &str)]) -> Vec<String> {
    let krate = crate_of(files);
    let edges = krate.edges.iter();
    edges.map(|edge| graph::sentence(&krate, edge)).collect()
}

/// The uses of `a.rs`, which contains `text`. `b.rs` and `c.rs` define some types and functions.
fn uses(text: &str) -> Vec<String> {
    let b = "
        pub struct Bee { pub sea: Sea, pub all: Vec<Sea>, pub maybe: Option<Sea> }
        pub enum Either { Left(crate::c::Sea), Right { sea: crate::c::Sea } }
        impl Bee {
            pub const ONE: u8 = 1;
            pub fn make() -> Self { todo!() }
            pub fn buzz(&self) {}
            pub fn sea(&self) -> Result<crate::c::Sea, ()> { todo!() }
            pub async fn later(&self) -> crate::c::Sea { todo!() }
            pub fn with<T>(&self, f: impl FnOnce(&crate::c::Sea) -> T) -> T { todo!() }
        }
        pub trait Hum { fn hum(&self); }
        pub fn bee() -> Bee { Bee::make() }
        pub mod bee { pub struct Inner; }
        use crate::c::Sea;";
    let c = "
        pub struct Sea;
        impl Sea { pub fn ebb(&self) {} pub fn run(&self) {} }
        impl Flow for Sea { fn flow(&self) {} }
        impl Clone for Sea { fn clone(&self) -> Self { todo!() } }";
    let crate_files = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", text),
        ("b.rs", b),
        ("c.rs", c),
    ];
    let mut uses = edges(&crate_files);
    uses.retain(|edge| edge.starts_with("a.rs"));
    uses.iter()
        .map(|edge| {
            edge.trim_start_matches("a.rs:")
                .replace(", defined in", ":")
        })
        .collect()
}

/// The [`uses`] of a function with a parameter `bee: &Bee`, except that of the parameter.
fn calls(body: &str) -> Vec<String> {
    let mut uses = uses(&format!("fn f(bee: &crate::b::Bee) {{ {body} }}"));
    uses.retain(|edge| edge != "1 names `Bee`: b.rs");
    uses.iter()
        .map(|edge| edge.replace("1 calls ", ""))
        .collect()
}

const EBB: &str = "`Sea::ebb`: c.rs";

#[test]
fn paths_lead_to_definitions() {
    let named = ["1 names `Bee`: b.rs"];
    for text in [
        "use crate::b::Bee;",
        "use super::b::{Bee};",
        "use crate::{b::{Bee as Hornet}};",
        "type T = crate::b::Bee;",
        "fn f() -> super::b::Bee {}",
        "fn f(bee: Option<Box<dyn Fn(&crate::b::Bee)>>) {}",
        "mod inner { use super::super::b::Bee; }",
        "use crate::b; fn f(_: b::Bee) {}",
        "use crate::b::*; fn f(_: Bee) {}",
        "fn f() { let crate::b::Bee { .. } = x; }",
        "fn f() { use crate::b::Bee; }",
    ] {
        assert_eq!(uses(text), named, "{text}");
    }
    for text in [
        "use other::b::Bee;",
        "use ::b::Bee;",
        "use crate::b; use ::b::Bee; fn f(_: ::b::Bee) {}",
        "/// See [`crate::b::Bee`].\nfn f() {} // crate::b::Bee",
        "use crate::b;",
        "pub(in crate::b) fn f() {}",
        "struct Bee; fn f(_: Bee) {}",
        "fn f(bee: u8) { bee + 1; }",
    ] {
        assert!(uses(text).is_empty(), "{text}");
    }
}

#[test]
fn functions_of_types_are_found_by_path() {
    assert_eq!(
        uses("fn f() {\n crate::b::bee();\n crate::b::Bee::make();\n crate::b::Bee::ONE; }"),
        [
            "2 names `bee`: b.rs",
            "3 calls `Bee::make`: b.rs",
            "3 names `Bee`: b.rs",
            "4 calls `Bee::ONE`: b.rs",
            "4 names `Bee`: b.rs",
        ]
    );
    assert_eq!(
        uses("type A = crate::b::Bee;\nimpl A { fn f(a: &A) { A::make(); a.buzz(); Self::ONE } }"),
        [
            "1 names `Bee`: b.rs",
            "2 calls `Bee::ONE`: b.rs",
            "2 calls `Bee::buzz`: b.rs",
            "2 calls `Bee::make`: b.rs",
        ]
    );
}

#[test]
fn a_module_and_a_function_may_have_one_name() {
    assert_eq!(
        uses("use crate::b::bee;\ntype T = bee::Inner;\nfn f() { bee() }"),
        [
            "1 names `bee`: b.rs",
            "2 names `Inner`: b.rs",
            "3 names `bee`: b.rs"
        ]
    );
}

#[test]
fn a_use_through_a_re_export_is_of_the_definition() {
    let files = [
        ("lib.rs", "mod m; mod a;"),
        (
            "m/mod.rs",
            "mod x; mod y; pub(crate) use self::x::{X, y_too};",
        ),
        (
            "m/x.rs",
            "pub(crate) struct X; pub(crate) use super::y::y as y_too;",
        ),
        ("m/y.rs", "pub(crate) fn y() {}"),
        ("a.rs", "use crate::m::X;\nfn a() { crate::m::y_too(); }"),
    ];
    assert_eq!(
        edges(&files),
        [
            "a.rs:1 names `X`, defined in m/x.rs",
            "a.rs:2 names `y`, defined in m/y.rs"
        ]
    );
}

#[test]
fn tests_are_not_read() {
    let files = [
        (
            "lib.rs",
            "mod a;\n\n// no code\n#[cfg(test)]\nmod tests;\n#[cfg(all(test, unix))]\nmod more {\n}",
        ),
        (
            "a.rs",
            "#[cfg(test)]\nuse crate::b::B;\nstruct A;\nimpl A {\n\
             #[cfg(test)] fn f() { crate::B; }\n}\n#[cfg(not(test))]\nuse crate::B;",
        ),
    ];
    let krate = crate_of(&files);
    let lines: Vec<_> = krate
        .files
        .iter()
        .map(|file| (&*file.path, file.lines))
        .collect();
    assert_eq!(lines, [("lib.rs", 1), ("a.rs", 5)]);
    assert!(krate.edges.is_empty());
}

#[test]
fn a_receiver_has_the_type_it_was_declared_or_made_with() {
    for body in [
        "bee.sea.ebb()",
        "bee.sea().unwrap().ebb()",
        "bee.sea()?.ebb()",
        "bee.later().await.ebb()",
        "let sea = &bee.sea; sea.ebb()",
        "let crate::b::Bee { sea, .. } = bee; sea.ebb()",
        "if let Some(sea) = &bee.maybe { sea.ebb() }",
        "let Ok(sea) = bee.sea() else { return }; sea.ebb()",
        "match bee.sea() { Ok(sea) if sea.ebb() => {} _ => {} }",
        "for sea in &bee.all { sea.ebb() }",
        "bee.all[0].ebb()",
        "bee.all.iter().filter(|sea| true).for_each(|sea| sea.ebb())",
        "bee.maybe.as_ref().map(|sea| (sea, 1)).unwrap().0.ebb()",
        "bee.with(|sea| sea.ebb())",
        "let either = crate::b::Either::make(); if let crate::b::Either::Left(x) = either { x.ebb() }",
        "let x = std::sync::Arc::new(bee.sea.clone()); let y = x; y.ebb()",
        "let x = { let y = &bee.sea; y }; x.ebb()",
        "let x = if true { &bee.sea } else { return }; x.ebb()",
        "let x: std::sync::Mutex<Vec<crate::c::Sea>> = make(); x.lock().unwrap().pop().unwrap().ebb()",
    ] {
        assert!(
            calls(body).iter().any(|call| call == EBB),
            "{body}: {:?}",
            calls(body)
        );
    }
}

#[test]
fn a_type_parameter_has_the_methods_of_its_bounds() {
    for text in [
        "fn f<H: crate::b::Hum>(h: &H) { h.hum() }",
        "fn f<H>(h: &H) where H: Copy + crate::b::Hum { h.hum() }",
        "fn f(h: &(impl crate::b::Hum + Send)) { h.hum() }",
        "fn f(h: Box<dyn crate::b::Hum>) { h.hum() }",
        "struct A<H> { h: H } impl<H: crate::b::Hum> A<H> { fn f(&self) { self.h.hum() } }",
    ] {
        assert_eq!(
            uses(text),
            ["1 calls `Hum::hum`: b.rs", "1 names `Hum`: b.rs"],
            "{text}"
        );
    }
}

#[test]
fn shadowed_and_foreign_methods_are_not_the_crates() {
    for body in [
        "let bee = String::new(); bee.buzz()",
        "bee.all.ebb()",
        "bee.maybe.ebb()",
        "let n: u8 = 1; n.ebb()",
        "bee.sea.borrowed()",
        "unknown().run()",
        "unknown().flow()",
    ] {
        assert!(calls(body).is_empty(), "{body}: {:?}", calls(body));
    }
    assert_eq!(
        calls("bee.sea().map_err(|error| error.run())"),
        ["`Bee::sea`: b.rs"]
    );
    assert_eq!(calls("bee.sea.flow()"), ["`Sea::flow`: c.rs"]);
}

#[test]
fn a_call_on_an_unknown_receiver_is_found_by_name() {
    let seems = "1 seems to call `Sea::ebb`: c.rs";
    assert_eq!(uses("fn f() { unknown().ebb() }"), [seems]);
    assert_eq!(
        uses("impl Sea { fn ebb(&self) {} } struct Sea; fn f() { unknown().ebb() }"),
        [""; 0]
    );
    assert_eq!(
        uses(
            "struct Tide; impl Tide { fn ebb(&self) {} }\nuse crate::c::Sea; fn f() { unknown().ebb() }"
        ),
        ["2 names `Sea`: c.rs", "2 seems to call `Sea::ebb`: c.rs"]
    );
    let krate = crate_of(&[
        ("lib.rs", "mod a; mod b; fn f() { x().run();\n x().jog() }"),
        (
            "a.rs",
            "struct A; impl A { fn run(&self) {} fn jog(&self) {} fn pop(&self) { x().pop() } }",
        ),
        ("b.rs", "trait B { fn run(&self); fn jog(&self); }"),
    ]);
    assert!(krate.edges.is_empty());
    assert_eq!(
        krate.doubtful,
        ["lib.rs:1 .run() of A or B?", "lib.rs:2 .jog() of A or B?"]
    );
}

#[test]
fn macros_are_read() {
    for body in [
        "println!(\"{} {x}\", bee.sea.ebb(), x = 1)",
        "vec![bee.sea.ebb(); 3]",
        "assert!(matches!(bee.sea.ebb(), Some(_)))",
        "matches!(bee.sea(), Ok(sea) if sea.ebb())",
        "select! { let x = bee.sea.ebb(); x + 1 }",
    ] {
        assert_eq!(
            calls(body).iter().filter(|call| *call == EBB).count(),
            1,
            "{body}"
        );
    }
    assert_eq!(
        uses("fn f() { event!(WARN, %crate::c::Sea, ?x.ebb(), \"text\") }"),
        ["1 names `Sea`: c.rs", "1 seems to call `Sea::ebb`: c.rs"]
    );
    assert_eq!(
        uses("pin_project! { struct P {\n bee: crate::b::Bee } }\nfn f(p: P) { p.bee.buzz() }"),
        ["2 names `Bee`: b.rs", "3 calls `Bee::buzz`: b.rs"]
    );
    assert_eq!(
        uses("macro_rules! m { ($x:expr) => { $crate::c::Sea + $x } }"),
        ["1 names `Sea`: c.rs"]
    );
    assert!(uses("#[macro_export] macro_rules! m { () => { $crate::c::Sea } }").is_empty());
}

#[test]
fn a_macro_is_used_where_it_is_called() {
    let here = "macro_rules! here { () => {} } pub(crate) use here;";
    let there = "#[macro_export] macro_rules! there { () => {} }";
    let files = [
        ("lib.rs", "macro_rules! above { () => {} } mod m; mod a;"),
        ("m.rs", &format!("{here} {there}")),
        (
            "a.rs",
            "fn a() {\n crate::m::here!();\n crate::there!();\n above!(); }",
        ),
    ];
    assert_eq!(
        edges(&files),
        [
            "a.rs:4 names `above`, defined in lib.rs",
            "a.rs:2 names `here`, defined in m.rs",
            "a.rs:3 names `there`, defined in m.rs"
        ]
    );
}

/// One type with blocks of methods in three files, which import the type and nothing else.
const ROUND: &[(&str, &str)] = &[
    ("lib.rs", "mod s;"),
    (
        "s/mod.rs",
        "mod apart; mod load; mod save;\npub struct S;\nuse self::apart::A;",
    ),
    ("s/apart.rs", "pub struct A;"),
    (
        "s/load.rs",
        "use super::S;\nimpl S {\n pub fn load(&self) {\n  Self::save(self) }\n}",
    ),
    (
        "s/save.rs",
        "use super::S;\nimpl S {\n pub fn save(&self) {\n  self.load() }\n}",
    ),
];

#[test]
fn a_circle_of_method_calls_is_found() {
    let krate = crate_of(ROUND);
    assert_eq!(
        rules::circles(&krate, &[]),
        [
            "s/load.rs, s/save.rs use each other; the shortest way round:\n    \
             s/load.rs:4 calls `S::save`, defined in s/save.rs\n    \
             s/save.rs:4 calls `S::load`, defined in s/load.rs"
        ]
    );
}

#[test]
fn the_shortest_way_round_is_reported() {
    let file = |uses: &[&'static str]| {
        let uses = uses.iter().map(|to| format!("use crate::{to}::T;\n"));
        format!("pub struct T;\n{}", uses.collect::<String>())
    };
    let texts = [file(&["b"]), file(&["c"]), file(&["d", "b"]), file(&["a"])];
    let [a, b, c, d] = &texts;
    let krate = crate_of(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", a),
        ("b.rs", b),
        ("c.rs", c),
        ("d.rs", d),
    ]);
    assert_eq!(
        rules::circles(&krate, &[]),
        [
            "a.rs, b.rs, c.rs, d.rs use each other; the shortest way round:\n    \
          b.rs:2 names `T`, defined in c.rs\n    \
          c.rs:3 names `T`, defined in b.rs"
        ]
    );
}

#[test]
fn known_circles_are_allowed_while_they_last() {
    let krate = crate_of(ROUND);
    let circle = ["s/load.rs", "s/save.rs"];
    assert!(rules::circles(&krate, &[&circle]).is_empty());
    assert_eq!(
        rules::circles(&krate, &[&["s/load.rs", "s/mod.rs", "s/save.rs"]]),
        ["s/mod.rs is no longer in a circle: remove it from `KNOWN`"]
    );
    // Two known circles do not allow a circle across both.
    let faults = rules::circles(&krate, &[&["s/load.rs"], &["s/save.rs"]]);
    assert!(matches!(&*faults, [fault] if fault.contains("use each other")));
}

#[test]
fn the_reported_way_round_is_the_new_one() {
    let krate = crate_of(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "pub struct T; use crate::b::T as _;"),
        ("b.rs", "pub struct T; use crate::{a::T as _, c::T as _};"),
        ("c.rs", "pub struct T; use crate::d::T as _;"),
        ("d.rs", "pub struct T; use crate::a::T as _;"),
    ]);
    assert_eq!(
        rules::circles(&krate, &[&["a.rs", "b.rs"]]),
        [
            "a.rs, b.rs, c.rs, d.rs use each other; the shortest way round:\n    \
          b.rs:1 names `T`, defined in c.rs\n    \
          c.rs:1 names `T`, defined in d.rs\n    \
          d.rs:1 names `T`, defined in a.rs\n    \
          a.rs:1 names `T`, defined in b.rs"
        ]
    );
}

#[test]
fn floors_hold() {
    let krate = crate_of(&[
        ("lib.rs", "mod low; mod high; pub use low::Low;"),
        ("low.rs", "pub struct Low;\nuse crate::high::High;"),
        (
            "high/mod.rs",
            "mod inner;\npub struct High; use crate::Low;",
        ),
        ("high/inner.rs", "use super::High;"),
    ]);
    let up = "`low` must not use `high`: low.rs:2 names `High`, defined in high/mod.rs";
    assert_eq!(rules::floors(&krate, &[&["low"], &["high"]], &[]), [up]);
    assert!(rules::floors(&krate, &[&["low", "high"]], &[]).is_empty());
    assert_eq!(
        rules::floors(&krate, &[&["low", "high"]], &[("low", "high")]),
        [up]
    );
    assert_eq!(
        rules::floors(&krate, &[&["low", "high", "none"]], &[]),
        ["`none` is on a floor but does not exist"]
    );
    assert_eq!(
        rules::floors(&krate, &[&["high"]], &[])[0],
        "`low` is on no floor"
    );
}

#[test]
fn folders_keep_their_order() {
    let krate = crate_of(ROUND);
    let up = "upwards: s/save.rs:4 calls `S::load`, defined in s/load.rs";
    assert_eq!(
        rules::folders(&krate, &[("s", &["apart", "mod", "save", "load"])]),
        [up]
    );
    assert_eq!(
        rules::folders(&krate, &[("s", &["mod", "save", "load", "none"])]),
        [
            "s/apart is not in the order of its folder",
            "s/none is in the order of its folder but does not exist",
            up,
        ]
    );
}

#[test]
fn only_one_module_may_name_another_crate() {
    let krate = crate_of(&[
        ("lib.rs", "mod crypto; mod key;"),
        ("crypto.rs", "use ring::hkdf; fn f(ring: u8) {}"),
        (
            "key.rs",
            "fn f(ring: u8) { ring + 1; }\nuse other::ring;\ntype K = ::ring::Key;",
        ),
    ]);
    assert_eq!(
        rules::alone(&krate, "crypto", "ring"),
        ["key.rs:3 names `ring`, which only `crypto` may"]
    );
    assert_eq!(rules::alone(&krate, "crypto", "none").len(), 1);
}

#[test]
fn lengths_count_code() {
    let text = "// one\nstruct S;\n\nimpl S {\n    /// two\n    fn long(\n    ) {\n\n        // three\n    }\n}\n";
    let krate = crate_of(&[("lib.rs", text)]);
    assert_eq!(
        rules::long_files(&krate, 5, &[]),
        ["lib.rs has 6 lines of code; 5 are allowed"]
    );
    assert_eq!(
        rules::long_functions(&krate, 2, &[]),
        ["lib.rs S::long has 3 lines of code from line 6; 2 are allowed"]
    );
    assert!(rules::long_files(&krate, 6, &[]).is_empty());
    assert!(rules::long_functions(&krate, 2, &["lib.rs S::long"]).is_empty());
    assert_eq!(
        rules::long_functions(&krate, 3, &["lib.rs S::long"]),
        ["lib.rs S::long is no longer too long: remove it from the list"]
    );
}

#[test]
fn only_examples_that_rustdoc_compiles_count() {
    let text = "
        pub struct Bee;
        impl Bee {
            /// ```
            /// Bee::new();
            /// ```
            pub fn new() -> Self { Self }
            /// Told in words, and in
            /// ```text
            /// a drawing
            /// ```
            pub fn drawn(&self) {}
            /// ```no_run
            /// bee.fly();
            /// ```
            pub fn fly(&self) {}
            fn private(&self) {}
            pub(crate) fn inner(&self) {}
            #[doc(hidden)]
            pub fn hidden(&self) {}
        }
        impl Clone for Bee { fn clone(&self) -> Self { Self } }
        pub trait Hum { fn hum(&self); }
        trait Secret { fn tell(&self); }
        pub fn bee() {}
        #[test]
        pub fn a_test() {}";
    let counted = public(&sources_of(&[("lib.rs", text)]));
    let counted: Vec<_> = counted
        .iter()
        .map(|f| (f.name.as_str(), f.has_example))
        .collect();
    let expected = [
        ("lib.rs Bee::new", true),
        ("lib.rs Bee::drawn", false),
        ("lib.rs Bee::fly", true),
        ("lib.rs Hum::hum", false),
        ("lib.rs bee", false),
    ];
    assert_eq!(counted, expected);
}

#[test]
fn missing_examples_are_listed() {
    let text = "
        /// ```
        /// a();
        /// ```
        pub fn a() {}
        pub fn b() {}";
    let counted = || vec![("src", public(&sources_of(&[("lib.rs", text)])))];
    assert!(rules::few_examples(&counted(), 50).is_empty());
    let faults = rules::few_examples(&counted(), 51);
    assert!(
        faults[0].ends_with("Without one:\n    lib.rs b"),
        "{faults:?}"
    );
}
