//! How a zone's path is put together from the fields of a row: `{site}/{role}`.

use serde_json::Value;

/// Fields of a template at most; a path has thirteen parts.
const MAX_PIECES: usize = 64;

/// A path with fields in it.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// Its parts, which `/` separates.
    parts: Vec<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

/// `{name}`, `{name:beginning}`, `{name|fallback}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// A column, or the way into an object with dots, as `site.slug`.
    pub name: String,
    /// Of several values the one that begins so is meant, without this beginning.
    beginning: String,
    /// What stands where there is no value.
    fallback: Option<String>,
}

/// A path that was put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filled {
    pub path: String,
    /// Whether a value held a sign that means something else in a file of zones, which `-` stands for.
    pub is_altered: bool,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut parts = vec![Vec::new()];
        let mut pieces = 0;
        let mut rest = text.trim();
        while !rest.is_empty() {
            pieces += 1;
            if pieces > MAX_PIECES {
                return Err(format!("a path of more than {MAX_PIECES} pieces"));
            }
            if let Some(behind) = rest.strip_prefix('/') {
                parts.push(Vec::new());
                rest = behind;
                continue;
            }
            let (piece, behind) = match rest.strip_prefix('{') {
                Some(open) => {
                    let closed = open.split_once('}');
                    let (field, behind) =
                        closed.ok_or_else(|| format!("`{text}`: a `{{` without its `}}`"))?;
                    (Piece::Field(Field::parse(field)?), behind)
                }
                None => {
                    let end = rest.find(['/', '{']).unwrap_or(rest.len());
                    let (plain, behind) = rest.split_at(end);
                    (Piece::Text(plain.to_owned()), behind)
                }
            };
            if let Some(part) = parts.last_mut() {
                part.push(piece);
            }
            rest = behind;
        }
        if parts.iter().any(Vec::is_empty) {
            return Err(format!("`{text}`: a part of the path is empty"));
        }
        Ok(Template { parts })
    }

    /// The fields in it.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        let pieces = self.parts.iter().flatten();
        pieces.filter_map(|piece| match piece {
            Piece::Field(field) => Some(field),
            Piece::Text(_) => None,
        })
    }

    /// Puts a path together. Parts at the end for which there is no value are left out: what has a site and no role lies in the
    /// site.
    ///
    /// # Errors
    /// What has no value, or several.
    pub(super) fn fill(
        &self,
        keeps_levels: bool,
        value: impl Fn(&Field) -> Result<Option<String>, String>,
    ) -> Result<Filled, String> {
        let mut path = String::new();
        let mut missing = None;
        let mut is_altered = false;
        for part in &self.parts {
            let mut text = String::new();
            let mut lacks = None;
            for piece in part {
                match piece {
                    Piece::Text(plain) => text.push_str(plain),
                    Piece::Field(field) => match value(field)?.or_else(|| field.fallback.clone()) {
                        Some(found) => {
                            let fitted = fitted(&found, keeps_levels);
                            is_altered |= fitted != found;
                            text.push_str(&fitted);
                        }
                        None => lacks = Some(field),
                    },
                }
            }
            if let Some(field) = lacks {
                missing = missing.or(Some(field));
                continue;
            }
            if let Some(field) = missing {
                return Err(no_value(field));
            }
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&text);
        }
        match missing.filter(|_| path.is_empty()) {
            Some(field) => Err(no_value(field)),
            None => Ok(Filled { path, is_altered }),
        }
    }
}

fn no_value(field: &Field) -> String {
    let name = &field.name;
    format!("no value for {{{name}}}; {{{name}|other}} would put `other` there")
}

/// A value as it may stand in a path: what would begin a comment or another level becomes `-`.
fn fitted(value: &str, keeps_levels: bool) -> String {
    let is_sign = |c| c == '#' || (c == '/' && !keeps_levels);
    value.replace(is_sign, "-")
}

impl Field {
    fn parse(text: &str) -> Result<Field, String> {
        let (text, fallback) = match text.split_once('|') {
            Some((text, fallback)) => (text, Some(fallback.trim())),
            None => (text, None),
        };
        let (name, beginning) = text.split_once(':').unwrap_or((text, ""));
        if name.trim().is_empty() || fallback.is_some_and(str::is_empty) {
            return Err(format!("`{{{text}}}`: expected a field, as {{site}}"));
        }
        Ok(Field {
            name: name.trim().to_owned(),
            beginning: beginning.trim().to_owned(),
            fallback: fallback.map(str::to_owned),
        })
    }

    /// The field's value where it may be only one; nothing where it is blank.
    pub(super) fn of_text(&self, text: &str) -> Option<String> {
        let text = text.trim().strip_prefix(self.beginning.as_str())?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The field's value in an object. Of an object in its place the name is taken, of a list its one entry that fits.
    ///
    /// # Errors
    /// When several entries fit.
    pub(super) fn of_json(&self, object: &Value) -> Result<Option<String>, String> {
        let mut at = object;
        for name in self.name.split('.') {
            match at.get(name) {
                Some(found) => at = found,
                None => return Ok(None),
            }
        }
        let Value::Array(entries) = at else {
            return Ok(plain(at).and_then(|text| self.of_text(&text)));
        };
        let fitting = entries.iter().filter_map(plain);
        let mut fitting = fitting.filter_map(|text| self.of_text(&text));
        match (fitting.next(), fitting.next()) {
            (Some(one), Some(other)) => {
                let name = &self.name;
                Err(format!(
                    "several values for {{{name}}}, `{one}` and `{other}`; {{{name}:BEGINNING}} takes the one that begins so"
                ))
            }
            (one, _) => Ok(one),
        }
    }
}

/// What stands for a value in words: itself, or the name of an object.
fn plain(value: &Value) -> Option<String> {
    const NAMES: [&str; 4] = ["name", "label", "display", "slug"];
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(object) => {
            let name = NAMES.iter().find_map(|name| object.get(*name)?.as_str());
            name.map(str::to_owned)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(template: &str, object: &Value) -> Result<String, String> {
        let filled = Template::parse(template)?.fill(false, |field| field.of_json(object));
        filled.map(|filled| filled.path)
    }

    /// O14
    #[test]
    fn a_path_is_put_together_from_names_labels_and_tags() {
        let row = json!({
            "site": {"name": "Дом 7/2 #1", "slug": "dom-7"},
            "role": null,
            "status": {"value": "active", "label": "Active"},
            "tags": [{"name": "zone-north"}, {"name": "backup"}],
            "vid": 7,
        });
        for (template, expected) in [
            ("{site}", "Дом 7-2 -1"),
            ("{site.slug}/{status}", "dom-7/Active"),
            ("msk/{tags:zone-}/vlan {vid}", "msk/north/vlan 7"),
            ("{site.slug}/{role}", "dom-7"),
            ("{site.slug}/{role|other}", "dom-7/other"),
        ] {
            assert_eq!(path(template, &row).unwrap(), expected, "{template}");
        }
        let told = path("{tags}", &row).unwrap_err();
        assert!(
            told.contains("`zone-north` and `backup`") && told.contains("{tags:BEGINNING}"),
            "{told}"
        );
        for template in ["{role}", "{role}/{site}", "{tenant.name}"] {
            assert!(path(template, &row).unwrap_err().contains("no value for"));
        }
    }

    /// O14
    #[test]
    fn a_template_that_cannot_be_read_is_refused() {
        let long = "{a}".repeat(MAX_PIECES + 1);
        for template in ["", "/", "{a}/", "{a", "{}", "{|x}", "{a|}", &long] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }
}
