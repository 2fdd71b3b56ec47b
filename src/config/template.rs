//! Names made from an event: `eyeline/{stream}/{type}`. Pure.

use std::fmt;

/// Something a name may be made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The stream's name.
    Stream,
    /// The event's type.
    Type,
    /// The zone's name.
    Zone,
}

impl Part {
    const ALL: [(&'static str, Self); 3] = [("stream", Self::Stream), ("type", Self::Type), ("zone", Self::Zone)];

    /// The word between the braces.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, part)| *part == self).map_or("", |(word, _)| word)
    }
}

/// A name with places to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Part(Part),
}

impl Template {
    /// Reads `text`, in which each of `parts` may stand in braces.
    ///
    /// Errors: what is wrong.
    pub fn parse(text: &str, parts: &[Part]) -> Result<Self, String> {
        let known = || parts.iter().map(|part| format!("{{{}}}", part.word())).collect::<Vec<_>>().join(", ");
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(start);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            let word = from.strip_prefix('{').and_then(|from| from.split_once('}'));
            let Some((word, after)) = word else {
                return Err(format!("a brace without its other one; known are {}", known()));
            };
            match parts.iter().find(|part| part.word() == word) {
                Some(part) => pieces.push(Piece::Part(*part)),
                None => return Err(format!("{{{word}}} is not known here, expected {}", known())),
            }
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Self(pieces))
    }

    /// The name, each part as `fill` gives it.
    pub fn render(&self, fill: impl Fn(Part) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Part(part) => fill(*part),
        };
        self.0.iter().map(piece).collect()
    }

    /// The text as far as the first part.
    pub fn fixed_start(&self) -> &str {
        match self.0.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(|part| format!("{{{}}}", part.word())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [Part; 2] = [Part::Stream, Part::Type];

    #[test]
    fn a_template_is_filled_in_and_reads_back() {
        for text in ["", "plain", "a/{stream}/{type}", "{type}{stream}x"] {
            let template = Template::parse(text, &PARTS).unwrap();
            assert_eq!(template.to_string(), text);
        }
        let template = Template::parse("a/{stream}/{type}", &PARTS).unwrap();
        assert_eq!(template.fixed_start(), "a/");
        assert_eq!(template.render(|part| part.word().to_uppercase()), "a/STREAM/TYPE");
    }

    #[test]
    fn unknown_parts_and_lonely_braces_are_named() {
        for (text, expected) in
            [("{zone}", "{zone} is not known here, expected {stream}, {type}"), ("{", "a brace"), ("a}", "a brace")]
        {
            let problem = Template::parse(text, &PARTS).unwrap_err();
            assert!(problem.starts_with(expected), "{text}: {problem}");
        }
    }
}
