//! Paths -> lines and columns of a YAML text.

use super::{
    fault::{KeyPath, Location, Step},
    yaml::location,
};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Where `path` begins: its key, its list entry, or of what is not there the nearest above it that is.
pub fn locate(text: &str, path: &KeyPath) -> Option<Location> {
    // The search ends in an error raised on purpose at the wanted node, since an error is what serde_yaml locates.
    let found = Seek(path.steps()).deserialize(serde_yaml::Deserializer::from_str(text));
    found.err().as_ref().and_then(location)
}

/// Walks down the steps and fails where they end.
struct Seek<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    /// Whatever else is found where the steps end, serde refuses with this text: the error that is wanted.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("here")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Some((Step::Index(index), rest)) = self.0.split_first() {
            for _ in 0..*index {
                seq.next_element::<IgnoredAny>()?;
            }
            seq.next_element_seed(Seek(rest))?;
        }
        Err(de::Error::custom("here"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let Some((Step::Key(wanted), rest)) = self.0.split_first() {
            while let Some(found) = map.next_key_seed(SeekKey { wanted, is_last: rest.is_empty() })? {
                if found {
                    return map.next_value_seed(Seek(rest));
                }
                map.next_value::<IgnoredAny>()?;
            }
        }
        Err(de::Error::custom("here"))
    }
}

/// Whether a key is the wanted one; fails at it if it is the last step.
struct SeekKey<'p> {
    wanted: &'p str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for SeekKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for SeekKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("here")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        match (key == self.wanted, self.is_last) {
            (true, true) => Err(E::custom("here")),
            (found, _) => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_located_at_its_key_or_above() {
        let text = "a: 1\nb:\n  - c: 1\n    d: [2, 3]\n  - &x e\n  - *x\n";
        let root = KeyPath::root();
        let b = root.key("b");
        let cases = [
            (root.key("a"), 1, 1),
            (b.clone(), 2, 1),
            (b.index(0), 3, 5),
            (b.index(0).key("d"), 4, 5),
            (b.index(0).key("d").index(1), 4, 12),
            (b.index(0).key("missing"), 3, 5),
            (b.index(1), 5, 5),
            (b.index(7), 3, 3),
            (root.key("missing"), 1, 1),
            (root.clone(), 1, 1),
        ];
        for (path, line, column) in cases {
            assert_eq!(locate(text, &path), Some(Location { line, column }), "{path}");
        }
    }
}
