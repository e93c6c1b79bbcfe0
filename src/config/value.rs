//! The kinds of values that settings have: as text of the environment, and as TOML.

use std::{net::SocketAddr, path::PathBuf};

use crate::model::{network::Network, principal::Access};

/// A value of a setting.
pub(crate) trait Value: Sized {
    /// What it is called in the reference.
    const KIND: &'static str;

    /// Reads a text of the environment; says what is wrong with it.
    fn read(text: &str) -> Result<Self, String>;

    /// As it stands in the file; `None` for what is left out.
    fn toml(&self) -> Option<String>;

    /// As a number, to be compared with limits.
    fn number(&self) -> Option<i64> {
        None
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|error: T::Err| error.to_string())
}

/// A text in the quotes that TOML and JSON share.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Value for $type {
            const KIND: &'static str = "number";

            fn read(text: &str) -> Result<$type, String> {
                parsed(text)
            }

            fn toml(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn number(&self) -> Option<i64> {
                Some(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )+};
}

numbers!(i32, u32, u64, usize);

impl Value for bool {
    const KIND: &'static str = "true or false";

    fn read(text: &str) -> Result<bool, String> {
        parsed(text)
    }

    fn toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    const KIND: &'static str = "text";

    fn read(text: &str) -> Result<String, String> {
        Ok(text.trim().to_owned())
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Value for PathBuf {
    const KIND: &'static str = "path";

    fn read(text: &str) -> Result<PathBuf, String> {
        Ok(text.into())
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl Value for SocketAddr {
    const KIND: &'static str = "address";

    fn read(text: &str) -> Result<SocketAddr, String> {
        parsed(text)
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;

    fn read(text: &str) -> Result<Option<T>, String> {
        T::read(text).map(Some)
    }

    fn toml(&self) -> Option<String> {
        self.as_ref().and_then(T::toml)
    }

    fn number(&self) -> Option<i64> {
        self.as_ref().and_then(T::number)
    }
}

impl Value for Vec<String> {
    const KIND: &'static str = "list of texts";

    fn read(text: &str) -> Result<Vec<String>, String> {
        Ok(text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
    }

    fn toml(&self) -> Option<String> {
        let items: Vec<String> = self.iter().map(|item| quoted(item)).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

impl Value for Vec<Network> {
    const KIND: &'static str = "list of networks";

    fn read(text: &str) -> Result<Vec<Network>, String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::parse).collect()
    }

    fn toml(&self) -> Option<String> {
        let items: Vec<String> = self.iter().map(|network| quoted(&network.to_string())).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

impl Value for Access {
    const KIND: &'static str = "`none`, `view` or `edit`";

    fn read(text: &str) -> Result<Access, String> {
        Access::from_name(text).ok_or_else(|| "it must be none, view or edit".to_owned())
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(self.name()))
    }
}
