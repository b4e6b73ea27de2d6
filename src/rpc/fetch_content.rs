//! The content of a document, as messages.

use crate::{content, proto};

/// The links of a document.
pub(super) fn links(found: content::Links) -> proto::Links {
    let links = found.links.into_iter();
    proto::Links {
        links: links
            .map(|link| proto::Link {
                url: link.url,
                text: link.text,
                rel: link.rel,
            })
            .collect(),
        truncated: found.truncated,
    }
}

/// What a document says about itself.
pub(super) fn metadata(found: content::Metadata) -> proto::Metadata {
    proto::Metadata {
        title: found.title.unwrap_or_default(),
        description: found.description.unwrap_or_default(),
        canonical_url: found.canonical.unwrap_or_default(),
        language: found.language.unwrap_or_default(),
        authors: found.authors,
        published: found.published.unwrap_or_default(),
        modified: found.modified.unwrap_or_default(),
        site_name: found.site_name.unwrap_or_default(),
        image_url: found.image.unwrap_or_default(),
        r#type: found.kind.unwrap_or_default(),
    }
}
