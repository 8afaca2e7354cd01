//! A request as the command that would send it: `--show-curl`.

use std::fmt;
use std::path::PathBuf;

use super::Call;

/// Longest body that is shown in the command.
const BODY_BYTES_MAX: usize = 200;

/// Where commands are shown, and where the token comes from, which is never shown.
pub(super) struct Curl {
    pub(super) show: Box<dyn Fn(&str) + Send + Sync>,
    pub(super) token_file: Option<PathBuf>,
}

impl fmt::Debug for Curl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Curl")
    }
}

impl Curl {
    /// Shows the command that sends `call` to `url`.
    pub(super) fn show(&self, url: &str, call: &Call) {
        (self.show)(&self.command(url, call));
    }

    fn command(&self, url: &str, call: &Call) -> String {
        let mut command = "curl -i".to_owned();
        if call.method != reqwest::Method::GET {
            command.push_str(&format!(" -X {}", call.method));
        }
        if let Some(file) = &self.token_file {
            let file = quoted(&file.display().to_string());
            command.push_str(&format!(" -H \"Authorization: Bearer $(cat {file})\""));
        }
        for (name, value) in &call.headers {
            command.push_str(&format!(" -H {}", quoted(&format!("{name}: {value}"))));
        }
        let text = std::str::from_utf8(&call.body).ok().filter(|text| is_plain(text));
        match text {
            // curl takes what follows an @ for a file's name.
            Some("") if call.body.is_empty() => {}
            Some(text) => command.push_str(&format!(" --data-raw {}", quoted(text))),
            None => command.push_str(" --data-binary @VALUE"),
        }
        command.push_str(&format!(" {}", quoted(url)));
        if text.is_none() {
            command.push_str(&format!("   # VALUE: a file with the {} bytes", call.body.len()));
        }
        command
    }
}

/// Whether a text can be shown in a command: short, and with no character that a terminal obeys.
fn is_plain(text: &str) -> bool {
    text.len() <= BODY_BYTES_MAX && !text.chars().any(char::is_control)
}

/// Returns `text` as a shell reads it as one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reqwest::Method;

    #[track_caller]
    fn check(call: &Call, expected: &str) {
        let curl =
            Curl { show: Box::new(|_| {}), token_file: Some(PathBuf::from("/etc/the token")) };
        let token = "-H \"Authorization: Bearer $(cat '/etc/the token')\"";
        let expected = expected.replace("TOKEN", token);
        assert_eq!(curl.command("http://a:1/v1/kv/k?ttl=1s", call), expected);
    }

    #[test]
    fn the_command_does_what_the_request_does() {
        let url = "'http://a:1/v1/kv/k?ttl=1s'";
        let get = Call::new(Method::GET, String::new());
        check(&get, &format!("curl -i TOKEN {url}"));
        let put = |body: &'static [u8]| Call {
            body: Bytes::from_static(body),
            ..Call::new(Method::PUT, String::new()).with("if-match", "\"7\"")
        };
        let begin = "curl -i -X PUT TOKEN -H 'if-match: \"7\"'";
        check(&put(b"it's @home"), &format!("{begin} --data-raw 'it'\\''s @home' {url}"));
        check(&put(b""), &format!("{begin} {url}"));
        let file = "--data-binary @VALUE";
        check(
            &put(b"\x1b[2J"),
            &format!("{begin} {file} {url}   # VALUE: a file with the 4 bytes"),
        );
        check(&put(b"\xff"), &format!("{begin} {file} {url}   # VALUE: a file with the 1 bytes"));
    }
}
