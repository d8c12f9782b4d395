//! Declared types, in as much detail as the rules need.

use syn::{
    Fields, FnArg, GenericArgument, GenericParam, PathArguments, ReturnType, Signature, Token,
    Type, TypeParamBound, WherePredicate, punctuated::Punctuated,
};

use crate::names::{Found, Id, Kind, Names, Place, words};

type Bounds = Punctuated<TypeParamBound, Token![+]>;

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Ty {
    #[default]
    Unknown,
    /// A type or trait of this crate. References and smart pointers are looked through.
    Own(Id),
    /// A type of another crate around a type: `Option`, `Vec`, `Mutex` or a future.
    Holder(Box<Self>),
    Tuple(Vec<Self>),
    /// A type of another crate.
    Foreign,
}

/// Smart pointers, whose methods are those of the type they point to.
const POINTERS: &[&str] = &[
    "Arc",
    "Box",
    "Cow",
    "ManuallyDrop",
    "MutexGuard",
    "OwnedMutexGuard",
    "Pin",
    "Rc",
    "Ref",
    "RefMut",
    "RwLockReadGuard",
    "RwLockWriteGuard",
    "Zeroizing",
];

impl Ty {
    pub(crate) fn opened(self) -> Self {
        match self {
            Self::Holder(inner) => *inner,
            Self::Foreign => Self::Foreign,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn held(self) -> Self {
        match self {
            Self::Foreign => Self::Foreign,
            inner => Self::Holder(Box::new(inner)),
        }
    }

    pub(crate) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Unknown => other(),
            known => known,
        }
    }
}

/// Declared types.
impl Names<'_> {
    pub(crate) fn ty(&self, place: &Place, ty: &Type) -> Ty {
        match ty {
            Type::Reference(ty) => self.ty(place, &ty.elem),
            Type::Paren(ty) => self.ty(place, &ty.elem),
            Type::Group(ty) => self.ty(place, &ty.elem),
            Type::Slice(ty) => self.ty(place, &ty.elem).held(),
            Type::Array(ty) => self.ty(place, &ty.elem).held(),
            Type::Tuple(ty) => Ty::Tuple(ty.elems.iter().map(|ty| self.ty(place, ty)).collect()),
            Type::ImplTrait(ty) => self.bound(place, &ty.bounds),
            Type::TraitObject(ty) => self.bound(place, &ty.bounds),
            Type::Path(ty) if ty.qself.is_none() => self.path_ty(place, &ty.path),
            _ => Ty::Unknown,
        }
    }

    fn path_ty(&self, place: &Place, path: &syn::Path) -> Ty {
        let path_words = words(path);
        if let [name] = path_words.as_slice() {
            if name == "Self" {
                return place.self_type.map_or(Ty::Unknown, Ty::Own);
            }
            if let Some(bounds) = bounds(place, name) {
                return bounds
                    .iter()
                    .map(|bounds| self.bound(place, bounds))
                    .find(|ty| *ty != Ty::Unknown)
                    .unwrap_or_default();
            }
        }
        match self.find(&place.module, &path_words) {
            Found::Item(id, rest) if rest.is_empty() => self.item_ty(id),
            Found::Outside => self.foreign(place, path),
            _ => Ty::Unknown,
        }
    }

    fn foreign(&self, place: &Place, path: &syn::Path) -> Ty {
        // `Self::Item` and `F::File` depend on the implementation.
        let first = &path.segments[0].ident;
        if path.segments.len() > 1
            && (first == "Self" || bounds(place, &first.to_string()).is_some())
        {
            return Ty::Unknown;
        }
        let last = path.segments.last().expect("a path has segments");
        let PathArguments::AngleBracketed(arguments) = &last.arguments else {
            return Ty::Foreign;
        };
        let mut types = arguments.args.iter().filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(self.ty(place, ty)),
            // `Future<Output = T>`, `Iterator<Item = T>`.
            GenericArgument::AssocType(ty) => Some(self.ty(place, &ty.ty)),
            _ => None,
        });
        let name = last.ident.to_string();
        let skipped = usize::from(name.ends_with("Map"));
        let inner = types.nth(skipped).unwrap_or(Ty::Foreign);
        if POINTERS.contains(&name.as_str()) {
            inner
        } else {
            inner.held()
        }
    }

    /// The first bound that is not a marker: `impl Store + 'static`, `dyn Future<Output = T>`.
    fn bound(&self, place: &Place, bounds: &Bounds) -> Ty {
        let traits = bounds.iter().filter_map(|bound| match bound {
            TypeParamBound::Trait(bound) => Some(self.path_ty(place, &bound.path)),
            _ => None,
        });
        let mut known: Vec<_> = traits.filter(|ty| *ty != Ty::Unknown).collect();
        known.sort_by_key(|ty| *ty == Ty::Foreign);
        known
            .into_iter()
            .next()
            .filter(|ty| *ty != Ty::Foreign)
            .unwrap_or_default()
    }

    pub(crate) fn item_ty(&self, id: Id) -> Ty {
        let definition = &self.definitions[id];
        match definition.kind {
            Kind::Alias(ty) => self.ty(&definition.place, ty),
            _ => Ty::Own(id),
        }
    }

    /// The return type of a function of this crate.
    pub(crate) fn output(&self, place: &Place, signature: &Signature) -> Ty {
        let output = match &signature.output {
            ReturnType::Type(_, ty) => self.ty(place, ty),
            ReturnType::Default => Ty::Foreign,
        };
        if signature.asyncness.is_some() {
            output.held()
        } else {
            output
        }
    }

    /// The input types of a closure that is passed to a parameter of this type.
    fn closure_inputs(&self, place: &Place, ty: &Type) -> Vec<Ty> {
        let mut found = Vec::new();
        match ty {
            Type::ImplTrait(ty) => found.push(&ty.bounds),
            Type::Path(ty) => {
                if let Some(name) = ty.path.get_ident() {
                    found.extend(bounds(place, &name.to_string()).unwrap_or_default());
                }
            }
            _ => {}
        }
        for bound in found.into_iter().flatten() {
            let TypeParamBound::Trait(bound) = bound else {
                continue;
            };
            let last = bound.path.segments.last().map(|last| &last.arguments);
            if let Some(PathArguments::Parenthesized(arguments)) = last {
                let inputs = arguments.inputs.iter();
                return inputs.map(|input| self.ty(place, &input.ty)).collect();
            }
        }
        Vec::new()
    }

    /// The same for each parameter of a function.
    pub(crate) fn closures(&self, place: &Place, signature: &Signature) -> Vec<Vec<Ty>> {
        let typed = signature.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(input) => Some(self.closure_inputs(place, &input.ty)),
            FnArg::Receiver(_) => None,
        });
        typed.collect()
    }

    /// The type of a field, as seen from code at `here`.
    pub(crate) fn field(&self, here: &Place, of: &Ty, member: &syn::Member) -> Ty {
        match (of, member) {
            (Ty::Tuple(elements), syn::Member::Unnamed(index)) => elements
                .get(index.index as usize)
                .cloned()
                .unwrap_or_default(),
            (Ty::Own(id), _) => match &self.definitions[*id].kind {
                Kind::Struct(fields) => self.field_of(here, *id, fields, member),
                _ => Ty::Unknown,
            },
            (Ty::Foreign, _) => Ty::Foreign,
            _ => Ty::Unknown,
        }
    }

    /// A struct often has no bounds on its type parameters, but `impl<F: Fs> Disk<F>` has.
    pub(crate) fn field_of(
        &self,
        here: &Place,
        of: Id,
        fields: &Fields,
        member: &syn::Member,
    ) -> Ty {
        let field = match member {
            syn::Member::Named(name) => fields.iter().find(|f| f.ident.as_ref() == Some(name)),
            syn::Member::Unnamed(index) => fields.iter().nth(index.index as usize),
        };
        let Some(field) = field else {
            return Ty::Unknown;
        };
        let mut place = self.definitions[of].place.clone();
        self.ty(&place, &field.ty).or(|| {
            place.generics.clone_from(&here.generics);
            self.ty(&place, &field.ty)
        })
    }
}

/// The bounds of the type parameter with this name, if there is one.
fn bounds<'p>(place: &'p Place, name: &str) -> Option<Vec<&'p Bounds>> {
    let mut found = None;
    for generics in place.generics.iter().rev() {
        for parameter in &generics.params {
            if let GenericParam::Type(parameter) = parameter
                && parameter.ident == name
            {
                found.get_or_insert_with(Vec::new).push(&parameter.bounds);
            }
        }
        for clause in generics
            .where_clause
            .iter()
            .flat_map(|clause| &clause.predicates)
        {
            if let WherePredicate::Type(clause) = clause
                && let Type::Path(bounded) = &clause.bounded_ty
                && bounded.path.is_ident(name)
            {
                found.get_or_insert_with(Vec::new).push(&clause.bounds);
            }
        }
    }
    found
}
