//! `haechi media list|delete`.

use std::io::{self, Write};

use anyhow::{Context as _, bail};

use super::moment;
use crate::{
    admin::{Answer, Operator, Request, Upload},
    cli::{ConfigFlags, MediaCommand},
};

/// Does what is asked, by the running server or here.
pub(crate) fn run(command: MediaCommand, flags: &ConfigFlags) -> anyhow::Result<()> {
    let config = flags.load()?.config;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let operator = Operator::reach(&config).await?;
        match command {
            MediaCommand::List { name } => list(&operator, &name).await,
            MediaCommand::Delete { uri, everywhere } => {
                let request = Request::DeleteMedia { uri, everywhere };
                let Answer::Done(what) = operator.ask(&request).await? else {
                    bail!("the server gave an unexpected answer");
                };
                writeln!(io::stdout(), "deleted {what}")?;
                Ok(())
            }
        }
    })
}

async fn list(operator: &Operator, name: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let mut after = 0;
    loop {
        let request = Request::ListMedia { name: name.to_owned(), after };
        let Answer::Media(uploads) = operator.ask(&request).await? else {
            bail!("the server gave an unexpected answer");
        };
        let Some(last) = uploads.last() else { return Ok(()) };
        after = last.number;
        for upload in &uploads {
            write(&mut out, upload)?;
        }
    }
}

/// Type and name are what the uploader said: quoted, so that they cannot move the cursor.
fn write(out: &mut impl Write, upload: &Upload) -> io::Result<()> {
    let Upload { uri, at_ms, bytes, content_type, name, .. } = upload;
    let bytes = bytes.map_or("not uploaded yet".to_owned(), |bytes| format!("{bytes} bytes"));
    write!(out, "{uri}  {}  {bytes}", moment(*at_ms))?;
    for text in [content_type, name].into_iter().flatten() {
        write!(out, "  {text:?}")?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(upload: &Upload) -> String {
        let mut out = Vec::new();
        write(&mut out, upload).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_upload_is_a_line() {
        let mut upload = Upload {
            number: 1,
            uri: "mxc://haechi.example/a".to_owned(),
            at_ms: 1_700_000_000_000,
            bytes: Some(12),
            content_type: Some("image/png".to_owned()),
            name: Some("cat\r.png".to_owned()),
        };
        let expected = "mxc://haechi.example/a  2023-11-14T22:13:20Z  12 bytes  \"image/png\"  \
                        \"cat\\r.png\"\n";
        assert_eq!(line(&upload), expected);
        upload = Upload { bytes: None, content_type: None, name: None, ..upload };
        assert_eq!(
            line(&upload),
            "mxc://haechi.example/a  2023-11-14T22:13:20Z  not uploaded yet\n"
        );
    }
}
