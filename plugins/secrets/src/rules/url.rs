//! Credentials in URLs.

use crate::class::{Class, alnum, base64url};
use crate::memory::{Sign, Walk};
use crate::rule::{AROUND, Family, NEAR, Out};
use crate::shape::{Shape, head, word_like, wordy};
use crate::stand_in::{is_placeholder, is_reference};
use crate::text::Text;
use crate::value::random;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[
    Family::new(&["://", ":\\/\\/", "%3a%2f%2f"], rule, NEAR),
    Family::new(&["@tcp(", "@unix(", "@udp("], go_dsn_rule, AROUND),
    Family::new(WEBHOOKS, webhook_rule, NEAR),
];

/// The longest user and password: some passwords are signed tokens.
const LONGEST: usize = 3072;

/// `scheme://user:password@host`: hides the password, or a user name that is a token.
pub(crate) fn rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let from = at + len;
    let encoded = text.at(at) == b'%';
    if text.starts(from, b"[redacted:") {
        return;
    }
    if !alnum(text.before(at)) {
        return;
    }
    let sign = if encoded { Sign::EncodedAt } else { Sign::At };
    if text.lacks(from, LONGEST, sign) {
        return;
    }
    // The authority with all parts of a sloppy password, up to the last `@` before the path.
    let mut colon = None;
    let mut mark = None;
    let mut slash = None;
    let mut i = from;
    let ends = |i: usize| match text.at(i) {
        0..=b' ' | b'"' | b'<' | b'>' | b'`' | 0x7f => true,
        b'\'' => matches!(
            text.at(i + 1),
            0..=b' ' | b',' | b')' | b':' | b';' | b']' | b'}'
        ),
        b'\\' => matches!(text.at(i + 1), b'n' | b'r' | b't' | b'"' | b'\\' | b'u'),
        _ => false,
    };
    while i - from < LONGEST {
        // Behind a colon and a slash nothing but an `@` matters.
        if colon.is_some() && slash.is_some() && mark.is_none() && !encoded {
            i = text.walk(Walk::Authority, i, LONGEST - (i - from), |i| {
                (text.at(i) != b'@' && !ends(i)).then_some(i + 1)
            });
        }
        if ends(i) {
            break;
        }
        let b = text.at(i);
        match b {
            b'%' if encoded && text.starts_ci(i, b"%40") => mark = Some((i, 3)),
            b'%' if encoded && text.starts_ci(i, b"%3a") && colon.is_none() => colon = Some((i, 3)),
            b'%' if encoded && text.starts_ci(i, b"%2f") => {
                slash = slash.or(Some(i));
                if mark.is_some() {
                    break;
                }
            }
            b':' if colon.is_none() && !encoded => colon = Some((i, 1)),
            b'@' if !encoded
                // Behind a path there are other uses of `@`.
                && (slash.is_none() || mark.is_none()) =>
            {
                mark = Some((i, 1));
            }
            b'/' | b'?' | b'#' => {
                slash = slash.or(Some(i));
                if mark.is_some() {
                    break;
                }
                if colon.is_none() {
                    return;
                }
            }
            _ => {}
        }
        i += 1;
    }
    let Some((mark, _)) = mark else { return };
    let host = mark + if encoded { 3 } else { 1 };
    // What follows must be a host.
    if !(alnum(text.at(host))
        || matches!(text.at(host), b'[' | b'$' | b'{' | b'<' | b'*' | b'_')
        || text.at(host) >= 0x80)
    {
        return;
    }
    match colon.filter(|&(colon, _)| colon < mark) {
        Some((colon, width)) => {
            let password = colon + width;
            if let Some(slash) = slash.filter(|&slash| slash < mark) {
                // `host:8080/path@2` is no password.
                let head = text.slice(password, slash);
                let user = text.slice(from, colon);
                if !head.is_empty()
                    && head.iter().all(u8::is_ascii_digit)
                    && (text.at(slash) == b'/' || user.eq_ignore_ascii_case(b"localhost"))
                    || user.contains(&b'.')
                    || user.is_empty()
                        && text.at(slash) == b'/'
                        && !random(text.slice(password, mark))
                {
                    return;
                }
            }
            let user = text.slice(from, colon);
            let bytes = text.slice(password, mark);
            if bytes.is_empty() || bytes == b"x-oauth-basic" || bytes == b"x" || bytes == b"oauth2"
            {
                if user.len() >= 12 && random(user) {
                    out.hit(from, colon, "url-credentials");
                }
                return;
            }
            if is_secret(bytes, user) {
                out.hit(password, mark, "url-password");
            }
            if user.len() >= 20 && random(user) && !wordy(user) {
                out.hit(from, colon, "url-credentials");
            }
        }
        None => {
            if slash.is_some_and(|slash| slash < mark) {
                return;
            }
            let user = text.slice(from, mark);
            if user.len() >= 16
                && random(user)
                && user
                    .iter()
                    .all(|&b| base64url(b) || matches!(b, b'.' | b'~' | b'%' | b'+' | b'='))
            {
                out.hit(from, mark, "url-credentials");
            }
        }
    }
}

fn is_secret(password: &[u8], user: &[u8]) -> bool {
    if password.is_empty()
        || is_placeholder(password)
        || matches!(password[0], b'$' | b'{' | b'<' | b'%' | b'[' | b'#')
            && is_reference(password, true)
        || password.eq_ignore_ascii_case(user)
    {
        return false;
    }
    if password
        .iter()
        .all(|b| matches!(b, b'*' | b'.' | b'x' | b'X' | b'-'))
        || password.starts_with(b"$")
            && password[1..]
                .iter()
                .all(|b| b.is_ascii_uppercase() || *b == b'_')
    {
        return false;
    }
    let shape = Shape::of(head(password));
    // `user:pass@`, `user:secret@` are examples; anything else is taken for real.
    shape.len >= 4
        && !(shape.digits == 0
            && shape.special == 0
            && shape.len <= 6
            && shape.upper == 0
            && word_like(password))
}

/// `user:password@tcp(host)/db`, and `user/password@//host` of Oracle.
pub(crate) fn go_dsn_rule(text: &Text<'_>, at: usize, _len: usize, out: &mut Out) {
    let start = text.run_back(at, 200, |b| {
        !matches!(b, 0..=b' ' | b'"' | b'\'' | b'`' | b'=')
    });
    let pair = text.slice(start, at);
    let Some(colon) = pair.iter().position(|&b| b == b':') else {
        return;
    };
    if is_secret(&pair[colon + 1..], &pair[..colon]) {
        out.hit(start + colon + 1, at, "url-password");
    }
}

/// Addresses that are secrets themselves.
pub(crate) const WEBHOOKS: &[&str] = &[
    "hooks.slack.com/",
    "hooks.slack-gov.com/",
    "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/",
    "webhook.office.com/",
    "outlook.office.com/webhook/",
    "hooks.zapier.com/hooks/",
    "maker.ifttt.com/",
    "api.telegram.org/bot",
    "chat.googleapis.com/v1/spaces/",
    "hooks.airtable.com/",
    "make.com/",
    "integromat.com/",
    "webhook.site/",
    "hooks.glip.com/",
    "logic.azure.com",
    "pipedream.net/",
    "hc-ping.com/",
    "healthchecks.io/ping/",
    "api.opsgenie.com/",
    "events.pagerduty.com/integration/",
    "cronitor.link/",
    "sns.webhook/",
    "open.feishu.cn/open-apis/bot/v2/hook/",
    "open.larksuite.com/open-apis/bot/v2/hook/",
    "qyapi.weixin.qq.com/cgi-bin/webhook/send?key=",
    "oapi.dingtalk.com/robot/send?access_token=",
    "/hooks/",
    "hooks.workato.com/",
    "webhooks.fivetran.com/",
    "hook.eu1.make.com/",
    "hook.us1.make.com/",
    "ntfy.sh/",
    "/services/hooks/",
    "api.render.com/deploy/",
    "api.netlify.com/build_hooks/",
    "api.vercel.com/v1/integrations/deploy/",
    "mattermost.",
    "rest.nexmo.com",
    "alertmanager.splunk",
    "alert.victorops.com/integrations/",
];

/// The secret part of a webhook's path.
pub(crate) fn webhook_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let from = at + len;
    let end = text.run_of(from, 1024, Class::Path);
    let mut start = from;
    // The last long random segment, with what follows it; ids before it may stay.
    let path = text.slice(from, end);
    let mut first = None;
    for segment in path.split(|&b| matches!(b, b'/' | b'=')) {
        let shape = Shape::of(segment);
        if segment.len() >= 16
            && shape.letters() > 0
            && shape.digits + shape.upper > 0
            && !wordy(segment)
            && !is_placeholder(segment)
        {
            first = Some(start);
            break;
        }
        start += segment.len() + 1;
    }
    let generic = matches!(
        text.slice(at, from),
        b"/hooks/" | b"mattermost." | b"make.com/"
    );
    let Some(first) = first else { return };
    let end = text.run_back(end, end - first, |b| matches!(b, b'.' | b':' | b'/'));
    if !generic || Shape::of(text.slice(first, end)).len >= 20 && random(text.slice(first, end)) {
        out.hit(first, end, "webhook");
    }
}
