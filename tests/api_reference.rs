//! docs/api.md is what the comments of the protos say. `BERTH_UPDATE_DOCS=1 cargo test --test api_reference` writes
//! it anew.

use std::{collections::HashMap, env, fmt::Write, fs, path::Path};

use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MethodDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

const OURS: &str = ".berth.v1.";
/// Files in the order of the reader.
const FILES: [&str; 5] = ["lease", "fetch", "page", "admin", "types"];

/// Comments of a file by the path of what they are about, as descriptor.proto numbers it.
struct Comments(HashMap<Vec<i32>, String>);

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let places = file.source_code_info.iter().flat_map(|info| &info.location);
        let commented = places.filter_map(|place| {
            let comment = place.leading_comments.as_deref()?;
            let lines: Vec<_> = comment
                .lines()
                .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
                .collect();
            Some((place.path.clone(), lines.join("\n").trim().to_owned()))
        });
        Self(commented.collect())
    }

    /// The comment, which everything has.
    fn at(&self, path: &[i32]) -> &str {
        let comment = self.0.get(path);
        comment.unwrap_or_else(|| panic!("{path:?} has no comment"))
    }
}

/// A type as readers know it, with a link to where it is described.
fn linked(name: &str) -> String {
    match name.strip_prefix(OURS) {
        Some(ours) => format!("[{ours}](#{})", ours.to_lowercase()),
        None => format!("`{}`", name.trim_start_matches('.')),
    }
}

/// A scalar type as protos have it.
fn scalar(kind: Type) -> String {
    let name = kind.as_str_name().trim_start_matches("TYPE_");
    name.to_lowercase()
}

fn type_of(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let one = |field: &FieldDescriptorProto| match field.r#type() {
        Type::Message | Type::Enum => linked(field.type_name()),
        kind => format!("`{}`", scalar(kind)),
    };
    let entry = message.nested_type.iter().find(|nested| {
        let map = nested.options.as_ref().is_some_and(|it| it.map_entry());
        map && field.type_name().ends_with(&format!(".{}", nested.name()))
    });
    if let Some(entry) = entry {
        let [key, value] = entry.field.as_slice() else {
            panic!("a map has a key and a value")
        };
        return format!("map of {} to {}", one(key), one(value));
    }
    if field.label() == Label::Repeated {
        return format!("list of {}", one(field));
    }
    one(field)
}

/// `text` as the rest of a list's item.
fn indented(text: &str) -> String {
    text.replace('\n', "\n  ").replace("\n  \n", "\n\n")
}

fn message(out: &mut String, message: &DescriptorProto, comments: &Comments, path: &[i32]) {
    writeln!(out, "### {}\n\n{}\n", message.name(), comments.at(path)).unwrap();
    let mut told = None;
    for (nr, field) in (0..).zip(&message.field) {
        let oneof = field.oneof_index.filter(|_| !field.proto3_optional());
        if let Some(index) = oneof.filter(|_| oneof != told) {
            let of = &message.oneof_decl[usize::try_from(index).unwrap()];
            let about = indented(comments.at(&[path, &[8, index]].concat()));
            writeln!(out, "* one of `{}`: {about}", of.name()).unwrap();
        }
        told = oneof;
        let about = indented(comments.at(&[path, &[2, nr]].concat()));
        let optional = if field.proto3_optional() {
            ", may be absent"
        } else {
            ""
        };
        let (name, kind) = (field.name(), type_of(field, message));
        writeln!(out, "* `{name}` ({kind}{optional}): {about}").unwrap();
    }
    out.push('\n');
}

fn enumeration(out: &mut String, it: &EnumDescriptorProto, comments: &Comments, path: &[i32]) {
    writeln!(out, "### {}\n\n{}\n", it.name(), comments.at(path)).unwrap();
    for (nr, value) in (0..).zip(&it.value) {
        let about = indented(comments.at(&[path, &[2, nr]].concat()));
        writeln!(out, "* `{}` = {}: {about}", value.name(), value.number()).unwrap();
    }
    out.push('\n');
}

fn method(out: &mut String, method: &MethodDescriptorProto, about: &str) {
    let stream = |is: bool| if is { "stream of " } else { "" };
    let takes = stream(method.client_streaming()).to_owned() + &linked(method.input_type());
    let gives = stream(method.server_streaming()).to_owned() + &linked(method.output_type());
    let name = method.name();
    writeln!(out, "#### {name}\n\n{takes} → {gives}\n\n{about}\n").unwrap();
}

fn reference() -> String {
    let set = FileDescriptorSet::decode(berth::proto::DESCRIPTORS).unwrap();
    let files = FILES.map(|name| {
        let path = format!("berth/v1/{name}.proto");
        let file = set.file.iter().find(|file| file.name() == path);
        file.unwrap_or_else(|| panic!("there is no {path}"))
    });
    let ours = |file: &&FileDescriptorProto| file.package() == "berth.v1";
    assert_eq!(set.file.iter().filter(ours).count(), FILES.len());
    let mut out = String::from(
        "# API reference\n\n\
        Of the comments in [proto/berth/v1](../proto/berth/v1), which are what counts. Durations and times are those of \
        `google.protobuf`. What errors carry stands at [ErrorReason](#errorreason).\n\n\
        *Made by `BERTH_UPDATE_DOCS=1 cargo test --test api_reference`.*\n\n",
    );
    for file in files {
        for service in &file.service {
            let name = service.name();
            let links = service.method.iter().map(|method| {
                let name = method.name();
                format!("[{name}](#{})", name.to_lowercase())
            });
            let links: Vec<_> = links.collect();
            writeln!(
                out,
                "* [{name}](#{}): {}",
                name.to_lowercase(),
                links.join(", ")
            )
            .unwrap();
        }
    }
    out.push('\n');
    for file in files {
        let comments = Comments::of(file);
        // 12 is the line `syntax`.
        let about = comments.at(&[12]);
        writeln!(out, "## {}\n\n{about}\n", file.name()).unwrap();
        for (nr, service) in (0..).zip(&file.service) {
            let about = comments.at(&[6, nr]);
            writeln!(out, "### {}\n\n{about}\n", service.name()).unwrap();
            for (at, one) in (0..).zip(&service.method) {
                method(&mut out, one, comments.at(&[6, nr, 2, at]));
            }
        }
        for (nr, one) in (0..).zip(&file.message_type) {
            message(&mut out, one, &comments, &[4, nr]);
        }
        for (nr, one) in (0..).zip(&file.enum_type) {
            enumeration(&mut out, one, &comments, &[5, nr]);
        }
    }
    out.trim_end().to_owned() + "\n"
}

#[test]
fn the_api_reference_is_what_the_protos_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let wanted = reference();
    if env::var_os("BERTH_UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(wanted.lines()).find(|(a, b)| a != b);
    assert!(
        there == wanted,
        "docs/api.md is of older protos ({differs:?}): run BERTH_UPDATE_DOCS=1 cargo test --test api_reference"
    );
}

#[test]
fn every_link_of_the_reference_leads_somewhere() {
    let text = reference();
    let headings: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("##"))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .collect();
    for link in text.split("](#").skip(1) {
        let link = link.split(')').next().unwrap();
        assert!(headings.iter().any(|heading| heading == link), "#{link}");
    }
    let twice = headings
        .iter()
        .find(|one| headings.iter().filter(|other| other == one).count() > 1);
    assert_eq!(twice, None, "two headings of one name");
}
