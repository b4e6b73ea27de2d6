#!/usr/bin/env bash
# Generates the stubs and compiles the program with Debian's packages: build.sh FOLDER
#
#   apt-get install default-jdk-headless libgrpc-java protobuf-compiler-grpc-java-plugin libnetty-java \
#     libperfmark-java libprotobuf-java libguava-java libjsr305-java protobuf-compiler libprotobuf-dev
#
# It is then run by `java -cp "$(cat FOLDER/classpath)" Title`. With Maven the jars are io.grpc:grpc-netty-shaded,
# grpc-protobuf and grpc-stub, and com.google.api.grpc:proto-google-common-protos.
set -euo pipefail
mkdir -p "$1"
output=$(realpath "$1")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

plugin=$(command -v grpc_java_plugin protoc-gen-grpc-java | head -n 1)
protoc -I ../../../proto -I . --java_out="$work" --plugin="protoc-gen-grpc-java=$plugin" \
  --grpc-java_out="$work" berth/v1/{types,lease,fetch,page}.proto details.proto

jars=/usr/share/java
classpath=$output
for jar in "$jars"/{grpc-{api,context,core,netty,protobuf,protobuf-lite,stub},netty-{buffer,codec,codec-http,codec-http2,codec-socks,common,handler,handler-proxy,resolver,transport},perfmark-{api,impl},protobuf,guava,jsr305,error_prone_annotations}.jar; do
  [[ ! -e $jar ]] || classpath+=:$jar
done
# The plugin's stubs name an annotation of javax.annotation that the JDK no longer has.
find "$work" -name '*Grpc.java' -exec sed -i '/^@javax.annotation.Generated(/,/^ *comments = .*)$/d' {} +
find "$work" -name '*.java' -print0 | xargs -0 javac -Xlint:none -nowarn -d "$output" -cp "$classpath" Title.java
echo "$classpath" >"$output/classpath"
