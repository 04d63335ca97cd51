//! The frame that all pages have: head, navigation, and where the page's own part stands. It is cut out of `www/index.html`, so
//! that there is one of it; the addresses there are relative (`./chat`), and become absolute here.

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::problem::escape;

/// The Files page, as it lies in `www/`.
#[cfg(feature = "ui")]
pub const FILES: &str = include_str!("../../www/index.html");

/// What is left of it in a build without pages: lists and refusals are plain HTML there.
#[cfg(not(feature = "ui"))]
pub const FILES: &str =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Files</title>\n<main>\n</main>\n</html>\n";

/// Where a page stands in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// The shared files.
    Files,
    /// One's own files.
    Mine,
    /// The chat.
    Chat,
    /// The account, and all that belongs to it.
    Account,
    /// Nowhere.
    Apart,
}

impl Here {
    const fn link(self) -> Option<&'static str> {
        match self {
            Here::Files => Some("href=\"./files-ui\">Files"),
            Here::Mine => Some("href=\"./_hythe/mine\""),
            Here::Chat => Some("href=\"./chat\""),
            Here::Account => Some("href=\"./account\""),
            Here::Apart => None,
        }
    }
}

const CURRENT: &str = " aria-current=\"page\"";
const SCRIPT: &str = "./_hythe/files.js";

/// What of a page is its own.
pub struct Sheet<'a> {
    /// What it is called, as text.
    pub title: &'a str,
    /// Where it stands.
    pub here: Here,
    /// Its script, of the parts in `_hythe/`.
    pub script: &'a str,
    /// What stands in it, as HTML.
    pub content: &'a str,
}

/// A whole page.
pub fn frame(prefix: &str, sheet: &Sheet<'_>) -> String {
    let (head, rest) = FILES.split_once("<main>\n").unwrap_or((FILES, ""));
    let foot = rest.split_once("</main>").map_or("", |(_, foot)| foot);
    let mut head = head.replacen("<title>Files", &format!("<title>{}", escape(sheet.title)), 1);
    head = head.replacen(SCRIPT, &format!("./_hythe/{}", sheet.script), 1);
    head = head.replacen(&format!("{CURRENT}>Files"), ">Files", 1);
    if let Some(link) = sheet.here.link() {
        let address = link.split_inclusive('"').take(2).collect::<String>();
        head = head.replacen(link, &link.replacen(&address, &format!("{address}{CURRENT}"), 1), 1);
    }
    let (head, foot) = (below(prefix, &head), below(prefix, foot));
    format!("{head}<main>\n{}</main>{foot}", sheet.content)
}

/// A part of a page whose relative addresses (`="./x"`) are made absolute.
pub fn below(prefix: &str, part: &str) -> String {
    part.replace("=\"./", &format!("=\"{}/", escape(prefix)))
}

/// The page that a refusal is told on; for a guest, with the way to where one signs in.
pub fn refusal(fault: &Fault, prefix: &str) -> String {
    let prefix_text = escape(prefix);
    let way = match fault.status {
        Status::UNAUTHORIZED => {
            format!("<a href=\"{prefix_text}/login?next={prefix_text}/files-ui\">Sign in</a> · ")
        }
        _ => String::new(),
    };
    refusal_with(fault, prefix, &way)
}

/// The same where there are no accounts.
pub fn refusal_without_accounts(fault: &Fault, prefix: &str) -> String {
    refusal_with(fault, prefix, "")
}

fn refusal_with(fault: &Fault, prefix: &str, way: &str) -> String {
    let (code, reason, detail) = (fault.status.code(), fault.status.reason(), sentence(&fault.detail));
    let content = format!(
        "  <section class=\"narrow\">\n    <h1>{reason}</h1>\n    <p role=\"alert\">{detail}</p>\n    \
         <p class=\"soft\">{code} {}</p>\n    <p>{way}<a href=\"{}/files-ui\">To the files</a></p>\n  </section>\n",
        fault.code,
        escape(prefix)
    );
    frame(prefix, &Sheet { title: reason, here: Here::Apart, script: "common.js", content: &content })
}

/// What a fault says, as a sentence in a page. It may begin with a file's name, so that its first letter stays as it is.
pub fn sentence(detail: &str) -> String {
    escape(&format!("{detail}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "ui")]
    #[test]
    fn every_page_has_the_same_frame_and_its_own_place_in_it() {
        for (here, link) in [
            (Here::Files, "<a href=\"/p/files-ui\" aria-current=\"page\">Files</a>"),
            (Here::Mine, "<a href=\"/p/_hythe/mine\" aria-current=\"page\">"),
            (Here::Chat, "<a href=\"/p/chat\" aria-current=\"page\">"),
            (Here::Account, "<a href=\"/p/account\" aria-current=\"page\">"),
        ] {
            let page = frame("/p", &Sheet { title: "A & B", here, script: "chat.js", content: "<p>x</p>" });
            assert!(page.contains(link), "{link}\n{page}");
            assert_eq!(page.matches(CURRENT).count(), 1, "{page}");
            assert!(page.contains("<title>A &amp; B · hythe</title>"), "{page}");
            assert!(page.contains("src=\"/p/_hythe/chat.js\"") && !page.contains("files.js"), "{page}");
            assert!(page.contains("<main>\n<p>x</p></main>") && !page.contains("\"./"), "{page}");
        }
    }

    #[test]
    fn a_refusal_is_a_page_of_its_own_without_markup_of_others() {
        let fault = Fault::new(Status::NOT_FOUND, "not_found", "there is no <b>");
        let page = refusal(&fault, "");
        assert!(page.contains("<h1>Not Found</h1>") && page.contains(">there is no &lt;b&gt;.<"), "{page}");
        assert!(!page.contains(CURRENT), "{page}");
    }

    #[test]
    fn a_guest_is_shown_where_one_signs_in_if_one_can() {
        let fault = Fault::new(Status::UNAUTHORIZED, "unauthorized", "sign in");
        let link = "<a href=\"/p/login?next=/p/files-ui\">Sign in</a>";
        assert!(refusal(&fault, "/p").contains(link));
        assert!(!refusal_without_accounts(&fault, "/p").contains(link));
        assert!(!refusal(&Fault::not_found(), "/p").contains(link));
    }

    #[test]
    fn a_sentence_keeps_the_case_of_the_name_it_begins_with() {
        for name in ["t.txt", "ß.txt", "T.txt"] {
            assert_eq!(sentence(&format!("{name} exists")), format!("{name} exists."));
        }
    }
}
