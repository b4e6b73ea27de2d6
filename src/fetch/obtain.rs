//! The answer to one request of a fetch: kept, shared, or the origin's.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, StatusCode, Uri};

use super::{
    Error, Inner, Request,
    cache::{self, Cache, Entry, Found, Outcome, Part, Question, rules},
    exchange::{Answer, Begun},
    http::Got,
    redirect::Hop,
    response::CacheState,
};
use crate::deadline::Deadline;

/// One request, and by when it is wanted.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    hop: &'a Hop,
    headers: &'a HeaderMap,
    request: &'a Request,
    deadline: Deadline,
}

/// What the cache needs to know of it.
struct Cached<'a> {
    cache: &'a Cache,
    key: &'a str,
    question: Question,
}

impl Inner {
    /// The answer to `hop`, which is sent with `headers`.
    ///
    /// # Cancel safety
    /// Yes: the connection is closed and its permit free, and who waited for this answer goes on
    /// without.
    pub(super) async fn obtain(
        &self,
        hop: &Hop,
        headers: &HeaderMap,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Got, Error> {
        let asked = Asked {
            hop,
            headers,
            request,
            deadline,
        };
        let Some(cache) = &self.cache else {
            return Ok(got(self.alone(asked).await?, CacheState::Bypass));
        };
        let url = hop.url.as_str();
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let key = cache::key(&request.party, url);
        let uri = url.parse::<Uri>().ok();
        let uri = uri.filter(|_| rules::concerns(hop, headers, request));
        let Some(uri) = uri else {
            let answer = self.alone(asked).await;
            cache.count(CacheState::Bypass);
            // RFC 9111 §4.4: what changes a resource makes void what is kept of it.
            if let Ok(answer) = &answer
                && !hop.method.is_safe()
                && (answer.status.is_success() || answer.status.is_redirection())
            {
                cache.forget(&key);
            }
            return Ok(got(answer?, CacheState::Bypass));
        };
        let cached = Cached {
            cache,
            key: &key,
            question: Question::new(uri, headers.clone()),
        };
        let got = Box::pin(self.through_cache(asked, &cached)).await?;
        cache.count(got.cache);
        Ok(got)
    }

    async fn through_cache(&self, asked: Asked<'_>, cached: &Cached<'_>) -> Result<Got, Error> {
        let control = asked.request.cache;
        let mut kept = None;
        if !control.bypass {
            let Cached {
                cache,
                key,
                question,
            } = cached;
            let found = cache.look(key, question, control.max_age, asked.deadline);
            match found.await {
                Some(Found::Fresh(entry)) => return asked.serve(&entry, CacheState::Hit),
                Some(Found::Asked(entry, conditions)) => kept = Some((entry, conditions)),
                None => {}
            }
        }
        if control.bypass {
            let (got, _) = self.ask(asked, cached, None, || {}).await?;
            return Ok(got);
        }
        let together = format!("{}\n{:?}", cached.key, asked.headers);
        let flights = &cached.cache.flights;
        let lead = match flights.join(&together) {
            Part::Lead(lead) => lead,
            Part::Alone => {
                let (got, entry) = self.ask(asked, cached, kept, || {}).await?;
                if entry.is_some() {
                    flights.shared_again(&together);
                }
                return Ok(got);
            }
            Part::Follow(follow) => {
                let outcome = asked.deadline.bound(follow.outcome()).await;
                let outcome = outcome.map_err(|_passed| Error::Timeout {
                    what: "no answer before the deadline".into(),
                })?;
                match outcome {
                    Outcome::Landed(entry) => return asked.serve(&entry, CacheState::Coalesced),
                    Outcome::Scattered => return Ok(self.ask(asked, cached, kept, || {}).await?.0),
                    Outcome::Lead(lead) => lead,
                }
            }
        };
        let mut lead = Some(lead);
        let scatter = || {
            if let Some(lead) = lead.take() {
                lead.scatter();
            }
        };
        let answered = self.ask(asked, cached, kept, scatter).await;
        match (answered, lead) {
            (Ok((got, Some(entry))), Some(lead)) => {
                lead.land(entry);
                Ok(got)
            }
            (Ok((got, _)), _) => Ok(got),
            (Err(error), lead) => {
                if let Some(lead) = lead {
                    lead.fail();
                }
                Err(error)
            }
        }
    }

    /// Asks the origin, and keeps what may be kept. The entry is what may be shared; `not_shared`
    /// is called as soon as it is clear that nothing may be.
    async fn ask(
        &self,
        asked: Asked<'_>,
        cached: &Cached<'_>,
        kept: Option<(Arc<Entry>, HeaderMap)>,
        mut not_shared: impl FnMut(),
    ) -> Result<(Got, Option<Arc<Entry>>), Error> {
        let (cache, question) = (cached.cache, &cached.question);
        let mut at = SystemTime::now();
        let mut begun = None;
        if let Some((entry, conditions)) = kept {
            let mut headers = asked.headers.clone();
            headers.extend(conditions);
            let answered = self.begin_with(asked, &headers).await?;
            if answered.status == StatusCode::NOT_MODIFIED {
                let said = answered.discard(asked.deadline).await;
                if let Some(fresh) = entry.refreshed(question, &said.headers, at) {
                    let fresh = Arc::new(fresh);
                    cache.keep(cached.key, &fresh);
                    let mut got = asked.serve(&fresh, CacheState::Revalidated)?;
                    got.answer.times = said.times;
                    let used = rules::of(question, got.answer.status, &got.answer.headers, at);
                    if !used.share {
                        not_shared();
                    }
                    return Ok((got, used.share.then_some(fresh)));
                }
                // It is about something that we do not have.
                at = SystemTime::now();
            } else {
                begun = Some(answered);
            }
        }
        let begun = match begun {
            Some(begun) => begun,
            None => self.begin_with(asked, asked.headers).await?,
        };
        let used = rules::of(question, begun.status, &begun.headers, at);
        if !used.share {
            not_shared();
        }
        let answer = self.finish(asked, begun).await?;
        let used = rules::Use {
            keep: used.keep && !answer.coded,
            share: used.share && !answer.coded,
        };
        let entry = (used.keep || used.share).then(|| Arc::new(Entry::new(question, &answer, at)));
        if let Some(entry) = entry.as_ref().filter(|_| used.keep) {
            cache.keep(cached.key, entry);
        }
        let state = if entry.is_some() {
            CacheState::Miss
        } else {
            CacheState::Bypass
        };
        Ok((got(answer, state), entry.filter(|_| used.share)))
    }

    async fn alone(&self, asked: Asked<'_>) -> Result<Answer, Error> {
        let begun = self.begin_with(asked, asked.headers).await?;
        self.finish(asked, begun).await
    }

    async fn begin_with(&self, asked: Asked<'_>, headers: &HeaderMap) -> Result<Begun, Error> {
        self.begin(asked.hop, headers, asked.request, asked.deadline)
            .await
    }

    async fn finish(&self, asked: Asked<'_>, begun: Begun) -> Result<Answer, Error> {
        if Hop::is_redirect(begun.status, &begun.headers) {
            return Ok(begun.discard(asked.deadline).await);
        }
        let silence = self.config.read_timeout;
        begun
            .read(asked.request.max_bytes, silence, asked.deadline)
            .await
    }
}

impl Asked<'_> {
    fn serve(self, entry: &Entry, state: CacheState) -> Result<Got, Error> {
        let (answer, age) = entry.answer(SystemTime::now());
        let limit = self.request.max_bytes;
        if answer.body.len() as u64 > limit {
            return Err(Error::TooLarge { limit });
        }
        Ok(Got {
            answer,
            cache: state,
            age: Some(age),
        })
    }
}

fn got(answer: Answer, cache: CacheState) -> Got {
    Got {
        answer,
        cache,
        age: None,
    }
}
