//! The products, and the cart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use silverback::{SessionData, SessionName, Typed};

#[derive(Clone, Copy, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Product {
    Fern,
    Lamp,
    Mug,
    Blanket,
    Notebook,
    Bananas,
}

/// How a product is shown. The price is in cents.
pub(crate) struct Label {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) blurb: &'static str,
    pub(crate) cents: u32,
    pub(crate) art: &'static str,
}

impl Product {
    pub(crate) const ALL: [Self; 6] = [
        Self::Fern,
        Self::Lamp,
        Self::Mug,
        Self::Blanket,
        Self::Notebook,
        Self::Bananas,
    ];

    pub(crate) const fn label(self) -> Label {
        let (id, name, blurb, cents, art) = match self {
            Self::Fern => (
                "fern",
                "Forest fern",
                "Likes shade, forgives holidays.",
                2400,
                include_str!("art/fern.svg"),
            ),
            Self::Lamp => (
                "lamp",
                "Reading lamp",
                "Warm light for one more chapter.",
                5900,
                include_str!("art/lamp.svg"),
            ),
            Self::Mug => (
                "mug",
                "Stoneware mug",
                "Holds a whole slow morning.",
                1450,
                include_str!("art/mug.svg"),
            ),
            Self::Blanket => (
                "blanket",
                "Wool blanket",
                "Heavier than it looks.",
                7900,
                include_str!("art/blanket.svg"),
            ),
            Self::Notebook => (
                "notebook",
                "Field notebook",
                "Dotted, opens flat.",
                950,
                include_str!("art/notebook.svg"),
            ),
            Self::Bananas => (
                "bananas",
                "Three bananas",
                "The house favourite.",
                180,
                include_str!("art/bananas.svg"),
            ),
        };
        Label {
            id,
            name,
            blurb,
            cents,
            art,
        }
    }
}

/// The session of the visitor's login.
#[derive(Clone, Copy)]
pub(crate) struct Account;

impl SessionName for Account {
    const NAME: &'static str = "account";
}

/// The session of the visitor's cart.
#[derive(Clone, Copy)]
pub(crate) struct Basket;

impl SessionName for Basket {
    const NAME: &'static str = "cart";
}

/// The cart of the visitor who sends the request.
pub(crate) type MyCart = Typed<Cart, Basket>;

/// How many of each product the visitor wants. It is kept in one session, as one value.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Cart(BTreeMap<Product, u32>);

impl SessionData for Cart {
    const KEY: &'static str = "items";
}

impl Cart {
    pub(crate) fn add(&mut self, product: Product) {
        let count = self.0.entry(product).or_default();
        *count = (*count + 1).min(99);
    }

    pub(crate) fn take(&mut self, product: Product) {
        self.0.entry(product).and_modify(|count| *count -= 1);
        self.0.retain(|_, count| *count > 0);
    }

    pub(crate) fn remove(&mut self, product: Product) {
        self.0.remove(&product);
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (Label, u32)> {
        self.0
            .iter()
            .map(|(product, count)| (product.label(), *count))
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.values().sum()
    }

    pub(crate) fn cents(&self) -> u32 {
        self.lines().map(|(label, count)| label.cents * count).sum()
    }
}
