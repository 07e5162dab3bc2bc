//! Templates, texts and static files: in the binary, and in a folder whose files stand before them name by name. The one
//! place that knows tera.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use tera::{Context, Kwargs, State, Tera, Value};

use super::language::{Language, moment};
use super::parameters::encode;
use crate::clock::Wall;
use crate::regular_file;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The texts of one language by key.
type Texts = BTreeMap<String, String>;

/// A static file is never longer.
const MAX_BYTES: u64 = 1 << 20;

/// Everything that pages are made from.
#[derive(Debug)]
pub(crate) struct Templates {
    tera: Tera,
    english: Value,
    russian: Value,
    folder: Option<PathBuf>,
}

impl Templates {
    /// Reads all templates and texts. An empty folder hides nothing.
    pub(crate) fn load(folder: Option<&Path>) -> io::Result<Templates> {
        let mut tera = Tera::default();
        tera.autoescape_on([".html"]);
        register_filters(&mut tera);
        let mut pages = Vec::new();
        for file in EMBEDDED.files() {
            let name = file.path().to_string_lossy().into_owned();
            if name.ends_with(".html") {
                let text = String::from_utf8(read(folder, &name)?.into_owned());
                pages.push((name, text.map_err(invalid)?));
            }
        }
        tera.add_raw_templates(pages).map_err(invalid)?;
        let texts = |language: Language| {
            let bytes = read(folder, &format!("lang/{}.json", language.code()))?;
            serde_json::from_slice::<Texts>(&bytes).map_err(invalid)
        };
        let (mut english, mut russian) = (texts(Language::English)?, texts(Language::Russian)?);
        // A folder made for an older release may lack texts.
        complete(&mut english, "lang/en.json")?;
        complete(&mut russian, "lang/ru.json")?;
        Ok(Templates {
            tera,
            english: Value::from_serializable(&english),
            russian: Value::from_serializable(&russian),
            folder: folder.map(Path::to_owned),
        })
    }

    /// The texts of a language, as templates see them; a cheap copy.
    pub(super) fn texts_value(&self, language: Language) -> Value {
        match language {
            Language::English => self.english.clone(),
            Language::Russian => self.russian.clone(),
        }
    }

    /// One text for replies that are not pages.
    pub(super) fn text(&self, language: Language, key: &str) -> Option<String> {
        let text = self
            .texts_value(language)
            .get_from_path(key)?
            .as_str()?
            .to_owned();
        Some(text)
    }

    /// One text for programs.
    pub(crate) fn english(&self, key: &str) -> Option<String> {
        self.text(Language::English, key)
    }

    /// One page as HTML.
    pub(super) fn render(&self, name: &str, context: &Context) -> Result<String, tera::Error> {
        self.tera.render(name, context)
    }

    /// A static file by its name, which must be one of those in the binary: no path of a request reaches the disk otherwise.
    pub(super) fn asset(&self, name: &str) -> Option<Cow<'static, [u8]>> {
        let path = format!("static/{name}");
        EMBEDDED.get_file(&path)?;
        read(self.folder.as_deref(), &path).ok()
    }

    /// The description of the API.
    pub(crate) fn description(&self) -> Option<Cow<'static, [u8]>> {
        read(self.folder.as_deref(), "api/openapi.json").ok()
    }

    /// The names of all static files.
    #[cfg(test)]
    pub(super) fn asset_names() -> Vec<String> {
        let files = EMBEDDED.get_dir("static").unwrap().files();
        let name = |file: &include_dir::File<'_>| file.path().file_name().map(ToOwned::to_owned);
        files
            .filter_map(|file| name(file)?.into_string().ok())
            .collect()
    }
}

fn read(folder: Option<&Path>, name: &str) -> io::Result<Cow<'static, [u8]>> {
    if let Some(path) = folder.map(|folder| folder.join(name))
        && std::fs::metadata(&path).is_ok()
    {
        let own = regular_file::read(&path, MAX_BYTES).map(Cow::Owned);
        return own.map_err(|error| invalid(format!("{}: {error}", path.display())));
    }
    let file = EMBEDDED.get_file(name);
    let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, name.to_owned()))?;
    Ok(Cow::Borrowed(file.contents()))
}

fn complete(texts: &mut Texts, name: &str) -> io::Result<()> {
    let own: Texts = serde_json::from_slice(&read(None, name)?).map_err(invalid)?;
    for (key, text) in own {
        texts.entry(key).or_insert(text);
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// Numbers, sizes and times in the language of the page, which the context holds as `lang`.
fn register_filters(tera: &mut Tera) {
    tera.register_filter("number", |value: u64, _: Kwargs, state: &State<'_>| {
        language(state).number(value)
    });
    tera.register_filter("decimal", |value: f64, _: Kwargs, state: &State<'_>| {
        language(state).decimal(value, 1)
    });
    tera.register_filter("in_query", |value: &str, _: Kwargs, _: &State<'_>| {
        encode(value)
    });
    tera.register_filter("percent", |value: f64, _: Kwargs, state: &State<'_>| {
        format!("{}\u{a0}%", language(state).decimal(value, 1))
    });
    tera.register_filter("bytes", |value: u64, _: Kwargs, state: &State<'_>| {
        language(state).bytes(value)
    });
    tera.register_filter("duration", |value: u64, _: Kwargs, state: &State<'_>| {
        language(state).duration(value)
    });
    tera.register_filter("moment", |value: u64, _: Kwargs, _: &State<'_>| {
        moment(Wall(value))
    });
    tera.register_filter("iso", |value: u64, _: Kwargs, _: &State<'_>| {
        format!("{}Z", moment(Wall(value)).replace(' ', "T"))
    });
}

fn language(state: &State<'_>) -> Language {
    // A template may be shown outside of a page.
    let code: Option<Value> = state.get("lang").ok().flatten();
    let code = code.as_ref().and_then(Value::as_str).unwrap_or_default();
    Language::from_code(code).unwrap_or(Language::English)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W8
    #[test]
    fn both_languages_have_every_text_and_no_other() {
        let mut used = std::collections::BTreeSet::new();
        for file in EMBEDDED.files() {
            let text = file.contents_utf8().unwrap();
            for (at, _) in text.match_indices("t.") {
                let is_word =
                    text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
                let key: String = text[at + 2..]
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_' || c.is_ascii_digit())
                    .collect();
                if !is_word && !key.is_empty() {
                    used.insert(key);
                }
            }
        }
        assert!(used.len() > 50, "the search finds texts: {used:?}");
        for language in Language::ALL {
            let texts = texts(language);
            for key in &used {
                assert!(texts.contains_key(key), "{} lacks {key}", language.code());
            }
            assert!(texts.values().all(|text| !text.trim().is_empty()));
        }
        let keys = |language| texts(language).into_keys().collect::<Vec<_>>();
        assert_eq!(keys(Language::English), keys(Language::Russian));
    }

    fn texts(language: Language) -> Texts {
        let bytes = read(None, &format!("lang/{}.json", language.code())).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn no_template_switches_escaping_off() {
        for file in EMBEDDED.files() {
            let name = file.path().to_string_lossy();
            assert!(name.ends_with(".html"), "{name} would not be escaped");
            let text = file.contents_utf8().unwrap();
            for word in [
                "safe",
                "<style",
                "style=",
                "javascript:",
                "onclick",
                "onload",
                "http://",
                "https://",
            ] {
                assert!(!text.contains(word), "{name} contains {word}");
            }
            for (at, tag) in text.match_indices("<script") {
                let rest = &text[at + tag.len()..];
                assert!(
                    rest.starts_with(" src=\"/static/"),
                    "{name} has a script in it"
                );
            }
        }
    }

    #[test]
    fn a_folder_stands_before_the_binary_and_an_empty_one_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("static")).unwrap();
        std::fs::write(folder.path().join("static/style.css"), "own").unwrap();
        std::fs::write(folder.path().join("static/other.css"), "secret").unwrap();
        let templates = Templates::load(Some(folder.path())).unwrap();
        assert_eq!(templates.asset("style.css").unwrap().as_ref(), b"own");
        assert!(templates.asset("app.js").is_some());
        for name in [
            "other.css",
            "../stat.html",
            "",
            ".",
            "/etc/passwd",
            "static/style.css",
        ] {
            assert!(templates.asset(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_broken_template_in_the_folder_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stat.html"), "{% if %}").unwrap();
        let error = Templates::load(Some(folder.path())).unwrap_err();
        assert!(error.to_string().contains("stat.html"), "{error}");
    }
}
