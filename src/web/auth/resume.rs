//! Where somebody was when the login came between: a page of ours, and what stood in a form of it. A cookie brings the page to the
//! login, hidden fields bring both through it, and the page is then shown with its form filled in. Nothing is sent anew: the
//! button is pressed by whoever logged in.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};

use super::form::Form;
use crate::web::view::page::page_of;
use crate::web::view::parameters::encode;

/// The cookie that remembers a page on the way to the login. Only the login is sent it.
const COOKIE: &str = "back";
/// For how long, in minutes.
const COOKIE_MINUTES: i64 = 15;
/// A path with its query is never longer, in bytes, so that a cookie holds it.
const MAX_PATH: usize = 1_200;
/// Fields of a form that are kept at most.
const MAX_FIELDS: usize = 8;
/// All of them together as they stand in a query, in bytes. The login's form takes them besides its own.
const MAX_QUERY: usize = 3_200;
/// The pages with a form that is filled in by their query, and its fields. No other name is put into a query: `done` or `format` are
/// no part of a form, and mean something there.
const FORMS: [(&str, &[&str]); 2] = [
    ("/blocklist", &["ip", "info_hash", "reason", "hours"]),
    ("/about", &["name"]),
];
/// How the names of kept fields begin in the login's form.
const PREFIX: &str = "keep.";

/// A path of this site, with its query: no browser takes it for an address elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LocalPath(String);

impl LocalPath {
    /// Nothing for what may lead to another host (`//host`, `/\host`, a scheme, what browsers pass over within these), for
    /// what is too long, and for the login itself.
    fn parse(text: &str) -> Option<LocalPath> {
        let is_local = text.starts_with('/') && !text.starts_with("//");
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let is_login = ["/login", "/logout"].contains(&page_of(text));
        (is_local && is_plain && !is_login && text.len() <= MAX_PATH)
            .then(|| LocalPath(text.to_owned()))
    }
}

/// Where to go after the login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resume {
    path: Option<LocalPath>,
    fields: Vec<(String, String)>,
    /// Whether something that was entered is too long to be kept.
    is_cut: bool,
}

impl Resume {
    /// To the page that was asked for.
    pub(super) fn of_page(request: &HttpRequest) -> Resume {
        let target = request.uri().path_and_query();
        Resume {
            path: target.and_then(|target| LocalPath::parse(target.as_str())),
            ..Resume::default()
        }
    }

    /// To the page of a form that was sent, with what was entered.
    pub(super) fn of_form(request: &HttpRequest, form: &Form) -> Resume {
        let fields = form.fields().iter();
        let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
        Resume::to(page_of(request.path()), fields)
    }

    /// To where the login's own form says.
    pub(crate) fn of_login(form: &Form) -> Resume {
        let fields = form.fields().iter();
        let kept =
            fields.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value.as_str())));
        Resume::to(form.raw("next"), kept)
    }

    /// To where the cookie says.
    pub(crate) fn of_cookie(request: &HttpRequest) -> Resume {
        let cookie = request.cookie(COOKIE);
        Resume {
            path: cookie.and_then(|cookie| LocalPath::parse(cookie.value())),
            ..Resume::default()
        }
    }

    fn to<'a>(path: &str, fields: impl Iterator<Item = (&'a str, &'a str)>) -> Resume {
        let mut resume = Resume {
            path: LocalPath::parse(path),
            ..Resume::default()
        };
        let mut room = MAX_QUERY;
        let form = FORMS.iter().find(|(page, _)| *page == page_of(path));
        let names = form.map_or(&[][..], |(_, names)| names);
        for (name, value) in fields.filter(|(name, _)| names.contains(name)) {
            if value.is_empty() {
                continue;
            }
            let length = encode(name).len() + encode(value).len() + 2;
            if resume.fields.len() == MAX_FIELDS || length > room {
                resume.is_cut = true;
                continue;
            }
            room -= length;
            resume.fields.push((name.to_owned(), value.to_owned()));
        }
        resume
    }

    /// The page without what was entered, for the login's form; empty for the overview.
    pub(crate) fn path(&self) -> &str {
        self.path.as_ref().map_or("", |path| path.0.as_str())
    }

    /// What was entered, under the names that the login's form has for it.
    pub(crate) fn hidden_fields(&self) -> Vec<(String, &str)> {
        let fields = self.fields.iter();
        fields
            .map(|(name, value)| (format!("{PREFIX}{name}"), value.as_str()))
            .collect()
    }

    /// Whether there is something that was entered, and all of it is kept.
    pub(crate) fn keeps_form(&self) -> bool {
        !self.fields.is_empty() && !self.is_cut
    }

    /// Where to go: the page, its form filled in by the query.
    pub(crate) fn target(&self) -> String {
        let Some(path) = &self.path else {
            return "/stat".to_owned();
        };
        let mut target = path.0.clone();
        for (name, value) in &self.fields {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&encode(name));
            target.push('=');
            target.push_str(&encode(value));
        }
        target
    }

    /// What brings it to the login; gone where there is nothing to remember or it is too long.
    pub(crate) fn cookie(&self) -> Cookie<'static> {
        let target = LocalPath::parse(&self.target()).filter(|_| self.path.is_some());
        let value = target.as_ref().map_or("", |target| target.0.as_str());
        let minutes = if target.is_some() { COOKIE_MINUTES } else { 0 };
        Cookie::build(COOKIE, encode(value))
            .path("/login")
            .max_age(time::Duration::minutes(minutes))
            .http_only(true)
            // A link in a letter leads to a page, and from there to the login: `Strict` would be left out.
            .same_site(SameSite::Lax)
            .finish()
    }

    /// What makes a browser forget it.
    pub(crate) fn no_cookie() -> Cookie<'static> {
        Resume::default().cookie()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use proptest::prelude::{any, prop_assert, proptest};

    /// W14
    #[test]
    fn only_a_path_of_this_site_is_gone_back_to() {
        for local in [
            "/torrents",
            "/all_peers?q=10.0.0.0/8&page=2",
            "/torrents/0707?lang=ru",
            "/x?next=//evil.example",
            "/x?u=http://evil.example/",
        ] {
            assert!(LocalPath::parse(local).is_some(), "{local}");
        }
        for elsewhere in [
            "",
            "torrents",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/x\\..\\evil",
            "http://evil.example/",
            "https:evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "/x\r\nSet-Cookie: a=b",
            "/\u{2f}\u{2f}evil",
            "/раздачи",
            "/login",
            "/login?next=/login",
            "/logout",
        ] {
            assert_eq!(LocalPath::parse(elsewhere), None, "{elsewhere}");
        }
        assert_eq!(
            LocalPath::parse(&format!("/{}", "x".repeat(MAX_PATH))),
            None
        );
    }

    proptest! {
        /// W14
        #[test]
        fn whatever_comes_leads_to_this_site(path in any::<String>(), name in any::<String>(), value in any::<String>()) {
            let target = Resume::to(&path, [(name.as_str(), value.as_str())].into_iter()).target();
            prop_assert!(target.starts_with('/') && !target.starts_with("//"), "{target}");
            prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{target}");
            prop_assert!(target.len() <= MAX_PATH + MAX_QUERY);
        }
    }

    /// W14
    #[test]
    fn what_was_entered_is_kept_within_bounds_and_secrets_are_not() {
        let form = [
            ("csrf", "t"),
            ("password", "p"),
            ("new_password", "p"),
            ("ip", "10.0.0.0/8"),
            ("reason", "спам & co"),
            ("hours", ""),
        ];
        let resume = Resume::to("/blocklist", form.into_iter());
        assert!(resume.keeps_form());
        assert_eq!(
            resume.target(),
            "/blocklist?ip=10.0.0.0/8&reason=%D1%81%D0%BF%D0%B0%D0%BC%20%26%20co"
        );
        assert_eq!(resume.hidden_fields()[0], ("keep.ip".into(), "10.0.0.0/8"));
        let long = "x".repeat(MAX_QUERY);
        let resume = Resume::to(
            "/blocklist",
            [("reason", long.as_str()), ("ip", "::1")].into_iter(),
        );
        assert_eq!(resume.target(), "/blocklist?ip=::1");
        assert!(!resume.keeps_form(), "a part is not told to be the whole");
        let many = std::iter::repeat_n(("ip", "b"), 100);
        assert_eq!(Resume::to("/blocklist", many).fields.len(), MAX_FIELDS);
        assert_eq!(
            Resume::to("//evil", [("a", "b")].into_iter()).target(),
            "/stat"
        );
    }

    /// W14: what is no field of the page's form is not put into its query, where it would mean something else.
    #[test]
    fn only_fields_of_the_form_are_kept() {
        let entered = [("done", "block"), ("format", "csv"), ("ip", "::1")];
        for page in ["/blocklist", "/blocklist/unblock/7"] {
            let resume = Resume::to(page, entered.into_iter());
            assert_eq!(resume.target(), format!("{page}?ip=::1"));
        }
        let resume = Resume::to("/about", [("done", "save"), ("name", "a")].into_iter());
        assert_eq!(resume.target(), "/about?name=a");
        for page in ["/torrents", "/settings", "/aboutness"] {
            let resume = Resume::to(page, entered.into_iter());
            assert_eq!(resume.target(), page);
            assert!(!resume.keeps_form());
        }
        let templates = [
            include_str!("../../../templates/blocklist.html"),
            include_str!("../../../templates/about.html"),
        ];
        for ((_, names), template) in FORMS.iter().zip(templates) {
            for name in *names {
                assert!(template.contains(&format!("name=\"{name}\"")), "{name}");
            }
        }
    }

    /// W14
    #[test]
    fn a_cookie_brings_a_page_to_the_login_and_back() {
        let request = TestRequest::with_uri("/all_peers?q=a%26b,c;d&page=2").to_http_request();
        let cookie = Resume::of_page(&request).cookie();
        let sent = TestRequest::with_uri("/login")
            .insert_header(("Cookie", format!("back={}", cookie.value())));
        let resume = Resume::of_cookie(&sent.to_http_request());
        assert_eq!(resume.target(), "/all_peers?q=a%26b,c;d&page=2");
        assert_eq!(Resume::no_cookie().value(), "");
        let planted =
            TestRequest::with_uri("/login").insert_header(("Cookie", "back=%2F%2Fevil.example"));
        assert_eq!(
            Resume::of_cookie(&planted.to_http_request()).target(),
            "/stat"
        );
    }
}
