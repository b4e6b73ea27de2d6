//! What a page is told before it goes anywhere.

use chromiumoxide::{
    cdp::browser_protocol::{
        browser::{BrowserContextId, SetDownloadBehaviorBehavior, SetDownloadBehaviorParams},
        emulation::{
            MediaFeature, SetDeviceMetricsOverrideParams, SetEmulatedMediaParams,
            SetLocaleOverrideParams, SetTimezoneOverrideParams, SetUserAgentOverrideParams,
        },
        fetch, inspector, network, page, storage,
        target::SessionId,
    },
    types::Command,
};
use serde_json::Value;

use super::{ColorScheme, Cookie, Error, Media, PageOptions, download::Download, gate::Gate};
use crate::{
    browser::{
        Browser, Viewport,
        cdp::{self, Cdp},
    },
    deadline::Deadline,
};

/// Enables what a page is followed by, and sets what was asked for: all sent at once, and what was
/// not asked for not at all.
pub(super) async fn prepare(
    browser: &Browser,
    context: &BrowserContextId,
    id: &SessionId,
    options: &PageOptions,
    helpers: (Option<&Gate>, Option<&Download>),
    deadline: Deadline,
) -> Result<(), Error> {
    let to = To {
        cdp: browser.cdp(),
        session: id,
        deadline,
    };
    let (gate, download) = helpers;
    let paused = gate.map(|gate| fetch::EnableParams {
        patterns: Some(gate.patterns()),
        handle_auth_requests: None,
    });
    tokio::try_join!(
        to.tell(page::EnableParams::default()),
        to.tell(network(options)),
        to.tell(inspector::EnableParams::default()),
        to.tell(downloads(context, download)),
        to.maybe(headers(options)),
        to.maybe(user_agent(browser, options)),
        to.maybe(metrics(options)),
        to.maybe(media(options.media)),
        to.maybe(paused),
        to.cookies(cookies(context, &options.cookies)),
        to.only("locale", locale(options)),
        to.only("time_zone", time_zone(options)),
    )
    .map(drop)
}

/// The page that is told.
#[derive(Clone, Copy)]
struct To<'a> {
    cdp: &'a Cdp,
    session: &'a SessionId,
    deadline: Deadline,
}

impl To<'_> {
    async fn tell<C: Command>(self, command: C) -> Result<(), Error> {
        let told = self.cdp.call(Some(self.session), command, self.deadline);
        Ok(told.await.map(drop)?)
    }

    async fn maybe<C: Command>(self, command: Option<C>) -> Result<(), Error> {
        match command {
            Some(command) => self.tell(command).await,
            None => Ok(()),
        }
    }

    /// What the browser refuses of it is the caller's mistake.
    async fn only<C: Command>(self, option: &'static str, command: Option<C>) -> Result<(), Error> {
        let told = self.maybe(command).await;
        told.map_err(|error| refused(option, error))
    }

    /// Cookies are the context's, and the browser's to set.
    async fn cookies(self, command: Option<storage::SetCookiesParams>) -> Result<(), Error> {
        let Some(command) = command else {
            return Ok(());
        };
        let told = self.cdp.call(None, command, self.deadline).await;
        told.map(drop)
            .map_err(|error| refused("cookies", error.into()))
    }
}

fn refused(option: &'static str, error: Error) -> Error {
    match error {
        Error::Cdp(cdp::Error::Refused { message, .. }) => Error::Option { option, message },
        error => error,
    }
}

fn network(options: &PageOptions) -> network::EnableParams {
    let keep = i64::try_from(options.keep_body).unwrap_or(i64::MAX);
    network::EnableParams {
        max_total_buffer_size: Some(keep),
        max_resource_buffer_size: Some(keep),
        ..network::EnableParams::default()
    }
}

fn downloads(context: &BrowserContextId, download: Option<&Download>) -> SetDownloadBehaviorParams {
    let behavior = match download {
        Some(_) => SetDownloadBehaviorBehavior::AllowAndName,
        None => SetDownloadBehaviorBehavior::Deny,
    };
    SetDownloadBehaviorParams {
        browser_context_id: Some(context.clone()),
        download_path: download.map(|download| download.dir().display().to_string()),
        events_enabled: Some(download.is_some()),
        ..SetDownloadBehaviorParams::new(behavior)
    }
}

fn headers(options: &PageOptions) -> Option<network::SetExtraHttpHeadersParams> {
    let headers = options.headers.iter();
    let headers: serde_json::Map<_, _> = headers
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    (!headers.is_empty()).then(|| {
        let headers = network::Headers::new(Value::Object(headers));
        network::SetExtraHttpHeadersParams::new(headers)
    })
}

/// The browser takes languages only together with a name.
fn user_agent(browser: &Browser, options: &PageOptions) -> Option<SetUserAgentOverrideParams> {
    let locale = options.locale.as_deref();
    let own = options.user_agent.as_ref();
    let name = own.or(locale.map(|_| &browser.product().user_agent))?;
    let mut set = SetUserAgentOverrideParams::new(name.clone());
    set.accept_language = locale.map(|tag| match tag.split_once('-') {
        Some((language, _)) => format!("{tag},{language}"),
        None => tag.to_owned(),
    });
    Some(set)
}

fn metrics(options: &PageOptions) -> Option<SetDeviceMetricsOverrideParams> {
    options.viewport.map(Viewport::metrics)
}

impl Viewport {
    /// The command that gives a page this size.
    pub(crate) fn metrics(self) -> SetDeviceMetricsOverrideParams {
        let (width, height) = (i64::from(self.width), i64::from(self.height));
        SetDeviceMetricsOverrideParams::new(width, height, self.scale, false)
    }
}

fn media(media: Media) -> Option<SetEmulatedMediaParams> {
    if media == Media::default() {
        return None;
    }
    let scheme = media.color_scheme.map(|scheme| match scheme {
        ColorScheme::Light => "light",
        ColorScheme::Dark => "dark",
    });
    let scheme = scheme.map(|scheme| MediaFeature::new("prefers-color-scheme", scheme));
    let motion = media.reduced_motion;
    let motion = motion.then(|| MediaFeature::new("prefers-reduced-motion", "reduce"));
    Some(SetEmulatedMediaParams {
        media: media.print.then(|| "print".into()),
        features: Some(scheme.into_iter().chain(motion).collect()),
    })
}

fn cookies(context: &BrowserContextId, cookies: &[Cookie]) -> Option<storage::SetCookiesParams> {
    let params = cookies.iter().map(|cookie| {
        let mut param = network::CookieParam::new(cookie.name.clone(), cookie.value.clone());
        param.url = Some(cookie.url.clone());
        param.domain.clone_from(&cookie.domain);
        param.path = Some(cookie.path.clone());
        param.secure = Some(cookie.secure);
        param.http_only = Some(cookie.http_only);
        param
    });
    (!cookies.is_empty()).then(|| storage::SetCookiesParams {
        cookies: params.collect(),
        browser_context_id: Some(context.clone()),
    })
}

fn locale(options: &PageOptions) -> Option<SetLocaleOverrideParams> {
    options
        .locale
        .as_ref()
        .map(|locale| SetLocaleOverrideParams {
            locale: Some(locale.clone()),
        })
}

fn time_zone(options: &PageOptions) -> Option<SetTimezoneOverrideParams> {
    let zone = options.time_zone.as_deref();
    zone.map(SetTimezoneOverrideParams::new)
}
