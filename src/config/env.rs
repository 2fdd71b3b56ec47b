//! `${NAME}` and `${NAME:-default}` in the values of a pipeline file.

/// Looks a variable up by name; `None` where it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Longest text a value may become, bytes: a file that repeats one long variable must not fill the memory.
const MAX_EXPANDED: usize = 64 * 1024;

/// `text` with every `${NAME}` replaced by its variable, `${NAME:-default}` by its default where the variable is not set
/// or empty, and `$${` by a literal `${`. What a variable holds is not expanded again.
///
/// Errors: all that is wrong, one sentence each, without the content of any variable.
pub fn expanded(text: &str, lookup: Lookup<'_>) -> Result<String, Vec<String>> {
    let mut out = String::new();
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(literal) = rest[..start].strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('}') else {
            problems.push("${ without }, write $${ for a literal ${".into());
            rest = "";
            break;
        };
        match value_of(&rest[start + 2..start + end], lookup) {
            Ok(value) => out.push_str(&value),
            Err(problem) => problems.push(problem),
        }
        rest = &rest[start + end + 1..];
        if out.len() > MAX_EXPANDED {
            problems.push(format!("variables make it longer than {MAX_EXPANDED} bytes"));
            break;
        }
    }
    out.push_str(rest);
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

/// What stands for `reference`, the text between the braces.
fn value_of(reference: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!("{name:?} cannot be a variable's name, expected ${{NAME}} or ${{NAME:-default}}"));
    }
    match (lookup(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.into()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.into()),
        (None, None) => Err(format!("variable {name} is not set, set it or write ${{{name}:-default}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_variables(text: &str) -> Result<String, Vec<String>> {
        let variables = [("DIR", "/srv"), ("EMPTY", ""), ("NESTED", "${DIR}"), ("LONG", &"x".repeat(1000))];
        let variables = variables.map(|(name, value)| (name.to_string(), value.to_string()));
        expanded(text, &|name| variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()))
    }

    #[test]
    fn table() {
        let cases = [
            ("plain $5 {x}", "plain $5 {x}"),
            ("${DIR}/a.mp4", "/srv/a.mp4"),
            ("${DIR}${DIR}", "/srv/srv"),
            ("${NONE:-a b}", "a b"),
            ("${NONE:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${DIR:-x}", "/srv"),
            ("${NESTED}", "${DIR}"),
            ("$${DIR}", "${DIR}"),
            ("é$${ ${DIR}", "é${ /srv"),
        ];
        for (text, expected) in cases {
            assert_eq!(with_variables(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn every_missing_variable_is_named() {
        let problems = with_variables("${A}/${DIR}/${B}/${").unwrap_err();
        let beginnings = ["variable A is not set", "variable B is not set", "${ without }"];
        assert_eq!(problems.len(), beginnings.len(), "{problems:?}");
        assert!(problems.iter().zip(beginnings).all(|(problem, begins)| problem.starts_with(begins)), "{problems:?}");
        assert!(with_variables("${1A}").unwrap_err()[0].contains("\"1A\" cannot be a variable's name"));
        assert!(with_variables("${}").unwrap_err()[0].contains("\"\" cannot be"));
    }

    #[test]
    fn a_value_stays_bounded() {
        assert!(with_variables(&"${LONG}".repeat(1_000_000)).unwrap_err()[0].contains("longer than"));
    }
}
